//! One behaviour a test; `model` compares whole histories with a plain map.

mod dead;
mod duplicates;
mod kept;
mod model;
mod open_filters;
mod relevance;
mod stored;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::index::Mode;
use crate::storage::{Store, StoreOptions};
use crate::types::{
    Condition, Distance, FieldCondition, Filter, HnswParams, Match, MatchValue, NamedVectors, Payload,
    PayloadFieldType, Point, Range, ScoredPoint,
};

fn options() -> StoreOptions {
    StoreOptions {
        view_cache_bytes: 4 * 1024 * 1024,
        min_free_disk_bytes: 0,
        segment_bytes: 1024 * 1024,
        ..StoreOptions::default()
    }
}

fn params(size: usize, distance: Distance) -> VectorParams {
    VectorParams::new(size, distance)
}

fn config() -> CollectionConfig {
    let mut config = CollectionConfig::single(2, Distance::Euclid);
    config.vectors.insert("side".into(), params(3, Distance::Cosine));
    config
}

fn name() -> CollectionName {
    CollectionName::parse("things").unwrap()
}

fn create(dir: &Path, config: &CollectionConfig) -> (Store, Collection) {
    let store = Store::open(dir, options()).unwrap();
    let volume = store.create(&name(), config).unwrap();
    let collection = Collection::open(volume).unwrap();
    (store, collection)
}

fn reopen(dir: &Path, store: Store, collection: Collection) -> (Store, Collection) {
    drop(collection);
    store.close().unwrap();
    drop(store);
    // A thread that has just built a graph may still be keeping it.
    let began = std::time::Instant::now();
    let store = loop {
        match Store::open(dir, options()) {
            Err(Error::Unavailable(_)) if began.elapsed().as_secs() < 30 => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => break opened.unwrap(),
        }
    };
    let volume = store.volumes().pop().unwrap();
    (store, Collection::open(volume).unwrap())
}

