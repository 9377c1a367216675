//! The other transformers: CLIP with other activations, SigLIP, DINOv2. Towers with generated weights, the
//! tokenizers of SigLIP's kinds, the pictures as their processors prepare them, and whole models from a
//! directory.

use std::path::Path;

use candle_core::Device;
use lookalike::embed::{
    EmbedOptions, Embedder, ModelConfig, ModelSpec, PrecisionChoice, TextCleaning, TextEncoder, Towers,
};
use lookalike::error::Error;
use lookalike::preprocess::{Limits, Transform};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::models::{directory, generated, load, options, uniform};
use crate::{GOLDEN, block_on, cosine, golden, largest_difference, pictures, rows};

/// Every how many values of a layer make.py keeps.
const KEPT: usize = 31;

fn record() -> Value {
    serde_json::from_slice(&golden("vit.json")).unwrap()
}

fn check_model(name: &str) {
    let record = &record()["models"][name];
    let side = record["side"].as_u64().unwrap() as usize;
    let config = ModelConfig::parse(record["config"].to_string().as_bytes(), side).unwrap();
    let towers = Towers::new(&config, &Device::Cpu, |name, shape| Ok(generated(name, shape))).unwrap();
    let bytes = golden("vit.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();

    let picture = 3 * side * side;
    let pixels: Vec<f32> =
        (0..3).flat_map(|i| uniform(&format!("pixels.{i}"), picture)).map(|v| v * 2.0).collect();
    let expected = rows(&file, &format!("{name}.image"));
    assert_eq!(expected.len(), 3);
    let together = towers.embed_pixels(&pixels).unwrap();
    for (at, (got, expected)) in together.iter().zip(&expected).enumerate() {
        let difference = largest_difference(got, expected);
        assert!(difference < 1e-4, "{name} image: {difference}");
        let alone = towers.embed_pixels(&pixels[at * picture..(at + 1) * picture]).unwrap();
        let difference = largest_difference(got, &alone[0]);
        assert!(difference < 1e-6, "{name} image alone: {difference}");
    }

    let layers = file.names().iter().filter(|key| key.starts_with(&format!("{name}.layer."))).count();
    assert!(layers > 0);
    for layer in 0..layers {
        let expected = rows(&file, &format!("{name}.layer.{layer}")).concat();
        let features = towers.features(&pixels, layer).unwrap();
        assert_eq!(features.shape.iter().product::<usize>(), features.values.len());
        let got: Vec<f32> = features.values.into_iter().step_by(KEPT).collect();
        let difference = largest_difference(&got, &expected);
        assert!(difference < 1e-4, "{name} layer {layer}: {difference}");
    }
    let error = towers.features(&pixels, layers).unwrap_err();
    assert!(matches!(&error, Error::InvalidInput(text) if text.contains("block")), "{error}");

    let texts: Vec<Vec<u32>> = serde_json::from_value(record["tokens"].clone()).unwrap();
    if texts.is_empty() {
        return assert_eq!(config.modalities(), ["image"]);
    }
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let expected = rows(&file, &format!("{name}.text"));
    for ((got, expected), text) in towers.embed_tokens(&texts).unwrap().iter().zip(&expected).zip(&texts) {
        let difference = largest_difference(got, expected);
        assert!(difference < 1e-4, "{name} text {text:?}: {difference}");
        let alone = towers.embed_tokens(&[text]).unwrap();
        let difference = largest_difference(got, &alone[0]);
        assert!(difference < 1e-6, "{name} text alone: {difference}");
    }
}

#[test]
fn clips_with_gelu_in_both_towers_or_one_equal_transformers() {
    for name in ["clip-gelu", "clip-mixed", "clip-tanh"] {
        check_model(name);
    }
}

#[test]
fn siglip_towers_equal_transformers() {
    for name in ["siglip", "siglip2-so400m"] {
        check_model(name);
    }
}

#[test]
fn dinov2_towers_equal_transformers_at_the_side_of_training_and_at_others() {
    for name in ["dinov2-56", "dinov2-84", "dinov2-120", "dinov2-small"] {
        check_model(name);
    }
}

#[test]
fn a_siglip_text_that_is_not_filled_up_is_refused_by_the_towers() {
    let record = &record()["models"]["siglip"];
    let config = ModelConfig::parse(record["config"].to_string().as_bytes(), 56).unwrap();
    let towers = Towers::new(&config, &Device::Cpu, |name, shape| Ok(generated(name, shape))).unwrap();
    assert!(matches!(towers.embed_tokens(&[&[7, 1]]), Err(Error::Internal(_))));
}

fn preprocessor(kind: &str) -> Value {
    match kind {
        "siglip" => json!({"image_processor_type": "SiglipImageProcessor", "resample": 2,
            "size": {"height": 48, "width": 48}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}),
        _ => json!({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 64},
            "crop_size": {"height": 56, "width": 56}}),
    }
}

