//! What the tables hold, counted as they change: nobody has to look at every row to know.
//!
//! The counts are exact as of the last commit. They are stored when the database is closed, and counted
//! anew, beside the writers, after it was not.

pub(super) mod counting;
pub(super) mod counts;
mod rows;
pub(super) mod seen;
pub(super) mod totals;
