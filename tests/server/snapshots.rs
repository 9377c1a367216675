//! Snapshots over HTTP: under load, over a kill, and of archives that nobody should trust.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Server;

fn upsert(server: &Server, ids: std::ops::Range<u64>, value: u64) {
    let points: Vec<_> = ids
        .map(|id| json!({"id": id, "vector": [id as f32, value as f32], "payload": {"v": value}}))
        .collect();
    server.put("/collections/c/points?wait=true", &json!({"points": points})).ok();
}

fn values(server: &Server, collection: &str) -> BTreeMap<u64, u64> {
    let body = json!({"limit": 10_000, "with_vector": true});
    let points =
        server.post(&format!("/collections/{collection}/points/scroll"), &body).ok()["points"].clone();
    let value = |p: &Value| {
        assert_eq!(
            p["vector"],
            json!([p["id"].as_u64().unwrap() as f32, p["payload"]["v"].as_u64().unwrap() as f32])
        );
        (p["id"].as_u64().unwrap(), p["payload"]["v"].as_u64().unwrap())
    };
    points.as_array().unwrap().iter().map(value).collect()
}

fn create_snapshot(server: &Server) -> String {
    server.post("/collections/c/snapshots", &json!({})).ok()["name"].as_str().unwrap().to_owned()
}

fn location(dir: &Path, name: &str) -> Value {
    let path = dir.join("snapshots/collections/c").join(name);
    json!({"location": format!("file://{}", path.display())})
}

#[test]
fn a_snapshot_under_load_holds_one_moment_and_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server
        .put("/collections/c", &json!({"vectors": {"size": 2, "distance": "Dot"}, "metadata": {"a": 1}}))
        .ok();
    server.put("/collections/c/index", &json!({"field_name": "v", "field_schema": "integer"})).ok();
    upsert(&server, 0..100, 0);
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let snapshots: Vec<(u64, String, u64)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Every request writes all points with one value: a moment between two has one value.
            for value in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                upsert(&server, 0..100, value);
                written.store(value, Ordering::Relaxed);
            }
        });
        let made = (0..5)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(60));
                let before = written.load(Ordering::Relaxed);
                let name = create_snapshot(&server);
                (before, name, written.load(Ordering::Relaxed) + 1)
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        made
    });
    let listed = server.get("/collections/c/snapshots").ok();
    assert_eq!(listed.as_array().unwrap().len(), 5);
    for snapshot in listed.as_array().unwrap() {
        assert_eq!(snapshot["checksum"].as_str().unwrap().len(), 64, "{snapshot}");
        assert!(snapshot["size"].as_u64().unwrap() > 1000 && snapshot["creation_time"].is_string());
    }
    let config = server.get("/collections/c").ok()["config"].clone();
    for (before, name, after) in &snapshots {
        server.put("/collections/c/snapshots/recover?wait=true", &location(dir.path(), name)).ok();
        let found = values(&server, "c");
        let seen: std::collections::BTreeSet<u64> = found.values().copied().collect();
        assert_eq!((found.len(), seen.len()), (100, 1), "{name}: not one moment");
        let value = *seen.first().unwrap();
        assert!((*before..=*after).contains(&value), "{name}: {value} is not from {before} to {after}");
        assert_eq!(server.get("/collections/c").ok()["config"], config);
        let count = server.post(
            "/collections/c/points/count",
            &json!({"filter": {"must": [{"key": "v", "match": {"value": value}}]}}),
        );
        assert_eq!(count.ok()["count"], 100);
    }
    // Writing goes on in what was restored, and it is there after a kill.
    upsert(&server, 0..100, 7777);
    server.put("/collections/copy/snapshots/recover", &location(dir.path(), &snapshots[0].1)).ok();
    assert_eq!(values(&server, "copy").len(), 100);
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    assert!(values(&server, "c").values().all(|value| *value == 7777));
    assert_eq!(values(&server, "copy").len(), 100);
    let name = &snapshots[0].1;
    assert_eq!(server.delete(&format!("/collections/c/snapshots/{name}")).ok(), true);
    server.delete(&format!("/collections/c/snapshots/{name}")).err(404);
    assert_eq!(server.get("/collections/c/snapshots").ok().as_array().unwrap().len(), 4);
}

