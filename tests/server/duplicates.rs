//! `POST /collections/{c}/duplicates`: pictures uploaded twice, changed a little, and not at all alike.

use serde_json::{Value, json};

use crate::images::upload;
use crate::model::base64;
use crate::process::{Server, sample, samples};

const DUPLICATES: &str = "/collections/c/duplicates";

fn ids(group: &Value) -> Vec<u64> {
    group["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

#[test]
fn pictures_that_were_uploaded_twice_are_found_however_they_were_sent() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let files: Vec<String> =
        samples().iter().step_by(12).map(|line| line["file"].as_str().unwrap().to_owned()).collect();
    // All of them in one request, every third again alone: the model runs them in other batches.
    let ids_of = json!((0..files.len()).collect::<Vec<_>>()).to_string().into_bytes();
    let mut parts = vec![("ids", None, ids_of)];
    parts.extend(files.iter().map(|file| ("image", Some(file.as_str()), sample(file))));
    assert!(upload(&server, &parts).iter().all(|line| line["status"] == "ok"));
    for (i, file) in files.iter().enumerate().step_by(3) {
        let point =
            json!({"id": 1000 + i, "vector": {"image": base64(&sample(file))}, "payload": {"again": true}});
        server.put("/collections/c/points", &json!({"points": [point]})).ok();
    }
    // Whatever the threshold: the same bytes are always the same.
    let found = server.post(DUPLICATES, &json!({"threshold": 1.0, "with_payload": true})).ok();
    let groups = found["groups"].as_array().unwrap();
    let expected: Vec<Vec<u64>> = (0..files.len() as u64).step_by(3).map(|i| vec![i, 1000 + i]).collect();
    let mut pairs: Vec<_> = groups.iter().map(ids).collect();
    pairs.sort();
    assert_eq!(pairs, expected, "{found}");
    assert!(groups.iter().all(|group| group["id"] == group["hits"][0]["id"] && group["size"] == 2));
    assert_eq!(groups[0]["hits"][1]["payload"], json!({"again": true}));
    assert!(groups[0]["hits"][1]["score"].as_f64().unwrap() > 0.9999);
    assert_eq!((&found["next_offset"], &found["left_out"]), (&Value::Null, &json!(0)));
    // By a filter that leaves one of each, none.
    let again = json!({"must": [{"key": "again", "match": {"value": true}}]});
    let filtered = server.post(DUPLICATES, &json!({"filter": again, "threshold": 1.0})).ok();
    assert_eq!((&filtered["groups"], &filtered["compared"]), (&json!([]), &json!(files.len().div_ceil(3))));
    // The usual threshold takes no fewer.
    let usual = server.post(DUPLICATES, &json!({})).ok();
    assert!((usual["threshold"].as_f64().unwrap() - 0.95).abs() < 1e-6, "{}", usual["threshold"]);
    let covered: usize = usual["groups"].as_array().unwrap().iter().map(|group| ids(group).len()).sum();
    assert!(covered >= 2 * expected.len());
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let server = Server::start();
    server.create("c", 4, "Euclid");
    // 6,000 pairs: more than a page answers.
    for first in (0..12_000).step_by(3_000) {
        let points: Vec<_> = (first..first + 3_000)
            .map(|i| {
                let pair = i / 2;
                json!({"id": i, "vector": [pair % 20, pair / 20 % 20, pair / 400, 5]})
            })
            .collect();
        server.put("/collections/c/points", &json!({"points": points})).ok();
    }
    let mut pairs = Vec::new();
    let mut offset = Value::Null;
    let mut pages = 0;
    loop {
        let asked = json!({"threshold": 0.5, "limit": 10_000, "offset": offset});
        let page = server.post(DUPLICATES, &asked).ok();
        pairs.extend(page["groups"].as_array().unwrap().iter().map(ids));
        pages += 1;
        offset = page["next_offset"].clone();
        if offset.is_null() {
            break;
        }
    }
    pairs.sort();
    assert_eq!(pairs, (0..6_000).map(|pair| vec![2 * pair, 2 * pair + 1]).collect::<Vec<_>>());
    assert!(pages > 1, "a page answers at most 10,000 points");
    let first = server.post(DUPLICATES, &json!({"threshold": 0.5, "limit": 3})).ok();
    assert_eq!((first["groups"].as_array().unwrap().len(), &first["left_out"]), (3, &json!(4_997)));
}

#[test]
fn one_page_is_made_at_a_time_and_queries_go_on_meanwhile() {
    let server = Server::start();
    server.create("c", 4, "Euclid");
    for first in (0..20_000).step_by(5_000) {
        let points: Vec<_> = (first..first + 5_000)
            .map(|i: u32| json!({"id": i, "vector": [i % 97, i % 89, i % 83, i % 79]}))
            .collect();
        server.put("/collections/c/points", &json!({"points": points})).ok();
    }
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..6).map(|_| scope.spawn(|| server.post(DUPLICATES, &json!({"threshold": 20.0})))).collect();
        for _ in 0..20 {
            server.post("/collections/c/points/query", &json!({"query": [1, 2, 3, 4]})).ok();
        }
        let answers: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert!(answers.iter().any(|answer| answer.status == 200));
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("2")), "{}", answer.body);
        }
        assert!(
            answers.iter().any(|answer| answer.status == 429),
            "all were made at once or one after another"
        );
    });
}
