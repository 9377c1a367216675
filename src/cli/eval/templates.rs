//! The candidates: named sets of templates. A set of several is an ensemble: the mean of its
//! unit vectors, of unit length again. A set may differ from class to class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::classes::{Classes, OneOrMany, read_bounded};
use super::dataset::Dataset;
use crate::types::TextTemplates;

/// Most sets.
const MAX_SETS: usize = 64;

/// For words of one kind of thing.
const WORDS: [(&str, &[&str]); 8] = [
    ("plain", &["{}"]),
    ("photo", &["a photo of a {}"]),
    ("picture", &["a picture of a {}"]),
    ("product", &["a product photo of a {}"]),
    ("icon", &["an icon of a {}"]),
    ("emoji", &["an emoji of a {}"]),
    (
        "photos ensemble",
        &[
            "{}",
            "a photo of a {}",
            "a picture of a {}",
            "a close-up photo of a {}",
            "a photo of the {}",
            "a product photo of a {}",
        ],
    ),
    (
        "drawings ensemble",
        &[
            "{}",
            "an icon of a {}",
            "an emoji of a {}",
            "a drawing of a {}",
            "a pictogram of a {}",
            "a symbol of a {}",
        ],
    ),
];
/// For whole captions.
const CAPTIONS: [(&str, &[&str]); 4] = [
    ("plain", &["{}"]),
    ("photo", &["a photo of {}"]),
    ("picture", &["a picture of {}"]),
    ("ensemble", &["{}", "a photo of {}", "a picture of {}"]),
];

/// A named candidate.
#[derive(Debug, Clone, Serialize)]
pub struct TemplateSet {
    /// Its name in tables.
    pub name: String,
    /// For every class without a set of its own, and for captions.
    pub shared: Vec<String>,
    /// By label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_class: BTreeMap<String, Vec<String>>,
}

impl TemplateSet {
    fn shared(name: &str, templates: &[&str]) -> Self {
        let shared = templates.iter().map(|&template| template.to_owned()).collect();
        Self { name: name.to_owned(), shared, per_class: BTreeMap::new() }
    }

    /// The texts of a class: every word in every template.
    pub fn texts(&self, label: &str, words: &[String]) -> Vec<String> {
        let templates = self.per_class.get(label).unwrap_or(&self.shared);
        words.iter().flat_map(|word| templates.iter().map(move |t| t.replacen("{}", word, 1))).collect()
    }

    /// The texts of a caption.
    pub fn fill(&self, caption: &str) -> Vec<String> {
        self.shared.iter().map(|template| template.replacen("{}", caption, 1)).collect()
    }
}

/// One entry of a file of templates.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Plain(String),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    #[serde(alias = "template")]
    templates: Option<OneOrMany>,
    #[serde(default)]
    per_class: BTreeMap<String, OneOrMany>,
}

/// Checks a list of templates by the rule of a collection's own.
///
/// # Errors
/// Names the template.
pub fn check(templates: Vec<String>) -> anyhow::Result<Vec<String>> {
    Ok(TextTemplates::new(templates)?.into_list())
}

/// The candidates: those of the flags and the file, or the built-in ones.
///
/// # Errors
/// Names the flag, or the file and the entry.
pub fn candidates(
    flags: &[String],
    file: Option<&Path>,
    classes: &Classes,
    data: &Dataset,
) -> anyhow::Result<Vec<TemplateSet>> {
    let mut sets = Vec::new();
    for template in flags {
        let shared = check(vec![template.clone()]).context("--template")?;
        sets.push(TemplateSet { name: template.clone(), shared, per_class: BTreeMap::new() });
    }
    if let Some(path) = file {
        sets.extend(read(path, data)?);
    }
    if sets.is_empty() {
        let list = if data.labels.is_empty() { &CAPTIONS[..] } else { &WORDS[..] };
        sets.extend(list.iter().map(|(name, templates)| TemplateSet::shared(name, templates)));
    }
    if !classes.templates.is_empty() {
        sets.push(TemplateSet {
            name: "per class".to_owned(),
            shared: vec!["{}".to_owned()],
            per_class: classes.templates.clone(),
        });
    }
    let mut names = BTreeSet::new();
    if let Some(set) = sets.iter().find(|set| !names.insert(set.name.as_str())) {
        bail!("two sets of templates are named `{}`; give each its own name", set.name);
    }
    if sets.len() > MAX_SETS {
        bail!("there are {} sets of templates, at most {MAX_SETS}", sets.len());
    }
    Ok(sets)
}

fn read(path: &Path, data: &Dataset) -> anyhow::Result<Vec<TemplateSet>> {
    let place = path.display();
    let entries: Vec<serde_json::Value> = serde_json::from_str(&read_bounded(path)?)
        .with_context(|| format!("{place}: expected a JSON list"))?;
    let mut sets = Vec::with_capacity(entries.len());
    for (i, value) in entries.into_iter().enumerate() {
        let at = || format!("{place}: entry {i}");
        let entry: Entry = serde_json::from_value(value).map_err(|_| {
            anyhow::anyhow!(
                "{}: expected a string, or an object with `name` and `template`, `templates` or `per_class`",
                at()
            )
        })?;
        sets.push(match entry {
            Entry::Plain(template) => TemplateSet {
                name: template.clone(),
                shared: check(vec![template]).with_context(at)?,
                per_class: BTreeMap::new(),
            },
            Entry::Named(Named { templates: None, per_class, .. }) if per_class.is_empty() => {
                bail!("{}: neither `templates` nor `per_class`", at())
            }
            Entry::Named(Named { name, templates, per_class }) => {
                let shared = templates.map_or_else(|| vec!["{}".to_owned()], OneOrMany::list);
                let mut checked = BTreeMap::new();
                for (label, templates) in per_class {
                    if !data.labels.contains(&label) {
                        eprintln!("{}: no picture has the label `{label}`", at());
                    }
                    let templates =
                        check(templates.list()).with_context(|| format!("{}: label `{label}`", at()))?;
                    checked.insert(label, templates);
                }
                TemplateSet { name, shared: check(shared).with_context(at)?, per_class: checked }
            }
        });
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_templates_keep_the_rule_of_stored_ones() {
        for (name, templates) in WORDS.iter().chain(&CAPTIONS) {
            assert!(check(templates.iter().map(|&t| t.to_owned()).collect()).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_class_has_the_texts_of_every_word_in_every_template_of_its_own() {
        let mut set = TemplateSet::shared("x", &["{}", "a {}"]);
        let words = ["cup".to_owned(), "mug {}".to_owned()];
        assert_eq!(set.texts("c", &words), ["cup", "a cup", "mug {}", "a mug {}"]);
        set.per_class.insert("c".to_owned(), vec!["one {}".to_owned()]);
        assert_eq!(set.texts("c", &words[..1]), ["one cup"]);
        assert_eq!(set.fill("cup"), ["cup", "a cup"]);
    }
}
