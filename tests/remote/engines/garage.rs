//! Garage: one node that is a cluster of its own. No package has it: a program that is here is used.

use super::Running;
use super::endpoint::Endpoint;
use super::home::Home;
use super::port::Port;
use super::process::Process;

pub(super) const PROGRAM: &str = "garage";
pub(super) const PROGRAMS: [&str; 1] = [PROGRAM];

/// It takes no keys of another form.
const ACCESS_KEY: &str = "GK636173636173636173636173";
const SECRET_KEY: &str = "6761726167652d7365637265742d6761726167652d7365637265742d67617261";
/// The only one that it answers to.
const REGION: &str = "garage";

pub(super) fn start(home: Home) -> Running {
    let [s3, rpc] = [(); 2].map(|()| Port::reserve());
    let config = home.file("garage.toml", &config(&home, &s3, &rpc));
    let arguments = [
        "-c",
        &config,
        "server",
        "--single-node",
        "--default-access-key",
    ];
    let keys = [
        ("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY),
        ("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY),
    ];
    Running {
        processes: vec![Process::start_with(&home, &keys, PROGRAM, &arguments)],
        home,
        endpoint: Endpoint::new(s3.number, ACCESS_KEY, SECRET_KEY).in_region(REGION),
        _ports: vec![s3, rpc],
    }
}

fn config(home: &Home, s3: &Port, rpc: &Port) -> String {
    let (metadata, data) = (home.subdir("metadata"), home.subdir("data"));
    let (s3, rpc) = (s3.number, rpc.number);
    format!(
        r#"metadata_dir = "{metadata}"
data_dir = "{data}"
db_engine = "sqlite"
replication_factor = 1
rpc_secret = "{SECRET_KEY}"
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{s3}"
"#
    )
}