/// Rewrites the archive at `path` entry by entry.
fn rewrite(
    path: &Path,
    mut change: impl FnMut(&str, Vec<u8>) -> Vec<(String, Vec<u8>, tar::EntryType)>,
) -> Vec<u8> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let mut out = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        for (name, bytes, kind) in change(&name, bytes) {
            let mut header = tar::Header::new_old();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(kind);
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(&bytes);
            out.resize(out.len().next_multiple_of(512), 0);
        }
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn upload(server: &Server, bytes: &[u8], query: &str) -> crate::process::Answer {
    let mut body = Vec::new();
    write!(body, "--b\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"x\"\r\n\r\n").unwrap();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let path = format!("/collections/c/snapshots/upload{query}");
    server.send("POST", &path, &[("content-type", "multipart/form-data; boundary=b")], &body)
}

#[test]
fn an_archive_that_was_tampered_with_is_refused_by_name_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server.create("c", 2, "Dot");
    upsert(&server, 0..20, 1);
    let name = create_snapshot(&server);
    upsert(&server, 0..20, 2);
    let path = dir.path().join("snapshots/collections/c").join(&name);
    let whole = std::fs::read(&path).unwrap();
    let same = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes, tar::EntryType::Regular);
    let extra = |extra: &'static str, kind: tar::EntryType| {
        let mut is_first = true;
        rewrite(&path, |name, bytes| {
            let mut entries = vec![same(name, bytes)];
            if std::mem::take(&mut is_first) {
                entries.push((extra.to_owned(), b"x".to_vec(), kind));
            }
            entries
        })
    };
    let edited = |from: &str, to: &str| {
        rewrite(&path, |name, bytes| {
            let bytes = match name {
                "SNAPSHOT.json" => String::from_utf8(bytes).unwrap().replace(from, to).into_bytes(),
                _ => bytes,
            };
            vec![same(name, bytes)]
        })
    };
    let flipped = rewrite(&path, |name, mut bytes| {
        if name != "SNAPSHOT.json" {
            bytes[100] ^= 1;
        }
        vec![same(name, bytes)]
    });
    let without_index =
        rewrite(&path, |name, bytes| if name == "SNAPSHOT.json" { vec![] } else { vec![same(name, bytes)] });
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no archive", b"not a tar at all".to_vec(), "tar archive"),
        ("empty", Vec::new(), "SNAPSHOT.json"),
        ("cut short", whole[..whole.len() / 2].to_vec(), ""),
        ("a flipped bit", flipped, "does not fit its hash"),
        ("no index", without_index, "SNAPSHOT.json"),
        (
            "a path upwards",
            extra("../../../../tmp/lookalike-escaped", tar::EntryType::Regular),
            "does not belong",
        ),
        ("an absolute path", extra("/tmp/lookalike-escaped", tar::EntryType::Regular), "does not belong"),
        ("a path within", extra("collections/0/log/../../x.seg", tar::EntryType::Regular), "does not belong"),
        ("a link", extra("collections/0/log/000009.seg", tar::EntryType::Symlink), "no regular file"),
        ("a device", extra("collections/0/log/000009.seg", tar::EntryType::Char), "no regular file"),
        (
            "a file that the index does not know",
            extra("collections/0/log/000009.seg", tar::EntryType::Regular),
            "not in its index",
        ),
        ("other points than it says", edited("\"points\": 20", "\"points\": 21"), "20 points"),
        ("a later change than it has", edited("\"last_seq\": 1", "\"last_seq\": 9"), "log is damaged"),
        ("another format", edited("\"format\": 1", "\"format\": 7"), "format is 7"),
        ("a wrong configuration", edited("\"size\": 2", "\"size\": 0"), "size"),
    ];
    for (what, bytes, expected) in cases {
        let text = upload(&server, &bytes, "").err(400);
        assert!(text.contains(expected), "{what}: {text}");
        assert!(values(&server, "c").values().all(|value| *value == 2), "{what} changed something");
    }
    assert!(!Path::new("/tmp/lookalike-escaped").exists());
    let wrong = upload(&server, &whole, &format!("?checksum={}", "0".repeat(64))).err(400);
    assert!(wrong.contains("checksum"), "{wrong}");
    for (location, expected) in [
        ("file:///etc/passwd", "snapshots/upload"),
        ("ftp://x/y", "http"),
        ("http://127.0.0.1:1/x", "location"),
    ] {
        let body = json!({"location": location});
        let text = server.put("/collections/c/snapshots/recover", &body).err(400);
        assert!(text.contains(expected), "{location}: {text}");
    }
    // What was unpacked on the way is gone, and the whole archive still works.
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("restoring-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    upload(&server, &whole, "?priority=snapshot").ok();
    assert!(values(&server, "c").values().all(|value| *value == 1));
}

