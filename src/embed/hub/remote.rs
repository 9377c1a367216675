//! The hub over HTTP: what it says of a file without its body, and the body, from where a connection broke on.
//! Headers as `huggingface_hub` reads them: `X-Repo-Commit`, `X-Linked-ETag` and `X-Linked-Size` of large files
//! (SHA-256 of the content), `ETag` and `Content-Length` of the others (SHA-1 of the git blob).

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode};

use super::cache::is_commit;
use crate::error::{Error, Result};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin.
const ANSWER: Duration = Duration::from_secs(30);
/// How long one connection may bring bytes; a slow one is gone on with by the next.
const BODY: Duration = Duration::from_secs(60);
/// Tries in a row that bring nothing.
const MAX_TRIES: u32 = 5;
/// Redirects within the hub of a request without a body.
const MAX_REDIRECTS: usize = 5;
const PIECE: usize = 256 << 10;

/// The hash that the hub names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// Of the content, 64 hex digits.
    Sha256(String),
    /// Of `blob LENGTH\0` and the content, 40 hex digits.
    GitBlob(String),
}

impl Hash {
    fn parse(etag: &str) -> Option<Hash> {
        let text = etag.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        match text.len() {
            64 if text.bytes().all(|b| b.is_ascii_hexdigit()) => Some(Hash::Sha256(text)),
            40 if is_commit(&text) => Some(Hash::GitBlob(text)),
            _ => None,
        }
    }

    /// Hex digits; a name for a file.
    pub fn text(&self) -> &str {
        match self {
            Hash::Sha256(text) | Hash::GitBlob(text) => text,
        }
    }

    /// Whether a file has that size and this hash.
    pub fn is_of(&self, path: &Path, size: u64) -> Result<bool> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != size {
            return Ok(false);
        }
        let mut sha256 = Sha256::new();
        let mut git = sha1_smol::Sha1::new();
        git.update(format!("blob {size}\0").as_bytes());
        let mut buffer = vec![0; PIECE];
        loop {
            let read = file.read(&mut buffer)?;
            match (read, self) {
                (0, Hash::Sha256(text)) => {
                    let found: String = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                    return Ok(found == *text);
                }
                (0, Hash::GitBlob(text)) => return Ok(git.digest().to_string() == *text),
                (_, Hash::Sha256(_)) => sha256.update(&buffer[..read]),
                (_, Hash::GitBlob(_)) => git.update(&buffer[..read]),
            }
        }
    }
}

/// What the hub says of a file.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub commit: String,
    pub hash: Hash,
    pub size: u64,
}

/// A connection that ended.
enum Broken {
    /// Another may do better.
    Again(String),
    Final(Error),
}

