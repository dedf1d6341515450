//! Files and archives, sent as they are read. Who stops reading ends that, and so does who reads nothing for long.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::commands::archive::write::write as write_archive;
use crate::commands::locate::Root;
use crate::commands::source::{Entry, Failure, Source, find, read_block, with_source};
use crate::commands::state_ref::StateRef;
use crate::commands::{CommandError, Kind, Result};
use crate::types::{FileKind, VolumeName};

use super::address::{State, TreePath};
use super::bounded::{LOOK_MAX, within};
use super::escaped::disposition;
use super::listing::{explain, open, state_ref};
use super::refusal::Refusal;
use super::site::Site;

/// How long somebody may read nothing.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Pieces that wait to be sent, and bytes of each.
const PIECES: usize = 4;
const PIECE_BYTES: usize = 256 << 10;

type Place<'p> = (&'p VolumeName, State, TreePath);

/// What is known of a download before its first byte.
struct Head {
    name: Vec<u8>,
    ending: &'static str,
    /// Where it is known.
    size: Option<u64>,
}

/// The bytes of a file.
pub(super) async fn file(
    site: &Arc<Site>,
    place: Place<'_>,
) -> std::result::Result<Response, Refusal> {
    send(
        site,
        place,
        |entry, path| {
            if entry.attr.kind != FileKind::File {
                let path = super::escaped::shown(path.as_bytes());
                return Err(CommandError::new(
                    Kind::NotFound,
                    format!("/{path} is no file"),
                ));
            }
            Ok(Head {
                name: path.name().unwrap_or(b"file").to_vec(),
                ending: "",
                size: Some(entry.attr.size),
            })
        },
        write_file,
    )
    .await
}

/// An archive of all that is there.
pub(super) async fn tar(
    site: &Arc<Site>,
    place: Place<'_>,
) -> std::result::Result<Response, Refusal> {
    let whole = place.0.as_str().as_bytes().to_vec();
    send(
        site,
        place,
        move |_, path| {
            Ok(Head {
                name: path.name().unwrap_or(&whole).to_vec(),
                ending: ".tar",
                size: None,
            })
        },
        |source, entry, pipe| write_archive(source, entry, pipe, &|_| {}),
    )
    .await
}

type Fill = fn(&dyn Source, &Entry, &mut dyn Write) -> std::result::Result<(), Failure>;

async fn send(
    site: &Arc<Site>,
    (volume, state, path): Place<'_>,
    head: impl Fn(&Entry, &TreePath) -> Result<Head> + Send + 'static,
    fill: Fill,
) -> std::result::Result<Response, Refusal> {
    let permit = site.downloads.enter(volume).await?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let (tell, told) = oneshot::channel();
    let is_whole = Arc::new(AtomicBool::new(false));
    let sending = Sending {
        root: site.root.clone(),
        volume: volume.clone(),
        wanted: state_ref(volume, &state),
        path,
        tell: Mutex::new(Some(tell)),
        pipe: Pipe {
            sender,
            is_whole: Arc::clone(&is_whole),
            runtime: Handle::current(),
        },
    };
    spawn_blocking(move || {
        sending.run(&head, fill);
        drop(permit);
    });
    match within(LOOK_MAX, told).await {
        Some(Ok(head)) => respond(&head?, (pieces, is_whole)),
        Some(Err(_)) | None => {
            let said = format!("volume \"{volume}\" does not answer in time");
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, said))
        }
    }
}

/// A download, seen from the thread that reads.
struct Sending {
    root: Root,
    volume: VolumeName,
    wanted: StateRef,
    path: TreePath,
    /// Who waits for the head; nobody once it is told.
    tell: Mutex<Option<oneshot::Sender<Result<Head>>>>,
    pipe: Pipe,
}

impl Sending {
    fn run(&self, head: &dyn Fn(&Entry, &TreePath) -> Result<Head>, fill: Fill) {
        let worked = open(&self.root, &self.volume).and_then(|_| {
            with_source(&self.wanted, &self.root, |_, source| {
                let found = find(source, self.path.as_path());
                let entry = found.map_err(|e| explain(e, &self.path))?;
                self.tell(head(&entry, &self.path)?);
                self.pipe.send_all(|out| fill(source, &entry, out));
                Ok(())
            })
        });
        if let Err(error) = worked {
            match self.tell.lock().take() {
                Some(tell) => drop(tell.send(Err(error))),
                None => log::warn!("a download was not ended in order: {error}"),
            }
        }
    }

    fn tell(&self, head: Head) {
        if let Some(tell) = self.tell.lock().take() {
            // Whoever does not wait any more does not read either, which ends the reading.
            drop(tell.send(Ok(head)));
        }
    }
}

fn respond(
    head: &Head,
    (pieces, is_whole): (mpsc::Receiver<io::Result<Bytes>>, Arc<AtomicBool>),
) -> std::result::Result<Response, Refusal> {
    let body = unfold(Some(pieces), move |pieces| {
        let is_whole = Arc::clone(&is_whole);
        async move {
            let mut pieces = pieces?;
            match pieces.recv().await {
                Some(piece) => Some((piece, Some(pieces))),
                // Who reads on after a long pause must not take what there is for all.
                None if !is_whole.load(Ordering::Acquire) => Some((Err(cut_short()), None)),
                None => None,
            }
        }
    });
    let mut response = Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_DISPOSITION, disposition(&head.name, head.ending));
    if let Some(size) = head.size {
        response = response.header(CONTENT_LENGTH, size);
    }
    response
        .body(Body::from_stream(body))
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

fn cut_short() -> io::Error {
    io::Error::other("the download was given up before its end")
}

fn write_file(
    source: &dyn Source,
    entry: &Entry,
    out: &mut dyn Write,
) -> std::result::Result<(), Failure> {
    let (attr, mut offset) = (&entry.attr, 0);
    while offset < attr.size {
        let left = usize::try_from(attr.size - offset).unwrap_or(usize::MAX);
        let bytes = read_block(source, attr, offset, left.min(PIECE_BYTES))?;
        if bytes.is_empty() {
            return Err(io::Error::other("the file became shorter while it was read").into());
        }
        out.write_all(&bytes)?;
        offset += bytes.len() as u64;
    }
    Ok(())
}

/// From the thread that reads to the connection.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// Whether all was sent.
    is_whole: Arc<AtomicBool>,
    runtime: Handle,
}

impl Pipe {
    /// What goes wrong in the middle ends the connection before its time, by which the reader knows.
    fn send_all(&self, fill: impl FnOnce(&mut dyn Write) -> std::result::Result<(), Failure>) {
        let mut out = BufWriter::with_capacity(PIECE_BYTES, self);
        let filled = fill(&mut out).and_then(|()| Ok(out.flush()?));
        drop(out.into_parts());
        if filled.is_ok() {
            self.is_whole.store(true, Ordering::Release);
        }
        if let Err(error) = filled
            && !error.is_broken_pipe()
        {
            log::warn!("a download broke: {error}");
            let broken = Err(io::Error::other("the volume could not be read"));
            drop(self.runtime.block_on(self.sender.send(broken)));
        }
    }
}

impl Write for &Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        let sent = self
            .runtime
            .block_on(within(STALL_MAX, self.sender.send(piece)));
        match sent {
            Some(Ok(())) => Ok(bytes.len()),
            Some(Err(_)) | None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
