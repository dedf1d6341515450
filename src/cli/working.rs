//! Long work that a volume's server does for a command, and how far it is.

use std::convert::Infallible;
use std::path::Path;

use crate::cli::progress::Progress;
use crate::control::{Answer, Op, Piece};
use crate::server::{Error, work};

/// Has the server of the volume in `dir` do `op`, shown by `progress`.
pub(super) fn watched(
    dir: &Path,
    op: &Op,
    progress: Option<&Progress>,
) -> std::result::Result<Answer, Error> {
    let heed = |piece| {
        if let (Piece::Progress(done), Some(shown)) = (piece, progress) {
            shown.reach(done);
        }
        Ok::<_, Infallible>(())
    };
    work(dir, op, heed).map(|answered| answered.unwrap_or_else(|never| match never {}))
}
