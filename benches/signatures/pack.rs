//! A data pack of signatures: who signed what, and which comparisons its protocol makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A picture.
pub struct Picture {
    pub path: PathBuf,
    pub writer: String,
    pub genuine: bool,
    /// The same file stands elsewhere too.
    pub duplicate: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Genuine,
    Skilled,
    Random,
}

/// References in their order, and probes, of one writer and seed; pictures by their number.
#[derive(Default)]
pub struct Claim {
    pub references: Vec<usize>,
    pub probes: Vec<(usize, Kind)>,
}

/// A pack.
pub struct Pack {
    pub name: String,
    pub pictures: Vec<Picture>,
    /// Writer to fold.
    pub folds: BTreeMap<String, String>,
    /// By seed and writer.
    pub claims: BTreeMap<(u32, String), Claim>,
}

/// Rows of a file as maps from column to value; the packs quote nothing.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().map(Iterator::collect).unwrap_or_default();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

impl Pack {
    /// Reads it; `None` where it is not there.
    pub fn open(root: &Path, name: &str) -> Option<Pack> {
        let directory = root.join(name);
        if !directory.join("trials.csv").is_file() {
            return None;
        }
        let duplicates: BTreeSet<String> =
            rows(&directory.join("duplicates.csv")).iter().map(|row| row["file"].clone()).collect();
        let mut numbers = BTreeMap::new();
        let mut pictures = Vec::new();
        for row in rows(&directory.join("manifest.csv")) {
            numbers.insert(row["file"].clone(), pictures.len());
            pictures.push(Picture {
                path: directory.join(&row["file"]),
                writer: row["writer"].clone(),
                genuine: row["kind"] == "genuine",
                duplicate: duplicates.contains(&row["file"]),
            });
        }
        let seed = |row: &BTreeMap<String, String>| row["seed"].parse::<u32>().expect("seeds are numbers");
        let mut claims: BTreeMap<(u32, String), Claim> = BTreeMap::new();
        for row in rows(&directory.join("refs.csv")) {
            let claim = claims.entry((seed(&row), row["writer"].clone())).or_default();
            claim.references.push(numbers[&row["file"]]);
        }
        for row in rows(&directory.join("trials.csv")) {
            let kind = match row["kind"].as_str() {
                "genuine" => Kind::Genuine,
                "skilled" => Kind::Skilled,
                _ => Kind::Random,
            };
            let claim = claims.entry((seed(&row), row["claimed_writer"].clone())).or_default();
            claim.probes.push((numbers[&row["probe"]], kind));
        }
        let folds = rows(&directory.join("writers.csv"));
        let folds = folds.into_iter().map(|row| (row["writer"].clone(), row["fold"].clone())).collect();
        Some(Pack { name: name.to_owned(), pictures, folds, claims })
    }

    /// Writers of a fold, or all.
    pub fn writers(&self, fold: Option<&str>) -> Vec<&str> {
        let wanted = |(_, of): &(&String, &String)| fold.is_none_or(|fold| of.as_str() == fold);
        self.folds.iter().filter(wanted).map(|(writer, _)| writer.as_str()).collect()
    }

    pub fn seeds(&self) -> BTreeSet<u32> {
        self.claims.keys().map(|(seed, _)| *seed).collect()
    }
}
