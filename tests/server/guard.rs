//! Keys, hosts and origins.

use serde_json::json;

use crate::process::Server;

const KEY: &str = "a-secret-key";

#[test]
fn nothing_but_health_is_answered_without_the_key() {
    let mut server = Server::start_with(&["--api-key", KEY]);
    for path in ["/", "/healthz", "/livez", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert!(server.get("/collections").err(401).contains("API key"));
    server.set_key(Some("wrong-key-entirely"));
    server.get("/collections").err(401);
    server.set_key(Some(KEY));
    server.get("/collections").ok();
    server.set_key(None);
    let bearer = format!("Bearer {KEY}");
    server.send("PUT", "/collections/c", &[("authorization", &bearer)], b"{}").ok();
}

#[test]
fn the_read_only_key_reads_and_does_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lookalike.toml");
    std::fs::write(&config, format!("api_key = \"{KEY}\"\nread_only_api_key = \"reader-key\"\n")).unwrap();
    let mut server = Server::start_with(&["--config", config.to_str().unwrap()]).with_key(KEY);
    server.create("c", 2, "Dot");
    server.put("/collections/c/points", &json!({"points": [{"id": 1, "vector": [1, 2]}]})).ok();
    server.set_key(Some("reader-key"));
    assert_eq!(server.count("c"), 1);
    server.post("/collections/c/points/query", &json!({"query": [1, 1]})).ok();
    server.post("/embed", &json!({"inputs": ["a"]})).ok();
    server.put("/collections/d", &json!({})).err(403);
    server.delete("/collections/c").err(403);
    server.post("/collections/c/points/delete", &json!({"points": [1]})).err(403);
    assert_eq!(server.count("c"), 1);
}

#[test]
fn a_page_of_another_origin_or_a_rebound_name_gets_nothing() {
    let server = Server::start();
    let put = |headers: &[(&str, &str)]| server.send("PUT", "/collections/c", headers, b"{}");
    assert!(put(&[("origin", "https://evil.example")]).err(403).contains("evil.example"));
    assert!(put(&[("host", "evil.example")]).err(403).contains("evil.example"));
    let own = server.url.clone();
    put(&[("origin", &own)]).ok();
}

#[test]
fn an_open_address_needs_a_key_or_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let error = Server::try_start(dir.path(), &["--host", "0.0.0.0"]).err().unwrap();
    assert!(error.contains("--api-key") && error.contains("--insecure"), "{error}");
}

#[test]
fn a_key_of_digits_in_the_environment_is_a_key_and_an_unknown_setting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let start = |environment: &[(&str, &str)]| Server::try_start_under(dir.path(), &[], environment);
    let server = start(&[("LOOKALIKE_API_KEY", "0123456789")]).unwrap().with_key("0123456789");
    server.get("/collections").ok();
    drop(server);
    let error = start(&[("LOOKALIKE_PROT", "1")]).err().unwrap();
    assert!(error.contains("prot"), "{error}");
}
