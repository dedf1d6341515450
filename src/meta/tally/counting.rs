//! The counts of an open database, as of the last commit.

use crate::meta::database::session::Session;
use crate::meta::error::Result;
use crate::meta::tables::setting::Setting;
use crate::meta::tally::counts::Tally;

/// The counts of an open database.
#[derive(Debug)]
pub(in crate::meta) struct Counting {
    /// All there is, or when that is not known, what was added since the count that is under way began.
    pub(in crate::meta) total: Tally,
    pub(in crate::meta) known: Known,
    pub(in crate::meta) on_disk: OnDisk,
    /// Since the database was opened.
    pub(in crate::meta) commits: u64,
}

/// Whether the total is that of all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Known {
    Yes,
    No,
}

/// Whether the counts that the database holds are those of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum OnDisk {
    Valid,
    Stale,
}

impl Counting {
    /// What was stored when the database was last closed, if that is still true.
    pub(in crate::meta) fn load(session: &Session) -> Result<Self> {
        if session.setting(Setting::Counted)? == 0 {
            return Ok(Self {
                total: Tally::default(),
                known: Known::No,
                on_disk: OnDisk::Stale,
                commits: 0,
            });
        }
        Ok(Self {
            total: session.stored_tally()?,
            known: Known::Yes,
            on_disk: OnDisk::Valid,
            commits: 0,
        })
    }

    /// What the files hold, if that is known.
    pub(in crate::meta) fn logical_bytes(&self) -> Option<u64> {
        let known = (self.known == Known::Yes).then_some(self.total.logical);
        known.and_then(|bytes| u64::try_from(bytes).ok())
    }

    pub(in crate::meta) fn add(&mut self, more: &Tally) {
        self.total.add(more);
    }

    /// The rows were changed in a way that was not counted.
    pub(in crate::meta) fn forget(&mut self) {
        self.total = Tally::default();
        self.known = Known::No;
    }
}
