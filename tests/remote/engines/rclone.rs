//! `rclone serve s3`: files below a directory, by way of S3.

use super::Running;
use super::endpoint::Endpoint;
use super::home::Home;
use super::port::Port;
use super::process::Process;

pub(super) const PROGRAMS: [&str; 1] = ["rclone"];

const ACCESS_KEY: &str = "cask";
const SECRET_KEY: &str = "rclone-secret";

pub(super) fn start(home: Home) -> Running {
    let port = Port::reserve();
    let data = home.subdir("data");
    let arguments = [
        "serve",
        "s3",
        &data,
        "--addr",
        &format!("127.0.0.1:{}", port.number),
        "--auth-key",
        &format!("{ACCESS_KEY},{SECRET_KEY}"),
        // Not that of whoever runs the tests.
        "--config",
        &home.file("rclone.conf", ""),
        "--cache-dir",
        &home.subdir("cache"),
    ];
    Running {
        processes: vec![Process::start(&home, "rclone", &arguments)],
        home,
        endpoint: Endpoint::new(port.number, ACCESS_KEY, SECRET_KEY),
        _ports: vec![port],
    }
}
