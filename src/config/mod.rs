//! Settings: defaults < TOML file < environment (`LOOKALIKE_*`) < flags, read once in `main`.
//! Every limit of the server is declared here with its unit; nothing here knows how it is used.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The file that is read where no other is named, if it is there.
pub const DEFAULT_FILE: &str = "lookalike.toml";

/// Largest file that is kept as an original, MiB: with its point it is one change of the log, of at most
/// 64 MiB.
pub const MAX_ORIGINAL_MIB: usize = 32;

/// Most MiB of one memory setting, 1 TiB: more is a mistake in the unit.
const MAX_MEMORY_MIB: usize = 1 << 20;

/// Most threads that decode pictures.
const MAX_DECODE_THREADS: usize = 256;

/// Where the towers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU if this build and machine have one, the CPU otherwise.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU (cargo feature `cuda`).
    Cuda,
    /// An Apple GPU (cargo feature `metal`).
    Metal,
}

/// The numbers that the towers calculate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16, if its vectors are those of f32 within the gate.
    Bf16,
    /// Half precision, on a GPU, if its vectors are those of f32 within the gate.
    F16,
    /// Bytes, if their vectors are those of f32 within the gate.
    Int8,
    /// The fastest that this machine has instructions for and that passes the gate.
    Auto,
}

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; another than this machine's own needs `api_key`, or `insecure`.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Directory that holds all data.
    pub data_dir: PathBuf,
    /// `bundled`, a directory in Hugging Face layout, or a hub id.
    pub model: String,
    /// Further models, each as `model`: a list, or names with commas between; a vector of a collection may name one.
    /// They are loaded when they are first used.
    #[serde(deserialize_with = "one_or_many")]
    pub also_model: Vec<String>,
    /// A model of `also_model` that was not used for so many seconds is unloaded; never if 0.
    pub model_idle_secs: u64,
    /// MiB of weights that may be loaded at once; the model of `also_model` that was used longest ago is unloaded for
    /// another. No bound if 0.
    pub model_memory_mib: usize,
    /// Where the towers run: `auto`, `cpu`, `cuda` or `metal`.
    pub device: Device,
    /// The numbers that the towers calculate with: `f32`, `bf16` or `int8` (CPU), `f16` (GPU) or `auto`.
    pub precision: Precision,
    /// Never fetch a model from a hub.
    pub offline: bool,
    /// Where fetched models are kept; the hub's usual cache if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_cache: Option<PathBuf>,
    /// Key that allows everything, sent as `api-key` or `Authorization: Bearer`; at least 8 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Key that allows reading and searching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_api_key: Option<String>,
    /// Serve an address other than loopback without a key.
    pub insecure: bool,
    /// Largest JSON body, MiB.
    pub max_body_mib: usize,
    /// Largest multipart upload or import in one request, MiB; its items are ingested as they arrive.
    pub max_upload_mib: usize,
    /// Largest picture file, MiB.
    pub max_image_mib: usize,
    /// Most pixels of a picture, millions.
    pub max_image_megapixels: usize,
    /// A body that has not arrived after so many seconds is given up with 408.
    pub body_timeout_secs: u64,
    /// A request that is not answered after so many seconds is given up with 408.
    pub request_timeout_secs: u64,
    /// Collection calls that run at once; twice the cores if 0.
    pub max_parallel_calls: usize,
    /// Collection calls that may wait for their turn; more are answered 429.
    pub max_waiting_calls: usize,
    /// Inputs (texts or pictures) of one tower run, at most 256; 0 for what suits the device: 8 on the CPU, on a GPU
    /// as many as fit in half of its free memory.
    pub max_batch: usize,
    /// Inputs that may wait for the towers; more are answered 429.
    pub embed_queue: usize,
    /// Vectors and thumbnails kept for inputs that come again, MiB; none if 0.
    pub embed_cache_mib: usize,
    /// Threads that decode pictures; the cores if 0.
    pub decode_threads: usize,
    /// Pixels that may be decoded at once, MiB; a picture that needs more is decoded alone.
    pub decode_memory_mib: usize,
    /// Threads that answer HTTP; the cores if 0.
    pub http_workers: usize,
    /// A collection's log is compacted when so many MiB of it, and half of it, are of no use.
    pub compact_from_mib: usize,
    /// MiB that must stay free on the disk; below them only deletes are taken, answered 507.
    pub min_free_disk_mib: usize,
    /// A small JPEG of every ingested picture is kept with its point.
    pub thumbnails: bool,
    /// Every ingested picture file is kept with its point, as it was sent; pictures of at most 32 MiB then.
    pub originals: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 6333,
            data_dir: PathBuf::from("./lookalike-data"),
            model: "bundled".into(),
            also_model: Vec::new(),
            model_idle_secs: 900,
            model_memory_mib: 0,
            device: Device::Auto,
            precision: Precision::F32,
            offline: false,
            model_cache: None,
            api_key: None,
            read_only_api_key: None,
            insecure: false,
            max_body_mib: 64,
            max_upload_mib: 1024,
            max_image_mib: 20,
            max_image_megapixels: 50,
            body_timeout_secs: 60,
            request_timeout_secs: 120,
            max_parallel_calls: 0,
            max_waiting_calls: 1024,
            max_batch: 0,
            embed_queue: 512,
            embed_cache_mib: 64,
            decode_threads: 0,
            decode_memory_mib: 512,
            http_workers: 0,
            compact_from_mib: 8,
            min_free_disk_mib: 256,
            thumbnails: true,
            originals: false,
        }
    }
}

