//! The whole server as its users meet it: cold start, picture ingest, text query, memory with
//! 20,000 pictures. Prints a markdown table. `cargo bench --bench server`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// Pictures that the server holds when its memory is read.
const POINTS: usize = 20_000;
/// Pictures that are really embedded; the rest repeat their vectors with noise.
const EMBEDDED: usize = 2_000;
const STARTS: usize = 5;
const QUERIES: usize = 200;

struct Server {
    child: Child,
    url: String,
    ready: Duration,
}

impl Server {
    fn start(data_dir: &Path) -> Self {
        let began = Instant::now();
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
        ureq::get(format!("{url}/readyz")).call().unwrap();
        Self { child, url, ready: began.elapsed() }
    }

    fn put(&self, path: &str, body: &Value) {
        ureq::put(format!("{}{path}", self.url)).send_json(body).unwrap();
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = ureq::post(format!("{}{path}", self.url)).send_json(body).unwrap();
        // Vectors as JSON are long: 2,000 of them pass the client's default of 10 MiB.
        response.body_mut().with_config().limit(256 << 20).read_json().unwrap()
    }

    /// Resident memory in MiB.
    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: 0 kB");
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(what: &str, target: &str, measured: &str) {
    println!("| {what} | {target} | {measured} |");
}

fn ingest(server: &Server) -> f64 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let list = std::fs::read_to_string(format!("{folder}/samples.jsonl")).unwrap();
    let pictures: Vec<String> = list
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["file"].as_str().unwrap().to_owned())
        .map(|file| {
            base64::engine::general_purpose::STANDARD
                .encode(std::fs::read(format!("{folder}/{file}")).unwrap())
        })
        .collect();
    let began = Instant::now();
    for first in (0..EMBEDDED).step_by(100) {
        let point = |i: usize| json!({"id": i, "vector": {"image": pictures[i % pictures.len()]}, "payload": {"file": format!("{i}.jpg")}});
        server.put(
            "/collections/c/points",
            &json!({"points": (first..first + 100).map(point).collect::<Vec<_>>()}),
        );
    }
    EMBEDDED as f64 / began.elapsed().as_secs_f64()
}

/// The rest of the points: the embedded vectors again, each component moved a little.
fn fill(server: &Server) {
    let body = json!({"limit": EMBEDDED, "with_vector": true, "with_payload": false});
    let embedded = server.post("/collections/c/points/scroll", &body)["result"]["points"].clone();
    let vectors: Vec<Vec<f64>> = embedded
        .as_array()
        .unwrap()
        .iter()
        .map(|p| serde_json::from_value(p["vector"].clone()).unwrap())
        .collect();
    for first in (EMBEDDED..POINTS).step_by(500) {
        let point = |i: usize| {
            let noise = |j: usize| ((i * 31 + j * 17) % 101) as f64 / 101.0 * 0.02 - 0.01;
            let vector: Vec<f64> =
                vectors[i % vectors.len()].iter().enumerate().map(|(j, x)| x + noise(j)).collect();
            json!({"id": i, "vector": vector, "payload": {"file": format!("{i}.jpg")}})
        };
        server.put(
            "/collections/c/points",
            &json!({"points": (first..first + 500).map(point).collect::<Vec<_>>()}),
        );
    }
    while ureq::get(format!("{}/collections/c", server.url))
        .call()
        .unwrap()
        .body_mut()
        .read_json::<Value>()
        .unwrap()["result"]["status"]
        != "green"
    {
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn queries(server: &Server) -> (f64, f64) {
    let words = ["red", "blue", "old", "small", "wooden", "happy", "green"];
    let things = ["shoes", "dress", "apple", "dog", "car", "flag", "hat", "tree", "house", "boat", "shirt"];
    let mut times: Vec<f64> = (0..QUERIES)
        .map(|i| {
            let text = format!("a photo of {i} {} {}", words[i % words.len()], things[i % things.len()]);
            let began = Instant::now();
            server.post(
                "/collections/c/points/query",
                &json!({"query": {"text": text}, "limit": 10, "with_payload": true}),
            );
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[QUERIES / 2], times[QUERIES * 95 / 100])
}

fn main() {
    // `cargo test --benches` runs this too: it is a bench, not a test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let empty: Vec<f64> =
        (0..STARTS).map(|_| Server::start(tempfile::tempdir().unwrap().path()).ready.as_secs_f64()).collect();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.put("/collections/c", &json!({}));
    println!(
        "| bundled model, {} cores | target | measured |",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    println!("|---|---|---|");
    row("cold start to ready, empty", "under 2 s", &format!("{:.2} s (median of {STARTS})", median(empty)));
    row(
        "image ingest over HTTP",
        "at least 60 pictures/s",
        &format!("{:.0} pictures/s ({EMBEDDED} pictures, batches of 100)", ingest(&server)),
    );
    fill(&server);
    let (p50, p95) = queries(&server);
    row(
        "text query end to end, 20k pictures",
        "p50 under 15 ms",
        &format!("p50 {p50:.1} ms, p95 {p95:.1} ms ({QUERIES} queries)"),
    );
    row("resident memory after ingest of 20k", "under 400 MiB", &format!("{:.0} MiB", server.resident_mib()));
    drop(server);
    let again = Server::start(dir.path());
    row(
        "cold start to ready, 20k pictures, after kill -9",
        "under 2 s",
        &format!("{:.2} s", again.ready.as_secs_f64()),
    );
    queries(&again);
    row("resident memory serving 20k", "under 400 MiB", &format!("{:.0} MiB", again.resident_mib()));
}
