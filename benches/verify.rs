//! How long one decision takes in the whole server with 10,000 subjects of 10 references each: verify from a
//! picture and from features, identify among all. The references are features drawn at random around each
//! subject's own, which cost what real ones cost. Prints a markdown table.
//! `cargo bench --profile dev --bench verify`; `SUBJECTS=1000` for less.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Cursor};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use lookalike::preprocess::{Cleaning, Signature};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

const SUBJECTS: usize = 10_000;
const REFERENCES: usize = 10;
/// Points of a request.
const BATCH: usize = 400;
const ASKED: usize = 200;

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data_dir: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lookalike"))
            .args(["serve", "--port", "0", "--data-dir"])
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

    fn put(&self, path: &str, body: &Value) {
        ureq::put(format!("{}{path}", self.url)).send_json(body).unwrap();
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        ureq::post(format!("{}{path}", self.url)).send_json(body).unwrap().body_mut().read_json().unwrap()
    }

    fn dimension(&self) -> usize {
        let path = format!("{}/collections/s", self.url);
        let info: Value = ureq::get(path).call().unwrap().body_mut().read_json().unwrap();
        info["result"]["config"]["params"]["vectors"]["size"].as_u64().unwrap() as usize
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the tower might make of a subject's signature: the subject's own numbers and a little of others.
fn features(subject: usize, number: usize, dimension: usize) -> Vec<f32> {
    let mut own = SmallRng::seed_from_u64(subject as u64);
    let mut other = SmallRng::seed_from_u64((subject * 1000 + number + 1) as u64);
    // Rounded, so that the requests are not mostly digits.
    let mut value = || {
        ((own.random_range(0.0f32..1.0) + 0.3 * other.random_range(0.0f32..1.0)) * 1000.0).round() / 1000.0
    };
    (0..dimension).map(|_| value()).collect()
}

/// A picture with strokes in it; `bend` makes another signature of the same hand.
fn drawn(bend: f32) -> GrayImage {
    let mut paper = GrayImage::from_pixel(500, 200, Luma([250]));
    for step in 0..9000 {
        let t = step as f32 / 9000.0;
        let (x, y) = (
            60.0 + 380.0 * t + 20.0 * (40.0 * t + bend).sin(),
            100.0 + 50.0 * (25.0 * t + bend).sin() * (7.0 * t).cos(),
        );
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            paper.put_pixel(x as u32 + dx, y as u32 + dy, Luma([30]));
        }
    }
    paper
}

/// The print that an enrolment would keep.
fn print(picture: &GrayImage) -> String {
    let picture = DynamicImage::ImageLuma8(picture.clone()).into_rgb8();
    Signature::find(&picture, Cleaning::default()).unwrap().print().to_text()
}

fn base64(picture: GrayImage) -> String {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    base64::engine::general_purpose::STANDARD.encode(bytes.into_inner())
}

/// Median and 99th percentile of some calls, in milliseconds.
fn timed(mut call: impl FnMut(usize)) -> (f64, f64) {
    let mut times: Vec<Duration> = (0..ASKED)
        .map(|number| {
            let began = Instant::now();
            call(number);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[(ASKED * share / 100).min(ASKED - 1)].as_secs_f64() * 1000.0;
    (at(50), at(99))
}

fn main() {
    // `cargo test` runs benches too: that would take minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let subjects = std::env::var("SUBJECTS").map_or(SUBJECTS, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.put("/collections/s", &json!({"signatures": {}}));
    let dimension = server.dimension();
    let began = Instant::now();
    let prints: Vec<String> = (1..=REFERENCES).map(|number| print(&drawn(0.1 * number as f32))).collect();
    let all: Vec<usize> = (0..subjects * REFERENCES).collect();
    for batch in all.chunks(BATCH) {
        let point = |&id: &usize| {
            let (subject, number) = (id / REFERENCES, id % REFERENCES);
            let payload = json!({"subject": format!("s{subject}"), "print": prints[number]});
            json!({"id": id, "vector": features(subject, number, dimension), "payload": payload})
        };
        let points: Vec<Value> = batch.iter().map(point).collect();
        server.put("/collections/s/points?wait=true", &json!({"points": points}));
    }
    eprintln!("{} references put in after {:.0} s", all.len(), began.elapsed().as_secs_f64());
    let ask = |number: usize, sample: Value| {
        let subject = number * 7919 % subjects;
        let body = json!({"subject": format!("s{subject}"), "sample": sample, "policy": {"threshold": 0.5}});
        server.post("/collections/s/verify", &body)
    };
    let probe = |number: usize| json!({"vector": features(number * 7919 % subjects, 999, dimension)});
    let began = Instant::now();
    let first = ask(0, probe(0));
    let whitened = began.elapsed();
    assert_eq!(first["result"]["references"].as_array().unwrap().len(), REFERENCES, "{first}");
    let picture = base64(drawn(0.0));
    let from_picture = timed(|number| drop(ask(number, json!(picture))));
    let from_features = timed(|number| drop(ask(number, probe(number))));
    let identified = timed(|number| {
        let found = server.post("/collections/s/identify", &json!({"sample": probe(number)}));
        assert_eq!(
            found["result"]["candidates"][0]["subject"],
            json!(format!("s{}", number * 7919 % subjects))
        );
    });
    println!(
        "| {subjects} subjects, {REFERENCES} references each, {dimension} components | target | p50 | p99 |\n|---|---|---|---|"
    );
    for (what, target, (p50, p99)) in [
        ("verify, from a picture (ink, tower, print and comparison)", "-", from_picture),
        ("verify, from features", "under 20 ms", from_features),
        ("identify among all, from features", "under 50 ms", identified),
    ] {
        println!("| {what} | {target} | {p50:.1} ms | {p99:.1} ms |");
    }
    println!("| first call after a start (whitens all references) | - | {:.1} s | |", whitened.as_secs_f64());
    println!("| resident memory | - | {:.0} MiB | |", server.resident_mib());
}
