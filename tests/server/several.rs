//! Several models in one server: one for each named vector, loaded when they are used and unloaded when they are
//! idle or in the way.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::images::{BOUNDARY, multipart};
use crate::model::base64;
use crate::models;
use crate::process::{Answer, Server, sample, samples};

/// A CLIP by chance in a directory of that name.
fn clip(parent: &Path, name: &str, projection: usize, width: usize) -> String {
    let mut config = models::clip_config();
    config["projection_dim"] = json!(projection);
    for tower in ["text_config", "vision_config"] {
        config[tower]["hidden_size"] = json!(width);
        config[tower]["intermediate_size"] = json!(4 * width);
        config[tower]["num_hidden_layers"] = json!(if width > 100 { 4 } else { 2 });
    }
    let made = models::directory(&config, 32, &models::clip_tokenizer(), |tensor, shape| {
        let scale = match shape {
            [_, rest @ ..] if !rest.is_empty() => (3.0 / rest.iter().product::<usize>() as f32).sqrt(),
            _ => 0.1,
        };
        let shift = if tensor.contains("norm") && tensor.ends_with("weight") { 1.0 } else { 0.0 };
        let values = models::uniform(&format!("{name} {tensor}"), shape.iter().product());
        let values: Vec<f32> = values.into_iter().map(|value| value * scale + shift).collect();
        candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
    });
    let place: PathBuf = parent.join(name);
    std::fs::rename(made.path(), &place).unwrap();
    place.display().to_string()
}

fn loaded(server: &Server) -> Vec<(String, bool)> {
    let models = server.get("/models").ok()["models"].clone();
    let state = |m: &Value| (m["name"].as_str().unwrap().to_owned(), m["loaded"].as_bool().unwrap());
    models.as_array().unwrap().iter().map(state).collect()
}

fn is_loaded(server: &Server, name: &str) -> bool {
    loaded(server).iter().any(|(model, loaded)| model == name && *loaded)
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value}")).iter().map(|x| x.as_f64().unwrap()).collect()
}

