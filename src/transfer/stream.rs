//! A state from host to host in one stream, without a store.

mod receive;
mod send;
mod token;
mod walk;

pub use receive::{Received, begin_receive, kept_of, receive, received_config};
pub use send::{Sender, Sent};
pub use token::{BadToken, ResumeToken};

use crate::remote::StateDigest;
use crate::transfer::{Result, State};

/// The digest of a state, by which another host knows that it has the same.
///
/// # Errors
/// [`crate::transfer::Error::State`] when it cannot be read.
pub fn state_digest(state: &dyn State) -> Result<String> {
    let mut digest = StateDigest::default();
    walk::walk(state, &mut |met| {
        digest.add(&met.to_row());
        Ok(walk::Step::Done)
    })?;
    Ok(digest.finish())
}
