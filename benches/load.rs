//! Text queries over HTTP alone, and while pictures are ingested as fast as they are taken: p50 and p99.
//! `cargo bench --bench load`; LOAD_SECS (10) is the time of each row, LOAD_SENDERS (2) the connections that ingest.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// Pictures of one request of the ingest.
const BATCH: usize = 32;

struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Without the cache: every text and every picture goes through the model.
    fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lookalike"))
            .args(["serve", "--embed-cache-mib", "0", "--port", "0", "--data-dir"])
            .arg(data_dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("ready ") {
            assert!(stdout.read_line(&mut banner).unwrap() > 0, "the server did not start: {banner}");
        }
        let url = banner.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The sample pictures as base64.
fn pictures() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let list = std::fs::read_to_string(format!("{folder}/samples.jsonl")).unwrap();
    let file = |line: &str| serde_json::from_str::<Value>(line).unwrap()["file"].as_str().unwrap().to_owned();
    list.lines()
        .map(|line| std::fs::read(format!("{folder}/{}", file(line))).unwrap())
        .map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes))
        .collect()
}

/// Milliseconds of text queries, one after the other on one connection.
fn queries(url: &str, time: Duration, first: usize) -> Vec<f64> {
    let agent = ureq::Agent::new_with_defaults();
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let body = json!({"query": {"text": format!("a photo of thing number {}", first + times.len())}, "limit": 10});
        let sent = Instant::now();
        let mut answer = agent.post(format!("{url}/collections/c/points/query")).send_json(body).unwrap();
        answer.body_mut().read_to_string().unwrap();
        times.push(sent.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times
}

/// Sends pictures until it is told to stop.
fn ingest(url: &str, pictures: &[String], sender: usize, sent: &AtomicUsize, stop: &AtomicBool) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut next = sender * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        let point = |id: usize| json!({"id": id, "vector": {"image": pictures[id % pictures.len()]}});
        let body = json!({"points": (next..next + BATCH).map(point).collect::<Vec<_>>()});
        let answer = agent.put(format!("{url}/collections/c/points")).send_json(body).unwrap();
        match answer.status().as_u16() {
            200 => {
                next += BATCH;
                sent.fetch_add(BATCH, Ordering::Relaxed);
            }
            429 => std::thread::sleep(Duration::from_millis(100)),
            other => panic!("the ingest was answered {other}"),
        }
    }
}

fn row(what: &str, times: &[f64], pictures_per_sec: Option<f64>) {
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let rate = pictures_per_sec.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
    println!(
        "| {what} | {} | {:.1} | {:.1} | {:.1} | {rate} |",
        times.len(),
        at(50),
        at(99),
        times[times.len() - 1]
    );
}

fn main() {
    // `cargo test --benches` runs this too: it is a bench, not a test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let time = Duration::from_secs(setting("LOAD_SECS", 10));
    let senders = usize::try_from(setting("LOAD_SENDERS", 2)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let url = server.url.as_str();
    ureq::put(format!("{url}/collections/c")).send_json(json!({})).unwrap();
    let pictures = pictures();
    queries(url, Duration::from_millis(500), 900_000); // warm
    println!("| text queries, one client | queries | p50 ms | p99 ms | longest ms | pictures/s beside |");
    println!("|---|---|---|---|---|---|");
    row("alone", &queries(url, time, 0), None);
    let (sent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (times, rate) = std::thread::scope(|scope| {
        for sender in 0..senders {
            let (sent, stop, pictures) = (&sent, &stop, &pictures);
            scope.spawn(move || ingest(url, pictures, sender, sent, stop));
        }
        std::thread::sleep(Duration::from_secs(1));
        let (before, began) = (sent.load(Ordering::Relaxed), Instant::now());
        let times = queries(url, time, 500_000);
        let rate = (sent.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        (times, rate)
    });
    row(&format!("while {senders} connections ingest pictures"), &times, Some(rate));
}
