//! The towers on an NVIDIA GPU beside those on the CPU, and what happens when its memory or the GPU itself fails.
//! Where there is no GPU, each test says that it is skipped.
//!
//! `cargo nextest run --features cuda --test gpu`. Not by `cargo test`, unless with one test a process: the last
//! one breaks the GPU's context.

// A test fails by panicking; one breaks the GPU on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

use candle_core::cuda_backend::cudarc;
use candle_core::{DType, Device, Tensor};
use lookalike::embed::{
    DeviceChoice, EmbedOptions, Embedder, ModelConfig, ModelSpec, PrecisionChoice, Towers, open_device,
};
use lookalike::kernels::Precision;
use serde_json::{Value, json};

use crate::models::{clip_tokenizer, directory, generated, uniform};

/// The GPU, or `None` and a line that says so.
fn gpu() -> Option<Device> {
    let device = open_device(DeviceChoice::Cuda);
    if device.is_cpu() {
        println!("skipped: there is no NVIDIA GPU");
        return None;
    }
    Some(device)
}

fn least_cosine(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    found.iter().zip(expected).map(cosine).fold(1.0, |least, c| if c.is_nan() { -1.0 } else { least.min(c) })
}

fn pixels(count: usize, side: usize) -> Vec<f32> {
    (0..count).flat_map(|i| uniform(&format!("pixels.{i}"), 3 * side * side)).map(|v| v * 2.0).collect()
}

fn tower(width: usize, heads: usize, activation: &str, side: usize, patch: usize) -> Value {
    json!({"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": heads,
        "num_hidden_layers": 3, "image_size": side, "patch_size": patch, "vocab_size": 514,
        "max_position_embeddings": 77, "hidden_act": activation})
}

fn clip(width: usize, heads: usize, activation: &str, side: usize, patch: usize) -> Value {
    let tower = tower(width, heads, activation, side, patch);
    json!({"model_type": "clip", "projection_dim": 96, "text_config": tower, "vision_config": tower})
}

/// Every shape that the kernels tell apart: heads that fill their tiles and not, rows of less than a tile, of one
/// exactly and of several, all activations, a class token and none.
#[test]
fn vectors_and_patches_of_a_gpu_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let siglip = |width, heads, side, patch| {
        let tower = tower(width, heads, "gelu_pytorch_tanh", side, patch);
        json!({"model_type": "siglip", "text_config": tower, "vision_config": tower})
    };
    let mut dino = tower(384, 6, "gelu", 126, 14);
    dino["model_type"] = json!("dinov2");
    for (config, side) in [
        (clip(768, 12, "quick_gelu", 224, 32), 224), // 50 rows, heads of 64
        (clip(1024, 16, "quick_gelu", 224, 14), 224), // 257 rows
        (clip(1280, 16, "gelu", 96, 8), 96),         // heads of 80, 145 rows
        (clip(256, 8, "gelu", 64, 16), 64),          // heads of 32, 17 rows
        (clip(96, 12, "gelu", 64, 16), 64),          // heads of 8
        (clip(256, 2, "quick_gelu", 64, 16), 64),    // heads of 128
        (siglip(1152, 16, 64, 8), 64),               // heads of 72, 64 rows
        (siglip(768, 12, 75, 15), 75),               // an odd patch
        (dino, 126),
    ] {
        let named = config.to_string();
        let config = ModelConfig::parse(named.as_bytes(), side).unwrap();
        let build = |device: &Device, precision| {
            Towers::with_precision(&config, device, precision, |name, shape| Ok(generated(name, shape)))
                .unwrap()
        };
        let cpu = build(&Device::Cpu, Precision::F32);
        let pixels = pixels(5, side);
        let context = config.context_length();
        let texts: Vec<Vec<u32>> = [1, 5, 22, 63, 64, 75]
            .map(|length| {
                let filled = if named.contains("siglip") { context } else { length + 1 };
                (0..filled as u32)
                    .map(|i| if i + 1 == filled as u32 { 513 } else { (i * 37 + 11) % 511 })
                    .collect()
            })
            .to_vec();
        let texts: Vec<&[u32]> =
            if context == 0 { Vec::new() } else { texts.iter().map(Vec::as_slice).collect() };
        let vectors = |towers: &Towers| {
            let mut all = towers.embed_pixels(&pixels).unwrap();
            all.extend(towers.embed_tokens(&texts).unwrap());
            all.extend(towers.embed_pixels(&pixels[..pixels.len() / 5]).unwrap());
            all
        };
        let patches = |towers: &Towers| {
            let features = towers.features(&pixels, 1).unwrap();
            features.values.chunks(features.shape[3]).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let (expected, rows) = (vectors(&cpu), patches(&cpu));
        for (precision, least) in [(Precision::F32, 0.99999), (Precision::F16, 0.999)] {
            let towers = build(&gpu, precision);
            assert_eq!(towers.precision(), precision);
            let (of_vectors, of_rows) =
                (least_cosine(&vectors(&towers), &expected), least_cosine(&patches(&towers), &rows));
            println!("{precision:?}: vectors {of_vectors:.6}, patches {of_rows:.6}, {named}");
            assert!(of_vectors >= least, "{precision:?} {of_vectors} {named}");
            assert!(of_rows >= least, "{precision:?} patches {of_rows} {named}");
        }
    }
}

