//! `POST /collections/{c}/adapt` and `lookalike adapt`: what is fitted, when it is applied, what
//! it changes and what it leaves alone, and that it is there after a crash.

use std::path::Path;
use std::process::Command;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::model::base64;
use crate::process::{Server, sample, samples};

/// Labels differ in 4 of 16 components; the others are loud and mean nothing.
fn points(noise: f32) -> Vec<Value> {
    let mut rng = SmallRng::seed_from_u64(11);
    let centres: Vec<Vec<f32>> =
        (0..5).map(|_| (0..4).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
    (0..200_u64)
        .map(|id| {
            let label = (id % 5) as usize;
            let vector: Vec<f32> = (0..16)
                .map(|i| {
                    if i < 4 {
                        centres[label][i] + rng.random_range(-0.3..0.3)
                    } else {
                        rng.random_range(-noise..noise)
                    }
                })
                .collect();
            json!({"id": id, "vector": vector, "payload": {"about": {"kind": format!("kind {label}")}}})
        })
        .collect()
}

fn filled(server: &Server) -> Vec<Value> {
    server.create("c", 16, "Cosine");
    let points = points(1.5);
    server.put("/collections/c/points", &json!({"points": points})).ok();
    points
}

const FIT: &str = "/collections/c/adapt";

fn hits(server: &Server, body: &Value) -> Vec<(u64, f64)> {
    let answer = server.post("/collections/c/points/query", body).ok();
    let hit = |p: &Value| (p["id"].as_u64().unwrap(), p["score"].as_f64().unwrap());
    answer["points"].as_array().unwrap().iter().map(hit).collect()
}

#[test]
fn a_head_that_wins_is_applied_where_it_is_asked_for_and_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    let points = filled(&server);
    let fitted = server.post(FIT, &json!({"label": "about.kind", "seed": 3})).ok();
    let comparison = &fitted["comparisons"][0];
    assert_eq!(
        (&fitted["version"], &fitted["labels"], &fitted["points"]),
        (&json!(1), &json!(5), &json!(200))
    );
    assert_eq!(
        (&comparison["modality"], &comparison["wins"]),
        (&json!("picture"), &json!(true)),
        "{comparison}"
    );
    assert_eq!(comparison["candidates"].as_array().unwrap().len(), 4, "ridge is for texts: {comparison}");
    assert_eq!(fitted["applied_to"], json!(["picture"]));
    assert!(fitted["notes"][0].as_str().unwrap().contains("texts are not compared"), "{fitted}");
    // Numbers are left alone unless the request says what they are.
    let numbers = |adapt: Value| json!({"query": points[0]["vector"], "limit": 20, "params": {"exact": true, "adapt": adapt}});
    let plain = hits(&server, &json!({"query": points[0]["vector"], "limit": 20, "params": {"exact": true}}));
    assert_eq!(plain, hits(&server, &numbers(json!("none"))));
    let adapted = hits(&server, &numbers(json!("picture")));
    let right = |hits: &[(u64, f64)]| hits.iter().filter(|(id, _)| id % 5 == 0).count();
    assert!(
        right(&adapted) > right(&plain),
        "{} of 20 with the head, {} without",
        right(&adapted),
        right(&plain)
    );
    assert!(adapted.iter().all(|(_, score)| score.abs() <= 1.0 + 1e-5), "{adapted:?}");
    assert_eq!(plain, hits(&server, &numbers(json!("text"))), "no head is applied to texts");
    // A threshold and a stored point as the query work as without a head.
    let mut bounded = numbers(json!("picture"));
    bounded["score_threshold"] = json!(adapted[9].1);
    assert_eq!(hits(&server, &bounded), adapted[..10]);
    let by_id = json!({"query": 0, "limit": 20, "params": {"exact": true, "adapt": "picture"}});
    let by_id: Vec<u64> = hits(&server, &by_id).into_iter().map(|(id, _)| id).collect();
    assert!(!by_id.contains(&0));
    let others: Vec<u64> = adapted.iter().map(|(id, _)| *id).filter(|id| *id != 0).collect();
    assert_eq!(by_id[..19], others[..19]);
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    assert_eq!(adapted, hits(&server, &numbers(json!("picture"))));
    let listed = server.get(FIT).ok();
    assert_eq!(listed["versions"], json!([fitted]));
    assert_eq!(listed["applied"], json!([{"vector": "", "modality": "picture", "version": 1}]));
    // Another one, only stored; then applied, then removed.
    assert_eq!(
        server.post(FIT, &json!({"label": "about.kind", "apply": "never", "candidates": ["centre"]})).ok()["version"],
        2
    );
    assert_eq!(adapted, hits(&server, &numbers(json!("picture"))));
    server.put("/collections/c/adapt/applied", &json!({"version": 2, "queries": ["picture"]})).ok();
    assert_ne!(adapted, hits(&server, &numbers(json!("picture"))));
    let left = server.delete("/collections/c/adapt/2").ok();
    assert_eq!((left["versions"].as_array().unwrap().len(), &left["applied"]), (1, &json!([])));
    assert_eq!(plain, hits(&server, &numbers(json!("picture"))));
    server.put("/collections/c/adapt/applied", &json!({"version": 1})).ok();
    assert_eq!(adapted, hits(&server, &numbers(json!("picture"))));
    // A snapshot carries it.
    let name = server.post("/collections/c/snapshots", &json!({})).ok()["name"].as_str().unwrap().to_owned();
    let held = server.get(FIT).ok();
    server.delete("/collections/c/adapt/1").ok();
    assert_eq!(plain, hits(&server, &numbers(json!("picture"))));
    let location = format!("file://{}", dir.path().join("snapshots/collections/c").join(name).display());
    server.put("/collections/c/snapshots/recover", &json!({"location": location})).ok();
    assert_eq!(server.get(FIT).ok(), held);
    assert_eq!(adapted, hits(&server, &numbers(json!("picture"))));
    server.put("/collections/c/adapt/applied", &json!({"version": null})).ok();
    assert_eq!(plain, hits(&server, &numbers(json!("picture"))));
    // With its collection everything is gone.
    server.delete("/collections/c").ok();
    server.create("c", 16, "Cosine");
    assert_eq!(server.get(FIT).ok(), json!({"versions": [], "applied": []}));
}

