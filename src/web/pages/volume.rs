//! One volume: what it does, what it takes, its snapshots, and what can be done with it.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::commands::words::human_bytes;
use crate::control::SnapshotInfo;
use crate::types::{Measured, Period};

use super::super::address::{Action, Shape, State, TreePath, of_entry, of_volume};
use super::super::escaped::encoded;
use super::super::figures::{bar, parts, time_line};
use super::super::listing::Volume;
use super::super::live::{mean, most};
use super::super::restores::{Progress, Restored};
use super::super::said::Said;
use super::super::site::{Changes, Site};
use super::page;
use super::parts::{choices, instant, text, time};
use super::volumes::state;

/// Snapshots in the table; all are on the line of time.
const SHOWN: usize = 500;

pub(in crate::web) fn volume(
    site: &Site,
    found: &Volume,
    status: StatusCode,
    said: &Said,
) -> Response {
    let name = found.name.to_string();
    let content = html! {
        (word(said, &name))
        (restore(site, found))
        h1 { (name) " " (state(&found.measured)) }
        (facts(found))
        (live(found))
        (usage(found))
        (snapshots(found))
        @if site.changes == Changes::Allowed { (forms(found)) }
    };
    let trail = [(name.clone(), of_volume(&found.name))];
    page(status, &name, &trail, &content)
}

fn word(said: &Said, volume: &str) -> Markup {
    let done = match said {
        Said::Nothing => return html! {},
        Said::Refused(why) => return html! { p.alert role="alert" { (why) "." } },
        Said::Done(action, name) => (action, text(name)),
    };
    html! {
        p.done role="status" {
            @match done {
                (Action::Snapshot, name) => { "Snapshot " strong { (name) } " is taken." }
                (Action::Clone, name) => { "Clone " a href={ "/volumes/" (encoded(name.as_bytes())) } { (name) } " is made." }
                (Action::Rollback, name) => {
                    (volume) " is what it was. Snapshot " strong { (name) } " has what it was before: rolling back to that one undoes it."
                }
                (Action::Schedule, _) => { "The schedule is set." }
            }
        }
    }
}

/// What is being restored, or was since somebody looked.
fn restore(site: &Site, found: &Volume) -> Markup {
    let Some(Restored { path, progress, .. }) = site.restores.tell(&found.name) else {
        return html! {};
    };
    html! {
        @match progress {
            Progress::Begun(at) => p.done role="status" {
                bdi { (path) } " is being restored; begun " (time(&at.to_string())) ". This page tells how it ends."
            },
            Progress::Done => p.done role="status" { bdi { (path) } " is restored." },
            Progress::Failed(why) => p.alert role="alert" { bdi { (path) } " was not restored: " (why) "." },
        }
    }
}

fn facts(found: &Volume) -> Markup {
    let now = of_entry(&found.name, &State::Now, Shape::Tree, &TreePath::default());
    html! {
        p.facts {
            a.strong href=(now) { "Browse files" }
            " \u{b7} " a href={ (of_volume(&found.name)) "/diff" } { "What changed" }
            " \u{b7} created " (time(&found.created))
            @if found.is_sealed { " \u{b7} sealed: it never changes" }
            @if !found.mountpoints.is_empty() { " \u{b7} mounted at " code { (text(&found.mountpoints.join(", "))) } }
        }
    }
}

fn live(found: &Volume) -> Markup {
    let Some(measured) = &found.measured.told.measured else {
        return html! {
            section aria-labelledby="now" { h2 #now { "Now" } p { "Nothing is counted while no server has the volume open." } }
        };
    };
    let tiles = [
        ("requests", "requests a second"),
        ("latency", "mean latency"),
        ("read", "read a second"),
        ("written", "written a second"),
        ("waiting", "waiting"),
    ];
    html! {
        section aria-labelledby="now" data-live={ (of_volume(&found.name)) "/live.json" } {
            h2 #now { "Now" }
            dl.tiles hidden data-needs-script {
                @for (key, words) in tiles { div { dt { (words) } dd data-figure=(key) { "\u{2013}" } } }
            }
            p.unseen role="status" data-figure="state" {}
            noscript { p { "As counted since the server started; with scripts these figures follow each second." } }
            (operations(measured))
        }
    }
}

fn operations(measured: &Measured) -> Markup {
    let mut kinds: Vec<_> = measured.requests.iter().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count()));
    html! {
        p {
            (measured.count()) " requests since the server started " (time(&instant(measured.started))) "; "
            (human_bytes(measured.read_bytes)) " read, " (human_bytes(measured.written_bytes)) " written."
        }
        details {
            summary { "Requests by kind" }
            table {
                caption.unseen { "Requests by kind since the server started" }
                thead { tr {
                    th scope="col" { "Request" } th.figure scope="col" { "Count" }
                    th.figure scope="col" { "Mean" } th.figure scope="col" { "99 of 100" }
                } }
                tbody data-kinds { @for kind in kinds {
                    tr {
                        th scope="row" { (kind.operation) } td.figure { (kind.count()) }
                        td.figure { (mean(kind)) } td.figure { (most(kind)) }
                    }
                } }
            }
        }
    }
}

