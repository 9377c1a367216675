//! A server process for a test: started on a free port with its own data directory, killed when
//! the test ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The pictures that the demo ships.
pub const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");

pub struct Server {
    child: Child,
    pub url: String,
    pub banner: String,
    agent: ureq::Agent,
    key: Option<String>,
    _dir: Option<tempfile::TempDir>,
}

/// Status and body of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub retry_after: Option<String>,
}

impl Answer {
    /// The result of a call that must succeed.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.body["status"], "ok", "{}", self.body);
        self.body["result"].clone()
    }

    /// The text of a call that must fail so.
    #[track_caller]
    pub fn err(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["status"]["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error text: {}", self.body))
            .to_owned()
    }
}

impl Server {
    /// A server with a data directory of its own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(dir.path(), flags);
        server._dir = Some(dir);
        server
    }

    /// A server over a data directory that outlives it.
    pub fn start_in(dir: &Path, flags: &[&str]) -> Self {
        Self::try_start(dir, flags).unwrap_or_else(|error| panic!("the server did not start: {error}"))
    }

    /// What the process says on stderr where it does not start.
    pub fn try_start(dir: &Path, flags: &[&str]) -> Result<Self, String> {
        Self::try_start_under(dir, flags, &[])
    }

    /// The same with more environment.
    pub fn try_start_under(dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lookalike"))
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(dir)
            .args(flags)
            .env("LOOKALIKE_LOG", "error")
            .envs(environment.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("ready ") {
            if stdout.read_line(&mut banner).unwrap() == 0 {
                let output = child.wait_with_output().unwrap();
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        let url = banner.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // The rest of the output is read so that the process never waits for us.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(Self { child, url, banner, agent, key: None, _dir: None })
    }

    /// Sends this key with every call.
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Changes the key that is sent.
    pub fn set_key(&mut self, key: Option<&str>) {
        self.key = key.map(ToOwned::to_owned);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit of a clean stop.
    pub fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "the stop was not clean");
    }

    /// Any request with a body as it is.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same where the server may be gone.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header("api-key", key);
        }
        let mut response = self.agent.run(request.body(body).unwrap())?;
        let retry_after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status: response.status().as_u16(), body, retry_after })
    }

    pub fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = match &self.key {
            Some(key) => request.header("api-key", key),
            None => request,
        };
        let mut response = request.call().unwrap();
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: response.status().as_u16(), body, retry_after: None }
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string().as_bytes())
    }

    pub fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.url));
        let mut response = match &self.key {
            Some(key) => request.header("api-key", key),
            None => request,
        }
        .call()
        .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: response.status().as_u16(), body, retry_after: None }
    }

    /// A collection `name` of `size` components under `distance`.
    pub fn create(&self, name: &str, size: usize, distance: &str) {
        let body = json!({"vectors": {"size": size, "distance": distance}});
        self.put(&format!("/collections/{name}"), &body).ok();
    }

    pub fn count(&self, name: &str) -> u64 {
        self.post(&format!("/collections/{name}/points/count"), &json!({})).ok()["count"].as_u64().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file among the sample pictures.
pub fn sample(file: &str) -> Vec<u8> {
    let path = PathBuf::from(SAMPLES).join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of `samples.jsonl`.
pub fn samples() -> Vec<Value> {
    let text = String::from_utf8(sample("samples.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
