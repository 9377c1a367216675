//! What can be imported, and how each kind is told from the others: folders, patterns and picture
//! files; tar archives and WebDataset shards; JSON lines and Parquet files of pictures; and files
//! of points as `export` writes them, which need no model.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;
use walkdir::WalkDir;

use super::item::{Content, Entry, Item, is_picture};
use super::{rows, shard, table};
use crate::types::Payload;

/// Most pictures of a folder or pattern, whose paths are held in memory.
const MAX_FILES: usize = 10_000_000;

/// Names of the fields that rows keep their content in, where the usual ones are not theirs.
#[derive(Clone, Default)]
pub struct FieldNames {
    /// The field with the picture: its path, base64 or bytes.
    pub picture: Option<String>,
    /// The field with the text.
    pub text: Option<String>,
}

/// A picture file that was found.
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What the payload calls it: below the folder that was named.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// Something to import.
pub enum Source {
    /// Picture files.
    Pictures(Vec<Found>),
    /// A tar archive.
    Shard(PathBuf),
    /// JSON lines of pictures or texts.
    Rows(PathBuf),
    /// Parquet rows of pictures or texts.
    Table(PathBuf),
    /// Points as `export` writes them.
    Points(PathBuf),
}

impl Source {
    /// What `text` names: a path, or a pattern where there is no such path.
    ///
    /// # Errors
    /// What is wrong, and what can be imported.
    pub fn open(text: &str) -> anyhow::Result<Self> {
        let path = Path::new(text);
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(_) if text.contains(['*', '?', '[']) => return Ok(Self::Pictures(matching(text)?)),
            Err(error) => return Err(error).with_context(|| format!("{text} cannot be opened")),
        };
        if metadata.is_dir() {
            return Ok(Self::Pictures(below(path)?));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let path = path.to_owned();
        Ok(if is_picture(&path) {
            Self::Pictures(vec![found(&path, Path::new(""))?])
        } else if [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending)) {
            Self::Shard(path)
        } else if name.ends_with(".parquet") {
            if table::holds_points(&path)? { Self::Points(path) } else { Self::Table(path) }
        } else if [".jsonl", ".ndjson", ".json"].iter().any(|ending| name.ends_with(ending)) {
            if first_line(&path)?.get("vector").is_some() { Self::Points(path) } else { Self::Rows(path) }
        } else {
            bail!(
                "{text}: expected a folder, pictures (jpg, png, webp, gif), .tar, .tar.gz, .jsonl or .parquet"
            )
        })
    }

    /// Bytes that there are to read: what the progress is measured by.
    pub fn weight(&self) -> u64 {
        match self {
            Self::Pictures(files) => files.iter().map(|file| file.size).sum(),
            Self::Shard(path) | Self::Rows(path) | Self::Table(path) | Self::Points(path) => {
                std::fs::metadata(path).map_or(0, |metadata| metadata.len())
            }
        }
    }

    /// Hands over one entry after the other, in a fixed order; ends with the first error of `then`.
    ///
    /// # Errors
    /// Of `then`, and where the source itself cannot be read on.
    pub fn each(
        self,
        fields: &FieldNames,
        then: &mut dyn FnMut(Entry) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Pictures(files) => files.into_iter().try_for_each(|file| then(Entry::Good(file.into()))),
            Self::Shard(path) => shard::each(&path, then),
            Self::Rows(path) => rows::each(&path, fields, then),
            Self::Table(path) => table::each(&path, fields, then),
            Self::Points(path) => bail!("{} holds points, not pictures", path.display()),
        }
    }
}

impl From<Found> for Item {
    fn from(found: Found) -> Self {
        let payload = Payload::from_iter([("file".to_owned(), found.name.clone().into())]);
        Item { name: found.name, id: None, payload, content: Content::File(found.path), weight: found.size }
    }
}

/// A picture file, named as it stands below `root`.
pub fn found(path: &Path, root: &Path) -> anyhow::Result<Found> {
    let size = std::fs::metadata(path).with_context(|| format!("{} cannot be opened", path.display()))?.len();
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let name = match below {
        Some(below) if !root.as_os_str().is_empty() => below.to_string_lossy(),
        _ => path.file_name().unwrap_or_default().to_string_lossy(),
    };
    Ok(Found { path: path.to_owned(), name: name.replace('\\', "/"), size })
}

