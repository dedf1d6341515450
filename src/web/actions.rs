//! What the page does with volumes: what the command line does, with the same refusals.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};

use crate::commands::clone::clone_here;
use crate::commands::locate::{Located, Root, VolumeRef};
use crate::commands::restore::restore;
use crate::commands::rollback::roll_back;
use crate::commands::settings::{Setting, set};
use crate::commands::state_ref::{SnapshotRef, StateRef};
use crate::commands::{CommandError, Kind, Result, snapshot};
use crate::types::{Schedule, SnapshotName, VolumeName};
use crate::volume::Life;

use super::address::{Action, Address, Shape, State, TreePath, What, of_entry, of_volume};
use super::bounded::WORK_MAX;
use super::escaped::{encoded, shown};
use super::fields::Fields;
use super::listing;
use super::pages;
use super::refusal::Refusal;
use super::restores::Progress;
use super::said::Said;
use super::site::Site;

/// Does what is asked, and leads on; or says why not, on the page from which it was asked.
pub(super) async fn act(site: &Arc<Site>, address: Address, fields: Fields) -> Response {
    let volume = address.volume;
    match address.what {
        What::Action(action) => {
            let (root, name) = (site.root.clone(), volume.clone());
            let work = move || perform(action, &root, &name, &fields);
            match site.lanes.run(&volume, WORK_MAX, work).await {
                Ok(name) => {
                    let name = encoded(name.as_bytes());
                    let to = of_volume(&volume);
                    lead_to(format!("{to}?done={}&name={name}", action.word()))
                }
                Err(refusal) => again(site, &volume, refusal).await,
            }
        }
        What::In(State::At(name), Shape::Restored, path) => {
            restore_here(site, (&volume, name, path), fields).await
        }
        _ => pages::refused(&Refusal::no_place()),
    }
}

async fn again(site: &Arc<Site>, volume: &VolumeName, refusal: Refusal) -> Response {
    match listing::volume(site, volume).await {
        Ok(found) => pages::volume(site, &found, refusal.status, &Said::Refused(refusal.said)),
        Err(_) => pages::refused(&refusal),
    }
}

fn lead_to(address: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response()
}

/// Returns the name of what was made.
fn perform(action: Action, root: &Root, volume: &VolumeName, fields: &Fields) -> Result<String> {
    let reference = VolumeRef::Name(volume.clone());
    let (located, config) = root.open(&reference)?;
    match action {
        Action::Snapshot => {
            let name = snapshot_named(fields, "name")?;
            let label = fields.text_or_none("label")?.unwrap_or_default();
            snapshot::take(&located, name.as_ref(), label).map(String::from)
        }
        Action::Clone => {
            let from = StateRef {
                volume: reference,
                snapshot: snapshot_named(fields, "from")?,
            };
            let new: VolumeName = field(fields, "new")?.parse().map_err(usage)?;
            clone_here(&from, (&VolumeRef::Name(new.clone()), Life::Lasting), root)?;
            Ok(new.to_string())
        }
        Action::Rollback => {
            let name = snapshot_named(fields, "to")?.ok_or_else(|| missing("to"))?;
            confirm(fields, &located)?;
            roll_back(&located, &name).map(String::from)
        }
        Action::Schedule => {
            let schedule = schedule_of(fields)?;
            set(vec![Setting::Schedule(schedule)], &located, &config)?;
            Ok(String::new())
        }
    }
}

/// What undoes much is not done by a slip.
fn confirm(fields: &Fields, located: &Located) -> Result<()> {
    let name = located.reference.typed();
    if fields.text("confirm").map(str::trim) == Some(&name) {
        return Ok(());
    }
    let message = format!("{located} was not rolled back: its name was not typed");
    Err(CommandError::new(Kind::Usage, message).hint(format!("type \"{name}\" to confirm")))
}

