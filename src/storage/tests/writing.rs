//! Commits: order, durability before acknowledgement, refusals, failures, compaction.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::*;
use crate::error::Error;

fn volume_in(dir: &Path, options: StoreOptions) -> (Store, Arc<Volume>) {
    let store = Store::open(dir, options).unwrap();
    let volume = store.create(&name("w"), &config()).unwrap();
    (store, volume)
}

#[test]
fn commits_of_many_threads_are_readable_in_the_hook_in_order_and_answered_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volume) = volume_in(dir.path(), options());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, reader) = (Arc::clone(&seen), Arc::downgrade(&volume));
    volume.on_commit(Box::new(move |seq, change| {
        let Change::Upsert(points) = change else { panic!("{change:?}") };
        let volume = reader.upgrade().unwrap();
        assert_eq!(volume.version(points[0].id).unwrap(), Some(seq));
        log.lock().unwrap().push(seq);
    }));
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (volume, seen) = (&volume, &seen);
            scope.spawn(move || {
                for i in 0..40 {
                    let id = thread * 1000 + i;
                    let seq = volume.commit(Change::Upsert(vec![point(id, id)])).unwrap();
                    assert!(seen.lock().unwrap().contains(&seq), "answered before the hook");
                }
            });
        }
    });
    assert_eq!(*seen.lock().unwrap(), (1..=320).collect::<Vec<u64>>());
    assert_eq!(volume.len(), 320);
    assert_eq!(volume.read_only_reason(), None);
}

#[test]
fn what_is_acknowledged_is_in_the_log_files() {
    let root = tempfile::tempdir().unwrap();
    let (dir, image) = (root.path().join("a"), root.path().join("b"));
    let (_store, volume) = volume_in(&dir, options());
    for id in 0..50 {
        volume.commit(Change::Upsert(vec![point(id, id)])).unwrap();
        if id % 10 == 0 {
            copy_dir(&dir.join("collections"), &image.join("collections"));
            for file in ["SCHEMA", "SCHEMA.copy"] {
                fs::copy(dir.join(file), image.join(file)).unwrap();
            }
            assert_eq!(only(&open(&image)).len(), id + 1);
            fs::remove_dir_all(&image).unwrap();
        }
    }
}

#[test]
fn a_hook_that_panics_makes_the_volume_read_only_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_store, volume) = volume_in(dir.path(), options());
        volume.on_commit(Box::new(|seq, _| assert!(seq < 2, "the index is out of step")));
        volume.commit(Change::Upsert(vec![point(1, 1)])).unwrap();
        let error = volume.commit(Change::Upsert(vec![point(2, 2)])).unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("the index is out of step"), "{error}");
        assert_eq!(volume.commit(Change::Delete(vec![PointId::Num(1)])).unwrap_err().code(), 503);
        assert_eq!(volume.payload(PointId::Num(1)).unwrap(), Some(payload(1)));
    }
    let store = open(dir.path());
    assert_eq!(only(&store).len(), 2);
    assert_eq!(only(&store).read_only_reason(), None);
}

#[test]
fn a_full_queue_is_answered_at_once_and_loses_nothing_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volume) = volume_in(dir.path(), StoreOptions { queue_length: 1, ..options() });
    let (entered, in_hook) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let is_held = AtomicBool::new(true);
    volume.on_commit(Box::new(move |_, _| {
        if is_held.swap(false, Ordering::Relaxed) {
            entered.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
    }));
    std::thread::scope(|scope| {
        let commit = |id| volume.commit(Change::Upsert(vec![point(id, id)]));
        let first = scope.spawn(move || commit(1));
        in_hook.recv().unwrap();
        let others: Vec<_> = (2..6).map(|id| scope.spawn(move || commit(id))).collect();
        // One of them waits in the queue, three are refused before anything is released.
        while others.iter().filter(|other| other.is_finished()).count() < 3 {
            std::thread::yield_now();
        }
        release.send(()).unwrap();
        assert!(first.join().unwrap().is_ok());
        let (taken, refused): (Vec<_>, Vec<_>) =
            others.into_iter().map(|other| other.join().unwrap()).partition(Result::is_ok);
        assert_eq!((taken.len(), refused.len()), (1, 3));
        for error in refused {
            assert!(matches!(error, Err(Error::Overloaded { retry_after_secs: 1, .. })), "{error:?}");
        }
    });
    assert_eq!(volume.len(), 2);
}

