//! Thumbnails and originals: made, served, replaced, deleted, and kept through kills and snapshots.

use std::io::Cursor;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::process::{Server, sample};

const PHOTO: &str = "clothing/0028956e-9962-46f0-ad45-2c42f8a59d94.jpg";
const OTHER: &str = "pictograms/dog-face-fluent-flat.png";

/// Status, headers and body of a picture.
struct Got {
    status: u16,
    headers: ureq::http::HeaderMap,
    bytes: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn fetch(server: &Server, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = ureq::get(format!("{}{path}", server.url)).config().http_status_as_error(false).build();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.call().unwrap();
    let bytes = response.body_mut().read_to_vec().unwrap();
    Got { status: response.status().as_u16(), headers: response.headers().clone(), bytes }
}

fn put(server: &Server, collection: &str, id: u64, file: &str) {
    let image = base64::engine::general_purpose::STANDARD.encode(sample(file));
    let body = json!({"points": [{"id": id, "vector": {"image": image}, "payload": {"file": file}}]});
    server.put(&format!("/collections/{collection}/points"), &body).ok();
}

fn thumbnail(server: &Server, collection: &str, id: u64) -> Got {
    fetch(server, &format!("/collections/{collection}/points/{id}/thumbnail"), &[])
}

/// Width and height.
fn size(bytes: &[u8]) -> (u32, u32) {
    image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_dimensions().unwrap()
}

fn upload(server: &Server, collection: &str, files: &[(&str, Vec<u8>)]) -> Vec<Value> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        body.extend(
            format!("--x\r\ncontent-disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n")
                .bytes(),
        );
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--x--\r\n");
    let path = format!("/collections/{collection}/images");
    let answer = server.send("POST", &path, &[("content-type", "multipart/form-data; boundary=x")], &body);
    assert_eq!(answer.status, 200);
    match answer.body {
        Value::String(lines) => lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        line => vec![line],
    }
}

/// A JPEG with EXIF data that says "secret".
fn with_exif() -> Vec<u8> {
    let plain = sample(PHOTO);
    let mut file = plain[..2].to_vec();
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\0\x07\0\0\0\x1a\0\0\0\0secret\0";
    file.extend([0xff, 0xe1]);
    file.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    file.extend(exif);
    file.extend(&plain[2..]);
    file
}

#[test]
fn a_thumbnail_is_small_without_metadata_and_safely_served() {
    let server = Server::start();
    server.put("/collections/c", &json!({})).ok();
    let lines = upload(&server, "c", &[("photo.jpg", with_exif()), ("broken.jpg", b"no".to_vec())]);
    assert_eq!((&lines[0]["status"], &lines[1]["status"]), (&json!("ok"), &json!("error")));
    let path = format!("/collections/c/points/{}/thumbnail", lines[0]["id"].as_str().unwrap());
    let got = fetch(&server, &path, &[]);
    assert_eq!(got.status, 200);
    let (width, height) = size(&got.bytes);
    assert_eq!(width.max(height), 256);
    assert!(got.bytes.len() < 40_000, "{} bytes", got.bytes.len());
    assert!(!got.bytes.windows(6).any(|part| part == b"secret"), "metadata came along");
    assert_eq!(got.header("content-type"), "image/jpeg");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(got.header("cache-control"), "private, no-cache");
    let again = fetch(&server, &path, &[("if-none-match", got.header("etag"))]);
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    assert_eq!(fetch(&server, &path, &[("if-none-match", "\"00000000\"")]).status, 200);
    let original = path.replace("thumbnail", "original");
    assert_eq!(fetch(&server, &original, &[]).status, 404, "files are kept without being asked for");
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::start();
    server.create("c", 2, "Dot");
    server.put("/collections/c/points", &json!({"points": [{"id": 1, "vector": [1, 2]}]})).ok();
    let error = |path: &str, status| server.get(path).err(status);
    assert_eq!(error("/collections/c/points/1/thumbnail", 404), "Not found: no thumbnail of point 1 is kept");
    assert_eq!(error("/collections/c/points/1/original", 404), "Not found: no original of point 1 is kept");
    assert_eq!(error("/collections/c/points/2/thumbnail", 404), "Not found: Point with id 2 does not exist!");
    assert!(error("/collections/x/points/1/thumbnail", 404).contains("`x`"));
    assert!(error("/collections/c/points/one/thumbnail", 400).contains("id"));
    let wrong = server.put("/collections/d", &json!({"pictures": {"thumbnail": true}})).err(400);
    assert!(wrong.contains("pictures.thumbnail"), "{wrong}");
    let wrong = server.put("/collections/d", &json!({"pictures": {"originals": 1}})).err(400);
    assert!(wrong.contains("pictures.originals"), "{wrong}");
}

