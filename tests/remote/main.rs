//! What the tests with S3 engines stand on: the engines, and a proxy in front of one that makes trouble.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a test that does nothing says why")]

mod answering;
mod collecting;
mod commands;
mod ending;
mod engines;
mod origin;
mod proxy;
mod proxying;
mod restoring;