fn schedule_of(fields: &Fields) -> Result<Schedule> {
    let kinds = ["hourly", "daily", "weekly", "monthly"];
    let mut parts = Vec::new();
    for kind in kinds {
        // One that is not there is not one that was left empty: that would end the schedule.
        if !fields.has(kind) {
            let message = format!("the form has no field \"{kind}\"");
            let error = CommandError::new(Kind::Usage, message);
            return Err(error.hint("send it from the volume's page"));
        }
        let count = fields.text_or_none(kind)?.unwrap_or_default().trim();
        if !matches!(count, "" | "0") {
            parts.push(format!("{kind}={count}"));
        }
    }
    if parts.is_empty() {
        return Ok(Schedule::OFF);
    }
    let text = parts.join(" ");
    text.parse()
        .map_err(|e| CommandError::new(Kind::Usage, format!("cannot set \"schedule={text}\": {e}")))
}

/// A snapshot, where a field names one.
fn snapshot_named(fields: &Fields, name: &str) -> Result<Option<SnapshotName>> {
    let text = fields.text_or_none(name)?;
    text.map(|text| text.parse().map_err(usage)).transpose()
}

fn field<'f>(fields: &'f Fields, name: &str) -> Result<&'f str> {
    let text = fields.text_or_none(name)?.map(str::trim);
    text.ok_or_else(|| missing(name))
}

/// A box that is not checked sends nothing.
fn is_checked(fields: &Fields, name: &str) -> Result<bool> {
    match fields.text_or_none(name)? {
        None => Ok(false),
        Some("on") => Ok(true),
        Some(_) => {
            let message = format!("the field \"{name}\" can be \"on\", or not there");
            Err(CommandError::new(Kind::Usage, message).hint("send it from the page"))
        }
    }
}

fn missing(name: &str) -> CommandError {
    CommandError::new(Kind::Usage, format!("the field \"{name}\" is empty")).hint("fill it in")
}

fn usage(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::new(Kind::Usage, error.to_string())
}

async fn restore_here(
    site: &Arc<Site>,
    (volume, name, path): (&VolumeName, SnapshotName, TreePath),
    fields: Fields,
) -> Response {
    let (root, own, from, to) = (
        site.root.clone(),
        volume.clone(),
        name.clone(),
        path.clone(),
    );
    let shown = shown(path.as_bytes());
    let begun = match site.restores.begin(volume, &shown) {
        Ok(begun) => begun,
        Err(refusal) => {
            return pages::restore(site, (volume, &State::At(name), &path), Some(&refusal));
        }
    };
    let id = begun.id();
    let work = move || {
        let worked = restore_from((own, from), &to, &fields, &root);
        begun.end(&worked);
        worked
    };
    let worked = site.lanes.run(volume, WORK_MAX, work).await;
    match (site.restores.take(volume, id), worked) {
        (Some(Progress::Begun(_)), _) => lead_to(of_volume(volume)),
        (Some(Progress::Done), _) | (_, Ok(())) => {
            let to = of_entry(volume, &State::Now, Shape::Tree, &path.above());
            let restored = encoded(path.name().unwrap_or_default());
            lead_to(format!("{to}?restored={restored}"))
        }
        (known, Err(mut refusal)) => {
            // It may have ended after nobody waited any more.
            if let Some(Progress::Failed(why)) = known {
                refusal.said = why;
            }
            pages::restore(site, (volume, &State::At(name), &path), Some(&refusal))
        }
    }
}

fn restore_from(
    (volume, snapshot): (VolumeName, SnapshotName),
    path: &TreePath,
    fields: &Fields,
    root: &Root,
) -> Result<()> {
    let reference = VolumeRef::Name(volume);
    if is_checked(fields, "before")? {
        let located = root.open(&reference)?.0;
        snapshot::take(&located, None, "before a restore")?;
    }
    let from = SnapshotRef {
        volume: reference,
        name: snapshot,
    };
    restore(&from, path.as_path(), root)
}
