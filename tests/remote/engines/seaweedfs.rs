//! SeaweedFS: master, volume server, filer and S3 gateway in one process.

use super::Running;
use super::endpoint::Endpoint;
use super::home::Home;
use super::port::Port;
use super::process::Process;

pub(super) const PROGRAMS: [&str; 1] = ["weed"];

const SERVERS: [&str; 4] = ["master", "volume", "filer", "s3"];
const ACCESS_KEY: &str = "cask";
const SECRET_KEY: &str = "seaweed-secret";

pub(super) fn start(home: Home) -> Running {
    let [ports, rpc_ports] = [(); 2].map(|()| SERVERS.map(|_| Port::reserve()));
    let [.., s3] = &ports;
    let endpoint = Endpoint::new(s3.number, ACCESS_KEY, SECRET_KEY);
    let (mut arguments, mut sockets) = (arguments(&home), Vec::new());
    for ((server, port), rpc) in SERVERS.iter().zip(&ports).zip(&rpc_ports) {
        arguments.push(format!("-{server}.port={}", port.number));
        // Else 10 000 above, which may be no port at all.
        arguments.push(format!("-{server}.port.grpc={}", rpc.number));
        sockets.push(format!("/tmp/seaweedfs-{server}-grpc-{}.sock", rpc.number));
    }
    // It takes no other place for these.
    home.note_elsewhere(&sockets);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Running {
        processes: vec![Process::start(&home, "weed", &arguments)],
        home,
        _ports: ports.into_iter().chain(rpc_ports).collect(),
        endpoint,
    }
}

fn arguments(home: &Home) -> Vec<String> {
    let identities = format!(
        r#"{{"identities": [{{"name": "cask", "actions": ["Admin"],
            "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"#
    );
    let own = [
        format!("-logdir={}", home.subdir("logs")),
        "server".to_owned(),
        format!("-dir={}", home.subdir("data")),
        format!("-s3.config={}", home.file("identities.json", &identities)),
        format!("-s3.localSocket={}", home.text("s3.sock")),
        format!("-filer.localSocket={}", home.text("filer.sock")),
    ];
    let fixed = [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        // Each bucket takes some volumes: with few, the second bucket cannot be written to.
        "-volume.max=200",
        "-master.volumeSizeLimitMB=1024",
        // On by itself, and there is no network.
        "-master.telemetry=false",
        // They listen on fixed ports.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ];
    own.into_iter().chain(fixed.map(str::to_owned)).collect()
}
