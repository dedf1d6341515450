//! Before something of a snapshot is put back in its place: what that does.

use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use crate::types::VolumeName;

use super::super::address::{Shape, State, TreePath, of_entry, of_volume};
use super::super::escaped::shown;
use super::super::refusal::Refusal;
use super::super::site::{Changes, Site};
use super::page;
use super::parts::text;

pub(in crate::web) fn restore(
    site: &Site,
    (volume, state, path): (&VolumeName, &State, &TreePath),
    refusal: Option<&Refusal>,
) -> Response {
    let name = state.snapshot().map(|name| text(name.as_str()));
    let name = name.unwrap_or_default();
    let shown = format!("/{}", shown(path.as_bytes()));
    let back = of_entry(volume, state, Shape::Tree, &path.above());
    let content = html! {
        @if let Some(refusal) = refusal { p.alert role="alert" { (refusal.said) "." } }
        h1 { "Restore " bdi { (shown) } }
        p {
            bdi { (shown) } " of volume " strong { (volume) } " becomes what it was at snapshot " strong { (name) }
            ". What is there now is replaced in one step; of a directory, with all that is in it. "
            "Programs that have an old file open still have it."
        }
        @if site.changes == Changes::Allowed {
            form.single method="post" action=(of_entry(volume, state, Shape::Restored, path)) {
                label.check {
                    input type="checkbox" name="before" value="on" checked;
                    " Take a snapshot of what is there now first"
                }
                button { "Restore" } " " a href=(back) { "Cancel" }
            }
        } @else { p.note { "This page is read-only." } }
    };
    let trail = [
        (volume.to_string(), of_volume(volume)),
        (
            format!("@{name}"),
            of_entry(volume, state, Shape::Tree, &TreePath::default()),
        ),
    ];
    let status = refusal.map_or(StatusCode::OK, |refusal| refusal.status);
    page(status, "Restore", &trail, &content)
}
