//! What was acknowledged is there after kill -9 and a restart, exactly: of every writer the state
//! after some request, the last acknowledged one or the one in flight, and of that all or nothing.
//! `SOAK=1` takes the whole gate, `SEED=n` repeats a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::process::Server;

const WRITERS: u64 = 3;
const IDS_PER_WRITER: u64 = 40;
const SIZE: usize = 64;
/// Compaction and graphs come early, so that kills fall into them.
const EARLY: [(&str, &str); 1] = [("LOOKALIKE_COMPACT_FROM_MIB", "1")];

/// What a writer's points hold: the value of vector and payload, and the mark set by filter.
type Points = BTreeMap<u64, (u64, u64)>;

/// One request.
#[derive(Debug, Clone)]
enum Request {
    Upsert(Vec<u64>, u64),
    Delete(Vec<u64>),
    /// Everything of the writer whose value is even or odd.
    DeleteMatching(u64),
    Mark(u64),
}

/// What a writer knows: its points after the last acknowledged request, and the one in flight.
#[derive(Debug, Clone, Default)]
struct Known {
    points: Points,
    in_flight: Option<Request>,
    acknowledged: u64,
}

fn vector(value: u64) -> Value {
    (0..SIZE as u64).map(|i| ((value * 31 + i * 17) % 1009) as f32).collect()
}

impl Request {
    fn any(writer: u64, value: u64, random: &mut SmallRng) -> Self {
        let mut ids = || -> Vec<u64> {
            let count = random.random_range(1..6);
            (0..count).map(|_| writer * IDS_PER_WRITER + random.random_range(0..IDS_PER_WRITER)).collect()
        };
        let some = ids();
        match random.random_range(0..20) {
            0..3 => Request::Delete(some),
            3 => Request::DeleteMatching(random.random_range(0..4)),
            4..6 => Request::Mark(value),
            _ => Request::Upsert(some, value),
        }
    }

    fn apply(&self, points: &mut Points) {
        match self {
            Request::Upsert(ids, value) => points.extend(ids.iter().map(|id| (*id, (*value, 0)))),
            Request::Delete(ids) => points.retain(|id, _| !ids.contains(id)),
            Request::DeleteMatching(class) => points.retain(|_, (value, _)| *value % 4 != *class),
            Request::Mark(value) => points.values_mut().for_each(|(_, mark)| *mark = *value),
        }
    }

    fn send(&self, server: &Server, writer: u64) -> Result<crate::process::Answer, ureq::Error> {
        let mine = json!({"key": "writer", "match": {"value": writer}});
        let (method, path, body) = match self {
            Request::Upsert(ids, value) => {
                let point = |id: &u64| {
                    let payload = json!({"writer": writer, "v": value, "class": value % 4});
                    json!({"id": id, "vector": vector(*value), "payload": payload})
                };
                let points: Vec<_> = ids.iter().map(point).collect();
                ("PUT", "/collections/c/points?wait=true", json!({"points": points}))
            }
            Request::Delete(ids) => ("POST", "/collections/c/points/delete", json!({"points": ids})),
            Request::DeleteMatching(class) => {
                let filter = json!({"must": [mine, {"key": "class", "match": {"value": class}}]});
                ("POST", "/collections/c/points/delete", json!({"filter": filter}))
            }
            Request::Mark(value) => (
                "POST",
                "/collections/c/points/payload",
                json!({"payload": {"mark": value}, "filter": {"must": [mine]}}),
            ),
        };
        server.try_send(method, path, &[], body.to_string().as_bytes())
    }
}

/// Writes to its own ids until the server is gone.
fn write(server: &Server, writer: u64, seed: u64, round: u64, known: &Mutex<Known>) {
    let mut random = SmallRng::seed_from_u64(seed ^ (round * 31 + writer));
    for step in 1.. {
        let request = Request::any(writer, round * 100_000 + step, &mut random);
        known.lock().unwrap().in_flight = Some(request.clone());
        let Ok(answer) = request.send(server, writer) else { return };
        answer.ok();
        let mut known = known.lock().unwrap();
        request.apply(&mut known.points);
        known.in_flight = None;
        known.acknowledged += 1;
    }
}

