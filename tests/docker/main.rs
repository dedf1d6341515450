//! The plugin with real engines: each test has a dockerd (or a Podman storage), a plugin and a root of its own.

#[path = "../mounted"]
mod mounted {
    pub(crate) mod harness;
}

mod copying;
mod crowd;
mod dockerd_restarts;
mod host;
mod image;
mod plugin_restarts;
mod podman;
mod postgresql;
mod protocol;
mod replay;
mod sharing;
mod using;
mod volumes;
mod wire;

use mounted::harness;
