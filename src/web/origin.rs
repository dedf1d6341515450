//! Under which name browsers know the page, where a proxy stands before it.

use std::str::FromStr;

/// Scheme, host and port of an address, as a browser's header `Origin` has them: `https://volumes.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicOrigin {
    text: String,
    host_at: usize,
}

/// Why a text is no [`PublicOrigin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no origin such as https://volumes.example.org")]
pub struct PublicOriginError(String);

impl PublicOrigin {
    /// All of it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the header `Host` says.
    pub(super) fn host(&self) -> &str {
        &self.text[self.host_at..]
    }
}

impl FromStr for PublicOrigin {
    type Err = PublicOriginError;

    fn from_str(text: &str) -> Result<Self, PublicOriginError> {
        // Browsers leave out the port that is HTTPS's own.
        let text = text.strip_suffix(":443").unwrap_or(text);
        let host = text.strip_prefix("https://");
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
        match host {
            Some(host) if !host.is_empty() && host.chars().all(legal) => Ok(Self {
                host_at: text.len() - host.len(),
                text: text.to_owned(),
            }),
            _ => Err(PublicOriginError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_only() {
        let good = "https://volumes.example.org:8443";
        let origin: PublicOrigin = good.parse().unwrap();
        assert_eq!((origin.as_str(), origin.host()), (good, &good[8..]));
        let usual: PublicOrigin = "https://a:443".parse().unwrap();
        assert_eq!((usual.as_str(), usual.host()), ("https://a", "a"));
        for bad in [
            "http://a",
            "https://",
            "https://a/",
            "https://A",
            "a",
            "null",
        ] {
            assert!(bad.parse::<PublicOrigin>().is_err(), "{bad}");
        }
    }
}
