//! Models that must not load, each with an error that names the reason; and those that must.

use std::path::Path;

use lookalike::embed::{EmbedOptions, Embedder, ModelSpec};
use lookalike::error::Error;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use crate::models::{
    Tensors, clip_config, clip_tokenizer, directory, generated, load, options, write_weights,
};
use crate::{block_on, largest_difference};

fn small_clip() -> tempfile::TempDir {
    directory(&clip_config(), 32, &clip_tokenizer(), generated)
}

/// Loading after `change` must fail with a model error that has `word` in it.
fn assert_refused(word: &str, change: impl FnOnce(&Path)) {
    let directory = small_clip();
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

fn edit_weights(directory: &Path, change: impl FnOnce(&mut Tensors)) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Tensors = file
        .iter()
        .map(|(name, view)| (name.to_string(), view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    change(&mut tensors);
    write_weights(directory, &tensors);
}

#[test]
fn configs_that_ask_for_something_else_are_refused() {
    assert_refused("hidden_act", |d| edit_config(d, "/vision_config/hidden_act", json!("relu")));
    assert_refused("layer_norm_eps", |d| edit_config(d, "/text_config/layer_norm_eps", json!(-1e-6)));
    assert_refused("model_type", |d| edit_config(d, "/model_type", json!("blip")));
    assert_refused("eos_token_id", |d| edit_config(d, "/text_config/eos_token_id", json!(77)));
    assert_refused("image_size", |d| edit_config(d, "/vision_config/image_size", json!(64)));
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
            tensor.2 = vec![32, 16];
        });
    });
    assert_refused("vision_model.encoder.layers.2", |d| {
        edit_weights(d, |tensors| {
            let extra =
                tensors.iter().find(|t| t.0 == "vision_model.encoder.layers.1.layer_norm1.bias").unwrap();
            let name = "vision_model.encoder.layers.2.layer_norm1.bias".to_string();
            let extra = (name, extra.1, extra.2.clone(), extra.3.clone());
            tensors.push(extra);
        });
    });
    assert_refused("not finite", |d| {
        edit_weights(d, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.0 == "visual_projection.weight").unwrap();
            tensor.3[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        });
    });
    assert_refused("I64", |d| {
        edit_weights(d, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.0 == "vision_model.pre_layrnorm.bias").unwrap();
            (tensor.1, tensor.3) = (Dtype::I64, vec![0; 32 * 8]);
        });
    });
}

#[test]
fn truncated_and_missing_files_are_refused() {
    for part in [0.0, 0.000_02, 0.01, 0.5, 0.999] {
        assert_refused("cut short", |d| {
            let path = d.join("model.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
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
fn narrower_checkpoints_and_prefixed_names_give_the_same_vectors() {
    let directory = small_clip();
    // Weights that bf16, the upper half of f32, holds exactly.
    edit_weights(directory.path(), |tensors| {
        for (_, _, _, bytes) in tensors {
            bytes.chunks_exact_mut(4).for_each(|value| value[..2].fill(0));
        }
    });
    let full = load(directory.path()).unwrap();
    edit_weights(directory.path(), |tensors| {
        for (name, dtype, _, bytes) in tensors {
            *name = format!("clip.{name}");
            (*dtype, *bytes) =
                (Dtype::BF16, bytes.chunks_exact(4).flat_map(|value| [value[2], value[3]]).collect());
        }
    });
    let half = load(directory.path()).unwrap();
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