fn options(device: DeviceChoice) -> EmbedOptions {
    EmbedOptions { device, precision: PrecisionChoice::F32, ..EmbedOptions::default() }
}

/// Pictures of noise, no two alike.
fn pictures(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| {
            let noise = uniform(&format!("picture.{i}"), 64 * 64 * 3);
            let bytes = noise.iter().map(|v| (v * 127.0 + 128.0) as u8).collect();
            let picture = image::RgbImage::from_raw(64, 64, bytes).unwrap();
            let mut png = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
            png.into_inner()
        })
        .collect()
}

fn embed(embedder: &Embedder, files: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let texts = ["a dog", "two red shoes on a table", ""].map(str::to_owned).to_vec();
    runtime.block_on(async {
        let mut all: Vec<Vec<f32>> =
            embedder.embed_images(files.to_vec()).await.unwrap().into_iter().map(Result::unwrap).collect();
        all.extend(embedder.embed_texts(texts).await.unwrap());
        all
    })
}

#[test]
fn the_bundled_model_gives_the_same_on_a_gpu() {
    if gpu().is_none() {
        return;
    }
    let [on_cpu, on_gpu] = [DeviceChoice::Cpu, DeviceChoice::Auto]
        .map(|device| Embedder::load(&ModelSpec::Bundled, &options(device)).unwrap());
    assert_eq!(on_gpu.info().running_on(), ("cuda", "f32"));
    let files = pictures(20);
    let least = least_cosine(&embed(&on_gpu, &files), &embed(&on_cpu, &files));
    println!("bundled: {least:.6}");
    assert!(least >= 0.99999, "{least}");
}

/// A CLIP in f16 that has passed the gate; `auto` takes it.
fn half_precision(folder: &std::path::Path) -> Embedder {
    let options =
        EmbedOptions { precision: PrecisionChoice::Auto, max_batch: 256, ..options(DeviceChoice::Auto) };
    let embedder = Embedder::load(&ModelSpec::Directory(folder.to_owned()), &options).unwrap();
    assert_eq!(embedder.info().running_on(), ("cuda", "f16"));
    embedder
}

fn model() -> tempfile::TempDir {
    let mut config = clip(768, 12, "quick_gelu", 224, 32);
    config["text_config"]["eos_token_id"] = json!(513);
    directory(&config, 224, &clip_tokenizer(), generated)
}

#[test]
fn memory_that_is_short_takes_less_at_a_time_and_stays_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    let folder = model();
    let embedder = half_precision(folder.path());
    let files = pictures(256);
    let expected = embed(&embedder, &files[..8]);
    // All but little of the memory is somebody else's.
    let mut taken = Vec::new();
    for bytes in [4usize << 30, 256 << 20, 16 << 20] {
        while let Ok(tensor) = Tensor::zeros(bytes, DType::U8, &gpu) {
            taken.push(tensor);
        }
    }
    gpu.synchronize().unwrap();
    taken.pop();
    let found = embed(&embedder, &files);
    println!("{} blocks were taken, running on {:?}", taken.len(), embedder.info().running_on());
    assert!(least_cosine(&found[..8], &expected[..8]) >= 0.9999);
    assert_eq!(embedder.info().running_on().0, "cuda");
}

#[test]
fn a_gpu_that_fails_hands_the_model_to_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let folder = model();
    let embedder = half_precision(folder.path());
    let files = pictures(9);
    let expected = embed(&embedder, &files);
    // A kernel that writes where nothing is: from now on every call of this process fails.
    let Device::Cuda(device) = &gpu else { panic!("no GPU") };
    let source = "extern \"C\" __global__ void wild() { *(volatile int *)64 = 1; }";
    let ptx = cudarc::nvrtc::compile_ptx(source).unwrap().to_src();
    let function = device.get_or_load_custom_func("wild", "wild", &ptx).unwrap();
    let config = cudarc::driver::LaunchConfig::for_num_elems(1);
    // SAFETY: it is to fail.
    unsafe { function.builder().launch(config) }.unwrap();
    assert!(gpu.synchronize().is_err());
    let found = embed(&embedder, &files);
    assert!(least_cosine(&found, &expected) >= 0.999);
    assert_eq!(embedder.info().running_on(), ("cpu", "f32"));
    // And so it stays.
    assert!(
        least_cosine(
            &embed(&embedder, &files[..2]),
            &found[..2].iter().chain(&found[9..]).cloned().collect::<Vec<_>>()
        ) >= 0.9999
    );
}
