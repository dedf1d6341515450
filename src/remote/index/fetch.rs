//! Index objects, fetched and kept on this host as sorted entries.

use std::path::Path;

use super::sorted::{self, Room, Sorted, make_dir};
use crate::remote::object::{Kind, ObjectId, open_whole};
use crate::remote::repository::Repository;
use crate::remote::shelf::{Key, Listed};
use crate::remote::{Error, Result};

/// Where index objects are.
pub(super) const DIR: &str = "index";

/// What there is of index objects that were listed.
pub(super) struct Fetched {
    pub(super) known: Vec<Sorted>,
    /// What is left of it.
    pub(super) room: Room,
    /// Why some are not there.
    pub(super) lacks: Vec<Error>,
}

/// Those of these index objects that are ours and whole, kept in `dir`.
pub(super) fn fetch_all(repository: &Repository, dir: &Path, listed: &[Listed]) -> Result<Fetched> {
    make_dir(dir)?;
    let (mut known, mut room, mut lacks) = (Vec::new(), Room::new(), Vec::new());
    for one in listed {
        match fetch(repository, dir, &one.key, &mut room) {
            Err(error @ (Error::Missing { .. } | Error::Damaged { .. })) => lacks.push(error),
            fetched => known.extend(fetched?),
        }
    }
    Ok(Fetched { known, room, lacks })
}

/// `None` of what is none of ours.
pub(super) fn fetch(
    repository: &Repository,
    dir: &Path,
    key: &Key,
    room: &mut Room,
) -> Result<Option<Sorted>> {
    let Ok(id) = key.last().parse::<ObjectId>() else {
        return Ok(None);
    };
    // What is kept and no longer whole is fetched again.
    if let Ok(kept) = Sorted::open(&dir.join(id.to_string()), room) {
        return Ok(Some(kept));
    }
    let body = read(repository, key, &id)?;
    keep(dir, &id, &body, room).map(Some)
}

pub(super) fn read(repository: &Repository, key: &Key, id: &ObjectId) -> Result<Vec<u8>> {
    let (bytes, _) = repository.shelf().get(key)?;
    let (found, body) = open_whole(repository.master(), Kind::Index, key, &bytes)?;
    if found != *id {
        return Err(Error::damaged(key, "it is another index"));
    }
    sorted::check(&body).map_err(|what| Error::damaged(key, what))?;
    Ok(body)
}

pub(super) fn keep(dir: &Path, id: &ObjectId, body: &[u8], room: &mut Room) -> Result<Sorted> {
    let path = dir.join(id.to_string());
    sorted::store(&path, body)?;
    // Not by its name: another may have seen in the store that it was replaced, and removed it.
    Sorted::of(&path, body, room)
}
