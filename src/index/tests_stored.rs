//! Vectors that are stored elsewhere, and graphs that are walked by bits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::json;

use super::*;
use crate::types::QuantizationConfig;

/// A storage made of memory, in which vectors can be moved and damaged.
#[derive(Default)]
struct Shelf {
    vectors: Mutex<BTreeMap<u32, Vec<u8>>>,
    damaged: Mutex<BTreeSet<u32>>,
    turn: AtomicU64,
}

struct OnShelf(Arc<Shelf>);

struct Found {
    shelf: Arc<Shelf>,
    slots: Vec<u32>,
    bytes: Vec<Vec<u8>>,
}

impl Originals for OnShelf {
    fn find(&self, slots: &[u32]) -> Option<Arc<dyn Stored>> {
        let vectors = self.0.vectors.lock();
        let bytes = slots.iter().map(|slot| vectors.get(slot).cloned().unwrap_or_default()).collect();
        Some(Arc::new(Found { shelf: self.0.clone(), slots: slots.to_vec(), bytes }))
    }

    fn turn(&self) -> u64 {
        self.0.turn.load(Ordering::Relaxed)
    }
}

impl Stored for Found {
    fn read(&self, i: usize, out: &mut [f32]) -> bool {
        let (numbers, _) = self.bytes[i].as_chunks::<4>();
        out.iter_mut().zip(numbers).for_each(|(out, bytes)| *out = f32::from_le_bytes(*bytes));
        !numbers.is_empty() && !self.shelf.damaged.lock().contains(&self.slots[i])
    }

    fn bytes(&self, i: usize) -> &[u8] {
        &self.bytes[i]
    }
}

