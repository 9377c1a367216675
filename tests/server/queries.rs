//! Queries beside the nearest: their older forms, bounds on what comes first, and equal inputs.

use serde_json::{Value, json};

use crate::process::Server;

fn ids(points: &Value) -> Vec<u64> {
    points.as_array().unwrap().iter().map(|point| point["id"].as_u64().unwrap()).collect()
}

fn line(server: &Server) {
    server.create("c", 2, "Euclid");
    let points: Vec<_> = (1..=9)
        .map(|i| json!({"id": i, "vector": [i, 0], "payload": {"third": i % 3, "name": if i % 2 == 0 { "a" } else { "b" }}}))
        .collect();
    server.put("/collections/c/points?wait=true", &json!({"points": points})).ok();
}

#[test]
fn the_older_forms_of_queries_answer_as_the_new_one_does() {
    let server = Server::start();
    line(&server);
    let new = server.post("/collections/c/points/query", &json!({"query": [3.2, 0], "limit": 4})).ok();
    let old = server.post("/collections/c/points/search", &json!({"vector": [3.2, 0], "limit": 4})).ok();
    assert_eq!(ids(&new["points"]), [3, 4, 2, 5]);
    assert_eq!(old, new["points"]);
    let named = json!({"vector": {"name": "", "vector": [3.2, 0]}, "limit": 4});
    let batch = server.post(
        "/collections/c/points/search/batch",
        &json!({"searches": [named, {"vector": [9, 0], "limit": 1}]}),
    );
    assert_eq!(batch.ok(), json!([old, [{"id": 9, "version": 1, "score": 0.0}]]));
    let liked = server.post(
        "/collections/c/points/recommend",
        &json!({"positive": [2, 4], "negative": [9], "strategy": "best_score", "limit": 2}),
    );
    assert_eq!(ids(&liked.ok()), [1, 3]); // as far from a positive, and the first that was written
}

#[test]
fn a_group_is_filled_also_where_its_points_are_far() {
    let server = Server::start();
    line(&server);
    let query = json!({"query": [1, 0], "group_by": "third", "limit": 2, "group_size": 3});
    let groups = server.post("/collections/c/points/query/groups", &query).ok();
    let of = |i: usize| (groups["groups"][i]["id"].clone(), ids(&groups["groups"][i]["hits"]));
    assert_eq!(of(0), (json!(1), vec![1, 4, 7]));
    assert_eq!(of(1), (json!(2), vec![2, 5, 8]));
    let error = server.post(
        "/collections/c/points/query/groups",
        &json!({"query": [1, 0], "group_by": "third", "limit": 9000, "group_size": 2}),
    );
    assert!(error.err(422).contains("limit * group_size is 18000"));
}

#[test]
fn what_comes_first_obeys_the_filter_of_what_it_is_for() {
    let server = Server::start();
    line(&server);
    let query = json!({
        "query": {"fusion": "rrf"}, "prefetch": [{"query": [1, 0], "limit": 3}, {"query": [9, 0], "limit": 3}],
        "filter": {"must": [{"key": "name", "match": {"value": "a"}}]}, "limit": 9, "with_payload": true,
    });
    let points = server.post("/collections/c/points/query", &query).ok()["points"].clone();
    assert_eq!(ids(&points).len(), 4, "2, 4, 6 and 8 are named a: three from either end");
    assert!(points.as_array().unwrap().iter().all(|point| point["payload"]["name"] == "a"));
    let error = server.post("/collections/c/points/query", &json!({"prefetch": {"query": [1, 0]}})).err(400);
    assert!(error.contains("query is needed to merge"), "{error}");
}
