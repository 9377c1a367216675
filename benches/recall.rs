//! Recall@10 of the graph against the exact search, and the time of a query, by `ef` and by how
//! much a filter keeps. 20,000 vectors of 256 components in 500 clusters (seeded), or those of the
//! file that `VECTORS` names (f32, little-endian, 256 to a row). Prints a markdown table.
//! `cargo bench --bench recall`

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use lookalike::index::{Hit, Index, Mode, Search};
use lookalike::types::{Distance, HnswParams, VectorParams};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roaring::RoaringBitmap;

const DIMENSION: usize = 256;
const POINTS: usize = 20_000;
const QUERIES: usize = 500;

fn clustered(random: &mut SmallRng) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> =
        (0..500).map(|_| (0..DIMENSION).map(|_| random.random_range(-1.0..1.0)).collect()).collect();
    let mut draw = || {
        let centre = &centres[random.random_range(0..centres.len())];
        centre.iter().map(|x| x + 0.5 * random.random_range(-1.0..1.0)).collect()
    };
    (0..POINTS + QUERIES).map(|_| draw()).collect()
}

fn read(path: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let floats: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    floats.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect()
}

/// The hits of every query, and the time of one.
fn ask(index: &Index, queries: &[Vec<f32>], search: &Search<'_>) -> (Vec<Vec<Hit>>, Duration) {
    let began = Instant::now();
    let hits = queries.iter().map(|query| index.search(query, search).unwrap()).collect();
    (hits, began.elapsed() / u32::try_from(queries.len()).unwrap())
}

fn recall(truth: &[Vec<Hit>], got: &[Vec<Hit>]) -> f64 {
    let found =
        |(t, g): (&Vec<Hit>, &Vec<Hit>)| g.iter().filter(|hit| t.iter().any(|x| x.slot == hit.slot)).count();
    let wanted: usize = truth.iter().map(Vec::len).sum();
    truth.iter().zip(got).map(found).sum::<usize>() as f64 / wanted as f64
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut random = SmallRng::seed_from_u64(1);
    let mut vectors = std::env::var("VECTORS").map_or_else(|_| clustered(&mut random), |path| read(&path));
    let queries: Vec<_> =
        (0..QUERIES).map(|_| vectors.swap_remove(random.random_range(0..vectors.len()))).collect();
    let params = VectorParams::new(DIMENSION, Distance::Cosine);
    let index = Index::new(&params, HnswParams { full_scan_threshold: 1000, ..HnswParams::default() });
    let began = Instant::now();
    for (slot, vector) in (0..).zip(&vectors) {
        index.insert(slot, vector).unwrap();
    }
    while index.state().building {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{} vectors, graph built after {:.1} s\n", vectors.len(), began.elapsed().as_secs_f64());
    println!("| filter keeps | search | recall@10 | a query |");
    println!("|---|---|---|---|");
    for keep in [1, 2, 10, 100] {
        let allow: RoaringBitmap =
            (0..u32::try_from(vectors.len()).unwrap()).filter(|slot| slot % keep == 0).collect();
        let allow = (keep > 1).then_some(&allow);
        let (truth, time) = ask(&index, &queries, &Search { mode: Mode::Exact, allow, ..Search::new(10) });
        println!("| 1/{keep} | exact | 1 | {time:.0?} |");
        for ef in [None, Some(32), Some(64), Some(256)] {
            let (got, time) = ask(&index, &queries, &Search { ef, allow, ..Search::new(10) });
            let name = ef.map_or("default".to_owned(), |ef| format!("ef {ef}"));
            println!("| 1/{keep} | {name} | {:.4} | {time:.0?} |", recall(&truth, &got));
        }
    }
}
