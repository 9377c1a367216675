//! Our side of `benches/ann/run`: reads a data set, builds an index over it and prints one JSON
//! line for each setting: recall@10, queries per CPU second, CPU seconds of the build, memory.
//!
//! `cargo bench --bench ann -- DIR [THREADS]`, where DIR holds `base.f32`, `queries.f32` (rows of
//! `dimension` little-endian floats), `truth.u32` (100 row numbers a query) and `set.json`
//! (`dimension`, `distance`). A hit is right if it scores no worse than the tenth of the truth, so that equal
//! vectors may stand for each other. Without DIR it does nothing, so that `cargo test` passes over it.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use lookalike::index::{Index, Mode, Search};
use lookalike::types::{Distance, HnswParams, VectorParams};
use roaring::RoaringBitmap;
use serde_json::{Value, json};

const K: usize = 10;
const TRUTH: usize = 100;
/// Scores that differ by less are the same but for rounding.
const TIE: f32 = 1e-6;

fn floats(path: &Path, dimension: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let row = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
    };
    bytes.chunks_exact(4 * dimension).map(row).collect()
}

/// CPU seconds of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs every query, several rounds; (recall, queries per second of the best round, queries per CPU
/// second over all of them, which other load on the machine does not change much).
fn ask(
    index: &Index,
    queries: &[Vec<f32>],
    worst: &[f32],
    search: &Search<'_>,
    threads: usize,
) -> (f64, f64, f64) {
    let (mut best, mut found, mut asked, cpu) = (0.0f64, 0, 0, cpu_seconds());
    // CPU time is counted in hundredths of a second.
    while asked == 0 || cpu_seconds() - cpu < 1.0 {
        let began = Instant::now();
        let parts: Vec<usize> = std::thread::scope(|scope| {
            let part = queries.len().div_ceil(threads);
            let workers: Vec<_> = queries
                .chunks(part)
                .zip(worst.chunks(part))
                .map(|(queries, worst)| {
                    scope.spawn(move || {
                        let right = |(query, worst): (&Vec<f32>, &f32)| {
                            let hits = index.search(query, search).unwrap();
                            hits.iter().filter(|hit| hit.score >= worst - TIE).count()
                        };
                        queries.iter().zip(worst).map(right).sum()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        best = best.max(queries.len() as f64 / began.elapsed().as_secs_f64());
        found = parts.iter().sum();
        asked += queries.len();
    }
    (found as f64 / (queries.len() * K) as f64, best, asked as f64 / (cpu_seconds() - cpu))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(dir) = arguments.first().map(Path::new) else { return };
    let threads: usize = arguments.get(1).map_or(1, |t| t.parse().unwrap());
    let set: Value = serde_json::from_slice(&std::fs::read(dir.join("set.json")).unwrap()).unwrap();
    let dimension = set["dimension"].as_u64().unwrap() as usize;
    let distance: Distance = serde_json::from_value(set["distance"].clone()).unwrap();
    let ef_construct = set["ef_construction"].as_u64().unwrap_or(200) as usize;
    let (base, queries) =
        (floats(&dir.join("base.f32"), dimension), floats(&dir.join("queries.f32"), dimension));
    let truth: Vec<u32> = std::fs::read(dir.join("truth.u32"))
        .unwrap()
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let dot = |a: &[f32], b: &[f32]| lookalike::distance::kernel(distance)(a, b);
    let tenth = |(query, truth): (&Vec<f32>, &[u32])| dot(query, &base[truth[K - 1] as usize]);
    let worst: Vec<f32> = queries.iter().zip(truth.chunks_exact(TRUTH)).map(tenth).collect();

    let before = resident_bytes();
    let params = VectorParams::new(dimension, distance);
    let hnsw = HnswParams { m: 16, ef_construct, full_scan_threshold: 1000 };
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let index = Index::new(&params, hnsw);
    for (slot, vector) in (0..).zip(&base) {
        index.insert(slot, vector).unwrap();
    }
    while index.state().building {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{}",
        json!({
            "engine": "lookalike", "build_s": began.elapsed().as_secs_f64(), "build_cpu_s": cpu_seconds() - cpu,
            "bytes": resident_bytes().saturating_sub(before),
        })
    );
    for ef in [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024] {
        let search = Search { ef: Some(ef), ..Search::new(K) };
        let (recall, qps, per_cpu_s) = ask(&index, &queries, &worst, &search, threads);
        println!(
            "{}",
            json!({"engine": "lookalike", "ef": ef, "recall": recall, "qps": qps, "per_cpu_s": per_cpu_s})
        );
    }
    for keep in [2u32, 10, 100, 1000] {
        let allow: RoaringBitmap = (0..base.len() as u32).filter(|slot| slot % keep == 0).collect();
        let exact = Search { mode: Mode::Exact, allow: Some(&allow), ..Search::new(K) };
        let few = &queries[..queries.len().min(200)];
        let worst: Vec<f32> =
            few.iter().map(|query| index.search(query, &exact).unwrap().last().unwrap().score).collect();
        for ef in [64, 128] {
            let search = Search { ef: Some(ef), allow: Some(&allow), ..Search::new(K) };
            let (recall, qps, per_cpu_s) = ask(&index, few, &worst, &search, threads);
            println!(
                "{}",
                json!({
                    "engine": "lookalike", "keep": 1.0 / f64::from(keep), "ef": ef, "recall": recall,
                    "qps": qps, "per_cpu_s": per_cpu_s,
                })
            );
        }
    }
}