fn object(value: Value) -> Payload {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn point(id: u64, vector: &[f32], payload: Value) -> Point {
    let vectors = NamedVectors::from([(String::new(), vector.to_vec())]);
    Point { id: PointId::Num(id), vectors, payload: object(payload) }
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

fn field(key: &str, condition: FieldCondition) -> Condition {
    Condition::Field { key: path(key), condition }
}

fn keyword(key: &str, value: &str) -> Condition {
    field(key, FieldCondition::Match(Match::Value(MatchValue::Keyword(value.into()))))
}

fn must(condition: Condition) -> Filter {
    Filter { must: vec![condition], ..Filter::default() }
}

fn ids(points: &[ScoredPoint]) -> Vec<u64> {
    points
        .iter()
        .map(|point| match point.id {
            PointId::Num(number) => number,
            PointId::Uuid(uuid) => panic!("{uuid}"),
        })
        .collect()
}

const EVERYTHING: Fields = Fields { payload: PayloadSelector::All, vectors: VectorSelector::All };

#[test]
fn a_wrong_point_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    let good = || point(1, &[1.0, 2.0], json!({}));
    let mut named = good();
    named.vectors.insert("side".into(), vec![0.0; 3]);
    for (wrong, expected) in [
        (point(2, &[1.0], json!({})), "points[1]: vector: Vector dimension error: expected dim: 2, got 1"),
        (named, "points[1]: vector `side`: a zero vector"),
        (
            Point { vectors: NamedVectors::from([("x".into(), vec![1.0])]), ..good() },
            "points[1]: Not existing vector name error: x",
        ),
    ] {
        let error = collection.upsert(vec![good(), wrong]).unwrap_err();
        assert_eq!(error.code(), 400);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(collection.count(None).unwrap(), 0);
}

#[test]
fn bounds_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    let query = || Query::new(vec![0.0, 0.0], String::new(), 1);
    let mmr = |diversity, candidates| Some(Mmr { diversity, candidates });
    for (query, expected) in [
        (Query { limit: 0, ..query() }, "limit is 0"),
        (Query { limit: 10_001, ..query() }, "limit is 10001"),
        (Query { offset: 10_001, ..query() }, "offset is 10001"),
        (Query { ef: Some(10_001), ..query() }, "hnsw_ef is 10001"),
        (Query { mmr: mmr(1.5, 10), ..query() }, "mmr.diversity is 1.5"),
        (Query { mmr: mmr(0.5, 5_000), ..query() }, "mmr.candidates_limit is 5000"),
        (Query { using: "x".into(), ..query() }, "Not existing vector name error: x"),
        (Query { vector: vec![1.0], ..query() }, "expected dim: 2, got 1"),
    ] {
        let error = collection.search(&query).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let largest = Query { limit: 10_000, offset: 10_000, ef: Some(10_000), ..query() };
    assert!(collection.search(&largest).unwrap().is_empty());
    let scroll = Scroll { filter: None, offset: None, limit: 0, fields: Fields::NONE };
    assert!(collection.scroll(&scroll).unwrap_err().to_string().contains("limit is 0"));
}

#[test]
fn offset_threshold_and_exclusion_cut_the_same_list() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    let points = (0..10).map(|i| point(i, &[i as f32, 0.0], json!({"i": i}))).collect();
    let version = collection.upsert(points).unwrap();
    let query = |limit| Query::new(vec![0.0, 0.0], String::new(), limit);
    assert_eq!(ids(&collection.search(&query(3)).unwrap()), [0, 1, 2]);
    assert_eq!(ids(&collection.search(&Query { offset: 2, ..query(3) }).unwrap()), [2, 3, 4]);
    let near = Query { score_threshold: Some(1.5), ..query(9) };
    assert_eq!(ids(&collection.search(&near).unwrap()), [0, 1]);
    let exclude = vec![PointId::Num(0), PointId::Num(2), PointId::Num(99)];
    assert_eq!(ids(&collection.search(&Query { exclude, ..query(3) }).unwrap()), [1, 3, 4]);
    let hit = &collection.search(&Query { fields: EVERYTHING, ..query(1) }).unwrap()[0];
    assert_eq!((hit.version, hit.score), (version, 0.0));
    assert_eq!(hit.payload, Some(object(json!({"i": 0}))));
    assert_eq!(hit.vectors.as_ref().unwrap()[""], [0.0, 0.0]);
}

#[test]
fn mmr_prefers_a_different_hit_to_a_near_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &CollectionConfig::single(2, Distance::Cosine));
    let points = [[1.0, 0.0], [0.999, 0.01], [0.998, 0.02], [0.6, 0.8]];
    let points = (0..).zip(points).map(|(i, v)| point(i, &v, json!({}))).collect();
    collection.upsert(points).unwrap();
    let found = |diversity| {
        let mmr = Some(Mmr { diversity, candidates: 4 });
        ids(&collection.search(&Query { mmr, ..Query::new(vec![1.0, 0.0], String::new(), 2) }).unwrap())
    };
    assert_eq!(found(0.0), [0, 1]);
    assert_eq!(found(0.9), [0, 3]);
}

#[test]
fn a_cosine_vector_is_read_back_normalised() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &CollectionConfig::single(2, Distance::Cosine));
    collection.upsert(vec![point(1, &[3.0, 4.0], json!({}))]).unwrap();
    assert_eq!(collection.vector(PointId::Num(1), "").unwrap(), [0.6, 0.8]);
    let records = collection.retrieve(&[PointId::Num(9), PointId::Num(1)], &EVERYTHING).unwrap();
    assert_eq!(records.len(), 1, "absent ids are left out");
    assert_eq!(records[0].vectors.as_ref().unwrap()[""], [0.6, 0.8]);
    let error = collection.vector(PointId::Num(9), "").unwrap_err();
    assert!(error.code() == 404 && error.to_string().contains('9'), "{error}");
}

#[test]
fn payload_edits_from_many_threads_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    collection.upsert(vec![point(1, &[0.0, 0.0], json!({}))]).unwrap();
    collection.create_payload_index(path("k0"), PayloadFieldType::Integer).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let collection = &collection;
            scope.spawn(move || {
                for i in 0..10 {
                    let more = object(json!({format!("k{}", thread * 10 + i): 1}));
                    let target = Target::Ids(vec![PointId::Num(1)]);
                    collection.change_payload(&target, &PayloadEdit::Merge(more, None)).unwrap();
                }
            });
        }
    });
    let fields = Fields { payload: PayloadSelector::All, vectors: VectorSelector::None };
    let records = collection.retrieve(&[PointId::Num(1)], &fields).unwrap();
    assert_eq!(records[0].payload.as_ref().unwrap().len(), 40);
    assert_eq!(collection.info().payload_indexes[0].points, 1);
}

