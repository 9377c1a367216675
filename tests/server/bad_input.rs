//! Whatever is wrong with a request, the answer is a 4xx that names the field or the item, the
//! server goes on, and nothing is half written. The answers are kept as a snapshot.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::images::upload;
use crate::model::base64;
use crate::process::{Server, sample, samples};

/// A request that must be refused.
struct Case {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    body: String,
}

fn case(name: &'static str, method: &'static str, path: &'static str, body: impl Into<String>) -> Case {
    Case { name, method, path, body: body.into() }
}

/// A JSON body.
fn sent(name: &'static str, method: &'static str, path: &'static str, body: &Value) -> Case {
    case(name, method, path, body.to_string())
}

const POINTS: &str = "/collections/c/points";
const DUPLICATES: &str = "/collections/c/duplicates";
const QUERY: &str = "/collections/c/points/query";

fn bodies() -> Vec<Case> {
    vec![
        case("body is not JSON", "PUT", POINTS, "{points"),
        case("body is cut off", "PUT", POINTS, r#"{"points": [{"id": 1, "vector": [1, 2"#),
        case("body goes on after its end", "PUT", POINTS, r#"{"points": []} x"#),
        case("body is a list", "PUT", POINTS, "[]"),
        case("body is empty", "PUT", POINTS, ""),
        case("body is not UTF-8 inside a string", "POST", QUERY, String::from("{\"using\": \"\u{0}\"}")),
        sent("unknown field", "PUT", POINTS, &json!({"pionts": []})),
        sent("no points", "PUT", POINTS, &json!({"points": []})),
        sent("points and batch", "PUT", POINTS, &json!({"points": [], "batch": {"ids": [], "vectors": []}})),
        sent("points is no list", "PUT", POINTS, &json!({"points": 5})),
        case("deeply nested body", "PUT", POINTS, "[".repeat(100_000)),
    ]
}

fn points() -> Vec<Case> {
    let point =
        |vector: Value| json!({"points": [{"id": 1, "vector": [1, 2, 3, 4]}, {"id": 2, "vector": vector}]});
    let long = json!(vec![0.5; 70_000]);
    vec![
        sent("id is missing", "PUT", POINTS, &json!({"points": [{"vector": [1, 2, 3, 4]}]})),
        sent("id is negative", "PUT", POINTS, &json!({"points": [{"id": -1, "vector": [1, 2, 3, 4]}]})),
        sent("id is a word", "PUT", POINTS, &json!({"points": [{"id": "cat", "vector": [1, 2, 3, 4]}]})),
        sent("id is a float", "PUT", POINTS, &json!({"points": [{"id": 1.5, "vector": [1, 2, 3, 4]}]})),
        sent("vector is missing", "PUT", POINTS, &json!({"points": [{"id": 1}]})),
        sent(
            "payload is no object",
            "PUT",
            POINTS,
            &json!({"points": [{"id": 1, "vector": [1, 2, 3, 4], "payload": [1]}]}),
        ),
        sent(
            "point has an unknown field",
            "PUT",
            POINTS,
            &json!({"points": [{"id": 1, "vector": [1, 2, 3, 4], "paylaod": {}}]}),
        ),
        sent("vector is too short", "PUT", POINTS, &point(json!([1, 2]))),
        sent("vector is too long", "PUT", POINTS, &point(json!([1, 2, 3, 4, 5]))),
        sent("vector is empty", "PUT", POINTS, &point(json!([]))),
        sent("vector has a word", "PUT", POINTS, &point(json!([1, 2, "x", 4]))),
        sent("vector has a null", "PUT", POINTS, &point(json!([1, null, 3, 4]))),
        sent("vector is zero under cosine", "PUT", POINTS, &point(json!([0, 0, 0, 0]))),
        sent("vector has huge numbers", "PUT", POINTS, &point(json!([1e30, 1e30, 1e30, 1e30]))),
        case("vector has NaN", "PUT", POINTS, r#"{"points": [{"id": 1, "vector": [1, NaN, 3, 4]}]}"#),
        case(
            "vector has Infinity",
            "PUT",
            POINTS,
            r#"{"points": [{"id": 1, "vector": [1, Infinity, 3, 4]}]}"#,
        ),
        case(
            "vector overflows to infinity",
            "PUT",
            POINTS,
            r#"{"points": [{"id": 1, "vector": [1, 1e39, 3, 4]}]}"#,
        ),
        case(
            "vector overflows a double",
            "PUT",
            POINTS,
            r#"{"points": [{"id": 1, "vector": [1, 1e999, 3, 4]}]}"#,
        ),
        sent("vector has more components than any may", "PUT", POINTS, &point(long)),
        sent("multivector", "PUT", POINTS, &point(json!([[1, 2, 3, 4]]))),
        sent("sparse vector", "PUT", POINTS, &point(json!({"s": {"indices": [1], "values": [1.0]}}))),
        sent("vector name is unknown", "PUT", POINTS, &point(json!({"x": [1, 2, 3, 4]}))),
        sent(
            "custom sharding",
            "PUT",
            POINTS,
            &json!({"points": [{"id": 1, "vector": [1, 2, 3, 4]}], "shard_key": "a"}),
        ),
        sent(
            "columns of different length",
            "PUT",
            POINTS,
            &json!({"batch": {"ids": [1, 2], "vectors": [[1, 2, 3, 4]]}}),
        ),
        sent(
            "payload column of different length",
            "PUT",
            POINTS,
            &json!({"batch": {"ids": [1], "vectors": [[1, 2, 3, 4]], "payloads": []}}),
        ),
        sent("delete by nothing", "POST", "/collections/c/points/delete", &json!({})),
        sent(
            "delete by ids and filter",
            "POST",
            "/collections/c/points/delete",
            &json!({"points": [1], "filter": {}}),
        ),
        sent("retrieve without ids", "POST", POINTS, &json!({})),
        case("get by a word", "GET", "/collections/c/points/cat", ""),
        case("get what is not there", "GET", "/collections/c/points/99", ""),
        sent("payload for nobody", "POST", "/collections/c/points/payload", &json!({"payload": {}})),
    ]
}

fn model() -> Vec<Case> {
    let good = sample(samples()[0]["file"].as_str().unwrap());
    let image = |bytes: &[u8]| json!({"points": [{"id": 1, "vector": {"image": base64(&good)}}, {"id": 2, "vector": {"image": base64(bytes)}}]});
    const MODEL: &str = "/collections/m/points";
    let source = |vector: Value| json!({"points": [{"id": 1, "vector": vector}]});
    // The header of a PNG of 100,000 x 100,000 pixels, and nothing behind it.
    let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0".to_vec();
    bomb.extend([0x27, 0x30, 0x9c, 0x9f, 0, 0, 0, 0]);
    vec![
        sent("picture is no picture", "PUT", MODEL, &image(b"hello, I am a text file")),
        sent("picture is cut off", "PUT", MODEL, &image(&good[..good.len() / 2])),
        sent("picture is empty", "PUT", MODEL, &source(json!({"image": ""}))),
        sent("picture has too many pixels", "PUT", MODEL, &image(&bomb)),
        sent("picture is no base64", "PUT", MODEL, &source(json!({"image": "!!!"}))),
        sent("picture is a local path", "PUT", MODEL, &source(json!({"image": "/etc/passwd"}))),
        sent("picture is a file URL", "PUT", MODEL, &source(json!({"image": "file:///etc/passwd"}))),
        sent("picture is a web URL", "PUT", MODEL, &source(json!({"image": "http://169.254.169.254/x.png"}))),
        sent(
            "picture is a data URL without base64",
            "PUT",
            MODEL,
            &source(json!({"image": "data:image/png,abc"})),
        ),
        sent("model is unknown", "PUT", MODEL, &source(json!({"text": "a", "model": "gpt"}))),
        sent("text and picture in one", "PUT", MODEL, &source(json!({"text": "a", "image": "aGk="}))),
        sent("text is a number", "PUT", MODEL, &source(json!({"": {"text": 5}}))),
        sent("inference object is misspelt", "PUT", MODEL, &source(json!({"": {"txet": "a"}}))),
        sent(
            "weights cancel out",
            "POST",
            "/embed",
            &json!({"inputs": [{"object": [{"text": "a"}, {"text": "a", "weight": -1}]}]}),
        ),
        sent(
            "weight is huge",
            "POST",
            "/embed",
            &json!({"inputs": [{"object": [{"text": "a", "weight": 1e30}]}]}),
        ),
        sent("no inputs", "POST", "/embed", &json!({"inputs": []})),
        sent("too many inputs", "POST", "/embed", &json!({"inputs": vec!["a"; 1025]})),
        sent("model for a collection of another dimension", "PUT", POINTS, &source(json!({"text": "a"}))),
        sent(
            "query by text in a collection of another dimension",
            "POST",
            QUERY,
            &json!({"query": {"text": "a"}}),
        ),
        sent("query with an unknown model", "POST", QUERY, &json!({"query": {"text": "a", "model": "gpt"}})),
        case("images without multipart", "POST", "/collections/m/images", "{}"),
    ]
}

fn queries() -> Vec<Case> {
    let query = |name, body: Value| sent(name, "POST", QUERY, &body);
    vec![
        query("limit is zero", json!({"query": [1, 2, 3, 4], "limit": 0})),
        query("limit is negative", json!({"query": [1, 2, 3, 4], "limit": -5})),
        query("limit is too large", json!({"query": [1, 2, 3, 4], "limit": 1_000_000_000})),
        query("limit is a word", json!({"query": [1, 2, 3, 4], "limit": "all"})),
        query("offset is too large", json!({"query": [1, 2, 3, 4], "offset": 1_000_000})),
        query("query is too short", json!({"query": [1, 2]})),
        query("query is zero under cosine", json!({"query": [0, 0, 0, 0]})),
        query("query is a boolean", json!({"query": true})),
        query("query by an id that is not there", json!({"query": 99})),
        query("query by a vector name that is not there", json!({"query": [1, 2, 3, 4], "using": "x"})),
        query("query of a kind we do not have", json!({"query": {"fusion": "rrf"}, "prefetch": []})),
        query("prefetch", json!({"prefetch": [{"query": [1, 2, 3, 4]}]})),
        query("ef is too large", json!({"query": [1, 2, 3, 4], "params": {"hnsw_ef": 1_000_000}})),
        query("ef is zero", json!({"query": [1, 2, 3, 4], "params": {"hnsw_ef": 0}})),
        query("params has an unknown field", json!({"query": [1, 2, 3, 4], "params": {"exakt": true}})),
        query("score threshold is a word", json!({"query": [1, 2, 3, 4], "score_threshold": "high"})),
        query("mmr out of range", json!({"query": {"nearest": [1, 2, 3, 4], "mmr": {"diversity": 3}}})),
        query("min_relevance is out of range", json!({"query": [1, 2, 3, 4], "min_relevance": 2})),
        query("min_relevance is a word", json!({"query": [1, 2, 3, 4], "min_relevance": "high"})),
        query("with_relevance is a number", json!({"query": [1, 2, 3, 4], "with_relevance": 1})),
        query("min_relevance in a small collection", json!({"query": [1, 2, 3, 4], "min_relevance": 0.5})),
        query(
            "min_relevance of several examples",
            json!({"query": {"recommend": {"positive": [1], "strategy": "best_score"}}, "min_relevance": 0.5}),
        ),
        query(
            "min_relevance in the options of a text is out of range",
            json!({"query": {"text": "a", "options": {"min_relevance": -1}}}),
        ),
        query(
            "min_relevance of a prefetch is out of range",
            json!({"query": [1, 2, 3, 4], "prefetch": [{"query": [1, 2, 3, 4], "min_relevance": 1.01}]}),
        ),
        query("lookup in no collection", json!({"query": 1, "lookup_from": {"collection": "none"}})),
        query("filter is a list", json!({"query": [1, 2, 3, 4], "filter": []})),
        query("filter has an unknown clause", json!({"query": [1, 2, 3, 4], "filter": {"most": []}})),
        query("condition asks nothing", json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a"}]}})),
        query(
            "match by a float",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "match": {"value": 1.5}}]}}),
        ),
        query(
            "range of words",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "range": {"gt": "soon"}}]}}),
        ),
        query(
            "path is broken",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a[", "match": {"value": 1}}]}}),
        ),
        query(
            "geo condition",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "geo_radius": {"radius": 1}}]}}),
        ),
        query(
            "geo condition off the map",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "geo_radius":
                {"center": {"lon": 181, "lat": 0}, "radius": 1}}]}}),
        ),
        query(
            "polygon of two points",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "geo_polygon": {"exterior":
                {"points": [{"lon": 0, "lat": 0}, {"lon": 1, "lat": 1}]}}}]}}),
        ),
        query(
            "text that is too long",
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "match": {"text": "a".repeat(70_000)}}]}}),
        ),
        query(
            "min_should of none",
            json!({"query": [1, 2, 3, 4], "filter": {"min_should": {"conditions": [], "min_count": 0}}}),
        ),
        query(
            "too many conditions in all",
            json!({"query": [1, 2, 3, 4], "filter": {"must": vec![json!({"must": vec![json!({"has_id": []}); 1000]}); 5]}}),
        ),
        query("filter that nests too deep", json!({"query": [1, 2, 3, 4], "filter": nested(40)})),
        query("with_payload is a number", json!({"query": [1, 2, 3, 4], "with_payload": 3})),
        query("with_vector names what is not there", json!({"query": [1, 2, 3, 4], "with_vector": ["x"]})),
        sent("no searches", "POST", "/collections/c/points/query/batch", &json!({"searches": []})),
        sent(
            "second search is wrong",
            "POST",
            "/collections/c/points/query/batch",
            &json!({"searches": [{"query": [1, 2, 3, 4]}, {"query": [1]}]}),
        ),
        sent("duplicates above the largest score", "POST", DUPLICATES, &json!({"threshold": 1.5})),
        sent("duplicates from a word on", "POST", DUPLICATES, &json!({"threshold": "same"})),
        sent("duplicates in groups of one", "POST", DUPLICATES, &json!({"min_size": 1})),
        sent("duplicates in too many groups", "POST", DUPLICATES, &json!({"limit": 10_001})),
        sent("duplicates by a vector name that is not there", "POST", DUPLICATES, &json!({"using": "x"})),
        sent("duplicates from an offset that is no id", "POST", DUPLICATES, &json!({"offset": -1})),
        sent("duplicates with an unknown field", "POST", DUPLICATES, &json!({"treshold": 0.9})),
        sent("duplicates in no collection", "POST", "/collections/none/duplicates", &json!({})),
        sent("scroll by order_by", "POST", "/collections/c/points/scroll", &json!({"order_by": "x"})),
        sent("scroll limit is zero", "POST", "/collections/c/points/scroll", &json!({"limit": 0})),
        case("timeout is a word", "GET", "/collections?timeout=soon", ""),
        case("timeout is zero", "GET", "/collections?timeout=0", ""),
    ]
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({"must": [inner]}))
}

