//! The tables: their columns, how they are made and brought up to date, and how a connection is set up.

pub(super) mod columns;
pub(super) mod connect;
pub(super) mod tables;
pub(super) mod text;
pub(super) mod upgrade;
