//! The index against a brute-force model: recall, deletes, updates, filters, many threads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::json;

use super::arena::Rows;
use super::*;
use crate::types::QuantizationConfig;

/// A copy of everything an index should hold.
struct Model {
    distance: Distance,
    vectors: BTreeMap<u32, Vec<f32>>,
}

impl Model {
    fn nearest(&self, query: &[f32], limit: usize, allow: Option<&RoaringBitmap>) -> Vec<Hit> {
        let unit = |v: &[f32]| {
            let mut v = v.to_vec();
            if self.distance == Distance::Cosine {
                distance::normalise(&mut v);
            }
            v
        };
        let (query, kernel) = (unit(query), distance::kernel(self.distance));
        let mut hits: Vec<Hit> = self
            .vectors
            .iter()
            .filter(|(slot, _)| allow.is_none_or(|allow| allow.contains(**slot)))
            .map(|(&slot, vector)| Hit { slot, score: kernel(&query, &unit(vector)) + 0.0 })
            .collect();
        hits.sort_by(|a, b| {
            let rank = |hit: &Hit| self.distance.rank(hit.score) + 0.0;
            rank(a).total_cmp(&rank(b)).then(a.slot.cmp(&b.slot))
        });
        hits.truncate(limit);
        hits
    }
}

fn config(size: usize, distance: Distance) -> VectorParams {
    VectorParams::new(size, distance)
}

fn low_threshold(full_scan_threshold: usize) -> HnswParams {
    HnswParams { full_scan_threshold, ..HnswParams::default() }
}

/// Vectors around so many centres.
struct Clusters {
    rng: SmallRng,
    centres: Vec<Vec<f32>>,
}

impl Clusters {
    fn new(seed: u64, count: usize, size: usize) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let centres = (0..count).map(|_| (0..size).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        Self { rng, centres }
    }

    fn draw(&mut self) -> Vec<f32> {
        let centre = &self.centres[self.rng.random_range(0..self.centres.len())];
        centre.iter().map(|x| x + self.rng.random_range(-0.5f32..0.5)).collect()
    }
}