#[test]
fn labels_that_mean_nothing_get_no_head_that_is_applied() {
    let server = Server::start();
    server.create("c", 16, "Dot");
    let mut rng = SmallRng::seed_from_u64(5);
    let mut points = points(1.0);
    points.iter_mut().for_each(|point| point["payload"] = json!({"label": rng.random_range(0..5)}));
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let fitted = server.post(FIT, &json!({"label": "label"})).ok();
    assert_eq!(
        (&fitted["comparisons"][0]["wins"], &fitted["applied_to"]),
        (&json!(false), &json!([])),
        "{fitted}"
    );
    let error = server.put("/collections/c/adapt/applied", &json!({"version": 1})).err(400);
    assert!(error.contains("queries: version 1 won for no kind of query"), "{error}");
}

/// The clothes of the samples, as pictures with their label.
fn clothes(server: &Server) -> Vec<Value> {
    server.put("/collections/c", &json!({})).ok();
    let clothes: Vec<Value> = samples().into_iter().filter(|s| s["kind"] == "clothing").collect();
    for (i, part) in clothes.chunks(64).enumerate() {
        let point = |(j, s): (usize, &Value)| {
            let image = base64(&sample(s["file"].as_str().unwrap()));
            json!({"id": i * 64 + j, "vector": {"image": image}, "payload": {"label": s["label"]}})
        };
        let points: Vec<Value> = part.iter().enumerate().map(point).collect();
        server.put("/collections/c/points", &json!({"points": points})).ok();
    }
    clothes
}

fn copy_of_the_model(to: &Path) {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/models/bundled");
    for name in ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(Path::new(from).join(name), to.join(name)).unwrap();
    }
    // One byte more: the same vectors, but another fingerprint.
    let config = to.join("config.json");
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "\n").unwrap();
}