fn cosine(a: &Value, b: &Value) -> f64 {
    let (a, b) = (floats(a), floats(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(x, y)| x * y).sum()
}

fn embed(server: &Server, input: &Value, model: &str) -> Value {
    server.post("/embed", &json!({"inputs": [input], "model": model})).ok()["embeddings"][0].clone()
}

fn picture() -> Value {
    json!({"image": base64(&sample(samples()[0]["file"].as_str().unwrap()))})
}

fn query(server: &Server, body: &Value) -> Answer {
    server.post("/collections/c/points/query", body)
}

/// Vectors of three models: 16, 24 and the bundled 256 components.
fn create(server: &Server) {
    let vector = |size: usize, model: &str| json!({"size": size, "distance": "Cosine", "model": model});
    let vectors =
        json!({"a": vector(16, "slim"), "b": vector(24, "wide"), "d": {"size": 256, "distance": "Cosine"}});
    let metadata = json!({"text_templates": ["a photo of {}", "{} at night"]});
    server.put("/collections/c", &json!({"vectors": vectors, "metadata": metadata})).ok();
}

#[test]
fn each_named_vector_is_made_and_searched_by_its_own_model_also_after_a_restart() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (slim, wide) = (clip(parent.path(), "slim", 16, 32), clip(parent.path(), "wide", 24, 32));
    let flags = ["--also-model", slim.as_str(), "--also-model", wide.as_str()];
    let server = Server::start_in(dir.path(), &flags);
    let before = [("bundled".into(), true), ("slim".into(), false), ("wide".into(), false)];
    assert_eq!(loaded(&server), before, "the others wait until they are used");
    create(&server);
    let params = server.get("/collections/c").ok()["config"]["params"]["vectors"].clone();
    assert_eq!((&params["a"]["model"], &params["b"]["model"]), (&json!("slim"), &json!("wide")));
    assert!(params["d"].get("model").is_none(), "{params}");

    // Written: points with texts and pictures, an upload, JSON lines.
    let text = json!({"text": "a red shoe"});
    let points = json!([
        {"id": 1, "vector": {"a": text, "b": picture(), "d": text}},
        {"id": 2, "vector": {"a": picture(), "b": {"text": "a red shoe", "model": "wide"}}},
    ]);
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let file = samples()[1]["file"].as_str().unwrap().to_owned();
    let parts = [("ids", None, b"[3]".to_vec()), ("image", Some("x.jpg"), sample(&file))];
    let headers = [("content-type", content_type.as_str())];
    let uploaded = server.send("POST", "/collections/c/images?using=b", &headers, &multipart(&parts));
    assert_eq!(uploaded.body["status"], "ok", "{}", uploaded.body);
    let line =
        json!({"id": 4, "vector": {"a": {"text": "a blue sky"}, "b": {"text": "a blue sky"}}}).to_string();
    let headers = [("content-type", "application/x-ndjson")];
    let imported = server.send("POST", "/collections/c/import", &headers, line.as_bytes());
    assert_eq!(imported.body["status"], "ok", "{}", imported.body);

    let stored =
        server.post("/collections/c/points", &json!({"ids": [1, 2, 3, 4], "with_vector": true})).ok();
    let vector = |id: u64, name: &str| {
        let point = stored.as_array().unwrap().iter().find(|point| point["id"] == id).unwrap();
        point["vector"][name].clone()
    };
    let other = json!({"image": base64(&sample(&file))});
    for (id, name, input, model) in [
        (1, "a", &text, "slim"),
        (1, "b", &picture(), "wide"),
        (1, "d", &text, "bundled"),
        (2, "a", &picture(), "slim"),
        (2, "b", &text, "wide"),
        (3, "b", &other, "wide"),
        (4, "a", &json!("a blue sky"), "slim"),
    ] {
        let same = cosine(&vector(id, name), &embed(&server, input, model));
        assert!((same - 1.0).abs() < 1e-4, "{id} {name}: {same}");
    }

    // Searched: pictures, texts through the collection's templates, several vectors in one query.
    let first = |answer: Answer| {
        let hit = answer.ok()["points"][0].clone();
        (hit["id"].as_u64().unwrap(), hit["score"].as_f64().unwrap())
    };
    let (id, score) = first(query(&server, &json!({"query": picture(), "using": "b"})));
    assert!(id == 1 && (score - 1.0).abs() < 1e-4, "{id} {score}");
    let parts = json!({"object": [{"text": "a photo of a blue sky"}, {"text": "a blue sky at night"}]});
    let templates = embed(&server, &parts, "slim");
    let (_, by_vector) = first(query(&server, &json!({"query": templates, "using": "a"})));
    let (_, by_text) = first(query(&server, &json!({"query": {"text": "a blue sky"}, "using": "a"})));
    assert!((by_vector - by_text).abs() < 1e-4, "{by_vector} {by_text}");
    let prefetch = json!([
        {"query": picture(), "using": "a", "limit": 5}, {"query": picture(), "using": "b", "limit": 5},
        {"query": {"text": "a red shoe"}, "using": "d", "limit": 5},
    ]);
    let fused = query(&server, &json!({"prefetch": prefetch, "query": {"fusion": "rrf"}})).ok();
    assert_eq!(fused["points"].as_array().unwrap().len(), 4, "{fused}");
    let recommend = json!({"recommend": {"positive": [{"text": "a shoe"}, 1], "negative": [picture()]}});
    query(&server, &json!({"query": recommend, "using": "a"})).ok();

    // A model that is another than the vector's is refused with both names.
    for (asked, said) in [("slim", "slim"), ("bundled", "bundled"), ("nobody", "nobody")] {
        let body = json!({"query": {"text": "x", "model": asked}, "using": "b"});
        let error = query(&server, &body).err(400);
        assert!(error.contains(&format!("`{said}`")) && error.contains("`wide`"), "{error}");
        let points = json!([{"id": 9, "vector": {"b": {"text": "x", "model": asked}}}]);
        let error = server.put("/collections/c/points", &json!({"points": points})).err(400);
        assert!(error.contains(&format!("`{said}`")) && error.contains("`wide`"), "{error}");
    }
    let mixed = json!({"inputs": ["x", {"text": "y", "model": "wide"}]});
    assert!(server.post("/embed", &mixed).err(400).contains("inputs[1].model"));
    query(&server, &json!({"query": {"text": "x", "model": "wide"}, "using": "b"})).ok();

    server.stop();
    let server = Server::start_in(dir.path(), &flags);
    let (id, score) = first(query(&server, &json!({"query": picture(), "using": "b"})));
    assert!(id == 1 && (score - 1.0).abs() < 1e-4, "{id} {score}");

    // Without its model a vector is searched by numbers alone.
    server.stop();
    let server = Server::start_in(dir.path(), &flags[..2]);
    let error = query(&server, &json!({"query": picture(), "using": "b"})).err(400);
    assert!(error.contains("`wide`") && error.contains("--also-model"), "{error}");
    let points = json!([{"id": 9, "vector": {"b": picture()}}]);
    let error = server.put("/collections/c/points", &json!({"points": points})).err(400);
    assert!(error.contains("`wide`") && error.contains("--also-model"), "{error}");
    let (id, _) = first(query(&server, &json!({"query": vector(1, "b"), "using": "b"})));
    assert_eq!(id, 1);
    let (id, _) = first(query(&server, &json!({"query": picture(), "using": "a"})));
    assert_eq!(id, 2);
    let points = json!([{"id": 5, "vector": {"b": vector(1, "b")}}]);
    server.put("/collections/c/points", &json!({"points": points})).ok();
}

