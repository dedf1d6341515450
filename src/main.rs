//! The `cask` program: parse, log, run, exit code.

fn main() {}
