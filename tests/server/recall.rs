//! The graph finds what an exact search finds, on vectors that the model made.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Server, samples};

const POINTS: usize = 20_000;
const QUERIES: usize = 200;

/// Texts about the sample pictures, each different from every other.
fn text(i: usize, labels: &[String]) -> String {
    const FRAMES: [&str; 7] = [
        "a photo of {} and {}",
        "{} beside {}",
        "{} on top of {}",
        "two {} without {}",
        "a drawing of {} near {}",
        "{} in a room with {}",
        "somebody holds {} and sees {}",
    ];
    let (a, b) = (i % labels.len(), (i / labels.len() * 37 + i * 11) % labels.len());
    FRAMES[i % FRAMES.len()].replacen("{}", &labels[a], 1).replacen("{}", &labels[b], 1)
}

#[test]
fn recall_at_ten_is_at_least_98_percent_with_default_parameters_on_20k_embeddings() {
    let server = Server::start();
    // Default m, ef_construct and ef; the threshold only brings most vectors into the graph, which
    // would otherwise leave up to 10,000 of them to the exact scan.
    server.put("/collections/c", &json!({"hnsw_config": {"full_scan_threshold": 1000}})).ok();
    let labels: Vec<String> = samples().iter().map(|s| s["label"].as_str().unwrap().to_owned()).collect();
    for first in (0..POINTS).step_by(500) {
        let points: Vec<_> =
            (first..first + 500).map(|i| json!({"id": i, "vector": {"text": text(i, &labels)}})).collect();
        server.put("/collections/c/points", &json!({"points": points})).ok();
    }
    let started = Instant::now();
    let indexed = loop {
        let info = server.get("/collections/c").ok();
        if info["status"] == "green" {
            break info["indexed_vectors_count"].as_u64().unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(300), "the graph is not built: {info}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(indexed > 15_000, "only {indexed} vectors are in the graph");
    let queries = |exact: bool| -> Vec<Value> {
        let one = |i: usize| {
            let query = json!({"text": format!("{} please", text(i * 97 + 31, &labels))});
            json!({"query": query, "limit": 10, "params": {"exact": exact}})
        };
        (0..QUERIES).map(one).collect()
    };
    let scores = |exact: bool| -> Vec<Vec<f64>> {
        let answer =
            server.post("/collections/c/points/query/batch", &json!({"searches": queries(exact)})).ok();
        let scores = |a: &Value| {
            a["points"].as_array().unwrap().iter().map(|p| p["score"].as_f64().unwrap()).collect()
        };
        answer.as_array().unwrap().iter().map(scores).collect()
    };
    // Some texts are the same: a hit is right if it scores no worse than the tenth of the exact search.
    let (exact, walked) = (scores(true), scores(false));
    let right = |(exact, walked): (&Vec<f64>, &Vec<f64>)| {
        walked.iter().filter(|score| **score >= exact[9] - 1e-6).count()
    };
    let found: usize = exact.iter().zip(&walked).map(right).sum();
    let recall = found as f64 / (QUERIES * 10) as f64;
    println!("recall@10 {recall:.4} over {QUERIES} queries, {indexed} of {POINTS} vectors in the graph");
    assert!(recall >= 0.98, "recall@10 is {recall}");
}
