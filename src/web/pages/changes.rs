//! All that changed between two states of a volume.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::commands::diff::letter;

use super::super::address::of_volume;
use super::super::escaped::shown;
use super::super::listing::Changes;
use super::super::site::Site;
use super::page;
use super::parts::{choices, filter, leafing};
use super::tree::word;

pub(in crate::web) fn changes(_: &Site, found: &Changes) -> Response {
    let content = html! {
        h1 { "What changed in " (found.volume) }
        @if found.snapshots.is_empty() {
            p { "There is no snapshot to compare with yet." }
        } @else { (chosen(found)) }
        @if found.from.is_some() { (list(found)) }
    };
    let trail = [
        (found.volume.to_string(), of_volume(&found.volume)),
        (
            "changes".to_owned(),
            format!("{}/diff", of_volume(&found.volume)),
        ),
    ];
    page(
        StatusCode::OK,
        &format!("Changes of {}", found.volume),
        &trail,
        &content,
    )
}

fn chosen(found: &Changes) -> Markup {
    html! {
        form.filter method="get" {
            label for="from" { "From" }
            select #from name="from" { (choices(&found.snapshots, found.from.as_ref())) }
            label for="to" { "to" }
            select #to name="to" { option value="" { "now" } (choices(&found.snapshots, found.to.as_ref())) }
            button { "Compare" }
        }
    }
}

fn list(found: &Changes) -> Markup {
    let field = |name: Option<&crate::types::SnapshotName>| {
        name.map(|name| name.to_string()).unwrap_or_default()
    };
    let (from, to) = (field(found.from.as_ref()), field(found.to.as_ref()));
    let kept = [("from", from.as_str()), ("to", to.as_str())];
    html! {
        @if found.is_cut { p.note { "There are more changes than are shown: " code { "cask diff" } " shows all." } }
        (filter(&found.page, "changes", &kept))
        (leafing(&found.page, "changes", &kept))
        table.entries {
            caption.unseen { "Changes by path" }
            thead { tr { th scope="col" { "Change" } th scope="col" { "Path" } } }
            tbody { @for change in &found.page.items {
                tr {
                    td.mark { abbr class={ "mark " (word(change.kind)) } title=(word(change.kind)) { (letter(change.kind)) } }
                    td {
                        bdi { "/" (shown(&change.path.0)) }
                        @if let Some(old) = &change.old_path { " " span.quiet { "was /" bdi { (shown(&old.0)) } } }
                    }
                }
            } }
        }
        @if found.page.matching > found.page.size { (leafing(&found.page, "changes", &kept)) }
    }
}
