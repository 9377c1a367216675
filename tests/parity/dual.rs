//! The dual encoder of EfficientNet-Lite0 and BERT against transformers, with generated weights; the
//! image tower alone as timm writes it; the WordPiece tokenizer.

use candle_core::{Device, Tensor};
use lookalike::embed::{EfficientNet, Features, ModelConfig, ModelSpec, TextCleaning, TextEncoder, Towers};
use lookalike::error::Error;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use crate::models::{
    Tensors, clip_config, clip_tokenizer, directory, dual_config, f32_bytes, load, options, uniform,
    word_piece_tokenizer, write_weights,
};
use crate::{block_on, golden, largest_difference, pictures, rows};

/// As in make.py: the pictures' sides, the blocks compared, every how many values are kept.
const SIDES: [usize; 4] = [64, 64, 100, 224];
const BLOCKS: [(usize, usize); 4] = [(0, 16), (4, 40), (10, 112), (15, 320)];
const KEPT: usize = 31;

/// The same as `dual_weights` of make.py.
fn generated(name: &str, shape: &[usize]) -> Tensor {
    let mut values = uniform(name, shape.iter().product());
    let (scale, shift) = if name.ends_with("running_var") {
        (0.5, 1.0)
    } else if name.ends_with("running_mean") {
        (0.3, 0.0)
    } else if name.contains(".bn") || name.contains("LayerNorm") {
        (0.2, if name.ends_with("weight") { 1.0 } else { 0.0 })
    } else if name.ends_with("bias") {
        (0.1, 0.0)
    } else if !name.contains("embeddings") {
        let (gain, fan_in) =
            (if name.contains("timm_model") { 6.0 } else { 3.0 }, shape[1..].iter().product::<usize>());
        ((gain / fan_in as f64).sqrt() as f32, 0.0)
    } else {
        (1.0, 0.0)
    };
    values.iter_mut().for_each(|v| *v = *v * scale + shift);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn pixels(i: usize) -> Vec<f32> {
    let noise = uniform(&format!("dual.pixels.{i}"), 3 * SIDES[i].pow(2));
    noise.into_iter().map(|v| v * (1.0 + 0.5 * i as f32) + 0.25 * i as f32).collect()
}

fn golden_config() -> Value {
    let text = json!({"vocab_size": 8000, "hidden_size": 384, "num_hidden_layers": 3, "num_attention_heads": 12,
        "intermediate_size": 1536, "max_position_embeddings": 64});
    dual_config(&text, 256)
}

fn towers(side: usize) -> Towers {
    let config = ModelConfig::parse(golden_config().to_string().as_bytes(), side).unwrap();
    Towers::new(&config, &Device::Cpu, |name, shape| Ok(generated(name, shape))).unwrap()
}

/// Block outputs within 1e-3 of their largest value, 0.1 % of it.
fn assert_features(got: &Features, file: &SafeTensors, picture: usize, block: usize) {
    let expected = rows(file, &format!("block.{picture}.{block}")).concat();
    let kept: Vec<f32> = got.values.iter().step_by(KEPT).copied().collect();
    let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
    let difference = largest_difference(&kept, &expected) / largest;
    println!("picture {picture}, block {block}: {difference:.1e} of {largest:.1}");
    assert!(difference < 1e-3, "picture {picture}, block {block}: {difference}");
}

#[test]
fn image_vectors_and_block_outputs_equal_transformers_and_timm() {
    let bytes = golden("dual.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let expected = rows(&file, "image");
    for (i, side) in SIDES.into_iter().enumerate() {
        let towers = towers(side);
        let difference = largest_difference(&towers.embed_pixels(&pixels(i)).unwrap()[0], &expected[i]);
        println!("picture {i}: {difference:.1e}");
        assert!(difference < 1e-4, "picture {i} of {side} pixels: {difference}");
        for (block, channels) in BLOCKS {
            let got = towers.features(&pixels(i), block).unwrap();
            let [n, h, w, c] = got.shape;
            assert_eq!((n, h, c), (1, w, channels));
            assert_eq!(got.values.len(), h * w * c);
            assert_features(&got, &file, i, block);
        }
        if side == 224 {
            assert_eq!(towers.features(&pixels(i), 10).unwrap().shape, [1, 14, 14, 112]);
        }
    }
}

#[test]
fn pictures_have_the_same_vectors_alone_and_in_a_batch() {
    let towers = towers(64);
    let together = towers.embed_pixels(&[pixels(0), pixels(1), pixels(0)].concat()).unwrap();
    let features = towers.features(&[pixels(0), pixels(1), pixels(0)].concat(), 10).unwrap();
    assert_eq!(features.shape, [3, 4, 4, 112]);
    for (i, picture) in [0, 1, 0].into_iter().enumerate() {
        let alone = towers.embed_pixels(&pixels(picture)).unwrap();
        assert!(largest_difference(&together[i], &alone[0]) < 1e-5);
        let alone = towers.features(&pixels(picture), 10).unwrap().values;
        let part = &features.values[i * alone.len()..(i + 1) * alone.len()];
        assert!(largest_difference(part, &alone) < 1e-4);
    }
}

#[test]
fn text_vectors_equal_transformers_alone_and_padded_in_a_batch() {
    let bytes = golden("dual.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let towers = towers(64);
    let long: Vec<u32> = [1].into_iter().chain((0..62).map(|i| (i * 613 + 7) % 7_900)).chain([2]).collect();
    let texts: [&[u32]; 3] = [&[1, 320, 1_125, 539, 320, 2_368, 2], &[1, 1_929, 2], &long];
    let together = towers.embed_tokens(&texts).unwrap();
    for ((text, together), expected) in texts.iter().zip(&together).zip(rows(&file, "text")) {
        let alone = &towers.embed_tokens(&[text]).unwrap()[0];
        let (difference, padded) =
            (largest_difference(alone, &expected), largest_difference(alone, together));
        println!("{} tokens: {difference:.1e}, padded {padded:.1e}", text.len());
        assert!(difference < 1e-4 && padded < 1e-5, "{} tokens: {difference}, {padded}", text.len());
    }
    let error = towers.embed_tokens(&[&[1, 8_000, 2]]).unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error}");
}

#[test]
fn features_of_a_block_or_side_that_is_not_there_are_refused() {
    let error = towers(64).features(&pixels(0), 16).unwrap_err();
    assert!(matches!(&error, Error::InvalidInput(text) if text.contains("0 to 15")), "{error}");
    let error = towers(64).features(&pixels(0)[1..], 3).unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error}");
}

// ---------------------------------------------------------------- the image tower alone

/// A directory as timm writes it: names without prefix, a classifier, counters.
fn timm_directory(architecture: &str, leave_out: &str) -> tempfile::TempDir {
    const PREFIX: &str = "vision_model.timm_model.";
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"architecture": architecture, "num_classes": 1000, "num_features": 1280,
        "pretrained_cfg": {"input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}});
    std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    let mut tensors: Tensors = vec![
        ("classifier.weight".into(), Dtype::F32, vec![10, 1280], vec![0; 10 * 1280 * 4]),
        ("classifier.bias".into(), Dtype::F32, vec![10], vec![0; 40]),
        ("bn1.num_batches_tracked".into(), Dtype::I64, vec![], vec![0; 8]),
    ];
    let config = ModelConfig::parse(golden_config().to_string().as_bytes(), 64).unwrap();
    let all = Towers::new(&config, &Device::Cpu, |name, shape| {
        let tensor = generated(name, shape);
        if let Some(name) = name.strip_prefix(PREFIX).filter(|name| *name != leave_out) {
            tensors.push((name.to_string(), Dtype::F32, shape.to_vec(), f32_bytes(&tensor)));
        }
        Ok(tensor)
    });
    assert!(all.is_ok());
    write_weights(directory.path(), &tensors);
    directory
}

#[test]
fn the_image_tower_loads_alone_from_a_checkpoint_of_timm() {
    let bytes = golden("dual.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let directory = timm_directory("tf_efficientnet_lite0", "");
    let tower = EfficientNet::load(&ModelSpec::Directory(directory.path().into()), &options()).unwrap();
    for (i, side) in SIDES.into_iter().enumerate() {
        assert_features(&tower.features(&pixels(i), side, 10).unwrap(), &file, i, 10);
    }
    assert_eq!(tower.fingerprint().map(str::len), Some(16));
    for side in [31, 1025] {
        let error = tower.features(&pixels(0), side, 10).unwrap_err();
        assert!(matches!(&error, Error::InvalidInput(text) if text.contains("32 to 1024")), "{error}");
    }
}

#[test]
fn another_tower_or_a_damaged_one_is_refused() {
    for (architecture, leave_out, word) in [
        ("tf_efficientnet_lite4", "", "architecture"),
        ("tf_efficientnet_lite0", "blocks.4.2.bn2.running_var", "blocks.4.2.bn2.running_var"),
        ("tf_efficientnet_lite0", "conv_stem.weight", "conv_stem.weight"),
    ] {
        let directory = timm_directory(architecture, leave_out);
        let error =
            EfficientNet::load(&ModelSpec::Directory(directory.path().into()), &options()).unwrap_err();
        assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
    }
    let error = EfficientNet::load(&ModelSpec::Bundled, &options()).unwrap_err();
    assert!(matches!(error, Error::InvalidInput(_)), "{error}");
}

// ---------------------------------------------------------------- from files to vectors

fn small_config() -> Value {
    let text = json!({"vocab_size": 80, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 16});
    dual_config(&text, 24)
}

#[test]
fn a_directory_with_a_dual_encoder_embeds_pictures_and_texts() {
    let directory = directory(&small_config(), 64, &word_piece_tokenizer(), generated);
    let embedder = load(directory.path()).unwrap();
    let info = embedder.info();
    assert_eq!((info.dimension, info.image_size, info.context_length), (24, 64, 16));
    let files: Vec<Vec<u8>> = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let texts: Vec<String> = (0..20).map(|i| format!("red shoe{}", " very long".repeat(i % 5))).collect();
    block_on(async {
        for vector in embedder.embed_images(files).await.unwrap() {
            assert_eq!(vector.unwrap().len(), 24);
        }
        let together = embedder.embed_texts(texts.clone()).await.unwrap();
        for (text, together) in texts.iter().zip(together) {
            let alone = embedder.embed_texts(vec![text.clone()]).await.unwrap().remove(0);
            assert!(largest_difference(&alone, &together) < 1e-5, "{text}");
        }
    });
}

#[test]
fn a_dual_encoder_that_does_not_fit_its_config_is_refused() {
    let refused = |word: &str, change: &dyn Fn(&mut Value)| {
        let directory = directory(&small_config(), 64, &word_piece_tokenizer(), generated);
        let mut config = small_config();
        change(&mut config);
        std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        if config["model_type"] == "clip" {
            let tokenizer = clip_tokenizer().to_string();
            std::fs::write(directory.path().join("tokenizer.json"), tokenizer).unwrap();
        }
        let error = load(directory.path()).expect_err(word);
        assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
    };
    refused("position_embeddings.weight has shape", &|c| {
        c["text_config"]["max_position_embeddings"] = json!(17)
    });
    refused("projection.weight has shape", &|c| c["projection_dim"] = json!(25));
    refused("encoder.layer.2", &|c| c["text_config"]["num_hidden_layers"] = json!(3));
    refused("not part of the model", &|c| c["text_config"]["num_hidden_layers"] = json!(1));
    refused("architecture", &|c| c["vision_config"]["architecture"] = json!("resnet18"));
    refused("not a CLIP checkpoint", &|c| {
        *c = clip_config();
        c["vision_config"]["image_size"] = json!(64);
    });
}

// ---------------------------------------------------------------- tokenizer

fn encoder(tokenizer: &Value) -> Result<TextEncoder, Error> {
    let config = ModelConfig::parse(small_config().to_string().as_bytes(), 64).unwrap();
    TextEncoder::parse(tokenizer.to_string().as_bytes(), &config, TextCleaning::Off)
}

#[test]
fn word_pieces_are_framed_lowercased_and_cut_with_the_end_kept() {
    let encoder = encoder(&word_piece_tokenizer()).unwrap();
    let id = |piece: &str| word_piece_tokenizer()["model"]["vocab"][piece].as_u64().unwrap() as u32;
    assert_eq!(encoder.encode("RED Shoes!").unwrap(), [2, id("red"), id("shoe"), id("##s"), id("!"), 3]);
    assert_eq!(encoder.encode("caf\u{e9} \u{6771}").unwrap(), [2, id("cafe"), 1, 3]);
    for empty in ["", " \n "] {
        assert_eq!(encoder.encode(empty).unwrap(), [2, 3]);
    }
    let ids = encoder.encode(&"very long ".repeat(200_000)).unwrap();
    assert_eq!((ids.len(), ids[0], ids[15]), (16, 2, 3));
    assert!(ids[1..15].iter().all(|i| [id("very"), id("long")].contains(i)), "{ids:?}");
}

#[test]
fn special_tokens_of_bert_that_a_user_types_are_text() {
    let encoder = encoder(&word_piece_tokenizer()).unwrap();
    for text in ["[SEP]", "red [SEP] shoe", "[CLS][MASK]", "[PAD] [UNK]"] {
        let ids = encoder.encode(text).unwrap();
        assert!(ids.len() > 5, "{text}: {ids:?}");
        assert!(ids[1..ids.len() - 1].iter().all(|id| *id > 4), "{text}: {ids:?}");
    }
}

#[test]
fn a_word_piece_tokenizer_that_does_not_fit_is_refused() {
    let mut tokenizer = word_piece_tokenizer();
    tokenizer["post_processor"] = Value::Null;
    let error = encoder(&tokenizer).err().unwrap();
    assert!(error.to_string().contains("begin and an end token"), "{error}");
    let mut tokenizer = word_piece_tokenizer();
    tokenizer["model"]["vocab"]["zebra"] = json!(80);
    let error = encoder(&tokenizer).err().unwrap();
    assert!(error.to_string().contains("largest id is 80"), "{error}");
}
