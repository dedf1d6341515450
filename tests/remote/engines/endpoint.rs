//! How an engine is reached: address and keys. Signs requests with curl.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// As text, `ADDRESS:PORT ACCESS-KEY SECRET-KEY REGION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Endpoint {
    pub(super) fn new(port: u16, access_key: &str, secret_key: &str) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    /// The same, in another region than is usual.
    pub(super) fn in_region(self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self
        }
    }

    /// The same, reached by way of a proxy.
    pub(crate) fn through(&self, proxy: SocketAddr) -> Self {
        Self {
            address: proxy,
            ..self.clone()
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket that nobody has. Returns its name.
    #[track_caller]
    pub(crate) fn bucket(&self) -> String {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        // The kernel gives a process number out again; the engines live for one run of the tests.
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let pid = std::process::id();
        let name = format!("cask-{pid}-{}-{}-{number}", clock.tv_sec, clock.tv_nsec);
        let answer = self.put(&format!("/{name}"), b"");
        assert_eq!(answer.status, 200, "{answer}");
        name
    }

    /// Writes an object, or makes a bucket.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Answer {
        let answer = self.request("PUT", path, body);
        answer.unwrap_or_else(|| panic!("no answer to PUT {path}"))
    }

    /// Reads an object.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let answer = self.request("GET", path, b"");
        answer.unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// A signed request; `None` where no whole answer comes.
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let mut curl = Command::new("curl");
        // First, so that no settings of whoever runs the tests count.
        curl.args([
            "--disable",
            "--silent",
            "--max-time",
            "30",
            "--request",
            method,
        ])
        .args(["--aws-sigv4", &format!("aws:amz:{}:s3", self.region)])
        .args([
            "--user",
            &format!("{}:{}", self.access_key, self.secret_key),
        ])
        // This curl puts no hash of the body into the signature that all engines accept.
        .args(["--header", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"])
        // Not every engine answers `100 Continue`.
        .args(["--expect100-timeout", "0.1"])
        .args(["--write-out", "%{stderr}%{http_code}"])
        .args(["--noproxy", "*", &format!("{}{path}", self.url())]);
        if method == "PUT" {
            curl.args(["--header", "Content-Type: application/octet-stream"])
                .args(["--data-binary", "@-"]);
        }
        curl.stdin(Stdio::piped());
        curl.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = curl.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that gives up does not read it all.
        stdin.write_all(body).ok();
        drop(stdin);
        let done = child.wait_with_output().unwrap();
        let status = String::from_utf8(done.stderr).unwrap().parse();
        done.status.success().then(|| Answer {
            status: status.unwrap(),
            body: done.stdout,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            access_key,
            secret_key,
            region,
        } = self;
        write!(f, "{address} {access_key} {secret_key} {region}")
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no endpoint: {text:?}");
        let [address, access_key, secret_key, region] =
            <[&str; 4]>::try_from(text.split(' ').collect::<Vec<_>>()).map_err(|_| wrong())?;
        Ok(Self {
            address: address.parse().map_err(|_| wrong())?,
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            region: region.to_owned(),
        })
    }
}