pub(super) struct Remote {
    endpoint: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Remote {
    /// The hub that `HF_ENDPOINT` names; a token in `HF_TOKEN` goes before the given one.
    pub fn new(token: Option<String>) -> Result<Remote> {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(Error::Model(format!("HF_ENDPOINT is {endpoint:?}; expected http://… or https://…")));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(BODY))
            // The token is for the hub, not for where its files are.
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .user_agent(concat!("lookalike/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let token = set("HF_TOKEN").or(token).map(|token| token.trim().to_owned());
        Ok(Remote { endpoint: endpoint.trim_end_matches('/').to_owned(), token, agent })
    }

    /// Commit, hash and size of a file; `None` where the model has none of that name.
    ///
    /// # Errors
    /// `NotFound` where there is no such model or revision; `Model` where the hub does not answer, or not with
    /// these three.
    pub fn describe(&self, id: &str, revision: &str, name: &str) -> Result<Option<Described>> {
        let mut url = self.url(id, revision, name);
        let mut commit = None;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.head(&url).map_err(|why| unfetched(id, name, &why))?;
            let header = |key: &str| response.headers().get(key).and_then(|value| value.to_str().ok());
            commit = header("x-repo-commit").map(ToOwned::to_owned).or(commit);
            // A redirect out of the hub comes with all there is to know.
            match header("location") {
                Some(to)
                    if response.status().is_redirection() && to.starts_with('/') && !to.starts_with("//") =>
                {
                    url = format!("{}{to}", self.host());
                    continue;
                }
                _ => {}
            }
            if let Some(outcome) = refused(&response, id, revision, name) {
                return outcome;
            }
            let linked = header("x-linked-etag");
            let hash = linked.or_else(|| header("etag")).and_then(Hash::parse);
            let size = header("x-linked-size")
                .or_else(|| header("content-length").filter(|_| linked.is_none()))
                .and_then(|text| text.parse().ok());
            return match (commit.filter(|commit| is_commit(commit)), hash, size) {
                (Some(commit), Some(hash), Some(size)) => Ok(Some(Described { commit, hash, size })),
                _ => Err(unfetched(
                    id,
                    name,
                    "the hub names no commit, hash or size of it, so it cannot be checked",
                )),
            };
        }
        Err(unfetched(id, name, "too many redirects"))
    }

    /// Brings a file to `part`, of which there may be a beginning already, and compares it with its hash.
    /// Nothing that has another is left there.
    ///
    /// # Errors
    /// `Model` where the connection breaks for good (what has come stays), or the hash is another.
    pub fn fetch(&self, id: &str, commit: &str, name: &str, what: &Described, part: &Path) -> Result<()> {
        let url = self.url(id, commit, name);
        let bar = ProgressBar::new(what.size).with_message(format!("{id} {name}"));
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}, {eta} left")
        {
            bar.set_style(style);
        }
        let mut was_there = part.metadata().is_ok_and(|metadata| metadata.len() > 0);
        loop {
            self.complete(&url, what.size, part, &bar).map_err(|error| match error {
                Error::Model(why) => unfetched(id, name, &why),
                other => other,
            })?;
            if what.hash.is_of(part, what.size)? {
                bar.finish_and_clear();
                return Ok(());
            }
            std::fs::remove_file(part)?;
            // The beginning may have been of another download: once more, from nothing.
            if !std::mem::take(&mut was_there) {
                return Err(unfetched(
                    id,
                    name,
                    &format!(
                        "its bytes do not have the hash {} that the hub names; nothing of it is kept",
                        what.hash.text()
                    ),
                ));
            }
        }
    }

    fn complete(&self, url: &str, size: u64, part: &Path, bar: &ProgressBar) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(part)?;
        if let Some(free) = part.parent().and_then(|folder| fs4::available_space(folder).ok())
            && free < size.saturating_sub(file.metadata()?.len())
        {
            return Err(Error::StorageFull(format!(
                "{} has {free} bytes free, the file has {size}",
                part.display()
            )));
        }
        let (mut tries, mut why) = (0, String::new());
        loop {
            let mut have = file.metadata()?.len();
            if have > size {
                file.set_len(0)?;
                have = 0;
            }
            bar.set_position(have);
            if have == size {
                return Ok(file.sync_all()?); // before it gets its name
            }
            if tries == MAX_TRIES {
                return Err(Error::Model(format!(
                    "{why}; the first {have} of {size} bytes are kept, the same command goes on from there"
                )));
            }
            if tries > 0 {
                std::thread::sleep(Duration::from_millis(250 << tries));
            }
            match self.piece(url, size, &mut file, have, bar) {
                Ok(()) => "the connection ended early".clone_into(&mut why),
                Err(Broken::Again(text)) => why = text,
                Err(Broken::Final(error)) => return Err(error),
            }
            tries = if file.metadata()?.len() > have { 0 } else { tries + 1 };
        }
    }

    /// Appends what one connection brings.
    fn piece(
        &self,
        url: &str,
        size: u64,
        file: &mut File,
        have: u64,
        bar: &ProgressBar,
    ) -> std::result::Result<(), Broken> {
        let broken = |error: &dyn std::fmt::Display| Broken::Again(error.to_string());
        let disk = |error: std::io::Error| Broken::Final(error.into());
        let mut request = self.agent.get(url).header("accept-encoding", "identity");
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(|error| broken(&error))?;
        let starts_at = |response: &Response<ureq::Body>| -> Option<u64> {
            let range = response.headers().get("content-range")?.to_str().ok()?;
            range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
        };
        let mut have = have;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(have) => {}
            // It does not know of ranges, or not of this one.
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                file.set_len(0).map_err(disk)?;
                have = 0;
                if response.status() != StatusCode::OK {
                    return Err(Broken::Again("the hub sends another part than was asked for".into()));
                }
            }
            StatusCode::OK => {}
            status if is_passing(status) => return Err(Broken::Again(format!("the hub answers {status}"))),
            status => return Err(Broken::Final(Error::Model(format!("the hub answers {status}")))),
        }
        let mut body = response.body_mut().with_config().limit(size - have + 1).reader();
        let mut buffer = vec![0; PIECE];
        loop {
            let read = body.read(&mut buffer).map_err(|error| broken(&error))?;
            if read == 0 {
                return Ok(());
            }
            have += read as u64;
            if have > size {
                file.set_len(0).map_err(disk)?;
                return Err(Broken::Final(Error::Model(format!(
                    "the hub sends more than the {size} bytes it names"
                ))));
            }
            file.write_all(&buffer[..read]).map_err(disk)?;
            bar.set_position(have);
        }
    }

    fn head(&self, url: &str) -> std::result::Result<Response<ureq::Body>, String> {
        let mut tries = 0;
        loop {
            let mut request = self.agent.head(url).header("accept-encoding", "identity");
            if let Some(token) = &self.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.config().max_redirects(0).max_redirects_will_error(false).build();
            let why = match request.call() {
                Ok(response) if !is_passing(response.status()) => return Ok(response),
                Ok(response) => format!("the hub answers {}", response.status()),
                Err(error) => error.to_string(),
            };
            tries += 1;
            if tries == 3 {
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(250 << tries));
        }
    }

    /// Scheme and host of the hub.
    fn host(&self) -> &str {
        let after = self.endpoint.find("://").map_or(0, |at| at + 3);
        self.endpoint[after..].find('/').map_or(&self.endpoint, |at| &self.endpoint[..after + at])
    }

    /// Letters, digits, `-`, `_`, `.` and `/` alone are in ids and revisions.
    fn url(&self, id: &str, revision: &str, name: &str) -> String {
        format!("{}/{id}/resolve/{}/{name}", self.endpoint, revision.replace('/', "%2F"))
    }
}

