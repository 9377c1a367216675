//! Models of the Hugging Face hub: what is in its cache, and what is fetched into it.
//!
//! Invariant: a file comes into the cache under its final name only after its bytes had the hash that the hub
//! names, and a branch or tag names a commit there only when all files of it that are needed are in the cache.
//! The layout is that of `huggingface_hub`, which may use the cache at the same time: both lock a file by its hash.

mod cache;
mod remote;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::config::ModelConfig;
use super::files::{self, CONFIG, PREPROCESSOR, TOKENIZER, WEIGHTS};
use super::options::EmbedOptions;
use super::spec::ModelSpec;
use super::text::TextEncoder;
use crate::error::{Error, Result};
use crate::preprocess::Transform;

use cache::CachedModel;
use remote::Remote;

pub use cache::{Cached, Removed, Revision, cached, default_cache as model_cache, remove};

/// One revision of a model of the hub.
pub(super) struct Repository {
    id: String,
    revision: String,
    model: CachedModel,
    /// What the revision is; unknown until the hub is asked where the cache does not say.
    commit: OnceCell<String>,
    /// `None` when offline.
    remote: Option<Remote>,
    trust: Trust,
}

/// What is thought of a file that is in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It is used.
    Used,
    /// It must have the size and the hash that the hub names now.
    Compared,
}

impl Repository {
    /// The revision as the cache knows it; what is missing there is fetched unless `offline`.
    ///
    /// # Errors
    /// `Model` where the hub's address is none.
    pub fn open(id: &str, revision: &str, offline: bool, cache: Option<&Path>) -> Result<Repository> {
        let model = CachedModel::new(id, cache);
        let remote = if offline { None } else { Some(Remote::new(model.token())?) };
        let commit = OnceCell::new();
        if let Some(known) = model.commit(revision) {
            let _ = commit.set(known);
        }
        Ok(Repository { id: id.into(), revision: revision.into(), model, commit, remote, trust: Trust::Used })
    }

    /// The revision as the hub knows it now.
    fn latest(id: &str, revision: &str, cache: Option<&Path>) -> Result<Repository> {
        let cached = Self::open(id, revision, false, cache)?;
        Ok(Repository { commit: OnceCell::new(), trust: Trust::Compared, ..cached })
    }

    /// A file's path in the cache, fetched with a progress bar if it is not there; `None` where the model
    /// has no such file.
    ///
    /// # Errors
    /// `Model` where it is not in the cache and cannot be fetched; `NotFound` where the hub has no such model
    /// or revision.
    pub fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        let cached = self.commit.get().and_then(|commit| self.model.file(commit, name));
        if self.trust == Trust::Used && cached.is_some() {
            return Ok(cached);
        }
        let Some(remote) = &self.remote else { return Ok(None) };
        let at = self.commit.get().unwrap_or(&self.revision);
        let Some(described) = remote.describe(&self.id, at, name)? else { return Ok(None) };
        let commit = self.commit.get_or_init(|| described.commit.clone());
        let most = if WEIGHTS.contains(&name) { files::MAX_WEIGHTS_BYTES } else { files::MAX_JSON_BYTES };
        if described.size > most {
            return Err(Error::Model(format!(
                "{}: {name} has {} bytes, at most {most} are fetched",
                self.id, described.size
            )));
        }
        let _model = self.model.lock_shared()?;
        let _blob = self.model.lock_blob(described.hash.text())?;
        let blob = self.model.blob(described.hash.text());
        let is_there = blob.is_file()
            && (self.trust == Trust::Used || described.hash.is_of(&blob, described.size).unwrap_or(false));
        if !is_there {
            let part = self.model.part(described.hash.text())?;
            remote.fetch(&self.id, commit, name, &described, &part)?;
            std::fs::rename(&part, &blob)?; // its hash is known to be right
        }
        self.model.link(commit, name, described.hash.text()).map(Some)
    }

    /// The weights, in the first format that the model has.
    ///
    /// # Errors
    /// As [`Repository::file`].
    pub fn weights(&self) -> Result<Option<PathBuf>> {
        if self.trust == Trust::Used
            && let Some(commit) = self.commit.get()
            && let Some(path) = WEIGHTS.iter().find_map(|name| self.model.file(commit, name))
        {
            return Ok(Some(path));
        }
        for name in WEIGHTS {
            if let Some(path) = self.file(name)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Says in the cache which commit the revision is, once its files are there.
    ///
    /// # Errors
    /// `Io`.
    pub fn settle(&self) -> Result<()> {
        match self.commit.get() {
            Some(commit) if self.remote.is_some() => self.model.set_commit(&self.revision, commit),
            _ => Ok(()),
        }
    }

    /// Why a file that is needed is not to be had.
    pub fn missing(&self, name: &str) -> Error {
        if self.remote.is_none() {
            return Error::Model(format!(
                "{}: {name} is not in the cache at {} and offline is set; fetch it with `lookalike models pull \
                 {}` while online, or pass a model directory",
                self.id,
                self.model.root().display(),
                self.id
            ));
        }
        Error::Model(format!(
            "{} has no {name} on the hub; a model that can be used has {CONFIG}, {TOKENIZER}, {PREPROCESSOR} and {}",
            self.id, WEIGHTS[0]
        ))
    }
}

/// A model that is now in the cache.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The commit that the revision is.
    pub commit: String,
    /// Its folder.
    pub path: PathBuf,
    /// Name and bytes of its files.
    pub files: Vec<(String, u64)>,
    /// Length of its vectors.
    pub dimension: usize,
}

