//! A client of a server's HTTP API, ours or another machine's, for the verbs that talk to one: bounded in
//! time and in the size of an answer, and with the server's own words where it refuses.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

/// Largest JSON answer that is read, bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// Largest archive that is downloaded, bytes.
const MAX_ARCHIVE: u64 = 1 << 40;
/// How long a server may take to begin its answer: a snapshot is made or restored meanwhile.
const WAIT: Duration = Duration::from_secs(3600);

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach {url}; start a server with `lookalike serve`, or name another with --url")]
pub struct Unreachable {
    /// The server's address.
    pub url: String,
}

/// The server answered with an error.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}: {text}{}", self.hint())]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// Its own words.
    pub text: String,
    /// When to come back, from `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// What to do next.
    fn hint(&self) -> &'static str {
        match self.status {
            401 | 403 => "; give the key with --api-key or LOOKALIKE_API_KEY",
            429 => "; it is busy, try again",
            507 => "; free disk space where the server keeps its data",
            _ => "",
        }
    }
}

/// Which server.
#[derive(Args, Clone)]
pub struct ServerArgs {
    /// The running server
    #[arg(long, value_name = "URL", env = "LOOKALIKE_URL", default_value = "http://localhost:6333")]
    url: String,
    /// Its key
    #[arg(long, value_name = "KEY", env = "LOOKALIKE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

/// A client of one server.
pub struct Client {
    pub url: String,
    pub api_key: Option<String>,
    agent: ureq::Agent,
}

impl ServerArgs {
    /// A client of it; nothing is sent yet.
    pub fn client(&self) -> Client {
        Client::new(&self.url, self.api_key.clone(), WAIT)
    }
}

impl Client {
    /// A client of the server at `url`, as `http://127.0.0.1:6333`; an answer begins within `wait`.
    pub fn new(url: &str, api_key: Option<String>, wait: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(wait))
            .build()
            .new_agent();
        Self { url: url.trim_end_matches('/').to_owned(), api_key, agent }
    }

    /// Calls with a JSON body, or none; returns the answer's `result`.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = self.request(method, path).header("content-type", "application/json").body(bytes)?;
        result(self.sent(request)?)
    }

    /// The result of a GET, `None` where the server answers 404.
    pub fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let response = self.sent(self.request("GET", path).body(())?)?;
        if response.status() == 404 { Ok(None) } else { result(response).map(Some) }
    }

    /// The body of a GET that is no JSON, whole.
    pub fn lines(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut response = self.sent(self.request("GET", path).body(())?)?;
        if !response.status().is_success() {
            result(response)?;
            bail!("the server sent no lines");
        }
        Ok(response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?)
    }

    /// Writes the body of a GET to a new file; returns its bytes.
    pub fn download(&self, path: &str, to: &Path) -> anyhow::Result<u64> {
        let mut response = self.sent(self.request("GET", path).body(())?)?;
        if !response.status().is_success() {
            result(response)?;
            bail!("the server sent no file");
        }
        let mut file = File::create_new(to).with_context(|| to.display().to_string())?;
        let copied =
            std::io::copy(&mut response.body_mut().with_config().limit(MAX_ARCHIVE).reader(), &mut file)?;
        file.sync_all()?;
        Ok(copied)
    }

    /// Sends a file as the part `snapshot` of a multipart upload.
    pub fn upload(&self, path: &str, from: &Path) -> anyhow::Result<Value> {
        let file = File::open(from).with_context(|| from.display().to_string())?;
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let mut head = Vec::new();
        write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"upload.snapshot\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )?;
        let tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let mut body = head.chain(file).chain(tail.as_slice());
        let request = self
            .request("POST", path)
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .body(ureq::SendBody::from_reader(&mut body))?;
        result(self.sent(request)?)
    }

    /// Sends a body with headers; returns the answer's text whole, whatever its type.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<String> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.sent(request.body(body)?)?;
        if !response.status().is_success() {
            result(response)?;
            bail!("the server sent no answer");
        }
        let unreachable = || Unreachable { url: self.url.clone() };
        response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().with_context(unreachable)
    }

    fn sent<B: ureq::AsSendBody>(
        &self,
        request: ureq::http::Request<B>,
    ) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
        self.agent.run(request).with_context(|| Unreachable { url: self.url.clone() })
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        match &self.api_key {
            Some(key) => request.header("api-key", key),
            None => request,
        }
    }
}

fn result(mut response: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let status = response.status();
    let retry_after =
        response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_json();
    let mut body: Value =
        body.with_context(|| format!("the server answered {status} without JSON; is it lookalike?"))?;
    if !status.is_success() {
        let text = body["status"]["error"].as_str().unwrap_or("no reason given").to_owned();
        let retry_after = retry_after.map(Duration::from_secs);
        bail!(Refused { status: status.as_u16(), text, retry_after });
    }
    Ok(body["result"].take())
}
