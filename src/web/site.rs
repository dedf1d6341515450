//! What all requests share: the root, who may ask, and whether anything may be changed.

use std::net::SocketAddr;

use crate::commands::locate::Root;

use super::bounded::{Lanes, RootLane};
use super::origin::PublicOrigin;
use super::restores::Restores;
use super::token::Token;

/// Whether the page may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    Allowed,
    Refused,
}

/// The port that is not said (RFC 9110, 4.2.1).
const HTTP_PORT: u16 = 80;

#[derive(Debug)]
pub(super) struct Site {
    pub(super) root: Root,
    pub(super) token: Token,
    /// What a browser keeps in place of the token: whoever gets the port after this process has nothing of it.
    pub(super) session: Token,
    pub(super) changes: Changes,
    pub(super) public: Option<PublicOrigin>,
    pub(super) address: SocketAddr,
    /// What is asked of the root.
    pub(super) own: RootLane,
    /// What is asked of volumes.
    pub(super) lanes: Lanes,
    pub(super) downloads: Lanes,
    pub(super) restores: Restores,
}

impl Site {
    /// The origin that belongs to what a header `Host` says. Any other name may be one that somebody has lead here, so
    /// that a browser takes his page and this one for the same.
    pub(super) fn origin_of(&self, host: &str) -> Option<String> {
        if let Some(public) = self.public.as_ref().filter(|public| public.host() == host) {
            return Some(public.as_str().to_owned());
        }
        let (ip, port) = (self.address.ip(), self.address.port());
        let ip = if ip.is_ipv6() {
            format!("[{ip}]")
        } else {
            ip.to_string()
        };
        let is_own = [ip.as_str(), "localhost"].iter().any(|own| {
            // Browsers leave out the port that is HTTP's own.
            host == format!("{own}:{port}") || port == HTTP_PORT && host == *own
        });
        is_own.then(|| format!("http://{host}"))
    }

    /// Cookies are a host's, whatever the port.
    pub(super) fn cookie(&self) -> String {
        format!("cask-{}", self.address.port())
    }
}