/// A status after which the same request may succeed.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// What an answer other than a description means.
fn refused(
    response: &Response<ureq::Body>,
    id: &str,
    revision: &str,
    name: &str,
) -> Option<Result<Option<Described>>> {
    let code = response.headers().get("x-error-code").and_then(|value| value.to_str().ok());
    let not_found =
        |what: String| Some(Err(Error::NotFound(format!("the hub has no {what}; check the name"))));
    match (response.status(), code) {
        (status, _) if status.is_success() || status.is_redirection() => None,
        (StatusCode::NOT_FOUND, Some("RevisionNotFound")) => {
            not_found(format!("revision {revision} of {id}"))
        }
        (StatusCode::NOT_FOUND, Some("RepoNotFound")) => not_found(format!("model {id}")),
        (StatusCode::NOT_FOUND, None) if name == super::CONFIG => {
            not_found(format!("model {id} with a revision {revision} and a {name}"))
        }
        (StatusCode::NOT_FOUND, _) => Some(Ok(None)),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Some(Err(Error::Model(format!(
            "{id}: the hub does not give it: there is no such model, or it is for some accounts alone; check the name, \
             or set HF_TOKEN"
        )))),
        (status, _) => Some(Err(unfetched(id, name, &format!("the hub answers {status}")))),
    }
}

fn unfetched(id: &str, name: &str, why: &str) -> Error {
    Error::Model(format!("{id}: cannot fetch {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hashes_are_told_by_their_etag() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object` and `sha256sum` of the same file.
        let git = Hash::parse("W/\"ce013625030ba8dba906f756967f9e9ca394464a\"").unwrap();
        let sha256 =
            Hash::parse("\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"").unwrap();
        assert!(git.is_of(&path, 6).unwrap() && sha256.is_of(&path, 6).unwrap());
        assert!(!git.is_of(&path, 7).unwrap());
        std::fs::write(&path, "hellO\n").unwrap();
        assert!(!git.is_of(&path, 6).unwrap() && !sha256.is_of(&path, 6).unwrap());
        for none in [
            "",
            "\"abc\"",
            "../../../../../../etc/passwd/../../../aaaaaaaa",
            "\"zz13625030ba8dba906f756967f9e9ca394464aa\"",
        ] {
            assert_eq!(Hash::parse(none), None, "{none}");
        }
    }
}
