//! Asking for the counts of an open database, which may be unknown yet.

use crate::meta::database::connections::Database;
use crate::meta::database::reading::ReadTx;
use crate::meta::database::transaction::WriteTx;
use crate::meta::error::Result;
use crate::meta::tally::counting::Known;
use crate::meta::tally::counts::Tally;
use crate::types::about_to_wait;

impl Database {
    /// What the tables hold, as of the last commit. The first call after an unclean end looks at every row,
    /// beside the writers.
    pub fn tally(&self) -> Result<Tally> {
        self.with_tally(Tally::clone)
    }

    /// As [`Self::tally`], for `look` to take what it needs.
    pub fn with_tally<T>(&self, look: impl Fn(&Tally) -> T) -> Result<T> {
        // Around again: a change that was not counted may have come between the count and the look.
        loop {
            {
                let writer = self.locked_writer();
                if writer.counting.known == Known::Yes {
                    return Ok(look(&writer.counting.total));
                }
            }
            self.count()?;
        }
    }

    /// What the head's files hold, as of the last commit, if that is known: nothing is waited for.
    #[must_use]
    pub fn known_logical_bytes(&self) -> Option<u64> {
        self.logical.get()
    }

    /// A read, and what the tables hold in the state that it sees, if that is known.
    pub(in crate::meta) fn read_with_tally(&self) -> Result<(ReadTx<'_>, Option<Tally>)> {
        let writer = self.locked_writer();
        // With the writer held: the state that is read then ends with the commit that the counts end with.
        let reader = self.read_long_now()?;
        let known = writer.counting.known == Known::Yes;
        Ok((reader, known.then(|| writer.counting.total.clone())))
    }

    /// Of a database that was just made it is known what it holds.
    pub(in crate::meta) fn count_from_nothing(&self) {
        let counting = &mut self.locked_writer().counting;
        counting.forget();
        counting.known = Known::Yes;
        self.logical.set(counting.logical_bytes());
    }

    /// Counts all rows of one state, and adds what commits changed meanwhile.
    fn count(&self) -> Result<()> {
        // All rows: as long as the volume is large.
        about_to_wait();
        let _one_at_a_time = self.count_lock();
        let reader = {
            let mut writer = self.locked_writer();
            if writer.counting.known == Known::Yes {
                return Ok(());
            }
            // The reader sees every commit up to here, and the tally every one from here on.
            writer.counting.forget();
            self.read_long_now()?
        };
        let counted = reader.counted()?;
        // A thread with a reader must not wait for the writer.
        drop(reader);
        let mut writer = self.locked_writer();
        writer.counting.total.add(&counted);
        writer.counting.known = Known::Yes;
        self.logical.set(writer.counting.logical_bytes());
        Ok(())
    }
}

impl WriteTx<'_> {
    /// What the head would hold, were the transaction committed now; `None` while it is being counted.
    #[must_use]
    pub fn head_totals(&self) -> Option<HeadTotals> {
        let counting = &self.writer.counting;
        let sum = |total: i64, more: i64| u64::try_from(total + more).unwrap_or(0);
        (counting.known == Known::Yes).then(|| HeadTotals {
            inodes: sum(counting.total.inodes, self.tally.inodes),
            logical_bytes: sum(counting.total.logical, self.tally.logical),
        })
    }

    /// What this transaction added so far.
    #[must_use]
    pub const fn added(&self) -> &Tally {
        &self.tally
    }
}

/// What limits are set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadTotals {
    /// Inodes, and those that wait to be freed.
    pub inodes: u64,
    /// Bytes that extents cover.
    pub logical_bytes: u64,
}