#[test]
fn texts_and_pictures_go_through_heads_of_their_own_and_only_of_the_model_they_were_fitted_for() {
    let (dir, model) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A vector that was computed beside others may differ from one computed alone in its last bits.
    let alone = ["--embed-cache-mib", "0"];
    let server = Server::start_in(dir.path(), &alone);
    let clothes = clothes(&server);
    let words = json!({"dress": ["dress", "gown"], "t-shirt": "tee"});
    let fitted = server.post(FIT, &json!({"label": "label", "words": words, "apply": "never"})).ok();
    let comparisons = fitted["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2, "{fitted}");
    for comparison in comparisons {
        println!("{}", serde_json::to_string_pretty(comparison).unwrap());
        for candidate in comparison["candidates"].as_array().unwrap() {
            let (map, first) = (candidate["map"].as_f64().unwrap(), candidate["first"].as_f64().unwrap());
            assert!((0.05..=1.0).contains(&map) && (0.0..=1.0).contains(&first), "{candidate}");
            assert_eq!(candidate["gain"].is_null(), candidate["kind"] == "none", "{candidate}");
        }
    }
    let image = base64(&sample(clothes[0]["file"].as_str().unwrap()));
    let text = |options: Value| json!({"query": {"text": "dress", "options": options}, "limit": 50});
    let picture = |options: Value| json!({"query": {"image": image, "options": options}, "limit": 50});
    let (plain_text, plain_picture) = (hits(&server, &text(json!({}))), hits(&server, &picture(json!({}))));
    server.put("/collections/c/adapt/applied", &json!({"version": 1, "queries": ["text"]})).ok();
    let adapted = hits(&server, &text(json!({})));
    assert_ne!(adapted, plain_text);
    assert_eq!(hits(&server, &text(json!({"adapt": "none"}))), plain_text);
    assert_eq!(hits(&server, &picture(json!({}))), plain_picture);
    assert_ne!(hits(&server, &picture(json!({"adapt": "text"}))), plain_picture);
    // The server with another model says why it applies nothing.
    server.stop();
    copy_of_the_model(model.path());
    let server =
        Server::start_in(dir.path(), &["--model", &model.path().display().to_string(), alone[0], alone[1]]);
    assert_eq!(hits(&server, &text(json!({}))), plain_text);
    let version = server.get(FIT).ok()["versions"][0].clone();
    assert_eq!(version["model_is_loaded"], false);
    assert!(version["not_applied_because"].as_str().unwrap().contains("bundled"), "{version}");
    server.stop();
    let server = Server::start_in(dir.path(), &alone);
    assert_eq!(hits(&server, &text(json!({}))), adapted);
}

#[test]
fn wrong_requests_for_a_head_are_answered_by_name_and_change_nothing() {
    let server = Server::start();
    filled(&server);
    server.create("far", 16, "Euclid");
    let post = |path: &str, body: Value| server.post(path, &body);
    for (path, body, status, says) in [
        (FIT, json!({}), 400, "label: field is missing"),
        (FIT, json!({"label": ""}), 400, "label"),
        (FIT, json!({"label": "none"}), 400, "0 of 0 labels"),
        (FIT, json!({"label": "about.kind", "vector": "v"}), 400, "vector"),
        (FIT, json!({"label": "about.kind", "holdout": 0.9}), 422, "holdout is 0.9"),
        (FIT, json!({"label": "about.kind", "candidates": ["magic"]}), 422, "magic"),
        (FIT, json!({"label": "about.kind", "apply": "always"}), 422, "apply is `always`"),
        (FIT, json!({"label": "about.kind", "words": {"cat": "cat"}}), 400, "no point has the label `cat`"),
        (FIT, json!({"label": "about.kind", "words": {"kind 1": []}}), 422, "words.kind 1"),
        (FIT, json!({"label": "about.kind", "head": 1}), 400, "head"),
        ("/collections/none/adapt", json!({"label": "x"}), 404, "none"),
        ("/collections/far/adapt", json!({"label": "x"}), 400, "Euclid"),
    ] {
        let error = post(path, body.clone()).err(status);
        assert!(error.contains(says), "{body}: {error}");
    }
    assert!(
        server.put("/collections/c/adapt/applied", &json!({"version": 7})).err(404).contains("version 7")
    );
    assert!(
        server
            .put("/collections/c/adapt/applied", &json!({"version": 1, "queries": ["sound"]}))
            .err(400)
            .contains("queries")
    );
    assert!(server.delete("/collections/c/adapt/7").err(404).contains("version 7"));
    assert!(server.delete("/collections/c/adapt/x").err(400).contains("version"));
    assert_eq!(server.get(FIT).ok(), json!({"versions": [], "applied": []}));
}

#[test]
fn the_verb_prints_every_candidate_and_says_what_was_applied() {
    let server = Server::start();
    filled(&server);
    let adapt = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lookalike"))
            .args(["adapt", "--url", &server.url, "--collection", "c"])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = adapt(&["--label", "about.kind"]);
    assert_eq!(code, Some(0), "{err}");
    for word in [
        "200 points with 5 labels",
        "picture queries",
        "none",
        "centre",
        "whiten",
        "within",
        "is better than no head",
        "Stored as version 1, applied to picture queries.",
    ] {
        assert!(out.contains(word), "`{word}` is not in {out}");
    }
    let (code, _, err) = adapt(&["--label", "nothing"]);
    assert!(code == Some(1) && err.contains("0 of 0 labels"), "{err}");
    let (code, _, err) = adapt(&["--label", "about.kind", "--word", "no"]);
    assert!(code == Some(1) && err.contains("LABEL=TEXT"), "{err}");
}
