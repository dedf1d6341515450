//! The page: the volumes of a root in a browser, over HTTP on the loopback.
//!
//! Owns addresses, tokens, what is refused, and HTML. What is done with volumes is `commands`', in threads that may wait;
//! only here and in `remote` is anything asynchronous. Prints nothing.

mod actions;
mod address;
mod bounded;
mod connections;
mod download;
mod error;
mod escaped;
mod fields;
mod figures;
mod guard;
mod listing;
mod live;
mod origin;
mod pages;
mod refusal;
mod restores;
mod routes;
mod said;
mod serve;
mod site;
mod token;

pub use error::Error;
pub use origin::{PublicOrigin, PublicOriginError};
pub(crate) use serve::{Listening, Wanted};
pub(crate) use site::Changes;
pub(crate) use token::Token;
