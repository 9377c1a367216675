//! Small models with generated weights, written to directories as transformers writes them.

use std::path::Path;

use candle_core::{Device, Tensor};
use lookalike::embed::{DeviceChoice, EmbedOptions, Embedder, ModelConfig, ModelSpec, Towers};
use lookalike::error::Error;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub fn options() -> EmbedOptions {
    EmbedOptions { device: DeviceChoice::Cpu, ..EmbedOptions::default() }
}

pub fn load(directory: &Path) -> Result<Embedder, Error> {
    Embedder::load(&ModelSpec::Directory(directory.to_path_buf()), &options())
}

/// `count` values in [-1, 1), the same as `uniform` of make.py: splitmix64 from the FNV-1a hash of
/// the name, 24 bits each.
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
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

/// The same as `weights` of make.py.
pub fn generated(name: &str, shape: &[usize]) -> Tensor {
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

/// Name, type, shape, bytes.
pub type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

pub fn write_weights(directory: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(n, d, s, b)| (n.as_str(), TensorView::new(*d, s.clone(), b).unwrap()));
    std::fs::write(directory.join("model.safetensors"), safetensors::serialize(views, None).unwrap())
        .unwrap();
}

pub fn f32_bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A directory with the four files; the weights are `generated(name, shape)` in f32.
pub fn directory(
    config: &Value,
    side: usize,
    tokenizer: &Value,
    generated: impl Fn(&str, &[usize]) -> Tensor,
) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write =
        |name: &str, value: &Value| std::fs::write(directory.path().join(name), value.to_string()).unwrap();
    write("config.json", config);
    write("tokenizer.json", tokenizer);
    write(
        "preprocessor_config.json",
        &json!({"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}),
    );
    let mut tensors = Tensors::new();
    // The towers ask for every tensor that a checkpoint must have.
    let config = ModelConfig::parse(config.to_string().as_bytes(), side).unwrap();
    let towers = Towers::new(&config, &Device::Cpu, |name, shape| {
        let tensor = generated(name, shape);
        tensors.push((name.to_string(), Dtype::F32, shape.to_vec(), f32_bytes(&tensor)));
        Ok(tensor)
    });
    assert!(towers.is_ok());
    write_weights(directory.path(), &tensors);
    directory
}

/// A CLIP of two thin layers a tower, 32 pixels, for [`clip_tokenizer`].
pub fn clip_config() -> Value {
    let tower = json!({"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5});
    let (mut text, mut image) = (tower.clone(), tower);
    for (key, value) in [("vocab_size", 514), ("max_position_embeddings", 32), ("eos_token_id", 513)] {
        text[key] = json!(value);
    }
    (image["image_size"], image["patch_size"]) = (json!(32), json!(16));
    json!({"model_type": "clip", "projection_dim": 16, "text_config": text, "vision_config": image})
}

/// CLIP's tokenizer without merges: every byte inside and at the end of a word, begin 512, end 513.
pub fn clip_tokenizer() -> Value {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let others: Vec<u8> = (0..=255u8).filter(|b| !printable(b)).collect();
    let mut vocabulary = serde_json::Map::new();
    for (end, offset) in [("", 0), ("</w>", 256)] {
        for byte in 0..=255u8 {
            let letter = match others.iter().position(|other| *other == byte) {
                Some(at) => char::from_u32(256 + at as u32).unwrap(),
                None => char::from(byte),
            };
            vocabulary.insert(format!("{letter}{end}"), json!(offset + usize::from(byte)));
        }
    }
    vocabulary.insert("<|startoftext|>".into(), json!(512));
    vocabulary.insert("<|endoftext|>".into(), json!(513));
    let special = |id: u32, token: &str| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"},
             "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "<|startoftext|>": special(512, "<|startoftext|>"), "<|endoftext|>": special(513, "<|endoftext|>"),
            },
        },
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": [],
        },
    })
}

/// A dual encoder as transformers writes it; BERT with the given shape.
pub fn dual_config(text: &Value, projection: usize) -> Value {
    let mut config = json!({
        "model_type": "vision-text-dual-encoder", "projection_dim": projection, "logit_scale_init_value": 2.6592,
        "text_config": {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "type_vocab_size": 2,
            "position_embedding_type": "absolute"},
        "vision_config": {"model_type": "timm_wrapper", "architecture": "tf_efficientnet_lite0", "do_pooling": true,
            "hidden_size": 1280, "num_classes": 0, "label_names": [], "model_args": null},
    });
    for (key, value) in text.as_object().unwrap() {
        config["text_config"][key] = value.clone();
    }
    config
}

/// BERT's tokenizer with a few words: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, then pieces.
pub fn word_piece_tokenizer() -> Value {
    let mut vocabulary = serde_json::Map::new();
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("##{c}")]);
    let words = ["[", "]", "!", "red", "shoe", "##s", "photo", "very", "long", "cafe"].map(String::from);
    for word in specials.map(String::from).into_iter().chain(words).chain(letters) {
        let id = vocabulary.len();
        vocabulary.entry(word).or_insert(json!(id));
    }
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let special = |id: u32, token: &str| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "version": "1.0",
        // As published: both settings must give way to the tower's.
        "truncation": {"max_length": 128, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": special(2, "[CLS]"), "[SEP]": special(3, "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}