#[test]
fn a_merge_at_a_path_and_a_null_change_only_what_they_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    collection.upsert(vec![point(1, &[0.0, 0.0], json!({"a": {"x": 1, "y": 2}, "b": 3}))]).unwrap();
    let target = Target::Ids(vec![PointId::Num(1), PointId::Num(2)]);
    let edit = PayloadEdit::Merge(object(json!({"x": null, "z": 4})), Some(path("a")));
    collection.change_payload(&target, &edit).unwrap();
    collection.change_payload(&target, &PayloadEdit::Merge(object(json!({"b": null})), None)).unwrap();
    let records = collection.retrieve(&[PointId::Num(1)], &EVERYTHING).unwrap();
    assert_eq!(records[0].payload, Some(object(json!({"a": {"y": 2, "z": 4}}))));
}

#[test]
fn an_index_and_a_scan_answer_a_filter_alike_with_many_points() {
    let dir = tempfile::tempdir().unwrap();
    let config = CollectionConfig {
        hnsw: HnswParams { full_scan_threshold: 500, ..HnswParams::default() },
        ..CollectionConfig::single(2, Distance::Euclid)
    };
    let (_store, collection) = create(dir.path(), &config);
    let make = |i: u64| {
        let vector = [(i * 37 % 1000) as f32, (i * 91 % 1000) as f32];
        point(
            i,
            &vector,
            json!({"parity": if i.is_multiple_of(2) { "even" } else { "odd" }, "rare": i % 1000}),
        )
    };
    for base in (0..6000).step_by(1000) {
        collection.upsert((base..base + 1000).map(make).collect()).unwrap();
    }
    let rare = |n: f64| field("rare", FieldCondition::Range(Range { lt: Some(n), ..Range::default() }));
    let filters = [must(keyword("parity", "odd")), must(rare(3.0)), must(keyword("parity", "none"))];
    let ask = |filter: &Filter, mode| {
        let query =
            Query { filter: Some(filter.clone()), mode, ..Query::new(vec![500.0, 500.0], String::new(), 10) };
        ids(&collection.search(&query).unwrap())
    };
    let without: Vec<_> = filters.iter().map(|filter| ask(filter, crate::index::Mode::Auto)).collect();
    collection.create_payload_index(path("parity"), PayloadFieldType::Keyword).unwrap();
    collection.create_payload_index(path("rare"), PayloadFieldType::Integer).unwrap();
    for (filter, without) in filters.iter().zip(&without) {
        assert_eq!(&ask(filter, crate::index::Mode::Exact), without);
    }
    assert_eq!(without.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 0]);
    let info = collection.info();
    assert_eq!((info.points, info.vectors), (6000, 6000));
    assert!(info.payload_indexes.iter().all(|index| index.points == 6000), "{info:?}");
}

#[test]
fn a_search_during_deletes_and_updates_answers_only_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = create(dir.path(), &config());
    // Even points stay, odd ones come and go.
    let vector = |i: u64| [(i % 20) as f32, (i / 20) as f32];
    collection.upsert((0..400).map(|i| point(i, &vector(i), json!({"even": i % 2 == 0}))).collect()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..30 {
                let odd = (0..400).filter(|i| i % 2 == 1);
                if round % 2 == 0 {
                    collection.delete(odd.map(PointId::Num).collect()).unwrap();
                } else {
                    let back = odd.map(|i| point(i, &vector(i), json!({"even": false}))).collect();
                    collection.upsert(back).unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let even = field("even", FieldCondition::Match(Match::Value(MatchValue::Bool(true))));
                let query = |filter| Query {
                    filter,
                    fields: EVERYTHING,
                    ..Query::new(vec![7.0, 9.0], String::new(), 50)
                };
                let steady = ids(&collection.search(&query(Some(must(even.clone())))).unwrap());
                while !done.load(Ordering::Acquire) {
                    let filtered = collection.search(&query(Some(must(even.clone())))).unwrap();
                    assert_eq!(ids(&filtered), steady, "the points that stay are always found");
                    let all = collection.search(&query(None)).unwrap();
                    assert_eq!(all.len(), 50);
                    assert!(all.iter().all(|hit| hit.payload.is_some() && hit.vectors.is_some()));
                }
            });
        }
    });
    let left = collection.count(Some(&must(Condition::IsEmpty(path("nothing"))))).unwrap();
    assert_eq!(left, 400);
}
