//! Deleted and replaced points: they cost no recall, and what they took is given back.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::kept::{recall, settle, vector};
use super::*;

const POINTS: u64 = 6000;

fn waited_for(what: &str, is_there: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_there() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// No more than the points that are alive need: in memory, in the graph and in the log.
fn assert_nothing_is_left_of_the_dead(collection: &Collection, live: usize, bytes_per_point: u64) {
    settle(collection);
    let info = collection.info();
    assert_eq!((info.points, info.vectors), (live, live));
    assert!(info.indexed_vectors <= live && info.indexed_vectors * 4 > live, "{info:?}");
    let state = collection.memory.state.read();
    assert_eq!(state.slots.len(), live);
    assert_eq!(state.ids.len(), live);
    assert_eq!(state.live.len(), live as u64);
    assert!(state.with_vector.values().all(|slots| slots.len() == live as u64));
    assert!(state.samples.values().all(|sample| sample.held() <= live.min(4 * sample::SAMPLE)));
    assert!(state.payload_indexes.values().all(|index| index.filled().len() == live as u64));
    drop(state);
    let most = 2 * live as u64 * bytes_per_point + (1 << 20);
    waited_for("the log still holds what nobody needs", || collection.info().disk_bytes <= most);
}

#[test]
fn a_random_half_deleted_and_each_point_updated_three_times_cost_no_recall_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { compact_from_bytes: 1 << 20, ..options() };
    let mut config = CollectionConfig::single(8, Distance::Euclid);
    config.hnsw.full_scan_threshold = 10;
    let store = Store::open(dir.path(), options.clone()).unwrap();
    let collection = Collection::open(store.create(&name(), &config).unwrap()).unwrap();
    collection.create_payload_index(path("n"), PayloadFieldType::Integer).unwrap();
    collection.create_payload_index(path("words"), PayloadFieldType::Text).unwrap();
    let filler = "x".repeat(400);
    let write = |round: u64| {
        for first in (0..POINTS).step_by(500) {
            let made = |id| {
                let payload =
                    json!({"n": id + round, "words": format!("w{} w{round}", id % 50), "filler": filler});
                point(id, &vector(id + round * POINTS), payload)
            };
            collection.upsert((first..first + 500).map(made).collect()).unwrap();
        }
    };
    write(0);
    settle(&collection);
    let bytes_per_point = collection.info().disk_bytes / POINTS;
    (1..4).for_each(write);
    assert_nothing_is_left_of_the_dead(&collection, POINTS as usize, bytes_per_point);
    let found = recall(&collection);
    assert!(found >= 0.98, "{found} after three updates");

    let mut ids: Vec<u64> = (0..POINTS).collect();
    ids.shuffle(&mut SmallRng::seed_from_u64(1));
    let (gone, stay) = ids.split_at(POINTS as usize / 2);
    for some in gone.chunks(100) {
        collection.delete(some.iter().copied().map(PointId::Num).collect()).unwrap();
    }
    assert_nothing_is_left_of_the_dead(&collection, stay.len(), bytes_per_point);
    let found = recall(&collection);
    assert!(found >= 0.98, "{found} after half was deleted");
    let kept = must(field("n", FieldCondition::Range(Range { gte: Some(0.0), ..Range::default() })));
    assert_eq!(collection.count(Some(&kept)).unwrap(), stay.len());
    let one = SmallRng::seed_from_u64(2).random_range(0..stay.len());
    let itself = Query::new(vector(stay[one] + 3 * POINTS), String::new(), 1);
    assert_eq!(ids_of(&collection, &itself), [stay[one]]);
    drop(store);
}

fn ids_of(collection: &Collection, query: &Query) -> Vec<u64> {
    ids(&collection.search(query).unwrap())
}
