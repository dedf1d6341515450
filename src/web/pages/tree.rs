//! What a directory holds, in a state of a volume, and what changed in it against another.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::commands::diff::letter;
use crate::commands::words::human_bytes;
use crate::control::ChangeKind;
use crate::types::{Attr, FileKind};

use super::super::address::{Shape, State, TreePath, of_entry, of_volume};
use super::super::escaped::shown;
use super::super::listing::{Compared, Item, Mark, Tree};
use super::super::site::{Changes, Site};
use super::page;
use super::parts::{choices, filter, instant, leafing, text, time};

pub(in crate::web) fn tree(site: &Site, found: &Tree) -> Response {
    let title = match found.path.name() {
        Some(name) => shown(name),
        None => found.volume.to_string(),
    };
    let against = found.against.as_ref().map(|against| against.asked.as_str());
    let kept: Vec<(&str, &str)> = against.map(|name| ("against", name)).into_iter().collect();
    let tar = of_entry(&found.volume, &found.state, Shape::Tar, &found.path);
    let content = html! {
        @if let Some(name) = &found.restored { p.done role="status" { bdi { (shown(name)) } " is what it was." } }
        h1 { bdi { "/" (shown(found.path.as_bytes())) } " " span.quiet { (state(found)) } }
        p.facts {
            a href=(tar) download { "Download as tar" }
            @if can_restore(site, found) && !found.path.is_root() {
                " \u{b7} " a href=(of_entry(&found.volume, &found.state, Shape::Restored, &found.path)) { "Restore this directory" }
            }
        }
        (states(found))
        @if let Some(against) = &found.against { (compared(against)) }
        (filter(&found.page, "entries", &kept))
        (leafing(&found.page, "entries", &kept))
        table.entries {
            caption.unseen { "Entries by name" }
            thead { tr {
                @if against.is_some() { th scope="col" { "Change" } }
                th scope="col" { "Name" } th.figure scope="col" { "Size" } th scope="col" { "Changed" }
                th scope="col" { "Mode" } th scope="col" { "Owner" } th scope="col" { "Do" }
            } }
            tbody {
                @if !found.path.is_root() { (up(found, against)) }
                @for item in &found.page.items { (entry(site, found, item, against)) }
            }
        }
        @if found.page.matching > found.page.size { (leafing(&found.page, "entries", &kept)) }
    };
    page(StatusCode::OK, &title, &trail(found), &content)
}

fn state(found: &Tree) -> String {
    match &found.state {
        State::Now => "as it is now".to_owned(),
        State::At(name) => format!("at snapshot {}", text(name.as_str())),
    }
}

fn can_restore(site: &Site, found: &Tree) -> bool {
    site.changes == Changes::Allowed && found.state.snapshot().is_some()
}

fn trail(found: &Tree) -> Vec<(String, String)> {
    let place = |path: &TreePath| of_entry(&found.volume, &found.state, Shape::Tree, path);
    let state = match &found.state {
        State::Now => "now".to_owned(),
        State::At(name) => format!("@{}", text(name.as_str())),
    };
    let mut trail = vec![
        (found.volume.to_string(), of_volume(&found.volume)),
        (state, place(&TreePath::default())),
    ];
    let steps = found.path.steps().into_iter();
    trail.extend(steps.map(|path| (shown(path.name().unwrap_or_default()), place(&path))));
    trail
}

/// The same directory in other states, and what to compare with.
fn states(found: &Tree) -> Markup {
    if found.snapshots.is_empty() {
        return html! {};
    }
    let here = |state: &State| of_entry(&found.volume, state, Shape::Tree, &found.path);
    let chosen = found.against.as_ref().map(|against| &against.asked);
    html! {
        div.states {
            form method="get" {
                label for="against" { "Compare with snapshot" }
                select #against name="against" { (choices(&found.snapshots, chosen)) }
                button { "Compare" }
            }
            details {
                summary { "Other states" }
                ul.states {
                    li { a href=(here(&State::Now)) { "as it is now" } }
                    @for one in found.snapshots.iter().rev() {
                        li { a href=(here(&State::At(one.name.clone()))) { (text(one.name.as_str())) } }
                    }
                }
            }
        }
    }
}

