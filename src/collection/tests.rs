//! The collection against a plain map that is searched by brute force, with random operations,
//! filters and reopening; and what several threads may see.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::filter::{Subject, matches};
use super::*;
use crate::distance;
use crate::storage::{Store, StoreOptions};
use crate::types::{
    Condition, Distance, FieldCondition, Filter, HnswParams, Match, MatchValue, MinShould, NamedVectors,
    Payload, Point, Range, ScoredPoint, parse_datetime,
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
    VectorParams { size, distance, hnsw: None }
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
    let store = Store::open(dir, options()).unwrap();
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

// --- the model ---

#[derive(Debug, Clone)]
enum Step {
    Upsert(Vec<Point>),
    Delete(Vec<PointId>),
    DeleteMatching(Filter),
    Edit(Target, PayloadEdit),
    CreateIndex(&'static str, PayloadFieldType),
    DropIndex(&'static str),
    Reopen,
}

/// Points by id, each with the number of its last writing (ties are in this order).
#[derive(Default)]
struct Model {
    points: BTreeMap<PointId, (u64, Payload, NamedVectors)>,
    written: u64,
}

impl Model {
    fn lets_through(&self, filter: &Filter) -> Vec<PointId> {
        let passes = |(id, (_, payload, vectors)): (&PointId, &(u64, Payload, NamedVectors))| {
            let names: Vec<&str> = vectors.keys().map(String::as_str).collect();
            matches(filter, Subject { id: Some(*id), payload, vectors: &names }).then_some(*id)
        };
        self.points.iter().filter_map(passes).collect()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Upsert(points) => {
                for point in points {
                    self.written += 1;
                    let mut vectors = point.vectors.clone();
                    if let Some(side) = vectors.get_mut("side") {
                        distance::normalise(side);
                    }
                    self.points.insert(point.id, (self.written, point.payload.clone(), vectors));
                }
            }
            Step::Delete(ids) => ids.iter().for_each(|id| drop(self.points.remove(id))),
            Step::DeleteMatching(filter) => {
                self.lets_through(filter).iter().for_each(|id| drop(self.points.remove(id)));
            }
            Step::Edit(target, edit) => {
                let ids = match target {
                    Target::Ids(ids) => ids.clone(),
                    Target::Matching(filter) => self.lets_through(filter),
                };
                for id in ids {
                    if let Some((_, payload, _)) = self.points.get_mut(&id) {
                        match edit {
                            PayloadEdit::Merge(more, None) => payload.extend(more.clone()),
                            PayloadEdit::Overwrite(new) => *payload = new.clone(),
                            PayloadEdit::RemoveKeys(keys) => {
                                keys.iter().for_each(|key| drop(payload.remove(key.as_str())));
                            }
                            PayloadEdit::Clear => payload.clear(),
                            PayloadEdit::Merge(_, Some(_)) => unreachable!("not drawn"),
                        }
                    }
                }
            }
            Step::CreateIndex(..) | Step::DropIndex(_) => {}
            Step::Reopen => {
                // Slots are given anew in the order of ids.
                for (written, (old, _, _)) in (1..).zip(self.points.values_mut()) {
                    *old = written;
                }
                self.written = self.points.len() as u64;
            }
        }
    }

    fn nearest(&self, query: &[f32], using: &str, filter: &Filter) -> Vec<(PointId, f32)> {
        let distance = if using.is_empty() { Distance::Euclid } else { Distance::Cosine };
        let mut query = query.to_vec();
        if distance == Distance::Cosine {
            distance::normalise(&mut query);
        }
        let allowed: HashSet<PointId> = self.lets_through(filter).into_iter().collect();
        let kernel = distance::kernel(distance);
        let mut hits: Vec<(f32, u64, PointId, f32)> = self
            .points
            .iter()
            .filter(|(id, _)| allowed.contains(id))
            .filter_map(|(id, (written, _, vectors))| {
                let score = kernel(&query, vectors.get(using)?) + 0.0;
                Some((distance.rank(score) + 0.0, *written, *id, score))
            })
            .collect();
        hits.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        hits.into_iter().map(|(_, _, id, score)| (id, score)).collect()
    }
}

fn run(collection: &Collection, step: &Step) {
    match step {
        Step::Upsert(points) => drop(collection.upsert(points.clone()).unwrap()),
        Step::Delete(ids) => drop(collection.delete(ids.clone()).unwrap()),
        Step::DeleteMatching(filter) => drop(collection.delete_matching(filter).unwrap()),
        Step::Edit(target, edit) => drop(collection.change_payload(target, edit).unwrap()),
        Step::CreateIndex(key, kind) => drop(collection.create_payload_index(path(key), *kind).unwrap()),
        Step::DropIndex(key) => drop(collection.delete_payload_index(&path(key)).unwrap()),
        Step::Reopen => unreachable!("done by the test"),
    }
}

// --- what is drawn ---

const KEYS: [&str; 3] = ["a", "b", "when"];
const MOMENTS: [&str; 3] = ["2026-01-01T00:00:00Z", "2026-01-02", "2026-06-01T10:00:00+02:00"];

fn an_id() -> impl Strategy<Value = PointId> {
    (0u64..25).prop_map(|n| match n {
        0..20 => PointId::Num(n),
        _ => PointId::Uuid(uuid::Uuid::from_u128(u128::from(n) << 64)),
    })
}

fn a_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["x", "y", "red house", "Red"]).prop_map(Value::from),
        prop::sample::select(MOMENTS.to_vec()).prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        prop::sample::select(vec![-0.5, 0.5, 2.0]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn a_value() -> impl Strategy<Value = Value> {
    prop_oneof![3 => a_scalar(), 1 => prop::collection::vec(a_scalar(), 0..3).prop_map(Value::from)]
}

fn a_payload() -> impl Strategy<Value = Payload> {
    let fields = KEYS.map(|key| prop::option::of(a_value()).prop_map(move |value| (key, value)));
    let kept = |(key, value): (&str, Option<Value>)| Some((key.to_owned(), value?));
    fields.prop_map(move |fields| fields.into_iter().filter_map(kept).collect())
}

fn a_match_value() -> impl Strategy<Value = MatchValue> {
    prop_oneof![
        prop::sample::select(vec!["x", "y", "Red"]).prop_map(|text| MatchValue::Keyword(text.into())),
        (-2i64..3).prop_map(MatchValue::Integer),
        any::<bool>().prop_map(MatchValue::Bool),
    ]
}

fn a_field_condition() -> impl Strategy<Value = FieldCondition> {
    let bound = || prop::option::of(prop::sample::select(vec![-2.0, -0.5, 0.0, 0.5, 1.0, 2.0]));
    let range = (bound(), bound(), bound()).prop_map(|(gt, gte, lte)| Range { gt, gte, lte, lt: None });
    let moment = || prop::option::of(prop::sample::select(MOMENTS.to_vec()));
    let datetimes = (moment(), moment()).prop_map(|(gte, lt)| crate::types::DatetimeRange {
        gte: gte.and_then(parse_datetime),
        lt: lt.and_then(parse_datetime),
        ..Default::default()
    });
    prop_oneof![
        a_match_value().prop_map(|value| FieldCondition::Match(Match::Value(value))),
        prop::collection::vec(a_match_value(), 0..3)
            .prop_map(|values| FieldCondition::Match(Match::Any(values))),
        prop::collection::vec(a_match_value(), 0..3)
            .prop_map(|values| FieldCondition::Match(Match::Except(values))),
        Just(FieldCondition::Match(Match::Text("red".into()))),
        range.clone().prop_map(FieldCondition::Range),
        datetimes.prop_map(FieldCondition::DatetimeRange),
        range.prop_map(FieldCondition::ValuesCount),
    ]
}

fn a_condition() -> impl Strategy<Value = Condition> {
    let key = || prop::sample::select(KEYS.to_vec()).prop_map(path);
    prop_oneof![
        6 => (key(), a_field_condition()).prop_map(|(key, condition)| Condition::Field { key, condition }),
        1 => key().prop_map(Condition::IsEmpty),
        1 => key().prop_map(Condition::IsNull),
        1 => prop::collection::hash_set(an_id(), 0..8).prop_map(Condition::HasId),
        1 => prop::sample::select(vec!["", "side", "none"])
            .prop_map(|name| Condition::HasVector(name.into())),
    ]
}

fn a_filter() -> impl Strategy<Value = Filter> {
    let some = || prop::collection::vec(a_condition(), 0..3);
    let flat = || {
        (some(), some(), some(), prop::option::of((some(), 0usize..4))).prop_map(
            |(must, must_not, should, min_should)| Filter {
                must,
                must_not,
                should,
                min_should: min_should.map(|(conditions, count)| MinShould { conditions, count }),
            },
        )
    };
    (flat(), prop::option::of(flat())).prop_map(|(mut outer, inner)| {
        outer.must_not.extend(inner.map(Condition::Filter));
        outer
    })
}

fn a_point() -> impl Strategy<Value = Point> {
    let coordinate = || (-3i8..3).prop_map(f32::from);
    let main = prop::option::weighted(0.9, prop::array::uniform2(coordinate()));
    let side = prop::option::of((0i8..3, 1i8..3, -2i8..3));
    (an_id(), main, side, a_payload()).prop_map(|(id, main, side, payload)| {
        let mut vectors = NamedVectors::new();
        vectors.extend(main.map(|vector| (String::new(), vector.to_vec())));
        vectors.extend(side.map(|(x, y, z)| ("side".to_owned(), [x, y, z].map(f32::from).to_vec())));
        Point { id, vectors, payload }
    })
}

fn a_step() -> impl Strategy<Value = Step> {
    let target = prop_oneof![
        prop::collection::vec(an_id(), 0..5).prop_map(Target::Ids),
        a_filter().prop_map(Target::Matching),
    ];
    let not_null = a_payload().prop_map(|mut payload| {
        payload.retain(|_, value| !value.is_null()); // a null removes: tested by itself
        payload
    });
    let edit = prop_oneof![
        not_null.prop_map(|payload| PayloadEdit::Merge(payload, None)),
        a_payload().prop_map(PayloadEdit::Overwrite),
        prop::sample::subsequence(KEYS.to_vec(), 0..3)
            .prop_map(|keys| PayloadEdit::RemoveKeys(keys.into_iter().map(path).collect())),
        Just(PayloadEdit::Clear),
    ];
    let kinds = vec![
        PayloadFieldType::Keyword,
        PayloadFieldType::Integer,
        PayloadFieldType::Float,
        PayloadFieldType::Bool,
        PayloadFieldType::Datetime,
        PayloadFieldType::Uuid,
        PayloadFieldType::Text,
        PayloadFieldType::Geo,
    ];
    let key = || prop::sample::select(KEYS.to_vec());
    prop_oneof![
        8 => prop::collection::vec(a_point(), 1..10).prop_map(Step::Upsert),
        2 => prop::collection::vec(an_id(), 0..5).prop_map(Step::Delete),
        1 => a_filter().prop_map(Step::DeleteMatching),
        2 => (target, edit).prop_map(|(target, edit)| Step::Edit(target, edit)),
        3 => (key(), prop::sample::select(kinds)).prop_map(|(key, kind)| Step::CreateIndex(key, kind)),
        1 => key().prop_map(Step::DropIndex),
        1 => Just(Step::Reopen),
    ]
}

fn check(collection: &Collection, model: &Model, filter: &Filter) -> Result<(), TestCaseError> {
    let allowed = model.lets_through(filter);
    prop_assert_eq!(collection.count(Some(filter)).unwrap(), allowed.len());
    prop_assert_eq!(collection.count(None).unwrap(), model.points.len());

    // Scroll in pages of three, everything included.
    let mut scrolled = Vec::new();
    let mut offset = None;
    loop {
        let request = Scroll { filter: Some(filter.clone()), offset, limit: 3, fields: EVERYTHING };
        let (records, next) = collection.scroll(&request).unwrap();
        scrolled.extend(records);
        offset = next;
        if offset.is_none() {
            break;
        }
    }
    let expected: Vec<_> = allowed.iter().map(|id| (*id, &model.points[id])).collect();
    prop_assert_eq!(scrolled.len(), expected.len());
    for (record, (id, (_, payload, vectors))) in scrolled.iter().zip(expected) {
        prop_assert_eq!(record.id, id);
        prop_assert_eq!(record.payload.as_ref(), Some(payload));
        prop_assert_eq!(record.vectors.as_ref(), Some(vectors));
    }

    for (using, vector) in [("", vec![0.5, -1.0]), ("side", vec![1.0, 2.0, 3.0])] {
        let query = Query { filter: Some(filter.clone()), ..Query::new(vector.clone(), using.into(), 7) };
        let hits: Vec<_> =
            collection.search(&query).unwrap().into_iter().map(|hit| (hit.id, hit.score)).collect();
        let mut expected = model.nearest(&vector, using, filter);
        expected.truncate(7);
        prop_assert_eq!(hits, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_collection_answers_as_a_plain_map_does(
        steps in prop::collection::vec((a_step(), a_filter()), 1..25),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut collection) = create(dir.path(), &config());
        let mut model = Model::default();
        for (step, filter) in steps {
            model.apply(&step);
            if matches!(step, Step::Reopen) {
                (store, collection) = reopen(dir.path(), store, collection);
            } else {
                run(&collection, &step);
            }
            check(&collection, &model, &filter)?;
            check(&collection, &model, &Filter::default())?;
        }
        (store, collection) = reopen(dir.path(), store, collection);
        model.apply(&Step::Reopen);
        check(&collection, &model, &Filter::default())?;
        drop(store);
    }
}

// --- one thing each ---

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
