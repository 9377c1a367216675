//! Long work in the background: imports of JSON lines, fits, snapshots and recoveries as tasks, over HTTP and
//! from the command line.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model::base64;
use crate::process::{Answer, Server, sample, samples};

fn lines(points: &[Value]) -> Vec<u8> {
    points.iter().map(|point| format!("{point}\n")).collect::<String>().into_bytes()
}

fn import(server: &Server, collection: &str, how: &str, body: &[u8]) -> Answer {
    let headers = [("content-type", "application/x-ndjson")];
    server.send("POST", &format!("/collections/{collection}/import{how}"), &headers, body)
}

#[track_caller]
fn accepted(answer: Answer) -> Value {
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("accepted")), "{}", answer.body);
    answer.body["result"].clone()
}

fn path(task: &Value) -> String {
    format!("/tasks/{}", task["id"].as_str().unwrap())
}

/// The task once it is over.
#[track_caller]
fn over(server: &Server, task: &Value) -> Value {
    let began = Instant::now();
    loop {
        let task = server.get(&path(task)).ok();
        if ["done", "failed", "cancelled"].contains(&task["state"].as_str().unwrap()) {
            return task;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "never over: {task}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Texts for the model, of which the one at `wrong` has a vector of another size.
fn texts(count: usize, wrong: Option<usize>) -> Vec<Value> {
    let point = |i: usize| match wrong {
        Some(wrong) if wrong == i => json!({"id": i, "vector": [1.0, 2.0]}),
        _ => json!({"id": i, "vector": {"text": format!("number {i}")}, "payload": {"i": i}}),
    };
    (0..count).map(point).collect()
}

/// Points of an import that takes seconds.
const MANY: usize = 2000;

/// Such an import: small pictures.
fn slow(server: &Server) -> Value {
    server.put("/collections/slow", &json!({})).ok();
    let small = samples().into_iter().filter(|sample| sample["kind"] == "pictogram").take(100);
    let pictures: Vec<String> = small.map(|s| base64(&sample(s["file"].as_str().unwrap()))).collect();
    let point = |i: usize| json!({"id": i, "vector": {"image": pictures[i % pictures.len()]}});
    let points: Vec<Value> = (0..MANY).map(point).collect();
    accepted(import(server, "slow", "?async=true", &lines(&points)))
}

#[test]
fn points_are_imported_as_json_lines_and_each_is_answered_for() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let mut body = lines(&texts(150, Some(70)));
    body.extend(b"\n  \n{\"id\": \"no id\", \"vector\": {\"text\": \"x\"}}\nnot json\n");
    let picture = base64(&sample(samples()[0]["file"].as_str().unwrap()));
    // The last line needs no end.
    body.extend(json!({"id": 1000, "vector": {"image": picture}}).to_string().into_bytes());
    let answer = import(&server, "c", "", &body);
    assert_eq!(answer.status, 200);
    let text = answer.body.as_str().unwrap();
    let mut told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    told.sort_by_key(|line| line["index"].as_u64().unwrap());
    assert_eq!(told.len(), 153, "{text}");
    for (i, line) in told.iter().enumerate() {
        assert_eq!(line["index"], json!(i));
        let status = if [70, 150, 151].contains(&i) { "error" } else { "ok" };
        assert_eq!(line["status"], status, "{line}");
    }
    assert!(told[70]["error"].as_str().unwrap().contains('2') && told[70]["id"] == 70, "{}", told[70]);
    assert!(told[151]["error"].as_str().unwrap().contains("JSON"), "{}", told[151]);
    assert_eq!(server.count("c"), 150);
    let found =
        server.post("/collections/c/points/query", &json!({"query": {"text": "number 42"}, "limit": 1})).ok();
    assert_eq!(found["points"][0]["id"], 42);
}

#[test]
fn an_import_in_the_background_tells_how_far_it_is_and_what_failed() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let task = accepted(import(&server, "c", "?async=true", &lines(&texts(200, Some(3)))));
    assert_eq!(
        (&task["kind"], &task["collection"], &task["total"]),
        (&json!("import"), &json!("c"), &json!(200))
    );
    let task = over(&server, &task);
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!((&task["done"], &task["failed"]), (&json!(200), &json!(1)));
    assert_eq!(task["result"], json!({"imported": 199, "failed": 1}));
    assert_eq!((&task["failures"][0]["index"], &task["failures"][0]["id"]), (&json!(3), &json!(3)));
    assert!(task["rate"].as_f64().unwrap() > 0.0 && task.get("eta").is_none(), "{task}");
    assert_eq!(server.count("c"), 199);
    let listed = server.get("/tasks").ok();
    assert_eq!(listed["tasks"][0]["id"], task["id"]);
    // The same from the command line.
    let verb = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lookalike"))
            .arg("tasks")
            .args(args)
            .args(["--url", &server.url])
            .output()
            .unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
            output.status.code(),
        )
    };
    let id = task["id"].as_str().unwrap();
    let (table, _, code) = verb(&["list"]);
    assert!(table.contains(id) && table.contains("200 of 200") && code == Some(0), "{table}");
    let (shown, _, code) = verb(&["show", id, "--wait"]);
    assert_eq!((serde_json::from_str::<Value>(&shown).unwrap()["id"].as_str(), code), (Some(id), Some(5)));
    let (_, errors, code) = verb(&["cancel", id]);
    assert!(errors.contains("nothing to cancel") && code == Some(1), "{errors}");
}

