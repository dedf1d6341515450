//! Why an answer is none, as HTTP says it.

use axum::http::StatusCode;

use crate::commands::{CommandError, Kind};

/// What was asked for is not to be had, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) said: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, said: impl Into<String>) -> Self {
        Self {
            status,
            said: said.into(),
        }
    }

    pub(super) fn no_place() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such page")
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let status = match error.kind() {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Exists | Kind::InUse => StatusCode::CONFLICT,
            Kind::Failed | Kind::Damaged | Kind::Unreachable | Kind::Unread => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}
