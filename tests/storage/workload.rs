//! What the store under test is asked to do: changes that follow from a seed alone, so that the
//! state after so many acknowledged changes is known to everybody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lookalike::error::Error;
use lookalike::storage::{Change, Store, StoreOptions, StoredPoint, Volume};
use lookalike::types::{
    CollectionConfig, CollectionName, Distance, NamedVectors, Payload, PictureKind, Pictures, Point, PointId,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const IDS: u64 = 120;

/// Small segments and a small cache, compaction only when asked for.
pub fn options() -> StoreOptions {
    StoreOptions {
        view_cache_bytes: 4 << 20,
        segment_bytes: 16 * 1024,
        min_free_disk_bytes: 0,
        compact_from_bytes: 1 << 40,
        ..StoreOptions::default()
    }
}

pub fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

pub fn config() -> CollectionConfig {
    CollectionConfig::single(16, Distance::Dot)
}

/// What a point holds: the seed of its vector, and of its payload.
pub type Seeds = (u64, u64);
/// What a collection holds.
pub type Model = BTreeMap<PointId, Seeds>;

fn vectors(seed: u64) -> NamedVectors {
    NamedVectors::from([(String::new(), (0..16).map(|i| (seed * 7 + i) as f32 / 3.0).collect())])
}

fn payload(seed: u64) -> Payload {
    let text = "x".repeat(seed as usize % 60);
    Payload::from_iter([("seed".to_owned(), seed.into()), ("text".to_owned(), text.into())])
}

pub fn point(id: PointId, seed: u64) -> Point {
    Point { id, vectors: vectors(seed), payload: payload(seed) }
}

/// What is kept of the picture of a point that was written with this seed: nothing by most changes.
fn pictures(seed: u64) -> Pictures {
    if !is_pictured(seed / 1000) || seed.is_multiple_of(3) {
        return Pictures::default();
    }
    let file = |length: usize| Some((0..length).map(|i| (seed as usize * 31 + i) as u8).collect());
    let original = seed.is_multiple_of(2).then(|| file(900)).flatten();
    Pictures { thumbnail: file(200 + seed as usize % 300), original }
}

fn is_pictured(step: u64) -> bool {
    matches!(step % 10, 1 | 6)
}

/// A point's pictures are those that were written with its vectors, or are named as damaged; always, if the point is lost in part.
fn check_pictures(volume: &Volume, id: PointId, point: &StoredPoint) {
    let reason = volume.read_only_reason().unwrap_or_default();
    let named = reason.rsplit_once("points are lost: ").map_or("", |(_, ids)| ids);
    if named.split(", ").any(|lost| lost == id.to_string()) {
        for kind in PictureKind::ALL {
            let found = volume.picture(id, kind);
            assert!(
                matches!(found, Err(Error::Corrupted(_))),
                "{kind} of point {id}, which is lost: {found:?}"
            );
        }
        return;
    }
    // Of points that are not of this workload, and of those whose seed f32 does not hold exactly, nothing is known.
    let Some(first) = point.vectors.get("").and_then(|vector| vector.first()) else { return };
    let seed = (f64::from(*first) * 3.0 / 7.0).round() as u64;
    if seed > 1 << 21 || point.vectors != vectors(seed) {
        return;
    }
    let expected = pictures(seed);
    for kind in PictureKind::ALL {
        match volume.picture(id, kind) {
            Ok(found) => assert_eq!(found.as_ref(), expected.get(kind), "{kind} of point {id}, seed {seed}"),
            Err(error) => assert!(!reason.is_empty(), "{kind} of point {id}: {error}"),
        }
    }
}

/// The changes of a seed, one after the other.
pub struct Changes {
    random: SmallRng,
    step: u64,
}

impl Changes {
    pub fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), step: 0 }
    }
}

impl Iterator for Changes {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.step += 1;
        let seed = self.step * 1000;
        let random = &mut self.random;
        let mut ids = |most: u64| -> Vec<PointId> {
            let count = random.random_range(1..=most);
            let mut ids: Vec<u64> = (0..count).map(|_| random.random_range(0..IDS)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().map(PointId::Num).collect()
        };
        let seeded = |ids: Vec<PointId>| ids.into_iter().zip(seed..);
        Some(match self.step % 10 {
            3 | 7 => Change::SetPayload(seeded(ids(5)).map(|(id, seed)| (id, payload(seed))).collect()),
            5 => Change::Delete(ids(3)),
            step if is_pictured(step) => {
                let points: Vec<_> = seeded(ids(8)).map(|(id, seed)| point(id, seed)).collect();
                let kept = points.iter().map(|point| pictures(seed_of(&point.payload))).collect();
                Change::Pictured(points, kept)
            }
            _ => Change::Upsert(seeded(ids(8)).map(|(id, seed)| point(id, seed)).collect()),
        })
    }
}

