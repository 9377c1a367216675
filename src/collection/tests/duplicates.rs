//! Groups of duplicates: what the greedy rule says, on one page and on many, with and without a graph.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::duplicates::Bounds;
use super::kept::settle;
use super::*;

fn wanted(threshold: f32) -> DuplicateSearch {
    DuplicateSearch {
        threshold: Some(threshold),
        using: String::new(),
        filter: None,
        offset: None,
        limit: MAX_DUPLICATE_GROUPS,
        min_size: 2,
        fields: Fields::NONE,
    }
}

/// Groups by representative, the others sorted.
type Groups = BTreeMap<u64, Vec<u64>>;

fn groups(found: &Duplicates) -> Groups {
    let group = |group: &DuplicateGroup| {
        let mut ids = ids(&group.points);
        assert_eq!(ids.len(), group.size);
        let representative = ids.remove(0);
        ids.sort_unstable();
        (representative, ids)
    };
    found.groups.iter().map(group).collect()
}

/// The rule by brute force.
fn expected(vectors: &BTreeMap<u64, Vec<f32>>, is_same: impl Fn(&[f32], &[f32]) -> bool) -> Groups {
    let original = |id: u64| *vectors.iter().find(|(_, v)| **v == vectors[&id]).unwrap().0;
    let mut groups = Groups::new();
    for &id in vectors.keys().filter(|&&id| original(id) == id) {
        match groups.iter_mut().find(|(first, _)| is_same(&vectors[*first], &vectors[&id])) {
            Some((_, others)) => others.push(id),
            None => drop(groups.insert(id, Vec::new())),
        }
    }
    for &id in vectors.keys().filter(|&&id| original(id) != id) {
        let of = |first: u64, others: &[u64]| first == original(id) || others.contains(&original(id));
        groups.iter_mut().find(|(first, others)| of(**first, others)).unwrap().1.push(id);
    }
    groups.values_mut().for_each(|others| others.sort_unstable());
    groups.retain(|_, others| !others.is_empty());
    groups
}

fn filled(dir: &Path, config: &CollectionConfig, vectors: &BTreeMap<u64, Vec<f32>>) -> (Store, Collection) {
    let (store, collection) = create(dir, config);
    let points = vectors.iter().map(|(&id, v)| point(id, v, json!({"even": id % 2 == 0}))).collect();
    collection.upsert(points).unwrap();
    (store, collection)
}

fn euclid(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn groups_are_those_of_the_greedy_rule_on_one_page_and_on_many(
        places in prop::collection::btree_map(0u64..200, (0u8..12, 0u8..12), 1..60),
        threshold in prop::sample::select(vec![0.5f32, 1.2, 1.5, 2.9]), searches in 1usize..8,
    ) {
        let vectors: BTreeMap<u64, Vec<f32>> =
            places.into_iter().map(|(id, (x, y))| (id, vec![f32::from(x) + 1.0, f32::from(y)])).collect();
        let dir = tempfile::tempdir().unwrap();
        let (_store, collection) = filled(dir.path(), &CollectionConfig::single(2, Distance::Euclid), &vectors);
        let expected = expected(&vectors, |a, b| euclid(a, b) <= threshold);
        let whole = collection.duplicates(&wanted(threshold)).unwrap();
        prop_assert_eq!(groups(&whole), expected.clone());
        prop_assert!(whole.next.is_none() && whole.compared == vectors.len());
        // Page by page the same, wherever pages end.
        let bounds = Bounds { searches, points: 1000, time: Duration::from_secs(100) };
        let (mut paged, mut offset, mut compared) = (Groups::new(), None, 0);
        loop {
            let page = collection.duplicates_within(&DuplicateSearch { offset, ..wanted(threshold) }, bounds).unwrap();
            for (first, others) in groups(&page) {
                prop_assert!(paged.insert(first, others).is_none(), "{} is on two pages", first);
            }
            compared += page.compared;
            prop_assert!(page.compared > 0);
            offset = page.next;
            if offset.is_none() {
                break;
            }
        }
        prop_assert_eq!((paged, compared), (expected, vectors.len()));
    }
}

#[test]
fn a_chain_is_not_one_group_and_what_is_left_of_each_is_no_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let line: BTreeMap<u64, Vec<f32>> = (0..6).map(|i| (i, vec![10.0 + i as f32, 0.0])).collect();
    let (_store, collection) = filled(dir.path(), &CollectionConfig::single(2, Distance::Euclid), &line);
    let found = collection.duplicates(&wanted(1.0)).unwrap();
    assert_eq!(groups(&found), Groups::from([(0, vec![1]), (2, vec![3]), (4, vec![5])]));
    // As many points: the most certain first; then the larger.
    let found = collection.duplicates(&wanted(2.0)).unwrap();
    assert_eq!(groups(&found), Groups::from([(0, vec![1, 2]), (3, vec![4, 5])]));
    assert_eq!(found.groups[0].points[0].score, 0.0);
    assert_eq!(found.groups[0].points[2].score, 2.0);
}

