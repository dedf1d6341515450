//! Doing something with a volume, wherever it is open.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::handle::fault;
use super::reach::reach;
use super::retry::{connect, with_retry};
use super::{Error, Result, handle, tuning};
use crate::control::{self, Answer, Bytes, Client, Op, Piece};
use crate::types::{ChunkHash, ChunkPlace};
use crate::volume::{self, Volume};

/// Hashes in a request, which is not to be too long.
const HASHES_MAX: usize = 256;

/// Does `op` with the volume in `dir`: in its server if there is one, else here, with the volume
/// opened for it.
///
/// # Errors
/// See [`Error`].
pub fn perform(dir: &Path, op: &Op) -> Result<Answer> {
    let mut attempts = 0;
    with_retry(dir, || {
        attempts += 1;
        if let Op::Clone { dir, .. } = op
            && attempts > 1
        {
            clear_away(Path::new(OsStr::from_bytes(&dir.0)))?;
        }
        match connect(dir)? {
            Some(mut client) => Ok(client.perform(op.clone())?),
            None => perform_here(dir, op),
        }
    })
}

/// Has a server of the volume in `dir`, an absolute path, do what may take long, and `heed` what comes of it before the
/// answer. Others may mount the volume meanwhile. The work ends early with this process, and when `heed` wants no more.
///
/// # Errors
/// See [`Error`]; within, those of `heed`.
pub fn work<E>(
    dir: &Path,
    op: &Op,
    mut heed: impl FnMut(Piece) -> std::result::Result<(), E>,
) -> Result<std::result::Result<Answer, E>> {
    with_retry(dir, || {
        let mut client = reach(dir)?;
        let mut is_told = false;
        let done = follow(&mut client, op, &mut |piece| {
            is_told |= matches!(piece, Piece::Changes(_));
            heed(piece)
        });
        let ended = client.end().map_err(Error::NotClosed);
        match done {
            // Another server would tell from the start.
            Err(error) if is_told => Ok(Err(error)),
            Err(error) => Err(error),
            Ok(done) => ended.map(|()| Ok(done)),
        }
    })?
}

fn follow<E>(
    client: &mut Client,
    op: &Op,
    heed: &mut impl FnMut(Piece) -> std::result::Result<(), E>,
) -> Result<std::result::Result<Answer, E>> {
    client.begin_work(op.clone())?;
    loop {
        let piece = match client.next_of_work()? {
            ControlFlow::Continue(piece) => piece,
            // What a server of an earlier cask says at once.
            ControlFlow::Break(Answer::Changes { list }) => {
                return Ok(heed(Piece::Changes(list)).map(|()| Answer::Done));
            }
            ControlFlow::Break(answer) => return Ok(Ok(answer)),
        };
        if let Err(enough) = heed(piece) {
            return Ok(Err(enough));
        }
    }
}

/// Where the volume in `dir` has these chunks, as far as its index of hashes tells, about in the order in which they lie.
///
/// # Errors
/// See [`Error`]; [`Error::Fault`] also of a server that does not know how.
pub fn find_chunks(dir: &Path, wanted: &[ChunkHash]) -> Result<Vec<ChunkPlace>> {
    with_retry(dir, || match connect(dir)? {
        Some(mut client) => {
            let mut found = Vec::new();
            for some in wanted.chunks(HASHES_MAX) {
                let hashes = some.iter().flat_map(|hash| *hash.as_bytes()).collect();
                let hashes = Bytes(hashes);
                let Answer::Chunks { list } = client.perform(Op::FindChunks { hashes })? else {
                    return Err(Error::Control(control::Error::Mismatch));
                };
                found.extend(list);
            }
            Ok(found)
        }
        None => open_for(dir, |volume| volume.find_chunks(wanted)),
    })
}

/// Removes what a server had begun to make when it died.
fn clear_away(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", dir.display()), e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn perform_here(dir: &Path, op: &Op) -> Result<Answer> {
    // Said as a server would say it, so that whoever asked need not know where it was done.
    open_for(dir, |volume| {
        Ok(handle(op, volume).map_err(|e| Error::Fault(fault(&e))))
    })?
}

/// Opens the volume in `dir`, which no server has open, for `work`, and closes it.
///
/// # Errors
/// [`Error::Locked`] when somebody has it open; those of `work`.
pub fn with_closed<T>(dir: &Path, work: impl Fn(&Volume) -> volume::Result<T>) -> Result<T> {
    with_retry(dir, || open_for(dir, &work))
}

fn open_for<T>(dir: &Path, work: impl Fn(&Volume) -> volume::Result<T>) -> Result<T> {
    let volume = tuning::open(dir)?;
    let outcome = work(&volume);
    // Closed in order also after an error, and what that says weighs more: data may be lost.
    volume.close()?;
    Ok(outcome?)
}
