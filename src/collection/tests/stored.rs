//! Vectors that the index reads from the log.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;

fn vector(i: u64) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(i);
    (0..48).map(|at| rng.random_range(-1.0..1.0) + ((i % 13 * 48 + at) as f32).sin()).collect()
}

fn settled(collection: &Collection) {
    let began = std::time::Instant::now();
    loop {
        let index = collection.index("").unwrap().state();
        if !index.building && index.vectors_in_memory + index.indexed_vectors <= index.vectors {
            return;
        }
        assert!(began.elapsed().as_secs() < 300, "{index:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_is_read_from_the_log_is_right_through_updates_compactions_and_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = CollectionConfig::single(48, Distance::Cosine);
    config.vectors.insert("side".into(), params(3, Distance::Cosine));
    config.hnsw = HnswParams { full_scan_threshold: 300, ..HnswParams::default() };
    let (mut store, mut collection) = create(dir.path(), &config);
    let mut version = vec![0u64; 9_000];
    let put = |collection: &Collection, ids: std::ops::Range<u64>, version: &mut [u64], now: u64| {
        let point = |i: u64| {
            version[i as usize] = now;
            let vectors = NamedVectors::from_iter([
                (String::new(), vector(i + 10_000 * now)),
                ("side".to_owned(), vec![1.0, i as f32, now as f32]),
            ]);
            Point { id: PointId::Num(i), vectors, payload: Payload::new() }
        };
        collection.upsert(ids.map(point).collect()).unwrap();
    };
    let check = |collection: &Collection, version: &[u64]| {
        settled(collection);
        for i in (0..9_000).step_by(211) {
            let query = vector(i + 10_000 * version[i as usize]);
            for mode in [Mode::Auto, Mode::Exact] {
                let query = Query { mode, ..Query::new(query.clone(), String::new(), 3) };
                let hits = collection.search(&query).unwrap();
                assert_eq!(hits[0].id, PointId::Num(i), "{mode:?}");
                assert!((hits[0].score - 1.0).abs() < 1e-5, "{mode:?}: {}", hits[0].score);
            }
        }
    };
    for part in 0..9 {
        put(&collection, part * 1_000..(part + 1) * 1_000, &mut version, 0);
    }
    check(&collection, &version);
    let state = collection.index("").unwrap().state();
    assert!(state.vectors_in_memory < 3_000, "{state:?}");
    for now in 1..4 {
        put(&collection, 2_000..4_000, &mut version, now);
        check(&collection, &version);
    }
    collection.volume.compact().unwrap();
    check(&collection, &version);
    put(&collection, 3_000..3_500, &mut version, 4);
    check(&collection, &version);
    for _ in 0..2 {
        (store, collection) = reopen(dir.path(), store, collection);
        check(&collection, &version);
        let state = collection.index("").unwrap().state();
        assert!(state.vectors_in_memory < 5_000, "{state:?}");
    }
    drop((store, collection));
}

#[test]
fn vectors_stay_in_memory_where_the_client_wants_them_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = CollectionConfig::single(48, Distance::Cosine);
    config.hnsw = HnswParams { full_scan_threshold: 300, ..HnswParams::default() };
    config.vectors.get_mut("").unwrap().on_disk = Some(false);
    let (_store, collection) = create(dir.path(), &config);
    let point = |i: u64| Point {
        id: PointId::Num(i),
        vectors: [(String::new(), vector(i))].into(),
        payload: Payload::new(),
    };
    collection.upsert((0..6_000).map(point).collect()).unwrap();
    let index = collection.index("").unwrap();
    while index.state().building {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(index.state().vectors_in_memory, 6_000);
}