fn collections() -> Vec<Case> {
    let create = |name, body: Value| sent(name, "PUT", "/collections/new", &body);
    vec![
        create("size is zero", json!({"vectors": {"size": 0, "distance": "Dot"}})),
        create("size is huge", json!({"vectors": {"size": 1_000_000, "distance": "Dot"}})),
        create("size is missing", json!({"vectors": {"distance": "Dot"}})),
        create("distance is missing", json!({"vectors": {"size": 4}})),
        create("distance is unknown", json!({"vectors": {"size": 4, "distance": "Hamming"}})),
        create("vectors is a number", json!({"vectors": 4})),
        create("m is too large", json!({"hnsw_config": {"m": 1000}})),
        create("too many threads that build", json!({"hnsw_config": {"max_indexing_threads": 5000}})),
        create(
            "multivector config",
            json!({"vectors": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}}),
        ),
        create("sparse vectors", json!({"sparse_vectors": {"s": {}}})),
        create("product quantisation", json!({"quantization_config": {"product": {"compression": "x4"}}})),
        create("custom sharding of a collection", json!({"sharding_method": "custom"})),
        create("unknown field of a collection", json!({"vektors": {}})),
        sent("collection exists", "PUT", "/collections/c", &json!({})),
        sent("name with a dot", "PUT", "/collections/a.b", &json!({})),
        sent("name that leaves the directory", "PUT", "/collections/..%2F..%2Fetc", &json!({})),
        sent(
            "name is too long",
            "PUT",
            "/collections/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            &json!({}),
        ),
        case("collection is missing", "GET", "/collections/none", ""),
        sent(
            "points for no collection",
            "PUT",
            "/collections/none/points",
            &json!({"points": [{"id": 1, "vector": [1]}]}),
        ),
        sent("query in no collection", "POST", "/collections/none/points/query", &json!({"query": [1]})),
        sent(
            "index of an unknown kind",
            "PUT",
            "/collections/c/index",
            &json!({"field_name": "a", "field_schema": "blob"}),
        ),
        sent(
            "index of texts in many languages",
            "PUT",
            "/collections/c/index",
            &json!({"field_name": "a", "field_schema": {"type": "text", "tokenizer": "multilingual"}}),
        ),
        sent(
            "index of words that are too long",
            "PUT",
            "/collections/c/index",
            &json!({"field_name": "a", "field_schema": {"type": "text", "max_token_len": 5000}}),
        ),
        sent(
            "index with a parameter of another kind",
            "PUT",
            "/collections/c/index",
            &json!({"field_name": "a", "field_schema": {"type": "keyword", "lowercase": true}}),
        ),
        sent(
            "index of a broken path",
            "PUT",
            "/collections/c/index",
            &json!({"field_name": "a..b", "field_schema": "keyword"}),
        ),
        case("no such path", "GET", "/collection", ""),
        case("wrong method", "POST", "/collections", "{}"),
    ]
}

