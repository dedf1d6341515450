//! Listening, and serving until the process is asked to end.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::commands::locate::Root;
use crate::types::LoopbackAddress;

use super::bounded::{ASKED_MAX, DOWNLOADED_MAX, Lanes, RootLane, THREADS_MAX, within};
use super::connections;
use super::error::Error;
use super::origin::PublicOrigin;
use super::restores::Restores;
use super::routes::routes;
use super::site::{Changes, Site};
use super::token::Token;

/// How long the end waits for answers that are under way.
const ENDING: Duration = Duration::from_secs(3);

/// What is to be served, and to whom.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) root: Root,
    pub(crate) address: LoopbackAddress,
    pub(crate) token: Token,
    pub(crate) changes: Changes,
    pub(crate) public: Option<PublicOrigin>,
}

/// A page that can be asked for, and is not answered yet.
#[derive(Debug)]
pub(crate) struct Listening {
    runtime: Runtime,
    listener: TcpListener,
    site: Arc<Site>,
}

impl Listening {
    /// Listens.
    pub(crate) fn at(wanted: Wanted) -> Result<Self, Error> {
        let address = wanted.address;
        let listener =
            TcpListener::bind(address.socket()).map_err(|source| match source.kind() {
                io::ErrorKind::AddrInUse => Error::PortInUse { address },
                _ => Error::Listen { address, source },
            })?;
        listener.set_nonblocking(true).map_err(Error::Serve)?;
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(2).max_blocking_threads(THREADS_MAX);
        let runtime = builder.enable_all().build().map_err(Error::Serve)?;
        let site = Arc::new(Site {
            root: wanted.root,
            token: wanted.token,
            session: Token::random()?,
            changes: wanted.changes,
            public: wanted.public,
            // The port may have been left to the system.
            address: listener.local_addr().map_err(Error::Serve)?,
            own: RootLane::default(),
            lanes: Lanes::new(ASKED_MAX),
            downloads: Lanes::new(DOWNLOADED_MAX),
            restores: Restores::default(),
        });
        Ok(Self {
            runtime,
            listener,
            site,
        })
    }

    /// Where to look, with the token.
    pub(crate) fn url(&self) -> String {
        let token = self.site.token.as_str();
        match &self.site.public {
            Some(public) => format!("{}/?token={token}", public.as_str()),
            None => format!("http://{}/?token={token}", self.site.address),
        }
    }

    /// Serves until SIGTERM or SIGINT.
    pub(crate) fn serve(self) -> Result<(), Error> {
        let (listener, site) = (self.listener, self.site);
        let served = self.runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let asked = Arc::new(Notify::new());
            let mut ends = (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            );
            let noted = Arc::clone(&asked);
            let end = async move { noted.notified().await };
            let serving = tokio::spawn(connections::serve(listener, routes(site), end));
            tokio::select! {
                _ = ends.0.recv() => {}
                _ = ends.1.recv() => {}
            }
            asked.notify_one();
            // A download that is still read does not hold up the end.
            drop(within(ENDING, serving).await);
            Ok(())
        });
        self.runtime.shutdown_timeout(ENDING);
        served.map_err(Error::Serve)
    }
}
