//! The words of the labels. Without a file a label is its own word (`_` reads as a space).
//! Invariant: every class has at least one word.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::templates;

/// Most labels.
pub const MAX_CLASSES: usize = 1000;
/// Most words of one label.
const MAX_WORDS: usize = 32;
/// Longest word, bytes.
const MAX_WORD_BYTES: usize = 1000;
/// Largest file of classes or templates, bytes.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What the file says of one label.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Word(String),
    Words(Vec<String>),
    #[serde(rename_all = "snake_case")]
    Full(Full),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    words: OneOrMany,
    #[serde(default)]
    templates: Vec<String>,
}

/// A string or a list of strings.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub fn list(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A file of classes, checked.
pub struct ClassFile {
    /// Words by label.
    words: BTreeMap<String, Vec<String>>,
    /// Templates by label, where the file has some.
    pub templates: BTreeMap<String, Vec<String>>,
}

impl ClassFile {
    /// Reads `{"label": "word" | ["words"] | {"words", "templates"}}`.
    ///
    /// # Errors
    /// Names the file and the label.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let text = read_bounded(path)?;
        let entries: BTreeMap<String, Entry> = serde_json::from_str(&text).with_context(|| {
            format!("{place}: expected an object of labels, each a word, a list of words, or {{\"words\", \"templates\"}}")
        })?;
        if entries.is_empty() || entries.len() > MAX_CLASSES {
            bail!("{place} holds {} labels, it must hold 1 to {MAX_CLASSES}", entries.len());
        }
        let (mut words, mut by_class) = (BTreeMap::new(), BTreeMap::new());
        for (label, entry) in entries {
            let (own, own_templates) = match entry {
                Entry::Word(word) => (vec![word], Vec::new()),
                Entry::Words(words) => (words, Vec::new()),
                Entry::Full(Full { words, templates }) => (words.list(), templates),
            };
            if own.is_empty() || own.len() > MAX_WORDS {
                bail!("{place}: label `{label}` has {} words, it must have 1 to {MAX_WORDS}", own.len());
            }
            if let Some(word) = own.iter().find(|word| word.trim().is_empty() || word.len() > MAX_WORD_BYTES)
            {
                bail!(
                    "{place}: label `{label}`: the word `{word:.40}` is empty or longer than {MAX_WORD_BYTES} bytes"
                );
            }
            if !own_templates.is_empty() {
                let checked =
                    templates::check(own_templates).with_context(|| format!("{place}: label `{label}`"))?;
                by_class.insert(label.clone(), checked);
            }
            words.insert(label, own);
        }
        Ok(Self { words, templates: by_class })
    }

    /// True where the file knows the label.
    pub fn knows(&self, label: &str) -> bool {
        self.words.contains_key(label)
    }
}

/// Reads a small text file.
pub fn read_bounded(path: &Path) -> anyhow::Result<String> {
    let length = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if length > MAX_FILE_BYTES {
        bail!("{} has {length} bytes, at most {MAX_FILE_BYTES}", path.display());
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// One class, as it is measured.
pub struct Class {
    /// Its label.
    pub label: String,
    /// Its words.
    pub words: Vec<String>,
}

/// The classes in the order of their numbers.
pub struct Classes {
    /// By number.
    pub all: Vec<Class>,
    /// Templates by label from the file of classes.
    pub templates: BTreeMap<String, Vec<String>>,
}

impl Classes {
    /// The words of the labels that occur.
    pub fn new(labels: &[String], file: Option<&ClassFile>) -> Self {
        let words = |label: &String| {
            let own = file.and_then(|file| file.words.get(label)).cloned();
            own.unwrap_or_else(|| vec![label.replace('_', " ")])
        };
        let all = labels.iter().map(|label| Class { label: label.clone(), words: words(label) }).collect();
        Self { all, templates: file.map(|file| file.templates.clone()).unwrap_or_default() }
    }
}
