//! The store as a whole: what goes in comes out, whatever happens in between.

mod damage;
mod model;
mod pictures;
mod writing;

use std::path::Path;
use std::sync::Arc;

use super::{Change, Store, StoreOptions, StoredPoint, Volume};
use crate::types::{CollectionConfig, CollectionName, Distance, NamedVectors, Payload, Point, PointId};

/// Small segments and no floor under the free disk space.
fn options() -> StoreOptions {
    StoreOptions {
        segment_bytes: 16 * 1024,
        min_free_disk_bytes: 0,
        compact_from_bytes: 1 << 40,
        ..StoreOptions::default()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

fn config() -> CollectionConfig {
    CollectionConfig::single(4, Distance::Dot)
}

/// The one volume of a store.
fn only(store: &Store) -> Arc<Volume> {
    let volumes = store.volumes();
    assert_eq!(volumes.len(), 1);
    Arc::clone(&volumes[0])
}

fn vectors(seed: u64) -> NamedVectors {
    let component = |i: u64| (seed * 7 + i) as f32 / 3.0;
    NamedVectors::from([(String::new(), (0..4).map(component).collect())])
}

fn payload(seed: u64) -> Payload {
    Payload::from_iter([("seed".to_owned(), seed.into()), ("word".to_owned(), format!("w{seed}").into())])
}

/// A point whose vectors and payload say `seed`.
fn point(id: u64, seed: u64) -> Point {
    Point { id: PointId::Num(id), vectors: vectors(seed), payload: payload(seed) }
}

/// The files as they stand: what a killed process leaves behind.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.path().is_dir() {
            copy_dir(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Everything that a scan finds.
fn contents(volume: &Volume) -> Vec<(PointId, StoredPoint)> {
    let mut found = Vec::new();
    volume
        .scan(|id, point| {
            found.push((id, point));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn a_collection_comes_back_with_its_name_configuration_and_points() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = open(dir.path());
        let volume = store.create(&name("cats"), &config()).unwrap();
        assert_eq!(volume.commit(Change::Upsert(vec![point(1, 10), point(2, 20)])).unwrap(), 1);
        assert_eq!(volume.commit(Change::SetPayload(vec![(PointId::Num(2), payload(21))])).unwrap(), 2);
        assert_eq!(volume.commit(Change::Delete(vec![PointId::Num(1), PointId::Num(9)])).unwrap(), 3);
        let mut config = config();
        config.hnsw.m = 32;
        assert_eq!(volume.commit(Change::Configure(config)).unwrap(), 4);
        store.close().unwrap();
        assert_eq!(volume.commit(Change::Delete(vec![])).unwrap_err().code(), 503);
    }
    let store = open(dir.path());
    let volume = only(&store);
    assert_eq!(volume.name().as_str(), "cats");
    assert_eq!(volume.config().hnsw.m, 32);
    assert_eq!(volume.len(), 1);
    assert_eq!(volume.version(PointId::Num(1)).unwrap(), None);
    assert_eq!(volume.version(PointId::Num(2)).unwrap(), Some(2));
    assert_eq!(volume.payload(PointId::Num(2)).unwrap(), Some(payload(21)));
    assert_eq!(volume.vectors(PointId::Num(2)).unwrap(), Some(vectors(20)));
    assert_eq!(volume.commit(Change::Upsert(vec![point(3, 30)])).unwrap(), 5);
    assert_eq!(volume.ids(None).map(Result::unwrap).collect::<Vec<_>>(), [PointId::Num(2), PointId::Num(3)]);
    assert_eq!(volume.ids(Some(PointId::Num(3))).count(), 1);
    assert_eq!(volume.read_only_reason(), None);
}

#[test]
fn a_second_opener_is_refused_with_the_name_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let Err(error) = Store::open(dir.path(), options()) else { panic!("opened twice") };
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}

#[test]
fn a_collection_that_was_dropped_comes_back_empty_under_the_same_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = store.create(&name("a"), &config()).unwrap();
    first.commit(Change::Upsert(vec![point(1, 1)])).unwrap();
    let error = store.create(&name("a"), &config()).err().unwrap();
    assert_eq!(error.to_string(), "Wrong input: Collection `a` already exists!");
    assert!(store.remove(&name("a")).unwrap());
    assert!(!store.remove(&name("a")).unwrap());
    assert_eq!(first.commit(Change::Upsert(vec![point(2, 2)])).unwrap_err().code(), 503);
    let second = store.create(&name("a"), &config()).unwrap();
    assert!(second.is_empty());
    assert_eq!(second.point(PointId::Num(1)).unwrap(), None);
    second.commit(Change::Upsert(vec![point(3, 3)])).unwrap();
    drop((first, second, store));
    let store = open(dir.path());
    assert_eq!(contents(&only(&store)).len(), 1);
}

#[test]
fn what_creation_or_removal_left_half_done_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let parent = dir.path().join("collections");
    for leftover in ["new-00000005", "removed-00000006"] {
        std::fs::create_dir_all(parent.join(leftover).join("log")).unwrap();
    }
    let store = open(dir.path());
    assert!(store.volumes().is_empty());
    assert_eq!(std::fs::read_dir(parent).unwrap().count(), 0);
}
