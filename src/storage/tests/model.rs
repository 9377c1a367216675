//! Random operations, checked against a map in memory, with restarts of every kind in between.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Upsert(Vec<(u8, u64)>),
    Delete(Vec<u8>),
    SetPayload(Vec<(u8, u64)>),
    Compact,
    /// Closed and opened again.
    Restart,
    /// Opened from the files as they stand, as after a kill.
    Crash,
    /// Closed, the view deleted, and opened again.
    LoseView,
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = || 0..12_u8;
    let written = || prop::collection::vec((id(), 0..1000_u64), 1..6);
    prop_oneof![
        8 => written().prop_map(Step::Upsert),
        4 => prop::collection::vec(id(), 1..4).prop_map(Step::Delete),
        4 => written().prop_map(Step::SetPayload),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::LoseView),
    ]
}

/// Half numbers, half UUIDs.
fn id(small: u8) -> PointId {
    if small.is_multiple_of(2) {
        PointId::Num(small.into())
    } else {
        PointId::Uuid(Uuid::from_u128(small.into()))
    }
}

type Model = BTreeMap<PointId, StoredPoint>;

fn check(volume: &Volume, model: &Model) {
    let expected: Vec<_> = model.iter().map(|(id, point)| (*id, point.clone())).collect();
    assert_eq!(contents(volume), expected);
    assert_eq!(volume.len(), model.len() as u64);
    assert_eq!(volume.read_only_reason(), None);
    assert_eq!(
        volume.ids(None).map(Result::unwrap).collect::<Vec<_>>(),
        model.keys().copied().collect::<Vec<_>>()
    );
    for small in 0..12 {
        let (found, expected) = (volume.point(id(small)).unwrap(), model.get(&id(small)));
        assert_eq!(found.as_ref(), expected);
        assert_eq!(volume.version(id(small)).unwrap(), expected.map(|point| point.version));
    }
}

fn run(steps: &[Step]) {
    let root = tempfile::tempdir().unwrap();
    let mut dir = root.path().join("0");
    let mut store = open(&dir);
    store.create(&name("m"), &config()).unwrap();
    let mut model = Model::new();
    let mut seq = 0;
    let reopen = |dir: &Path| {
        let store = open(dir);
        let volume = only(&store);
        (store, volume)
    };
    for (turn, step) in steps.iter().enumerate() {
        let volume = only(&store);
        let change = match step {
            Step::Upsert(points) => {
                seq += 1;
                for (small, seed) in points {
                    let stored =
                        StoredPoint { version: seq, payload: payload(*seed), vectors: vectors(*seed) };
                    model.insert(id(*small), stored);
                }
                let point = |(small, seed): &(u8, u64)| Point { id: id(*small), ..point(0, *seed) };
                Change::Upsert(points.iter().map(point).collect())
            }
            Step::Delete(ids) => {
                seq += 1;
                ids.iter().for_each(|small| drop(model.remove(&id(*small))));
                Change::Delete(ids.iter().copied().map(id).collect())
            }
            Step::SetPayload(payloads) => {
                seq += 1;
                for (small, seed) in payloads {
                    if let Some(there) = model.get_mut(&id(*small)) {
                        (there.version, there.payload) = (seq, payload(*seed));
                    }
                }
                Change::SetPayload(
                    payloads.iter().map(|(small, seed)| (id(*small), payload(*seed))).collect(),
                )
            }
            Step::Compact => {
                volume.compact().unwrap();
                check(&volume, &model);
                continue;
            }
            Step::Restart | Step::LoseView => {
                store.close().unwrap();
                drop((volume, store));
                if matches!(step, Step::LoseView) {
                    std::fs::remove_dir_all(dir.join("view")).unwrap();
                }
                store = reopen(&dir).0;
                check(&only(&store), &model);
                continue;
            }
            Step::Crash => {
                let next = root.path().join(format!("{}", turn + 1));
                copy_dir(&dir, &next);
                dir = next;
                store = reopen(&dir).0;
                check(&only(&store), &model);
                continue;
            }
        };
        assert_eq!(volume.commit(change).unwrap(), seq);
    }
    check(&only(&store), &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_volume_holds_what_a_map_would_hold_whatever_restarts_come_between(
        steps in prop::collection::vec(any_step(), 1..40)
    ) {
        run(&steps);
    }
}