/// What the collection holds of every writer.
fn stored(server: &Server) -> Vec<Points> {
    let body = json!({"limit": 10_000, "with_vector": true});
    let points = server.post("/collections/c/points/scroll", &body).ok()["points"].clone();
    let mut stored = vec![Points::new(); WRITERS as usize];
    for point in points.as_array().unwrap() {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let (id, payload) = (number(&point["id"]), &point["payload"]);
        let value = number(&payload["v"]);
        assert_eq!(point["vector"], vector(value), "id {id} has another's vector");
        let writer = number(&payload["writer"]);
        assert_eq!(writer, id / IDS_PER_WRITER, "id {id} has another's payload");
        stored[writer as usize].insert(id, (value, number(&payload["mark"])));
    }
    stored
}

/// What was found is a state that the writer's requests came through; from now on it is known.
fn check(stored: Vec<Points>, known: &[Mutex<Known>], what: &str) {
    for (writer, (found, known)) in stored.into_iter().zip(known).enumerate() {
        let mut known = known.lock().unwrap();
        let mut with_last = known.points.clone();
        if let Some(request) = &known.in_flight {
            request.apply(&mut with_last);
        }
        assert!(
            found == known.points || found == with_last,
            "{what}: writer {writer}\nholds {found:?}\nacknowledged {:?}\nin flight {:?}",
            known.points,
            known.in_flight
        );
        known.points = found;
        known.in_flight = None;
    }
}

fn kill(server: Server) {
    assert!(Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap().success());
    server.kill();
}