/// Every vector and payload that was ever sent for a point, whether or not it was there then.
pub fn sent(seed: u64, changes: usize) -> BTreeMap<PointId, Vec<Seeds>> {
    let mut sent = BTreeMap::<PointId, Vec<Seeds>>::new();
    let mut note = |id: PointId, seeds: Seeds| sent.entry(id).or_default().push(seeds);
    for change in Changes::new(seed).take(changes) {
        match change {
            Change::Upsert(points) | Change::Pictured(points, _) => points.iter().for_each(|point| {
                let seed = seed_of(&point.payload);
                note(point.id, (seed, seed));
            }),
            Change::SetPayload(payloads) => {
                payloads.iter().for_each(|(id, payload)| note(*id, (u64::MAX / 8, seed_of(payload))));
            }
            Change::Delete(_) | Change::Configure(_) => {}
        }
    }
    sent
}

fn seed_of(payload: &Payload) -> u64 {
    payload["seed"].as_u64().unwrap()
}

/// Repeats a change on what a collection should hold.
pub fn apply(model: &mut Model, change: &Change) {
    match change {
        Change::Upsert(points) | Change::Pictured(points, _) => points.iter().for_each(|point| {
            let seed = seed_of(&point.payload);
            model.insert(point.id, (seed, seed));
        }),
        Change::SetPayload(payloads) => payloads.iter().for_each(|(id, payload)| {
            if let Some(seeds) = model.get_mut(id) {
                seeds.1 = seed_of(payload);
            }
        }),
        Change::Delete(ids) => ids.iter().for_each(|id| {
            model.remove(id);
        }),
        Change::Configure(_) => {}
    }
}

/// The state after so many changes, and every state that a point ever had until then.
pub fn after(seed: u64, changes: usize) -> (Model, BTreeMap<PointId, Vec<Seeds>>) {
    let (mut model, mut history) = (Model::new(), BTreeMap::<PointId, Vec<Seeds>>::new());
    for change in Changes::new(seed).take(changes) {
        apply(&mut model, &change);
        for (id, seeds) in &model {
            let known = history.entry(*id).or_default();
            if known.last() != Some(seeds) {
                known.push(*seeds);
            }
        }
    }
    (model, history)
}

pub fn is_point(found: &StoredPoint, (vector, seed): Seeds) -> bool {
    is_vector(found, vector) && is_payload(found, seed)
}

pub fn is_vector(found: &StoredPoint, seed: u64) -> bool {
    found.vectors == vectors(seed)
}

pub fn is_payload(found: &StoredPoint, seed: u64) -> bool {
    found.payload == payload(seed)
}

/// Everything that a scan finds.
pub fn contents(volume: &Volume) -> BTreeMap<PointId, StoredPoint> {
    let mut found = BTreeMap::new();
    let scanned = volume.scan(|id, point| {
        check_pictures(volume, id, &point);
        found.insert(id, point);
        Ok(())
    });
    scanned.unwrap();
    found
}

/// True where the collection holds exactly this.
pub fn holds(found: &BTreeMap<PointId, StoredPoint>, model: &Model) -> bool {
    found.len() == model.len()
        && model.iter().all(|(id, seeds)| found.get(id).is_some_and(|point| is_point(point, *seeds)))
}

/// The collection that the workload writes.
pub fn volume(store: &Store) -> Option<Arc<Volume>> {
    store.volumes().into_iter().find(|volume| volume.name().as_str() == "c")
}

/// A store after `changes` changes, compacted halfway; `halfway` and `at_end` are called while it
/// is open, before the compaction and before the stop.
pub fn build(dir: &Path, seed: u64, changes: usize, halfway: impl FnOnce(), at_end: impl FnOnce()) {
    let store = Store::open(dir, options()).unwrap();
    let volume = store.create(&name("c"), &config()).unwrap();
    let mut all = Changes::new(seed);
    all.by_ref().take(changes / 2).for_each(|change| assert!(volume.commit(change).is_ok()));
    halfway();
    volume.compact().unwrap();
    all.take(changes - changes / 2).for_each(|change| assert!(volume.commit(change).is_ok()));
    at_end();
    store.close().unwrap();
}

/// The files as they stand: what a killed process leaves behind.
pub fn copy_dir(from: &Path, to: &Path) {
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

/// A temporary directory in memory where there is one: thousands of small stores are opened.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
