//! The P0 calls of the protocol, one after the other, as clients use them.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::model::base64;
use crate::process::{Server, sample, samples};

fn ids(answer: &Value) -> Vec<u64> {
    answer["points"].as_array().unwrap().iter().map(|p| p["id"].as_u64().unwrap()).collect()
}

/// Five points on a line with payloads to filter by.
fn five(server: &Server) {
    server.create("c", 2, "Euclid");
    let points: Vec<_> = (1..=5)
        .map(|i| json!({"id": i, "vector": [i, 0], "payload": {"n": i, "even": i % 2 == 0, "tags": ["all", format!("t{i}")], "at": format!("2026-03-0{i}T00:00:00Z")}}))
        .collect();
    server.put("/collections/c/points?wait=true", &json!({"points": points})).ok();
}

#[test]
fn the_server_says_what_it_is_in_the_form_that_clients_expect() {
    let server = Server::start();
    let root = server.get("/").body;
    assert_eq!(root["version"], "1.19.0");
    assert!(root["title"].as_str().unwrap().contains("lookalike"));
    assert!(root["commit"].is_string());
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(server.get(path).status, 200);
    }
    assert_eq!(server.get("/cluster").ok(), json!({"status": "disabled"}));
    let document = server.get("/openapi.json").body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert!(document["paths"]["/collections/{name}/points/query"]["post"].is_object());
}

#[test]
fn a_collection_is_created_described_listed_and_removed() {
    let server = Server::start();
    let body = json!({
        "vectors": {"": {"size": 3, "distance": "Dot"}, "other": {"size": 2, "distance": "Manhattan", "on_disk": true,
            "quantization_config": {"binary": {"always_ram": true}}}},
        "quantization_config": {"scalar": {"type": "int8"}},
        "hnsw_config": {"m": 8, "ef_construct": 50, "max_indexing_threads": 2}, "optimizers_config": {"indexing_threshold": 5},
        "on_disk_payload": false, "metadata": {"owner": "me"}
    });
    server.put("/collections/a-b_1?timeout=30", &body).ok();
    assert_eq!(server.get("/collections/a-b_1/exists").ok(), json!({"exists": true}));
    assert_eq!(server.get("/collections/none/exists").ok(), json!({"exists": false}));
    assert_eq!(server.get("/collections").ok(), json!({"collections": [{"name": "a-b_1"}]}));
    let mut info = server.get("/collections/a-b_1").ok();
    assert!(info["disk_bytes"].as_u64().unwrap() > 0);
    info["disk_bytes"] = "[bytes]".into();
    insta::assert_json_snapshot!(info);
    assert!(server.put("/collections/a-b_1", &body).err(409).contains("already exists"));
    assert_eq!(server.delete("/collections/a-b_1").ok(), true);
    assert_eq!(server.delete("/collections/a-b_1").ok(), false);
    assert!(server.get("/collections/a-b_1").err(404).contains("Collection `a-b_1` doesn't exist!"));
}

