//! Graphs on disk: a start takes them over, whatever changed since they were written.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const POINTS: u64 = 6000;

pub(super) fn vector(seed: u64) -> Vec<f32> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..8).map(|_| random.random_range(-1.0..1.0)).collect()
}

pub(super) fn settle(collection: &Collection) {
    let began = Instant::now();
    while collection.info().building {
        assert!(began.elapsed() < Duration::from_secs(300), "the graph is never ready");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Of the ten nearest by an exact search the share that the graph finds.
pub(super) fn recall(collection: &Collection) -> f64 {
    let mut found = 0;
    for seed in 0..50 {
        let query = Query::new(vector(1_000_000 + seed), String::new(), 10);
        let by_graph = ids(&collection.search(&query).unwrap());
        let exact = ids(&collection.search(&Query { mode: Mode::Exact, ..query }).unwrap());
        assert_eq!(by_graph.len(), 10);
        found += exact.iter().filter(|id| by_graph.contains(id)).count();
    }
    found as f64 / 500.0
}

#[test]
fn a_start_takes_the_kept_graph_over_even_where_points_changed_since_and_finds_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = CollectionConfig::single(8, Distance::Euclid);
    config.hnsw.full_scan_threshold = 10;
    let (store, collection) = create(dir.path(), &config);
    let upsert = |collection: &Collection, ids: std::ops::Range<u64>, shift: u64| {
        let points = ids.map(|id| point(id, &vector(id + shift), json!({}))).collect();
        collection.upsert(points).unwrap();
    };
    upsert(&collection, 0..POINTS, 0);
    settle(&collection);
    collection.keep_graphs();
    let kept = graphs::read(&collection.volume).unwrap();
    assert!(kept.graphs[0].1.nodes.len() > 4000, "{}", kept.graphs[0].1.nodes.len());

    // Nothing has changed: the same graph is there again, and not another one.
    let (store, collection) = reopen(dir.path(), store, collection);
    settle(&collection);
    collection.keep_graphs();
    assert!(graphs::read(&collection.volume).unwrap() == kept, "the graph was built anew");
    assert!(recall(&collection) >= 0.98);

    // A tenth has changed, is gone or is new, and the graph is of the time before.
    upsert(&collection, 100..400, 77_777);
    collection.delete((1000..1300).map(PointId::Num).collect()).unwrap();
    upsert(&collection, POINTS..POINTS + 300, 0);
    let (store, collection) = reopen(dir.path(), store, collection);
    settle(&collection);
    assert!(collection.info().indexed_vectors > 4000);
    collection.keep_graphs();
    let again = graphs::read(&collection.volume).unwrap().graphs.remove(0).1;
    let known = |graph: &crate::index::KeptGraph| {
        graph.nodes.iter().map(|(_, layers)| layers.len()).collect::<Vec<_>>()
    };
    let upper = |graph| known(graph).into_iter().filter(|layers| *layers > 1).count();
    let (before, after) = (upper(&kept.graphs[0].1), upper(&again));
    assert!(
        after <= before && after * 10 > before * 8,
        "{before} and {after} rows on upper layers: built anew"
    );
    assert!(recall(&collection) >= 0.98);

    // Damaged: as if there were none.
    let hint = std::fs::read_dir(dir.path().join("collections")).unwrap().next().unwrap().unwrap().path();
    let hint = hint.join("graphs.hint");
    let mut bytes = std::fs::read(&hint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&hint, bytes).unwrap();
    let (_store, collection) = reopen(dir.path(), store, collection);
    settle(&collection);
    assert!(recall(&collection) >= 0.98);
}
