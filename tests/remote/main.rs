//! What the tests with S3 engines stand on: the engines, and a proxy in front of one that makes trouble.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a test that does nothing says why")]

mod answering;
mod awaited;
mod bad_input;
mod bad_luck;
mod beside;
mod bit_by_bit;
mod browsing;
mod caching;
mod collecting;
mod commands;
mod damage;
mod deltas;
mod ending;
mod engines;
mod history;
mod host;
mod incremental;
mod inodes;
mod interleaved;
mod keys;
mod lacking;
mod many_snapshots;
mod mending;
mod near;
mod origin;
mod overtaken;
mod proxy;
mod proxying;
mod races;
#[path = "../common/random.rs"]
mod random;
mod repacking;
mod restoring;
mod round_trip;
mod streaming;
#[allow(dead_code, reason = "these tests need not all of it")]
#[path = "../cli/support.rs"]
mod support;
mod unfinished;
