//! Reads of one consistent state each, beside the writer or on its own connection.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::meta::database::connections::Database;
use crate::meta::database::held::Held;
use crate::meta::database::session::Session;
use crate::meta::database::writer::Writer;
use crate::meta::error::Result;
use crate::meta::schema::connect::{self, Role};
use crate::meta::tables::setting::Setting;
use crate::meta::wal::gate::{Duty, Passage};

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
        let session = match idle {
            Some(session) => session,
            None => Session::marked(
                connect::open(&self.path, Role::Reader)?,
                Arc::clone(&self.copying),
            ),
        };
        let source = Source::Pool {
            session: Some(session),
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
}

/// A read of one consistent state.
#[derive(Debug)]
pub struct ReadTx<'d> {
    source: Source<'d>,
    began: bool,
    _held: Option<Held>,
}

#[derive(Debug)]
enum Source<'d> {
    Writer(MutexGuard<'d, Writer>),
    Pool {
        session: Option<Session>,
        home: &'d Mutex<Vec<Session>>,
        _passage: Passage<'d>,
    },
}

impl Deref for ReadTx<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        match &self.source {
            Source::Writer(writer) => &writer.session,
            Source::Pool {
                session: Some(session),
                ..
            } => session,
            Source::Pool { session: None, .. } => unreachable!("taken only in drop"),
        }
    }
}

impl Drop for ReadTx<'_> {
    fn drop(&mut self) {
        let ended = !self.began || self.run("COMMIT").is_ok();
        if let Source::Pool { session, home, .. } = &mut self.source
            && let Some(session) = session.take()
            && ended
        {
            home.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }
}
