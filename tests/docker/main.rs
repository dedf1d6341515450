//! The plugin with real engines: each test has a dockerd (or a Podman storage), a plugin and a root of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test that called it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(
    clippy::print_stderr,
    reason = "what the plugin and dockerd logged goes to the output of a test that failed"
)]

#[path = "../mounted"]
mod mounted {
    pub(crate) mod harness;
}

mod compose;
mod copying;
mod crowd;
mod dockerd_restarts;
mod host;
mod idle;
mod image;
mod machine;
mod newer_engine;
mod package;
mod pausing;
mod plugin_restarts;
mod podman;
mod postgresql;
mod protocol;
mod remotes;
mod replay;
mod rootless;
mod sharing;
mod systemd;
mod using;
mod volumes;
mod wire;

use mounted::harness;
