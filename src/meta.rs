//! The metadata store: SQLite is the state machine. The only SQL in cask.
