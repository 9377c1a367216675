//! The embedder against transformers and Pillow, and the refusal of what it would get wrong.
//! Expected values come from `tests/golden/make.py`; if the bundled weights have changed, run
//! `python tests/golden/make.py --bundled models/bundled`.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use lookalike::embed::{
    ClipConfig, DeviceChoice, EmbedOptions, Embedder, ModelSpec, TextCleaning, TextEncoder, Towers,
};
use lookalike::error::Error;
use lookalike::preprocess::{Limits, Transform};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/bundled");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn golden(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(GOLDEN).join(file)).unwrap()
}

fn rows(file: &SafeTensors, name: &str) -> Vec<Vec<f32>> {
    let view = file.tensor(name).unwrap();
    let width = *view.shape().last().unwrap();
    let values: Vec<f32> =
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn block_on<F: std::future::Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn options() -> EmbedOptions {
    EmbedOptions { device: DeviceChoice::Cpu, ..EmbedOptions::default() }
}

fn bundled() -> Embedder {
    Embedder::load(&ModelSpec::Bundled, &options()).unwrap()
}

// ---------------------------------------------------------------- towers with generated weights

/// `count` values in [-1, 1), the same as `uniform` of make.py: splitmix64 from the FNV-1a hash of
/// the name, 24 bits each.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (1..=count as u64)
        .map(|i| {
            let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            (z >> 40) as f32 * 2f32.powi(-23) - 1.0
        })
        .collect()
}

