//! Damage of every kind: what can be healed is healed, what cannot is named, and nothing wrong is
//! ever read.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::error::Error;

/// Every version that a point of the small store ever had, by id.
type History = Vec<(PointId, Vec<StoredPoint>)>;

fn stored(version: u64, vector_seed: u64, payload_seed: u64) -> StoredPoint {
    StoredPoint { version, payload: payload(payload_seed), vectors: vectors(vector_seed) }
}

/// A store of a few changes of every kind; the last state of each point is its last version, or
/// none where the list is empty.
fn small_store(dir: &Path) -> History {
    let store = open(dir);
    let volume = store.create(&name("d"), &config()).unwrap();
    let num = PointId::Num;
    volume.commit(Change::Upsert(vec![point(1, 1), point(2, 2), point(3, 3)])).unwrap();
    volume.commit(Change::Upsert(vec![point(2, 20)])).unwrap();
    volume.commit(Change::SetPayload(vec![(num(3), payload(30))])).unwrap();
    volume.commit(Change::Upsert(vec![point(4, 4), point(5, 5)])).unwrap();
    volume.commit(Change::Delete(vec![num(4)])).unwrap();
    volume.commit(Change::Upsert(vec![point(6, 6)])).unwrap();
    store.close().unwrap();
    vec![
        (num(1), vec![stored(1, 1, 1)]),
        (num(2), vec![stored(1, 2, 2), stored(2, 20, 20)]),
        (num(3), vec![stored(1, 3, 3), stored(3, 3, 30)]),
        (num(5), vec![stored(4, 5, 5)]),
        (num(6), vec![stored(6, 6, 6)]),
    ]
}

fn segment(dir: &Path) -> PathBuf {
    let collection = fs::read_dir(dir.join("collections")).unwrap().next().unwrap().unwrap().path();
    collection.join("log/000001.seg")
}

/// What opening a damaged store came to.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Outcome {
    Whole,
    ReadOnly,
    Refused,
}

/// Opens the store and holds everything it says against what was ever written: writable means
/// nothing is missing and nothing is old; read-only, that nothing was never written.
fn examine(dir: &Path, history: &History, what: &str) -> Outcome {
    let store = match Store::open(dir, options()) {
        Ok(store) => store,
        Err(Error::Corrupted(_)) => return Outcome::Refused,
        Err(error) => panic!("{what}: {error}"),
    };
    let volume = only(&store);
    let scanned = contents(&volume);
    let reason = volume.read_only_reason();
    let mut expected: Vec<_> =
        history.iter().map(|(id, versions)| (*id, versions.last().unwrap().clone())).collect();
    if reason.is_none() {
        assert_eq!(scanned, expected, "{what}: writable and not whole");
        assert_eq!(volume.config(), config());
        volume.commit(Change::Upsert(vec![point(9, 9)])).unwrap_or_else(|error| panic!("{what}: {error}"));
        expected.push((PointId::Num(9), stored(7, 9, 9)));
        drop((volume, store));
        let store = open(dir);
        assert_eq!(contents(&only(&store)), expected, "{what}: not healed for good");
        assert_eq!(only(&store).read_only_reason(), None, "{what}");
        return Outcome::Whole;
    }
    for (id, point) in scanned {
        let versions = history.iter().find(|(known, _)| *known == id).map(|(_, versions)| versions);
        let deleted = (PointId::Num(4), stored(4, 4, 4));
        assert!(
            versions.is_some_and(|versions| versions.contains(&point)) || (id, point.clone()) == deleted,
            "{what}: {id} was never {point:?}"
        );
    }
    assert_eq!(volume.commit(Change::Delete(vec![])).unwrap_err().code(), 503, "{what}");
    Outcome::ReadOnly
}