/// The pictures below a folder, in the order of their paths. Links to folders are not followed, and
/// what begins with a dot is left out.
fn below(root: &Path) -> anyhow::Result<Vec<Found>> {
    let is_shown = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_shown) {
        let entry = entry.with_context(|| format!("{} cannot be read", root.display()))?;
        if is_picture(entry.path()) && entry.path().is_file() {
            files.push(found(entry.path(), root)?);
        }
        check_count(files.len())?;
    }
    if files.is_empty() {
        bail!("there are no pictures (jpg, png, webp, gif) in {}", root.display());
    }
    Ok(files)
}

fn matching(pattern: &str) -> anyhow::Result<Vec<Found>> {
    // What stands before the first wildcard is the folder that names are below.
    let fixed = pattern.split(['*', '?', '[']).next().unwrap_or_default();
    let root = fixed.rfind('/').map_or(Path::new(""), |end| Path::new(&fixed[..end]));
    let mut files = Vec::new();
    for path in glob::glob(pattern).with_context(|| format!("pattern {pattern}"))? {
        let path = path.with_context(|| format!("pattern {pattern}"))?;
        if is_picture(&path) && path.is_file() {
            files.push(found(&path, root)?);
        }
        check_count(files.len())?;
    }
    if files.is_empty() {
        bail!("no pictures (jpg, png, webp, gif) match {pattern}");
    }
    Ok(files)
}

fn check_count(count: usize) -> anyhow::Result<()> {
    if count > MAX_FILES {
        bail!("more than {MAX_FILES} pictures; import the folders one by one");
    }
    Ok(())
}

/// The first line of a JSON lines file that is not empty, as JSON.
fn first_line(path: &Path) -> anyhow::Result<Value> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut reader = BufReader::new(file.take(rows::MAX_LINE));
    let mut line = String::new();
    while line.trim().is_empty() {
        line.clear();
        if reader.read_line(&mut line).with_context(|| format!("{}: line 1", path.display()))? == 0 {
            bail!("{} is empty", path.display());
        }
    }
    serde_json::from_str(&line).with_context(|| format!("{}: line 1: expected JSON lines", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: Source) -> Vec<String> {
        match source {
            Source::Pictures(files) => files.into_iter().map(|file| file.name).collect(),
            _ => panic!("no pictures"),
        }
    }

    #[test]
    fn folders_patterns_and_files_name_their_pictures_below_what_was_typed() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.jpg", "b/c.PNG", "b/d.txt", ".hidden/e.jpg", "b/f/g.webp"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let text = |end: &str| format!("{}{end}", dir.path().display());
        assert_eq!(names(Source::open(&text("")).unwrap()), ["a.jpg", "b/c.PNG", "b/f/g.webp"]);
        assert_eq!(names(Source::open(&text("/b/**/*.webp")).unwrap()), ["f/g.webp"]);
        assert_eq!(names(Source::open(&text("/b/c.PNG")).unwrap()), ["c.PNG"]);
        for (end, says) in
            [("/none", "cannot be opened"), ("/x*.jpg", "no pictures"), ("/b/d.txt", "expected a folder")]
        {
            let error = format!("{:#}", Source::open(&text(end)).err().unwrap());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn lines_with_vectors_are_points_and_lines_without_are_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            let path = dir.path().join("x.jsonl");
            std::fs::write(&path, text).unwrap();
            Source::open(&path.display().to_string())
        };
        assert!(matches!(open("\n{\"id\": 1, \"vector\": [1]}\n").unwrap(), Source::Points(_)));
        assert!(matches!(open("{\"file\": \"a.jpg\"}\n").unwrap(), Source::Rows(_)));
        assert!(format!("{:#}", open("").err().unwrap()).contains("is empty"));
        assert!(format!("{:#}", open("a,b\n").err().unwrap()).contains("JSON lines"));
    }
}
