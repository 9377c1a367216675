//! From the bytes of a picture to the input of a tower, one thread: a sample photo, and a JPEG of
//! 12 megapixels made here. `cargo bench --bench preprocess`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use lookalike::preprocess::{Limits, Transform};

/// A JPEG of 4,000 x 3,000 pixels with structure at several scales.
fn large() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(4000, 3000, |x, y| {
        let wave = |scale: f32| ((x as f32 / scale).sin() * (y as f32 / scale).cos() * 60.0 + 120.0) as u8;
        image::Rgb([wave(7.0), wave(61.0), wave(401.0)])
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&picture).unwrap();
    bytes
}

fn preprocess(criterion: &mut Criterion) {
    let transform = Transform::parse(include_bytes!("../models/bundled/preprocessor_config.json")).unwrap();
    let limits = Limits::default();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clothing");
    let sample = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let pictures = [("sample photo", std::fs::read(sample).unwrap()), ("12 megapixel JPEG", large())];
    let mut group = criterion.benchmark_group("preprocess");
    group.sample_size(20);
    for (name, bytes) in &pictures {
        group.bench_function(*name, |bencher| bencher.iter(|| transform.prepare(bytes, &limits).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
