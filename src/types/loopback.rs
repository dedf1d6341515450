//! Where this host can be reached, and no other host reaches it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address of the loopback, which no other host reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackAddress(SocketAddr);

/// Why a text is no [`LoopbackAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoopbackAddressError {
    /// It is no address with a port.
    #[error("{0} is no address and port such as 127.0.0.1:9750")]
    Malformed(String),
    /// Other hosts reach it.
    #[error("{0} is not of the loopback: only 127.0.0.1 and [::1] are served")]
    NotLoopback(SocketAddr),
}

impl FromStr for LoopbackAddress {
    type Err = LoopbackAddressError;

    fn from_str(text: &str) -> std::result::Result<Self, LoopbackAddressError> {
        let address: SocketAddr = text
            .parse()
            .map_err(|_| LoopbackAddressError::Malformed(text.to_owned()))?;
        if !address.ip().is_loopback() {
            return Err(LoopbackAddressError::NotLoopback(address));
        }
        Ok(Self(address))
    }
}

impl LoopbackAddress {
    /// Where to listen.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for LoopbackAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_an_address() {
        for good in ["127.0.0.1:9750", "[::1]:0", "127.8.9.1:1"] {
            assert_eq!(good.parse::<LoopbackAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "9750", "localhost:9750", "127.0.0.1", "127.0.0.1:70000"] {
            let error = bad.parse::<LoopbackAddress>().unwrap_err();
            assert_eq!(error, LoopbackAddressError::Malformed(bad.to_owned()));
        }
        for other in ["0.0.0.0:9750", "192.0.2.1:9750", "[::]:9750"] {
            let error = other.parse::<LoopbackAddress>().unwrap_err();
            assert!(
                matches!(error, LoopbackAddressError::NotLoopback(_)),
                "{other}"
            );
        }
    }
}
