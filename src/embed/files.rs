//! The four files of a model, wherever they are: in the binary, in a directory, on the hub.

use std::path::{Path, PathBuf};

use super::config::ModelConfig;
use super::hub::Repository;
use super::spec::ModelSpec;
use super::weights::Checkpoint;
use crate::error::{Error, Result};

pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
/// In order of preference; the second is PyTorch's own format.
pub(super) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// A tokenizer has 2 to 4 MB; what is far larger is not one.
pub(super) const MAX_JSON_BYTES: u64 = 64 << 20;
/// The largest CLIP has 10 GB.
pub(super) const MAX_WEIGHTS_BYTES: u64 = 64 << 30;

static BUNDLED_CONFIG: &[u8] = include_bytes!("../../models/bundled/config.json");
static BUNDLED_TOKENIZER: &[u8] = include_bytes!("../../models/bundled/tokenizer.json");
static BUNDLED_PREPROCESSOR: &[u8] = include_bytes!("../../models/bundled/preprocessor_config.json");
static BUNDLED_WEIGHTS: &[u8] = include_bytes!("../../models/bundled/model.safetensors");

/// The contents of the small files and the opened weights.
pub(super) struct ModelFiles {
    pub config: Vec<u8>,
    /// Empty where a model embeds pictures only.
    pub tokenizer: Vec<u8>,
    pub preprocessor: Vec<u8>,
    pub checkpoint: Checkpoint,
}

/// Open all files of a model; hub models are fetched into the cache unless `offline`.
///
/// # Errors
/// `NotFound` if the directory does not exist, `Model` if a file is missing or cannot be fetched.
pub(super) fn open(spec: &ModelSpec, offline: bool, cache_dir: Option<&Path>) -> Result<ModelFiles> {
    match spec {
        ModelSpec::Bundled => Ok(ModelFiles {
            config: BUNDLED_CONFIG.to_vec(),
            tokenizer: BUNDLED_TOKENIZER.to_vec(),
            preprocessor: BUNDLED_PREPROCESSOR.to_vec(),
            checkpoint: Checkpoint::from_memory(BUNDLED_WEIGHTS)?,
        }),
        _ => {
            let place = Place::open(spec, offline, cache_dir)?;
            let config = small(&place.file(CONFIG)?)?;
            let tokenizer = match ModelConfig::has_text(&config) {
                true => small(&place.file(TOKENIZER)?)?,
                false => Vec::new(),
            };
            let preprocessor = place.file(PREPROCESSOR)?;
            let weights = place.weights()?;
            place.settle()?;
            Ok(ModelFiles {
                config,
                tokenizer,
                preprocessor: small(&preprocessor)?,
                checkpoint: Checkpoint::open(&weights)?,
            })
        }
    }
}

/// Open `config.json` and the weights of an image tower alone.
///
/// # Errors
/// As [`open`]; `InvalidInput` for the bundled model.
pub(super) fn open_tower(
    spec: &ModelSpec,
    offline: bool,
    cache_dir: Option<&Path>,
) -> Result<(Vec<u8>, Checkpoint)> {
    let place = Place::open(spec, offline, cache_dir)?;
    let config = small(&place.file(CONFIG)?)?;
    let weights = place.weights()?;
    place.settle()?;
    Ok((config, Checkpoint::open(&weights)?))
}

/// Where files are, other than in the binary.
enum Place {
    Directory(PathBuf),
    Hub(Box<Repository>),
}

impl Place {
    fn open(spec: &ModelSpec, offline: bool, cache_dir: Option<&Path>) -> Result<Place> {
        match spec {
            ModelSpec::Bundled => Err(Error::InvalidInput(
                "the bundled model is not an image tower alone; name a directory or a hub id".into(),
            )),
            ModelSpec::Directory(directory) if directory.is_dir() => Ok(Place::Directory(directory.clone())),
            ModelSpec::Directory(directory) => {
                Err(Error::NotFound(format!("the model directory {} does not exist", directory.display())))
            }
            ModelSpec::Hub { id, revision } => {
                Ok(Place::Hub(Box::new(Repository::open(id, revision, offline, cache_dir)?)))
            }
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        match self {
            Place::Hub(hub) => hub.file(name)?.ok_or_else(|| hub.missing(name)),
            Place::Directory(directory) => {
                let path = directory.join(name);
                if path.is_file() { Ok(path) } else { Err(missing(directory, name)) }
            }
        }
    }

    fn weights(&self) -> Result<PathBuf> {
        match self {
            Place::Hub(hub) => hub.weights()?.ok_or_else(|| hub.missing(WEIGHTS[0])),
            Place::Directory(_) => {
                self.file(WEIGHTS[0]).or_else(|first| self.file(WEIGHTS[1]).map_err(|_| first))
            }
        }
    }

    /// After the last file.
    fn settle(&self) -> Result<()> {
        match self {
            Place::Hub(hub) => hub.settle(),
            Place::Directory(_) => Ok(()),
        }
    }
}

fn missing(directory: &Path, name: &str) -> Error {
    Error::Model(format!(
        "{} has no {name}; a model directory holds {CONFIG}, {TOKENIZER}, {PREPROCESSOR} and model.safetensors",
        directory.display()
    ))
}

/// The contents of a file that is not weights.
pub(super) fn small(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |e: std::io::Error| Error::Model(format!("cannot read {}: {e}", path.display()));
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_JSON_BYTES {
        return Err(Error::Model(format!("{} is larger than {MAX_JSON_BYTES} bytes", path.display())));
    }
    std::fs::read(path).map_err(unreadable)
}
