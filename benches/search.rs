//! The index by itself: exact, through the graph, and filtered, on 20,000 vectors of 256
//! components in 200 clusters (seeded). `cargo bench --bench search`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use lookalike::index::{Index, Mode, Search};
use lookalike::types::{Distance, HnswParams, VectorParams};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roaring::RoaringBitmap;

const POINTS: usize = 20_000;
const DIMENSION: usize = 256;

fn clustered(random: &mut SmallRng, centres: &[Vec<f32>]) -> Vec<f32> {
    let centre = &centres[random.random_range(0..centres.len())];
    centre.iter().map(|x| x + 0.5 * random.random_range(-1.0..1.0)).collect()
}

fn search(criterion: &mut Criterion) {
    let mut random = SmallRng::seed_from_u64(1);
    let centres: Vec<Vec<f32>> =
        (0..200).map(|_| (0..DIMENSION).map(|_| random.random_range(-1.0..1.0)).collect()).collect();
    let params = VectorParams::new(DIMENSION, Distance::Cosine);
    let index = Index::new(&params, HnswParams { full_scan_threshold: 1000, ..HnswParams::default() });
    for slot in 0..POINTS {
        index.insert(u32::try_from(slot).unwrap(), &clustered(&mut random, &centres)).unwrap();
    }
    while index.state().building {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let queries: Vec<_> = (0..256).map(|_| clustered(&mut random, &centres)).collect();
    let tenth: RoaringBitmap = (0..u32::try_from(POINTS).unwrap()).filter(|slot| slot % 10 == 0).collect();
    let kinds = [
        ("graph", Search::new(10)),
        ("exact", Search { mode: Mode::Exact, ..Search::new(10) }),
        ("filter keeps a tenth", Search { allow: Some(&tenth), ..Search::new(10) }),
    ];
    let mut group = criterion.benchmark_group("search 20k x 256, 10 hits");
    for (name, kind) in kinds {
        let mut next = queries.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| index.search(next.next().unwrap(), &kind).unwrap())
        });
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