/// Settings that are text whatever they look like: a key may be all digits.
const TEXTS: [&str; 6] = ["api_key", "read_only_api_key", "model", "also_model", "model_cache", "data_dir"];

fn texts_from_environment() -> BTreeMap<&'static str, String> {
    let read = |name: &&'static str| {
        let value = std::env::var(format!("LOOKALIKE_{}", name.to_uppercase())).ok()?;
        Some((*name, value))
    };
    TEXTS.iter().filter_map(read).collect()
}

/// A list of texts, or one text with commas between its parts.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        Many(Vec<String>),
    }
    let parts = |text: String| -> Vec<String> {
        text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    Given::deserialize(deserializer)
        .map(|given| match given {
            Given::One(text) => parts(text),
            Given::Many(texts) => texts,
        })
        .map_err(|_| {
            serde::de::Error::custom("expected a list of texts, or one with commas between its parts")
        })
}

/// What was typed: only what is set overrides.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// See [`Settings::host`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// See [`Settings::port`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// See [`Settings::data_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// See [`Settings::model`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// See [`Settings::also_model`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also_model: Option<Vec<String>>,
    /// See [`Settings::model_idle_secs`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_idle_secs: Option<u64>,
    /// See [`Settings::model_memory_mib`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_memory_mib: Option<usize>,
    /// See [`Settings::device`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// See [`Settings::precision`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// See [`Settings::offline`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<bool>,
    /// See [`Settings::api_key`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// See [`Settings::insecure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// See [`Settings::embed_cache_mib`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed_cache_mib: Option<usize>,
    /// See [`Settings::decode_threads`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_threads: Option<usize>,
    /// See [`Settings::decode_memory_mib`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_memory_mib: Option<usize>,
    /// See [`Settings::thumbnails`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<bool>,
    /// See [`Settings::originals`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originals: Option<bool>,
}