#[test]
fn a_nearly_full_disk_refuses_points_and_takes_deletes() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (store, volume) = volume_in(dir.path(), options());
        volume.commit(Change::Upsert(vec![point(1, 1), point(2, 2)])).unwrap();
        store.close().unwrap();
    }
    let store = Store::open(dir.path(), StoreOptions { min_free_disk_bytes: u64::MAX, ..options() }).unwrap();
    let volume = only(&store);
    assert_eq!(volume.commit(Change::Upsert(vec![point(3, 3)])).unwrap_err().code(), 507);
    assert_eq!(store.create(&name("other"), &config()).err().unwrap().code(), 507);
    volume.commit(Change::Delete(vec![PointId::Num(1)])).unwrap();
    assert_eq!(volume.len(), 1);
}

#[test]
fn a_batch_that_is_too_large_is_refused_and_the_next_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volume) = volume_in(dir.path(), options());
    let text = "x".repeat(65 << 20);
    let large = Point { payload: Payload::from_iter([("t".to_owned(), text.into())]), ..point(1, 1) };
    assert_eq!(volume.commit(Change::Upsert(vec![large])).unwrap_err().code(), 413);
    assert_eq!(volume.commit(Change::Upsert(vec![point(1, 1)])).unwrap(), 1);
}

#[test]
fn a_large_payload_is_read_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let text = "x".repeat(300_000);
    let large = || Payload::from_iter([("t".to_owned(), text.clone().into())]);
    let (store, volume) = volume_in(dir.path(), options());
    volume.commit(Change::Upsert(vec![Point { payload: large(), ..point(1, 1) }])).unwrap();
    volume.commit(Change::Upsert(vec![point(2, 2)])).unwrap();
    assert_eq!(volume.payload(PointId::Num(1)).unwrap(), Some(large()));
    volume.compact().unwrap();
    assert_eq!(volume.payload(PointId::Num(1)).unwrap(), Some(large()));
    store.close().unwrap();
    drop((store, volume));
    let volume = only(&open(dir.path()));
    assert_eq!(volume.point(PointId::Num(1)).unwrap().unwrap().payload, large());
}

#[test]
fn the_first_failed_write_ends_all_writing_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volume) = volume_in(dir.path(), options());
    volume.commit(Change::Upsert(vec![point(0, 0)])).unwrap();
    let log = volume.place().1.join("log");
    // The next segment cannot be created.
    fs::create_dir(log.join("000002.seg")).unwrap();
    let mut taken = 0;
    let error = loop {
        match volume.commit(Change::Upsert((1..40).map(|id| point(id, taken)).collect())) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "never failed");
    };
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(volume.read_only_reason().unwrap().contains("000002.seg"));
    fs::remove_dir(log.join("000002.seg")).unwrap();
    assert_eq!(volume.commit(Change::Delete(vec![PointId::Num(1)])).unwrap_err().code(), 503);
    assert_eq!(volume.payload(PointId::Num(1)).unwrap(), Some(payload(taken - 1)));
}

