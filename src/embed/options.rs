//! How a model is loaded and run: every bound of the module with its unit and range.

use std::path::PathBuf;
use std::time::Duration;

use super::clean::TextCleaning;
use super::device::DeviceChoice;
use super::precision::PrecisionChoice;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::preprocess::Limits;

/// How a model is loaded and run.
#[derive(Debug, Clone)]
pub struct EmbedOptions {
    /// Where the towers run.
    pub device: DeviceChoice,
    /// The numbers that the towers calculate with.
    pub precision: PrecisionChoice,
    /// Never fetch from the hub; use its cache only.
    pub offline: bool,
    /// The hub's cache; its own default (`HF_HOME`, else `~/.cache/huggingface`) if `None`.
    pub cache_dir: Option<PathBuf>,
    /// Items in one run of a tower, at most 256; 0 for what suits the device: 8 on the CPU, on a GPU as many as
    /// fit in half of its free memory.
    pub max_batch: usize,
    /// How long a started batch of pictures waits for those being decoded, at most 1 s.
    pub max_wait: Duration,
    /// Pictures that may wait or be decoded at once in each lane, and the same number of texts; 1 to
    /// 100,000. A picture takes 3 * `image_size`^2 bytes: 150 kB at 224 pixels.
    pub queue: usize,
    /// Threads that decode pictures, 1 to 256; the number of cores if 0.
    pub decoders: usize,
    /// Bytes of pixels that may be decoded at once; a picture that needs more is decoded alone.
    pub decode_bytes: u64,
    /// Bytes of vectors and thumbnails kept for inputs that come again; 0 keeps none, and then equal
    /// inputs that wait together are each embedded. Off by default, so that what measures a model
    /// measures the model; a server sets it.
    pub cache_bytes: u64,
    /// Where it is counted what the model does; counters of its own if `None`.
    pub metrics: Option<Metrics>,
    /// What a picture may cost.
    pub limits: Limits,
    /// Clean-up of texts before tokenizing.
    pub cleaning: TextCleaning,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        EmbedOptions {
            device: DeviceChoice::Auto,
            precision: PrecisionChoice::F32,
            offline: false,
            cache_dir: None,
            max_batch: 0,
            max_wait: Duration::from_millis(2),
            queue: 512,
            decoders: 0,
            decode_bytes: 512 << 20,
            cache_bytes: 0,
            metrics: None,
            limits: Limits::default(),
            cleaning: TextCleaning::Off,
        }
    }
}

impl EmbedOptions {
    pub(super) fn check(&self) -> Result<()> {
        let bounds = [
            ("max_batch", self.max_batch, 0, 256),
            ("queue", self.queue, 1, 100_000),
            ("decoders", self.decoders, 0, 256),
        ];
        for (name, value, low, high) in bounds {
            if !(low..=high).contains(&value) {
                return Err(Error::InvalidInput(format!("{name} is {value}; expected {low} to {high}")));
            }
        }
        if self.max_wait > Duration::from_secs(1) {
            return Err(Error::InvalidInput(format!(
                "max_wait is {:?}; expected at most 1 s",
                self.max_wait
            )));
        }
        Ok(())
    }

    /// The threads that decode.
    pub(super) fn decode_threads(&self) -> usize {
        match self.decoders {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            set => set,
        }
    }
}