/// Fetches the files that a model needs into the cache, as far as they are not there; each is compared with the
/// hash that the hub names. Then the model is opened: its configuration is read, and the names and shapes of all
/// tensors are compared with it. Blocking.
///
/// # Errors
/// `NotFound` where the hub has no such model or revision; `Model` where something cannot be fetched, has another
/// hash, or is a checkpoint that cannot be used.
pub fn pull(id: &str, revision: &str, cache: Option<&Path>) -> Result<Pulled> {
    let repository = Repository::latest(id, revision, cache)?;
    let _shared = repository.model.lock_shared()?;
    let config = repository.file(CONFIG)?.ok_or_else(|| repository.missing(CONFIG))?;
    let preprocessor = repository.file(PREPROCESSOR)?.ok_or_else(|| repository.missing(PREPROCESSOR))?;
    let mut paths = vec![config.clone(), preprocessor.clone()];
    paths.extend(repository.file(TOKENIZER)?);
    // What cannot be used is told before the gigabytes are fetched.
    let unusable = |error: Error| match error {
        Error::Model(why) => Error::Model(format!("{id} cannot be used: {why}")),
        other => other,
    };
    let side = Transform::parse(&files::small(&preprocessor)?).map_err(unusable)?.side();
    ModelConfig::parse(&files::small(&config)?, side).map_err(unusable)?;
    paths.push(repository.weights()?.ok_or_else(|| repository.missing(WEIGHTS[0]))?);
    let commit = repository.commit.get().cloned().unwrap_or_default();
    let spec = ModelSpec::Hub { id: id.into(), revision: commit.clone() };
    let options =
        EmbedOptions { offline: true, cache_dir: cache.map(Path::to_path_buf), ..EmbedOptions::default() };
    let Weighed { dimension, .. } = weigh(&spec, &options).map_err(unusable)?;
    repository.settle()?;
    let size = |path: &PathBuf| -> Result<(String, u64)> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, std::fs::metadata(path)?.len()))
    };
    let path = repository.model.snapshot(&commit);
    Ok(Pulled { commit, path, files: paths.iter().map(size).collect::<Result<_>>()?, dimension })
}

/// What can be told of a model without reading its weights.
#[derive(Debug, Clone, Copy)]
pub struct Weighed {
    /// Length of its vectors.
    pub dimension: usize,
    /// Bytes of all its weights as f32.
    pub bytes: u64,
}

/// Opens the files of a model, fetching what is missing unless `offline`, and compares the names and shapes of all
/// tensors with its configuration; the weights are not read. Blocking.
///
/// # Errors
/// As [`super::Embedder::load`].
pub fn weigh(spec: &ModelSpec, options: &EmbedOptions) -> Result<Weighed> {
    let files = files::open(spec, options.offline, options.cache_dir.as_deref())?;
    let transform = Transform::parse(&files.preprocessor)?;
    let config = ModelConfig::parse(&files.config, transform.side())?;
    TextEncoder::parse(&files.tokenizer, &config, options.cleaning)?;
    let layout = config.layout();
    files.checkpoint.check(&layout)?;
    Ok(Weighed { dimension: config.projection(), bytes: layout.bytes() })
}
