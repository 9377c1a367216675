//! Signatures as a back office uses them: enrolled, calibrated, verified, identified, deleted, audited; over
//! HTTP and from the command line. The signatures are drawn by code: smooth strokes of each writer's own,
//! with a little of another shape each time.

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::images::{BOUNDARY, multipart};
use crate::model::base64;
use crate::models;
use crate::process::Server;

/// The strokes of a writer: amplitudes and phases of a few waves.
fn hand(writer: u64) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(writer);
    (0..24).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A signature as PNG: `hand` with a deviation of `jitter` drawn by `seed`.
fn signature(hand: &[f32], jitter: f32, seed: u64) -> Vec<u8> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let hand: Vec<f32> = hand.iter().map(|value| value + rng.random_range(-jitter..=jitter)).collect();
    let mut picture = image::GrayImage::from_pixel(360, 160, image::Luma([250]));
    for step in 0..6000 {
        let t = step as f32 / 6000.0;
        let wave = |from: usize| -> f32 {
            let waves = (0..6).map(|k| {
                hand[from + k] * ((k * k + 2) as f32 * 3.0 * t + 3.0 * hand[(from + k + 7) % 24]).sin()
            });
            waves.sum()
        };
        let (x, y) = (40.0 + 280.0 * t + 18.0 * wave(0), 80.0 + 20.0 * wave(12));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2)] {
            let (x, y) = ((x as i32 + dx).clamp(0, 359) as u32, (y as i32 + dy).clamp(0, 159) as u32);
            picture.put_pixel(x, y, image::Luma([30]));
        }
    }
    png(&picture)
}

fn png(picture: &image::GrayImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub fn own(writer: u64, number: u64) -> Vec<u8> {
    signature(&hand(writer), 0.1, writer * 1000 + number)
}

fn enrol(server: &Server, writer: u64, count: u64) {
    let samples: Vec<String> = (0..count).map(|number| base64(&own(writer, number))).collect();
    let body = json!({"subject": format!("writer {writer}"), "samples": samples});
    let done = server.post("/collections/s/enrol", &body).ok();
    assert_eq!(done["references"], json!(count), "{done}");
}

fn verify(server: &Server, writer: u64, sample: &[u8]) -> Value {
    let body = json!({"subject": format!("writer {writer}"), "sample": base64(sample), "policy": {"target_far": 0.05}});
    server.post("/collections/s/verify", &body).ok()
}

fn create(server: &Server) {
    server.put("/collections/s", &json!({"signatures": {"audit": true}})).ok();
}

/// 24 writers with 5 references each; a whitening of half of them, and a calibration on the others.
fn calibrated(server: &Server) -> Value {
    create(server);
    (0..24).for_each(|writer| enrol(server, writer, 5));
    let whitening = server.post("/collections/s/whitening", &json!({"share": 0.5})).ok();
    assert_eq!(
        (&whitening["whitening"]["origin"], &whitening["whitening"]["subjects"]),
        (&json!("fitted"), &json!(12))
    );
    server.post("/collections/s/calibrate", &json!({"target_fars": [0.05, 0.1]})).ok()
}

#[test]
fn an_own_signature_is_accepted_anothers_is_not_and_it_is_so_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    let calibration = calibrated(&server);
    assert_eq!(
        (&calibration["subjects"], &calibration["genuine"]),
        (&json!(12), &json!(60)),
        "{calibration}"
    );
    assert_eq!(calibration["outgrown"], json!(false));
    let accepted =
        (0..24).filter(|&writer| verify(&server, writer, &own(writer, 77))["decision"] == "accept").count();
    let fooled = (0..24)
        .filter(|&writer| verify(&server, writer, &own(writer + 500, 1))["decision"] == "accept")
        .count();
    assert!(accepted >= 20 && fooled <= 3, "{accepted} of 24 own, {fooled} of 24 others accepted");
    let answer = verify(&server, 3, &own(3, 78));
    for field in ["score", "p_value", "far", "frr", "nearest_impostor", "calibration", "quality"] {
        assert!(!answer[field].is_null(), "{field}: {answer}");
    }
    assert_eq!(answer["references"].as_array().unwrap().len(), 5);
    assert_eq!(answer["calibration"]["id"], calibration["id"]);
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    let again = verify(&server, 3, &own(3, 78));
    assert_eq!((&again["score"], &again["decision"]), (&answer["score"], &answer["decision"]));
    let log = server.get("/collections/s/audit");
    drop(log);
    let path = format!("{}/collections/s/audit", server.url);
    let text = ureq::get(&path).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(text.lines().count(), 50, "every decision before the crash and after it");
    assert_eq!(lookalike::storage::check_audit(text.as_bytes()).broken, None);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["subject"]), (&json!("verify"), &json!("writer 0")));
    let whom = server
        .post(
            "/collections/s/identify",
            &json!({"sample": base64(&own(5, 90)), "policy": {"target_far": 0.2}}),
        )
        .ok();
    assert_eq!(whom["candidates"][0]["subject"], json!("writer 5"), "{whom}");
    assert_eq!(whom["searched"], json!(24));
}

