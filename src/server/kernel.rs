//! The kernel of this host, as far as its age decides what it does for volumes.

/// The first that can serve volumes.
const SERVES: (u32, u32) = (5, 11);
/// The first that sends requests again (FUSE_NOTIFY_RESEND; Linux, include/uapi/linux/fuse.h).
const RESENDS: (u32, u32) = (6, 9);

/// The release of a kernel.
#[derive(Debug)]
pub struct Kernel {
    release: String,
    version: (u32, u32),
}

impl Kernel {
    /// The one that runs.
    #[must_use]
    pub fn running() -> Self {
        Self::of(&rustix::system::uname().release().to_string_lossy())
    }

    /// What says no version is older than all.
    fn of(release: &str) -> Self {
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|part| part.parse().ok());
        Self {
            release: release.to_owned(),
            version: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
        }
    }

    /// As uname(2) tells it.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Whether it has what a mount needs.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.version >= SERVES
    }

    /// Whether a server can be followed by another without anybody noticing: what the first did not answer is sent again.
    #[must_use]
    pub fn resends(&self) -> bool {
        self.version >= RESENDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_apart_by_their_first_two_numbers() {
        let can = |release| {
            let kernel = Kernel::of(release);
            (kernel.serves(), kernel.resends())
        };
        assert_eq!(can("6.9.0-1-amd64"), (true, true));
        assert_eq!(can("6.10-rc1"), (true, true));
        assert_eq!(can("6.8.12"), (true, false));
        assert_eq!(can("5.11"), (true, false));
        assert_eq!(can("5.4.0-200-generic"), (false, false));
        assert_eq!(can("custom"), (false, false));
    }
}
