//! CLIP: towers with generated weights of the published shapes, and the byte-pair tokenizer.

use candle_core::Device;
use lookalike::embed::{ModelConfig, TextCleaning, TextEncoder, Towers};
use lookalike::error::Error;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::models::{clip_config, clip_tokenizer, generated, uniform};
use crate::{golden, largest_difference, rows};

fn check_towers(name: &str, config: &Value, pictures: usize, texts: usize) {
    let config = ModelConfig::parse(config.to_string().as_bytes(), 224).unwrap();
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

#[test]
fn a_clip_has_features_of_its_patches_up_to_the_last_layer() {
    let config = ModelConfig::parse(clip_config().to_string().as_bytes(), 32).unwrap();
    let towers = Towers::new(&config, &Device::Cpu, |name, shape| Ok(generated(name, shape))).unwrap();
    assert!(towers.features(&vec![0.0; 3 * 32 * 32], 0).is_ok());
    for block in [1, 3] {
        let error = towers.features(&vec![0.0; 3 * 32 * 32], block).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("block {block}")) && text.contains("2 layers"), "{error}");
    }
}

// ---------------------------------------------------------------- tokenizer

fn encoder(tokenizer: &Value, cleaning: TextCleaning) -> Result<TextEncoder, Error> {
    let config = ModelConfig::parse(clip_config().to_string().as_bytes(), 32).unwrap();
    TextEncoder::parse(tokenizer.to_string().as_bytes(), &config, cleaning)
}

#[test]
fn special_tokens_that_a_user_types_are_text() {
    // As in the tokenizer of the published checkpoints, where they are added tokens.
    let mut tokenizer = clip_tokenizer();
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": true, "special": true})
    };
    tokenizer["added_tokens"] = json!([added(512, "<|startoftext|>"), added(513, "<|endoftext|>")]);
    let published = encoder(&tokenizer, TextCleaning::Off).unwrap();
    let plain = encoder(&clip_tokenizer(), TextCleaning::Off).unwrap();
    for text in ["<|endoftext|>", "a <|endoftext|> dog", "<|startoftext|>cat"] {
        let ids = published.encode(text).unwrap();
        assert!(ids.len() > 6, "{text}: {ids:?}");
        assert_eq!(ids.iter().filter(|id| **id > 511).count(), 2, "{text}: {ids:?}");
        assert_eq!(ids, plain.encode(text).unwrap());
    }
}

#[test]
fn a_long_text_is_cut_and_keeps_its_end_token_and_an_empty_one_has_only_the_frame() {
    let encoder = encoder(&clip_tokenizer(), TextCleaning::Off).unwrap();
    let ids = encoder.encode(&"very long ".repeat(200_000)).unwrap();
    assert_eq!((ids.len(), ids[0], ids[31]), (32, 512, 513));
    assert_eq!(encoder.encode("").unwrap(), [512, 513]);
    assert_eq!(encoder.encode(" \n ").unwrap(), [512, 513]);
}

#[test]
fn cleaning_makes_pasted_text_equal_to_typed_text() {
    let clean = encoder(&clip_tokenizer(), TextCleaning::On).unwrap();
    let plain = encoder(&clip_tokenizer(), TextCleaning::Off).unwrap();
    let pasted = "\u{201C}men\u{2019}s\u{201D} \u{FF32}\u{FF25}\u{FF24} salt &amp; pepper";
    let typed = "\"men's\" RED salt & pepper";
    assert_eq!(clean.encode(pasted).unwrap(), plain.encode(typed).unwrap());
    assert_ne!(plain.encode(pasted).unwrap(), plain.encode(typed).unwrap());
}

#[test]
fn a_tokenizer_whose_end_token_is_not_the_largest_id_is_refused() {
    let mut tokenizer = clip_tokenizer();
    tokenizer["post_processor"]["special_tokens"]["<|endoftext|>"]["ids"] = json!([512]);
    let error = encoder(&tokenizer, TextCleaning::Off).err().unwrap();
    assert!(error.to_string().contains("largest id"), "{error}");
    let mut tokenizer = clip_tokenizer();
    tokenizer["post_processor"] = Value::Null;
    let error = encoder(&tokenizer, TextCleaning::Off).err().unwrap();
    assert!(error.to_string().contains("begin and an end token"), "{error}");
}