impl Settings {
    /// Reads every source in order and checks the result.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting and the source it came from.
    pub fn read(file: Option<&Path>, overrides: &Overrides) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Settings::default()));
        figment = match file {
            Some(path) if !path.is_file() => {
                return Err(Error::InvalidInput(format!(
                    "--config {}: there is no such file",
                    path.display()
                )));
            }
            Some(path) => figment.merge(Toml::file_exact(path)),
            None if Path::new(DEFAULT_FILE).is_file() => figment.merge(Toml::file_exact(DEFAULT_FILE)),
            None => figment,
        };
        let settings: Settings = figment
            .merge(Env::prefixed("LOOKALIKE_").ignore(&["config", "log", "kernels", "url"]).ignore(&TEXTS))
            .merge(Serialized::defaults(texts_from_environment()))
            .merge(Serialized::defaults(overrides))
            .extract()
            .map_err(|error| Error::InvalidInput(format!("settings: {error}")))?;
        settings.check()?;
        Ok(settings)
    }

    /// The address to listen on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    fn check(&self) -> Result<()> {
        let positive = [
            ("max_body_mib", self.max_body_mib),
            ("max_upload_mib", self.max_upload_mib),
            ("max_image_mib", self.max_image_mib),
            ("max_image_megapixels", self.max_image_megapixels),
            ("embed_queue", self.embed_queue),
            ("decode_memory_mib", self.decode_memory_mib),
            ("max_waiting_calls", self.max_waiting_calls),
            ("compact_from_mib", self.compact_from_mib),
            ("request_timeout_secs", usize::try_from(self.request_timeout_secs).unwrap_or(usize::MAX)),
            ("body_timeout_secs", usize::try_from(self.body_timeout_secs).unwrap_or(usize::MAX)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::InvalidInput(format!("settings: {name} is 0, it must be at least 1")));
        }
        for (name, key) in [("api_key", &self.api_key), ("read_only_api_key", &self.read_only_api_key)] {
            if key.as_ref().is_some_and(|key| key.len() < 8 || !key.is_ascii()) {
                return Err(Error::InvalidInput(format!(
                    "settings: {name} must have at least 8 characters, all of them ASCII"
                )));
            }
        }
        let most = [
            ("embed_cache_mib", self.embed_cache_mib, MAX_MEMORY_MIB),
            ("decode_memory_mib", self.decode_memory_mib, MAX_MEMORY_MIB),
            ("model_memory_mib", self.model_memory_mib, MAX_MEMORY_MIB),
            ("decode_threads", self.decode_threads, MAX_DECODE_THREADS),
        ];
        if let Some((name, value, most)) = most.iter().find(|(_, value, most)| value > most) {
            return Err(Error::InvalidInput(format!(
                "settings: {name} is {value}, it must be at most {most}"
            )));
        }
        if self.originals && self.max_image_mib > MAX_ORIGINAL_MIB {
            return Err(Error::InvalidInput(format!(
                "settings: max_image_mib is {}, with originals it must be at most {MAX_ORIGINAL_MIB}: a file is \
                 written with its point as one change",
                self.max_image_mib
            )));
        }
        let open = !self.host.is_loopback() && self.api_key.is_none() && !self.insecure;
        if open {
            return Err(Error::InvalidInput(format!(
                "host {} can be reached by other machines, so a key is needed. Start with --api-key {} \
                 (made up for you just now), or with --insecure to serve everybody",
                self.host,
                uuid::Uuid::new_v4().simple()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        std::fs::write(&file, "port = 7000\nmax_batch = 8\n").unwrap();
        let overrides = Overrides { port: Some(7001), ..Overrides::default() };
        let settings = Settings::read(Some(&file), &overrides).unwrap();
        assert_eq!((settings.port, settings.max_batch, settings.embed_queue), (7001, 8, 512));
    }

    #[test]
    fn further_models_are_a_list_or_stand_with_commas_between() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        for text in ["also_model = [\"a/b\", \"./c\"]\n", "also_model = \"a/b, ./c\"\n"] {
            std::fs::write(&file, text).unwrap();
            let settings = Settings::read(Some(&file), &Overrides::default()).unwrap();
            assert_eq!(settings.also_model, ["a/b", "./c"]);
        }
    }

    #[test]
    fn an_unknown_setting_or_a_wrong_type_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        for (text, named) in [
            ("prot = 1\n", "prot"),
            ("port = \"x\"\n", "port"),
            ("max_image_mib = 0\n", "max_image_mib"),
            ("decode_threads = 300\n", "decode_threads"),
            ("embed_cache_mib = -1\n", "embed_cache_mib"),
            ("also_model = 5\n", "also_model"),
            ("model_memory_mib = 2000000\n", "model_memory_mib"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Settings::read(Some(&file), &Overrides::default()).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn an_open_address_without_a_key_is_refused_with_a_key_to_paste() {
        let host = Some("0.0.0.0".parse().unwrap());
        let error = Settings::read(None, &Overrides { host, ..Overrides::default() }).unwrap_err();
        assert!(error.to_string().contains("--api-key"), "{error}");
        let with_key = Overrides { host, api_key: Some("12345678".into()), ..Overrides::default() };
        assert!(Settings::read(None, &with_key).is_ok());
        let insecure = Overrides { host, insecure: Some(true), ..Overrides::default() };
        assert!(Settings::read(None, &insecure).is_ok());
    }
}