#[test]
fn what_tunes_vectors_is_changed_and_kept_and_anything_else_of_them_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data.path(), &[]);
    let vectors = json!({
        "": {"size": 4, "distance": "Cosine", "datatype": "float16"},
        "b": {"size": 2, "distance": "Dot", "hnsw_config": {"m": 8}},
    });
    let scalar = json!({"scalar": {"type": "int8"}});
    server.put("/collections/c", &json!({"vectors": vectors, "quantization_config": scalar})).ok();
    let patch = |server: &Server, path: &str, body: Value| {
        server.send("PATCH", path, &[], body.to_string().as_bytes())
    };
    let binary = json!({"binary": {"always_ram": true}});
    let body = json!({
        "vectors": {
            "": {"hnsw_config": {"ef_construct": 60}, "on_disk": false},
            "b": {"hnsw_config": {"ef_construct": 70}, "quantization_config": binary},
        },
        "hnsw_config": {"m": 24},
        "quantization_config": "Disabled",
    });
    patch(&server, "/collections/c", body).ok();
    let mut said = Vec::new();
    for _ in 0..2 {
        let config = server.get("/collections/c").ok()["config"].clone();
        assert_eq!((&config["quantization_config"], &config["hnsw_config"]["m"]), (&Value::Null, &json!(24)));
        let of = |name: &str, path: &str| config["params"]["vectors"][name].pointer(path).cloned();
        // What is not said of a vector is that of the collection, as it is then.
        assert_eq!(of("", "/hnsw_config/m"), Some(json!(24)));
        assert_eq!(of("", "/hnsw_config/ef_construct"), Some(json!(60)));
        assert_eq!((of("", "/on_disk"), of("", "/datatype")), (Some(json!(false)), Some(json!("float16"))));
        assert_eq!(of("b", "/hnsw_config/m"), Some(json!(8)));
        assert_eq!(of("b", "/hnsw_config/ef_construct"), Some(json!(70)));
        assert_eq!((of("b", "/quantization_config"), of("b", "/on_disk")), (Some(binary.clone()), None));
        said.push(config);
        server.kill();
        server = Server::start_in(data.path(), &[]);
    }
    assert_eq!(said[0], said[1]);
    for (vectors, names) in [
        (json!({"": {"size": 4}}), "vectors.\"\".size cannot be changed"),
        (json!({"b": {"datatype": "float16"}}), "vectors.b.datatype cannot be changed"),
        (json!({"none": {"on_disk": true}}), "vectors.none: there is no such vector"),
        (json!({"b": {"hnsw_config": {"m": 1000}}}), "vectors.b.hnsw_config.m is 1000"),
        (json!({"b": {"hnsw_config": 3}}), "vectors.b.hnsw_config: expected an object"),
        (
            json!({"b": {"quantization_config": {"scalar": {"type": "int4"}}}}),
            "vectors.b: quantization_config",
        ),
        (json!({"b": {"on_disk": "yes"}}), "vectors.b.on_disk"),
        (json!({"b": {"on": true}}), "vectors.b.on: unknown field"),
        (json!({"b": 1}), "vectors.b: expected an object"),
        (json!([]), "vectors"),
        (json!(true), "vectors"),
    ] {
        let answer = patch(&server, "/collections/c", json!({"metadata": {"x": 1}, "vectors": vectors}));
        let error = answer.body["status"]["error"].as_str().unwrap_or_default().to_owned();
        assert!((400..500).contains(&answer.status) && error.contains(names), "{vectors}: {error}");
    }
    assert!(
        patch(&server, "/collections/c", json!({"hnsw_config": {"m": 1000}}))
            .err(422)
            .contains("hnsw_config.m")
    );
    assert_eq!(server.get("/collections/c").ok()["config"], said[0], "nothing is half applied");
}

