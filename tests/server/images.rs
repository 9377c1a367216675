//! `POST /collections/{c}/images`: many files, an answer for each.

use serde_json::{Value, json};

use crate::model::base64;
use crate::process::{Server, sample, samples};

pub const BOUNDARY: &str = "lookalike-test-boundary";

/// A multipart body: parts of (name, file name, bytes).
pub fn multipart(parts: &[(&str, Option<&str>, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map_or(String::new(), |f| format!("; filename=\"{f}\""));
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes(),
        );
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// Uploads into collection `c`; the lines of the answer.
pub fn upload(server: &Server, parts: &[(&str, Option<&str>, Vec<u8>)]) -> Vec<Value> {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", content_type.as_str())];
    let answer = server.send("POST", "/collections/c/images", &headers, &multipart(parts));
    assert_eq!(answer.status, 200, "{}", answer.body);
    match answer.body {
        Value::String(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        // One line alone reads as JSON.
        line => vec![line],
    }
}

#[test]
fn one_bad_file_never_fails_the_rest() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let good = sample(samples()[0]["file"].as_str().unwrap());
    let truncated = good[..good.len() / 2].to_vec();
    let lines = upload(
        &server,
        &[
            ("payloads", None, json!([{"n": 1}, {"n": 2}, null, {"n": 4}]).to_string().into_bytes()),
            ("ids", None, json!([7, null, 8, "550e8400e29b41d4a716446655440000"]).to_string().into_bytes()),
            ("image", Some("a.jpg"), good.clone()),
            ("image", Some("../../b.jpg"), b"not a picture".to_vec()),
            ("image", Some("c.jpg"), truncated),
            ("image", Some("d.jpg"), sample(samples()[1]["file"].as_str().unwrap())),
        ],
    );
    let mut lines = lines;
    lines.sort_by_key(|line| line["index"].as_u64());
    let status: Vec<_> =
        lines.iter().map(|l| (l["file"].as_str().unwrap(), l["status"].as_str().unwrap())).collect();
    assert_eq!(status, [("a.jpg", "ok"), ("b.jpg", "error"), ("c.jpg", "error"), ("d.jpg", "ok")]);
    assert!(lines[2]["error"].as_str().unwrap().contains("c.jpg"), "{}", lines[2]);
    let records = server.post("/collections/c/points", &json!({"ids": [7, 8]})).ok();
    assert_eq!(records, json!([{"id": 7, "payload": {"n": 1, "file": "a.jpg"}}]));
    assert_eq!(server.count("c"), 2);
}

#[test]
fn the_same_picture_sent_twice_is_one_point() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let file = |i: usize| ("image", Some("x"), sample(samples()[i]["file"].as_str().unwrap()));
    let first = upload(&server, &[file(0), file(1)]);
    let again = upload(&server, &[file(1)]);
    assert_eq!(first[1]["id"], again[0]["id"]);
    assert_eq!(server.count("c"), 2);
}

/// A JPEG is scaled down while it is decoded, a PNG is not.
#[test]
fn a_large_photo_has_the_vector_of_its_pixels() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let small = image::load_from_memory(&sample(samples()[0]["file"].as_str().unwrap())).unwrap();
    let large = small.resize(2_400, 2_400, image::imageops::FilterType::CatmullRom);
    let file = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        large.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let ids = ("ids", None, b"[1, 2]".to_vec());
    let (jpeg, png) = (file(image::ImageFormat::Jpeg), file(image::ImageFormat::Png));
    upload(&server, &[ids, ("image", Some("a.jpg"), jpeg.clone()), ("image", Some("a.png"), png)]);
    let query = json!({"query": {"image": base64(&jpeg)}, "limit": 2});
    let points = server.post("/collections/c/points/query", &query).ok()["points"].clone();
    let scores = [0, 1].map(|i| (points[i]["id"].as_u64().unwrap(), points[i]["score"].as_f64().unwrap()));
    assert!(scores[0].0 == 1 && scores[0].1 > 0.9999, "{points}");
    assert!(scores[1].1 > 0.998, "{points}");
}

#[test]
fn hundreds_of_pictures_in_one_upload_are_found_by_text_and_by_picture() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let samples = samples();
    let names: Vec<_> = samples.iter().map(|s| s["file"].as_str().unwrap().to_owned()).collect();
    let payloads = ("payloads", None, json!(samples).to_string().into_bytes());
    let files = names.iter().map(|name| ("image", Some(name.as_str()), sample(name)));
    let lines = upload(&server, &std::iter::once(payloads).chain(files).collect::<Vec<_>>());
    assert_eq!(lines.iter().filter(|line| line["status"] == "ok").count(), samples.len());
    let query = json!({"query": {"image": base64(&sample(&names[3]))}, "limit": 1, "with_payload": true});
    let hit = server.post("/collections/c/points/query", &query).ok()["points"][0].clone();
    assert_eq!(hit["payload"]["file"], names[3].as_str());
    assert!(hit["score"].as_f64().unwrap() > 0.999, "{hit}");
}

#[test]
fn parts_in_the_wrong_order_or_without_a_name_are_answered_by_a_line() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let good = || ("image", Some("a.jpg"), sample(samples()[0]["file"].as_str().unwrap()));
    for (parts, says) in [
        (vec![good(), ("payloads", None, b"[]".to_vec())], "before the files"),
        (vec![("payloads", None, b"5".to_vec())], "expected a list"),
        (vec![("payloads", None, b"[".to_vec())], "payloads"),
        (vec![("comment", None, b"hi".to_vec())], "comment"),
        (vec![("payloads", None, b"[5]".to_vec()), good()], "payloads[0]"),
        (vec![("ids", None, b"[-1]".to_vec()), good()], "ids[0]"),
    ] {
        let lines = upload(&server, &parts);
        let errors: Vec<_> = lines.iter().filter(|l| l["status"] == "error").collect();
        assert_eq!(errors.len(), 1, "{lines:?}");
        assert!(errors[0]["error"].as_str().unwrap().contains(says), "{says}: {lines:?}");
    }
}

#[test]
fn an_upload_that_cannot_go_anywhere_is_refused_at_once() {
    let server = Server::start();
    server.create("d", 4, "Dot");
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", content_type.as_str())];
    let send = |path: &str| server.send("POST", path, &headers, &multipart(&[]));
    assert!(send("/collections/none/images").err(404).contains("`none`"));
    assert!(send("/collections/d/images").err(400).contains("vectors of 4"));
    assert!(send("/collections/d/images?using=x").err(400).contains("vector name"));
    assert!(server.post("/collections/d/images", &json!({})).status == 400);
}
