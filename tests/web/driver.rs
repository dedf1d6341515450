//! A headless Chromium, driven through chromedriver (W3C, WebDriver) by plain requests.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::exchange;

const DRIVER: &str = "chromedriver";
/// The key of an element in JSON (WebDriver, 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const WAIT_MAX: Duration = Duration::from_secs(20);
/// As a test runs: as root, without a screen, and without looking for anything elsewhere.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with a profile of its own. It ends with its guard.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    home: TempDir,
}

/// Something on a page.
pub(crate) struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

/// Whether there is a browser here. Where there must be one (`CI` is set), its absence is a failure.
pub(crate) fn can_browse() -> bool {
    let is_there = |program: &str| Path::new("/usr/bin").join(program).exists();
    if is_there(DRIVER) && is_there("chromium") {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "this test needs chromium and chromium-driver"
    );
    eprintln!("skipped: this test needs chromium and chromium-driver");
    false
}

impl Browser {
    pub(crate) fn start() -> Self {
        let home = TempDir::with_prefix("cask-browser-").unwrap();
        let mut command = Command::new(DRIVER);
        command.arg("--port=0").env("HOME", home.path());
        // What the browser has in temporary files goes with its home, also where it is killed.
        command.env("TMPDIR", home.path());
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let rest = line
                .split_once("started successfully on port ")?
                .1
                .to_owned();
            Some(rest.trim_end_matches('.').to_owned())
        });
        // Whoever writes to a pipe that nobody reads ends.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self {
            driver,
            address: format!("127.0.0.1:{}", port.unwrap()),
            session: String::new(),
            home,
        };
        browser.session = browser.begin();
        browser
    }

    fn begin(&self) -> String {
        let profile = format!(
            "--user-data-dir={}",
            self.home.path().join("profile").display()
        );
        let flags: Vec<&str> = FLAGS.iter().copied().chain([profile.as_str()]).collect();
        let downloads = self.downloads();
        fs::create_dir(&downloads).unwrap();
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": flags,
            "prefs": {"download.default_directory": downloads, "download.prompt_for_download": false},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let begun = self.call("POST", "/session", Some(&wanted));
        begun["sessionId"].as_str().unwrap().to_owned()
    }

    /// Where downloads come to be.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.home.path().join("downloads")
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_call(method, path, body)
            .unwrap_or_else(|e| panic!("{method} {path} {body:?}: {e}"))
    }

    fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let host = &self.address;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        );
        let answer = exchange(host, &head, body.as_bytes());
        let mut told: Value = serde_json::from_slice(&answer.body).unwrap();
        let value = told["value"].take();
        if answer.status == 200 {
            Ok(value)
        } else {
            Err(value)
        }
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        self.call(
            "POST",
            &format!("/session/{}/{what}", self.session),
            Some(body),
        )
    }

    fn get(&self, what: &str) -> Value {
        self.call("GET", &format!("/session/{}/{what}", self.session), None)
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    pub(crate) fn url(&self) -> String {
        self.get("url").as_str().unwrap().to_owned()
    }

    /// All that is seen.
    pub(crate) fn text(&self) -> String {
        let text = self.evaluate("document.body ? document.body.innerText : ''");
        text.as_str().unwrap().to_owned()
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&self, script: &str) -> Value {
        let script = format!("return {script}");
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// A command of Chromium's own (Chrome DevTools Protocol).
    pub(crate) fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": name, "params": parameters}),
        )
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.command(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The first that a CSS selector finds; waits for it.
    #[track_caller]
    pub(crate) fn find(&self, selector: &str) -> Element<'_> {
        self.find_by("css selector", selector)
    }

    /// A link by its words.
    #[track_caller]
    pub(crate) fn link(&self, words: &str) -> Element<'_> {
        self.find_by("link text", words)
    }

    #[track_caller]
    fn find_by(&self, way: &str, what: &str) -> Element<'_> {
        let since = Instant::now();
        let path = format!("/session/{}/element", self.session);
        loop {
            match self.try_call("POST", &path, Some(&json!({"using": way, "value": what}))) {
                Ok(found) => {
                    let id = found[ELEMENT].as_str().unwrap().to_owned();
                    return Element { browser: self, id };
                }
                Err(e) => assert!(since.elapsed() < WAIT_MAX, "no {what}: {e}\n{}", self.url()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Keeps what is seen, for people to look at after the test.
    pub(crate) fn keep(&self, name: &str) {
        let picture = self.get("screenshot");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web");
        fs::create_dir_all(&dir).unwrap();
        let bytes = from_base64(picture.as_str().unwrap());
        assert!(bytes.starts_with(b"\x89PNG"));
        fs::write(dir.join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Element<'_> {
    fn path(&self, what: &str) -> String {
        format!("element/{}/{what}", self.id)
    }

    pub(crate) fn click(&self) {
        self.browser.post(&self.path("click"), &json!({}));
    }

    /// Clicks, and waits for the page that this leads to: a click may return before the browser has left the one it is on.
    #[track_caller]
    pub(crate) fn follow(&self) {
        let browser = self.browser;
        browser.evaluate("window.isOld = true");
        self.click();
        let path = format!("/session/{}/execute/sync", browser.session);
        let script = "return document.readyState === 'complete' && !window.isOld";
        let is_there = json!({"script": script, "args": []});
        let since = Instant::now();
        // Between two pages there is nothing to ask.
        while browser.try_call("POST", &path, Some(&is_there)) != Ok(Value::Bool(true)) {
            assert!(
                since.elapsed() < WAIT_MAX,
                "it leads nowhere from {}",
                browser.url()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types this in the place of what is there.
    pub(crate) fn fill(&self, text: &str) {
        self.browser.post(&self.path("clear"), &json!({}));
        self.type_in(text);
    }

    pub(crate) fn type_in(&self, text: &str) {
        self.browser
            .post(&self.path("value"), &json!({"text": text}));
    }

    pub(crate) fn text(&self) -> String {
        self.browser
            .get(&self.path("text"))
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, and not with its driver.
        if !self.session.is_empty() {
            drop(self.try_call("DELETE", &format!("/session/{}", self.session), None));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| digits.iter().position(|&one| one == byte))
    {
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}