fn compared(against: &Compared) -> Markup {
    html! {
        p.note {
            "Changes from " strong { (text(against.older.as_str())) } " to "
            @match &against.newer { Some(newer) => strong { (text(newer.as_str())) }, None => strong { "now" } }
            ": + it came, - it went, M its bytes changed, R it was renamed, U only attributes changed, T it is of another type; "
            "a number counts changes below a directory."
            @if against.is_cut { " There are more changes than were looked at: " code { "cask diff" } " shows all." }
        }
    }
}

fn up(found: &Tree, against: Option<&str>) -> Markup {
    let above = of_entry(
        &found.volume,
        &found.state,
        Shape::Tree,
        &found.path.above(),
    );
    html! {
        tr {
            @if against.is_some() { td {} }
            td colspan="6" { a href=(above) { ".. (up)" } }
        }
    }
}

fn entry(site: &Site, found: &Tree, item: &Item, against: Option<&str>) -> Markup {
    let path = found.path.join(&item.name);
    let at = |shape| of_entry(&found.volume, &found.state, shape, &path);
    let name = shown(&item.name);
    html! {
        tr.gone[item.attr.is_none()] {
            @if against.is_some() { td.mark { (mark(item.mark.as_ref())) } }
            th scope="row" { (named(item, &name, &at, against)) }
            @match &item.attr {
                None => td colspan="5" { "not in this state" },
                Some(attr) => {
                    td.figure { @if attr.kind == FileKind::File { (human_bytes(attr.size)) } }
                    td { (time(&instant(attr.mtime.secs()))) }
                    td { code { (mode(attr)) } }
                    td { (attr.uid) ":" (attr.gid) }
                    td {
                        @match attr.kind {
                            FileKind::File => { a href=(at(Shape::File)) download aria-label={ "Download " (name) } { "download" } }
                            FileKind::Directory => { a href=(at(Shape::Tar)) download aria-label={ "Download " (name) " as tar" } { "tar" } }
                            _ => {}
                        }
                        @if can_restore(site, found) { " " a href=(at(Shape::Restored)) aria-label={ "Restore " (name) } { "restore" } }
                    }
                }
            }
        }
    }
}

fn named(item: &Item, name: &str, at: &impl Fn(Shape) -> String, against: Option<&str>) -> Markup {
    let kept = against.map(|name| {
        format!(
            "?against={}",
            super::super::escaped::encoded(name.as_bytes())
        )
    });
    html! {
        @match item.attr.map(|attr| attr.kind) {
            Some(FileKind::Directory) => { a href={ (at(Shape::Tree)) (kept.unwrap_or_default()) } { bdi { (name) } "/" } }
            _ => bdi { (name) },
        }
        @if let Some(target) = &item.target { " \u{2192} " bdi.quiet { (shown(target)) } }
        @if let Some(Mark::Own(_, Some(old))) = &item.mark { " " span.quiet { "was /" bdi { (shown(old)) } } }
    }
}

fn mark(mark: Option<&Mark>) -> Markup {
    html! {
        @match mark {
            None => {}
            Some(Mark::Own(kind, _)) => { abbr class={ "mark " (word(*kind)) } title=(word(*kind)) { (letter(*kind)) } }
            Some(Mark::Below(count)) => { span.quiet { (count) } }
        }
    }
}

/// What changed as a word.
pub(super) const fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Modified => "modified",
        ChangeKind::Renamed => "renamed",
        ChangeKind::Attributes => "attributes",
        ChangeKind::Retyped => "retyped",
    }
}

/// As ls(1) shows it, without set-id bits.
fn mode(attr: &Attr) -> String {
    let kind = match attr.kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
    };
    let letters = (0..9)
        .rev()
        .map(|bit| match (attr.mode >> bit & 1, bit % 3) {
            (0, _) => '-',
            (_, 2) => 'r',
            (_, 1) => 'w',
            (_, _) => 'x',
        });
    std::iter::once(kind).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use crate::types::{Ino, Timestamp};

    use super::*;

    #[test]
    fn modes_are_shown_as_ls_does() {
        let time = Timestamp::new(0, 0);
        let attr = |kind, mode| Attr {
            ino: Ino::ROOT,
            kind,
            mode,
            uid: 0,
            gid: 0,
            nlink: 1,
            size: 0,
            allocated: 0,
            rdev: 0,
            atime: time,
            mtime: time,
            ctime: time,
        };
        assert_eq!(mode(&attr(FileKind::Directory, 0o755)), "drwxr-xr-x");
        assert_eq!(mode(&attr(FileKind::File, 0o4640)), "-rw-r-----");
    }
}
