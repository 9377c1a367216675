//! The pictures of an evaluation, from a folder or a JSONL file. Invariants: what cannot be used
//! is named in `problems` and left out; the pictures stand in a seeded random order, so that an
//! order by label helps no tie; captions and labels point to pictures that are there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Map, Value};

use super::classes::{ClassFile, MAX_CLASSES};
use super::model::Run;

/// Most lines of a JSONL file, or files of a folder.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest line, bytes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// Most captions of one picture.
const MAX_CAPTIONS_EACH: usize = 20;
/// Names of files that are taken for pictures in a folder.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];

/// Where the pictures come from.
pub struct Source<'a> {
    pub path: &'a Path,
    pub label_field: &'a str,
    pub caption_field: Option<&'a str>,
    pub max_pictures: usize,
    pub max_captions: usize,
    /// Largest picture file.
    pub max_bytes: u64,
    pub seed: u64,
}

/// One picture.
pub struct Picture {
    /// As it is named in the source.
    pub file: String,
    pub path: PathBuf,
    /// Number of its label.
    pub label: Option<u32>,
}

/// One caption and its picture's index.
pub struct Caption {
    pub picture: usize,
    pub text: String,
}

/// What is measured on.
pub struct Dataset {
    pub pictures: Vec<Picture>,
    pub captions: Vec<Caption>,
    /// By number, in alphabetical order.
    pub labels: Vec<String>,
    /// Files and lines that are left out, each with its reason.
    pub problems: Vec<String>,
    /// Usable pictures of the source, of which at most `max_pictures` were taken.
    pub found: usize,
}

/// A picture as the source has it.
#[derive(Default)]
struct Entry {
    path: PathBuf,
    label: Option<String>,
    captions: Vec<String>,
}

#[derive(Default)]
struct Found {
    entries: BTreeMap<String, Entry>,
    problems: Vec<String>,
}

/// Reads the source.
///
/// # Errors
/// Where it cannot be read as a whole, or nothing usable is in it.
pub fn read(source: &Source<'_>, classes: Option<&ClassFile>) -> anyhow::Result<Dataset> {
    let metadata =
        fs::metadata(source.path).with_context(|| format!("cannot read {}", source.path.display()))?;
    let mut found = if metadata.is_dir() { read_folder(source.path)? } else { read_lines(source)? };
    let problems = &mut found.problems;
    found.entries.retain(|file, entry| {
        let reason = unusable(entry, source.max_bytes, classes);
        problems.extend(reason.iter().map(|reason| format!("{file}: {reason}")));
        reason.is_none()
    });
    let mut entries: Vec<(String, Entry)> = found.entries.into_iter().collect();
    let usable = entries.len();
    entries.shuffle(&mut SmallRng::seed_from_u64(source.seed));
    entries.truncate(source.max_pictures);
    let mut labels: Vec<String> = entries.iter().filter_map(|(_, entry)| entry.label.clone()).collect();
    labels.sort();
    labels.dedup();
    if labels.len() > MAX_CLASSES {
        bail!(
            "{} has {} labels, at most {MAX_CLASSES}; choose some with --classes",
            source.path.display(),
            labels.len()
        );
    }
    if usable < 2 {
        let first = found
            .problems
            .first()
            .map_or(String::new(), |problem| format!("; the first that was left out: {problem}"));
        bail!("{} has {usable} usable pictures, at least 2 are needed{first}", source.path.display());
    }
    let captions = captions(&entries, source.max_captions);
    let number = |label: &String| labels.binary_search(label).ok().map(|i| i as u32);
    let pictures = entries
        .into_iter()
        .map(|(file, entry)| Picture { file, path: entry.path, label: entry.label.as_ref().and_then(number) })
        .collect();
    Ok(Dataset { pictures, captions, labels, problems: found.problems, found: usable })
}

/// The first caption of every picture, then the second of every picture, and so on.
fn captions(entries: &[(String, Entry)], most: usize) -> Vec<Caption> {
    let rounds = entries.iter().map(|(_, entry)| entry.captions.len()).max().unwrap_or(0);
    (0..rounds)
        .flat_map(|round| {
            entries.iter().enumerate().filter_map(move |(picture, (_, entry))| {
                entry.captions.get(round).map(|text| Caption { picture, text: text.clone() })
            })
        })
        .take(most)
        .collect()
}

