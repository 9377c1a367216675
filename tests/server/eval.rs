//! `lookalike eval` through the real binary: what it prints and writes, what it leaves out, and
//! the templates that it stores in a collection.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::process::{SAMPLES, Server, sample, samples};

fn eval(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lookalike"))
        .args(["eval", "--offline", "--device", "cpu", "--resamples", "200"])
        .args(args)
        .env("LOOKALIKE_LOG", "error")
        .current_dir(dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Twelve pictures of each of three labels, as ROOT/LABEL/picture.
fn folder(root: &Path) {
    for label in ["dress", "pants", "shirt"] {
        let dir = root.join(label);
        std::fs::create_dir_all(&dir).unwrap();
        let own = samples().into_iter().filter(|s| s["kind"] == "clothing" && s["label"] == label);
        for (i, s) in own.take(12).enumerate() {
            std::fs::write(dir.join(format!("{i}.jpg")), sample(s["file"].as_str().unwrap())).unwrap();
        }
    }
}

#[test]
fn a_folder_is_measured_and_what_cannot_be_used_is_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("pictures");
    folder(&root);
    std::fs::write(root.join("dress/broken.jpg"), b"\xff\xd8\xff\xe0 not a picture").unwrap();
    std::fs::write(root.join("dress/notes.txt"), b"hello").unwrap();
    std::fs::write(root.join("stray.jpg"), b"x").unwrap();
    let template = "a <b>photo</b> of a {}";
    let output = eval(
        dir.path(),
        &[
            "pictures",
            "--template",
            "{}",
            "--template",
            template,
            "--json",
            "r.json",
            "--html",
            "r.html",
            "--model",
            "bundled",
            "--model",
            "/no/such/model",
        ],
    );
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for named in ["dress/broken.jpg", "dress/notes.txt", "stray.jpg", "/no/such/model"] {
        assert!(err.contains(named), "`{named}` is not in {err}");
    }
    let report = json_of(&dir.path().join("r.json"));
    assert_eq!(
        (&report["pictures"], &report["labels"], &report["left_out"]),
        (&json!(36), &json!(3), &json!(3))
    );
    assert_eq!(report["not_loaded"][0]["model"], "/no/such/model");
    assert!((report["chance"]["accuracy"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9);
    let sets = report["models"][0]["sets"].as_array().unwrap();
    assert_eq!(sets.len(), 2);
    for set in sets {
        let (accuracy, interval) = (set["accuracy"]["value"].as_f64().unwrap(), &set["accuracy"]["interval"]);
        assert!(
            interval["low"].as_f64().unwrap() <= accuracy && accuracy <= interval["high"].as_f64().unwrap()
        );
        assert!(out.contains(&format!("{accuracy:.3}")), "{accuracy} is not in {out}");
    }
    let confusion = report["confusion"].as_array().unwrap();
    let all: u64 =
        confusion.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(all, 36);
    let right: u64 = (0..3).map(|i| confusion[i][i].as_u64().unwrap()).sum();
    let apparent = report["recommendation"]["apparent"]["value"].as_f64().unwrap();
    assert!((apparent - right as f64 / 36.0).abs() < 1e-9, "{apparent} for {right} of 36");
    assert!(out.contains(report["recommendation"]["sentence"].as_str().unwrap()), "{out}");
    let page = std::fs::read_to_string(dir.path().join("r.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3, "bars, classes, confusion");
    assert!(page.contains("a &lt;b&gt;photo&lt;/b&gt; of a {}") && !page.contains("<b>photo"), "unescaped");
    assert!(!page.contains("http://") || !page.contains("src="), "the page needs something from outside");
}

#[test]
fn the_same_seed_gives_the_same_figures_and_captions_are_searched_for() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = samples()
        .into_iter()
        .filter(|s| s["kind"] == "pictogram")
        .take(40)
        .map(|s| json!({"file": s["file"], "name": s["caption"]}).to_string())
        .collect();
    let list = dir.path().join("list.jsonl");
    let absolute =
        lines.iter().map(|line| line.replacen("\"file\":\"", &format!("\"file\":\"{SAMPLES}/"), 1));
    std::fs::write(&list, absolute.collect::<Vec<_>>().join("\n")).unwrap();
    let run = |json: &str| {
        let output =
            eval(dir.path(), &["list.jsonl", "--caption-field", "name", "--json", json, "--seed", "5"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut report = json_of(&dir.path().join(json));
        for timed in ["load_secs", "pictures_per_sec", "texts_per_sec"] {
            report["models"][0][timed] = Value::Null;
        }
        report
    };
    let report = run("a.json");
    assert_eq!(report, run("b.json"));
    assert_eq!(
        (&report["pictures"], &report["captions"], &report["labels"]),
        (&json!(40), &json!(40), &json!(0))
    );
    let set = &report["models"][0]["sets"][0];
    // The bundled model knows pictograms.
    assert!(
        set["caption_recall"]["R@10"].as_f64().unwrap()
            > 3.0 * report["chance"]["caption_r10"].as_f64().unwrap().min(0.3)
    );
    assert_eq!(report["recommendation"]["metric"], "R@1 of caption search");
}

#[test]
fn words_and_templates_can_differ_from_class_to_class_and_strange_labels_are_named() {
    let dir = tempfile::tempdir().unwrap();
    folder(&dir.path().join("p"));
    let classes =
        json!({"dress": ["dress", "gown"], "pants": {"words": "trousers", "templates": ["{} on a hanger"]}});
    std::fs::write(dir.path().join("c.json"), classes.to_string()).unwrap();
    let sets = json!(["{}", {"name": "two", "templates": ["{}", "a photo of a {}"]}, {"name": "own", "per_class": {"dress": "a {} to wear"}}]);
    std::fs::write(dir.path().join("t.json"), sets.to_string()).unwrap();
    let output = eval(
        dir.path(),
        &["p", "--classes", "c.json", "--templates", "t.json", "--metric", "map", "--json", "r.json"],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = json_of(&dir.path().join("r.json"));
    assert_eq!((&report["labels"], &report["left_out"]), (&json!(2), &json!(12)));
    assert!(text(&output.stderr).contains("shirt/0.jpg: its label `shirt` is not among the classes"));
    let names: Vec<_> =
        report["template_sets"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["{}", "two", "own", "per class"]);
    assert_eq!(report["classes"][1]["words"], json!(["trousers"]));
}

#[test]
fn wrong_input_ends_with_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    folder(&dir.path().join("p"));
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    std::fs::write(dir.path().join("bad.json"), "[{\"name\": \"x\"}]").unwrap();
    std::fs::write(dir.path().join("list.jsonl"), "{\"file\": \"a.jpg\", \"label\": \"x\"}\n").unwrap();
    for (args, says) in [
        (&["/no/such/place"][..], "/no/such/place"),
        (&["empty"], "0 usable pictures"),
        (&["list.jsonl"], "a.jpg: cannot be read"),
        (&["p", "--template", "no hole"], "exactly once"),
        (&["p", "--templates", "bad.json"], "entry 0"),
        (&["p", "--classes", "bad.json"], "bad.json"),
        (&["p", "--metric", "caption"], "no picture has a caption"),
        (&["p", "--model", "/no/such/model"], "no model could be measured"),
        (&["p", "--template", "{}", "--template", "{}"], "two sets"),
        (&["p", "--collection", "c", "--url", "http://127.0.0.1:1"], "cannot reach"),
    ] {
        let output = eval(dir.path(), args);
        let err = text(&output.stderr);
        let code = if says == "cannot reach" { 6 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn mean(vectors: &[Vec<f64>]) -> Vec<f64> {
    let sum: Vec<f64> = (0..vectors[0].len()).map(|i| vectors.iter().map(|v| v[i]).sum()).collect();
    let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    sum.into_iter().map(|x| x / norm).collect()
}

#[test]
fn stored_templates_are_applied_to_text_queries_and_to_nothing_else_and_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start_in(&data, &[]);
    server.put("/collections/c", &json!({"metadata": {"owner": "me"}})).ok();
    let embedded = |server: &Server, texts: &[&str]| -> Vec<Vec<f64>> {
        let answer = server.post("/embed", &json!({"inputs": texts})).ok();
        answer["embeddings"].as_array().unwrap().iter().map(floats).collect()
    };
    let words = ["{}", "an icon of a {}", "a drawing of a {}"];
    let filled: Vec<String> = words.iter().map(|t| t.replace("{}", "dog")).collect();
    let each = embedded(&server, &filled.iter().map(String::as_str).collect::<Vec<_>>());
    let averaged = mean(&each);
    // Point 1 is the bare text, sent as a text; point 2 the mean of the three.
    server
        .put(
            "/collections/c/points",
            &json!({"points": [{"id": 1, "vector": {"text": "dog"}}, {"id": 2, "vector": averaged}]}),
        )
        .ok();
    server
        .send(
            "PATCH",
            "/collections/c",
            &[],
            json!({"metadata": {"text_templates": words}}).to_string().as_bytes(),
        )
        .ok();
    let described = server.get("/collections/c").ok()["config"]["metadata"].clone();
    assert_eq!(described, json!({"owner": "me", "text_templates": words}));
    server.put("/collections/c/points", &json!({"points": [{"id": 3, "vector": {"text": "dog"}}]})).ok();
    server.kill();
    let server = Server::start_in(&data, &[]);
    let scores = |query: Value| -> Vec<(u64, f64)> {
        let answer = server.post("/collections/c/points/query", &json!({"query": query})).ok();
        let hits = answer["points"].as_array().unwrap().clone();
        let mut all: Vec<_> =
            hits.iter().map(|p| (p["id"].as_u64().unwrap(), p["score"].as_f64().unwrap())).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    };
    let templated = scores(json!({"text": "dog"}));
    assert!(templated[1].1 > 0.9999, "the query is the mean of the templates: {templated:?}");
    assert!(
        templated[0].1 < 0.9995 && (templated[0].1 - templated[2].1).abs() < 1e-5,
        "stored texts are bare: {templated:?}"
    );
    let bare = scores(json!({"text": "dog", "options": {"templates": []}}));
    assert!(bare[0].1 > 0.9999 && bare[1].1 < 0.9995, "{bare:?}");
    let own = scores(json!({"text": "dog", "model": "bundled", "options": {"templates": words, "other": 1}}));
    assert!((own[1].1 - templated[1].1).abs() < 1e-5);
    assert_eq!(scores(json!(averaged)).len(), 3);
}

#[test]
fn templates_that_have_no_place_for_the_text_are_refused_and_nothing_changes() {
    let server = Server::start();
    let with = |templates: Value| json!({"metadata": {"text_templates": templates, "more": 1}});
    for (templates, says) in [
        (json!([]), "0 templates"),
        (json!(["{}", "photo"]), "template 1 `photo`"),
        (json!(["{} {}"]), "2 times"),
        (json!("{}"), "list"),
    ] {
        let error = server.put("/collections/c", &with(templates.clone())).err(400);
        assert!(error.contains("metadata.text_templates") && error.contains(says), "{error}");
        server.put("/collections/d", &json!({})).ok();
        let error =
            server.send("PATCH", "/collections/d", &[], with(templates).to_string().as_bytes()).err(400);
        assert!(error.contains("metadata.text_templates") && error.contains(says), "{error}");
        assert!(server.get("/collections/d").ok()["config"]["metadata"].is_null());
        server.delete("/collections/d").ok();
    }
    let patch = |path: &str, body: Value| server.send("PATCH", path, &[], body.to_string().as_bytes());
    assert!(patch("/collections/none", json!({})).err(404).contains("none"));
    server.put("/collections/d", &json!({"metadata": {"a": 1, "b": 2}})).ok();
    patch("/collections/d", json!({"metadata": {"a": null, "c": 3}})).ok();
    assert_eq!(server.get("/collections/d").ok()["config"]["metadata"], json!({"b": 2, "c": 3}));
    assert!(patch("/collections/d", json!({"meta": {}})).err(400).contains("meta"));
}

#[test]
fn eval_stores_the_best_templates_of_the_server_s_model_in_the_collection() {
    let dir = tempfile::tempdir().unwrap();
    folder(&dir.path().join("p"));
    let server = Server::start();
    server.put("/collections/shop", &json!({})).ok();
    let args = [
        "p",
        "--template",
        "{}",
        "--template",
        "a photo of a {}",
        "--url",
        &server.url,
        "--json",
        "r.json",
        "--collection",
        "shop",
    ];
    let output = eval(dir.path(), &args);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(out.contains("Stored `") && out.contains("collection `shop`"), "{out}");
    let chosen = json_of(&dir.path().join("r.json"))["recommendation"]["templates"].clone();
    assert_eq!(server.get("/collections/shop").ok()["config"]["metadata"]["text_templates"], chosen);
    let output = eval(dir.path(), &["p", "--collection", "none", "--url", &server.url]);
    assert!(!output.status.success() && text(&output.stderr).contains("none"), "{}", text(&output.stderr));
}
