//! Vectors in 16 bits: what comes in is rounded once, and that is what is stored, answered and compared.

use serde_json::{Value, json};

use crate::process::Server;

const SIZE: usize = 200;

fn vector(i: usize) -> Vec<f32> {
    (0..SIZE).map(|at| ((i * 37 + at * 11) % 1009) as f32 / 73.3 - 6.0).collect()
}

fn filled(server: &Server, name: &str, datatype: &str, distance: &str) {
    let vectors = json!({"size": SIZE, "distance": distance, "datatype": datatype});
    server.put(&format!("/collections/{name}"), &json!({"vectors": vectors})).ok();
    let points: Vec<Value> = (0..400).map(|i| json!({"id": i, "vector": vector(i)})).collect();
    server.put(&format!("/collections/{name}/points?wait=true"), &json!({"points": points})).ok();
}

fn stored(server: &Server, name: &str, id: usize) -> Vec<f32> {
    let point = server.get(&format!("/collections/{name}/points/{id}")).ok();
    serde_json::from_value(point["vector"].clone()).unwrap()
}

fn rounded(x: f32) -> f32 {
    half::f16::from_f32(x).to_f32()
}

#[test]
fn vectors_of_16_bits_are_rounded_once_and_are_the_same_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    for distance in ["Euclid", "Cosine"] {
        filled(&server, distance, "float16", distance);
        filled(&server, &format!("whole-{distance}"), "float32", distance);
    }
    let described = server.get("/collections/Euclid").ok();
    assert_eq!(described["config"]["params"]["vectors"]["datatype"], "float16");
    let disk = |name: &str| server.get(&format!("/collections/{name}")).ok()["disk_bytes"].as_u64().unwrap();
    let (half, whole) = (disk("Euclid"), disk("whole-Euclid"));
    let saved = (400 * SIZE * 2) as u64;
    assert!(half + saved <= whole + 4096, "{half} and {whole} bytes");
    let expected: Vec<f32> = vector(7).into_iter().map(rounded).collect();
    assert_eq!(stored(&server, "Euclid", 7), expected);
    assert_ne!(expected, vector(7));
    assert_eq!(stored(&server, "whole-Euclid", 7), vector(7));
    let ask = |server: &Server, name: &str| {
        let query = json!({"query": vector(123), "limit": 5, "params": {"exact": true}});
        server.post(&format!("/collections/{name}/points/query"), &query).ok()["points"].clone()
    };
    // The score is that of what is stored: not 0, by the rounding.
    let found = ask(&server, "Euclid");
    assert_eq!(found[0]["id"], 123);
    let apart: f32 = vector(123).iter().map(|x| (x - rounded(*x)).powi(2)).sum::<f32>().sqrt();
    let score = found[0]["score"].as_f64().unwrap() as f32;
    assert!((score - apart).abs() < 1e-4 && apart > 0.0, "{score} for {apart}");
    let before = (stored(&server, "Cosine", 7), ask(&server, "Cosine"), found);
    let norm: f32 = before.0.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((norm - 1.0).abs() < 1e-3 && before.0.iter().all(|x| rounded(*x) == *x), "{norm}");
    // What was read is written again: nothing changes.
    let again = json!({"points": [{"id": 7, "vector": before.0}]});
    server.put("/collections/Cosine/points?wait=true", &again).ok();
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    let after = (stored(&server, "Cosine", 7), ask(&server, "Cosine"), ask(&server, "Euclid"));
    assert_eq!(after.0, before.0);
    // A point's version may have risen, its place and score not.
    for (after, before) in [(after.1, before.1), (after.2, before.2)] {
        let places = |hits: &Value| -> Vec<(Value, Value)> {
            let hits = hits.as_array().unwrap();
            hits.iter().map(|hit| (hit["id"].clone(), hit["score"].clone())).collect()
        };
        assert_eq!(places(&after), places(&before));
    }
}

#[test]
fn what_16_bits_cannot_hold_is_refused_and_nothing_is_written() {
    let server = Server::start();
    let vectors = json!({"size": 2, "distance": "Dot", "datatype": "float16"});
    server.put("/collections/c", &json!({"vectors": vectors})).ok();
    let points = json!({"points": [{"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [0, 70000]}]});
    let error = server.put("/collections/c/points?wait=true", &points).err(400);
    assert!(error.contains("vector component 1 is 70000") && error.contains("65504"), "{error}");
    assert_eq!(server.count("c"), 0);
    let bytes = json!({"vectors": {"size": 2, "distance": "Dot", "datatype": "uint8"}});
    let error = server.put("/collections/d", &bytes).err(400);
    assert!(error.contains("vectors.datatype `uint8`") && error.contains("`float16`"), "{error}");
}
