//! Filters that no index answers: payloads are read, as few as can be, and the answer is exact.

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::kept::vector;
use super::*;

const POINTS: u64 = 6000;

/// Points of which `n` says, of a thousand, where they stand; `far` is their distance from the origin.
fn filled(dir: &Path) -> (Store, Collection) {
    let (store, collection) = create(dir, &CollectionConfig::single(8, Distance::Euclid));
    let mut random = SmallRng::seed_from_u64(5);
    let made: Vec<Point> = (0..POINTS)
        .map(|id| {
            let vector = vector(id);
            let far: f32 = vector.iter().map(|x| x * x).sum();
            let n = random.random_range(0..1000);
            point(id, &vector, json!({"filler": [{"deep": "x"}], "n": n, "far": far, "word": "a b"}))
        })
        .collect();
    for some in made.chunks(1000) {
        collection.upsert(some.to_vec()).unwrap();
    }
    (store, collection)
}

fn below(key: &str, bound: f64) -> Condition {
    field(key, FieldCondition::Range(Range { lt: Some(bound), ..Range::default() }))
}

#[test]
fn a_filter_that_no_index_answers_finds_the_same_as_with_one_however_few_it_keeps_and_wherever() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, collection) = filled(dir.path());
    let origin = vec![0.0; 8];
    let filters: Vec<Filter> = [900.0, 100.0, 10.0, 1.0, -1.0]
        .into_iter()
        .map(|bound| must(below("n", bound)))
        // The nearest of all are kept; then only the farthest.
        .chain([must(below("far", 1.0)), Filter { must_not: vec![below("far", 5.0)], ..Filter::default() }])
        .collect();
    let ask = |filter: &Filter, limit| {
        let query =
            Query { filter: Some(filter.clone()), ..Query::new(origin.clone(), String::new(), limit) };
        (ids(&collection.search(&query).unwrap()), collection.count(Some(filter)).unwrap())
    };
    let without: Vec<_> = filters.iter().flat_map(|f| [ask(f, 1), ask(f, 10), ask(f, 400)]).collect();
    collection.create_payload_index(path("n"), PayloadFieldType::Float).unwrap();
    collection.create_payload_index(path("far"), PayloadFieldType::Float).unwrap();
    let with: Vec<_> = filters.iter().flat_map(|f| [ask(f, 1), ask(f, 10), ask(f, 400)]).collect();
    assert_eq!(without, with);
    assert!(with[0].1 > 5000 && with[12].1 == 0, "{with:?}");
    assert!(with.iter().any(|(hits, count)| hits.len() == 400 && *count > 400), "limits are reached");
    assert!(with.iter().any(|(hits, count)| hits.len() == *count && *count > 0), "few are all found");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_index_made_of_many_points_at_once_is_the_one_made_point_by_point(
        values in prop::collection::vec(prop::option::of(-5_i64..5), 1..200),
    ) {
        let params = || -> BTreeMap<String, PayloadIndex> {
            [("n", PayloadFieldType::Integer), ("word", PayloadFieldType::Keyword)]
                .into_iter()
                .map(|(key, kind)| (key.to_owned(), PayloadIndex::new(path(key), kind.into())))
                .collect()
        };
        let mut one_by_one = params();
        let mut filling = Filling::new(params());
        for (slot, value) in (0..).zip(&values) {
            let payload = object(value.map_or(json!({"word": ["a", 1]}), |n| json!({"n": [n, n + 1]})));
            one_by_one.values_mut().for_each(|index| index.insert(slot, &payload));
            filling.add(slot, payload);
        }
        prop_assert_eq!(format!("{:?}", filling.finish()), format!("{one_by_one:?}"));
    }
}
