//! Real programs live on a mount: PostgreSQL, git, cargo.

mod build;
mod git;
mod postgres;
