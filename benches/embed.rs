//! The bundled model behind its queue: texts and pictures, one and 32 at a time; pictures are
//! decoded too. `cargo bench --bench embed`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lookalike::embed::{EmbedOptions, Embedder, ModelSpec};

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

criterion_group!(benches, embed);
criterion_main!(benches);