#[test]
fn another_graph_is_built_while_the_server_answers() {
    let server = Server::start();
    let body =
        json!({"vectors": {"size": 8, "distance": "Euclid"}, "hnsw_config": {"full_scan_threshold": 100}});
    server.put("/collections/c", &body).ok();
    let mut rng = SmallRng::seed_from_u64(5);
    let points: Vec<Value> = (0..6_000)
        .map(|id| json!({"id": id, "vector": (0..8).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>()}))
        .collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let settled = || {
        for _ in 0..3_000 {
            let info = server.get("/collections/c").ok();
            if info["status"] == "green" && info["indexed_vectors_count"].as_u64() > Some(4_000) {
                return;
            }
            assert_eq!(
                server.post("/collections/c/points/query", &json!({"query": 7, "limit": 3})).ok()["points"]
                    .as_array()
                    .map(Vec::len),
                Some(3)
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("no graph");
    };
    settled();
    for change in [
        json!({"hnsw_config": {"m": 32, "ef_construct": 500}}),
        json!({"quantization_config": {"binary": {}}}),
    ] {
        server.send("PATCH", "/collections/c", &[], change.to_string().as_bytes()).ok();
        assert_eq!(server.get("/collections/c").ok()["status"], "yellow", "{change}");
        settled();
    }
}

#[test]
fn points_are_written_as_a_list_and_as_columns_read_replaced_and_deleted() {
    let server = Server::start();
    server.create("c", 2, "Dot");
    let uuid = "550e8400e29b41d4a716446655440000";
    let done = server.put(
        "/collections/c/points",
        &json!({"points": [{"id": uuid, "vector": [1, 2], "payload": {"a": null}}]}),
    );
    assert_eq!(done.ok()["status"], "completed");
    let batch = json!({"batch": {"ids": [3, 4], "vectors": [[5, 6], [7, 8]], "payloads": [{"b": 1}, null]}});
    server.put("/collections/c/points", &batch).ok();
    let body = json!({"ids": [4, uuid, 99, 3], "with_vector": true});
    assert_eq!(
        server.post("/collections/c/points", &body).ok(),
        json!([
            {"id": 4, "payload": {}, "vector": [7.0, 8.0]},
            {"id": "550e8400-e29b-41d4-a716-446655440000", "payload": {"a": null}, "vector": [1.0, 2.0]},
            {"id": 3, "payload": {"b": 1}, "vector": [5.0, 6.0]}
        ])
    );
    server.put("/collections/c/points", &json!({"points": [{"id": 3, "vector": {"": [9, 9]}}]})).ok();
    assert_eq!(
        server.get("/collections/c/points/3").ok(),
        json!({"id": 3, "payload": {}, "vector": [9.0, 9.0]})
    );
    server.post("/collections/c/points/delete", &json!({"points": [3, uuid]})).ok();
    assert_eq!(server.count("c"), 1);
    server.get("/collections/c/points/3").err(404);
}

#[test]
fn every_kind_of_query_finds_its_points() {
    let server = Server::start();
    five(&server);
    let query = |body: Value| server.post("/collections/c/points/query", &body).ok();
    assert_eq!(ids(&query(json!({"query": [2.2, 0]}))), [2, 3, 1, 4, 5]);
    assert_eq!(ids(&query(json!({"query": {"nearest": [2.2, 0]}, "limit": 2}))), [2, 3]);
    assert_eq!(ids(&query(json!({"query": [2.2, 0], "limit": 2, "offset": 1}))), [3, 1]);
    assert_eq!(
        ids(&query(json!({"query": [2.2, 0], "using": "", "params": {"exact": true}, "limit": 1}))),
        [2]
    );
    assert_eq!(ids(&query(json!({"query": [2.2, 0], "score_threshold": 1.0}))), [2, 3]);
    assert_eq!(ids(&query(json!({"query": 2, "limit": 2}))), [1, 3]);
    assert_eq!(ids(&query(json!({"limit": 3}))), [1, 2, 3]);
    assert_eq!(
        ids(&query(
            json!({"query": [1, 0], "filter": {"must": [{"key": "even", "match": {"value": true}}]}})
        )),
        [2, 4]
    );
    let hit = query(json!({"query": [2.2, 0], "limit": 1, "with_payload": ["n"], "with_vector": true}));
    let hit = &hit["points"][0];
    assert_eq!((&hit["payload"], &hit["vector"]), (&json!({"n": 2}), &json!([2.0, 0.0])));
    assert!(hit["version"].is_u64() && (hit["score"].as_f64().unwrap() - 0.2).abs() < 1e-6, "{hit}");
    let batch = json!({"searches": [{"query": [1, 0], "limit": 1}, {"query": [5, 0], "limit": 1}]});
    let answers = server.post("/collections/c/points/query/batch", &batch).ok();
    assert_eq!((ids(&answers[0]), ids(&answers[1])), (vec![1], vec![5]));
}

#[test]
fn every_condition_of_a_filter_keeps_what_it_says_with_and_without_an_index() {
    let server = Server::start();
    five(&server);
    let cases = [
        (json!({"must": [{"key": "n", "match": {"value": 3}}]}), vec![3]),
        (json!({"must": [{"key": "n", "match": {"any": [1, 5, 9]}}]}), vec![1, 5]),
        (json!({"must": [{"key": "n", "match": {"except": [1, 5]}}]}), vec![2, 3, 4]),
        (json!({"must": [{"key": "n", "range": {"gt": 1, "lte": 3}}]}), vec![2, 3]),
        (json!({"must": [{"key": "tags", "match": {"value": "t4"}}]}), vec![4]),
        (json!({"must": [{"key": "at", "range": {"gte": "2026-03-04T00:00:00Z"}}]}), vec![4, 5]),
        (json!({"must_not": [{"key": "even", "match": {"value": true}}]}), vec![1, 3, 5]),
        (json!({"should": [{"has_id": [1]}, {"key": "n", "match": {"value": 2}}]}), vec![1, 2]),
        (json!({"must": [{"is_empty": {"key": "none"}}, {"has_id": [2, 3]}]}), vec![2, 3]),
        (json!({"must": [{"is_null": {"key": "n"}}]}), vec![]),
        (
            json!({"min_should": {"conditions": [{"has_id": [1, 2]}, {"has_id": [2, 3]}], "min_count": 2}}),
            vec![2],
        ),
        (
            json!({"must": [{"key": "tags", "values_count": {"gte": 2}}, {"must_not": [{"has_id": [5]}]}]}),
            vec![1, 2, 3, 4],
        ),
        (json!({"must": [{"key": "tags", "match": {"text": "T4"}}]}), vec![4]),
        (json!({"must": [{"key": "tags", "match": {"text_any": "t4 t5 t9"}}]}), vec![4, 5]),
        (json!({"must": [{"key": "tags", "match": {"phrase": "t4 t5"}}]}), vec![]),
        (json!({"must": [{"key": "tags", "match": {"prefix": "t4"}}]}), vec![4]),
        (
            json!({"must": [{"key": "n", "geo_radius": {"center": {"lon": 0, "lat": 0}, "radius": 1e8}}]}),
            vec![],
        ),
        (json!({}), vec![1, 2, 3, 4, 5]),
    ];
    let check = |when: &str| {
        for (filter, expected) in &cases {
            let scrolled = server.post("/collections/c/points/scroll", &json!({"filter": filter})).ok();
            assert_eq!(ids(&scrolled), *expected, "{when}: scroll {filter}");
            let count =
                server.post("/collections/c/points/count", &json!({"filter": filter, "exact": true})).ok();
            assert_eq!(count["count"], expected.len(), "{when}: count {filter}");
            let found =
                server.post("/collections/c/points/query", &json!({"query": [0, 0], "filter": filter})).ok();
            assert_eq!(ids(&found), *expected, "{when}: query {filter}");
        }
    };
    check("without an index");
    for (field, kind) in [("n", "integer"), ("even", "bool"), ("tags", "keyword"), ("at", "datetime")] {
        server
            .put("/collections/c/index?wait=true", &json!({"field_name": field, "field_schema": kind}))
            .ok();
    }
    check("with indexes");
    let schema = server.get("/collections/c").ok()["payload_schema"].clone();
    assert_eq!(schema["n"], json!({"data_type": "integer", "points": 5}));
    let params = json!({"type": "keyword", "is_tenant": true, "on_disk": true});
    server.put("/collections/c/index", &json!({"field_name": "tags", "field_schema": params})).ok();
    check("with an index made anew with parameters");
    let schema = server.get("/collections/c").ok()["payload_schema"].clone();
    assert_eq!(schema["tags"]["params"], params);
    server.delete("/collections/c/index/n").ok();
    assert!(server.get("/collections/c").ok()["payload_schema"]["n"].is_null());
    server
        .post(
            "/collections/c/points/delete",
            &json!({"filter": {"must": [{"key": "even", "match": {"value": true}}]}}),
        )
        .ok();
    assert_eq!(ids(&server.post("/collections/c/points/scroll", &json!({})).ok()), [1, 3, 5]);
}

#[test]
fn scroll_walks_in_the_order_of_ids_to_the_end() {
    let server = Server::start();
    five(&server);
    let page = |offset: Value| {
        server.post("/collections/c/points/scroll", &json!({"limit": 2, "offset": offset})).ok()
    };
    let first = page(Value::Null);
    assert_eq!((ids(&first), &first["next_page_offset"]), (vec![1, 2], &json!(3)));
    let last = page(json!(5));
    assert_eq!((ids(&last), &last["next_page_offset"]), (vec![5], &Value::Null));
}

#[test]
fn payloads_are_merged_overwritten_cut_and_cleared() {
    let server = Server::start();
    five(&server);
    let payload = || server.get("/collections/c/points/1").ok()["payload"].clone();
    server.put("/collections/c/points/payload", &json!({"payload": {"a": {"b": 1}}, "points": [1]})).ok();
    server.post("/collections/c/points/payload", &json!({"payload": {"c": 2}, "points": [1]})).ok();
    assert_eq!(payload(), json!({"a": {"b": 1}, "c": 2}));
    server
        .post("/collections/c/points/payload", &json!({"payload": {"d": 3}, "key": "a", "points": [1]}))
        .ok();
    assert_eq!(payload(), json!({"a": {"b": 1, "d": 3}, "c": 2}));
    server.post("/collections/c/points/payload/delete", &json!({"keys": ["a.b", "c"], "points": [1]})).ok();
    assert_eq!(payload(), json!({"a": {"d": 3}}));
    server.post("/collections/c/points/payload/clear", &json!({"filter": {"must": [{"has_id": [1]}]}})).ok();
    assert_eq!(payload(), json!({}));
}

#[test]
fn an_object_for_the_model_may_stand_wherever_a_vector_may() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let files: Vec<_> = samples().iter().take(4).map(|s| s["file"].as_str().unwrap().to_owned()).collect();
    let image = |i: usize| json!({"image": base64(&sample(&files[i])), "model": "bundled"});
    server.put("/collections/c/points", &json!({"points": [
        {"id": 0, "vector": image(0)}, {"id": 1, "vector": {"": image(1)}}, {"id": 2, "vector": {"text": "a shirt", "model": "bundled", "options": {}}}
    ]})).ok();
    server.put("/collections/c/points", &json!({"batch": {"ids": [3], "vectors": [image(3)]}})).ok();
    for (i, query) in [
        (0, image(0)),
        (1, json!({"nearest": image(1)})),
        (2, json!({"text": "a shirt"})),
        (3, json!({"object": {"image": base64(&sample(&files[3]))}})),
    ] {
        let hit = server.post("/collections/c/points/query", &json!({"query": query, "limit": 1})).ok();
        assert_eq!(ids(&hit), [i]);
        assert!(hit["points"][0]["score"].as_f64().unwrap() > 0.999, "{hit}");
    }
}

#[test]
fn a_bad_picture_writes_nothing_unless_partial_success_is_asked_for() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let good = json!({"image": base64(&sample(samples()[0]["file"].as_str().unwrap()))});
    let body =
        json!({"points": [{"id": 1, "vector": good}, {"id": 2, "vector": {"image": base64(b"no picture")}}]});
    assert!(server.put("/collections/c/points", &body).err(400).contains("points[1].vector"));
    assert_eq!(server.count("c"), 0);
    let answer = server
        .send("PUT", "/collections/c/points", &[("x-lookalike-partial", "true")], body.to_string().as_bytes())
        .ok();
    assert_eq!((&answer["failed"][0]["index"], &answer["failed"][0]["id"]), (&json!(1), &json!(2)));
    assert_eq!(server.count("c"), 1);
}

