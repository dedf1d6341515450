//! Connections: only so many at once, and none for long that says nothing, or is not read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;

/// Connections at once. Who comes after that waits until one ends.
const AT_ONCE: usize = 512;
/// How long a connection may be open without a whole head of a request, the first one or the next.
const SILENT_MAX: Duration = Duration::from_secs(15);
/// How long an answer may wait to be read.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// After a connection that could not be had: what ends too many files needs a moment.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `end` comes, and then until the answers that are under way are given.
pub(super) async fn serve(listener: TcpListener, routes: Router, end: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let open = GracefulShutdown::new();
    let mut end = pin!(end);
    loop {
        let connected = tokio::select! {
            () = &mut end => break,
            connected = next(&listener, &places) => connected,
        };
        let (stream, place) = connected;
        let conversation = converse(stream, routes.clone(), &open);
        drop(tokio::spawn(async move {
            conversation.await;
            drop(place);
        }));
    }
    drop(listener);
    open.shutdown().await;
}

/// The next connection, once there is a place for it.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // It is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(e) => {
                log::warn!("a connection is not served: {e}");
                sleep(PAUSE).await;
            }
        }
    }
}

fn converse(
    stream: TcpStream,
    routes: Router,
    open: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(SILENT_MAX);
    let service = TowerToHyperService::new(routes);
    let conversation = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let conversation = open.watch(conversation);
    async move {
        if let Err(e) = conversation.await {
            log::debug!("a connection broke: {e}");
        }
    }
}
