//! The control protocol: what is said to a volume's server over its socket, and how.
//!
//! Owns requests, answers, their encoding (a JSON line each way, descriptors beside it) and the client.
//! Knows `types` only: neither what a volume does with a request nor who asks.

mod address;
mod ask;
mod client;
mod content;
mod message;
mod versions;
mod wire;

pub use address::{SOCKET, bind, connect};
pub use ask::{Ask, Listed, Node, Told};
pub use client::{Client, Error, Piece, StateRead};
pub use content::{Bytes, Change, ChangeKind, SnapshotBytes, SnapshotInfo};
pub use message::{
    Answer, Device, Fault, FaultKind, GroupPart, Op, Phase, Program, Request, ShownSnapshot,
    Status, Tree, VERSIONS,
};
pub use versions::{NoCommon, Versions};
pub use wire::{Received, Wire, WireError};