#[test]
fn a_task_that_is_cancelled_ends_and_what_it_counts_is_there() {
    let server = Server::start();
    let task = slow(&server);
    while server.get(&path(&task)).ok()["done"].as_u64().unwrap() == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = server.delete(&path(&task)).ok();
    assert_eq!(asked["state"], "cancelling");
    let task = over(&server, &task);
    assert_eq!(task["state"], "cancelled", "{task}");
    let (done, there) = (task["done"].as_u64().unwrap(), server.count("slow"));
    // A group that was written while it was cancelled is there and not counted.
    assert!(done > 0 && done < MANY as u64 && there >= done && there <= done + 64, "{done} {there}");
    assert!(server.delete(&path(&task)).err(409).contains("cancelled"));
    // Nothing is left of the body.
    assert!(task["finished"].is_string() && task.get("result").is_none(), "{task}");
}

#[test]
fn fits_snapshots_and_recoveries_are_tasks_where_they_are_asked_to_be() {
    let server = Server::start();
    let list = format!("{}/samples.jsonl", crate::process::SAMPLES);
    let done = Command::new(env!("CARGO_BIN_EXE_lookalike"))
        .args(["import", "c", &list, "--url", &server.url])
        .output()
        .unwrap();
    assert!(done.status.success());
    // Two fits: the second waits for the first in place of being refused.
    let fit = json!({"label": "label", "candidates": ["centre"]});
    let fits = [0, 1].map(|_| accepted(server.post("/collections/c/adapt?async=true", &fit)));
    for (number, fit) in fits.iter().enumerate() {
        let task = over(&server, fit);
        assert_eq!((&task["state"], &task["kind"]), (&json!("done"), &json!("adapt")), "{task}");
        assert!(task["result"]["version"].as_u64().unwrap() <= 2, "{number}: {task}");
    }
    assert_eq!(server.get("/collections/c/adapt").ok()["versions"].as_array().unwrap().len(), 2);
    let task = over(&server, &accepted(server.post("/collections/c/snapshots?async=true", &json!({}))));
    let snapshot = task["result"]["name"].as_str().unwrap_or_else(|| panic!("{task}")).to_owned();
    let all = over(&server, &accepted(server.post("/snapshots?async=true", &json!({}))));
    assert!(all["result"]["size"].as_u64().unwrap() > 0 && all.get("collection").is_none(), "{all}");
    let kept = format!("{}/collections/c/snapshots/{snapshot}", server.url);
    let recover = |location: &str| {
        let body = json!({"location": location});
        over(&server, &accepted(server.put("/collections/back/snapshots/recover?async=true", &body)))
    };
    assert_eq!(recover(&kept)["state"], "done");
    assert_eq!(server.count("back"), server.count("c"));
    // What the call would have said.
    let failed = recover("ftp://x");
    assert_eq!((&failed["state"], &failed["error_status"]), (&json!("failed"), &json!(400)), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("location"), "{failed}");
    // A client of Qdrant that does not wait is answered in Qdrant's own shape.
    assert!(server.post("/collections/c/snapshots?wait=false", &json!({})).ok()["name"].is_string());
}

#[test]
fn what_is_wrong_is_said_at_once_and_a_task_ends_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server.put("/collections/c", &json!({})).ok();
    assert!(import(&server, "none", "?async=true", b"{}\n").err(404).contains("none"));
    assert!(import(&server, "c", "?async=maybe", b"{}\n").err(400).contains("async"));
    assert!(import(&server, "c", "?async=true", b" \n\n").err(422).contains("no points"));
    assert!(server.post("/collections/c/adapt?async=true", &json!({})).err(400).contains("label"));
    assert!(server.post("/collections/none/snapshots?async=true", &json!({})).err(404).contains("none"));
    assert!(server.get("/tasks/7").err(400).contains("UUID"));
    let unknown = "/tasks/00000000-0000-4000-8000-000000000000";
    assert!(server.get(unknown).err(404).contains("finished ones are kept"));
    assert_eq!(server.delete(unknown).status, 404);
    // The file that held the body goes with the task, also where the server is killed.
    let task = slow(&server);
    while server.count("slow") == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    assert!(server.get(&path(&task)).err(404).contains("end with their server"));
    let there = server.count("slow");
    assert!(there > 0 && there < MANY as u64, "{there}");
    fn spools(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let bytes = entries.filter(|entry| entry.file_name().to_string_lossy().contains("restoring"));
        bytes.map(|entry| entry.metadata().unwrap().len()).sum()
    }
    assert_eq!(spools(dir.path()), 0);
    // A clean stop does not wait for the whole import.
    server.delete("/collections/slow").ok();
    slow(&server);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[test]
fn the_read_only_key_looks_at_tasks_and_starts_and_cancels_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("keys.toml");
    std::fs::write(&config, "api_key = \"write-key\"\nread_only_api_key = \"reader-key\"\n").unwrap();
    let mut server = Server::start_with(&["--config", config.to_str().unwrap()]).with_key("write-key");
    server.put("/collections/c", &json!({})).ok();
    let task = accepted(import(&server, "c", "?async=true", &lines(&texts(3, None))));
    over(&server, &task);
    server.set_key(Some("reader-key"));
    assert_eq!(server.get(&path(&task)).ok()["state"], "done");
    server.delete(&path(&task)).err(403);
    import(&server, "c", "?async=true", &lines(&texts(3, None))).err(403);
    server.set_key(None);
    server.get("/tasks").err(401);
}
