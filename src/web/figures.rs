//! Pictures: what a volume takes, as a bar, and its snapshots on a line of time. SVG, without a style of its own.

use maud::{Markup, html};

use crate::commands::words::human_bytes;
use crate::control::{SnapshotBytes, SnapshotInfo};
use crate::types::{Usage, VolumeName};

use super::address::{Shape, State, TreePath, of_entry};
use super::escaped::shown;

/// Units across a picture.
const WIDTH: u64 = 1000;

/// What stored bytes are for, in the order of the bar: the word, the class of its colour, and how many.
pub(super) fn parts(usage: &Usage, host_bytes: u64) -> [(&'static str, &'static str, u64); 4] {
    let rest = host_bytes.saturating_sub(usage.segment_bytes);
    [
        ("live", "live", usage.live_bytes),
        ("only in snapshots", "snaps", usage.snapshot_bytes),
        ("dead", "dead", usage.dead_bytes),
        ("metadata and reserve", "rest", rest),
    ]
}

/// A bar of what a volume takes, as long as that is of `most`; below it, what clones share.
pub(super) fn bar(usage: &Usage, host_bytes: u64, most: u64) -> Markup {
    let parts = parts(usage, host_bytes);
    let mut said: Vec<String> = parts
        .iter()
        .map(|(word, _, bytes)| format!("{word} {}", human_bytes(*bytes)))
        .collect();
    said.push(format!(
        "shared with clones {}",
        human_bytes(usage.shared_bytes)
    ));
    let total: u64 = parts.iter().map(|(_, _, bytes)| bytes).sum();
    let most = most.max(total);
    let mut from = 0;
    let placed = parts.map(|(_, class, bytes)| {
        let (at, width) = (from, scaled(bytes, most));
        from += width;
        (class, at, width)
    });
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 20" } preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
            rect.ground x="0" y="0" width=(WIDTH) height="14" {}
            @for (class, at, width) in placed {
                rect class=(class) x=(at) y="0" width=(width) height="14" {}
            }
            rect.shared x="0" y="16" width=(scaled(usage.shared_bytes, most)) height="3" {}
        }
    }
}

/// The same where only all of it is known.
pub(super) fn plain_bar(host_bytes: u64, most: u64) -> Markup {
    let said = format!("on the disk {}, not counted", human_bytes(host_bytes));
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 20" } preserveAspectRatio="none" role="img" aria-label=(said) {
            rect.ground x="0" y="0" width=(WIDTH) height="14" {}
            rect.rest x="0" y="0" width=(scaled(host_bytes, most)) height="14" {}
        }
    }
}

fn scaled(bytes: u64, most: u64) -> u64 {
    let scaled = u128::from(bytes) * u128::from(WIDTH) / u128::from(most.max(1));
    // What is there is seen.
    u64::try_from(scaled)
        .unwrap_or(WIDTH)
        .clamp(u64::from(bytes > 0) * 2, WIDTH)
}

/// Snapshots from the oldest to now, each as high as what it holds, and filled as far as no other holds it.
pub(super) fn time_line(volume: &VolumeName, snapshots: &[SnapshotInfo], now: i64) -> Markup {
    let first = snapshots.first().map_or(now, |one| one.created.min(now));
    let most = snapshots.iter().map(|one| bytes(one).referenced).max();
    html! {
        svg.time viewBox={ "-10 0 " (WIDTH + 20) " 92" } role="img"
            aria-label={ (snapshots.len()) " snapshots from the oldest, at the left, to now, at the right" } {
            line.axis x1="0" y1="70" x2=(WIDTH) y2="70" {}
            @for one in snapshots {
                @let x = along(one.created, first, now).saturating_sub(5);
                (upright(volume, one, (x, most.unwrap_or(0))))
            }
            circle.now cx=(WIDTH) cy="70" r="5" {}
            text x="0" y="88" { (day(first)) }
            text x=(WIDTH) y="88" text-anchor="end" { "now" }
        }
    }
}

fn upright(volume: &VolumeName, one: &SnapshotInfo, (x, most): (u64, u64)) -> Markup {
    let state = State::At(one.name.clone());
    let held = bytes(one);
    let whole = 4 + scaled(held.referenced, most) * 60 / WIDTH;
    let own = scaled(held.unique.min(held.referenced), most) * 60 / WIDTH;
    html! {
        a href=(of_entry(volume, &state, Shape::Tree, &TreePath::default())) tabindex="-1" {
            g class=(if one.held { "held" } else { "snap" }) {
                title {
                    (shown(one.name.as_str().as_bytes())) ": holds " (human_bytes(held.referenced)) ", "
                    (human_bytes(held.unique)) " in no other"
                }
                rect.whole x=(x) y=(70 - whole) width="10" height=(whole) rx="2" {}
                rect x=(x) y=(70 - own) width="10" height=(own) {}
            }
        }
    }
}

fn bytes(snapshot: &SnapshotInfo) -> SnapshotBytes {
    let nothing = SnapshotBytes {
        referenced: 0,
        unique: 0,
    };
    snapshot.bytes.unwrap_or(nothing)
}

fn along(at: i64, first: i64, now: i64) -> u64 {
    let past = u64::try_from(at.clamp(first, now.max(first)) - first).unwrap_or(0);
    let all = u64::try_from(now - first).unwrap_or(0).max(1);
    // The end is for now.
    u64::try_from(u128::from(past) * u128::from(WIDTH - 20) / u128::from(all)).unwrap_or(0) + 4
}

fn day(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(
        |_| "-".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_seen_and_nothing_is_longer_than_all() {
        assert_eq!(scaled(0, 100), 0);
        assert_eq!(scaled(1, u64::MAX), 2);
        assert_eq!(scaled(u64::MAX, u64::MAX), WIDTH);
        assert_eq!(scaled(5, 0), WIDTH);
        assert!(along(i64::MAX, 0, 10) < WIDTH && along(-5, 0, 0) == 4);
    }
}
