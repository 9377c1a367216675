//! The embedder against transformers and Pillow, and the refusal of what it would get wrong.
//! Expected values come from `tests/golden/make.py`; if the bundled weights have changed, run
//! `python tests/golden/make.py --bundled models/bundled`.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundled;
mod clip;
mod dual;
mod models;
mod precision;
mod preprocess;
mod refusals;
mod vit;

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

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
