//! `models pull`, `list` and `remove` against a small hub of the test's own: what is fetched is what the hub
//! names, whatever happens on the way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::models;
use crate::process::Server;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";
const ID: &str = "tiny/clip";

/// What goes wrong, once unless it says otherwise.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// The connection ends in the middle of the weights.
    Breaks,
    /// It ends there, and the hub knows of no ranges.
    BreaksWithoutRanges,
    /// One byte of the weights is another, always.
    Corrupt,
    /// The hub names no hash, always.
    NoHash,
    /// Files are elsewhere, always: large ones on another host, the others under another path, as on the real one.
    Redirects,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    trouble: Trouble,
    /// `METHOD file range`
    asked: Vec<String>,
    /// Paths of requests that came with a token.
    with_token: Vec<String>,
}

/// A hub with one model, whose branch `main` and tag `v1` are one commit.
struct Hub {
    url: String,
    state: Arc<Mutex<State>>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn etag(name: &str, content: &[u8]) -> String {
    if name == WEIGHTS {
        return hex(&Sha256::digest(content));
    }
    let mut hash = sha1_smol::Sha1::new();
    hash.update(format!("blob {}\0", content.len()).as_bytes());
    hash.update(content);
    hash.digest().to_string()
}

impl Hub {
    fn start(trouble: Trouble) -> Hub {
        let model = tiny_clip();
        let files = std::fs::read_dir(model.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { files, trouble, asked: Vec::new(), with_token: Vec::new() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Hub { url, state }
    }

    fn pull(&self, home: &Path, id: &str) -> Output {
        self.run(home, &["models", "pull", id])
    }

    fn run(&self, home: &Path, args: &[&str]) -> Output {
        command(home, args).env("HF_ENDPOINT", &self.url).output().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

fn tiny_clip() -> tempfile::TempDir {
    models::directory(&models::clip_config(), 32, &models::clip_tokenizer(), |name, shape| {
        let count = shape.iter().product();
        let values: Vec<f32> = models::uniform(name, count).iter().map(|x| x * 0.1).collect();
        candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
    })
}

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lookalike"));
    command.args(args).env("HF_HOME", home).env_remove("HF_TOKEN").current_dir(std::env::temp_dir());
    command
}

/// One request a connection.
fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        lines.push(std::mem::take(&mut line).trim().to_owned());
    }
    let Some((method, rest)) = lines.first().and_then(|line| line.split_once(' ')) else { return };
    let path = rest.split(' ').next().unwrap();
    let range =
        lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
    let mut state = state.lock().unwrap();
    let name = path.rsplit('/').next().unwrap().to_owned();
    state.asked.push(format!("{method} {name} {}", range.clone().unwrap_or_default()).trim().to_owned());
    if lines.iter().any(|line| line.to_ascii_lowercase().starts_with("authorization: bearer secret")) {
        state.with_token.push(path.to_owned());
    }
    let missing = |code: &str| {
        format!(
            "HTTP/1.1 404 Not Found\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    let elsewhere = path.strip_prefix("/cdn").or_else(|| path.strip_prefix("/api/resolve-cache"));
    if path.starts_with("/cdn") && method == "HEAD" {
        return drop(
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        );
    }
    let Some(rest) = elsewhere.unwrap_or(path).strip_prefix(&format!("/{ID}/resolve/")) else {
        return drop(stream.write_all(missing("RepoNotFound").as_bytes()));
    };
    if !["main", "v1", COMMIT].contains(&rest.split('/').next().unwrap()) {
        return drop(stream.write_all(missing("RevisionNotFound").as_bytes()));
    }
    let Some(content) = state.files.get(&name).cloned() else {
        return drop(stream.write_all(missing("EntryNotFound").as_bytes()));
    };
    let mut head = format!("X-Repo-Commit: {COMMIT}\r\nConnection: close\r\n");
    if state.trouble != Trouble::NoHash {
        let key = if name == WEIGHTS { "X-Linked-ETag" } else { "ETag" };
        head += &format!("{key}: \"{}\"\r\n", etag(&name, &content));
    }
    if state.trouble == Trouble::Redirects && elsewhere.is_none() {
        let port = stream.local_addr().unwrap().port();
        let (status, to) = match name == WEIGHTS {
            true => ("302 Found", format!("http://localhost:{port}/cdn{path}")),
            false => ("307 Temporary Redirect", format!("/api/resolve-cache{path}")),
        };
        if name == WEIGHTS {
            head += &format!("X-Linked-Size: {}\r\n", content.len());
        } else {
            head = format!("X-Repo-Commit: {COMMIT}\r\nConnection: close\r\n");
        }
        head = format!("HTTP/1.1 {status}\r\n{head}Location: {to}\r\nContent-Length: 0\r\n\r\n");
        return drop(stream.write_all(head.as_bytes()));
    }
    if method == "HEAD" {
        let size = content.len();
        head += &format!("Content-Length: {size}\r\nX-Linked-Size: {size}\r\n");
        return drop(stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes()));
    }
    let mut content = content;
    if name == WEIGHTS && state.trouble == Trouble::Corrupt {
        let middle = content.len() / 2;
        content[middle] ^= 1;
    }
    let knows_ranges = state.trouble != Trouble::BreaksWithoutRanges;
    let breaks = matches!(state.trouble, Trouble::Breaks | Trouble::BreaksWithoutRanges);
    let start =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = start.filter(|_| knows_ranges).unwrap_or(0);
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    if start > 0 {
        head += &format!("Content-Range: bytes {start}-{}/{}\r\n", content.len() - 1, content.len());
    }
    let body = &content[start..];
    head = format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n", body.len());
    let mut sent = body.len();
    if name == WEIGHTS && breaks && start == 0 {
        let already = state.asked.iter().filter(|asked| asked.starts_with(&format!("GET {WEIGHTS}"))).count();
        if already == 1 {
            sent /= 2;
        }
    }
    drop(state);
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body[..sent]);
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

#[track_caller]
fn failed(output: &Output, named: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", text(output));
    assert!(text(output).contains(named), "{}", text(output));
}

fn folder(home: &Path) -> PathBuf {
    home.join("hub/models--tiny--clip")
}

/// Names of blobs that are no whole files under their hash.
fn wrong_blobs(home: &Path) -> Vec<String> {
    let blobs = std::fs::read_dir(folder(home).join("blobs")).into_iter().flatten().flatten();
    let is_right = |path: &Path, name: &str| {
        let content = std::fs::read(path).unwrap();
        etag(if name.len() == 64 { WEIGHTS } else { "" }, &content) == name
    };
    blobs
        .map(|blob| (blob.path(), blob.file_name().into_string().unwrap()))
        .filter(|(path, name)| !is_right(path, name))
        .map(|(_, name)| name)
        .collect()
}

#[test]
fn a_pulled_model_is_listed_serves_offline_and_is_removed() {
    let (hub, home) = (Hub::start(Trouble::None), tempfile::tempdir().unwrap());
    let said = succeeded(&hub.pull(home.path(), ID));
    assert!(said.contains(&format!("{ID}@{COMMIT}")) && said.contains("16 dimensions"), "{said}");
    let gets: Vec<_> = hub.asked().into_iter().filter(|asked| asked.starts_with("GET")).collect();
    assert_eq!(
        gets,
        ["GET config.json", "GET preprocessor_config.json", "GET tokenizer.json", "GET model.safetensors"]
    );
    assert!(wrong_blobs(home.path()).is_empty());
    let link = folder(home.path()).join("snapshots").join(COMMIT).join(WEIGHTS);
    assert!(std::fs::read_link(&link).unwrap().starts_with("../../blobs"));

    let listed = hub.run(home.path(), &["models", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[1]["name"], ID);
    assert_eq!(listed[1]["revisions"][0], format!("{COMMIT} (main)"));

    // A second time nothing is fetched; a commit is a revision like any other.
    let before = hub.asked().len();
    succeeded(&hub.pull(home.path(), &format!("{ID}@{COMMIT}")));
    assert!(hub.asked()[before..].iter().all(|asked| asked.starts_with("HEAD")));

    for model in [ID.to_owned(), format!("{ID}@{COMMIT}")] {
        let data = tempfile::tempdir().unwrap();
        let environment = [("HF_HOME", home.path().to_str().unwrap())];
        let flags = ["--offline", "--model", model.as_str()];
        let server = Server::try_start_under(data.path(), &flags, &environment).unwrap();
        assert_eq!(server.get("/models").ok()["models"][0]["dimension"], 16);
    }

    let removed = succeeded(&hub.run(home.path(), &["models", "remove", ID]));
    assert!(removed.contains("removed tiny/clip") && removed.contains("free"), "{removed}");
    assert!(!folder(home.path()).exists());
    failed(&hub.run(home.path(), &["models", "remove", ID]), "is not in the cache");
}

#[test]
fn a_tag_is_removed_without_the_branch_that_is_the_same_commit() {
    let (hub, home) = (Hub::start(Trouble::None), tempfile::tempdir().unwrap());
    succeeded(&hub.pull(home.path(), ID));
    succeeded(&hub.pull(home.path(), &format!("{ID}@v1")));
    let removed = hub.run(home.path(), &["models", "remove", &format!("{ID}@v1"), "--json"]);
    let removed: Value = serde_json::from_slice(&removed.stdout).unwrap();
    assert_eq!(removed["bytes"], 0);
    failed(&hub.run(home.path(), &["models", "remove", &format!("{ID}@v1")]), "v1 is not in the cache");
    let removed = hub.run(home.path(), &["models", "remove", &format!("{ID}@main"), "--json"]);
    let removed: Value = serde_json::from_slice(&removed.stdout).unwrap();
    assert_eq!(removed["commits"][0], COMMIT);
    assert!(removed["bytes"].as_u64().unwrap() > 100_000, "{removed}");
    assert!(!folder(home.path()).exists());
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    let (hub, home) = (Hub::start(Trouble::Breaks), tempfile::tempdir().unwrap());
    succeeded(&hub.pull(home.path(), ID));
    let half = hub.state.lock().unwrap().files[WEIGHTS].len() / 2;
    let gets: Vec<_> = hub.asked().into_iter().filter(|asked| asked.starts_with("GET model")).collect();
    assert_eq!(gets, ["GET model.safetensors".to_owned(), format!("GET model.safetensors bytes={half}-")]);
    assert!(wrong_blobs(home.path()).is_empty());
}

#[test]
fn a_hub_without_ranges_sends_all_of_a_file_again() {
    let (hub, home) = (Hub::start(Trouble::BreaksWithoutRanges), tempfile::tempdir().unwrap());
    succeeded(&hub.pull(home.path(), ID));
    assert!(wrong_blobs(home.path()).is_empty());
}

#[test]
fn a_file_with_another_hash_is_refused_and_not_kept() {
    let (hub, home) = (Hub::start(Trouble::Corrupt), tempfile::tempdir().unwrap());
    failed(&hub.pull(home.path(), ID), "do not have the hash");
    assert!(wrong_blobs(home.path()).is_empty(), "{:?}", wrong_blobs(home.path()));
    assert!(!folder(home.path()).join("snapshots").join(COMMIT).join(WEIGHTS).exists());
    assert!(!folder(home.path()).join("refs/main").exists());
    let listed = hub.run(home.path(), &["models", "list", "--json"]);
    assert!(!text(&listed).contains(ID), "{}", text(&listed));

    // What was damaged on the disk later is fetched again, and so is a wrong beginning.
    hub.state.lock().unwrap().trouble = Trouble::None;
    succeeded(&hub.pull(home.path(), ID));
    let weights = hub.state.lock().unwrap().files[WEIGHTS].clone();
    let blob = folder(home.path()).join("blobs").join(etag(WEIGHTS, &weights));
    std::fs::write(&blob, vec![0; weights.len()]).unwrap();
    let begun = blob.with_file_name(format!("{}.incomplete", etag(WEIGHTS, &weights)));
    std::fs::write(&begun, "not the beginning").unwrap();
    succeeded(&hub.pull(home.path(), ID));
    assert!(wrong_blobs(home.path()).is_empty());
    assert!(!begun.exists());
}

#[test]
fn what_cannot_be_fetched_or_used_is_refused_by_name() {
    let (hub, home) = (Hub::start(Trouble::None), tempfile::tempdir().unwrap());
    failed(&hub.pull(home.path(), &format!("{ID}@nothing")), "no revision nothing of tiny/clip");
    failed(&hub.pull(home.path(), "tiny/other"), "no model tiny/other");
    failed(&hub.run(home.path(), &["models", "pull", ID, "--offline"]), "offline is set");
    let offline =
        command(home.path(), &["models", "pull", ID]).env("LOOKALIKE_OFFLINE", "true").output().unwrap();
    failed(&offline, "offline is set");
    for wrong in ["../../etc", "/etc", "bundled", "a/b@../../c"] {
        for verb in ["pull", "remove"] {
            let output = hub.run(home.path(), &["models", verb, wrong]);
            assert_eq!(output.status.code(), Some(2), "{verb} {wrong}: {}", text(&output));
        }
    }
    assert!(!home.path().join("hub").join("models--tiny--clip/snapshots").exists());

    // An unsupported checkpoint is told before its weights are fetched.
    let config = String::from_utf8(hub.state.lock().unwrap().files["config.json"].clone()).unwrap();
    let unsupported = config.replace("quick_gelu", "swish").into_bytes();
    hub.state.lock().unwrap().files.insert("config.json".into(), unsupported);
    failed(&hub.pull(home.path(), ID), "hidden_act");
    assert!(!hub.asked().iter().any(|asked| asked.starts_with("GET model")));
    // One whose weights are of another shape is told when they are there.
    let other = config.replace("\"projection_dim\":16", "\"projection_dim\":8").into_bytes();
    hub.state.lock().unwrap().files.insert("config.json".into(), other);
    failed(&hub.pull(home.path(), ID), "projection");
    // Without weights there is nothing to use.
    hub.state.lock().unwrap().files.remove(WEIGHTS);
    hub.state.lock().unwrap().files.insert("config.json".into(), config.into_bytes());
    failed(&hub.pull(home.path(), ID), "has no model.safetensors");

    hub.state.lock().unwrap().trouble = Trouble::NoHash;
    failed(&hub.pull(home.path(), ID), "cannot be checked");
    let nowhere =
        command(home.path(), &["models", "pull", ID]).env("HF_ENDPOINT", "http://127.0.0.1:1").output();
    failed(&nowhere.unwrap(), "cannot fetch config.json");
}

#[test]
fn files_that_are_elsewhere_are_fetched_from_there_without_the_token() {
    let (hub, home) = (Hub::start(Trouble::Redirects), tempfile::tempdir().unwrap());
    let mut pull = command(home.path(), &["models", "pull", ID]);
    let output = pull.env("HF_ENDPOINT", &hub.url).env("HF_TOKEN", "secret").output().unwrap();
    succeeded(&output);
    assert!(wrong_blobs(home.path()).is_empty());
    let with_token = hub.state.lock().unwrap().with_token.clone();
    assert!(with_token.iter().any(|path| path.starts_with(&format!("/{ID}"))), "{with_token:?}");
    assert!(with_token.iter().any(|path| path.starts_with("/api")), "{with_token:?}");
    assert!(!with_token.iter().any(|path| path.starts_with("/cdn")), "{with_token:?}");
}

#[test]
fn two_pulls_at_once_fetch_each_file_once() {
    let (hub, home) = (Hub::start(Trouble::None), tempfile::tempdir().unwrap());
    let start =
        || command(home.path(), &["models", "pull", ID]).env("HF_ENDPOINT", &hub.url).spawn().unwrap();
    let mut both = [start(), start()];
    assert!(both.iter_mut().all(|child| child.wait().unwrap().success()));
    assert!(wrong_blobs(home.path()).is_empty());
    assert_eq!(hub.asked().iter().filter(|asked| asked.starts_with("GET")).count(), 4, "{:?}", hub.asked());
}
