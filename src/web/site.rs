//! What all requests share: the root, who may ask, and whether anything may be changed.

use std::net::SocketAddr;

use crate::commands::locate::Root;

use super::bounded::Lanes;
use super::origin::PublicOrigin;
use super::token::Token;

/// Whether the page may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    Allowed,
    Refused,
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) root: Root,
    pub(super) token: Token,
    /// What a browser keeps in place of the token: whoever gets the port after this process has nothing of it.
    pub(super) session: Token,
    pub(super) changes: Changes,
    pub(super) public: Option<PublicOrigin>,
    pub(super) address: SocketAddr,
    pub(super) lanes: Lanes,
}

impl Site {
    /// The origin that belongs to what a header `Host` says. Any other name may be one that somebody has lead here, so
    /// that a browser takes his page and this one for the same.
    pub(super) fn origin_of(&self, host: &str) -> Option<String> {
        if let Some(public) = self.public.as_ref().filter(|public| public.host() == host) {
            return Some(public.as_str().to_owned());
        }
        let local = format!("localhost:{}", self.address.port());
        let is_own = host == self.address.to_string() || host == local;
        is_own.then(|| format!("http://{host}"))
    }

    /// Cookies are a host's, whatever the port.
    pub(super) fn cookie(&self) -> String {
        format!("cask-{}", self.address.port())
    }
}
