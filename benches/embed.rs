//! The model: the bundled one behind its queue, decoding included, and the towers alone, the bundled
//! ones beside a dual encoder of EfficientNet-Lite0 and BERT with random weights.
//! `cargo bench --bench embed`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lookalike::embed::{EmbedOptions, Embedder, ModelConfig, ModelSpec, Towers};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const DUAL: &str = r#"{
    "model_type": "vision-text-dual-encoder", "projection_dim": 256,
    "text_config": {"model_type": "bert", "vocab_size": 8000, "hidden_size": 384, "num_hidden_layers": 3,
        "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 64},
    "vision_config": {"model_type": "timm_wrapper", "architecture": "tf_efficientnet_lite0", "num_classes": 0}
}"#;

fn pictures() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clothing");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().take(32).map(|file| std::fs::read(file).unwrap()).collect()
}

fn embed(criterion: &mut Criterion) {
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let texts: Vec<_> = (0..32).map(|i| format!("a photo of {i} red shoes on a wooden table")).collect();
    let pictures = pictures();
    let mut group = criterion.benchmark_group("embed, bundled model");
    group.sample_size(20);
    for size in [1, 32] {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("{size} texts"), |bencher| {
            bencher.iter(|| runtime.block_on(embedder.embed_texts(texts[..size].to_vec())).unwrap());
        });
        group.bench_function(format!("{size} pictures"), |bencher| {
            bencher.iter(|| runtime.block_on(embedder.embed_images(pictures[..size].to_vec())).unwrap());
        });
    }
    group.finish();
}

/// Towers with weights that neither die nor grow; speed does not depend on them.
fn random(config: &str, side: usize) -> Towers {
    let config = ModelConfig::parse(config.as_bytes(), side).unwrap();
    let mut rng = SmallRng::seed_from_u64(1);
    Towers::new(&config, &Device::Cpu, |name, shape| {
        let fan_in: usize = shape[1..].iter().product();
        let scale = if shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.1 };
        let shift = if name.ends_with("running_var") || shape.len() == 1 && name.ends_with("weight") {
            1.0
        } else {
            0.0
        };
        let values =
            (0..shape.iter().product()).map(|_| shift + scale * rng.random_range(-1.0f32..1.0)).collect();
        Ok(Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap())
    })
    .unwrap()
}

fn towers(criterion: &mut Criterion) {
    let bundled =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/models/bundled/config.json")).unwrap();
    let bundled_side =
        lookalike::preprocess::Transform::parse(include_bytes!("../models/bundled/preprocessor_config.json"))
            .unwrap()
            .side();
    let models = [
        (format!("bundled, {bundled_side} px"), random(&bundled, bundled_side)),
        ("dual encoder, 160 px".into(), random(DUAL, 160)),
        ("dual encoder, 224 px".into(), random(DUAL, 224)),
    ];
    let mut rng = SmallRng::seed_from_u64(2);
    let mut group = criterion.benchmark_group("towers, pictures");
    group.sample_size(20);
    for (name, towers) in &models {
        let picture = 3 * towers.config().image_size().pow(2);
        let pixels: Vec<f32> = (0..32 * picture).map(|_| rng.random_range(-2.0..2.0)).collect();
        for size in [1, 8, 32] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(BenchmarkId::new(name, size), &size, |bencher, &size| {
                bencher.iter(|| towers.embed_pixels(&pixels[..size * picture]).unwrap());
            });
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("towers, texts of 12 tokens");
    group.sample_size(20);
    for (name, towers) in &models[..2] {
        let texts: Vec<Vec<u32>> = (0..32).map(|i| (0..12).map(|t| 5 + i * 12 + t).collect()).collect();
        for size in [1, 8, 32] {
            let texts: Vec<&[u32]> = texts[..size].iter().map(Vec::as_slice).collect();
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| towers.embed_tokens(&texts).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, embed, towers);
criterion_main!(benches);
