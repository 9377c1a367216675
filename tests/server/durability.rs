//! What was acknowledged is there after kill -9 and a restart; what was deleted stays away.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::process::Server;

const ROUNDS: u64 = 50;
const WRITERS: u64 = 3;
const IDS_PER_WRITER: u64 = 40;

/// What a writer knows of one of its ids.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The last acknowledged value; 0 where it is deleted or was never written.
    acknowledged: u64,
    /// Values sent since, of which nothing is known.
    sent: Vec<u64>,
}

fn vector(value: u64) -> Value {
    json!([value as f32, 1.0, (value % 7) as f32, -(value as f32)])
}

/// Writes and deletes its own ids until the server is gone.
fn write(server: &Server, writer: u64, round: u64, known: &Mutex<BTreeMap<u64, Known>>) {
    let mut random = SmallRng::seed_from_u64(round * 31 + writer);
    for step in 1.. {
        let value = round * 100_000 + step;
        let count = random.random_range(1..4);
        let ids: Vec<u64> =
            (0..count).map(|_| writer * IDS_PER_WRITER + random.random_range(0..IDS_PER_WRITER)).collect();
        let remove = random.random_bool(0.2);
        let now = if remove { 0 } else { value };
        {
            let mut known = known.lock().unwrap();
            ids.iter().for_each(|id| known.entry(*id).or_default().sent.push(now));
        }
        let answer = if remove {
            server.try_send(
                "POST",
                "/collections/c/points/delete",
                &[],
                json!({"points": ids}).to_string().as_bytes(),
            )
        } else {
            let points: Vec<_> = ids
                .iter()
                .map(|id| json!({"id": id, "vector": vector(value), "payload": {"v": value}}))
                .collect();
            server.try_send(
                "PUT",
                "/collections/c/points?wait=true",
                &[],
                json!({"points": points}).to_string().as_bytes(),
            )
        };
        let Ok(answer) = answer else { return };
        answer.ok();
        let mut known = known.lock().unwrap();
        for id in ids {
            *known.get_mut(&id).unwrap() = Known { acknowledged: now, sent: Vec::new() };
        }
    }
}

fn stored(server: &Server) -> BTreeMap<u64, Value> {
    let body = json!({"limit": 10_000, "with_vector": true});
    let points = server.post("/collections/c/points/scroll", &body).ok()["points"].clone();
    points.as_array().unwrap().iter().map(|p| (p["id"].as_u64().unwrap(), p.clone())).collect()
}

#[test]
fn acknowledged_writes_survive_kill_nine_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let known = Mutex::new(BTreeMap::<u64, Known>::new());
    let mut random = SmallRng::seed_from_u64(7);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let server = Server::start_in(dir.path(), &[]);
        if round == 0 {
            server.create("c", 4, "Dot");
        }
        check(&stored(&server), &known, round);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (server, known) = (&server, &known);
                scope.spawn(move || write(server, writer, round, known));
            }
            std::thread::sleep(Duration::from_millis(random.random_range(20..250)));
            let pid = server.pid().to_string();
            assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        });
        acknowledged += known.lock().unwrap().values().filter(|k| k.acknowledged > round * 100_000).count();
        server.kill();
    }
    let server = Server::start_in(dir.path(), &[]);
    check(&stored(&server), &known, ROUNDS);
    assert!(acknowledged > 500, "only {acknowledged} writes were acknowledged: the load was no load");
}

/// Every id holds its last acknowledged value, or one sent after it. What is found is from now
/// on what is known.
fn check(stored: &BTreeMap<u64, Value>, known: &Mutex<BTreeMap<u64, Known>>, round: u64) {
    let mut known = known.lock().unwrap();
    for (id, state) in known.iter_mut() {
        let found = stored.get(id).map_or(0, |point| point["payload"]["v"].as_u64().unwrap());
        assert!(
            found == state.acknowledged || state.sent.contains(&found),
            "round {round}: id {id} holds {found}, acknowledged {}, sent {:?}",
            state.acknowledged,
            state.sent
        );
        if let Some(point) = stored.get(id) {
            assert_eq!(point["vector"], vector(found), "round {round}: id {id} has another's vector");
        }
        *state = Known { acknowledged: found, sent: Vec::new() };
    }
    for id in stored.keys() {
        assert!(known.contains_key(id), "round {round}: id {id} was never written");
    }
}

#[test]
fn a_clean_stop_loses_nothing_and_the_next_start_finds_the_same_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server.put("/collections/c", &json!({})).ok();
    let points: Vec<_> = crate::process::samples()
        .iter()
        .take(12)
        .enumerate()
        .map(|(i, s)| {
            let bytes = crate::process::sample(s["file"].as_str().unwrap());
            json!({"id": i, "vector": {"image": crate::model::base64(&bytes)}, "payload": {"file": s["file"]}})
        })
        .collect();
    server.put("/collections/c/points", &json!({"points": points})).ok();
    let query = json!({"query": {"text": "a shirt"}, "limit": 5, "with_payload": true, "with_vector": true});
    let before = server.post("/collections/c/points/query", &query).ok();
    assert_eq!(before["points"].as_array().unwrap().len(), 5);
    server.stop();
    let server = Server::start_in(dir.path(), &[]);
    assert_eq!(server.post("/collections/c/points/query", &query).ok(), before);
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Server::start_in(dir.path(), &[]);
    let error = Server::try_start(dir.path(), &[]).err().unwrap();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
}