#[test]
fn a_graph_finds_nearly_all_duplicates_and_every_copy_however_many() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = CollectionConfig::single(16, Distance::Cosine);
    config.hnsw.full_scan_threshold = 10;
    let mut random = SmallRng::seed_from_u64(3);
    let mut draw = || (0..16).map(|_| random.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
    let mut vectors: BTreeMap<u64, Vec<f32>> = (0..6000).map(|id| (id, draw())).collect();
    // 600 of them again, slightly changed; 300 of them again as they are; one of them 500 times.
    for k in 0..600 {
        let noise = draw();
        let changed = vectors[&(k * 7)].iter().zip(noise).map(|(a, b)| a + 0.02 * b).collect();
        vectors.insert(10_000 + k, changed);
    }
    for k in 0..300 {
        let same = vectors[&(k * 11 + 1)].clone();
        vectors.insert(20_000 + k, same);
    }
    for k in 0..500 {
        let same = vectors[&3].clone();
        vectors.insert(30_000 + k, same);
    }
    let (_store, collection) = filled(dir.path(), &config, &vectors);
    settle(&collection);
    assert!(collection.info().indexed_vectors > 4000);
    let found = groups(&collection.duplicates(&wanted(0.99)).unwrap());
    let group_of = |id: u64| found.iter().find(|(first, others)| **first == id || others.contains(&id));
    for k in 0..300 {
        assert_eq!(group_of(20_000 + k), group_of(k * 11 + 1), "copy {k}");
        assert!(group_of(20_000 + k).is_some(), "copy {k}");
    }
    let many = group_of(3).unwrap();
    assert!((0..500).all(|k| many.1.contains(&(30_000 + k))));
    let near = (0..600)
        .filter(|k| group_of(10_000 + k).is_some() && group_of(10_000 + k) == group_of(k * 7))
        .count();
    assert!(near >= 594, "{near} of 600 near duplicates were found");
    // Asked again it is the same.
    assert_eq!(found, groups(&collection.duplicates(&wanted(0.99)).unwrap()));
}

#[test]
fn a_filter_a_size_and_a_limit_say_which_groups_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let at = |x: f32| vec![x, 1.0];
    let vectors = BTreeMap::from([
        (1, at(10.0)),
        (2, at(10.0)),
        (3, at(10.1)),
        (4, at(20.0)),
        (6, at(20.0)),
        (7, at(40.0)),
        (8, at(41.0)),
    ]);
    let (_store, collection) = filled(dir.path(), &CollectionConfig::single(2, Distance::Euclid), &vectors);
    let found = |search: &DuplicateSearch| groups(&collection.duplicates(search).unwrap());
    assert_eq!(found(&wanted(0.5)), Groups::from([(1, vec![2, 3]), (4, vec![6])]));
    let even = must(field("even", FieldCondition::Match(Match::Value(MatchValue::Bool(true)))));
    assert_eq!(found(&DuplicateSearch { filter: Some(even), ..wanted(0.5) }), Groups::from([(4, vec![6])]));
    assert_eq!(found(&DuplicateSearch { min_size: 3, ..wanted(0.5) }), Groups::from([(1, vec![2, 3])]));
    let one = collection.duplicates(&DuplicateSearch { limit: 1, ..wanted(0.5) }).unwrap();
    assert_eq!((groups(&one), one.left_out), (Groups::from([(1, vec![2, 3])]), 1));
    // Without a threshold: a quarter of the typical distance.
    let usual = collection.duplicates(&DuplicateSearch { threshold: None, ..wanted(0.0) }).unwrap();
    assert!(usual.threshold > 0.2 && groups(&usual).contains_key(&1), "{usual:?}");
    for (search, named) in [
        (
            DuplicateSearch { threshold: Some(-1.0), ..wanted(0.5) },
            "threshold is -1, under Euclid it must be at least 0",
        ),
        (DuplicateSearch { min_size: 1, ..wanted(0.5) }, "min_size is 1"),
        (DuplicateSearch { limit: 0, ..wanted(0.5) }, "limit is 0"),
        (DuplicateSearch { using: "x".into(), ..wanted(0.5) }, "vector name error: x"),
    ] {
        let error = collection.duplicates(&search).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
