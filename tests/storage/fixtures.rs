//! Data directories of every released schema version, opened by this one.

use std::path::Path;

use lookalike::migrations;
use lookalike::storage::{Store, examine};
use lookalike::types::{NamedVectors, PointId};
use serde_json::Value;

use super::workload::{contents, copy_dir, options, scratch};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Holds every collection of the store against what was answered when it was made.
fn compare(store: &Store, expected: &Value) {
    assert_eq!(store.volumes().len(), expected.as_object().unwrap().len());
    for volume in store.volumes() {
        assert_eq!(volume.read_only_reason(), None);
        let points = expected[volume.name().as_str()].as_array().unwrap();
        let found = contents(&volume);
        assert_eq!(found.len(), points.len(), "{}", volume.name());
        for point in points {
            let id: PointId = serde_json::from_value(point["id"].clone()).unwrap();
            let vectors: NamedVectors = match &point["vector"] {
                list @ Value::Array(_) => {
                    NamedVectors::from([(String::new(), serde_json::from_value(list.clone()).unwrap())])
                }
                named => serde_json::from_value(named.clone()).unwrap(),
            };
            assert_eq!(found[&id].vectors, vectors, "{id}");
            assert_eq!(Value::Object(found[&id].payload.clone()), point["payload"], "{id}");
        }
    }
}

#[test]
fn a_store_of_every_schema_version_opens_with_everything_in_it() {
    for version in 1..=migrations::current() {
        let dir = scratch();
        copy_dir(&fixture(&format!("store-v{version}")), dir.path());
        let text = std::fs::read_to_string(fixture(&format!("store-v{version}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(migrations::found(dir.path()).unwrap(), version);
        {
            let store = Store::open(dir.path(), options()).unwrap();
            compare(&store, &expected);
            let numbers =
                store.volumes().into_iter().find(|volume| volume.name().as_str() == "numbers").unwrap();
            let config = numbers.config();
            assert_eq!(config.metadata["about"], "schema version 1");
            assert_eq!(config.payload_indexes.len(), 1);
            numbers.compact().unwrap();
            store.close().unwrap();
        }
        assert!(examine(dir.path()).unwrap().is_whole());
        let store = Store::open(dir.path(), options()).unwrap();
        compare(&store, &expected);
    }
}
