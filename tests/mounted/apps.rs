//! Real programs live on a mount: PostgreSQL, git, cargo.

mod build;
mod git;
pub(crate) mod postgres;
