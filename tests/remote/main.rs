//! What the tests with S3 engines stand on: a proxy in front of one that makes trouble.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod origin;
mod proxy;
mod proxying;
