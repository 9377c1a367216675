//! A client of a server's HTTP API, ours or another machine's: bounded in time and in the size
//! of an answer, and with the server's own words where it refuses.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Largest answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// A client of one server.
pub struct Client {
    pub url: String,
    pub api_key: Option<String>,
    agent: ureq::Agent,
}

impl Client {
    /// A client of the server at `url`, as `http://127.0.0.1:6333`; a call ends after `timeout`.
    pub fn new(url: &str, api_key: Option<String>, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .build()
            .new_agent();
        Self { url: url.trim_end_matches('/').to_owned(), api_key, agent }
    }

    /// Sends a request and returns its `result`.
    ///
    /// # Errors
    /// Where the server cannot be reached, and its own text where it refuses.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(key) = &self.api_key {
            request = request.header("api-key", key);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                serde_json::to_vec(body)?
            }
            None => Vec::new(),
        };
        let unreachable = || format!("cannot reach {url}");
        let request = request.body(body).with_context(unreachable)?;
        let mut response = self.agent.run(request).with_context(unreachable)?;
        let status = response.status();
        let answer = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_json();
        let mut answer: Value =
            answer.with_context(|| format!("{url} answered {status} without JSON; is it lookalike?"))?;
        if !status.is_success() {
            bail!(
                "the server answered {status}: {}",
                answer["status"]["error"].as_str().unwrap_or("no reason given")
            );
        }
        Ok(answer["result"].take())
    }
}
