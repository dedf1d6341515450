//! Damage: finding it, reading what is left of a database, and making rows fit each other again.

mod audit;
pub(super) mod damage;
pub(super) mod repair;
pub(super) mod salvage;
