//! Durable writes into a collection: single points and batches of 256 and 1,024, each with 256
//! components and a small payload; every write is on disk when it is counted.
//! `cargo bench --bench ingest`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lookalike::collection::Collection;
use lookalike::storage::{Store, StoreOptions};
use lookalike::types::{CollectionConfig, CollectionName, Distance, Point, PointId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const DIMENSION: usize = 256;

fn ingest(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let name = CollectionName::parse("bench").unwrap();
    let volume = store.create(&name, &CollectionConfig::single(DIMENSION, Distance::Cosine)).unwrap();
    let collection = Collection::open(volume).unwrap();
    let mut random = SmallRng::seed_from_u64(1);
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10);
    for size in [1_u64, 256, 1024] {
        group.throughput(Throughput::Elements(size));
        let mut batch = || -> Vec<Point> {
            let point = |id: u64, random: &mut SmallRng| Point {
                id: PointId::Num(id),
                vectors: [(String::new(), (0..DIMENSION).map(|_| random.random_range(-1.0..1.0)).collect())]
                    .into(),
                payload: serde_json::from_str(r#"{"file": "a.jpg", "n": 7}"#).unwrap(),
            };
            // Ids come again, as they do when a collection is kept up to date.
            (0..size).map(|_| point(random.random_range(0..20_000), &mut random)).collect()
        };
        group.bench_function(format!("batch of {size}"), |bencher| {
            bencher.iter_batched(
                &mut batch,
                |points| collection.upsert(points).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    store.close().unwrap();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