fn unusable(entry: &Entry, max_bytes: u64, classes: Option<&ClassFile>) -> Option<String> {
    if let (Some(label), Some(classes)) = (&entry.label, classes)
        && !classes.knows(label)
    {
        return Some(format!("its label `{label}` is not among the classes"));
    }
    match fs::metadata(&entry.path) {
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok(metadata) if !metadata.is_file() => Some("is no file".to_owned()),
        Ok(metadata) if metadata.len() > max_bytes => {
            Some(format!("has {} bytes, at most {max_bytes}", metadata.len()))
        }
        Ok(_) => None,
    }
}

fn sorted(dir: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for item in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let item = item.with_context(|| format!("cannot read {}", dir.display()))?;
        let name = item.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            all.push((name, item.path()));
        }
        if all.len() > MAX_ENTRIES {
            bail!("{} has more than {MAX_ENTRIES} files", dir.display());
        }
    }
    all.sort();
    Ok(all)
}

fn read_folder(root: &Path) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for (label, dir) in sorted(root)? {
        if !dir.is_dir() {
            found.problems.push(format!("{label}: lies in no label's folder; expected ROOT/LABEL/picture"));
            continue;
        }
        for (name, path) in sorted(&dir)? {
            let file = format!("{label}/{name}");
            let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            if path.is_dir() {
                found.problems.push(format!("{file}: is a folder within a label's folder"));
            } else if !ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                found.problems.push(format!("{file}: its name ends in none of {}", ENDINGS.join(", ")));
            } else {
                found.entries.insert(file, Entry { path, label: Some(label.clone()), captions: Vec::new() });
            }
        }
        if found.entries.len() > MAX_ENTRIES {
            bail!("{} has more than {MAX_ENTRIES} pictures", root.display());
        }
    }
    Ok(found)
}

fn read_lines(source: &Source<'_>) -> anyhow::Result<Found> {
    let place = source.path.display();
    let file = File::open(source.path).with_context(|| format!("cannot read {place}"))?;
    let base = source.path.parent().unwrap_or(Path::new("."));
    let mut reader = BufReader::new(file);
    let mut found = Found::default();
    let mut line = Vec::new();
    for number in 1.. {
        if number > MAX_ENTRIES {
            bail!("{place} has more than {MAX_ENTRIES} lines");
        }
        line.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {place}"))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            bail!(
                "{place}: line {number} is longer than {MAX_LINE_BYTES} bytes; expected one JSON object a line"
            );
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Err(problem) = take_line(source, base, &line, &mut found.entries) {
            found.problems.push(format!("line {number}: {problem}"));
        }
    }
    Ok(found)
}

/// Takes one line in; the error says what is wrong with it and names its file where it has one.
fn take_line(
    source: &Source<'_>,
    base: &Path,
    line: &[u8],
    entries: &mut BTreeMap<String, Entry>,
) -> Result<(), String> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("is no JSON object: {error}"))?;
    let Some(Value::String(file)) = object.get("file") else {
        return Err("has no `file`, the picture's path relative to this list".to_owned());
    };
    let label = match object.get(source.label_field) {
        None | Some(Value::Null) => None,
        Some(Value::String(label)) if !label.trim().is_empty() => Some(label.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(flag)) => Some(flag.to_string()),
        Some(other) => return Err(format!("{file}: `{}` is {other}, expected a text", source.label_field)),
    };
    let field = source
        .caption_field
        .or_else(|| ["captions", "caption"].into_iter().find(|&f| object.contains_key(f)));
    let captions = match field.and_then(|field| object.get(field)) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(caption)) => vec![caption.clone()],
        Some(Value::Array(items)) => {
            let texts =
                items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect::<Option<Vec<_>>>();
            texts.ok_or_else(|| format!("{file}: `{}` holds what is no text", field.unwrap_or_default()))?
        }
        Some(_) => {
            return Err(format!(
                "{file}: `{}` is neither a text nor a list of texts",
                field.unwrap_or_default()
            ));
        }
    };
    if label.is_none() && captions.is_empty() {
        return Err(format!("{file}: has neither `{}` nor a caption", source.label_field));
    }
    let entry =
        entries.entry(file.clone()).or_insert_with(|| Entry { path: base.join(file), ..Entry::default() });
    if let (Some(old), Some(new)) = (&entry.label, &label)
        && old != new
    {
        return Err(format!("{file}: is labelled `{new}` here and `{old}` before; the first stays"));
    }
    entry.label = entry.label.take().or(label);
    entry.captions.extend(captions.into_iter().filter(|caption| !caption.trim().is_empty()));
    entry.captions.truncate(MAX_CAPTIONS_EACH);
    Ok(())
}