#[test]
fn pictures_live_and_die_with_their_points_also_through_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    server.put("/collections/c", &json!({})).ok();
    for id in 1..=4 {
        put(&server, "c", id, PHOTO);
    }
    let photo = thumbnail(&server, "c", 1).bytes;
    put(&server, "c", 2, OTHER);
    let payload = json!({"payload": {"seen": true}, "points": [3]});
    server.post("/collections/c/points/payload", &payload).ok();
    server.post("/collections/c/points/delete", &json!({"points": [4]})).ok();
    let vector = json!(vec![0.5; 256]);
    server.put("/collections/c/points", &json!({"points": [{"id": 1, "vector": vector}]})).ok();
    let check = |server: &Server| {
        assert_eq!(
            thumbnail(server, "c", 1).status,
            404,
            "a point written again by numbers shows its old picture"
        );
        let other = thumbnail(server, "c", 2);
        assert!(other.status == 200 && other.bytes != photo, "a replaced picture is still the old one");
        assert_eq!(thumbnail(server, "c", 3).bytes, photo, "a change of the payload took the picture along");
        assert_eq!(thumbnail(server, "c", 4).status, 404, "a deleted point shows its picture");
    };
    check(&server);
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    check(&server);
    server.stop();
    check(&Server::start_in(dir.path(), &[]));
}

#[test]
fn a_snapshot_brings_the_pictures_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &["--originals"]);
    server.put("/collections/c", &json!({})).ok();
    put(&server, "c", 1, PHOTO);
    let photo = thumbnail(&server, "c", 1).bytes;
    let made = server.post("/collections/c/snapshots", &json!({})).ok();
    put(&server, "c", 1, OTHER);
    let name = made["name"].as_str().unwrap();
    let path = dir.path().join("snapshots/collections/c").join(name);
    let body = json!({"location": format!("file://{}", path.display())});
    server.put("/collections/c/snapshots/recover", &body).ok();
    assert_eq!(thumbnail(&server, "c", 1).bytes, photo);
    let original = fetch(&server, "/collections/c/points/1/original", &[]);
    assert_eq!(original.bytes, sample(PHOTO));
}

#[test]
fn originals_are_the_files_as_they_were_and_are_only_downloaded() {
    let server = Server::start_with(&["--originals"]);
    server.put("/collections/c", &json!({})).ok();
    put(&server, "c", 7, OTHER);
    let got = fetch(&server, "/collections/c/points/7/original", &[]);
    assert_eq!(got.bytes, sample(OTHER));
    assert_eq!(got.header("content-type"), "image/png");
    assert_eq!(got.header("content-disposition"), "attachment; filename=\"7.png\"");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    let photos: Vec<_> =
        (0..40).map(|i| (format!("{i}.jpg"), [sample(PHOTO), vec![0; i]].concat())).collect();
    let photos: Vec<_> = photos.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let lines = upload(&server, "c", &photos);
    for (line, (_, bytes)) in lines.iter().zip(&photos) {
        let path = format!("/collections/c/points/{}/original", line["id"].as_str().unwrap());
        assert_eq!(&fetch(&server, &path, &[]).bytes, bytes);
    }
}

#[test]
fn a_server_and_a_collection_can_each_say_no() {
    let server = Server::start_with(&["--no-thumbnails"]);
    server.put("/collections/c", &json!({"pictures": {"thumbnails": true}})).ok();
    put(&server, "c", 1, PHOTO);
    assert_eq!(thumbnail(&server, "c", 1).status, 404);
    let server = Server::start_with(&["--originals"]);
    server.put("/collections/c", &json!({"pictures": {"thumbnails": false, "originals": false}})).ok();
    assert_eq!(
        server.get("/collections/c").ok()["config"]["pictures"],
        json!({"thumbnails": false, "originals": false})
    );
    put(&server, "c", 1, PHOTO);
    assert_eq!(thumbnail(&server, "c", 1).status, 404);
    assert_eq!(fetch(&server, "/collections/c/points/1/original", &[]).status, 404);
    server.send("PATCH", "/collections/c", &[], br#"{"pictures": {"thumbnails": true}}"#).ok();
    put(&server, "c", 1, PHOTO);
    assert_eq!(thumbnail(&server, "c", 1).status, 200);
    assert_eq!(fetch(&server, "/collections/c/points/1/original", &[]).status, 404);
}

#[test]
fn pictures_need_the_key_as_all_else_does() {
    let mut server = Server::start_with(&["--api-key", "a-long-key"]).with_key("a-long-key");
    server.put("/collections/c", &json!({})).ok();
    put(&server, "c", 1, PHOTO);
    let path = "/collections/c/points/1/thumbnail";
    assert_eq!(fetch(&server, path, &[]).status, 401);
    assert_eq!(fetch(&server, path, &[("api-key", "another-key")]).status, 401);
    assert_eq!(fetch(&server, path, &[("api-key", "a-long-key")]).status, 200);
    server.set_key(None);
    assert_eq!(fetch(&server, "/dashboard", &[]).status, 200, "the page asks for the key itself");
    assert_eq!(server.get("/overview").status, 401);
}

#[test]
fn references_of_signatures_show_themselves() {
    let server = Server::start();
    server.put("/collections/s", &json!({"signatures": {}})).ok();
    let mut picture = image::RgbImage::from_pixel(600, 200, image::Rgb([255, 255, 255]));
    for i in 0..500u32 {
        let y = 100.0 + 60.0 * (f64::from(i) / 30.0).sin();
        for thick in 0..4 {
            picture.put_pixel(50 + i, y as u32 + thick, image::Rgb([20, 20, 60]));
        }
    }
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    let image = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let enrolled = server.post("/collections/s/enrol", &json!({"subject": "a", "sample": image})).ok();
    let id = enrolled["items"][0]["id"].as_str().unwrap();
    let got = fetch(&server, &format!("/collections/s/points/{id}/thumbnail"), &[]);
    assert_eq!((got.status, size(&got.bytes)), (200, (256, 85)));
}
