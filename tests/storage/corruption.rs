//! One damage of any kind to one file of any kind: nothing wrong is ever read, nearly everything
//! heals, and what does not is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lookalike::error::Error;
use lookalike::storage::{Change, Store};
use lookalike::types::PointId;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::workload::{
    after, build, config, contents, copy_dir, holds, is_point, options, point, scratch, volume,
};
use super::{rounds, row, seed};

const CHANGES: usize = 240;

/// What happens to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    FlippedBit,
    Zeroed4KiB,
    Random4KiB,
    CutShort,
    Deleted,
    /// The file as it was some time ago, or its counterpart before the last compaction.
    OfAnotherTime,
    /// The counterpart in another collection.
    OfAnotherCollection,
    /// Exchanged with another segment.
    Swapped,
}

pub const KINDS: [Damage; 8] = [
    Damage::FlippedBit,
    Damage::Zeroed4KiB,
    Damage::Random4KiB,
    Damage::CutShort,
    Damage::Deleted,
    Damage::OfAnotherTime,
    Damage::OfAnotherCollection,
    Damage::Swapped,
];

/// What opening the store came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Healed,
    Named,
    Refused,
}

/// All files with something in them, below `dir`.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The file in another store that stands for the same thing.
fn counterpart(path: &Path, store: &Path, other: &Path, random: &mut SmallRng) -> Option<PathBuf> {
    let same = other.join(path.strip_prefix(store).unwrap());
    if same.exists() {
        return Some(same);
    }
    let of_kind: Vec<_> = files(other)
        .into_iter()
        .filter(|candidate| {
            candidate.extension() == path.extension()
                && (path.extension().is_some() || candidate.file_name() == path.file_name())
        })
        .collect();
    of_kind.choose(random).cloned()
}

/// The stores that a damaged one is made from.
pub struct Sources {
    _root: tempfile::TempDir,
    pub clean: PathBuf,
    pub killed: PathBuf,
    earlier: PathBuf,
    other: PathBuf,
}

impl Sources {
    pub fn new(seed: u64) -> Self {
        let root = scratch();
        let path = |name: &str| root.path().join(name);
        let (clean, killed, earlier, other) = (path("clean"), path("killed"), path("earlier"), path("other"));
        // Some time ago: half of the changes, and the log before it was compacted.
        build(&clean, seed, CHANGES, || copy_dir(&clean, &earlier), || copy_dir(&clean, &killed));
        build(&other, seed ^ 1, CHANGES, || (), || ());
        Self { _root: root, clean, killed, earlier, other }
    }

    /// Damages one file of the store in `image`; says what was done.
    pub fn damage(&self, image: &Path, kind: Damage, random: &mut SmallRng) -> String {
        let all = files(image);
        // Half by file, half by size.
        let path = if random.random_bool(0.5) {
            all.choose(random).unwrap().clone()
        } else {
            all.choose_weighted(random, |path| path.metadata().unwrap().len()).unwrap().clone()
        };
        let mut bytes = fs::read(&path).unwrap();
        let at = random.random_range(0..bytes.len());
        let page = at / 4096 * 4096..(at / 4096 * 4096 + 4096).min(bytes.len());
        match kind {
            Damage::FlippedBit => bytes[at] ^= 1 << random.random_range(0..8),
            Damage::Zeroed4KiB => bytes[page].fill(0),
            Damage::Random4KiB => random.fill(&mut bytes[page]),
            Damage::CutShort => bytes.truncate(at),
            Damage::OfAnotherTime | Damage::OfAnotherCollection => {
                let from = if kind == Damage::OfAnotherTime { &self.earlier } else { &self.other };
                if let Some(other) = counterpart(&path, image, from, random) {
                    bytes = fs::read(other).unwrap();
                }
            }
            Damage::Swapped => {
                let alike: Vec<_> = all
                    .iter()
                    .filter(|other| other.extension() == path.extension() && **other != path)
                    .collect();
                if let Some(other) = alike.choose(random) {
                    fs::write(&path, fs::read(other).unwrap()).unwrap();
                    fs::write(other, &bytes).unwrap();
                    return format!("{} <-> {}", path.display(), other.display());
                }
            }
            Damage::Deleted => {}
        }
        if kind == Damage::Deleted {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, bytes).unwrap();
        }
        format!("{} at {at}", path.display())
    }
}

#[test]
fn one_damage_to_any_file_is_healed_or_named_and_never_read() {
    let seed = seed("corruption");
    let rounds = rounds("CORRUPTIONS", 400, 10_000);
    let sources = Sources::new(seed);
    let (model, history) = after(seed, CHANGES);
    let mut random = SmallRng::seed_from_u64(seed);
    let work = scratch();
    let mut outcomes = BTreeMap::<(Damage, Outcome), u64>::new();
    for round in 0..rounds {
        let image = work.path().join("image");
        copy_dir(if round % 2 == 0 { &sources.clean } else { &sources.killed }, &image);
        let kind = KINDS[random.random_range(0..KINDS.len())];
        let place = sources.damage(&image, kind, &mut random);
        let what = format!("seed {seed}, round {round}: {kind:?} of {place}");
        let outcome = match Store::open(&image, options()) {
            Err(Error::Corrupted(text) | Error::Unavailable(text)) => {
                println!("{what}: refused: {text}");
                Outcome::Refused
            }
            Err(error) => panic!("{what}: {error}"),
            Ok(store) => {
                let volume = volume(&store).unwrap_or_else(|| panic!("{what}: the collection is gone"));
                let found = contents(&volume);
                match volume.read_only_reason() {
                    None => {
                        assert!(holds(&found, &model), "{what}: writable and not whole");
                        assert_eq!(volume.config(), config(), "{what}");
                        volume.commit(Change::Upsert(vec![point(PointId::Num(9999), 1)])).unwrap();
                        Outcome::Healed
                    }
                    Some(reason) => {
                        for (id, point) in &found {
                            let known =
                                history.get(id).is_some_and(|h| h.iter().any(|s| is_point(point, *s)));
                            assert!(known, "{what}: {id} was never that");
                        }
                        println!("{what}: {reason}");
                        Outcome::Named
                    }
                }
            }
        };
        *outcomes.entry((kind, outcome)).or_default() += 1;
        fs::remove_dir_all(&image).unwrap();
    }
    println!("{outcomes:?}");
    let count = |outcome| outcomes.iter().filter(|((_, o), _)| *o == outcome).map(|(_, n)| n).sum::<u64>();
    let (healed, named, refused) = (count(Outcome::Healed), count(Outcome::Named), count(Outcome::Refused));
    let share = healed as f64 * 100.0 / rounds as f64;
    row(
        "random corruptions of any file",
        rounds,
        &format!(
            "{healed} healed ({share:.2} %), {named} read-only and named, {refused} refused, 0 silent wrong answers"
        ),
    );
    assert!(share >= 99.0, "only {share:.2} % healed");
}
