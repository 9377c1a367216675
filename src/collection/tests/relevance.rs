//! The relevance of hits: the same for the same points, whatever came before, and none where it cannot be known.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::measure::Relation;

const SIZE: usize = 32;

fn vector(seed: u64) -> Vec<f32> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..SIZE).map(|_| random.random_range(-1.0f32..1.0)).collect()
}

fn near(seed: u64) -> Vec<f32> {
    vector(seed).into_iter().zip(vector(seed + 1_000_000)).map(|(a, b)| a + 0.1 * b).collect()
}

fn query(vector: Vec<f32>) -> Query {
    let relevance = Some(Relevance { min: None, relation: Relation::Across });
    Query { relevance, ..Query::new(vector, String::new(), 5) }
}

fn filled(dir: &Path, distance: Distance, ids: std::ops::Range<u64>) -> (Store, Collection) {
    let (store, collection) = create(dir, &CollectionConfig::single(SIZE, distance));
    collection.upsert(ids.map(|id| point(id, &vector(id), json!({}))).collect()).unwrap();
    (store, collection)
}

fn relevances(collection: &Collection, query: &Query) -> Vec<f32> {
    collection.search(query).unwrap().iter().map(|hit| hit.relevance.unwrap()).collect()
}

#[test]
fn what_is_like_the_query_is_relevant_and_what_chance_brings_is_not_under_every_distance() {
    for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid, Distance::Manhattan] {
        let dir = tempfile::tempdir().unwrap();
        let (_store, collection) = filled(dir.path(), distance, 0..3000);
        let known = relevances(&collection, &query(near(7)));
        assert!(known.is_sorted_by(|a, b| a >= b), "{known:?}");
        let least = if distance == Distance::Dot || distance == Distance::Cosine { 0.4 } else { 0.6 };
        assert!(known[0] > least && known[1] < 0.2, "{distance:?}: {known:?}");
        let unknown = relevances(&collection, &query(vector(999_999)));
        assert!(unknown[0] < 0.2, "{distance:?}: {unknown:?}");
    }
}

#[test]
fn it_is_the_same_after_a_restart_and_whatever_was_written_and_deleted_before() {
    let dir = tempfile::tempdir().unwrap();
    let (store, collection) = filled(dir.path(), Distance::Cosine, 0..4000);
    let asked = query(near(7));
    let before = relevances(&collection, &asked);
    // More points come, and the first ones are written again and deleted: nothing of them is left.
    collection.upsert((4000..9000).map(|id| point(id, &vector(0), json!({}))).collect()).unwrap();
    assert_ne!(before, relevances(&collection, &asked), "the background follows the collection");
    collection.delete((4000..9000).map(PointId::Num).collect()).unwrap();
    assert_eq!(before, relevances(&collection, &asked));
    let (store, collection) = reopen(dir.path(), store, collection);
    assert_eq!(before, relevances(&collection, &asked));
    // A point written again is compared as it is now.
    let shifted = |id: u64| point(id, &vector(7), json!({}));
    collection.upsert((100..4000).map(shifted).collect()).unwrap();
    let changed = relevances(&collection, &asked);
    assert!(changed[0] < before[0], "all are alike now: {changed:?} after {before:?}");
    drop((store, collection));
    // Another collection with the same points, written in another order.
    let dir = tempfile::tempdir().unwrap();
    let (_store, other) = create(dir.path(), &CollectionConfig::single(SIZE, Distance::Cosine));
    for id in (0..4000).rev() {
        if id % 500 == 0 {
            other.upsert((id..id + 500).rev().map(|id| point(id, &vector(id), json!({}))).collect()).unwrap();
        }
    }
    assert_eq!(before, relevances(&other, &asked));
}

#[test]
fn hits_below_the_wanted_relevance_are_left_out_also_behind_an_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = filled(dir.path(), Distance::Euclid, 0..2000);
    let all = relevances(&collection, &Query { limit: 50, ..query(near(7)) });
    let least = all[20];
    let asked = Query {
        relevance: Some(Relevance { min: Some(least), relation: Relation::Across }),
        limit: 50,
        ..query(near(7))
    };
    assert_eq!(relevances(&collection, &asked), all[..=20]);
    assert_eq!(relevances(&collection, &Query { offset: 15, ..asked.clone() }), all[15..=20]);
    assert!(relevances(&collection, &Query { offset: 21, ..asked }).is_empty());
}

#[test]
fn a_collection_that_is_too_small_or_all_alike_gives_no_relevance_and_refuses_to_filter_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = filled(dir.path(), Distance::Cosine, 0..63);
    let hits = collection.search(&query(near(7))).unwrap();
    assert!(hits.len() == 5 && hits.iter().all(|hit| hit.relevance.is_none()));
    let filtered =
        Query { relevance: Some(Relevance { min: Some(0.5), ..Relevance::default() }), ..query(near(7)) };
    let error = collection.search(&filtered).unwrap_err().to_string();
    assert!(error.contains("min_relevance needs at least 64 other points"), "{error}");
    collection.upsert(vec![point(63, &vector(63), json!({}))]).unwrap();
    assert!(collection.search(&query(near(7))).unwrap()[0].relevance.is_some());
    // The point itself is no part of its own background.
    let own = Query { exclude: vec![PointId::Num(7)], ..query(vector(7)) };
    assert!(collection.search(&own).unwrap()[0].relevance.is_none());
    collection.upsert((0..64).map(|id| point(id, &vector(1), json!({}))).collect()).unwrap();
    assert!(collection.search(&query(near(7))).unwrap()[0].relevance.is_none(), "all are alike");
}
