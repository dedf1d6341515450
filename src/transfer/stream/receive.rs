//! A stream into what becomes a volume, or the next state of one.

use std::io::Read;
use std::path::Path;

use super::token::ResumeToken;
use crate::remote::{self, Frame, Opening, StreamEnd, StreamReader, StreamRow};
use crate::transfer::{Error, Progress, Result, Watch};
use crate::types::{ChunkBytes, Compression, Ino};
use crate::volume::{ArrivedSnapshot, Config, HashedExtent, Receiving};

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Inodes of the state.
    pub inodes: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of the stream.
    pub moved: u64,
    /// Numbers from here on are in no inode and no entry.
    numbers: u64,
}

impl Received {
    /// The snapshot that came.
    #[must_use]
    pub fn snapshot(&self, opening: &Opening) -> ArrivedSnapshot {
        ArrivedSnapshot {
            name: opening.name.clone(),
            created: opening.created,
            label: opening.label.clone(),
            numbers: self.numbers,
        }
    }
}

/// What a volume that is made of a stream is like: a new one, with what the sender's was made with.
///
/// # Errors
/// [`Error::Remote`] when there can be no such volume.
pub fn received_config(opening: &Opening) -> Result<Config> {
    let chunk_bytes = ChunkBytes::new(opening.facts.chunk_bytes);
    let chunk_bytes = chunk_bytes.ok_or_else(|| remote::Error::Damaged {
        object: "the stream".to_owned(),
        what: "its chunks have no possible length".to_owned(),
    })?;
    let mut config = Config::new(chunk_bytes, opening.facts.labels.clone());
    config.compression = opening.facts.compression;
    Ok(config)
}

/// Begins to receive for the volume in `target`, or goes on where an earlier stream of the same was cut.
///
/// # Errors
/// [`Error::Unfit`] when the stream goes on with one that was not received here; [`Error::Volume`].
pub fn begin_receive(
    target: &Path,
    opening: &Opening,
    compression: Compression,
) -> Result<Receiving> {
    let is_same = left_of(target)?.is_some_and(|left| left.continues(opening));
    if is_same {
        let receiving = Receiving::resume(target, compression)?;
        if receiving.kept().0 >= opening.skipped {
            return Ok(receiving);
        }
    }
    if opening.skipped > 0 {
        let why = "the stream goes on with another one, which was not received here so far";
        return Err(Error::Unfit(why));
    }
    let about = serde_json::to_vec(opening);
    let about = about.map_err(|_| Error::Bug("what a stream is of cannot be written"))?;
    Ok(Receiving::begin(target, &about, compression)?)
}

/// How far a stream for `target` came that was cut; `None` when there was none. Verifies what came.
///
/// # Errors
/// [`Error::Volume`], also when somebody receives it now.
pub fn kept_of(target: &Path) -> Result<Option<ResumeToken>> {
    let Some(opening) = left_of(target)? else {
        return Ok(None);
    };
    Ok(Some(ResumeToken::of(&opening, Receiving::left(target)?)))
}

/// One that cannot be understood is of another cask, and none to go on with.
fn left_of(target: &Path) -> Result<Option<Opening>> {
    let about = Receiving::about(target)?;
    Ok(about.and_then(|about| serde_json::from_slice(&about).ok()))
}

/// Takes all that a stream brings.
///
/// # Errors
/// [`Error::Remote`] when the stream is cut or damaged, [`Error::Volume`] when this host fails. What came is kept.
pub fn receive<R: Read>(
    stream: &mut StreamReader<R>,
    receiving: &mut Receiving,
    watch: &dyn Watch,
) -> Result<Received> {
    let taken = take_all(stream, receiving, watch);
    if taken.is_err()
        && let Err(error) = receiving.keep()
    {
        log::warn!("what came may be gone when the host loses power: {error}");
    }
    let end = taken?;
    Ok(Received {
        inodes: end.inodes,
        bytes: end.bytes,
        moved: stream.bytes(),
        numbers: end.numbers,
    })
}

fn take_all<R: Read>(
    stream: &mut StreamReader<R>,
    receiving: &mut Receiving,
    watch: &dyn Watch,
) -> Result<StreamEnd> {
    let mut progress = Progress::default();
    loop {
        match stream.frame()? {
            Frame::End(end) => return Ok(end),
            Frame::Chunks(chunks) => receiving.store(&chunks)?,
            Frame::Rows(rows) => {
                for row in &rows {
                    note(&mut progress, row);
                    take_row(receiving, row).map_err(name_stream)?;
                }
            }
        }
        progress.moved = stream.bytes();
        watch.progress(&progress);
    }
}

const fn note(progress: &mut Progress, row: &StreamRow) {
    match row {
        StreamRow::Inode(row) => progress.total = progress.total.saturating_add(row.allocated),
        StreamRow::Extent(row) => progress.done = progress.done.saturating_add(row.len),
        StreamRow::Entry(_) | StreamRow::Xattr(_) => {}
    }
}

fn take_row(receiving: &Receiving, row: &StreamRow) -> Result<()> {
    match row {
        StreamRow::Inode(row) => receiving.inode(row)?,
        StreamRow::Entry(row) => receiving.entry(row)?,
        StreamRow::Xattr(row) => receiving.xattr(row)?,
        StreamRow::Extent(row) => receiving.extent(&HashedExtent {
            ino: Ino::from_raw(row.ino),
            off: row.off,
            len: row.len,
            chunk_off: row.chunk_off,
            hash: row.hash,
        })?,
    }
    Ok(())
}

/// A row that makes no sense is damage of the stream, and none of the volume that is being made.
fn name_stream(error: Error) -> Error {
    match error {
        Error::Volume(crate::volume::Error::Corrupt(what)) => {
            Error::Remote(remote::Error::Damaged {
                object: "the stream".to_owned(),
                what,
            })
        }
        error => error,
    }
}