fn wait_for_build(index: &Index) {
    let started = Instant::now();
    while index.state().building {
        assert!(started.elapsed() < Duration::from_secs(300), "the build does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn recall(index: &Index, model: &Model, queries: &[Vec<f32>], allow: Option<&RoaringBitmap>) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let exact = model.nearest(query, 10, allow);
        let got = index.search(query, &Search { allow, ..Search::new(10) }).unwrap();
        assert_eq!(got.len(), exact.len(), "a full page where there are so many");
        wanted += exact.len();
        found += exact.iter().filter(|hit| got.iter().any(|g| g.slot == hit.slot)).count();
    }
    found as f64 / wanted as f64
}

#[test]
fn a_graph_over_5000_clustered_vectors_finds_98_of_100_with_updates_deletes_and_filters() {
    let mut clusters = Clusters::new(7, 100, 64);
    let index = Index::new(&config(64, Distance::Cosine), low_threshold(200));
    let mut model = Model { distance: Distance::Cosine, vectors: BTreeMap::new() };
    for slot in 0..5000 {
        let vector = clusters.draw();
        index.insert(slot, &vector).unwrap();
        model.vectors.insert(slot, vector);
    }
    wait_for_build(&index);
    let queries: Vec<_> = (0..100).map(|_| clusters.draw()).collect();
    assert!(index.state().indexed_vectors > 3500, "{:?}", index.state());
    let plain = recall(&index, &model, &queries, None);
    assert!(plain >= 0.98, "recall {plain}");

    for slot in (0..5000).step_by(10) {
        let (new, vector) = (5000 + slot, clusters.draw());
        index.replace(slot, new, &vector).unwrap();
        assert!(!index.remove(slot), "it was removed by the update");
        model.vectors.remove(&slot);
        model.vectors.insert(new, vector);
    }
    let updated = recall(&index, &model, &queries, None);
    assert!(updated >= 0.98, "recall after updates {updated}");

    for keep in [2, 10, 100, 1000] {
        let allow: RoaringBitmap = (0..10_000u32).filter(|slot| slot % keep == 1).collect();
        let filtered = recall(&index, &model, &queries, Some(&allow));
        assert!(filtered >= 0.98, "recall with one in {keep} allowed {filtered}");
        for query in &queries {
            let hits = index.search(query, &Search { allow: Some(&allow), ..Search::new(10) }).unwrap();
            assert!(hits.iter().all(|hit| allow.contains(hit.slot)));
        }
    }
}

/// More rows are allowed than are compared by bytes alone, and vectors long enough to have bits.
#[test]
fn a_scan_that_sifts_what_a_filter_allows_by_bits_finds_99_of_100_and_nothing_deleted() {
    for distance in [Distance::Cosine, Distance::Euclid] {
        let mut clusters = Clusters::new(13, 400, 320);
        let index = Index::new(&config(320, distance), low_threshold(6_000));
        let mut model = Model { distance, vectors: BTreeMap::new() };
        for slot in 0..11_000 {
            let vector = clusters.draw();
            index.insert(slot, &vector).unwrap();
            model.vectors.insert(slot, vector);
        }
        wait_for_build(&index);
        for slot in (0..11_000).step_by(7) {
            assert!(index.remove(slot));
            model.vectors.remove(&slot);
        }
        let allow: RoaringBitmap = (0..11_000u32).filter(|slot| slot % 2 == 1).collect();
        let queries: Vec<_> = (0..60).map(|_| clusters.draw()).collect();
        let sifted = recall(&index, &model, &queries, Some(&allow));
        assert!(sifted >= 0.99, "{distance:?}: recall {sifted}");
        for query in &queries {
            let hits = index.search(query, &Search { allow: Some(&allow), ..Search::new(10) }).unwrap();
            assert!(hits.iter().all(|hit| allow.contains(hit.slot) && hit.slot % 7 != 0));
        }
    }
}

#[test]
fn every_distance_reaches_98_of_100_also_where_norms_differ() {
    for distance in [Distance::Dot, Distance::Euclid, Distance::Manhattan] {
        let mut clusters = Clusters::new(11, 50, 32);
        let index = Index::new(&config(32, distance), low_threshold(100));
        let mut model = Model { distance, vectors: BTreeMap::new() };
        for slot in 0..3000 {
            let scale = 0.5 + (slot % 7) as f32 / 3.0;
            let vector: Vec<f32> = clusters.draw().iter().map(|x| x * scale).collect();
            index.insert(slot, &vector).unwrap();
            model.vectors.insert(slot, vector);
        }
        wait_for_build(&index);
        assert!(index.state().indexed_vectors > 0, "{distance:?}");
        let queries: Vec<_> = (0..100).map(|_| clusters.draw()).collect();
        let recall = recall(&index, &model, &queries, None);
        assert!(recall >= 0.98, "{distance:?} recall {recall}");
    }
}

#[test]
fn many_equal_vectors_hide_no_other() {
    let index = Index::new(&config(16, Distance::Euclid), low_threshold(100));
    let mut model = Model { distance: Distance::Euclid, vectors: BTreeMap::new() };
    let mut clusters = Clusters::new(3, 5, 16);
    for slot in 0..9000 {
        let vector = if slot % 100 == 0 { clusters.draw() } else { vec![(slot % 2) as f32; 16] };
        index.insert(slot, &vector).unwrap();
        model.vectors.insert(slot, vector);
    }
    wait_for_build(&index);
    assert!(index.state().indexed_vectors > 4000, "{:?}", index.state());
    let queries: Vec<_> = (0..50).map(|_| clusters.draw()).collect();
    let recall = recall(&index, &model, &queries, None);
    assert!(recall >= 0.98, "recall {recall}");
}

#[test]
fn compaction_keeps_what_is_alive_and_brings_nothing_back() {
    let mut clusters = Clusters::new(5, 20, 16);
    let index = Index::new(&config(16, Distance::Dot), low_threshold(500));
    let mut model = Model { distance: Distance::Dot, vectors: BTreeMap::new() };
    for slot in 0..20_000 {
        let vector = clusters.draw();
        index.insert(slot, &vector).unwrap();
        model.vectors.insert(slot, vector);
    }
    wait_for_build(&index);
    for slot in (0..20_000).filter(|slot| slot % 4 != 0) {
        assert!(index.remove(slot));
        model.vectors.remove(&slot);
    }
    wait_for_build(&index);
    let rows: usize = index.shared.state.read().sealed.chunks().iter().map(|chunk| chunk.len()).sum();
    assert!(rows < 12_000, "{rows} rows are still there");
    assert_eq!(index.state().vectors, 5000);
    let queries: Vec<_> = (0..50).map(|_| clusters.draw()).collect();
    let recall = recall(&index, &model, &queries, None);
    assert!(recall >= 0.98, "recall {recall}");
    for slot in 0..20_000 {
        assert_eq!(index.vector(slot), model.vectors.get(&slot).cloned(), "slot {slot}");
    }
}

#[test]
fn threads_that_insert_delete_and_search_during_a_build_see_what_they_should() {
    let index = Index::new(&config(16, Distance::Cosine), low_threshold(100));
    let slots_done = std::sync::atomic::AtomicU32::new(0);
    let removed = std::sync::Mutex::new(std::collections::HashSet::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut clusters = Clusters::new(1, 30, 16);
            for slot in 0..25_000 {
                index.insert(slot, &clusters.draw()).unwrap();
                slots_done.store(slot + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            let mut rng = SmallRng::seed_from_u64(2);
            while slots_done.load(Ordering::Acquire) < 25_000 {
                let there = slots_done.load(Ordering::Acquire);
                if removed.lock().unwrap().len() > there as usize / 2 {
                    std::thread::yield_now();
                    continue;
                }
                let slot = rng.random_range(0..there.max(1));
                if index.remove(slot) {
                    removed.lock().unwrap().insert(slot);
                }
            }
        });
        for seed in 3..5 {
            let (index, slots_done, removed) = (&index, &slots_done, &removed);
            scope.spawn(move || {
                let mut clusters = Clusters::new(seed, 30, 16);
                let mut rounds = 0;
                while rounds < 50 || slots_done.load(Ordering::Acquire) < 25_000 {
                    rounds += 1;
                    let gone = removed.lock().unwrap().clone();
                    let there = slots_done.load(Ordering::Acquire) as usize;
                    let hits = index.search(&clusters.draw(), &Search::new(10)).unwrap();
                    assert!(hits.iter().all(|hit| !gone.contains(&hit.slot)), "a removed vector came back");
                    assert!(hits.windows(2).all(|w| w[0].score >= w[1].score), "{hits:?}");
                    assert!(there < 500 || hits.len() == 10, "half of {there} are left");
                }
            });
        }
    });
    wait_for_build(&index);
    let gone = removed.lock().unwrap();
    assert_eq!(index.state().vectors, 25_000 - gone.len());
    let mut clusters = Clusters::new(1, 30, 16);
    for slot in 0..25_000u32 {
        let vector = clusters.draw();
        if !gone.contains(&slot) && slot % 97 == 0 {
            let hits = index.search(&vector, &Search::new(1)).unwrap();
            assert_eq!(hits[0].slot, slot, "an inserted vector finds itself");
        }
    }
}