/// A copy whose parity is gone: what is damaged in it has no second copy.
fn copy_without_parity(from: &Path, to: &Path) {
    copy_dir(from, to);
    fs::remove_dir_all(segment(to).with_file_name("../parity")).unwrap();
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_tail_at_any_byte_of_the_last_frame_never_takes_an_earlier_frame_along() {
    let root = tempfile::tempdir().unwrap();
    let (whole, torn) = (root.path().join("whole"), root.path().join("torn"));
    let (mut before, mut after) = (0, 0);
    {
        let store = open(&whole);
        let volume = store.create(&name("t"), &config()).unwrap();
        for id in 1..=3 {
            before = after;
            volume.commit(Change::Upsert(vec![point(id, id)])).unwrap();
            after = volume.disk_bytes();
        }
    }
    fs::remove_file(segment(&whole).with_file_name("../LAST")).unwrap();
    // The view of the time before the last frame: a power cut can take it back that far and more.
    fs::remove_dir_all(whole.join("view")).unwrap();
    for length in before..after {
        copy_without_parity(&whole, &torn);
        fs::OpenOptions::new().write(true).open(segment(&torn)).unwrap().set_len(length).unwrap();
        // A write that was torn in the middle may leave anything behind.
        if length % 3 == 1 {
            let mut bytes = fs::read(segment(&torn)).unwrap();
            bytes.extend(vec![if length % 2 == 0 { 0 } else { 0xa5 }; 40]);
            fs::write(segment(&torn), bytes).unwrap();
        }
        let store = open(&torn);
        let volume = only(&store);
        assert_eq!(volume.read_only_reason(), None, "cut at {length}");
        let found: Vec<_> = contents(&volume).into_iter().map(|(_, point)| point).collect();
        assert_eq!(found, [stored(1, 1, 1), stored(2, 2, 2)], "cut at {length}");
        assert_eq!(volume.commit(Change::Upsert(vec![point(8, 8)])).unwrap(), 3);
        drop((volume, store));
        assert_eq!(only(&open(&torn)).vectors(PointId::Num(8)).unwrap(), Some(vectors(8)));
        fs::remove_dir_all(&torn).unwrap();
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_log_is_healed_or_named() {
    let root = tempfile::tempdir().unwrap();
    let (whole, hit) = (root.path().join("whole"), root.path().join("hit"));
    let history = small_store(&whole);
    let bits = fs::metadata(segment(&whole)).unwrap().len() as usize * 8;
    let mut random = SmallRng::seed_from_u64(1);
    let mut outcomes = Vec::new();
    for bit in (0..bits).step_by(83) {
        for (lose_parity, lose_view) in [(false, false), (false, true), (true, false), (true, true)] {
            if lose_parity {
                copy_without_parity(&whole, &hit);
            } else {
                copy_dir(&whole, &hit);
            }
            flip(&segment(&hit), bit);
            if lose_view {
                fs::remove_dir_all(hit.join("view")).unwrap();
            }
            // One of three must know of the last change to tell a damaged frame from a torn one.
            let hints = [hit.join("CLEAN"), segment(&hit).with_file_name("../LAST")];
            fs::remove_file(&hints[random.random_range(0..2)]).unwrap();
            let what = format!("bit {bit}, lost: parity {lose_parity}, view {lose_view}");
            let outcome = examine(&hit, &history, &what);
            assert!(lose_parity || outcome == Outcome::Whole, "{what}: {outcome:?}");
            outcomes.push((lose_parity, outcome));
            fs::remove_dir_all(&hit).unwrap();
        }
    }
    // Without the parity some still heal: what the damage hit was a frame's head, or in the view.
    let whole = outcomes.iter().filter(|outcome| **outcome == (true, Outcome::Whole)).count();
    assert!(whole > 0 && whole < outcomes.len() / 2, "{outcomes:?}");
}

#[test]
fn a_last_frame_that_was_acknowledged_is_never_taken_for_a_torn_one_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let (live, image) = (root.path().join("live"), root.path().join("image"));
    let store = open(&live);
    let volume = store.create(&name("l"), &config()).unwrap();
    for id in 1..=3 {
        volume.commit(Change::Upsert(vec![point(id, id)])).unwrap();
    }
    copy_without_parity(&live, &image);
    fs::remove_dir_all(image.join("view")).unwrap();
    let length = fs::metadata(segment(&image)).unwrap().len();
    fs::OpenOptions::new().write(true).open(segment(&image)).unwrap().set_len(length - 3).unwrap();
    let store = open(&image);
    let reason = only(&store).read_only_reason().unwrap();
    assert!(reason.contains("changes 3 to 3 are lost"), "{reason}");
}

#[test]
fn a_frame_whose_kind_was_flipped_is_never_taken_for_the_other_kind() {
    let root = tempfile::tempdir().unwrap();
    let (whole, hit) = (root.path().join("whole"), root.path().join("hit"));
    let history = small_store(&whole);
    let bytes = fs::read(segment(&whole)).unwrap();
    // An upsert's first record follows its kind and its length; so does a new payload's.
    let records: Vec<usize> =
        (25..bytes.len() - 5).filter(|at| [3, 5].contains(&bytes[*at]) && bytes[at + 9] == b'P').collect();
    assert!(records.len() >= 5, "{records:?}");
    for at in records {
        for lose_view in [false, true] {
            copy_without_parity(&whole, &hit);
            let mut bytes = bytes.clone();
            bytes[at] = 8 - bytes[at];
            fs::write(segment(&hit), bytes).unwrap();
            if lose_view {
                fs::remove_dir_all(hit.join("view")).unwrap();
            }
            let expected = if lose_view { Outcome::ReadOnly } else { Outcome::Whole };
            assert_eq!(examine(&hit, &history, &format!("kind at {at}")), expected);
            fs::remove_dir_all(&hit).unwrap();
        }
    }
}

#[test]
fn a_damaged_payload_or_vector_comes_back_from_the_parity_and_is_named_without_it() {
    let root = tempfile::tempdir().unwrap();
    let (whole, hit) = (root.path().join("whole"), root.path().join("hit"));
    let history = small_store(&whole);
    let bytes = fs::read(segment(&whole)).unwrap();
    let find = |needle: &[u8]| bytes.windows(needle.len()).rposition(|window| window == needle).unwrap();

    copy_dir(&whole, &hit);
    flip(&segment(&hit), find(b"w30") * 8);
    assert_eq!(examine(&hit, &history, "payload of 3"), Outcome::Whole);
    fs::remove_dir_all(&hit).unwrap();

    copy_without_parity(&whole, &hit);
    flip(&segment(&hit), find(b"w30") * 8);
    let reason = only(&open(&hit)).read_only_reason().unwrap();
    assert!(reason.contains("1 points are lost: 3"), "{reason}");
    fs::remove_dir_all(&hit).unwrap();

    copy_without_parity(&whole, &hit);
    let vector: Vec<u8> = vectors(5)[""].iter().flat_map(|component| component.to_le_bytes()).collect();
    flip(&segment(&hit), find(&vector) * 8);
    {
        let store = open(&hit);
        let volume = only(&store);
        let reason = volume.read_only_reason().unwrap();
        assert!(reason.contains("1 points are lost: 5"), "{reason}");
        assert!(matches!(volume.vectors(PointId::Num(5)), Err(Error::Corrupted(_))));
        assert_eq!(volume.vectors(PointId::Num(6)).unwrap(), Some(vectors(6)));
    }
    // It stays so, and without the view the point that shares the frame is there all the same.
    assert_eq!(examine(&hit, &history, "again"), Outcome::ReadOnly);
    fs::remove_dir_all(hit.join("view")).unwrap();
    let store = open(&hit);
    assert!(only(&store).read_only_reason().unwrap().contains("points are lost: 5"));
    assert!(matches!(only(&store).point(PointId::Num(5)), Err(Error::Corrupted(_))));
    assert_eq!(only(&store).len(), 5);
}

#[test]
fn a_damaged_or_missing_view_is_made_again_from_the_log() {
    let root = tempfile::tempdir().unwrap();
    let (whole, hit) = (root.path().join("whole"), root.path().join("hit"));
    let history = small_store(&whole);
    let mut random = SmallRng::seed_from_u64(2);
    for round in 0..40 {
        copy_dir(&whole, &hit);
        let files = ["view/db", "view/conf"].map(|file| hit.join(file));
        let file = &files[usize::from(round % 5 == 4)];
        let mut bytes = fs::read(file).unwrap();
        match round % 4 {
            0 => fs::remove_dir_all(hit.join("view")).unwrap(),
            1 => bytes.truncate(random.random_range(0..bytes.len())),
            2 => {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            _ => {
                let at = random.random_range(0..bytes.len());
                let end = (at + 4096).min(bytes.len());
                random.fill(&mut bytes[at..end]);
            }
        }
        if round % 4 != 0 {
            fs::write(file, bytes).unwrap();
        }
        assert_eq!(examine(&hit, &history, &format!("round {round}")), Outcome::Whole);
        fs::remove_dir_all(&hit).unwrap();
    }
}

#[test]
fn a_damaged_manifest_is_made_again_from_the_segments() {
    let root = tempfile::tempdir().unwrap();
    let history = small_store(root.path());
    let manifest = segment(root.path()).with_file_name("../MANIFEST");
    flip(&manifest, 100);
    assert_eq!(examine(root.path(), &history, "flipped"), Outcome::Whole);
    only(&open(root.path())).compact().unwrap();
    fs::remove_file(&manifest).unwrap();
    let store = open(root.path());
    assert_eq!(only(&store).len(), 6);
    assert_eq!(only(&store).read_only_reason(), None);
}

#[test]
fn a_missing_segment_is_noticed_wherever_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (whole, hit) = (root.path().join("whole"), root.path().join("hit"));
    {
        let store = open(&whole);
        let volume = store.create(&name("s"), &config()).unwrap();
        for round in 0..5 {
            volume.commit(Change::Upsert((0..100).map(|id| point(id + 100 * round, id)).collect())).unwrap();
        }
        store.close().unwrap();
    }
    let log = segment(&whole).parent().unwrap().to_owned();
    let segments: Vec<_> = fs::read_dir(log).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    for lost in &segments {
        for lose_view in [false, true] {
            copy_without_parity(&whole, &hit);
            fs::remove_file(segment(&hit).with_file_name(lost)).unwrap();
            if lose_view {
                fs::remove_dir_all(hit.join("view")).unwrap();
            }
            let store = open(&hit);
            let reason = only(&store).read_only_reason().unwrap();
            assert!(reason.contains("missing"), "{lost:?}: {reason}");
            assert!(contents(&only(&store)).len() < 500);
            drop(store);
            fs::remove_dir_all(&hit).unwrap();
        }
    }
}

#[test]
fn damage_that_comes_to_light_while_running_is_an_error_and_named_after_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    small_store(dir.path());
    let store = open(dir.path());
    let volume = only(&store);
    let bytes = fs::read(segment(dir.path())).unwrap();
    let vector: Vec<u8> = vectors(6)[""].iter().flat_map(|component| component.to_le_bytes()).collect();
    let at = bytes.windows(16).rposition(|window| window == vector).unwrap();
    // In place, as a disk would do it.
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(segment(dir.path())).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    assert!(matches!(volume.vectors(PointId::Num(6)), Err(Error::Corrupted(_))));
    assert_eq!(contents(&volume).len(), 4);
    assert!(volume.read_only_reason().unwrap().ends_with("1 points cannot be read: 6"));
}

const CHILD: &str = "LOOKALIKE_STORAGE_CHILD";

/// Not a test by itself: run by the next one in a process of its own, until it is killed.
#[test]
fn writes_until_killed_when_asked_to() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let store = open(Path::new(&dir));
    let volume = match store.volumes().pop() {
        Some(volume) => volume,
        None => store.create(&name("k"), &config()).unwrap(),
    };
    let first = volume.len();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let volume = &volume;
            scope.spawn(move || {
                for i in 0..1_000_000 {
                    let id = first + i * 4 + thread;
                    let seq = volume.commit(Change::Upsert(vec![point(id, id), point(1 << 40, id)])).unwrap();
                    println!("acknowledged {id} {seq}");
                }
            });
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "storage::tests::damage::writes_until_killed_when_asked_to"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wanted = 60 + 37 * round;
        while wanted > 0 {
            let line = lines.next().expect("the child ended by itself").unwrap();
            if let Some(rest) = line.strip_prefix("acknowledged ") {
                let (id, seq) = rest.split_once(' ').unwrap();
                acknowledged.push((id.parse::<u64>().unwrap(), seq.parse::<u64>().unwrap()));
                wanted -= 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(dir.path());
        let volume = only(&store);
        assert_eq!(volume.read_only_reason(), None);
        let last = acknowledged.iter().map(|(_, seq)| *seq).max().unwrap();
        assert!(volume.version(PointId::Num(1 << 40)).unwrap().unwrap() >= last);
        for (id, seq) in &acknowledged {
            let found = volume.point(PointId::Num(*id)).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            assert!(found.version >= *seq);
            assert_eq!(found.vectors, vectors(*id));
        }
    }
}