#[test]
fn copies_of_a_reference_and_pictures_without_ink_are_reviewed_never_accepted() {
    let server = Server::start();
    calibrated(&server);
    let copy = verify(&server, 2, &own(2, 0));
    assert_eq!((&copy["decision"], &copy["replay"]), (&json!("review"), &json!(true)), "{copy}");
    assert!(copy["reasons"][0]["text"].as_str().unwrap().contains("same picture"), "{copy}");
    // The same pixels in another file.
    let pixels = image::load_from_memory(&own(2, 0)).unwrap().to_luma8();
    let mut bmp = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageLuma8(pixels).into_rgb8().write_to(&mut bmp, image::ImageFormat::Png).unwrap();
    assert_eq!(verify(&server, 2, bmp.get_ref())["replay"], json!(true));
    let blank = png(&image::GrayImage::from_pixel(300, 100, image::Luma([255])));
    let answer = verify(&server, 2, &blank);
    assert_eq!((&answer["decision"], &answer["score"]), (&json!("review"), &Value::Null), "{answer}");
    assert_eq!(answer["reasons"][0]["reason"], json!("unfit"));
}

#[test]
fn unfit_and_doubled_references_are_refused_by_name_and_nothing_is_enrolled() {
    let server = Server::start();
    create(&server);
    let blank = png(&image::GrayImage::from_pixel(300, 100, image::Luma([255])));
    let dark = png(&image::GrayImage::from_fn(300, 100, |x, _| image::Luma([if x < 200 { 0 } else { 255 }])));
    let tiny = png(&image::GrayImage::from_fn(300, 100, |x, y| {
        image::Luma([if x < 20 && y < 12 { 0 } else { 255 }])
    }));
    let samples: Vec<String> =
        [&own(1, 0), &blank, &own(1, 0), &dark, &tiny].map(|bytes| base64(bytes)).into();
    let body = json!({"subject": "a", "samples": samples});
    let error = server.post("/collections/s/enrol", &body).err(400);
    for words in [
        "samples[1]: the picture is blank",
        "samples[2]: it is the same picture as samples[0]",
        "samples[3]",
        "samples[4]: the signature is too small",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(server.get("/collections/s/subjects").ok()["total"], json!(0));
    let partial = server
        .send("POST", "/collections/s/enrol", &[("X-Lookalike-Partial", "true")], body.to_string().as_bytes())
        .ok();
    assert_eq!(partial["references"], json!(1), "{partial}");
    let again = server
        .post("/collections/s/enrol", &json!({"subject": "a", "samples": [base64(&own(1, 0))]}))
        .err(400);
    assert!(again.contains("same picture as reference"), "{again}");
}

#[test]
fn a_deleted_subject_leaves_nothing_and_marks_the_calibration() {
    let server = Server::start();
    calibrated(&server);
    assert_eq!(server.delete("/collections/s/subjects/writer%203").ok(), json!({"deleted": 5}));
    server.get("/collections/s/subjects/writer%203").err(404);
    server.delete("/collections/s/subjects/writer%203").err(404);
    let count = server.post("/collections/s/points/count", &json!({})).ok();
    assert_eq!(count["count"], json!(115));
    let list = server.get("/collections/s/calibrations").ok();
    assert!(list["calibrations"][0]["stale"].as_str().unwrap().contains("deleted"), "{list}");
    let page = server.get("/collections/s/subjects?limit=2&from=writer%203").ok();
    assert_eq!((&page["total"], &page["subjects"][0]["subject"]), (&json!(23), &json!("writer 4")), "{page}");
    // Another whitening: the thresholds do not hold any more.
    server.post("/collections/s/whitening", &json!({"share": 0.6, "seed": 9})).ok();
    let error = server
        .post("/collections/s/verify", &json!({"subject": "writer 4", "sample": base64(&own(4, 1))}))
        .err(409);
    assert!(error.contains("calibrate again"), "{error}");
}

#[test]
fn what_cannot_be_promised_or_read_is_refused_by_name() {
    let server = Server::start();
    server.put("/collections/plain", &json!({"vectors": {"size": 4, "distance": "Dot"}})).ok();
    server
        .put("/collections/x", &json!({"signatures": {}, "vectors": {"size": 4, "distance": "Dot"}}))
        .err(400);
    server.put("/collections/x", &json!({"signatures": {"audits": true}})).err(400);
    calibrated(&server);
    let sample = base64(&own(1, 50));
    let mut said = Vec::new();
    for (path, body, status) in [
        ("plain/verify", json!({"subject": "a", "sample": sample}), 400),
        ("s/verify", json!({"sample": sample}), 400),
        ("s/verify", json!({"subject": "nobody", "sample": sample}), 404),
        ("s/verify", json!({"subject": "writer 1"}), 400),
        ("s/verify", json!({"subject": "writer 1", "sample": "/etc/passwd"}), 400),
        ("s/verify", json!({"subject": "writer 1", "sample": {"vector": [1.0]}}), 400),
        ("s/verify", json!({"subject": "writer 1", "sample": sample, "policy": {"target_far": 2}}), 422),
        ("s/verify", json!({"subject": "writer 1", "sample": sample, "policy": {"target_far": 0.01}}), 400),
        ("s/verify", json!({"subject": "writer 1", "sample": sample, "policy": {}}), 422),
        ("s/verify", json!({"subject": "writer 1", "sample": sample, "prior": 1}), 422),
        ("s/calibrate", json!({"target_fars": [0.000_01]}), 400),
        ("s/calibrate", json!({"against": "skilled"}), 400),
        ("s/identify", json!({"sample": sample, "policy": {"target_far": 0.001}}), 400),
        ("s/identify", json!({"sample": sample, "limit": 0}), 422),
        ("s/enrol", json!({"subject": "", "samples": [sample]}), 400),
        ("s/enrol", json!({"subject": "a", "samples": []}), 422),
        ("s/whitening", json!({"share": 1.0}), 422),
        ("s/whitening", json!({"subjects": ["writer 1"]}), 400),
    ] {
        let error = server.post(&format!("/collections/{path}"), &body).err(status);
        said.push(format!("{path}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"));
}

fn cli(server: &Server, verb: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lookalike"))
        .args([verb])
        .args(if verb == "subjects" { &args[..1] } else { &[] })
        .args(["--url", &server.url, "--collection", "s"])
        .args(if verb == "subjects" { &args[1..] } else { args })
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_line_enrols_calibrates_verifies_and_audits() {
    let server = Server::start();
    calibrated(&server);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (one, other) = (file("one.png", &own(900, 1)), file("other.png", &own(900, 2)));
    let (code, out, err) = cli(&server, "enrol", &["--subject", "new", &one, &other]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("2 reference(s)"), "{out}");
    let (blank, third) = (
        file("blank.png", &png(&image::GrayImage::from_pixel(300, 100, image::Luma([255])))),
        file("third.png", &own(900, 3)),
    );
    for partial in [&["--partial"][..], &[]] {
        let (code, out, err) =
            cli(&server, "enrol", &[&["--subject", "newer", &third, &blank, &third], partial].concat());
        let said = format!("{out}{err}");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("blank.png: the picture is blank") && !said.contains("samples["), "{said}");
    }
    let report = dir.path().join("report.html").display().to_string();
    let (code, out, err) = cli(&server, "calibrate", &["--target-far", "0.05", "--report", &report]);
    assert_eq!(code, Some(0), "{out}{err}");
    let page = std::fs::read_to_string(report).unwrap();
    assert!(
        page.contains("<svg") && page.contains("Equal error rate") && !page.contains("<script"),
        "{page}"
    );
    let codes = [(own(6, 60), "writer 6", 0), (own(700, 1), "writer 6", 3), (own(6, 0), "writer 6", 4)];
    for (bytes, subject, expected) in codes {
        let probe = file("probe.png", &bytes);
        let (code, out, err) = cli(&server, "verify", &["--subject", subject, &probe]);
        assert_eq!(code, Some(expected), "{out}{err}");
    }
    let (code, _, err) = cli(&server, "verify", &["--subject", "nobody", &one]);
    assert_eq!(code, Some(1), "{err}");
    let (code, out, err) = cli(&server, "subjects", &["list", "--json"]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().len()),
        (Some(0), 26),
        "{err}"
    );
    let (code, out, err) = cli(&server, "audit", &["--check"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("3 lines hold, from number 1"), "{out}");
    let (_, lines, _) = cli(&server, "audit", &[]);
    let changed = file("audit.jsonl", lines.replace("writer 6", "writer 7").as_bytes());
    let output =
        Command::new(env!("CARGO_BIN_EXE_lookalike")).args(["audit", "--check", "--file", &changed]).output();
    assert_eq!(output.unwrap().status.code(), Some(1));
}

#[test]
fn a_form_with_files_enrols_verifies_and_identifies_as_json_does() {
    let server = Server::start();
    create(&server);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let send = |verb: &str, parts: &[(&str, Option<&str>, Vec<u8>)]| {
        let headers = [("content-type", content_type.as_str())];
        server.send("POST", &format!("/collections/s/{verb}"), &headers, &multipart(parts))
    };
    let file = |number: u64| ("file", Some("signature.png"), own(1, number));
    let done = send("enrol", &[("subject", None, b"writer 1".to_vec()), file(0), file(1), file(2)]).ok();
    assert_eq!(done["references"], json!(3), "{done}");
    let by_form = send("verify", &[("subject", None, b"writer 1".to_vec()), file(9)]).ok();
    let body = json!({"subject": "writer 1", "sample": base64(&own(1, 9))});
    let by_json = server.post("/collections/s/verify", &body).ok();
    assert_eq!(by_form["score"], by_json["score"], "{by_form}");
    // Without a calibration there is no threshold, and doubt is no acceptance.
    assert_eq!(by_form["decision"], json!("review"), "{by_form}");
    assert_eq!(send("identify", &[file(9)]).ok()["candidates"][0]["subject"], json!("writer 1"));
    let error = send(
        "enrol",
        &[("subject", None, b"writer 1".to_vec()), ("forgery", None, b"maybe".to_vec()), file(3)],
    );
    assert!(error.err(422).contains("forgery is `maybe`"));
    assert!(send("verify", &[file(9)]).err(400).contains("subject"));
}

#[test]
fn labelled_forgeries_make_thresholds_against_them() {
    let server = Server::start();
    calibrated(&server);
    for writer in 0..24 {
        // Nearer to the writer than others are, not as near as the writer.
        let forged: Vec<String> =
            (0..4).map(|n| base64(&signature(&hand(writer), 0.35, 70_000 + writer * 10 + n))).collect();
        let body = json!({"subject": format!("writer {writer}"), "samples": forged, "forgery": true});
        server.post("/collections/s/enrol", &body).ok();
    }
    let subject = server.get("/collections/s/subjects/writer%201").ok();
    assert_eq!(
        (&subject["forgeries"], subject["references"].as_array().unwrap().len()),
        (&json!(4), 5),
        "{subject}"
    );
    let body = json!({"target_fars": [0.25], "against": "skilled"});
    let skilled = server.post("/collections/s/calibrate", &body).ok();
    assert_eq!(skilled["against"], json!("skilled"), "{skilled}");
    let threshold = |calibration: &Value| calibration["points"][0]["threshold"].as_f64().unwrap();
    let random = server.post("/collections/s/calibrate", &json!({"target_fars": [0.25]})).ok();
    assert!(threshold(&skilled) > threshold(&random), "{} {}", skilled["points"], random["points"]);
}

#[test]
fn a_restored_snapshot_brings_back_what_decisions_rest_on_and_keeps_the_record_of_decisions() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    calibrated(&server);
    let before = verify(&server, 3, &own(3, 78));
    let name = server.post("/collections/s/snapshots", &json!({})).ok()["name"].as_str().unwrap().to_owned();
    server.delete("/collections/s/subjects/writer%203").ok();
    server.post("/collections/s/whitening", &json!({"share": 0.6, "seed": 9})).ok();
    let file = dir.path().join("snapshots/collections/s").join(name);
    let location = json!({"location": format!("file://{}", file.display())});
    server.put("/collections/s/snapshots/recover?wait=true", &location).ok();
    server.put("/collections/copy/snapshots/recover?wait=true", &location).ok();
    let after = verify(&server, 3, &own(3, 78));
    for field in ["score", "decision", "threshold", "whitening", "references"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["calibration"]["id"], before["calibration"]["id"]);
    assert_eq!((&before["audit"], &after["audit"]), (&json!(1), &json!(2)), "one record before and after");
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    let path = format!("{}/collections/s/audit", server.url);
    let log = ureq::get(&path).call().unwrap().body_mut().read_to_string().unwrap();
    let check = lookalike::storage::check_audit(log.as_bytes());
    assert_eq!((check.lines, check.first, check.broken), (2, 1, None), "{log}");
    let body = json!({"subject": "writer 3", "sample": base64(&own(3, 78)), "policy": {"target_far": 0.05}});
    let copy = server.post("/collections/copy/verify", &body).ok();
    assert_eq!(
        (&copy["score"], &copy["audit"]),
        (&before["score"], &json!(1)),
        "the copy has a record of its own"
    );
}

#[test]
fn of_many_who_enrol_at_once_each_is_kept_and_the_same_picture_once() {
    let server = Server::start();
    create(&server);
    let accepted: usize = std::thread::scope(|scope| {
        // Each picture comes twice.
        let one = |number: u64| {
            let body = json!({"subject": "a", "samples": [base64(&own(1, number / 2))]});
            usize::from(server.post("/collections/s/enrol", &body).status == 200)
        };
        let threads: Vec<_> = (0..12).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let subject = server.get("/collections/s/subjects/a").ok();
    let references = subject["references"].as_array().unwrap().len();
    assert_eq!((accepted, references), (6, 6), "{subject}");
}

/// BHSig-Hindi, where this machine has it: `SIGNATURES_PACK` names its directory, or its archive lies with the
/// other data beside the checkout and is unpacked for the time of the test.
fn pack() -> Option<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(named) = std::env::var_os("SIGNATURES_PACK").map(PathBuf::from) {
        assert!(named.join("writers.csv").is_file(), "SIGNATURES_PACK names {}: no pack", named.display());
        return Some((named, None));
    }
    let name = "signatures-bhsig-hindi";
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/{name}.tar"));
    let file = std::fs::File::open(archive).ok()?;
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(file).unpack(dir.path()).unwrap();
    Some((dir.path().join(name), Some(dir)))
}

fn real(pack: &Path, writer: usize, kind: &str, number: usize) -> Option<Vec<u8>> {
    std::fs::read(pack.join(format!("{writer:03}/{kind}-{number:02}.png"))).ok()
}

#[test]
fn real_signatures_of_twenty_writers_are_told_apart() {
    let Some((pack, _unpacked)) = pack() else {
        eprintln!(
            "SKIPPED: there are no real signatures; SIGNATURES_PACK names no pack, and none lies beside the checkout"
        );
        return;
    };
    let server = Server::start();
    create(&server);
    for writer in 1..=40 {
        let samples: Vec<String> =
            (1..=5).filter_map(|n| real(&pack, writer, "genuine", n)).map(|b| base64(&b)).collect();
        let body = json!({"subject": format!("writer {writer}"), "samples": samples});
        server
            .send(
                "POST",
                "/collections/s/enrol",
                &[("X-Lookalike-Partial", "true")],
                body.to_string().as_bytes(),
            )
            .ok();
    }
    let cohort: Vec<String> = (21..=40).map(|writer| format!("writer {writer}")).collect();
    server.post("/collections/s/whitening", &json!({"subjects": cohort})).ok();
    let calibration = server.post("/collections/s/calibrate", &json!({"target_fars": [0.05]})).ok();
    println!("EER {}", calibration["eer"]);
    assert!(calibration["eer"]["value"].as_f64().unwrap() < 0.1, "{calibration}");
    let accepts = |claimed: usize, signer: usize, kind: &str| {
        let probes = (10..=14).filter_map(|n| real(&pack, signer, kind, n));
        probes.filter(|probe| verify(&server, claimed as u64, probe)["decision"] == "accept").count()
    };
    let genuine: usize = (1..=20).map(|writer| accepts(writer, writer, "genuine")).sum();
    let random: usize = (1..=20).map(|writer| accepts(writer, writer % 20 + 1, "genuine")).sum();
    let forged: usize = (1..=20).map(|writer| accepts(writer, writer, "forged")).sum();
    println!("accepted of 100: {genuine} genuine, {random} of other writers, {forged} forgeries");
    assert!(genuine >= 85 && random <= 12, "{genuine} genuine and {random} of others of 100 accepted");
}

/// A picture as a printer, a copier and a scanner leave it: smaller, paler, blurred, compressed.
fn printed(png: &[u8], scale: f32) -> Vec<u8> {
    let picture = image::load_from_memory(png).unwrap().to_luma8();
    let side = |pixels: u32| (pixels as f32 * scale) as u32;
    let (width, height) = (side(picture.width()), side(picture.height()));
    let mut small = image::imageops::resize(&picture, width, height, image::imageops::FilterType::Triangle);
    small.pixels_mut().for_each(|pixel| pixel.0[0] = 50 + (u32::from(pixel.0[0]) * 180 / 255) as u8);
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60);
    image::DynamicImage::ImageLuma8(image::imageops::blur(&small, 0.7)).write_with_encoder(encoder).unwrap();
    bytes
}

#[test]
fn a_reference_that_was_printed_and_scanned_is_a_replay_and_no_second_reference() {
    let server = Server::start();
    calibrated(&server);
    for scale in [0.7, 1.4] {
        let copy = printed(&own(2, 0), scale);
        let answer = verify(&server, 2, &copy);
        assert_eq!((&answer["decision"], &answer["replay"]), (&json!("review"), &json!(true)), "{answer}");
        let reason = &answer["reasons"][0];
        assert_eq!(reason["reason"], json!("replay"));
        assert!(reason["text"].as_str().unwrap().contains("same picture"), "{answer}");
        let body = json!({"sample": base64(&copy), "policy": {"target_far": 0.2}});
        let whom = server.post("/collections/s/identify", &body).ok();
        assert_eq!((&whom["subject"], &whom["replay"]), (&Value::Null, &json!(true)), "{whom}");
        let body = json!({"subject": "writer 2", "samples": [base64(&copy)]});
        let refused = server.post("/collections/s/enrol", &body).err(400);
        assert!(refused.contains("samples[0]: it is the same picture as reference"), "{refused}");
    }
    // Two copies of one picture in one request, and the field that is the server's.
    let samples = [printed(&own(700, 0), 1.4), printed(&own(700, 0), 0.7)].map(|copy| base64(&copy));
    let twice = server.post("/collections/s/enrol", &json!({"subject": "new", "samples": samples})).err(400);
    assert!(twice.contains("samples[1]: it is the same picture as samples[0] of this request"), "{twice}");
    let body = json!({"subject": "new", "samples": samples[..1], "payload": {"print": "1:"}});
    assert!(
        server.post("/collections/s/enrol", &body).err(400).contains("payload.print is set by the server")
    );
    // A new signature of the same hand is none.
    let fresh = (0..24).filter(|&writer| verify(&server, writer, &own(writer, 77))["replay"] == json!(true));
    assert_eq!(fresh.collect::<Vec<_>>(), Vec::<u64>::new());
}

#[test]
fn references_that_were_enrolled_without_a_print_are_compared_as_before() {
    let server = Server::start();
    calibrated(&server);
    let copy = printed(&own(2, 0), 0.5);
    assert_eq!(verify(&server, 2, &copy)["replay"], json!(true));
    let filter = json!({"must": [{"key": "subject", "match": {"value": "writer 2"}}]});
    server
        .post("/collections/s/points/payload/delete?wait=true", &json!({"keys": ["print"], "filter": filter}))
        .ok();
    let answer = verify(&server, 2, &copy);
    assert_eq!(answer["replay"], json!(false), "{answer}");
    assert_eq!(answer["references"].as_array().unwrap().len(), 5);
    assert_eq!(verify(&server, 2, &own(2, 0))["replay"], json!(true));
}

/// A CLIP with two transformers and weights by chance.
fn clip_by_chance() -> tempfile::TempDir {
    let mut config = models::clip_config();
    for (field, value) in [("image_size", 96), ("patch_size", 8), ("num_hidden_layers", 3)] {
        config["vision_config"][field] = json!(value);
    }
    models::directory(&config, 96, &models::clip_tokenizer(), |name, shape| {
        let scale = match shape {
            [_, rest @ ..] if !rest.is_empty() => (3.0 / rest.iter().product::<usize>() as f32).sqrt(),
            _ => 0.1,
        };
        let shift = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        let values: Vec<f32> = models::uniform(name, shape.iter().product());
        let values = values.into_iter().map(|value| value * scale + shift).collect();
        candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
    })
}

#[test]
fn any_clip_makes_features_of_signatures_and_another_model_is_a_conflict() {
    let (dir, model) = (tempfile::tempdir().unwrap(), clip_by_chance());
    let server = Server::start_in(dir.path(), &["--model", &model.path().display().to_string()]);
    create(&server);
    enrol(&server, 99, 3);
    let body = json!({"subject": "writer 99", "sample": base64(&own(99, 8))});
    let error = server.post("/collections/s/verify", &body).err(409);
    assert!(error.contains("whitening"), "{error}");
    server.delete("/collections/s").ok();
    calibrated(&server);
    let info = server.get("/collections/s").ok();
    assert_eq!(info["config"]["params"]["vectors"]["size"], json!(128), "{info}");
    let score = |writer: u64, number: u64, of: u64| {
        verify(&server, writer, &own(of, number))["score"].as_f64().unwrap()
    };
    let told = (0..24).filter(|&writer| score(writer, 77, writer) > score(writer, 1, writer + 500)).count();
    // Weights by chance: 20 or more of 24 happen once in 1,300 times where the features say nothing.
    assert!(told >= 20, "{told} of 24 own signatures score higher than another's");
    let copy = verify(&server, 2, &printed(&own(2, 0), 0.7));
    assert_eq!((&copy["decision"], &copy["replay"]), (&json!("review"), &json!(true)), "{copy}");
    server.kill();
    let server = Server::start_in(dir.path(), &[]);
    let error = server.post("/collections/s/verify", &body).err(409);
    assert!(error.contains("load the model"), "{error}");
}
