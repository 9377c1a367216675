//! What relevance and duplicates cost: queries of a collection with and without relevance, one thread, alternated, and
//! pages of duplicates with the recall of pairs that were planted.
//! `cargo bench --profile dev --bench relevance`
//!
//! `POINTS=n` (default 100,000) points of 256 components in 500 clusters, seeded; every hundredth is written again with
//! noise of a fiftieth of its length, every other hundredth as it is. A query's time is the best of four.

#![allow(missing_docs, clippy::expect_used)] // a bench that cannot go on says why and ends

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lookalike::collection::{Collection, DuplicateSearch, Fields, Query, Relevance};
use lookalike::storage::{Store, StoreOptions};
use lookalike::types::{CollectionConfig, CollectionName, Distance, NamedVectors, Point, PointId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const SIZE: usize = 256;
const QUERIES: usize = 1000;
/// Ids of noisy copies and of exact ones begin here.
const NOISY: u64 = 1_000_000_000;
const EXACT: u64 = 2_000_000_000;

fn count() -> u64 {
    std::env::var("POINTS").map_or(100_000, |points| points.parse().expect("POINTS is a number"))
}

fn near(random: &mut SmallRng, around: &[f32], spread: f32) -> Vec<f32> {
    around.iter().map(|x| x + spread * random.random_range(-1.0_f32..1.0)).collect()
}

fn fill(collection: &Collection) -> Vec<Vec<f32>> {
    let mut random = SmallRng::seed_from_u64(1);
    let zero = vec![0.0; SIZE];
    let centres: Vec<Vec<f32>> = (0..500).map(|_| near(&mut random, &zero, 1.0)).collect();
    let mut queries = Vec::new();
    let mut points = Vec::new();
    let point = |id: u64, vector: Vec<f32>| Point {
        id: PointId::Num(id),
        vectors: NamedVectors::from([(String::new(), vector)]),
        payload: serde_json::Map::new(),
    };
    for id in 0..count() {
        let vector = near(&mut random, &centres[id as usize % centres.len()], 0.5);
        match id % 100 {
            1 => points.push(point(NOISY + id, near(&mut random, &vector, 0.02))),
            2 => points.push(point(EXACT + id, vector.clone())),
            3 if queries.len() < QUERIES => queries.push(near(&mut random, &vector, 0.5)),
            _ => {}
        }
        points.push(point(id, vector));
        if points.len() >= 1000 {
            collection.upsert(std::mem::take(&mut points)).expect("points are written");
        }
    }
    collection.upsert(points).expect("points are written");
    queries
}

/// The mean of the best of four, without and with relevance, in turn.
fn queries(collection: &Collection, vectors: &[Vec<f32>]) {
    let mut best = vec![[Duration::MAX; 2]; vectors.len()];
    for round in 0..4 {
        for (vector, best) in vectors.iter().zip(&mut best) {
            // In turn: the second finds in the caches what the first has read.
            for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let relevance = (which == 1).then(Relevance::default);
                let best = &mut best[which];
                let query = Query { relevance, ..Query::new(vector.clone(), String::new(), 10) };
                let began = Instant::now();
                let hits = collection.search(&query).expect("a search");
                *best = began.elapsed().min(*best);
                assert!(hits.len() == 10 && hits[0].relevance.is_some() == relevance.is_some());
            }
        }
    }
    let mean = |which: usize| {
        best.iter().map(|best| best[which].as_secs_f64()).sum::<f64>() / best.len() as f64 * 1e6
    };
    let (without, with) = (mean(0), mean(1));
    println!("| a query, without relevance, us | with | more |\n|---|---|---|");
    println!("| {without:.1} | {with:.1} | {:.1} % |\n", 100.0 * (with / without - 1.0));
}

fn duplicates(collection: &Collection) {
    let mut search = DuplicateSearch {
        threshold: Some(0.99),
        using: String::new(),
        filter: None,
        offset: None,
        limit: 10_000,
        min_size: 2,
        fields: Fields::NONE,
    };
    let (mut found, mut pages, mut compared) = (HashSet::new(), 0, 0);
    let began = Instant::now();
    loop {
        let page = collection.duplicates(&search).expect("a page of duplicates");
        for group in &page.groups {
            let first = group.points[0].id;
            found.extend(group.points[1..].iter().map(|point| (first, point.id)));
        }
        (pages, compared) = (pages + 1, compared + page.compared);
        search.offset = page.next;
        if search.offset.is_none() {
            break;
        }
    }
    let took = began.elapsed().as_secs_f64();
    let share = |place: u64, base: u64| {
        let planted = (0..count()).filter(|id| id % 100 == place);
        let pairs: Vec<_> = planted.map(|id| (PointId::Num(id), PointId::Num(base + id))).collect();
        pairs.iter().filter(|pair| found.contains(pair)).count() as f64 / pairs.len() as f64
    };
    println!(
        "| points | pages | s | points/s | recall of noisy pairs | of exact pairs |\n|---|---|---|---|---|---|"
    );
    println!(
        "| {compared} | {pages} | {took:.1} | {:.0} | {:.4} | {:.4} |",
        compared as f64 / took,
        share(1, NOISY),
        share(2, EXACT)
    );
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), StoreOptions::default()).expect("a store");
    let name = CollectionName::parse("c").expect("a name");
    let volume = store.create(&name, &CollectionConfig::single(SIZE, Distance::Cosine)).expect("a volume");
    let collection = Collection::open(volume).expect("a collection");
    let vectors = fill(&collection);
    while collection.info().building {
        std::thread::sleep(Duration::from_millis(50));
    }
    queries(&collection, &vectors);
    duplicates(&collection);
}