#[test]
fn a_vector_of_a_model_that_is_not_here_or_of_another_length_is_not_created() {
    let parent = tempfile::tempdir().unwrap();
    let slim = clip(parent.path(), "slim", 16, 32);
    let server = Server::start_with(&["--also-model", &slim]);
    let try_create = |vectors: Value| server.put("/collections/c", &json!({"vectors": vectors}));
    let error = try_create(json!({"a": {"size": 16, "distance": "Cosine", "model": "other"}})).err(400);
    assert!(error.contains("vectors.a.model") && error.contains("`bundled`, `slim`"), "{error}");
    let error = try_create(json!({"a": {"size": 17, "distance": "Cosine", "model": "slim"}})).err(400);
    assert!(error.contains("vectors.a.size is 17") && error.contains("16"), "{error}");
    let error = try_create(json!({"size": 16, "distance": "Cosine", "model": "bundled"})).err(400);
    assert!(error.contains("vectors.size is 16") && error.contains("256"), "{error}");
    let error = try_create(json!({"size": 16, "distance": "Cosine", "model": 5})).err(400);
    assert!(error.contains("vectors.model"), "{error}");
    try_create(json!({"size": 16, "distance": "Cosine", "model": "slim"})).ok();
    assert_eq!(server.get("/collections/c").ok()["config"]["params"]["vectors"]["model"], "slim");
    server.put("/collections/c/points", &json!({"points": [{"id": 1, "vector": {"text": "x"}}]})).ok();
}

#[test]
fn a_head_belongs_to_the_model_of_its_vector() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slim = clip(parent.path(), "slim", 16, 32);
    let flags = ["--also-model", slim.as_str()];
    let server = Server::start_in(dir.path(), &flags);
    server
        .put("/collections/c", &json!({"vectors": {"size": 16, "distance": "Cosine", "model": "slim"}}))
        .ok();
    let points: Vec<Value> = (0..60)
        .map(|id| {
            let kind = ["shoe", "hat", "cat"][id % 3];
            json!({"id": id, "vector": {"text": format!("{kind} {id}")}, "payload": {"kind": kind}})
        })
        .collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let fitted = server.post("/collections/c/adapt", &json!({"label": "kind", "apply": "never"})).ok();
    assert_eq!((&fitted["model"], &fitted["model_is_loaded"]), (&json!("slim"), &json!(true)), "{fitted}");
    assert_eq!(fitted["comparisons"].as_array().unwrap().len(), 2, "texts are compared: {fitted}");
    server.stop();
    let server = Server::start_in(dir.path(), &flags);
    let listed = server.get("/collections/c/adapt").ok();
    assert_eq!(listed["versions"][0]["model_is_loaded"], true, "{listed}");
}