fn usage(found: &Volume) -> Markup {
    let host = found.measured.host_bytes;
    let Some(usage) = &found.usage else {
        return html! {
            section aria-labelledby="takes" {
                h2 #takes { "What it takes" }
                p { (human_bytes(host)) " on the disk; what for cannot be counted now." }
            }
        };
    };
    html! {
        section aria-labelledby="takes" {
            h2 #takes { "What it takes" }
            p {
                (human_bytes(usage.logical_bytes)) " in " (usage.inodes) " files and directories, "
                (human_bytes(host)) " on the disk. Dedup " (format!("{:.2}", usage.dedup_ratio()))
                ", compression " (format!("{:.2}", usage.compression_ratio())) ". "
                (human_bytes(usage.host_free_bytes)) " free on the host."
            }
            (bar(usage, host, 0))
            ul.legend aria-label="What the bytes on the disk are for" {
                @for (words, class, bytes) in parts(usage, host) { (swatch(class, words, bytes)) }
                (swatch("shared", "line below: shared with clones", usage.shared_bytes))
            }
        }
    }
}

fn swatch(class: &str, words: &str, bytes: u64) -> Markup {
    html! {
        li {
            svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} }
            (words) " " strong { (human_bytes(bytes)) }
        }
    }
}

fn snapshots(found: &Volume) -> Markup {
    let now = jiff::Timestamp::now().as_second();
    html! {
        section aria-labelledby="snapshots" {
            h2 #snapshots { "Snapshots" }
            @if found.snapshots.is_empty() {
                p { "There is none yet." }
            } @else {
                (time_line(&found.name, &found.snapshots, now))
                table {
                    caption.unseen { "Snapshots, the newest first" }
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "Taken" } th.figure scope="col" { "Holds" }
                        th.figure scope="col" { "In no other" } th scope="col" { "Note" } th scope="col" { "Look" }
                    } }
                    tbody { @for one in found.snapshots.iter().rev().take(SHOWN) { (snapshot(found, one)) } }
                }
                @if found.snapshots.len() > SHOWN {
                    p { "The newest " (SHOWN) " of " (found.snapshots.len()) "; " code { "cask snapshot ls " (found.name) } " shows all." }
                }
            }
        }
    }
}

fn snapshot(found: &Volume, one: &SnapshotInfo) -> Markup {
    let state = State::At(one.name.clone());
    let tree = of_entry(&found.name, &state, Shape::Tree, &TreePath::default());
    let from = encoded(one.name.as_str().as_bytes());
    html! {
        tr {
            th scope="row" { bdi { (text(one.name.as_str())) } @if one.held { " " span.state { "held" } } }
            td { (time(&instant(one.created))) }
            td.figure { @match one.bytes { Some(bytes) => (human_bytes(bytes.referenced)), None => "\u{2013}" } }
            td.figure { @match one.bytes { Some(bytes) => (human_bytes(bytes.unique)), None => "\u{2013}" } }
            td { bdi { (text(&one.label)) } }
            td {
                a href=(tree) aria-label={ "Browse " (text(one.name.as_str())) } { "browse" } " "
                a href={ (of_volume(&found.name)) "/diff?from=" (from) } aria-label={ "What changed since " (text(one.name.as_str())) } { "changes since" }
            }
        }
    }
}

fn forms(found: &Volume) -> Markup {
    let to = |action: Action| format!("{}/do/{}", of_volume(&found.name), action.word());
    html! {
        section aria-labelledby="do" {
            h2 #do { "Do" }
            div.forms {
                form method="post" action=(to(Action::Snapshot)) {
                    h3 { "Take a snapshot" }
                    label for="name" { "Name (or the time)" } input #name name="name" autocomplete="off";
                    label for="label" { "Note" } input #label name="label" autocomplete="off";
                    button { "Take snapshot" }
                }
                form method="post" action=(to(Action::Clone)) {
                    h3 { "Clone" }
                    label for="from" { "Of" }
                    select #from name="from" { option value="" { "what it is now" } (choices(&found.snapshots, None)) }
                    label for="new" { "Name of the new volume" } input #new name="new" required autocomplete="off";
                    button { "Clone" }
                }
                (schedule(found, &to(Action::Schedule)))
                form.risky method="post" action=(to(Action::Rollback)) {
                    h3 { "Roll back" }
                    p.quiet { "The volume becomes what the snapshot is. What it is now is kept as a snapshot. It must not be mounted." }
                    label for="to" { "To" }
                    select #to name="to" { (choices(&found.snapshots, None)) }
                    label for="confirm" { "Type " code { (found.name) } " to confirm" }
                    input #confirm name="confirm" required autocomplete="off" spellcheck="false";
                    button { "Roll back" }
                }
            }
        }
    }
}

fn schedule(found: &Volume, to: &str) -> Markup {
    let known = found.measured.scheduled.as_ref();
    let kinds = [
        ("hourly", Period::Hour),
        ("daily", Period::Day),
        ("weekly", Period::Week),
        ("monthly", Period::Month),
    ];
    html! {
        form method="post" action=(to) {
            h3 { "Schedule" }
            p.quiet {
                @match &found.next { Some(at) => { "Next: " time datetime=(at) { (at) } ". " } None => "No snapshots are taken by themselves. " }
                @if let Some(last) = known.and_then(|known| known.last.as_ref()) { "Last: " (text(last.as_str())) ". " }
                @if let Some(error) = known.and_then(|known| known.error.as_ref()) { strong { "It failed: " (error) ". " } }
            }
            fieldset {
                legend { "How many stay" }
                @for (word, period) in kinds {
                    @let count = found.measured.schedule.count(period);
                    label for=(word) { (word) }
                    input id=(word) name=(word) type="number" min="0" max="100000" value=[(count > 0).then_some(count)];
                }
            }
            button { "Set schedule" }
        }
    }
}
