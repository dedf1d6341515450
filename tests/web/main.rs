//! `cask web` as browsers and other programs meet it: who is let in, what is shown, and what is done.
//!
//! Each test has a root and a port of its own. What a person does in a browser is in `browser`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod acting;
mod admission;
mod browser;
mod client;
mod driver;
mod looking;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "what tests of the command line need, too")]
mod support;
mod trouble;