#[test]
fn named_vectors_are_searched_each_by_its_own_distance() {
    let server = Server::start();
    server.put("/collections/c", &json!({"vectors": {"a": {"size": 2, "distance": "Cosine"}, "b": {"size": 1, "distance": "Manhattan"}}})).ok();
    server.put("/collections/c/points", &json!({"points": [
        {"id": 1, "vector": {"a": [3, 4], "b": [10]}}, {"id": 2, "vector": {"a": [1, 0]}}, {"id": 3, "vector": {"b": [7]}}
    ]})).ok();
    let query = |using: &str, vector: Value| {
        ids(&server.post("/collections/c/points/query", &json!({"query": vector, "using": using})).ok())
    };
    assert_eq!(query("a", json!([1, 0])), [2, 1]);
    assert_eq!(query("b", json!([8])), [3, 1]);
    let stored = server.post("/collections/c/points", &json!({"ids": [1], "with_vector": ["a"]})).ok();
    let normalised = &stored[0]["vector"]["a"];
    assert!(
        (normalised[0].as_f64().unwrap() - 0.6).abs() < 1e-6,
        "cosine vectors come back normalised: {stored}"
    );
}

#[test]
fn calls_on_collections_that_come_and_go_are_done_or_refused_and_never_fail_inside() {
    let server = Server::start();
    let server = &server;
    let work = move |seed: u64| {
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..150 {
            let path = format!("/collections/c{}", random.random_range(0..2));
            let (id, value) = (random.random_range(0..50), random.random_range(0..3));
            let filter = json!({"must": [{"key": "v", "match": {"value": value}}]});
            let answer = match random.random_range(0..10) {
                0 => server.put(&path, &json!({"vectors": {"size": 2, "distance": "Dot"}})),
                1 => server.delete(&path),
                2 => server
                    .put(&format!("{path}/index"), &json!({"field_name": "v", "field_schema": "integer"})),
                3 => server.post(&format!("{path}/points/delete"), &json!({"filter": filter})),
                4 => server
                    .post(&format!("{path}/points/payload"), &json!({"payload": {"w": 1}, "filter": filter})),
                5 => {
                    server.post(&format!("{path}/points/query"), &json!({"query": [1, id], "filter": filter}))
                }
                _ => server.put(
                    &format!("{path}/points"),
                    &json!({"points": [{"id": id, "vector": [id, 1], "payload": {"v": value}}]}),
                ),
            };
            assert!([200, 404, 409].contains(&answer.status), "{}: {}", answer.status, answer.body);
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..6 {
            scope.spawn(move || work(seed));
        }
    });
    assert_eq!(server.get("/healthz").status, 200);
}
