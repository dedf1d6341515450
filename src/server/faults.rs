//! What a server says when it cannot do what it was asked.

use crate::control::{Fault, FaultKind};
use crate::types::with_causes;

pub(super) fn failed(what: &str, e: &dyn std::error::Error) -> Fault {
    said(FaultKind::Failed, &format!("{what}: {}", with_causes(e)))
}

pub(super) fn said(kind: FaultKind, message: &str) -> Fault {
    Fault {
        kind,
        message: message.to_owned(),
    }
}

pub(super) fn closing() -> Fault {
    said(FaultKind::Closing, "the volume is being closed")
}