/// Everything that a refused request could have changed.
fn state(server: &Server) -> Value {
    let scroll = |name: &str| {
        let body = json!({"limit": 100, "with_vector": true});
        server.post(&format!("/collections/{name}/points/scroll"), &body).ok()
    };
    json!([
        server.get("/collections").ok(),
        scroll("c"),
        scroll("m"),
        server.get("/collections/c").ok()["payload_schema"]
    ])
}

#[test]
fn every_wrong_request_is_answered_by_name_and_changes_nothing() {
    let server = Server::start();
    server.create("c", 4, "Cosine");
    server.put("/collections/m", &json!({})).ok();
    server.put(POINTS, &json!({"points": [{"id": 1, "vector": [1, 0, 0, 0], "payload": {"a": 1}}]})).ok();
    let before = state(&server);
    let mut answers = BTreeMap::new();
    for case in [bodies(), points(), model(), queries(), collections()].into_iter().flatten() {
        let answer = server.send(case.method, case.path, &[], case.body.as_bytes());
        assert!((400..500).contains(&answer.status), "{}: {} {}", case.name, answer.status, answer.body);
        let text = answer.body["status"]["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {}", case.name, answer.body));
        assert!(text.len() > 10, "{}: `{text}` says nothing", case.name);
        let twice = answers.insert(case.name, format!("{} {text}", answer.status));
        assert!(twice.is_none(), "{} stands twice", case.name);
        assert_eq!(state(&server), before, "{} changed something", case.name);
    }
    assert!(answers.len() >= 60, "only {} cases", answers.len());
    insta::assert_json_snapshot!(answers);
}

