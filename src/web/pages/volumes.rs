//! All volumes of the root.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::commands::schedule::next_round;
use crate::commands::words::human_bytes;
use crate::metrics::MeasuredVolume;
use crate::server::VolumeStatus;

use super::super::figures::{bar, plain_bar};
use super::super::listing::Page;
use super::super::site::{Changes, Site};
use super::page;
use super::parts::{filter, leafing, time};

pub(in crate::web) fn volumes(site: &Site, found: &Page<MeasuredVolume>) -> Response {
    let most = found
        .items
        .iter()
        .map(|one| one.host_bytes)
        .max()
        .unwrap_or(0);
    let content = html! {
        h1 { "Volumes" }
        @if site.changes == Changes::Refused { p.note { "This page is read-only." } }
        @if found.total == 0 {
            p { "There is no volume yet: " code { "cask create NAME" } " makes one." }
        } @else {
            @if found.total > found.size || !found.filter.is_empty() { (filter(found, "volumes", &[])) }
            table.volumes {
                caption.unseen { "Volumes of " (site.root.path().display()) }
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "State" } th.figure scope="col" { "Holds" }
                    th.figure scope="col" { "On the disk" } th.wide scope="col" { "What for" } th scope="col" { "Next snapshot" }
                } }
                tbody { @for one in &found.items { (row(one, most)) } }
            }
            (legend())
            (leafing(found, "volumes", &[]))
        }
    };
    page(StatusCode::OK, "Volumes", &[], &content)
}

fn row(one: &MeasuredVolume, most: u64) -> Markup {
    let usage = one.told.usage.as_ref();
    html! {
        tr {
            th scope="row" { a href={ "/volumes/" (one.name) } { (one.name) } }
            td { (state(one)) }
            td.figure { @match usage { Some(usage) => (human_bytes(usage.logical_bytes)), None => "\u{2013}" } }
            td.figure { (human_bytes(one.host_bytes)) }
            td.wide {
                @match usage {
                    Some(usage) => (bar(usage, one.host_bytes, most)),
                    None => (plain_bar(one.host_bytes, most)),
                }
            }
            td { (next(one)) }
        }
    }
}

/// What a volume is doing, and what is wrong with it.
pub(super) fn state(one: &MeasuredVolume) -> Markup {
    let damage = one
        .scrubbed
        .as_ref()
        .map_or(0, |scrubbed| scrubbed.damage().len());
    let word = one.status.word();
    html! {
        span class={ "state " (word) } { (word) }
        @if one.is_down { " " span.state.bad { "down" } }
        @if one.is_stopped == Some(true) { " " span.state.bad { "writes stopped" } }
        @if damage > 0 { " " span.state.bad { "damage: " (damage) } }
        @if one.scheduled.as_ref().is_some_and(|known| known.failures > 0) { " " span.state.bad { "schedule fails" } }
    }
}

fn next(one: &MeasuredVolume) -> Markup {
    let seen_to = one.scheduled.as_ref().and_then(|known| known.seen_to);
    let is_served = one.status == VolumeStatus::Mounted;
    match next_round(one.schedule, seen_to) {
        None => html! { span.quiet { "no schedule" } },
        Some(at) if at > jiff::Timestamp::now() => html! {
            time datetime=(at) title=(at) { (at.strftime("%a %H:%M UTC")) }
        },
        Some(_) if is_served => html! { "soon" },
        Some(at) => html! { "when mounted; due " (time(&at.to_string())) },
    }
}

/// What the colours of a bar stand for.
fn legend() -> Markup {
    let words = [
        ("live", "live"),
        ("snaps", "only in snapshots"),
        ("dead", "dead"),
        ("rest", "metadata, reserve, not counted"),
        ("shared", "line below: shared with clones"),
    ];
    html! {
        ul.legend aria-label="What the bars show, from left to right" {
            @for (class, words) in words {
                li { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} } (words) }
            }
        }
    }
}