fn vectors(count: usize, size: usize) -> Vec<Vec<f32>> {
    let mut rng = SmallRng::seed_from_u64(11);
    let centres: Vec<Vec<f32>> =
        (0..40).map(|_| (0..size).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
    let near = |_| {
        let centre = rng.random_range(0..centres.len());
        let mut vector: Vec<f32> =
            centres[centre].iter().map(|x| x + rng.random_range(-0.5..0.5f32)).collect();
        distance::normalise(&mut vector);
        vector
    };
    (0..count).map(near).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn filled(params: &VectorParams, rows: &[Vec<f32>], shelf: Option<&Arc<Shelf>>) -> Index {
    let index = Index::new(params, HnswParams { full_scan_threshold: 500, ..HnswParams::default() });
    if let Some(shelf) = shelf {
        index.store_originals(Box::new(OnShelf(shelf.clone())));
    }
    // The same graph in every index.
    index.hold_builds();
    for (slot, vector) in (0..).zip(rows) {
        if let Some(shelf) = shelf {
            let bytes = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            shelf.vectors.lock().insert(slot, bytes);
        }
        index.insert(slot, vector).unwrap();
    }
    index.resume_builds();
    until("a graph", || !index.state().building);
    index
}

#[test]
fn vectors_that_are_stored_elsewhere_answer_as_those_in_memory_and_are_found_again_when_moved() {
    let rows = vectors(6_000, 64);
    let params = VectorParams::new(64, Distance::Cosine);
    let shelf = Arc::new(Shelf::default());
    let (held, stored) = (filled(&params, &rows, None), filled(&params, &rows, Some(&shelf)));
    assert_eq!(held.state().vectors_in_memory, 6_000);
    until("vectors that are given up", || {
        let state = stored.state();
        state.vectors_in_memory == state.vectors - state.indexed_vectors
    });
    let gave_up = stored.state().indexed_vectors;
    assert!(gave_up >= 4_000, "{gave_up}");
    let same = |stored: &Index, held: &Index, modes: &[Mode]| {
        for query in rows.iter().step_by(97) {
            for &mode in modes {
                for rescore in [Rescore::InDoubt, Rescore::All] {
                    let search = Search { mode, rescore, ef: Some(600), ..Search::new(10) };
                    assert_eq!(stored.search(query, &search).unwrap(), held.search(query, &search).unwrap());
                }
            }
        }
    };
    same(&stored, &held, &[Mode::Exact, Mode::Auto]);
    assert_eq!(stored.vector(17).unwrap(), rows[17]);

    shelf.turn.fetch_add(1, Ordering::Relaxed);
    stored.find_again();
    let found_again = |index: &Index| {
        let state = index.shared.state.read();
        !state.shedding
            && state.sealed.chunks().iter().all(|chunk| chunk.stored_at().is_none_or(|at| at == 1))
    };
    until("moved vectors that are found again", || found_again(&stored));
    same(&stored, &held, &[Mode::Exact, Mode::Auto]);

    // A compaction of the rows brings none of them back into memory.
    for slot in (0..6_000).filter(|slot| slot % 2 == 0) {
        stored.remove(slot);
        held.remove(slot);
        shelf.vectors.lock().remove(&slot);
    }
    until("compacted rows", || [&stored, &held].iter().all(|index| !index.state().building));
    until("vectors that are given up", || {
        stored.state().vectors_in_memory <= stored.state().vectors - stored.state().indexed_vectors
    });
    same(&stored, &held, &[Mode::Exact]);
}

#[test]
fn a_vector_that_storage_cannot_give_back_is_left_out_and_no_other() {
    let rows = vectors(6_000, 64);
    let shelf = Arc::new(Shelf::default());
    let index = filled(&VectorParams::new(64, Distance::Cosine), &rows, Some(&shelf));
    until("vectors that are given up", || {
        index.state().vectors_in_memory == index.state().vectors - index.state().indexed_vectors
    });
    for mode in [Mode::Auto, Mode::Exact] {
        let search = Search { mode, ..Search::new(5) };
        let whole = index.search(&rows[3], &search).unwrap();
        assert_eq!(whole[0].slot, 3);
        shelf.damaged.lock().insert(3);
        let rest = index.search(&rows[3], &search).unwrap();
        assert_eq!(rest[..4], whole[1..]);
        assert_eq!(index.vector(3), None);
        shelf.damaged.lock().clear();
    }
}

#[test]
fn more_than_may_be_held_is_given_up_before_there_is_a_graph() {
    let rows = vectors(200, 4_096);
    let shelf = Arc::new(Shelf::default());
    let index = Index::new(&VectorParams::new(4_096, Distance::Cosine), HnswParams::default());
    for slot in 0..20_000u32 {
        index.insert(slot, &rows[slot as usize % 200]).unwrap();
        if slot % 1_000 == 0 {
            index.shed_by(&OnShelf(shelf.clone()));
        }
    }
    let held = index.state().vectors_in_memory * 4_096 * 4;
    assert!(held < 300 << 20, "{held} bytes are held");
}

#[test]
fn a_walk_by_bits_finds_as_much_as_one_by_bytes_with_an_eighth_of_the_memory() {
    let rows = vectors(8_000, 192);
    let binary = QuantizationConfig::parse(&json!({"binary": {}})).unwrap();
    for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
        let params = VectorParams { quantization: binary.clone(), ..VectorParams::new(192, distance) };
        let index = filled(&params, &rows, None);
        let (mut right, mut wanted) = (0, 0);
        for query in rows.iter().step_by(61) {
            let mut query = query.clone();
            query[7] += 0.1;
            let found = index.search(&query, &Search::new(10)).unwrap();
            let exact = index.search(&query, &Search { mode: Mode::Exact, ..Search::new(10) }).unwrap();
            right += found.iter().filter(|hit| exact.contains(hit)).count();
            wanted += exact.len();
        }
        assert!(right * 100 >= wanted * 95, "{distance:?}: {right} of {wanted}");
        let graph = index.shared.state.read().graph.clone().unwrap();
        assert!(graph.bytes().unwrap().is_bits_alone(), "{distance:?}");
    }
}
