//! The collection against a plain map that is searched by brute force: random operations, filters
//! and reopening.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde_json::Value;

use super::super::filter::{Subject, Texts, matches};
use super::*;
use crate::distance;
use crate::types::{DatetimeRange, GeoArea, GeoPoint, MinShould, parse_datetime};

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
            matches(filter, Subject { id: Some(*id), payload, vectors: &names, texts: &Texts::new() })
                .then_some(*id)
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
        prop::sample::select(vec!["x", "y", "red house", "house of red", "Red"]).prop_map(Value::from),
        prop::sample::select(MOMENTS.to_vec()).prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        prop::sample::select(vec![-0.5, 0.5, 2.0]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        a_place().prop_map(|place| json!({"lon": place.lon * 1.01, "lat": place.lat})),
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

fn a_place() -> impl Strategy<Value = GeoPoint> {
    (-4i8..5, -3i8..4).prop_map(|(x, y)| GeoPoint { lon: 44.9 * f64::from(x), lat: 29.9 * f64::from(y) })
}

fn an_area() -> impl Strategy<Value = GeoArea> {
    prop_oneof![
        (a_place(), a_place()).prop_map(|(top_left, bottom_right)| GeoArea::Box { top_left, bottom_right }),
        (a_place(), 1.0..2e7).prop_map(|(center, radius)| GeoArea::Circle { center, radius }),
        (prop::collection::vec(a_place(), 3..6), prop::option::of(prop::collection::vec(a_place(), 3..5)))
            .prop_map(|(exterior, hole)| {
                let closed = |mut ring: Vec<GeoPoint>| {
                    ring.push(ring[0]);
                    ring
                };
                let interiors = hole.into_iter().map(closed).collect();
                GeoArea::Polygon { exterior: closed(exterior), interiors }
            }),
    ]
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
    let datetimes = (moment(), moment()).prop_map(|(gte, lt)| DatetimeRange {
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
        (0..5_usize, prop::sample::select(vec!["red", "red house", "house x", "", "Re"])).prop_map(
            |(kind, text)| {
                let made = [Match::Text, Match::TextAny, Match::Phrase, Match::Prefix, Match::Substring];
                FieldCondition::Match(made[kind](text.to_owned()))
            }
        ),
        an_area().prop_map(FieldCondition::Geo),
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

/// One plain condition for each thing that a payload index may get wrong.
fn plain_filters() -> Vec<Filter> {
    let word = || MatchValue::Keyword("x".into());
    let range = Range { gte: Some(0.5), ..Range::default() };
    let moments = DatetimeRange { gte: parse_datetime(MOMENTS[1]), ..DatetimeRange::default() };
    let mut filters = Vec::new();
    for key in KEYS {
        let conditions = [
            field(key, FieldCondition::Match(Match::Value(word()))),
            field(
                key,
                FieldCondition::Match(Match::Any(vec![MatchValue::Integer(1), MatchValue::Bool(true)])),
            ),
            field(key, FieldCondition::Match(Match::Except(vec![word()]))),
            field(key, FieldCondition::Range(range)),
            field(key, FieldCondition::DatetimeRange(moments)),
            Condition::IsEmpty(path(key)),
            Condition::IsNull(path(key)),
        ];
        filters.extend(conditions.into_iter().map(must));
    }
    filters
}

fn check(collection: &Collection, model: &Model, filter: &Filter) -> Result<(), TestCaseError> {
    let allowed = model.lets_through(filter);
    prop_assert_eq!(collection.count(Some(filter)).unwrap(), allowed.len());
    prop_assert_eq!(collection.count(None).unwrap(), model.points.len());

    for plain in plain_filters() {
        prop_assert_eq!(
            collection.count(Some(&plain)).unwrap(),
            model.lets_through(&plain).len(),
            "{:?}",
            plain
        );
    }

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
