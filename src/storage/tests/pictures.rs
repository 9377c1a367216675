//! Pictures are as safe as their points.

use super::*;
use crate::types::{PictureKind, Pictures};

fn kept(seed: u8) -> Pictures {
    Pictures {
        thumbnail: Some(vec![seed; 700]),
        original: seed.is_multiple_of(2).then(|| vec![seed + 1; 3000]),
    }
}

fn found(volume: &Volume, id: u64) -> Pictures {
    let read = |kind| volume.picture(PointId::Num(id), kind).unwrap();
    Pictures { thumbnail: read(PictureKind::Thumbnail), original: read(PictureKind::Original) }
}

/// Points 1 to 9, of which 2 has none, 3 others than at first, 4 another payload, 5 is gone.
fn fill(volume: &Volume) {
    let ids = 1..10;
    let points = ids.clone().map(|id| point(id, id)).collect();
    volume.commit(Change::Pictured(points, ids.map(|id| kept(id as u8)).collect())).unwrap();
    volume.commit(Change::Upsert(vec![point(2, 20)])).unwrap();
    volume.commit(Change::Pictured(vec![point(3, 30)], vec![kept(33)])).unwrap();
    volume.commit(Change::SetPayload(vec![(PointId::Num(4), payload(40))])).unwrap();
    volume.commit(Change::Delete(vec![PointId::Num(5)])).unwrap();
}

fn check(volume: &Volume) {
    for id in [1, 4, 6, 7, 8, 9] {
        assert_eq!(found(volume, id), kept(id as u8), "point {id}");
    }
    assert_eq!(found(volume, 3), kept(33));
    for id in [2, 5, 77] {
        assert!(found(volume, id).is_empty(), "point {id}");
    }
    assert_eq!(volume.payload(PointId::Num(4)).unwrap(), Some(payload(40)));
    assert_eq!(volume.read_only_reason(), None);
}

#[test]
fn pictures_stay_with_their_points_through_restarts_compactions_and_a_lost_view() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let volume = store.create(&name("p"), &config()).unwrap();
    fill(&volume);
    check(&volume);
    volume.compact().unwrap();
    check(&volume);
    volume.compact().unwrap();
    check(&volume);
    drop((volume, store)); // no clean stop
    let store = open(dir.path());
    check(&only(&store));
    store.close().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("view")).unwrap();
    let store = open(dir.path());
    check(&only(&store));
    let used = |volume: &Volume| volume.shared.live_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let before = used(&only(&store));
    only(&store).commit(Change::Delete(vec![PointId::Num(6)])).unwrap();
    let freed = before - used(&only(&store));
    assert!(freed > 3700, "the pictures of a deleted point count as needed: {freed}");
}

#[test]
fn a_damaged_picture_is_healed_by_the_parity_and_never_shown() {
    for kind in PictureKind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let volume = store.create(&name("p"), &config()).unwrap();
        fill(&volume);
        let log = volume.place().1.join("log/000001.seg");
        let wanted = found(&volume, 8).get(kind).unwrap().clone();
        drop((volume, store));
        let mut bytes = std::fs::read(&log).unwrap();
        let at = bytes.windows(wanted.len()).position(|part| part == wanted).unwrap();
        bytes[at + 100] ^= 1;
        std::fs::write(&log, bytes).unwrap();
        let store = open(dir.path());
        let volume = only(&store);
        match volume.read_only_reason() {
            None => check(&volume),
            Some(reason) => {
                assert!(reason.contains('8'), "{reason}");
                assert!(volume.picture(PointId::Num(8), kind).is_err());
            }
        }
    }
}