#[test]
fn pictures_are_prepared_as_by_the_processors_of_siglip_and_dinov2() {
    let bytes = golden("vit.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for kind in ["siglip", "dinov2"] {
        let transform = Transform::parse(preprocessor(kind).to_string().as_bytes()).unwrap();
        for name in ["wide.png", "tall.png", "tiny.png"] {
            let picture = std::fs::read(Path::new(GOLDEN).join("pictures").join(name)).unwrap();
            let got = transform.prepare(&picture, &Limits::default()).unwrap();
            let expected = rows(&file, &format!("{kind}.{name}")).concat();
            // One level is 0.0078 for SigLIP, at most 0.0153 for DINOv2.
            let difference = largest_difference(&got, &expected);
            let level = if kind == "siglip" { 0.008 } else { 0.016 };
            assert!(difference < level, "{kind} {name}: {difference}");
            let exact = got.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() < 1e-5).count();
            let share = exact as f32 / got.len() as f32;
            // What is squeezed more in height than in width Pillow resizes in the other order.
            let least = if (kind, name) == ("siglip", "tall.png") { 0.9 } else { 0.999 };
            assert!(share > least, "{kind} {name}: {share}");
        }
    }
}

// ---------------------------------------------------------------- tokenizers

fn tokenizer(kind: &str) -> Value {
    serde_json::from_slice(&golden(&format!("{kind}-tokenizer.json"))).unwrap()
}

/// A thin SigLIP with room for the ids of both tokenizers.
fn siglip_config() -> Value {
    let tower =
        json!({"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2});
    let (mut text, mut image) = (tower.clone(), tower);
    text["vocab_size"] = json!(600);
    (image["image_size"], image["patch_size"]) = (json!(32), json!(16));
    json!({"model_type": "siglip", "text_config": text, "vision_config": image})
}

fn encoder(tokenizer: &Value) -> Result<TextEncoder, Error> {
    let config = ModelConfig::parse(siglip_config().to_string().as_bytes(), 32).unwrap();
    TextEncoder::parse(tokenizer.to_string().as_bytes(), &config, TextCleaning::Off)
}

#[test]
fn texts_become_the_ids_of_transformers_tokenizers_filled_up_to_64() {
    let record = record();
    for kind in ["siglip", "siglip2"] {
        let encoder = encoder(&tokenizer(kind)).unwrap();
        let cases = record["tokens"][kind].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(encoder.encode(text).unwrap(), expected, "{kind} {text:?}");
        }
    }
}

#[test]
fn capitals_do_not_count_for_siglip_and_punctuation_only_for_siglip_2() {
    for (kind, counts) in [("siglip", false), ("siglip2", true)] {
        let encoder = encoder(&tokenizer(kind)).unwrap();
        let ids = |text: &str| encoder.encode(text).unwrap();
        assert_eq!(ids("A Red SHOE"), ids("a red shoe"));
        assert_eq!(ids("a red, shoe!") != ids("a red shoe"), counts, "{kind}");
    }
}

#[test]
fn tokenizers_that_do_not_end_or_fill_a_text_are_refused() {
    for (change, word) in [("model", "WordPiece"), ("end", "end token"), ("filler", "<pad>")] {
        let mut tokenizer = tokenizer("siglip2");
        match change {
            "model" => {
                tokenizer["model"] = json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0}});
                tokenizer["added_tokens"] = json!([]);
                tokenizer["post_processor"] = Value::Null;
            }
            "end" => tokenizer["post_processor"] = Value::Null,
            _ => {
                let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
                vocabulary.remove("<pad>");
                let added = tokenizer["added_tokens"].as_array_mut().unwrap();
                added.retain(|token| token["content"] != "<pad>");
            }
        }
        let error = encoder(&tokenizer).err().unwrap().to_string();
        let word = if change == "model" { "neither Unigram" } else { word };
        assert!(error.contains(word), "{change}: {error}");
    }
}

