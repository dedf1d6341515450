//! Compares cask with a plain directory.
fn main() {}
