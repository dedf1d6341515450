//! What a volume does now, for the script of its page.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::commands::locate::VolumeRef;
use crate::commands::words::human_bytes;
use crate::commands::{CommandError, Kind};
use crate::metrics::MeasuredVolume;
use crate::types::{Measured, MeasuredRequests, VolumeName};

use super::bounded::LOOK_MAX;
use super::refusal::Refusal;
use super::site::Site;

/// All counted since the server started.
#[derive(Debug, Serialize)]
struct Figures {
    state: &'static str,
    started: i64,
    requests: u64,
    nanos: u64,
    read_bytes: u64,
    written_bytes: u64,
    waiting: Option<u64>,
    used: Option<String>,
    kinds: Vec<KindFigures>,
}

#[derive(Debug, Serialize)]
struct KindFigures {
    operation: String,
    count: u64,
    mean: String,
    most: String,
}

/// The figures of a volume as JSON.
pub(super) async fn figures(site: &Arc<Site>, volume: &VolumeName) -> Result<Response, Refusal> {
    let (root, name) = (site.root.clone(), volume.clone());
    let measured = site.lanes.run(volume, LOOK_MAX, move || {
        let located = root.locate(&VolumeRef::Name(name.clone()))?;
        MeasuredVolume::of(name.as_str(), &located.dir).ok_or_else(|| {
            CommandError::new(
                Kind::NotFound,
                format!("there is no volume \"{name}\" any more"),
            )
        })
    });
    let json = serde_json::to_string(&Figures::of(&measured.await?))
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

impl Figures {
    fn of(volume: &MeasuredVolume) -> Self {
        let nothing = Measured::default();
        let measured = volume.told.measured.as_ref().unwrap_or(&nothing);
        let usage = volume.told.usage.as_ref();
        Self {
            state: volume.status.word(),
            started: measured.started,
            requests: measured.count(),
            nanos: measured.nanos(),
            read_bytes: measured.read_bytes,
            written_bytes: measured.written_bytes,
            waiting: measured.waiting,
            used: usage.map(|usage| human_bytes(usage.logical_bytes)),
            kinds: measured.requests.iter().map(KindFigures::of).collect(),
        }
    }
}

impl KindFigures {
    fn of(kind: &MeasuredRequests) -> Self {
        Self {
            operation: kind.operation.clone(),
            count: kind.count(),
            mean: mean(kind),
            most: most(kind),
        }
    }
}

/// How long one took in the mean.
pub(super) fn mean(kind: &MeasuredRequests) -> String {
    kind.nanos
        .checked_div(kind.count())
        .map_or_else(|| "-".to_owned(), micros)
}

/// How long 99 of 100 took at most.
pub(super) fn most(kind: &MeasuredRequests) -> String {
    match kind.bound_of(99) {
        Some(bound) => format!("\u{2264} {}", micros(bound)),
        None => "> 8 s".to_owned(),
    }
}

fn micros(nanos: u64) -> String {
    match nanos / 1000 {
        micros if micros < 10_000 => format!("{micros} us"),
        micros => format!("{} ms", micros / 1000),
    }
}
