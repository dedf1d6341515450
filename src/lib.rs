//! cask: a volume filesystem for containers.
//!
//! A *volume* is a directory that holds content-addressed chunks and a SQLite database; a *volume
//! server* presents it through FUSE. Read `docs/architecture.md` for the bird's-eye view; imports go
//! one way: `types, durable, at_once <- chunks, meta <- volume <- fuse, server <- metrics <- docker <-
//! commands <- web <- cli`, `remote <- transfer <- cli`, and `control` knows `types` only.

pub mod at_once;
pub mod chunks;
pub mod cli;
pub mod commands;
pub mod control;
pub mod docker;
pub mod durable;
pub mod fuse;
pub mod meta;
pub mod metrics;
pub mod remote;
pub mod server;
pub mod transfer;
pub mod types;
pub mod volume;
pub mod web;
