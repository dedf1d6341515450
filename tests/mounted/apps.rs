//! Real programs live on a mount: PostgreSQL, git, cargo.

mod build;
pub(crate) mod git;
pub(crate) mod postgres;