impl Dataset {
    /// Leaves out the pictures that some model could not read, here and in the runs.
    ///
    /// # Errors
    /// Where fewer than two are left.
    pub fn keep_usable(&mut self, runs: &mut [Run]) -> anyhow::Result<()> {
        let keep: Vec<bool> =
            (0..self.pictures.len()).map(|i| runs.iter().all(|run| !run.pictures[i].is_empty())).collect();
        let mut kept_before = 0;
        let place = |&kept: &bool| {
            let place = kept_before;
            kept_before += usize::from(kept);
            place
        };
        let places: Vec<usize> = keep.iter().map(place).collect();
        let stay: Vec<bool> = self.captions.iter().map(|caption| keep[caption.picture]).collect();
        filter(&mut self.pictures, &keep);
        for run in runs.iter_mut() {
            filter(&mut run.pictures, &keep);
            run.sets.iter_mut().for_each(|set| filter(&mut set.captions, &stay));
        }
        filter(&mut self.captions, &stay);
        for caption in &mut self.captions {
            caption.picture = places[caption.picture];
        }
        if self.pictures.len() < 2 {
            bail!("{} pictures could be read, at least 2 are needed", self.pictures.len());
        }
        Ok(())
    }
}

fn filter<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut flags = keep.iter();
    items.retain(|_| flags.next().copied().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> (BTreeMap<String, Entry>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.jsonl");
        fs::write(&path, text).unwrap();
        let source = Source {
            path: &path,
            label_field: "label",
            caption_field: None,
            max_pictures: 10,
            max_captions: 10,
            max_bytes: 100,
            seed: 1,
        };
        let found = read_lines(&source).unwrap();
        (found.entries, found.problems)
    }

    #[test]
    fn lines_that_cannot_be_used_are_named_and_the_others_kept() {
        let (entries, problems) = lines(concat!(
            "{\"file\": \"a.jpg\", \"label\": \"cup\", \"captions\": [\"one\", \"two\"]}\n",
            "not json\n\n",
            "{\"label\": \"cup\"}\n",
            "{\"file\": \"b.jpg\"}\n",
            "{\"file\": \"a.jpg\", \"label\": \"mug\"}\n",
            "{\"file\": \"c.jpg\", \"label\": [1]}\n",
            "{\"file\": \"a.jpg\", \"caption\": \"three\"}",
        ));
        assert_eq!(entries["a.jpg"].captions, ["one", "two", "three"]);
        assert_eq!(entries["a.jpg"].label.as_deref(), Some("cup"));
        let expected = [
            "line 2",
            "line 4: has no `file`",
            "line 5: b.jpg: has neither",
            "line 6: a.jpg: is labelled `mug`",
            "line 7: c.jpg",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(expected) {
            assert!(problem.starts_with(start), "{problem} for {start}");
        }
    }

    #[test]
    fn captions_are_taken_from_all_pictures_before_a_second_of_one() {
        let entry = |captions: &[&str]| {
            (
                String::new(),
                Entry { captions: captions.iter().map(|&c| c.to_owned()).collect(), ..Entry::default() },
            )
        };
        let taken = captions(&[entry(&["a1", "a2"]), entry(&[]), entry(&["c1"])], 3);
        let texts: Vec<&str> = taken.iter().map(|caption| caption.text.as_str()).collect();
        assert_eq!(texts, ["a1", "c1", "a2"]);
        assert_eq!(taken[1].picture, 2);
    }
}