#[test]
fn a_body_over_the_bound_is_refused_and_the_server_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("small.toml");
    std::fs::write(&config, "max_body_mib = 1\nmax_image_mib = 1\n").unwrap();
    let server = Server::start_with(&["--config", config.to_str().unwrap()]);
    let body = json!({"inputs": ["x".repeat(2 << 20)]}).to_string();
    let answer = server.try_send("POST", "/embed", &[], body.as_bytes());
    // A server may close the connection before such a body is sent whole.
    if let Ok(answer) = answer {
        assert!(answer.err(413).contains("1 MiB"));
    }
    server.post("/embed", &json!({"inputs": ["x"]})).ok();
}

#[test]
fn a_full_queue_answers_429_with_a_time_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("small.toml");
    std::fs::write(&config, "max_parallel_calls = 1\nmax_waiting_calls = 1\nembed_queue = 1\n").unwrap();
    let server = Server::start_with(&["--config", config.to_str().unwrap()]);
    server.create("c", 64, "Dot");
    let points: Vec<_> = (0..2000).map(|i| json!({"id": i, "vector": vec![i as f32; 64]})).collect();
    server.put(POINTS, &json!({"points": points})).ok();
    let body =
        json!({"searches": vec![json!({"query": vec![1.0; 64], "limit": 2000, "with_vector": true}); 40]})
            .to_string();
    let refused = std::thread::scope(|scope| {
        let ask = || server.send("POST", "/collections/c/points/query/batch", &[], body.as_bytes());
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        let answers: Vec<_> = asked.into_iter().map(|a| a.join().unwrap()).collect();
        assert!(answers.iter().all(|a| a.status == 200 || a.status == 429), "another status than 200 or 429");
        answers.into_iter().find(|a| a.status == 429)
    });
    let refused = refused.expect("no call was refused");
    assert_eq!(refused.retry_after.as_deref(), Some("1"), "{}", refused.body);
    assert_eq!(server.count("c"), 2000);
}

