//! A state into a stream: all its rows, and the chunks that who receives it lacks.

use std::io::Write;

use super::token::ResumeToken;
use super::walk::{Met, Step, walk};
use crate::remote::{Opening, StateDigest, StreamEnd, StreamWriter};
use crate::transfer::{Error, Progress, Result, State, Watch};
use crate::types::{ChunkHash, StoredRow};
use crate::volume::{NamedChunks, SeenChunks};

/// What is sent.
#[derive(Debug)]
pub struct Sender {
    /// Chunks that need not be sent.
    seen: SeenChunks,
    /// How far an earlier stream came.
    token: Option<ResumeToken>,
}

/// What was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Inodes of the state.
    pub inodes: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of the stream.
    pub sent: u64,
}

impl Sender {
    /// Begins; `token` says how far an earlier stream came.
    ///
    /// # Errors
    /// [`Error::Volume`] when this host has no place for what is known to be there.
    pub fn begin(token: Option<ResumeToken>) -> Result<Self> {
        let seen = SeenChunks::begin().map_err(|e| Error::Volume(e.into()))?;
        Ok(Self { seen, token })
    }

    /// Who receives has this state already: its chunks are left out. Returns its digest.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Volume`].
    pub fn leave_out(&self, base: &dyn State) -> Result<String> {
        let mut digest = StateDigest::default();
        walk(base, &mut |met| {
            if let Met::Extent(row) = met {
                self.is_new(&row.chunk.hash())?;
            }
            digest.add(&met.to_row());
            Ok(Step::Done)
        })?;
        Ok(digest.finish())
    }

    fn is_new(&self, hash: &ChunkHash) -> Result<bool> {
        self.seen
            .add(hash)
            .map_err(|error| Error::Volume(error.into()))
    }

    /// Sends a state.
    ///
    /// # Errors
    /// [`Error::Chunk`] when a chunk of this host is damaged; [`Error::Unfit`] when the token is not of this stream;
    /// see [`Error`]. What was written is no whole stream then.
    pub fn run(
        &self,
        (state, chunks): (&dyn State, &NamedChunks),
        (out, opening): (impl Write, &Opening),
        watch: &dyn Watch,
    ) -> Result<Sent> {
        let mut sending = Sending {
            sender: self,
            chunks,
            stream: StreamWriter::begin(out, opening)?,
            watch,
            end: StreamEnd {
                inodes: 0,
                bytes: 0,
                numbers: 0,
                chunks: 0,
            },
            pending: None,
            progress: Progress::default(),
        };
        walk(state, &mut |met| sending.meet(met))?;
        if sending.end.chunks < opening.skipped {
            return Err(other_token());
        }
        let end = sending.end;
        Ok(Sent {
            inodes: end.inodes,
            bytes: end.bytes,
            sent: sending.stream.finish(&end)?,
        })
    }
}

struct Sending<'a, W> {
    sender: &'a Sender,
    chunks: &'a NamedChunks,
    stream: StreamWriter<W>,
    watch: &'a dyn Watch,
    end: StreamEnd,
    /// A chunk that is to be sent and was moved when it was to be read.
    pending: Option<ChunkHash>,
    progress: Progress,
}

impl<W: Write> Sending<'_, W> {
    fn meet(&mut self, met: &Met) -> Result<Step> {
        let end = &mut self.end;
        match met {
            Met::Inode(row) => {
                end.inodes += 1;
                end.bytes += row.allocated;
                end.numbers = end.numbers.max(row.ino + 1);
                self.progress.total = end.bytes;
            }
            Met::Entry(row) => end.numbers = end.numbers.max(row.cookie + 1),
            Met::Xattr(_) => {}
            Met::Extent(row) => {
                if !self.send_chunk(row)? {
                    return Ok(Step::Moved);
                }
                self.progress.done += row.len;
                self.progress.moved = self.stream.bytes();
                self.watch.progress(&self.progress);
            }
        }
        self.stream.row(met.to_row())?;
        Ok(Step::Done)
    }

    /// Whether the chunk is there, or on its way: else it is no longer where the row says.
    fn send_chunk(&mut self, row: &StoredRow) -> Result<bool> {
        let hash = row.chunk.hash();
        let is_pending = self.pending.take() == Some(hash);
        if !is_pending && !self.sender.is_new(&hash)? {
            return Ok(true);
        }
        if let Some(token) = &self.sender.token
            && self.end.chunks < token.chunks()
        {
            self.end.chunks += 1;
            let fits = self.end.chunks < token.chunks() || token.is_last(&hash);
            return fits.then_some(true).ok_or_else(other_token);
        }
        let plain = self.chunks.read(&row.chunk);
        let plain = plain.map_err(|source| Error::Chunk {
            ino: row.ino,
            off: row.off,
            source,
        })?;
        let Some(plain) = plain else {
            self.pending = Some(hash);
            return Ok(false);
        };
        self.stream.chunk(&hash, plain)?;
        self.end.chunks += 1;
        Ok(true)
    }
}

const fn other_token() -> Error {
    Error::Unfit("the token is not of this stream")
}