#[test]
fn compaction_keeps_every_point_and_gives_the_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, volume) = volume_in(dir.path(), options());
    for round in 0..10 {
        volume.commit(Change::Upsert((0..200).map(|id| point(id, id + round)).collect())).unwrap();
    }
    volume.commit(Change::SetPayload(vec![(PointId::Num(7), payload(77))])).unwrap();
    volume.commit(Change::Delete((0..200).filter(|id| id % 10 != 7).map(PointId::Num).collect())).unwrap();
    let (before, bytes) = (contents(&volume), volume.disk_bytes());
    assert_eq!(before.len(), 20);
    volume.compact().unwrap();
    assert_eq!(contents(&volume), before);
    assert!(volume.disk_bytes() * 20 < bytes, "{} of {bytes}", volume.disk_bytes());
    assert_eq!(volume.commit(Change::Upsert(vec![point(500, 1)])).unwrap(), 13);
    store.close().unwrap();
    drop((store, volume));
    let store = open(dir.path());
    assert_eq!(contents(&only(&store))[..20], before[..]);
    assert_eq!(only(&store).len(), 21);
}

#[test]
fn a_log_that_is_mostly_dead_is_compacted_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, volume) = volume_in(dir.path(), StoreOptions { compact_from_bytes: 64 * 1024, ..options() });
    for round in 0..60 {
        volume.commit(Change::Upsert((0..100).map(|id| point(id, round)).collect())).unwrap();
        assert!(volume.disk_bytes() < 128 * 1024, "{}", volume.disk_bytes());
    }
    assert!(contents(&volume).iter().all(|(_, point)| point.version == 60));
}

/// A store that is about to be compacted, and the same one afterwards.
fn before_and_after_compaction(root: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (before, after) = (root.join("before"), root.join("after"));
    let (_store, volume) = volume_in(&after, options());
    for round in 0..6 {
        volume.commit(Change::Upsert((0..150).map(|id| point(id, id + round)).collect())).unwrap();
    }
    copy_dir(&after, &before);
    volume.compact().unwrap();
    (before, after)
}

fn collection_dir(store: &Path) -> std::path::PathBuf {
    fs::read_dir(store.join("collections")).unwrap().next().unwrap().unwrap().path()
}

fn assert_whole(dir: &Path) {
    let store = open(dir);
    let volume = only(&store);
    assert_eq!(volume.read_only_reason(), None);
    let expected: Vec<_> = (0..150).map(|id| (PointId::Num(id), vectors(id + 5))).collect();
    let found: Vec<_> = contents(&volume).into_iter().map(|(id, point)| (id, point.vectors)).collect();
    assert_eq!(found, expected);
    assert_eq!(volume.commit(Change::Upsert(vec![point(0, 5)])).unwrap(), 7);
    drop((volume, store));
    let generations = fs::read_dir(collection_dir(dir).join("log")).unwrap().count();
    assert!(generations <= 6, "leftovers: {generations} segments");
}

#[test]
fn a_compaction_cut_short_before_its_manifest_never_was() {
    let root = tempfile::tempdir().unwrap();
    let (before, after) = before_and_after_compaction(root.path());
    let mut new: Vec<_> =
        fs::read_dir(collection_dir(&after).join("log")).unwrap().map(|item| item.unwrap().path()).collect();
    new.sort();
    // Cut short after each of the new segments, and within the last one.
    for (count, cut) in
        (1..=new.len()).flat_map(|count| [(count, 0), (count, 1), (count, 5000), (count, u64::MAX)])
    {
        let image = root.path().join("image");
        copy_dir(&before, &image);
        for (i, path) in new[..count].iter().enumerate() {
            let copy = collection_dir(&image).join("log").join(path.file_name().unwrap());
            fs::copy(path, &copy).unwrap();
            if i + 1 == count {
                let length = copy.metadata().unwrap().len();
                fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(cut.min(length)).unwrap();
            }
        }
        assert_whole(&image);
        fs::remove_dir_all(&image).unwrap();
    }
}

#[test]
fn a_compaction_cut_short_behind_its_manifest_is_finished_at_open() {
    let root = tempfile::tempdir().unwrap();
    let (image, after) = before_and_after_compaction(root.path());
    let (from, to) = (collection_dir(&after), collection_dir(&image));
    copy_dir(&from.join("log"), &to.join("log"));
    fs::copy(from.join("MANIFEST"), to.join("MANIFEST")).unwrap();
    assert_whole(&image);
}