#[test]
fn a_search_that_began_before_an_update_still_finds_the_old_vector() {
    let index = Index::new(&config(64, Distance::Euclid), HnswParams::default());
    for slot in 0..3000 {
        index.insert(slot, &[slot as f32; 64]).unwrap();
    }
    let query = [7.0; 64];
    let begun = || {
        let state = index.shared.state.read();
        let (kernel, distance) = (index.shared.kernel, index.shared.distance);
        (Probe { vector: &query, kernel, distance, moment: state.moment }, state.sealed.clone())
    };
    let best = |(probe, rows): &(Probe<'_>, Rows)| {
        scan_chunks(*probe, rows.chunks(), None, 1, 3000).into_sorted()[0].number
    };
    let before = begun();
    index.replace(7, 3000, &query).unwrap();
    let between = begun();
    index.remove(6);
    assert_eq!(best(&before), 7, "as it was when it began");
    assert_eq!(best(&between), 6, "the update is seen, the later removal is not");
    let hits = index.search(&query, &Search::new(2)).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.slot).collect::<Vec<_>>(), [3000, 8]);
}

#[test]
fn an_index_that_is_dropped_ends_its_build() {
    let index = Index::new(&config(8, Distance::Euclid), low_threshold(10));
    let mut clusters = Clusters::new(1, 10, 8);
    for slot in 0..9000 {
        index.insert(slot, &clusters.draw()).unwrap();
    }
    let shared = Arc::downgrade(&index.shared);
    drop(index);
    let started = Instant::now();
    while shared.strong_count() > 0 {
        assert!(started.elapsed() < Duration::from_secs(300), "the build goes on for nobody");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_cannot_be_compared_or_is_out_of_bounds_is_refused_by_name() {
    let index = Index::new(&config(2, Distance::Cosine), HnswParams::default());
    assert!(index.insert(0, &[1.0]).is_err());
    assert!(index.insert(0, &[0.0, 0.0]).is_err());
    assert!(index.insert(0, &[f32::NAN, 0.0]).is_err());
    index.insert(5, &[3.0, 4.0]).unwrap();
    assert!(index.insert(5, &[1.0, 0.0]).is_err(), "slots increase");
    assert_eq!(index.vector(5), Some(vec![0.6, 0.8]));
    let search = |search: Search<'_>| index.search(&[1.0, 0.0], &search);
    let error = search(Search { ef: Some(10_001), ..Search::new(1) }).unwrap_err();
    assert!(error.to_string().contains("hnsw_ef is 10001"), "{error}");
    let error = search(Search::new(MAX_LIMIT + 1)).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
    assert!(search(Search::new(0)).unwrap().is_empty());
    assert_eq!(search(Search::new(10)).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn exact_search_is_the_brute_force_answer_after_any_inserts_and_removes(
        steps in prop::collection::vec((0u32..60, prop::array::uniform2(-3i8..3)), 1..200),
        distance in prop::sample::select(vec![Distance::Dot, Distance::Euclid, Distance::Manhattan]),
        limit in 0usize..20,
        every in 1u32..4,
    ) {
        // Long vectors make small chunks, so that rows are sealed and compacted here too.
        let size = 16_384;
        let widen = |v: [i8; 2]| { let mut w = vec![0.0; size]; w[0] = f32::from(v[0]); w[1] = f32::from(v[1]); w };
        let index = Index::new(&config(size, distance), HnswParams::default());
        let mut model = Model { distance, vectors: BTreeMap::new() };
        for (next, (choice, vector)) in (0u32..).zip(steps) {
            if choice % 2 == 0 {
                let slot = 3 * next;
                index.insert(slot, &widen(vector)).unwrap();
                model.vectors.insert(slot, widen(vector));
            } else {
                let slot = 3 * (choice % (next + 1));
                prop_assert_eq!(index.remove(slot), model.vectors.remove(&slot).is_some());
            }
        }
        wait_for_build(&index);
        let allow: RoaringBitmap = (0..600).filter(|slot| slot % every == 0).collect();
        for allow in [None, Some(&allow)] {
            let query = widen([1, -2]);
            let hits = index.search(&query, &Search { allow, ..Search::new(limit) }).unwrap();
            prop_assert_eq!(hits, model.nearest(&query, limit, allow));
        }
        prop_assert_eq!(index.state().vectors, model.vectors.len());
    }
}

/// Vectors around 60 centres, in an index with a graph.
fn clustered(count: u32, size: usize) -> (Index, Vec<Vec<f32>>) {
    let mut rng = SmallRng::seed_from_u64(11);
    let mut draw = |spread: f32| (0..size).map(|_| rng.random_range(-spread..spread)).collect::<Vec<f32>>();
    let centres: Vec<Vec<f32>> = (0..60).map(|_| draw(2.0)).collect();
    let near = |i: u32| {
        let noise = draw(1.0);
        centres[i as usize % 60].iter().zip(noise).map(|(centre, noise)| centre + noise).collect()
    };
    let vectors: Vec<Vec<f32>> = (0..count).map(near).collect();
    let index = Index::new(&config(size, Distance::Euclid), low_threshold(100));
    for (slot, vector) in (0..).zip(&vectors) {
        index.insert(slot, vector).unwrap();
    }
    wait_for_build(&index);
    assert!(index.state().indexed_vectors > 4_000);
    (index, vectors)
}

#[test]
fn every_way_of_rescoring_answers_exact_scores_and_finds_nearly_all() {
    let (index, vectors) = clustered(6_000, 96);
    for rescore in [Rescore::InDoubt, Rescore::Times(1.0), Rescore::Times(3.0), Rescore::All] {
        let mut right = 0;
        for query in vectors.iter().step_by(200) {
            let exact = index.search(query, &Search { mode: Mode::Exact, ..Search::new(10) }).unwrap();
            let hits = index.search(query, &Search { rescore, ..Search::new(10) }).unwrap();
            right += hits.iter().filter(|hit| exact.contains(hit)).count();
        }
        assert!(right >= 285, "{rescore:?}: {right} of 300");
    }
}

#[test]
fn a_filter_that_keeps_what_is_far_from_the_query_is_answered_in_full() {
    let (index, vectors) = clustered(6_000, 96);
    for keep in [0.5, 0.2, 0.05] {
        for query in vectors.iter().step_by(600) {
            let mut order: Vec<u32> = (0..vectors.len() as u32).collect();
            let kernel = distance::kernel(Distance::Euclid);
            order.sort_by(|a, b| {
                kernel(query, &vectors[*b as usize]).total_cmp(&kernel(query, &vectors[*a as usize]))
            });
            let farthest: RoaringBitmap = order[..(keep * 6_000.0) as usize].iter().copied().collect();
            let exact = Search { mode: Mode::Exact, allow: Some(&farthest), ..Search::new(10) };
            let exact = index.search(query, &exact).unwrap();
            let hits = index.search(query, &Search { allow: Some(&farthest), ..Search::new(10) }).unwrap();
            assert_eq!(hits, exact, "{keep}");
        }
    }
}

#[test]
fn a_filter_that_leaves_out_the_querys_side_finds_as_much_as_another() {
    // Wide clusters, so that the nearest of what is kept lie in many of them.
    let (mut clusters, mut rng) = (Clusters::new(11, 600, 96), SmallRng::seed_from_u64(12));
    let mut draw =
        || clusters.draw().into_iter().map(|x| x + rng.random_range(-0.8_f32..0.8)).collect::<Vec<f32>>();
    let vectors: Vec<Vec<f32>> = (0..20_000).map(|_| draw()).collect();
    let index = Index::new(&config(96, Distance::Euclid), low_threshold(100));
    (0..).zip(&vectors).for_each(|(slot, vector)| index.insert(slot, vector).unwrap());
    wait_for_build(&index);
    let mut order: Vec<u32> = (0..20_000).collect();
    order.sort_by(|a, b| vectors[*a as usize][0].total_cmp(&vectors[*b as usize][0]));
    for keep in [10_000, 6_000] {
        let allow: RoaringBitmap = order[..keep].iter().copied().collect();
        let (mut right, mut wanted) = (0, 0);
        for query in order[18_000..].iter().step_by(20).map(|slot| &vectors[*slot as usize]) {
            let ask = |mode| {
                let search = Search { mode, ef: Some(64), allow: Some(&allow), ..Search::new(10) };
                index.search(query, &search).unwrap()
            };
            let (hits, exact) = (ask(Mode::Auto), ask(Mode::Exact));
            right += hits.iter().filter(|hit| exact.contains(hit)).count();
            wanted += exact.len();
        }
        assert!(right * 100 >= wanted * 99, "{right} of {wanted}, {keep} kept");
    }
}

#[test]
fn a_filter_that_thins_out_clusters_finds_as_much_whether_they_still_hold_the_hits_or_not() {
    // Of 400 in a cluster a tenth is more than is wanted; of 20 it is not, and the others are strangers.
    let mut rng = SmallRng::seed_from_u64(13);
    let mut vectors: Vec<Vec<f32>> = Vec::new();
    for size in std::iter::repeat_n(400, 25).chain(std::iter::repeat_n(20, 500)) {
        let centre: Vec<f32> = (0..64).map(|_| rng.random_range(-1.0_f32..1.0)).collect();
        vectors.extend(
            (0..size)
                .map(|_| centre.iter().map(|x| x + rng.random_range(-0.5_f32..0.5)).collect::<Vec<f32>>()),
        );
    }
    let index = Index::new(&config(64, Distance::Cosine), low_threshold(100));
    (0..).zip(&vectors).for_each(|(slot, vector)| index.insert(slot, vector).unwrap());
    wait_for_build(&index);
    for every in [2, 5, 10] {
        let allow: RoaringBitmap = (0..20_000).step_by(every).collect();
        for (what, of) in [("large", 0..10_000), ("small", 10_000..20_000)] {
            let (mut right, mut wanted) = (0, 0);
            for query in of.step_by(97).map(|slot: usize| &vectors[slot]) {
                let ask = |mode| {
                    let search = Search { mode, ef: Some(16), allow: Some(&allow), ..Search::new(10) };
                    index.search(query, &search).unwrap()
                };
                let (hits, exact) = (ask(Mode::Auto), ask(Mode::Exact));
                right += hits.iter().filter(|hit| exact.contains(hit)).count();
                wanted += exact.len();
            }
            assert!(right * 100 >= wanted * 99, "{right} of {wanted}, one of {every} kept, {what} clusters");
        }
    }
}

#[test]
fn other_parameters_build_the_graph_anew_and_the_old_one_answers_until_then() {
    let (index, vectors) = clustered(6_000, 96);
    let tuned = |m: usize, quantization: serde_json::Value| VectorParams {
        hnsw: Some(HnswParams { m, ..low_threshold(100) }),
        quantization: QuantizationConfig::parse(&quantization).unwrap(),
        ..config(96, Distance::Euclid)
    };
    let retune = |params: &VectorParams| index.retune(params, HnswParams::default());
    let width = || index.keep().unwrap().width;
    let by_bits = || index.shared.state.read().graph.as_ref().unwrap().bytes().unwrap().is_bits_alone();
    let finds = || {
        let query = &vectors[index.state().vectors / 7];
        let exact = index.search(query, &Search { mode: Mode::Exact, ..Search::new(10) }).unwrap();
        let hits = index.search(query, &Search::new(10)).unwrap();
        hits.iter().filter(|hit| exact.contains(hit)).count()
    };
    assert_eq!((width(), by_bits()), (32, false));

    let mut same = tuned(16, json!(null));
    same.hnsw.as_mut().unwrap().max_indexing_threads = 1;
    retune(&same);
    assert!(!index.state().building, "the graph would be the same");

    retune(&tuned(8, json!(null)));
    assert!(index.state().building);
    while index.state().building {
        assert!(index.state().indexed_vectors > 4_000 && finds() >= 8);
    }
    assert_eq!((width(), by_bits()), (16, false));

    // What is said during a build counts when it is done.
    retune(&tuned(16, json!(null)));
    retune(&tuned(24, json!({"binary": {}})));
    wait_for_build(&index);
    assert_eq!((width(), by_bits()), (48, true));
    retune(&tuned(24, json!("Disabled")));
    wait_for_build(&index);
    assert_eq!((width(), by_bits(), finds()), (48, false, 10));

    // So few are searched one by one, whatever the graph.
    retune(&VectorParams { hnsw: Some(low_threshold(10_000)), ..config(96, Distance::Euclid) });
    assert!(!index.state().building);

    // One that is taken from disk as well: by its `m` and `ef_construct`, not by what is wanted now.
    let kept = index.keep().unwrap();
    assert_eq!((kept.m, kept.ef_construct), (24, HnswParams::default().ef_construct));
    let same = tuned(24, json!(null));
    for (m, ef_construct, is_same) in
        [(24, kept.ef_construct, true), (8, kept.ef_construct, false), (24, 50, false)]
    {
        let mut params = same.clone();
        params.hnsw = Some(HnswParams { m, ef_construct, ..low_threshold(100) });
        let other = Index::new(&params, HnswParams::default());
        other.hold_builds();
        (0..).zip(&vectors).for_each(|(slot, vector)| other.insert(slot, vector).unwrap());
        assert!(!other.adopt(KeptGraph { m: 64, ..kept.clone() }), "its width belongs to another `m`");
        assert!(other.adopt(kept.clone()));
        assert!(other.state().indexed_vectors > 4_000);
        other.resume_builds();
        assert_eq!(other.state().building, !is_same, "{m} {ef_construct}");
        wait_for_build(&other);
        let own = other.keep().unwrap();
        assert_eq!((own.m, own.ef_construct, own.width), (m, ef_construct, 2 * m));
    }
}
