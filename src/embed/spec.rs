//! Which model: the bundled one, a directory, or a repository of the Hugging Face hub.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSpec {
    /// The small CLIP inside the binary.
    Bundled,
    /// A directory in Hugging Face layout.
    Directory(PathBuf),
    /// `org/name` or `org/name@revision` on the hub, fetched on first use.
    Hub {
        /// `org/name`.
        id: String,
        /// Branch, tag or commit; `main` if not given.
        revision: String,
    },
}

impl ModelSpec {
    /// Read `bundled`, a path, or a hub id. What exists as a directory or starts with `.`, `/` or
    /// `~` is a path.
    ///
    /// # Errors
    /// `InvalidInput` if it is none of the three.
    pub fn parse(text: &str) -> Result<ModelSpec> {
        let text = text.trim();
        if text == "bundled" {
            return Ok(ModelSpec::Bundled);
        }
        if let Some(rest) = text.strip_prefix("~/")
            && let Some(home) = std::env::var_os("HOME")
        {
            return Ok(ModelSpec::Directory(Path::new(&home).join(rest)));
        }
        if text.starts_with(['.', '/']) || (!text.is_empty() && Path::new(text).is_dir()) {
            return Ok(ModelSpec::Directory(PathBuf::from(text)));
        }
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let word = |s: &str| {
            (1..=96).contains(&s.len())
                && !s.starts_with('.')
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        // The hub has no such ids, and in its cache `--` stands for the slash.
        let id_is_good = !id.contains("--") && !id.contains("..");
        let revision_is_good = (1..=96).contains(&revision.len()) && revision.split('/').all(word);
        match id.split_once('/') {
            Some((organisation, name))
                if word(organisation) && word(name) && id_is_good && revision_is_good =>
            {
                Ok(ModelSpec::Hub { id: id.to_string(), revision: revision.to_string() })
            }
            _ => Err(Error::InvalidInput(format!(
                "model {text:?} is neither \"bundled\", nor a directory that exists, nor a hub id such as \
                 openai/clip-vit-base-patch32"
            ))),
        }
    }

    /// The short name: `bundled`, the last part of the path, or the hub id.
    pub fn name(&self) -> String {
        match self {
            ModelSpec::Bundled => "bundled".into(),
            ModelSpec::Directory(path) => path
                .file_name()
                .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned()),
            ModelSpec::Hub { id, revision } if revision == "main" => id.clone(),
            ModelSpec::Hub { id, revision } => format!("{id}@{revision}"),
        }
    }
}

impl std::str::FromStr for ModelSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ModelSpec::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_bundled_a_path_or_a_hub_id() {
        let hub = |id: &str, revision: &str| ModelSpec::Hub { id: id.into(), revision: revision.into() };
        assert_eq!(ModelSpec::parse("bundled").unwrap(), ModelSpec::Bundled);
        assert_eq!(ModelSpec::parse("./m").unwrap(), ModelSpec::Directory("./m".into()));
        assert_eq!(ModelSpec::parse("/opt/clip").unwrap().name(), "clip");
        assert_eq!(
            ModelSpec::parse("openai/clip-vit-base-patch32").unwrap(),
            hub("openai/clip-vit-base-patch32", "main")
        );
        assert_eq!(ModelSpec::parse("a/b@refs/pr/15").unwrap(), hub("a/b", "refs/pr/15"));
        for wrong in [
            "",
            "clip",
            "a/b/c",
            "../x/../y@",
            "a/../b",
            "a--b/c",
            "a/b--c",
            "a/b@../c",
            "http://x/y",
            "a b/c",
        ] {
            match ModelSpec::parse(wrong) {
                Err(Error::InvalidInput(_)) => {}
                Ok(ModelSpec::Directory(_)) if wrong.starts_with('.') => {}
                other => panic!("{wrong:?}: {other:?}"),
            }
        }
    }
}
