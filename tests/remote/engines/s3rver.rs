//! s3rver: a stand-in for S3 in Node.js.

use super::Running;
use super::endpoint::Endpoint;
use super::home::Home;
use super::port::Port;
use super::process::Process;

pub(super) const PROGRAMS: [&str; 2] = ["node", "s3rver"];

/// It knows no others, for both keys.
const KEY: &str = "S3RVER";

pub(super) fn start(home: Home) -> Running {
    let port = Port::reserve();
    let data = home.subdir("data");
    let number = port.number.to_string();
    let arguments = [
        "--directory",
        &data,
        "--address",
        "127.0.0.1",
        "--port",
        &number,
        "--no-vhost-buckets",
        "--silent",
    ];
    Running {
        processes: vec![Process::start(&home, "s3rver", &arguments)],
        home,
        endpoint: Endpoint::new(port.number, KEY, KEY),
        _ports: vec![port],
    }
}
