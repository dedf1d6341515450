//! Addresses of the page: which volume, which state of it, and where in it. None leads out of a volume.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::types::{Name, SnapshotName, VolumeName};

use super::escaped::{decoded, encoded};

/// A volume, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) volume: VolumeName,
    pub(super) what: What,
}

/// What is wanted of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Its own page.
    Volume,
    /// What it does now, for the script.
    Figures,
    /// What changed between two states.
    Changes,
    /// Something is to be done with it.
    Action(Action),
    /// Something in a state of it.
    In(State, Shape, TreePath),
}

/// What can be done with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Snapshot,
    Clone,
    Rollback,
    Schedule,
}

/// A state of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Now,
    At(SnapshotName),
}

/// In which shape something in a tree is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A page of what a directory holds.
    Tree,
    /// The bytes of a file.
    File,
    /// An archive of all that is there.
    Tar,
    /// Back in its place in the volume as it is now.
    Restored,
}

/// A path in a volume, relative to its root: names, with a slash between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TreePath(Vec<u8>);

impl Address {
    /// What the path of a URL leads to; nothing when there is no such place.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/volumes/")?;
        let steps: Vec<Vec<u8>> = rest.split('/').map(decoded).collect::<Option<_>>()?;
        let steps: Vec<&[u8]> = steps.iter().map(Vec::as_slice).collect();
        let (volume, rest) = steps.split_first()?;
        let what = match rest {
            [] | [b""] => What::Volume,
            [b"live.json"] => What::Figures,
            [b"diff"] => What::Changes,
            [b"do", action] => What::Action(Action::parse(action)?),
            [b"now", shape, path @ ..] => in_tree(State::Now, shape, path)?,
            [b"snapshots", name, shape, path @ ..] => {
                let name = std::str::from_utf8(name).ok()?.parse().ok()?;
                in_tree(State::At(name), shape, path)?
            }
            _ => return None,
        };
        let volume = std::str::from_utf8(volume).ok()?.parse().ok()?;
        Some(Self { volume, what })
    }
}

fn in_tree(state: State, shape: &[u8], path: &[&[u8]]) -> Option<What> {
    let shape = Shape::parse(shape)?;
    // What is to be restored has a snapshot that it comes from.
    if shape == Shape::Restored && state == State::Now {
        return None;
    }
    Some(What::In(state, shape, TreePath::of_steps(path)?))
}

impl Action {
    fn parse(word: &[u8]) -> Option<Self> {
        let all = [Self::Snapshot, Self::Clone, Self::Rollback, Self::Schedule];
        all.into_iter().find(|one| one.word().as_bytes() == word)
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Clone => "clone",
            Self::Rollback => "rollback",
            Self::Schedule => "schedule",
        }
    }
}

impl Shape {
    fn parse(word: &[u8]) -> Option<Self> {
        let all = [Self::Tree, Self::File, Self::Tar, Self::Restored];
        all.into_iter().find(|one| one.word().as_bytes() == word)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::File => "file",
            Self::Tar => "tar",
            Self::Restored => "restore",
        }
    }
}

impl TreePath {
    fn of_steps(steps: &[&[u8]]) -> Option<Self> {
        // A slash at the end of an address is no name.
        let steps = match steps {
            [all @ .., b""] => all,
            all => all,
        };
        let all: Option<Vec<&Name>> = steps.iter().map(|step| Name::parse(step).ok()).collect();
        drop(all?);
        Some(Self(steps.join(&b'/')))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last of its names; of the root none.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.0
            .rsplit(|&byte| byte == b'/')
            .next()
            .filter(|name| !name.is_empty())
    }

    /// Something in the directory that this leads to.
    pub(super) fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name);
        Self(path)
    }

    /// Those that lead here, from below the root on, and this one.
    pub(super) fn steps(&self) -> Vec<Self> {
        let ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends = ends.map(|(at, _)| at).chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].to_vec()))
            .filter(|path| !path.is_root())
            .collect()
    }

    /// The directory that it is in.
    pub(super) fn above(&self) -> Self {
        let slash = self.0.iter().rposition(|&byte| byte == b'/');
        Self(self.0[..slash.unwrap_or(0)].to_vec())
    }
}

impl State {
    pub(super) const fn snapshot(&self) -> Option<&SnapshotName> {
        match self {
            Self::Now => None,
            Self::At(name) => Some(name),
        }
    }
}

/// The page of a volume.
pub(super) fn of_volume(volume: &VolumeName) -> String {
    format!("/volumes/{volume}")
}

/// Something in a state of a volume.
pub(super) fn of_entry(
    volume: &VolumeName,
    state: &State,
    shape: Shape,
    path: &TreePath,
) -> String {
    let state = match state {
        State::Now => "now".to_owned(),
        State::At(name) => format!("snapshots/{}", encoded(name.as_str().as_bytes())),
    };
    let names = path.0.split(|&byte| byte == b'/').map(encoded);
    let names = names.collect::<Vec<_>>().join("/");
    format!("{}/{state}/{}/{names}", of_volume(volume), shape.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_place_are_one() {
        let volume: VolumeName = "db".parse().unwrap();
        let path = TreePath(b"a b/<script>\n\xff/%2f".to_vec());
        for state in [
            State::Now,
            State::At("now".parse().unwrap()),
            State::At("\u{e4} 08:00".parse().unwrap()),
        ] {
            let text = of_entry(&volume, &state, Shape::File, &path);
            let what = What::In(state, Shape::File, path.clone());
            assert_eq!(
                Address::parse(&text),
                Some(Address {
                    volume: volume.clone(),
                    what
                })
            );
        }
        assert_eq!(path.steps().len(), 3);
        assert_eq!(path.name(), Some(b"%2f".as_slice()));
    }

    #[test]
    fn no_path_leads_out() {
        for bad in [
            "/volumes/db/now/tree/../x",
            "/volumes/db/now/tree/%2e%2e/x",
            "/volumes/db/now/tree/a/.",
            "/volumes/db/now/tree//x",
            "/volumes/db/now/file/a%2fb",
            "/volumes/db/now/tree/%00",
            "/volumes/../x",
            "/volumes/%2e%2e/now/tree/",
            "/volumes/db/snapshots/%2e%2e/tree/",
            "/volumes/db/snapshots/a%2fb/tree/",
            "/volumes//now/tree/",
            "/volumes/db/now/restore/a",
            "/volumes/db/do/rm",
            "/volumes/db/now/tree/%zz",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
        assert!(Address::parse("/volumes/db/now/tree/").is_some());
    }
}
