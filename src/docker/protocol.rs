//! What is asked and answered: the bodies of the volume plugin protocol, version 1.
//!
//! <https://docs.docker.com/engine/extend/plugins_volume/>. dockerd sends no content type and checks none; Podman
//! looks at the status only. Errors are therefore 500 with `Err`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Result};

/// The body of any request; what a call does not need is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Body {
    pub(super) name: String,
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) opts: Option<BTreeMap<String, String>>,
}

impl Body {
    /// Parses a body. A repeated request may arrive without one, which must not be taken for a command.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let body: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::BadRequest(format!("the request cannot be understood: {e}")))?;
        if body.name.is_empty() {
            return Err(Error::BadRequest("the request names no volume".to_owned()));
        }
        Ok(body)
    }
}

/// A volume, as `Get` and `List` show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServedConnection {
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) mountpoint: String,
    /// RFC 3339: anything else makes dockerd take the volume for missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) status: BTreeMap<String, Value>,
}

/// The answers, by call.
pub(super) fn activated() -> Value {
    serde_json::json!({ "Implements": ["VolumeDriver"] })
}

pub(super) fn capabilities() -> Value {
    serde_json::json!({ "Capabilities": { "Scope": "local" }, "Err": "" })
}

pub(super) fn done() -> Value {
    serde_json::json!({ "Err": "" })
}

pub(super) fn mountpoint(path: &str) -> Value {
    serde_json::json!({ "Mountpoint": path, "Err": "" })
}

pub(super) fn volume(shown: &ServedConnection) -> Value {
    serde_json::json!({ "Volume": shown, "Err": "" })
}

pub(super) fn volumes(shown: &[ServedConnection]) -> Value {
    serde_json::json!({ "Volumes": shown, "Err": "" })
}

pub(super) fn failure(error: &Error) -> Value {
    serde_json::json!({ "Err": error.to_string() })
}
