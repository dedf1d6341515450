//! Reads of one consistent state each, beside the writer or on its own connection.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::{ArcMutexGuard, RawMutex};

use crate::meta::database::connections::Database;
use crate::meta::database::held::Held;
use crate::meta::database::session::{PooledReader, Session};
use crate::meta::database::writer::Writer;
use crate::meta::error::Result;
use crate::meta::schema::connect::{self, Role};
use crate::meta::tables::setting::Setting;
use crate::meta::wal::gate::{Duty, Passage};
use crate::types::about_to_wait;

impl Database {
    /// Begins a read of one consistent state, which has every operation that was acknowledged.
    pub fn read(&self) -> Result<ReadTx<'_>> {
        let mut tx = self.read_once()?;
        tx.run("BEGIN")?;
        tx.began = true;
        Ok(tx)
    }

    /// As [`Self::read`], for a single query, which is consistent by itself.
    pub fn read_once(&self) -> Result<ReadTx<'_>> {
        // The writer's own page cache is warm, while every commit makes the pooled readers drop theirs: a connection
        // that finds that another wrote since empties its cache (sqlite.org/pragma.html, "data_version").
        match self.writer.try_lock() {
            Ok(writer) => Ok(ReadTx {
                source: Source::Writer(writer),
                began: false,
                _held: Some(Held::note(self)),
            }),
            Err(_) => self.pooled(Duty::Short),
        }
    }

    /// As [`Self::read`], for a bounded number of rows that is too large to keep writers waiting. The log cannot begin
    /// anew before it ends, and a checkpoint waits for it a moment.
    pub fn read_beside(&self) -> Result<ReadTx<'_>> {
        self.begin_beside(Duty::Short)
    }

    /// As [`Self::read`], for a read that takes as long as the volume is large. Nobody ever waits for it; the log
    /// grows meanwhile.
    pub fn read_long(&self) -> Result<ReadTx<'_>> {
        self.begin_beside(Duty::Long)
    }

    /// As [`Self::read_long`], of the state at the time of the call: SQLite's own begins with the first query.
    pub(in crate::meta) fn read_long_now(&self) -> Result<ReadTx<'_>> {
        let tx = self.read_long()?;
        tx.setting(Setting::Epoch)?;
        Ok(tx)
    }

    fn begin_beside(&self, duty: Duty) -> Result<ReadTx<'_>> {
        let mut tx = self.pooled(duty)?;
        tx.run("BEGIN")?;
        tx.began = true;
        Ok(tx)
    }

    fn pooled(&self, duty: Duty) -> Result<ReadTx<'_>> {
        let passage = self.gate.enter(duty);
        let idle = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.one_more_reader()?,
        };
        let source = Source::Pool {
            // Free, or about to be: whoever gives it back puts it into the pool first.
            session: reader.lock_arc(),
            home: &self.readers,
            _passage: passage,
        };
        // Nobody ever waits for a long read, so its thread may write.
        let held = (duty == Duty::Short).then(|| Held::note(self));
        Ok(ReadTx {
            source,
            began: false,
            _held: held,
        })
    }

    fn one_more_reader(&self) -> Result<PooledReader> {
        // The schema is read from the file.
        about_to_wait();
        let conn = connect::open(&self.path, Role::Reader)?;
        let session = Session::marked(conn, Arc::clone(&self.copying));
        Ok(PooledReader::new(parking_lot::Mutex::new(session)))
    }
}

/// A read of one consistent state.
pub struct ReadTx<'d> {
    source: Source<'d>,
    began: bool,
    _held: Option<Held>,
}

enum Source<'d> {
    Writer(MutexGuard<'d, Writer>),
    Pool {
        session: ArcMutexGuard<RawMutex, Session>,
        home: &'d Mutex<Vec<PooledReader>>,
        _passage: Passage<'d>,
    },
}

impl fmt::Debug for ReadTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadTx").field(&**self).finish()
    }
}

impl Deref for ReadTx<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        match &self.source {
            Source::Writer(writer) => &writer.session,
            Source::Pool { session, .. } => session,
        }
    }
}

impl Drop for ReadTx<'_> {
    fn drop(&mut self) {
        let ended = !self.began || self.run("COMMIT").is_ok();
        if let Source::Pool { session, home, .. } = &self.source
            && ended
        {
            home.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::clone(ArcMutexGuard::mutex(session)));
        }
    }
}
