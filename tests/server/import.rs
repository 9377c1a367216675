//! `lookalike import` and `search` as a user types them, with the real binary on both sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Server, sample, samples};

/// A folder with so many of the sample pictures, half of them in a folder within.
fn pictures(count: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("inner")).unwrap();
    for (i, line) in samples().iter().take(count).enumerate() {
        let file = line["file"].as_str().unwrap();
        let ending = Path::new(file).extension().unwrap().to_str().unwrap();
        let folder = if i % 2 == 0 { "" } else { "inner/" };
        fs::write(dir.path().join(format!("{folder}{i:04}.{ending}")), sample(file)).unwrap();
    }
    dir
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lookalike"));
    command.args(args).env("LOOKALIKE_LOG", "error");
    command
}

fn lookalike(args: &[&str]) -> Output {
    command(args).current_dir(std::env::temp_dir()).output().unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs an import with `--json`; its summary and exit code.
#[track_caller]
fn import(server: &Server, args: &[&str]) -> (Value, i32) {
    let output = lookalike(&[&["import"], args, &["--json", "--url", &server.url]].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {errors}")), output.status.code().unwrap())
}

#[track_caller]
fn counts(summary: &Value) -> [u64; 4] {
    ["imported", "already_there", "copies", "failed"].map(|key| summary[key].as_u64().unwrap())
}

/// Waits until `done` says so.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(180), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All points: payload by id.
fn points(server: &Server, name: &str) -> Vec<Value> {
    let body = json!({"limit": 10_000, "with_payload": true});
    server.post(&format!("/collections/{name}/points/scroll"), &body).ok()["points"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_folder_is_imported_once_and_what_cannot_be_read_is_reported() {
    let server = Server::start();
    let folder = pictures(40);
    fs::write(folder.path().join("inner/broken.jpg"), "no picture").unwrap();
    fs::copy(folder.path().join("0000.jpg"), folder.path().join("copy.jpg")).unwrap();
    let report = text(&folder.path().join("errors.jsonl"));
    let args = ["c", &text(folder.path()), "--errors", &report, "--set", "album=2024", "--set", "by=me"];
    let (summary, code) = import(&server, &args);
    assert_eq!((counts(&summary), code), ([40, 0, 1, 1], 5), "{summary}");
    let error: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(error["item"], "inner/broken.jpg");
    assert!(error["error"].as_str().unwrap().contains("picture"), "{error}");
    let found = points(&server, "c");
    assert_eq!(found.len(), 40);
    let payload = found.iter().map(|p| &p["payload"]).find(|p| p["file"] == "inner/0001.jpg").unwrap();
    assert_eq!(*payload, json!({"file": "inner/0001.jpg", "album": 2024, "by": "me"}));
    // The same again, and the same picture as an upload that names no id.
    fs::remove_file(folder.path().join("inner/broken.jpg")).unwrap();
    let (summary, code) = import(&server, &args);
    assert_eq!((counts(&summary), code), ([0, 40, 1, 0], 0), "{summary}");
    fs::rename(folder.path().join("0000.jpg"), folder.path().join("renamed.jpg")).unwrap();
    assert_eq!(counts(&import(&server, &args).0)[0], 0);
    let (summary, _) =
        import(&server, &["c", &format!("{}/**/00*.jpg", folder.path().display()), "--overwrite"]);
    assert!(counts(&summary)[0] > 20 && server.count("c") == 40, "{summary}");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_stopped_and_ingests_nothing_twice() {
    // What was embedded before would come faster than a kill.
    let server = Server::start_with(&["--embed-cache-mib", "0"]);
    let folder = pictures(200);
    let all = {
        let other = Server::start();
        counts(&import(&other, &["c", &text(folder.path())]).0)
    };
    assert_eq!(all[0] + all[2], 200, "{all:?}");
    for ids in ["content", "path"] {
        let start = || -> Child {
            command(&[
                "import",
                ids,
                &text(folder.path()),
                "--ids",
                ids,
                "--parallel",
                "1",
                "--url",
                &server.url,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
        };
        let count = || match server.post(&format!("/collections/{ids}/points/count"), &json!({})) {
            answer if answer.status == 200 => answer.body["result"]["count"].as_u64().unwrap(),
            _ => 0,
        };
        let mut child = start();
        wait_until("a part is there", || count() >= 32);
        child.kill().unwrap();
        child.wait().unwrap();
        // The server finishes what it has received.
        let mut before = count();
        wait_until("it is quiet", || {
            std::thread::sleep(Duration::from_millis(700));
            let now = count();
            std::mem::replace(&mut before, now) == now
        });
        let versions = |server: &Server| -> Vec<Value> {
            let body = json!({"query": {"sample": "random"}, "limit": 10_000});
            let answer = server.post(&format!("/collections/{ids}/points/query"), &body).ok();
            let mut found: Vec<_> =
                answer["points"].as_array().unwrap().iter().map(|p| json!([p["id"], p["version"]])).collect();
            found.sort_by_key(Value::to_string);
            found
        };
        let first = versions(&server);
        assert!(before < 200, "the kill never came in the middle");
        let (summary, code) = import(&server, &[ids, &text(folder.path()), "--ids", ids]);
        let [sent, there, copies, failed] = counts(&summary);
        let expected = if ids == "content" { all[0] } else { 200 };
        assert_eq!((sent + there, failed, code), (expected, 0, 0), "{summary}");
        assert!(there == before && sent > 0, "{before}: {summary}");
        assert_eq!(copies, 200 - expected);
        let second = versions(&server);
        assert_eq!(second.len() as u64, expected);
        assert!(first.iter().all(|point| second.contains(point)), "a point was written twice");
    }
}

#[test]
fn an_import_that_is_interrupted_says_how_to_go_on_and_exits_130() {
    let server = Server::start();
    let folder = pictures(200);
    let child = command(&["import", "c", &text(folder.path()), "--parallel", "1", "--url", &server.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a part is there", || server.get("/collections/c").status == 200 && server.count("c") > 0);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes on where"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let sent: u64 = said.split_whitespace().next().unwrap().replace(',', "").parse().unwrap();
    assert_eq!(server.count("c"), sent, "what is said to be imported is there: {said}");
}

#[test]
fn shards_lists_and_texts_are_imported_with_their_payloads() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let shard = dir.path().join("shard.tar");
    let mut builder = tar::Builder::new(fs::File::create(&shard).unwrap());
    for (i, line) in samples().iter().take(5).enumerate() {
        let file = line["file"].as_str().unwrap();
        let ending = Path::new(file).extension().unwrap().to_str().unwrap();
        for (ending, bytes) in [
            (ending, sample(file)),
            ("json", line.to_string().into_bytes()),
            ("txt", format!("caption {i}").into()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, format!("{i:03}.{ending}"), bytes.as_slice()).unwrap();
        }
    }
    builder.finish().unwrap();
    let (summary, code) = import(&server, &["shard", &text(&shard)]);
    assert_eq!((counts(&summary), code), ([5, 0, 0, 0], 0), "{summary}");
    assert!(
        points(&server, "shard")
            .iter()
            .any(|p| p["payload"]["text"] == "caption 4" && p["payload"]["label"].is_string())
    );
    // The list of the repository's own samples, with paths beside it.
    let list = PathBuf::from(crate::process::SAMPLES).join("samples.jsonl");
    let (summary, code) = import(&server, &["list", &text(&list)]);
    assert_eq!((counts(&summary)[3], code), (0, 0), "{summary}");
    let texts = dir.path().join("texts.jsonl");
    let lines: Vec<_> =
        (0..70).map(|i| json!({"id": i, "text": format!("thing {i}"), "n": i}).to_string()).collect();
    fs::write(&texts, lines.join("\n") + "\n{\"id\": 70, \"text\": \"\"}\n").unwrap();
    let report = text(&dir.path().join("errors.jsonl"));
    let (summary, code) = import(&server, &["texts", &text(&texts), "--errors", &report]);
    assert_eq!((counts(&summary), code), ([70, 0, 0, 1], 5), "{summary}");
    assert_eq!(server.get("/collections/texts/points/7").ok()["payload"], json!({"text": "thing 7", "n": 7}));
    assert!(fs::read_to_string(&report).unwrap().contains("texts.jsonl:71"));
}

#[test]
fn a_busy_server_is_waited_for() {
    // A queue that holds one request's texts and refuses those of the next with 429.
    let dir = tempfile::tempdir().unwrap();
    let server = Server::try_start_under(dir.path(), &[], &[("LOOKALIKE_EMBED_QUEUE", "33")]).unwrap();
    let texts = dir.path().join("texts.jsonl");
    let lines: Vec<_> = (0..640)
        .map(|i| json!({"text": format!("a long enough text about thing {i}")}).to_string())
        .collect();
    fs::write(&texts, lines.join("\n")).unwrap();
    let (summary, code) = import(&server, &["texts", &text(&texts), "--parallel", "16"]);
    assert_eq!((counts(&summary), code), ([640, 0, 0, 0], 0), "{summary}");
}

#[test]
fn a_watched_folder_is_followed_and_a_changed_picture_takes_the_place_of_what_it_was() {
    let server = Server::start();
    let folder = pictures(4);
    let mut child = command(&["import", "c", &text(folder.path()), "--watch", "--url", &server.url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is = |count: u64| server.get("/collections/c").status == 200 && server.count("c") == count;
    wait_until("the first four", || is(4));
    std::thread::sleep(Duration::from_millis(300));
    let bytes = |i: usize| sample(samples()[i]["file"].as_str().unwrap());
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(folder.path().join("new/a.jpg"), bytes(10)).unwrap();
    fs::write(folder.path().join("note.txt"), "no picture").unwrap();
    wait_until("a new picture in a new folder", || is(5));
    fs::write(folder.path().join("new/b.jpg"), bytes(11)).unwrap();
    wait_until("another", || is(6));
    let ids = |server: &Server| points(server, "c").iter().map(|p| p["id"].to_string()).collect::<Vec<_>>();
    let before = ids(&server);
    fs::write(folder.path().join("new/b.jpg"), bytes(12)).unwrap();
    wait_until("the changed one in place of the old", || is(6) && ids(&server) != before);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_picture_that_is_removed_from_a_watched_folder_leaves_the_collection_where_that_is_asked_for() {
    let server = Server::start();
    let folder = pictures(8);
    fs::copy(folder.path().join("0000.jpg"), folder.path().join("copy.jpg")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let away = outside.path().join("inner");
    // By a relative path, as one types it.
    let start = |collection: &str, flags: &[&str]| {
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let mut child =
            command(&[&["import", collection, name, "--watch", "--url", &server.url], flags].concat())
                .current_dir(folder.path().parent().unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("watching") {
            assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "{line}");
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        child
    };
    let (mut kept, mut followed) = (start("kept", &[]), start("c", &["--delete"]));
    let is = |count| server.count("c") == count;
    assert!(is(8) && server.count("kept") == 8);
    // Its copy is still there.
    fs::remove_file(folder.path().join("0000.jpg")).unwrap();
    fs::remove_file(folder.path().join("0002.jpg")).unwrap();
    wait_until("one of two is gone", || is(7));
    fs::rename(folder.path().join("copy.jpg"), folder.path().join("inner/moved.jpg")).unwrap();
    fs::remove_file(folder.path().join("0004.jpg")).unwrap();
    wait_until("what was moved stays", || is(6));
    let files = |server: &Server| -> Vec<String> {
        points(server, "c").iter().map(|p| p["payload"]["file"].as_str().unwrap().to_owned()).collect()
    };
    assert!(
        !files(&server).iter().any(|file| file == "0002.jpg" || file == "0004.jpg"),
        "{:?}",
        files(&server)
    );
    fs::rename(folder.path().join("inner"), &away).unwrap();
    wait_until("a folder that was moved out takes its pictures along", || is(1));
    fs::rename(&away, folder.path().join("inner")).unwrap();
    wait_until("and brings them back", || is(6));
    assert_eq!(server.count("kept"), 8, "nothing is deleted where it was not asked for");
    for child in [&mut kept, &mut followed] {
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn pictures_go_into_a_data_directory_without_a_server_and_are_found_by_one() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), pictures(6));
    let data = text(dir.path());
    let output = lookalike(&["import", "c", &text(folder.path()), "--data-dir", &data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let server = Server::start_in(dir.path(), &[]);
    assert_eq!(server.count("c"), 6);
    assert_eq!(counts(&import(&server, &["c", &text(folder.path())]).0)[1], 6);
}

#[test]
fn search_prints_a_table_or_json_by_words_by_picture_and_by_both() {
    let server = Server::start();
    let list = PathBuf::from(crate::process::SAMPLES).join("samples.jsonl");
    import(&server, &["s", &text(&list)]);
    let search = |args: &[&str]| {
        let output = lookalike(&[&["search", "s", "--url", &server.url], args].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = search(&["red", "apple", "-n", "3"]);
    assert!(table.contains("relevance") && table.contains("apple"), "{table}");
    let file = format!("{}/{}", crate::process::SAMPLES, samples()[3]["file"].as_str().unwrap());
    let hits: Value = serde_json::from_str(&search(&["--image", &file, "--json", "-n", "1"])).unwrap();
    assert_eq!(hits[0]["payload"]["file"], samples()[3]["file"]);
    let both = search(&["shirt", "--image", &file, "--not", "apple", "--json", "--where", "kind=clothing"]);
    let both: Value = serde_json::from_str(&both).unwrap();
    assert!(
        both.as_array().unwrap().iter().all(|hit| hit["payload"]["kind"] == "clothing")
            && both[0]["score"].is_number()
    );
    let like = search(&["--like", hits[0]["id"].as_str().unwrap(), "--fields", "file"]);
    assert!(like.contains("file") && !like.contains(" kind "), "{like}");
    // Shown in half blocks where it is asked for.
    let shown = search(&["apple", "-n", "1", "--pictures", "always", "--root", crate::process::SAMPLES]);
    assert!(shown.contains('▀') && shown.contains("file: ") && !shown.contains("_G"), "{shown}");
}

#[test]
fn failures_say_what_to_do_and_have_their_exit_codes() {
    let folder = pictures(1);
    let folder = text(folder.path());
    let server = Server::start_with(&["--api-key", "secret-key"]);
    for (args, code, says) in [
        (vec!["import", "c", &folder, "--url", "http://127.0.0.1:9"], 6, "lookalike serve"),
        (vec!["search", "c", "x", "--url", "http://127.0.0.1:9"], 6, "--url"),
        (vec!["import", "c", &folder, "--url", &server.url], 1, "--api-key"),
        (vec!["health", "--url", "http://127.0.0.1:9"], 6, "lookalike serve"),
        (vec!["import", "c", "/no/such/folder"], 1, "/no/such/folder"),
        (vec!["import", "a b", &folder], 1, "a b"),
        (vec!["import", "c", &folder, "--set", "x"], 2, "KEY=VALUE"),
        (vec!["import", "c", "Cargo.toml", "--watch"], 1, "Cargo.toml"),
        (vec!["import", "c"], 2, "SOURCE"),
        (vec!["search", "c", "x", "--like", "3"], 2, "--like"),
        (vec!["search", "none", "x", "--url", &server.url, "--api-key", "secret-key"], 1, "none"),
    ] {
        let output = lookalike(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn health_is_what_a_container_asks() {
    let server = Server::start_with(&["--api-key", "secret-key"]);
    let output = lookalike(&["health", "--url", &server.url]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("ready"));
}

#[test]
fn completions_manual_pages_and_models_are_printed() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = lookalike(&["completions", shell]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("import") && said.contains("watch"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(lookalike(&["man", "--dir", &text(dir.path())]).status.success());
    let page = fs::read_to_string(dir.path().join("lookalike-import.1")).unwrap();
    assert!(page.contains("\\-\\-watch") && page.contains(".TH"), "{page}");
    let main = String::from_utf8(lookalike(&["man"]).stdout).unwrap();
    assert!(main.contains("Exit codes"), "{main}");
    let models = String::from_utf8(lookalike(&["models", "list", "--json"]).stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&models).unwrap()[0]["name"], "bundled");
}

#[test]
fn the_bench_measures_every_road() {
    let output = lookalike(&["bench", "--points", "300", "--seconds", "1", "--json"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Value = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    for path in ["/pictures/per_sec", "/texts/per_sec", "/query_by_text_ms/p50", "/query_by_point_ms/p99"] {
        assert!(figures.pointer(path).unwrap().as_f64().unwrap() > 0.0, "{path}: {figures}");
    }
}