#[test]
fn a_kill_in_the_middle_of_making_or_restoring_leaves_the_old_or_the_new_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server.create("c", 2, "Dot");
    for part in 0..10 {
        upsert(&server, part * 1000..(part + 1) * 1000, 1);
    }
    let name = create_snapshot(&server);
    upsert(&server, 0..1000, 2);
    drop(server);
    let (mut old, mut new) = (0, 0);
    for round in 0..12_u64 {
        let server = Server::start_in(dir.path(), &[]);
        let found = values(&server, "c");
        assert_eq!(found.len(), 10_000, "round {round}");
        let rewritten = found.values().filter(|value| **value == 2).count();
        assert!(rewritten == 1000 || rewritten == 0, "round {round}: {rewritten} of 1000");
        if rewritten == 0 {
            new += 1;
            upsert(&server, 0..1000, 2);
        } else {
            old += 1;
        }
        let listed = server.get("/collections/c/snapshots").ok();
        for snapshot in listed.as_array().unwrap() {
            let size = snapshot["size"].as_u64().unwrap();
            assert!(size > 400_000, "half a snapshot is listed: {snapshot}");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let body = location(dir.path(), &name).to_string();
                let path = "/collections/c/snapshots/recover";
                let _ = server.try_send("PUT", path, &[], body.as_bytes());
                let _ = server.try_send("POST", "/collections/c/snapshots", &[], b"{}");
            });
            std::thread::sleep(Duration::from_millis(4 * round * round));
            assert!(Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap().success());
        });
        server.kill();
    }
    println!("killed while restoring: {old} times the old was there, {new} times the new");
    assert!(old > 0 && new > 0, "the kills never came in the middle: {old} old, {new} new");
}

fn lookalike(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lookalike")).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn succeed(args: &[&str]) -> String {
    let (is_done, text) = lookalike(args);
    assert!(is_done, "{args:?}: {text}");
    text
}

#[test]
fn the_verbs_take_a_store_from_one_directory_to_another_and_back() {
    let (dir, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| work.path().join(name).display().to_string();
    let server = Server::start_in(dir.path(), &[]);
    server.create("c", 2, "Dot");
    server.create("d", 2, "Dot");
    upsert(&server, 0..50, 3);
    let url = ["--url", &server.url];
    let with = |args: &[&str]| succeed(&[args, &url].concat());
    let made = with(&["snapshot", "create"]);
    let name = made.split_whitespace().find(|word| word.ends_with(".snapshot")).unwrap();
    assert!(with(&["snapshot", "list"]).contains(name));
    let archive = path("all.snapshot");
    with(&["snapshot", "download", name, "--to", &archive]);
    with(&["export", "c", &path("c.jsonl")]);
    with(&["export", "c", &path("c.parquet")]);
    with(&["import", "from-lines", &path("c.jsonl"), "--distance", "dot"]);
    with(&["import", "from-parquet", &path("c.parquet"), "--distance", "dot"]);
    let expected = values(&server, "c");
    assert_eq!(values(&server, "from-lines"), expected);
    assert_eq!(values(&server, "from-parquet"), expected);
    upsert(&server, 0..50, 4);
    with(&["snapshot", "restore", &archive, "--collection", "c"]);
    assert_eq!(values(&server, "c"), expected);
    with(&["snapshot", "delete", name]);
    assert!(!with(&["snapshot", "list"]).contains(name));
    // Offline, into a new directory; and a directory that is in use is refused.
    let (restored, here) = (path("restored"), dir.path().display().to_string());
    let (is_done, text) =
        lookalike(&["snapshot", "restore", &archive, "--data-dir", &here, "--collection", "c"]);
    assert!(!is_done && text.contains("in use"), "{text}");
    succeed(&["snapshot", "restore", &archive, "--data-dir", &restored]);
    let (is_done, text) = lookalike(&["snapshot", "restore", &archive, "--data-dir", &restored]);
    assert!(!is_done && text.contains("not empty"), "{text}");
    succeed(&["export", "c", &path("offline.parquet"), "--data-dir", &restored]);
    succeed(&["import", "e", &path("offline.parquet"), "--data-dir", &restored, "--distance", "dot"]);
    assert!(succeed(&["doctor", &restored]).contains("collection e"));
    drop(server);
    let server = Server::start_in(&work.path().join("restored"), &[]);
    assert_eq!(server.get("/collections").ok()["collections"].as_array().unwrap().len(), 3);
    assert_eq!(values(&server, "c"), expected);
    assert_eq!(values(&server, "e"), expected);
    let url = server.url.clone();
    let body = json!({"location": format!("{url}/collections/c/snapshots/{}", create_snapshot(&server))});
    upsert(&server, 0..50, 5);
    server.put("/collections/c/snapshots/recover", &body).ok();
    assert_eq!(values(&server, "c"), expected);
}