fn generated(name: &str, shape: &[usize]) -> Tensor {
    let mut values = uniform(name, shape.iter().product());
    let (scale, shift) = if name.contains("norm") {
        (0.1, if name.ends_with("weight") { 1.0 } else { 0.0 })
    } else if name.ends_with("bias") {
        (0.1, 0.0)
    } else if !name.contains("embedding") || name.contains("patch_embedding") {
        let fan_in: usize = shape[1..].iter().product();
        ((3.0 / fan_in as f64).sqrt() as f32, 0.0)
    } else {
        (1.0, 0.0)
    };
    values.iter_mut().for_each(|v| *v = *v * scale + shift);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn check_towers(name: &str, config: &Value, pictures: usize, texts: usize) {
    let config = ClipConfig::parse(config.to_string().as_bytes()).unwrap();
    let towers = Towers::new(&config, &Device::Cpu, |name, shape| Ok(generated(name, shape))).unwrap();
    let bytes = golden("towers.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();

    let mut pixels = Vec::new();
    for i in 0..pictures {
        pixels.extend(uniform(&format!("pixels.{i}"), 3 * 224 * 224).into_iter().map(|v| v * 2.0));
    }
    let expected = rows(&file, &format!("{name}.image"));
    assert_eq!(expected.len(), pictures);
    for (got, expected) in towers.embed_pixels(&pixels).unwrap().iter().zip(&expected) {
        let difference = largest_difference(got, expected);
        assert!(difference < 1e-4, "{name} image: {difference}");
    }

    let long: Vec<u32> =
        [49_406].into_iter().chain((0..75).map(|i| (i * 613 + 7) % 49_000)).chain([49_407]).collect();
    let all: [&[u32]; 3] = [&[49_406, 320, 1_125, 539, 320, 2_368, 49_407], &[49_406, 1_929, 49_407], &long];
    let expected = rows(&file, &format!("{name}.text"));
    assert_eq!(expected.len(), texts);
    // In one batch: the shorter texts are padded, which must not show.
    for (got, expected) in towers.embed_tokens(&all[..texts]).unwrap().iter().zip(&expected) {
        let difference = largest_difference(got, expected);
        assert!(difference < 1e-4, "{name} text: {difference}");
    }
}

#[test]
fn vit_b_32_towers_equal_transformers() {
    check_towers("vit-b-32", &json!({"model_type": "clip", "text_config": {}, "vision_config": {}}), 2, 3);
}

#[test]
fn vit_b_16_towers_equal_transformers() {
    let config = json!({"model_type": "clip", "text_config": {}, "vision_config": {"patch_size": 16}});
    check_towers("vit-b-16", &config, 1, 2);
}

#[test]
fn vit_l_14_towers_equal_transformers() {
    let config = json!({
        "model_type": "clip", "projection_dim": 768,
        "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        "vision_config": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
            "num_hidden_layers": 24, "patch_size": 14,
        },
    });
    check_towers("vit-l-14", &config, 1, 2);
}

// ---------------------------------------------------------------- preprocessing

fn pictures() -> Vec<PathBuf> {
    let directory = Path::new(GOLDEN).join("pictures");
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Lossy formats are decoded by other code than in Pillow: other rounding of the inverse transform
/// and of the upsampled colour. Lossless ones must agree to the last resize rounding.
fn is_lossy(name: &str) -> bool {
    name.ends_with(".jpg") || name == "lossy.webp"
}

#[test]
fn pictures_are_prepared_as_by_pillow_and_the_clip_image_processor() {
    let bytes = golden("preprocess.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let transform = Transform::parse(br#"{"size": 64, "crop_size": 64}"#).unwrap();
    assert_eq!(pictures().len(), 14);
    for path in pictures() {
        let name = file_name(&path);
        let crop = transform.crop(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
        let planes = file.tensor(name).unwrap().data(); // [3, 64, 64]
        let expected = (0..64 * 64 * 3).map(|i| planes[i % 3 * 64 * 64 + i / 3]);
        let mut differences: Vec<u8> =
            crop.bytes().iter().zip(expected).map(|(a, b)| a.abs_diff(b)).collect();
        differences.sort_unstable();
        let (count, most) = (differences.len(), differences[differences.len() - 1]);
        let exact = differences.iter().filter(|d| **d == 0).count() as f32 / count as f32;
        let mean = differences.iter().map(|d| f32::from(*d)).sum::<f32>() / count as f32;
        println!("{name}: {:.1} % exact, mean {mean:.3}, most {most}", exact * 100.0);
        if is_lossy(name) {
            assert!(mean < 1.0 && differences[count * 99 / 100] <= 4, "{name}: mean {mean}, most {most}");
        } else {
            assert!(most <= 1 && exact > 0.999, "{name}: most {most}, exact {exact}");
        }
    }
}

#[test]
fn crops_smaller_than_the_resize_are_normalised_as_by_the_clip_image_processor() {
    let bytes = golden("preprocess.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let json = r#"{"size": {"shortest_edge": 72}, "crop_size": {"height": 48, "width": 48}}"#;
    let transform = Transform::parse(json.as_bytes()).unwrap();
    let picture = std::fs::read(Path::new(GOLDEN).join("pictures/wide.png")).unwrap();
    let got = transform.prepare(&picture, &Limits::default()).unwrap();
    let expected = rows(&file, "wide.normalised").concat();
    // One level is 0.0146 after normalising.
    let difference = largest_difference(&got, &expected);
    assert!(difference < 0.016, "{difference}");
    let exact = got.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() < 1e-5).count();
    assert!(exact as f32 > 0.999 * got.len() as f32, "{exact} of {}", got.len());
}

// ---------------------------------------------------------------- the bundled model

#[test]
fn the_bundled_model_gives_the_vectors_of_transformers() {
    let record: Value = serde_json::from_slice(&golden("bundled.json")).unwrap();
    let bytes = golden("bundled.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedder = bundled();

    let texts: Vec<String> = serde_json::from_value(record["texts"].clone()).unwrap();
    let got = block_on(embedder.embed_texts(texts.clone())).unwrap();
    for ((text, got), expected) in texts.iter().zip(&got).zip(rows(&file, "text")) {
        let difference = largest_difference(got, &expected);
        assert!(
            difference < 1e-4,
            "{text:?}: {difference}; if the weights are new, make the golden values again"
        );
    }

    let names: Vec<String> = serde_json::from_value(record["pictures"].clone()).unwrap();
    let files = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let got = block_on(embedder.embed_images(files)).unwrap();
    for ((name, got), expected) in names.iter().zip(got).zip(rows(&file, "image")) {
        let got = got.unwrap();
        let (difference, cosine) = (largest_difference(&got, &expected), cosine(&got, &expected));
        println!("{name}: difference {difference:.2e}, cosine {cosine:.6}");
        if is_lossy(name) {
            assert!(cosine > 0.999, "{name}: {cosine}");
        } else {
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn texts_are_cut_into_the_tokens_of_transformers() {
    let record: Value = serde_json::from_slice(&golden("bundled.json")).unwrap();
    let encoder = encoder(&tokenizer_json(), TextCleaning::Off).unwrap();
    let texts: Vec<String> = serde_json::from_value(record["texts"].clone()).unwrap();
    let tokens: Vec<Vec<u32>> = serde_json::from_value(record["tokens"].clone()).unwrap();
    for (text, expected) in texts.iter().zip(tokens) {
        assert_eq!(encoder.encode(text).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn an_item_has_the_same_vector_alone_and_in_a_batch() {
    let embedder = bundled();
    let files: Vec<Vec<u8>> = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let texts: Vec<String> =
        (0..40).map(|i| format!("item {i} {}", "and more words ".repeat(i % 6))).collect();
    block_on(async {
        let together = embedder.embed_images(files.clone()).await.unwrap();
        for (file, together) in files.iter().zip(together) {
            let alone = embedder.embed_images(vec![file.clone()]).await.unwrap().remove(0).unwrap();
            assert!(largest_difference(&alone, &together.unwrap()) < 1e-5);
        }
        let together = embedder.embed_texts(texts.clone()).await.unwrap();
        for (text, together) in texts.iter().zip(together) {
            let alone = embedder.embed_texts(vec![text.clone()]).await.unwrap().remove(0);
            assert!((cosine(&alone, &alone) - 1.0).abs() < 1e-5, "not a unit vector");
            assert!(largest_difference(&alone, &together) < 1e-5, "{text}");
        }
    });
}

#[test]
fn a_request_larger_than_the_queue_is_worked_off_in_pieces_and_bad_items_fail_alone() {
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions { queue: 3, ..options() }).unwrap();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    let mut files = vec![png.clone(); 30];
    files[7] = b"not a picture".to_vec();
    files[20] = png[..60].to_vec();
    block_on(async {
        let vectors = embedder.embed_images(files).await.unwrap();
        assert_eq!(vectors.len(), 30);
        for (at, vector) in vectors.iter().enumerate() {
            match (at, vector) {
                (7, Err(Error::InvalidInput(text))) => assert!(text.contains("allowed formats"), "{text}"),
                (20, Err(Error::InvalidInput(text))) => assert!(text.contains("cut short"), "{text}"),
                (_, Ok(vector)) => assert_eq!(vector.len(), 256),
                (at, Err(error)) => panic!("{at}: {error}"),
            }
        }
        let texts: Vec<String> = (0..50).map(|i| format!("text {i}")).collect();
        assert_eq!(embedder.embed_texts(texts).await.unwrap().len(), 50);
        assert_eq!(embedder.queue_depth(), 0);
    });
}

#[test]
fn a_full_queue_is_overload_with_a_hint_and_empties_again() {
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions { queue: 4, ..options() }).unwrap();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    block_on(async {
        let many = embedder.embed_images(vec![png.clone(); 20]);
        let one_more = embedder.embed_images(vec![png.clone()]);
        // `join!` polls in order: the first has taken the whole queue when the second asks.
        let (many, one_more) = tokio::join!(many, one_more);
        assert_eq!(many.unwrap().len(), 20);
        let error = one_more.unwrap_err();
        assert!(matches!(error, Error::Overloaded { retry_after_secs: 1..=60, .. }), "{error}");
        assert!(embedder.embed_images(vec![png]).await.unwrap()[0].is_ok());
    });
}

#[test]
fn a_dropped_request_leaves_the_queue() {
    let embedder = bundled();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    block_on(async {
        let request = embedder.embed_images(vec![png.clone(); 200]);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), request).await;
        assert_eq!(embedder.queue_depth(), 0);
        assert!(embedder.embed_images(vec![png]).await.unwrap()[0].is_ok());
    });
}

#[test]
fn the_embedder_says_what_is_loaded() {
    let embedder = bundled();
    let info = embedder.info();
    assert_eq!(
        (info.name.as_str(), info.dimension, info.image_size, info.context_length),
        ("bundled", 256, 112, 32)
    );
    assert_eq!((info.device, info.precision), ("cpu", "f32"));
    assert_eq!(info.fingerprint.len(), 16);
    // The same files elsewhere are the same model.
    let directory = model_copy();
    assert_eq!(load(directory.path()).unwrap().info().fingerprint, info.fingerprint);
}

#[test]
fn a_device_that_is_not_there_falls_back_to_the_cpu() {
    let embedder = Embedder::load(
        &ModelSpec::Bundled,
        &EmbedOptions {
            device: if cfg!(feature = "cuda") { DeviceChoice::Metal } else { DeviceChoice::Cuda },
            ..options()
        },
    );
    assert_eq!(embedder.unwrap().info().device, "cpu");
}

// ---------------------------------------------------------------- tokenizer

fn tokenizer_json() -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(BUNDLED).join("tokenizer.json")).unwrap()).unwrap()
}

fn encoder(tokenizer: &Value, cleaning: TextCleaning) -> Result<TextEncoder, Error> {
    let config = ClipConfig::parse(&std::fs::read(Path::new(BUNDLED).join("config.json")).unwrap()).unwrap();
    TextEncoder::parse(tokenizer.to_string().as_bytes(), &config, cleaning)
}

#[test]
fn special_tokens_that_a_user_types_are_text() {
    // As in the tokenizer of the published checkpoints, where they are added tokens.
    let mut tokenizer = tokenizer_json();
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": true, "special": true})
    };
    tokenizer["added_tokens"] = json!([added(8190, "<|startoftext|>"), added(8191, "<|endoftext|>")]);
    let published = encoder(&tokenizer, TextCleaning::Off).unwrap();
    let bundled = encoder(&tokenizer_json(), TextCleaning::Off).unwrap();
    for text in ["<|endoftext|>", "a <|endoftext|> dog", "<|startoftext|>cat"] {
        let ids = published.encode(text).unwrap();
        assert!(ids.len() > 6, "{text}: {ids:?}");
        assert_eq!(ids.iter().filter(|id| **id >= 8190).count(), 2, "{text}: {ids:?}");
        assert_eq!(ids, bundled.encode(text).unwrap());
    }
}

#[test]
fn a_long_text_is_cut_and_keeps_its_end_token_and_an_empty_one_has_only_the_frame() {
    let encoder = encoder(&tokenizer_json(), TextCleaning::Off).unwrap();
    let ids = encoder.encode(&"very long ".repeat(200_000)).unwrap();
    assert_eq!((ids.len(), ids[0], ids[31]), (32, 8190, 8191));
    assert_eq!(encoder.encode("").unwrap(), [8190, 8191]);
    assert_eq!(encoder.encode(" \n ").unwrap(), [8190, 8191]);
}

#[test]
fn cleaning_makes_pasted_text_equal_to_typed_text() {
    let clean = encoder(&tokenizer_json(), TextCleaning::On).unwrap();
    let plain = encoder(&tokenizer_json(), TextCleaning::Off).unwrap();
    let pasted = "\u{201C}men\u{2019}s\u{201D} \u{FF32}\u{FF25}\u{FF24} salt &amp; pepper";
    let typed = "\"men's\" RED salt & pepper";
    assert_eq!(clean.encode(pasted).unwrap(), plain.encode(typed).unwrap());
    assert_ne!(plain.encode(pasted).unwrap(), plain.encode(typed).unwrap());
}

#[test]
fn a_tokenizer_whose_end_token_is_not_the_largest_id_is_refused() {
    let mut tokenizer = tokenizer_json();
    tokenizer["post_processor"]["special_tokens"]["<|endoftext|>"]["ids"] = json!([8190]);
    let error = encoder(&tokenizer, TextCleaning::Off).err().unwrap();
    assert!(error.to_string().contains("largest id"), "{error}");
    let mut tokenizer = tokenizer_json();
    tokenizer["post_processor"] = Value::Null;
    let error = encoder(&tokenizer, TextCleaning::Off).err().unwrap();
    assert!(error.to_string().contains("begin and an end token"), "{error}");
}

// ---------------------------------------------------------------- refusals

fn model_copy() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"] {
        std::fs::copy(Path::new(BUNDLED).join(name), directory.path().join(name)).unwrap();
    }
    directory
}

fn load(directory: &Path) -> Result<Embedder, Error> {
    Embedder::load(&ModelSpec::Directory(directory.to_path_buf()), &options())
}

/// Loading after `change` must fail with a model error that has `word` in it.
fn assert_refused(word: &str, change: impl FnOnce(&Path)) {
    let directory = model_copy();
    change(directory.path());
    let error = load(directory.path()).expect_err(word);
    assert!(matches!(&error, Error::Model(text) if text.contains(word)), "expected {word:?}: {error}");
}

fn edit_config(directory: &Path, pointer: &str, value: Value) {
    let path = directory.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    *config.pointer_mut(pointer).unwrap() = value;
    std::fs::write(&path, config.to_string()).unwrap();
}

type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn edit_weights(directory: &Path, change: impl FnOnce(&mut Tensors)) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Tensors = file
        .iter()
        .map(|(name, view)| (name.to_string(), view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(n, d, s, b)| (n.as_str(), TensorView::new(*d, s.clone(), b).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn configs_that_ask_for_something_else_are_refused() {
    assert_refused("hidden_act", |d| edit_config(d, "/vision_config/hidden_act", json!("gelu")));
    assert_refused("layer_norm_eps", |d| edit_config(d, "/text_config/layer_norm_eps", json!(1e-6)));
    assert_refused("model_type", |d| edit_config(d, "/model_type", json!("siglip")));
    assert_refused("eos_token_id", |d| edit_config(d, "/text_config/eos_token_id", json!(77)));
    assert_refused("image_size", |d| edit_config(d, "/vision_config/image_size", json!(224)));
    // The shapes tell: heads would not.
    assert_refused("has shape", |d| edit_config(d, "/text_config/max_position_embeddings", json!(64)));
}

#[test]
fn checkpoints_with_missing_misshapen_unknown_or_broken_tensors_are_refused() {
    assert_refused("class_embedding", |d| {
        edit_weights(d, |tensors| tensors.retain(|t| !t.0.ends_with("class_embedding")));
    });
    assert_refused("has shape", |d| {
        edit_weights(d, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.0 == "text_projection.weight").unwrap();
            tensor.2 = vec![128, 512];
        });
    });
    assert_refused("vision_model.encoder.layers.6", |d| {
        edit_weights(d, |tensors| {
            let extra =
                tensors.iter().find(|t| t.0 == "vision_model.encoder.layers.5.layer_norm1.bias").unwrap();
            let name = "vision_model.encoder.layers.6.layer_norm1.bias".to_string();
            let extra = (name, extra.1, extra.2.clone(), extra.3.clone());
            tensors.push(extra);
        });
    });
    assert_refused("not finite", |d| {
        edit_weights(d, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.0 == "visual_projection.weight").unwrap();
            tensor.3[10..12].copy_from_slice(&0x7E00u16.to_le_bytes()); // a NaN in f16
        });
    });
    assert_refused("I64", |d| {
        edit_weights(d, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.0 == "vision_model.pre_layrnorm.bias").unwrap();
            (tensor.1, tensor.3) = (Dtype::I64, vec![0; 256 * 8]);
        });
    });
}