#[test]
fn an_idle_model_is_unloaded_and_comes_back_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let slim = clip(parent.path(), "slim", 16, 32);
    let server = Server::start_with(&["--also-model", &slim, "--model-idle-secs", "3"]);
    let before = embed(&server, &json!("a cat"), "slim");
    assert!(is_loaded(&server, "slim"));
    let began = Instant::now();
    while is_loaded(&server, "slim") {
        assert!(began.elapsed() < Duration::from_secs(60), "it is never unloaded");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(is_loaded(&server, "bundled"));
    assert!((cosine(&before, &embed(&server, &json!("a cat"), "slim")) - 1.0).abs() < 1e-5);
    assert!(server.get("/metrics").body.as_str().unwrap().contains("lookalike_embed_batch_items"));
}

#[test]
fn the_memory_bound_unloads_what_is_idle_and_never_what_is_in_use() {
    let parent = tempfile::tempdir().unwrap();
    let one = clip(parent.path(), "one", 16, 256);
    let two = clip(parent.path(), "two", 16, 256);
    let server = Server::start_with(&["--also-model", &one, "--also-model", &two]);
    let models = server.get("/models").ok()["models"].clone();
    let mib = |at: usize| models[at]["weight_mib"].as_u64().unwrap();
    let (own, other) = (mib(0), mib(1));
    assert!(other > 20 && mib(2) == other, "{models}");
    drop(server);

    let bound = (own + other + 5).to_string();
    let flags = ["--also-model", &one, "--also-model", &two, "--model-memory-mib", &bound];
    let server = Server::start_with(&flags);
    embed(&server, &json!("a"), "one");
    assert!(is_loaded(&server, "one"));
    embed(&server, &json!("a"), "two");
    assert!(is_loaded(&server, "two") && !is_loaded(&server, "one"), "{:?}", loaded(&server));

    // While one is in use, the other has no room.
    let texts: Vec<String> =
        (0..400).map(|i| format!("{i} of a long list of different texts {}", i * 7)).collect();
    std::thread::scope(|scope| {
        let long = scope.spawn(|| server.post("/embed", &json!({"inputs": texts, "model": "one"})));
        let began = Instant::now();
        while !is_loaded(&server, "one") {
            assert!(began.elapsed() < Duration::from_secs(60), "it is never loaded");
            std::thread::sleep(Duration::from_millis(5));
        }
        let refused = server.post("/embed", &json!({"inputs": ["b"], "model": "two"}));
        assert_eq!(refused.retry_after.as_deref(), Some("5"), "{}", refused.body);
        let error = refused.err(503);
        assert!(error.contains("`two`") && error.contains("model_memory_mib"), "{error}");
        assert_eq!(long.join().unwrap().ok()["embeddings"].as_array().unwrap().len(), 400);
    });
    embed(&server, &json!("b"), "two");

    // What can never fit is told at the start.
    let start = |flags: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        Server::try_start(dir.path(), flags).err().unwrap()
    };
    let error = start(&["--also-model", &one, "--model-memory-mib", &(own + 5).to_string()]);
    assert!(error.contains("model_memory_mib") && error.contains("`one`"), "{error}");
    let error = start(&["--model-memory-mib", "1"]);
    assert!(error.contains("model_memory_mib is 1"), "{error}");
    let error = start(&["--also-model", &one, "--also-model", &one]);
    assert!(error.contains("the name `one`"), "{error}");
    let error = start(&["--also-model", "/no/such/model"]);
    assert!(error.contains("/no/such/model"), "{error}");
    let many: Vec<&str> = std::iter::repeat_n(["--also-model", one.as_str()], 16).flatten().collect();
    assert!(start(&many).contains("at most 15"), "{}", start(&many));
}

#[test]
fn requests_that_come_together_load_a_model_once() {
    let parent = tempfile::tempdir().unwrap();
    let slim = clip(parent.path(), "slim", 16, 32);
    let environment = [("LOOKALIKE_ALSO_MODEL", slim.as_str())];
    let dir = tempfile::tempdir().unwrap();
    let server = Server::try_start_under(dir.path(), &[], &environment).unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| embed(&server, &json!("a cat"), "slim"))).collect();
        let vectors: Vec<Value> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert!(vectors.iter().all(|vector| (cosine(vector, &vectors[0]) - 1.0).abs() < 1e-5));
    });
    assert!(is_loaded(&server, "slim"));
}