/// Starts a server and kills it while it still opens its collections, or shortly after.
fn start_and_kill(dir: &Path, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lookalike"))
        .args(["serve", "--port", "0", "--data-dir"])
        .arg(dir)
        .env("LOOKALIKE_LOG", "error")
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn acknowledged_writes_survive_kill_nine_under_load() {
    let soak = std::env::var_os("SOAK").is_some();
    let rounds: u64 = match std::env::var("KILLS") {
        Ok(kills) => kills.parse().unwrap(),
        Err(_) if soak => 10_000,
        Err(_) => 50,
    };
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| std::process::id().into());
    println!("kill -9: SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let known: Vec<Mutex<Known>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut kills, mut snapshots) = (0, 0_u64);
    for round in 0..rounds {
        let what = format!("seed {seed}, round {round}");
        if round % 8 == 3 {
            // The view is lost: what opens it makes it again, and is killed at that.
            std::fs::remove_dir_all(dir.path().join("view")).unwrap();
            start_and_kill(dir.path(), Duration::from_millis(random.random_range(1..60)));
            kills += 1;
        }
        let server =
            Server::try_start_under(dir.path(), &[], &EARLY).unwrap_or_else(|e| panic!("{what}: {e}"));
        if round == 0 {
            let body = json!({"vectors": {"size": SIZE, "distance": "Dot"}, "hnsw_config": {"full_scan_threshold": 10, "m": 8}});
            server.put("/collections/c", &body).ok();
        }
        check(stored(&server), &known, &what);
        std::thread::scope(|scope| {
            for (writer, known) in (0..).zip(&known) {
                let server = &server;
                scope.spawn(move || write(server, writer, seed, round, known));
            }
            let snapshots = &mut snapshots;
            let server = &server;
            if round % 4 == 1 {
                scope.spawn(move || {
                    while let Ok(made) = server.try_send("POST", "/collections/c/snapshots", &[], b"{}") {
                        let name = made.ok()["name"].as_str().unwrap().to_owned();
                        *snapshots += 1;
                        let path = format!("/collections/c/snapshots/{name}");
                        if server.try_send("DELETE", &path, &[], b"").is_err() {
                            break;
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(random.random_range(10..200)));
            assert!(Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap().success());
        });
        kills += 1;
        kill(server);
    }
    let server = Server::start_in(dir.path(), &[]);
    check(stored(&server), &known, "the end");
    let acknowledged: u64 = known.iter().map(|known| known.lock().unwrap().acknowledged).sum();
    assert!(acknowledged > 10 * rounds, "only {acknowledged} writes were acknowledged: the load was no load");
    println!(
        "SOAK| kill -9 under load, over HTTP | {kills} | 0 of {acknowledged} acknowledged requests lost or half there; {snapshots} snapshots made meanwhile |"
    );
}

/// One write or read of an id, by one of many clients.
#[derive(Debug, Clone, Copy)]
struct Event {
    began: Duration,
    ended: Duration,
    /// The order in which the server carried writes out; for a read, that of what it saw.
    order: u64,
}

#[test]
fn eight_clients_at_once_see_every_id_change_in_one_order() {
    const CLIENTS: u64 = 8;
    const IDS: u64 = 12;
    let requests = if std::env::var_os("SOAK").is_some() { 5_000 } else { 150 };
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| std::process::id().into());
    println!("eight clients: SEED={seed}");
    let server = Server::start_with(&[]);
    server.create("c", 2, "Dot");
    let clock = std::time::Instant::now();
    // By id: its writes by value (0: deleted), and its reads with the value that was seen.
    let writes = Mutex::new(BTreeMap::<u64, Vec<(u64, Event)>>::new());
    let reads = Mutex::new(BTreeMap::<u64, Vec<(u64, Event)>>::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, writes, reads) = (&server, &writes, &reads);
            scope.spawn(move || {
                let mut random = SmallRng::seed_from_u64(seed ^ client);
                for step in 1..=requests {
                    let value = client * 1_000_000 + step;
                    let first = random.random_range(0..IDS / 2) * 2;
                    let ids = [first, first + 1];
                    let began = clock.elapsed();
                    if random.random_bool(0.5) {
                        let is_delete = random.random_bool(0.15);
                        let answer = if is_delete {
                            server.post("/collections/c/points/delete", &json!({"points": ids}))
                        } else {
                            let points =
                                ids.map(|id| json!({"id": id, "vector": [id, 1], "payload": {"v": value}}));
                            server.put("/collections/c/points?wait=true", &json!({"points": points}))
                        };
                        let order = answer.ok()["operation_id"].as_u64().unwrap();
                        let event = Event { began, ended: clock.elapsed(), order };
                        let mut writes = writes.lock().unwrap();
                        for id in ids {
                            writes.entry(id).or_default().push((if is_delete { 0 } else { value }, event));
                        }
                    } else {
                        let found = server
                            .post("/collections/c/points", &json!({"ids": ids, "with_payload": true}))
                            .ok();
                        let ended = clock.elapsed();
                        let mut seen = BTreeMap::from(ids.map(|id| (id, 0)));
                        for point in found.as_array().unwrap() {
                            seen.insert(
                                point["id"].as_u64().unwrap(),
                                point["payload"]["v"].as_u64().unwrap(),
                            );
                        }
                        // Both are always written together: a reader sees all or nothing of a request.
                        assert_eq!(seen[&ids[0]], seen[&ids[1]], "seed {seed}: half of a request was seen");
                        let mut reads = reads.lock().unwrap();
                        for (id, value) in &seen {
                            reads.entry(*id).or_default().push((*value, Event { began, ended, order: 0 }));
                        }
                    }
                }
            });
        }
    });
    let (writes, reads) = (writes.into_inner().unwrap(), reads.into_inner().unwrap());
    let mut checked = 0;
    for (id, reads) in &reads {
        let writes = writes.get(id).cloned().unwrap_or_default();
        for (a, b) in writes.iter().flat_map(|a| writes.iter().map(move |b| (a.1, b.1))) {
            assert!(a.ended > b.began || a.order < b.order, "seed {seed}: id {id}: {a:?} came before {b:?}");
        }
        for (value, read) in reads {
            // The last write that was certainly carried out before, and those that may have been.
            let least =
                writes.iter().filter(|(_, w)| w.ended < read.began).map(|(_, w)| w.order).max().unwrap_or(0);
            let may = |w: &Event| w.order >= least && w.began < read.ended;
            let is_possible = writes.iter().any(|(v, w)| v == value && may(w)) || (*value == 0 && least == 0);
            assert!(
                is_possible,
                "seed {seed}: id {id} was {value} in {read:?}; the last write before has order {least}"
            );
            checked += 1;
        }
    }
    println!(
        "SOAK| eight clients at once, histories by id | {} | {checked} reads, each a value that was current | ",
        CLIENTS * requests
    );
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
