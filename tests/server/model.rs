//! The model inside: vectors for texts and pictures, alone and in queries.

use std::path::Path;

use base64::Engine as _;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::process::{Server, sample, samples};

/// A picture as a client sends it.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[test]
fn texts_and_pictures_become_unit_vectors_the_same_alone_or_in_a_batch() {
    let server = Server::start();
    let files: Vec<_> = samples().iter().take(9).map(|s| s["file"].as_str().unwrap().to_owned()).collect();
    let image = |file: &String| json!({"image": base64(&sample(file))});
    let mut inputs: Vec<Value> = files.iter().map(image).collect();
    inputs.extend(["a red dress", "", "shoes", "a very long text ".repeat(100).as_str()].map(Value::from));
    let together = server.post("/embed", &json!({"inputs": inputs})).ok();
    assert_eq!(together["dimension"], 256);
    for (i, input) in inputs.iter().enumerate() {
        let batched = floats(&together["embeddings"][i]);
        let alone = floats(&server.post("/embed", &json!({"inputs": [input]})).ok()["embeddings"][0]);
        assert!((cosine(&alone, &alone) - 1.0).abs() < 1e-5, "input {i} is not of unit length");
        let worst = alone.iter().zip(&batched).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "input {i} differs by {worst} alone and in a batch");
    }
}

#[test]
fn a_mixed_query_lies_between_its_parts() {
    let server = Server::start();
    let mixed = json!({"object": [{"text": "red"}, {"text": "a shoe", "weight": 0.5}, {"text": "logo", "weight": -0.7}]});
    let body = json!({"inputs": [mixed, "red", "a shoe", "logo"]});
    let vectors: Vec<_> =
        server.post("/embed", &body).ok()["embeddings"].as_array().unwrap().iter().map(floats).collect();
    let mut sum: Vec<f32> =
        (0..256).map(|i| vectors[1][i] + 0.5 * vectors[2][i] - 0.7 * vectors[3][i]).collect();
    let norm = cosine(&sum, &sum).sqrt();
    sum.iter_mut().for_each(|x| *x /= norm);
    assert!(cosine(&sum, &vectors[0]) > 0.9999);
}

#[test]
fn the_loaded_model_describes_itself() {
    let server = Server::start();
    let model = server.get("/models").ok()["models"][0].clone();
    assert_eq!((&model["name"], &model["dimension"]), (&json!("bundled"), &json!(256)));
    assert_eq!(model["modalities"], json!(["text", "image"]));
    for word in ["address", "data", "bundled", "256 dimensions", "cpu", "loaded in", "ready"] {
        assert!(server.banner.contains(word), "the banner lacks `{word}`: {}", server.banner);
    }
}

#[test]
fn a_model_that_cannot_be_used_is_refused_at_the_start_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let start = |model: &str| Server::try_start(dir.path(), &["--offline", "--model", model]).err().unwrap();
    let error = start("/no/such/model");
    assert!(error.contains("/no/such/model"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = start(&empty.path().display().to_string());
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn a_model_directory_serves_like_the_bundled_one() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/bundled");
    let (bundled, local) = (Server::start(), Server::start_with(&["--model", model]));
    let vector =
        |server: &Server| floats(&server.post("/embed", &json!({"inputs": ["a cat"]})).ok()["embeddings"][0]);
    let same = cosine(&vector(&bundled), &vector(&local));
    assert!((same - 1.0).abs() < 1e-5, "the cosine is {same}");
}

/// A DINOv2 of one thin layer on 28 pixels, whose weights count upwards and back.
fn write_dinov2(directory: &Path) {
    let write = |name: &str, value: Value| std::fs::write(directory.join(name), value.to_string()).unwrap();
    write(
        "config.json",
        json!({"model_type": "dinov2", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
               "mlp_ratio": 2, "image_size": 28, "patch_size": 14}),
    );
    write("preprocessor_config.json", json!({"size": {"shortest_edge": 28}, "crop_size": 28}));
    let mut shapes = vec![
        ("embeddings.cls_token".to_string(), vec![1, 1, 8]),
        ("embeddings.position_embeddings".into(), vec![1, 5, 8]),
        ("encoder.layer.0.layer_scale1.lambda1".into(), vec![8]),
        ("encoder.layer.0.layer_scale2.lambda1".into(), vec![8]),
    ];
    for (name, weight) in [
        ("embeddings.patch_embeddings.projection", vec![8, 3, 14, 14]),
        ("layernorm", vec![8]),
        ("encoder.layer.0.norm1", vec![8]),
        ("encoder.layer.0.norm2", vec![8]),
        ("encoder.layer.0.attention.attention.query", vec![8, 8]),
        ("encoder.layer.0.attention.attention.key", vec![8, 8]),
        ("encoder.layer.0.attention.attention.value", vec![8, 8]),
        ("encoder.layer.0.attention.output.dense", vec![8, 8]),
        ("encoder.layer.0.mlp.fc1", vec![16, 8]),
        ("encoder.layer.0.mlp.fc2", vec![8, 16]),
    ] {
        shapes.push((format!("{name}.bias"), vec![weight[0]]));
        shapes.push((format!("{name}.weight"), weight));
    }
    let tensors: Vec<_> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let count = shape.iter().product::<usize>() as i32;
            let bytes: Vec<u8> =
                (0..count).flat_map(|i| ((i * 37 % 23 - 11) as f32 * 0.05).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let file = safetensors::serialize(views, None).unwrap();
    std::fs::write(directory.join("model.safetensors"), file).unwrap();
}

#[test]
fn a_model_of_pictures_alone_says_so_and_answers_texts_by_their_place() {
    let directory = tempfile::tempdir().unwrap();
    write_dinov2(directory.path());
    let server = Server::start_with(&["--model", &directory.path().display().to_string()]);
    let model = server.get("/models").ok()["models"][0].clone();
    assert_eq!((&model["modalities"], &model["context_length"]), (&json!(["image"]), &json!(0)));
    assert_eq!(server.get("/overview").ok()["model"]["modalities"], json!(["image"]));
    let picture = json!({"image": base64(&sample(samples()[0]["file"].as_str().unwrap()))});
    let body = json!({"inputs": [picture]});
    assert_eq!(floats(&server.post("/embed", &body).ok()["embeddings"][0]).len(), 8);
    let error = server.post("/embed", &json!({"inputs": [picture, "a dog"]})).err(400);
    for word in ["inputs[1]", "pictures only", "modalities: image"] {
        assert!(error.contains(word), "the error lacks `{word}`: {error}");
    }
    server.put("/collections/pictures", &json!({})).ok();
    let query = json!({"query": {"text": "a dog"}, "limit": 3});
    let error = server.post("/collections/pictures/points/query", &query).err(400);
    assert!(error.contains("query") && error.contains("pictures only"), "{error}");
}