#[test]
fn truncated_and_missing_files_are_refused() {
    for part in [0, 5, 1_000, 10_000_000, 20_000_000] {
        assert_refused("cut short", |d| {
            let path = d.join("model.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..part]).unwrap();
        });
    }
    assert_refused("Git LFS", |d| {
        std::fs::write(d.join("model.safetensors"), "version https://git-lfs.github.com/spec/v1").unwrap();
    });
    for name in ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"] {
        assert_refused(name, |d| std::fs::remove_file(d.join(name)).unwrap());
    }
    let error = load(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn wider_checkpoints_and_prefixed_names_give_the_same_vectors() {
    let half = bundled();
    let directory = model_copy();
    edit_weights(directory.path(), |tensors| {
        for (name, dtype, _, bytes) in tensors {
            *name = format!("clip.{name}");
            assert_eq!(*dtype, Dtype::F16);
            let values =
                Tensor::from_raw_buffer(bytes, candle_core::DType::F16, &[bytes.len() / 2], &Device::Cpu);
            let values = values.unwrap().to_dtype(candle_core::DType::F32).unwrap().to_vec1::<f32>().unwrap();
            (*dtype, *bytes) = (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect());
        }
    });
    let full = load(directory.path()).unwrap();
    let texts = vec!["a photo of a dog".to_string()];
    let (a, b) = block_on(async {
        (half.embed_texts(texts.clone()).await.unwrap(), full.embed_texts(texts.clone()).await.unwrap())
    });
    assert!(largest_difference(&a[0], &b[0]) < 1e-6);
    assert_ne!(half.info().fingerprint, full.info().fingerprint);
}

#[test]
fn a_hub_model_that_is_not_cached_is_a_clear_error_when_offline() {
    let cache = tempfile::tempdir().unwrap();
    let options = EmbedOptions { offline: true, cache_dir: Some(cache.path().to_path_buf()), ..options() };
    let spec = ModelSpec::parse("openai/clip-vit-base-patch32").unwrap();
    let error = Embedder::load(&spec, &options).unwrap_err();
    assert!(matches!(&error, Error::Model(text) if text.contains("offline")), "{error}");
}
