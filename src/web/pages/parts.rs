//! What several pages have: filters, leafing, times, and choices of a snapshot.

use maud::{Markup, html};

use crate::commands::words::ago;
use crate::control::SnapshotInfo;
use crate::types::SnapshotName;

use super::super::escaped::{encoded, shown};
use super::super::listing::Page;

/// A filter and its button; `kept` are other fields of the query, which stay.
pub(super) fn filter<T>(page: &Page<T>, what: &str, kept: &[(&str, &str)]) -> Markup {
    html! {
        form.filter method="get" role="search" {
            @for (name, value) in kept {
                input type="hidden" name=(name) value=(value);
            }
            label for="filter" { "Filter " (what) " by a part of the name" }
            input #filter type="search" name="filter" value=(String::from_utf8_lossy(&page.filter));
            button { "Filter" }
        }
    }
}

/// Which part of a list this is, and the way to the others.
pub(super) fn leafing<T>(page: &Page<T>, what: &str, kept: &[(&str, &str)]) -> Markup {
    let first = page.number * page.size;
    let last = (first + page.size).min(page.matching);
    let to = |number: usize| {
        let mut query = format!("?page={number}");
        if !page.filter.is_empty() {
            query.push_str(&format!("&filter={}", encoded(&page.filter)));
        }
        for (name, value) in kept {
            query.push_str(&format!("&{name}={}", encoded(value.as_bytes())));
        }
        query
    };
    html! {
        p.leafing {
            @if page.matching == 0 {
                "None of " (page.total) " " (what) "."
            } @else {
                (first + 1) "\u{2013}" (last) " of " (page.matching) " " (what)
                @if page.matching < page.total { " that match, " (page.total) " in all" }
                "."
            }
            @if page.number > 0 { " " a rel="prev" href=(to(page.number - 1)) { "Previous" } }
            @if last < page.matching { " " a rel="next" href=(to(page.number + 1)) { "Next" } }
        }
    }
}

/// A time in words, exact where one points at it.
pub(super) fn time(text: &str) -> Markup {
    html! { time datetime=(text) title=(text) { (ago(text)) } }
}

/// A number of seconds since 1970 as RFC 3339 has it.
pub(super) fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// Choices of a snapshot, the newest first.
pub(super) fn choices(snapshots: &[SnapshotInfo], chosen: Option<&SnapshotName>) -> Markup {
    html! {
        @for one in snapshots.iter().rev() {
            option value=(one.name) selected[chosen == Some(&one.name)] { (text(one.name.as_str())) }
        }
    }
}

/// A name that is text already.
pub(super) fn text(name: &str) -> String {
    shown(name.as_bytes())
}
