//! `GET /metrics`, and what it shows of the batching service: equal inputs, callers who leave, lanes.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::json;

use crate::process::{Server, sample};

const SMALL: &str = "clothing/5144499e-7848-4441-8873-7daab5386eec.jpg";

/// The value of a series, 0 where it is not there yet.
fn value(server: &Server, series: &str) -> f64 {
    let answer = server.get("/metrics");
    let text = answer.body.as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, 200, "{text}");
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn picture() -> String {
    base64::engine::general_purpose::STANDARD.encode(sample(SMALL))
}

#[test]
fn metrics_are_behind_the_key_and_count_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lookalike.toml");
    std::fs::write(&config, "api_key = \"a-secret-key\"\nread_only_api_key = \"reader-key\"\n").unwrap();
    let mut server = Server::start_with(&["--config", config.to_str().unwrap()]);
    server.get("/metrics").err(401);
    server.set_key(Some("a-secret-key"));
    server.put("/collections/c", &json!({})).ok();
    let points: Vec<_> = (0..5).map(|i| json!({"id": i, "vector": {"image": picture()}})).collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    for _ in 0..3 {
        server.post("/collections/c/points/query", &json!({"query": {"text": "a shirt"}})).ok();
    }
    server.get("/collections/nothing").err(404);
    server.send("TRACE", "/collections/c", &[], b"").err(405);
    server.set_key(Some("reader-key"));
    for (series, expected) in [
        ("lookalike_points{collection=\"c\"}", 5.0),
        ("lookalike_collections", 1.0),
        (
            "lookalike_http_requests_total{endpoint=\"/collections/{name}\",method=\"GET\",status=\"404\"}",
            1.0,
        ),
        (
            "lookalike_http_requests_total{endpoint=\"/collections/{name}\",method=\"OTHER\",status=\"405\"}",
            1.0,
        ),
        ("lookalike_http_requests_total{endpoint=\"/metrics\",method=\"GET\",status=\"401\"}", 1.0),
        (
            "lookalike_http_request_seconds_count{endpoint=\"/collections/{name}/points/query\",method=\"POST\"}",
            3.0,
        ),
        // Five equal pictures and three equal texts are embedded once each.
        ("lookalike_embed_batch_items_sum{kind=\"picture\",lane=\"ingest\"}", 1.0),
        ("lookalike_embed_batch_items_sum{kind=\"text\",lane=\"queries\"}", 1.0),
        ("lookalike_embed_cache_misses_total", 2.0),
        ("lookalike_embed_cache_hits_total", 6.0),
        ("lookalike_decode_seconds_count", 1.0),
        ("lookalike_decode_bytes", 0.0),
        ("lookalike_embed_queue_items{lane=\"queries\"}", 0.0),
        ("lookalike_embed_queue_items{lane=\"ingest\"}", 0.0),
    ] {
        assert_eq!(value(&server, series), expected, "{series}");
    }
    assert!(value(&server, "lookalike_embed_cache_bytes") > 2.0 * 1024.0);
    if cfg!(target_os = "linux") {
        assert!(value(&server, "process_resident_memory_bytes") > 1e6);
    }
}

#[test]
fn what_a_client_who_has_gone_still_had_waiting_is_not_computed() {
    let server = Server::start_with(&["--embed-cache-mib", "0"]);
    server.put("/collections/c", &json!({})).ok();
    let count = 1_500;
    let points: Vec<_> = (0..count).map(|i| json!({"id": i, "vector": {"image": picture()}})).collect();
    let body = json!({"points": points}).to_string();
    let host = server.url.trim_start_matches("http://");
    let mut client = TcpStream::connect(host).unwrap();
    let head = format!(
        "PUT /collections/c/points HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(body.as_bytes()).unwrap();
    let items = "lookalike_embed_batch_items_sum{kind=\"picture\",lane=\"ingest\"}";
    let until = Instant::now() + Duration::from_secs(50);
    while value(&server, items) == 0.0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    while value(&server, "lookalike_embed_queue_items{lane=\"ingest\"}") > 0.0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200)); // the batch that was running
    let done = value(&server, items);
    assert!(done > 0.0 && done < f64::from(count) / 2.0, "{done} of {count} were computed");
    assert_eq!((server.count("c"), value(&server, items)), (0, done));
}
