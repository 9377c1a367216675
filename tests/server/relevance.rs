//! The relevance of hits, asked for beside the query and in the options of a text, with a real model.

use serde_json::{Value, json};

use crate::images::upload;
use crate::process::{Server, sample, samples};

const QUERY: &str = "/collections/c/points/query";

/// The first `count` sample pictures that are pictograms, with their names.
fn pictograms(server: &Server, count: usize) -> Vec<String> {
    server.put("/collections/c", &json!({})).ok();
    let files: Vec<Value> = samples().into_iter().filter(|s| s["kind"] != "clothing").take(count).collect();
    for some in files.chunks(100) {
        let named: Vec<_> = some.iter().map(|line| line["file"].as_str().unwrap()).collect();
        let payloads: Vec<_> = some.iter().map(|line| json!({"label": line["label"]})).collect();
        let mut parts = vec![("payloads", None, json!(payloads).to_string().into_bytes())];
        parts.extend(named.iter().map(|file| ("image", Some(*file), sample(file))));
        assert!(upload(server, &parts).iter().all(|line| line["status"] == "ok"));
    }
    files.iter().map(|line| line["label"].as_str().unwrap().to_owned()).collect()
}

fn hits(server: &Server, body: &Value) -> Vec<Value> {
    server.post(QUERY, body).ok()["points"].as_array().unwrap().clone()
}

fn relevance(hit: &Value) -> f64 {
    assert_eq!(hit["relevance"], hit["order_value"]);
    hit["relevance"].as_f64().unwrap()
}

#[test]
fn names_of_pictures_are_relevant_and_what_is_not_there_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    let names = pictograms(&server, 300);
    let best = |text: &str| -> (f64, Value) {
        let asked =
            json!({"query": {"text": text}, "with_relevance": true, "limit": 1, "with_payload": true});
        let hit = hits(&server, &asked).remove(0);
        (relevance(&hit), hit["payload"]["label"].clone())
    };
    let mut found: Vec<(f64, bool)> = names
        .iter()
        .step_by(5)
        .map(|name| {
            let (relevance, label) = best(name);
            (relevance, label == name.as_str())
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let probable: Vec<_> = found.iter().filter(|(relevance, _)| *relevance >= 0.5).collect();
    let right = probable.iter().filter(|(_, right)| *right).count();
    println!("{right} of {} probable hits of {} are right", probable.len(), found.len());
    assert!(!probable.is_empty() && right * 2 > probable.len(), "{found:?}");
    let absent = [
        "a man in a suit gives a speech to a crowd",
        "two dogs run through deep snow",
        "quarterly tax report",
    ];
    assert!(absent.iter().all(|text| best(text).0 < 0.5), "{:?}", absent.map(best));

    // Not asked for, not there; the same after a restart, and from a filtered, a grouped and a batched query.
    let text = json!({"text": names[0]});
    assert!(
        hits(&server, &json!({"query": text}))
            .iter()
            .all(|hit| hit["relevance"].is_null() && hit["order_value"].is_null())
    );
    let asked = json!({"query": text, "with_relevance": true});
    let before = hits(&server, &asked);
    let batch = server
        .post("/collections/c/points/query/batch", &json!({"searches": [asked.clone(), asked.clone()]}))
        .ok();
    assert_eq!(batch[1]["points"], json!(before));
    let groups = json!({"query": text, "with_relevance": true, "group_by": "label", "group_size": 1});
    let groups = server.post("/collections/c/points/query/groups", &groups).ok();
    assert_eq!(groups["groups"][0]["hits"][0]["relevance"], before[0]["relevance"]);
    // In the options of the text, as clients send it that refuse fields of ours beside the query.
    let least = relevance(&before[3]);
    let options =
        json!({"query": {"text": names[0], "model": "bundled", "options": {"min_relevance": least}}});
    assert_eq!(json!(hits(&server, &options)), json!(before[..4]));
    // A picture is compared by another rule than a text: numbers count as pictures unless said to be a text.
    let vector = server.post("/embed", &json!({"inputs": [names[0]]})).ok()["embeddings"][0].clone();
    let numbers = hits(&server, &json!({"query": vector, "with_relevance": true}));
    assert!(numbers[0]["id"] == before[0]["id"] && relevance(&numbers[0]) < relevance(&before[0]));
    let as_text =
        hits(&server, &json!({"query": vector, "with_relevance": true, "params": {"adapt": "text"}}));
    assert!((relevance(&as_text[0]) - relevance(&before[0])).abs() < 1e-3);
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    assert_eq!(hits(&server, &asked), before);
}

#[test]
fn what_has_no_background_says_so() {
    let server = Server::start();
    server.create("c", 2, "Euclid");
    let points: Vec<_> = (0..40).map(|i| json!({"id": i, "vector": [i, 0]})).collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let few = hits(&server, &json!({"query": [1, 0], "with_relevance": true}));
    assert!(few.len() == 10 && few.iter().all(|hit| hit["relevance"].is_null()));
    let error = server.post(QUERY, &json!({"query": [1, 0], "min_relevance": 0.5})).err(400);
    assert!(error.contains("at least 64 other points"), "{error}");
    let fused = json!({"query": {"fusion": "rrf"}, "prefetch": {"query": [1, 0]}, "with_relevance": true});
    assert!(server.post(QUERY, &fused).err(400).contains("need a query by one vector"));
    let points: Vec<_> = (40..400).map(|i| json!({"id": i, "vector": [i, i % 7]})).collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    // Only what is relevant is fused.
    let first = json!({"query": [0, 0], "limit": 50});
    let least = relevance(&hits(&server, &json!({"query": [0, 0], "limit": 50, "with_relevance": true}))[9]);
    let mut bounded = first.clone();
    bounded["min_relevance"] = json!(least);
    let fused = |first: &Value| {
        hits(&server, &json!({"query": {"fusion": "rrf"}, "prefetch": [first], "limit": 100})).len()
    };
    assert_eq!((fused(&first), fused(&bounded)), (50, 10));
}
