//! Maps of collections, the overview, and the page itself.

use serde_json::{Value, json};

use crate::process::Server;

/// A collection of three heaps of 30 points.
fn heaps(server: &Server) {
    server.create("c", 4, "Euclid");
    let point = |i: usize| {
        let mut vector = [0.01 * (i / 3) as f64; 4];
        vector[i % 3] += 10.0;
        json!({"id": i, "vector": vector, "payload": {"heap": i % 3}})
    };
    let points: Vec<Value> = (0..90).map(point).collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
}

#[test]
fn a_map_lays_what_is_alike_together_and_is_the_same_each_time() {
    let server = Server::start();
    heaps(&server);
    for method in ["tsne", "pca"] {
        let body = json!({"method": method, "with_payload": true});
        let map = server.post("/collections/c/map", &body).ok();
        assert_eq!(map, server.post("/collections/c/map", &body).ok());
        let points = map["points"].as_array().unwrap();
        assert_eq!((points.len(), &map["among"]), (90, &json!(90)));
        let place = |p: &Value| (p["x"].as_f64().unwrap(), p["y"].as_f64().unwrap());
        let far = |a: &Value, b: &Value| {
            let ((x, y), (u, v)) = (place(a), place(b));
            (x - u).hypot(y - v)
        };
        for point in points {
            let others = points.iter().filter(|other| other["id"] != point["id"]);
            let nearest = others.min_by(|a, b| far(a, point).total_cmp(&far(b, point))).unwrap();
            assert_eq!(nearest["payload"], point["payload"], "{method}");
        }
    }
    let filter = json!({"must": [{"key": "heap", "match": {"value": 1}}]});
    let few = server.post("/collections/c/map", &json!({"filter": filter, "limit": 7})).ok();
    assert_eq!((few["points"].as_array().unwrap().len(), &few["among"]), (7, &json!(30)));
    assert!(few["points"].as_array().unwrap().iter().all(|p| p["id"].as_u64().unwrap() % 3 == 1));
}

#[test]
fn a_wrong_map_is_refused_by_name() {
    let server = Server::start();
    heaps(&server);
    let refused = |body: Value, status| server.post("/collections/c/map", &body).err(status);
    for (body, status, named) in [
        (json!({"method": "umap"}), 422, "method is `umap`"),
        (json!({"limit": 0}), 422, "limit"),
        (json!({"limit": 2001}), 422, "limit"),
        (json!({"using": "x"}), 400, "x"),
        (json!({"filter": {"must": 3}}), 400, "filter"),
        (json!({"metod": "pca"}), 400, "metod"),
    ] {
        let error = refused(body.clone(), status);
        assert!(error.contains(named), "{body}: {error}");
    }
    server.post("/collections/x/map", &json!({})).err(404);
    server.create("empty", 4, "Dot");
    assert_eq!(server.post("/collections/empty/map", &json!({})).ok()["points"], json!([]));
}

#[test]
fn the_overview_says_how_everything_stands() {
    let server = Server::start_with(&["--originals"]);
    heaps(&server);
    server.put("/collections/s", &json!({"signatures": {}, "pictures": {"originals": false}})).ok();
    let seen = server.get("/overview").ok();
    assert_eq!(seen["model"]["name"], "bundled");
    let disk = &seen["disk"];
    assert!(disk["free_bytes"].as_u64() > disk["reserve_bytes"].as_u64(), "{disk}");
    let lines = seen["collections"].as_array().unwrap();
    let of = |i: usize, field: &str| lines[i][field].clone();
    assert_eq!((of(0, "name"), of(0, "points"), of(0, "status")), (json!("c"), json!(90), json!("green")));
    assert_eq!(
        (of(0, "signatures"), of(0, "thumbnails"), of(0, "originals")),
        (json!(false), json!(true), json!(true))
    );
    assert_eq!((of(1, "signatures"), of(1, "originals")), (json!(true), json!(false)));
    assert!(of(0, "disk_bytes").as_u64() > Some(1000));
}

#[test]
fn the_page_comes_whole_with_a_policy_that_lets_nothing_else_in() {
    let server = Server::start();
    let fetch = |path: &str| {
        let mut response = ureq::get(format!("{}{path}", server.url)).call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response, text)
    };
    let (page, html) = fetch("/dashboard");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let mut linked = 0;
    for part in html.split('"').filter(|part| part.starts_with('/') && !part.contains(' ')) {
        let (file, text) = fetch(part);
        assert!(!text.is_empty() && file.headers()["x-content-type-options"] == "nosniff", "{part}");
        linked += 1;
    }
    assert_eq!(linked, 3, "{html}");
    assert_eq!(fetch("/dashboard/").1, html);
    assert_eq!(server.get("/dashboard/no.js").status, 404);
}