#[test]
fn a_body_that_stops_arriving_is_given_up_with_408_and_the_server_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("small.toml");
    std::fs::write(&config, "body_timeout_secs = 1\n").unwrap();
    let server = Server::start_with(&["--config", config.to_str().unwrap()]);
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
        .write_all(b"PUT /collections/c HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"v")
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    server.put("/collections/c", &json!({})).ok();
}

#[test]
fn a_picture_over_the_bound_is_refused_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("small.toml");
    std::fs::write(&config, "max_image_mib = 1\n").unwrap();
    let server = Server::start_with(&["--config", config.to_str().unwrap()]);
    server.put("/collections/c", &json!({})).ok();
    let big = json!({"image": base64(&vec![0; 2 << 20])});
    let text = server.put(POINTS, &json!({"points": [{"id": 1, "vector": big}]})).err(413);
    assert!(text.contains("points[0].vector"), "{text}");
    let good = sample(samples()[0]["file"].as_str().unwrap());
    let lines =
        upload(&server, &[("image", Some("big.jpg"), vec![0; 2 << 20]), ("image", Some("a.jpg"), good)]);
    let of = |name: &str| lines.iter().find(|line| line["file"] == name).unwrap()["status"].clone();
    assert_eq!((of("big.jpg"), of("a.jpg")), (json!("error"), json!("ok")));
}
