//! From a path in an archive to the directory that it leads to in the volume, through the symbolic links of earlier
//! entries. All links end inside: `/` and `..` lead to the volume's own root at most.

use crate::cli::source::Failure;
use crate::cli::verbs::import::fill::{Filler, NodeAttributes};
use crate::types::{FileKind, Ino, Name, NameBuf};
use crate::volume::Error;

/// Links in one path, as path_resolution(7) has it.
const LINKS_MAX: usize = 40;

type Result<T> = std::result::Result<T, Failure>;

/// What is done about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Made,
    Refused,
}

/// Remembers where the last path led, step by step: the next one often goes the same way.
#[derive(Default)]
pub(super) struct Resolver {
    last: Vec<(NameBuf, Ino)>,
}

/// A path on its way.
struct Way {
    /// The directories so far, below the root.
    trail: Vec<Ino>,
    /// What is left, the next step last; and whether it comes from a link.
    left: Vec<(Vec<u8>, bool)>,
    links: usize,
}

impl Resolver {
    /// Something was removed: paths may lead elsewhere.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// The directory at these steps.
    pub(super) fn directory(
        &mut self,
        filler: &Filler<'_>,
        steps: &[&Name],
        missing: Missing,
    ) -> Result<Ino> {
        let known = self.last.iter().zip(steps);
        let known = known
            .take_while(|((name, _), step)| **name == ***step)
            .count();
        self.last.truncate(known);
        let left = steps[known..].iter().rev();
        let mut way = Way {
            trail: self.last.iter().map(|(_, ino)| *ino).collect(),
            left: left.map(|step| (step.as_bytes().to_vec(), false)).collect(),
            links: 0,
        };
        while let Some((step, from_link)) = way.left.pop() {
            let missing = if from_link { Missing::Refused } else { missing };
            way.step(filler, &step, missing)?;
            if way.links == 0
                && let (Ok(name), Some(&ino)) = (Name::parse(&step), way.trail.last())
            {
                self.last.push((name.to_owned(), ino));
            }
        }
        Ok(way.at())
    }
}

impl Way {
    fn at(&self) -> Ino {
        self.trail.last().copied().unwrap_or(Ino::ROOT)
    }

    fn step(&mut self, filler: &Filler<'_>, step: &[u8], missing: Missing) -> Result<()> {
        match step {
            b"" | b"." => return Ok(()),
            b".." => {
                self.trail.pop();
                return Ok(());
            }
            _ => {}
        }
        let (at, name) = (self.at(), Name::parse(step)?);
        let found = match filler.volume.lookup(at, name) {
            Err(Error::NotFound) if missing == Missing::Made => {
                let attributes = NodeAttributes::default();
                filler.node((at, name), FileKind::Directory, 0, &[], &attributes)?
            }
            found => found?,
        };
        match found.kind {
            FileKind::Directory => self.trail.push(found.ino),
            FileKind::Symlink => self.follow(&filler.volume.readlink(found.ino)?)?,
            _ => return Err(Error::NotDirectory.into()),
        }
        Ok(())
    }

    fn follow(&mut self, target: &[u8]) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(std::io::Error::from(rustix::io::Errno::LOOP).into());
        }
        if target.starts_with(b"/") {
            self.trail.clear();
        }
        // The last first: steps are taken from the end of `left`.
        let steps = target.split(|&byte| byte == b'/').rev();
        self.left.extend(steps.map(|step| (step.to_vec(), true)));
        Ok(())
    }
}
