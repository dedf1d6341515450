//! What a remote has of chunks that a volume of this host has lost.

use std::cell::RefCell;

use crate::remote::{self, Lookup, Place, RemoteDir, Repository, windows};
use crate::types::{ChunkHash, with_causes};
use crate::volume::{self, ChunkSource, Take};

/// The chunks of a remote, which is opened when it is asked.
#[derive(Debug)]
pub struct RemoteChunks {
    dir: RemoteDir,
    trouble: RefCell<Option<String>>,
}

/// Why not all that was wanted was handed over.
enum Trouble {
    /// There.
    There(remote::Error),
    /// Here.
    Here(volume::Error),
}

impl From<remote::Error> for Trouble {
    fn from(error: remote::Error) -> Self {
        Self::There(error)
    }
}

impl RemoteChunks {
    /// Those of the remote in `dir`.
    #[must_use]
    pub const fn of(dir: RemoteDir) -> Self {
        Self {
            dir,
            trouble: RefCell::new(None),
        }
    }

    /// Why not all could be had that was asked for, if something failed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    fn note(&self, error: &remote::Error) {
        self.tell(&with_causes(error));
    }

    fn tell(&self, trouble: &str) {
        let said = format!("{}: {trouble}", self.name());
        self.trouble.replace(Some(said));
    }

    fn look(&self, wanted: &[ChunkHash], take: &mut Take<'_>) -> Result<(), Trouble> {
        let repository = self.dir.open()?;
        let lookup = Lookup::load(&repository, &self.dir.cache())?;
        let mut places = Vec::new();
        for hash in wanted {
            places.extend(lookup.find(hash)?);
        }
        if let Some(trouble) = lookup.trouble() {
            self.tell(trouble);
        }
        places.sort_unstable();
        for window in windows(places, |place| place) {
            self.fetch(&repository, &window, take)?;
        }
        Ok(())
    }

    /// What is damaged there keeps nothing else from coming.
    fn fetch(
        &self,
        repository: &Repository,
        window: &[Place],
        take: &mut Take<'_>,
    ) -> Result<(), Trouble> {
        match repository.fetch(window) {
            Ok(fetched) => {
                let mut plain = fetched.plain.iter();
                plain.try_for_each(|one| take(one).map_err(Trouble::Here))
            }
            Err(error) if error.is_passing() => Err(error.into()),
            Err(error) if window.len() < 2 => {
                self.note(&error);
                Ok(())
            }
            Err(_) => {
                let mut each = window.chunks(1);
                each.try_for_each(|one| self.fetch(repository, one, take))
            }
        }
    }
}

impl ChunkSource for RemoteChunks {
    fn name(&self) -> String {
        format!("remote {}", self.dir.name())
    }

    fn find(&self, wanted: &[ChunkHash], take: &mut Take<'_>) -> volume::Result<()> {
        match self.look(wanted, take) {
            Err(Trouble::There(error)) => {
                self.note(&error);
                Ok(())
            }
            Err(Trouble::Here(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }
}