// ---------------------------------------------------------------- whole models

fn dino_config() -> Value {
    json!({"model_type": "dinov2", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 3,
        "image_size": 42, "patch_size": 14})
}

fn load_in(directory: &Path, precision: PrecisionChoice) -> Embedder {
    let spec = ModelSpec::Directory(directory.to_path_buf());
    Embedder::load(&spec, &EmbedOptions { precision, ..options() }).unwrap()
}

fn picture_files() -> Vec<Vec<u8>> {
    pictures().iter().take(4).map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn a_siglip_is_loaded_from_its_directory_in_any_precision() {
    for kind in ["siglip", "siglip2"] {
        let directory = directory(&siglip_config(), 32, &tokenizer(kind), generated);
        let mut preprocessor = preprocessor("siglip");
        preprocessor["size"] = json!({"height": 32, "width": 32});
        std::fs::write(directory.path().join("preprocessor_config.json"), preprocessor.to_string()).unwrap();
        let texts = || ["a dog", "two red shoes on a table", ""].map(String::from).to_vec();
        let vectors = |model: &Embedder| {
            let mut all = block_on(model.embed_texts(texts())).unwrap();
            all.extend(
                block_on(model.embed_images(picture_files())).unwrap().into_iter().map(Result::unwrap),
            );
            all
        };
        let reference = load_in(directory.path(), PrecisionChoice::F32);
        assert_eq!((reference.info().dimension, reference.info().context_length), (32, 64));
        assert!(reference.info().signature.is_some());
        let expected = vectors(&reference);
        let alone = block_on(reference.embed_texts(vec!["a dog".into()])).unwrap();
        assert!(largest_difference(&alone[0], &expected[0]) < 1e-6);
        for choice in [PrecisionChoice::Bf16, PrecisionChoice::Auto] {
            let model = load_in(directory.path(), choice);
            for (got, expected) in vectors(&model).iter().zip(&expected) {
                let cosine = cosine(got, expected);
                assert!(cosine > 0.998, "{kind} {choice:?} {}: {cosine}", model.info().precision);
            }
        }
    }
}

#[test]
fn a_dinov2_needs_no_tokenizer_embeds_pictures_and_refuses_texts() {
    let directory = directory(&dino_config(), 28, &json!({}), generated);
    std::fs::remove_file(directory.path().join("tokenizer.json")).unwrap();
    let model = load(directory.path()).unwrap();
    assert_eq!((model.info().modalities, model.info().context_length), (&["image"][..], 0));
    assert!(model.info().signature.is_some());
    let vectors = block_on(model.embed_images(picture_files())).unwrap();
    assert!(vectors.iter().all(|vector| vector.as_ref().is_ok_and(|vector| vector.len() == 32)));
    let error = block_on(model.embed_texts(vec!["a dog".into()])).unwrap_err();
    assert!(matches!(&error, Error::InvalidInput(text) if text.contains("pictures only")), "{error}");
    load_in(directory.path(), PrecisionChoice::Auto);
}

#[test]
fn siglip_of_any_proportions_is_refused_with_what_to_take_instead() {
    let error = ModelConfig::parse(br#"{"model_type": "siglip2"}"#, 224).unwrap_err().to_string();
    assert!(error.contains("siglip2") && error.contains("fixed resolution"), "{error}");
}
