//! Pictures and texts to vectors: the model's files, the two towers, the tokenizer, the device and
//! dynamic batching. The only user of candle, tokenizers and hf-hub.
//!
//! Invariant: a vector that comes out is what transformers' `CLIPModel` or
//! `VisionTextDualEncoderModel` computes from the same checkpoint (within 1e-4, L2-normalised); a checkpoint for which that cannot be said is refused
//! when it is loaded. Waiting work is bounded: pictures and texts each by `EmbedOptions::queue`.

mod batch;
mod bert;
mod clean;
mod clip;
mod clip_cpu;
mod config;
mod device;
mod dual;
mod efficientnet;
mod files;
mod precision;
mod signature;
mod spec;
mod text;
mod towers;
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::error::{Error, Result};
use crate::preprocess::{Cleaning, Limits, RgbImage, Signature, Transform, decode, thumbnail};
use crate::types::THUMBNAIL_SIDE;

use batch::{Picture, Queue, Worker};

pub use bert::BertConfig;
pub use clean::TextCleaning;
pub use clip::ClipConfig;
pub use config::{ModelConfig, TowerShape};
pub use device::DeviceChoice;
pub use dual::DualConfig;
pub use efficientnet::{EfficientNet, Features};
pub use files::model_cache;
pub use precision::PrecisionChoice;
pub use signature::{Pooling, SignatureFeatures, SignatureInfo};
pub use spec::ModelSpec;
pub use text::TextEncoder;
pub use towers::Towers;

/// Bytes of pictures that one decoder may hold come to 450 MB at 50 megapixels (progressive JPEG):
/// eight decoders bound the whole.
const MAX_DECODERS: usize = 8;
/// Up to so many texts are cut into tokens on the caller's thread, about 20 microseconds each.
const INLINE_TEXTS: usize = 16;

/// Environment variables that must stand before the first model is loaded, unless the operator has
/// set them; only `main`, before any thread exists, can set them soundly.
///
/// candle spreads the operations between matrix products over a pool that spins while it waits for
/// its slowest thread; beside decoders or any other load that costs 3 times the CPU and 4 to 6
/// times the wall time (30 against 170 pictures/s on 2 busy cores). The products themselves stay
/// parallel. And candle reads `/proc/cpuinfo` at every product unless the number of threads is given.
pub fn thread_settings() -> [(&'static str, String); 2] {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    [("CANDLE_NUM_THREADS", "1".to_string()), ("RAYON_NUM_THREADS", cores.to_string())]
}

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
    /// Items in one run of a tower, 1 to 256.
    pub max_batch: usize,
    /// How long a started batch of pictures waits for those being decoded, at most 1 s.
    pub max_wait: Duration,
    /// Pictures that may wait or be decoded at once, and the same number of texts; 1 to 100,000.
    /// A picture takes 3 * `image_size`^2 bytes: 150 kB at 224 pixels.
    pub queue: usize,
    /// Threads that decode pictures, 1 to 8; the number of cores if 0.
    pub decoders: usize,
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
            max_batch: 8,
            max_wait: Duration::from_millis(2),
            queue: 512,
            decoders: 0,
            limits: Limits::default(),
            cleaning: TextCleaning::Off,
        }
    }
}

impl EmbedOptions {
    fn check(&self) -> Result<()> {
        let bounds = [
            ("max_batch", self.max_batch, 1, 256),
            ("queue", self.queue, 1, 100_000),
            ("decoders", self.decoders, 0, 8),
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
}

/// What there is to know of a loaded model.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// `bundled`, the last part of the path, or the hub id.
    pub name: String,
    /// 16 hex digits that change with any byte of weights, config, tokenizer or preprocessing.
    pub fingerprint: String,
    /// Length of the vectors.
    pub dimension: usize,
    /// What can be embedded.
    pub modalities: [&'static str; 2],
    /// `cpu`, `cuda` or `metal`.
    pub device: &'static str,
    /// The numbers that the towers calculate with: `f32`, `bf16` or `int8`. It is not part of the
    /// fingerprint: vectors of another precision are those of f32 within the gate of `precision.rs`.
    pub precision: &'static str,
    /// Side of the square that a picture becomes, pixels.
    pub image_size: usize,
    /// Tokens of a text, with begin and end; the rest is cut.
    pub context_length: usize,
    /// How it makes features of signatures; `None` where it cannot.
    pub signature: Option<SignatureInfo>,
    /// How long loading took.
    pub load_time: Duration,
}

struct Inner {
    info: ModelInfo,
    text: TextEncoder,
    transform: Transform,
    limits: Limits,
    queue: Arc<Queue>,
    decoders: rayon::ThreadPool,
    capacity: usize,
    text_slots: Semaphore,
    image_slots: Semaphore,
    /// Items of one request that wait at a time; the rest stays with the request.
    window: usize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Whether a small copy of each picture is made while it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thumbnails {
    /// None is.
    Skip,
    /// A JPEG of at most [`THUMBNAIL_SIDE`] pixels a side.
    Make,
}

impl Thumbnails {
    fn of(self, picture: &RgbImage) -> Result<Option<Vec<u8>>> {
        match self {
            Thumbnails::Skip => Ok(None),
            Thumbnails::Make => thumbnail(picture, THUMBNAIL_SIDE).map(Some),
        }
    }
}

/// An embedded picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The unit vector.
    pub vector: Vec<f32>,
    /// The small copy, where it was asked for.
    pub thumbnail: Option<Vec<u8>>,
}

/// A loaded model with its queue. Cheap to clone; the worker ends with the last clone.
#[derive(Clone)]
pub struct Embedder(Arc<Inner>);

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Embedder").field(&self.0.info).finish()
    }
}

impl Embedder {
    /// Load a model and start its worker. Blocks: reads, and for a hub model fetches, all weights.
    ///
    /// # Errors
    /// `Model` if a file is missing, damaged, or asks for what is not implemented; `NotFound` if
    /// the directory does not exist; `InvalidInput` if an option is out of its range.
    pub fn load(spec: &ModelSpec, options: &EmbedOptions) -> Result<Embedder> {
        options.check()?;
        let started = Instant::now();
        let name = spec.name();
        let files = files::open(spec, options.offline, options.cache_dir.as_deref())?;
        let transform = Transform::parse(&files.preprocessor)?;
        let config = ModelConfig::parse(&files.config, transform.side())?;
        let text = TextEncoder::parse(&files.tokenizer, &config, options.cleaning)?;
        let mut weights = files.checkpoint.check(&config.layout())?;
        let device = device::open(options.device);
        let towers = precision::build(options.precision, &config, &device, &text, &transform, &mut weights)?;
        let fingerprint =
            weights::fingerprint(weights.digest(), &[&files.config, &files.tokenizer, &files.preprocessor]);
        let signature = towers.signature_info(&fingerprint);
        let info = ModelInfo {
            name,
            fingerprint,
            signature,
            dimension: config.projection(),
            modalities: ["text", "image"],
            device: device::name(&device),
            precision: precision::name(towers.precision()),
            image_size: config.image_size(),
            context_length: config.context_length(),
            load_time: started.elapsed(),
        };
        Embedder::start(info, towers, text, transform, options)
    }

    fn start(
        info: ModelInfo,
        towers: Towers,
        text: TextEncoder,
        transform: Transform,
        options: &EmbedOptions,
    ) -> Result<Embedder> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoders = if options.decoders == 0 { cores } else { options.decoders }.min(MAX_DECODERS);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(decoders)
            .thread_name(|i| format!("decode-{i}"))
            .panic_handler(|_| tracing::error!("a picture decoder panicked"))
            .build()
            .map_err(|e| Error::Internal(format!("the decoder threads cannot start: {e}")))?;
        let queue = Arc::new(Queue::new());
        let worker = Worker {
            queue: queue.clone(),
            towers,
            transform: transform.clone(),
            max_batch: options.max_batch,
            max_wait: options.max_wait,
        };
        std::thread::Builder::new()
            .name("towers".into())
            .spawn(move || worker.run())
            .map_err(|e| Error::Internal(format!("the worker thread cannot start: {e}")))?;
        Ok(Embedder(Arc::new(Inner {
            info,
            text,
            transform,
            limits: options.limits,
            queue,
            decoders: pool,
            capacity: options.queue,
            text_slots: Semaphore::new(options.queue),
            image_slots: Semaphore::new(options.queue),
            window: (2 * options.max_batch + decoders).min(options.queue),
        })))
    }

    /// What is loaded.
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// Texts and pictures that wait or are being worked on.
    pub fn queue_depth(&self) -> usize {
        let (texts, images) = self.waiting();
        texts + images
    }

    fn waiting(&self) -> (usize, usize) {
        let of = |slots: &Semaphore| self.0.capacity - slots.available_permits().min(self.0.capacity);
        (of(&self.0.text_slots), of(&self.0.image_slots))
    }

    /// Reserve room for `count` items in a lane.
    fn admit<'a>(&'a self, slots: &'a Semaphore, count: usize, what: &str) -> Result<SemaphorePermit<'a>> {
        slots.try_acquire_many(count as u32).map_err(|_| {
            // `count` is at most the window, which is at most 100,000
            let (texts, images) = self.waiting();
            Error::Overloaded {
                what: format!("the queue of {what} to embed is full ({} items)", self.0.capacity),
                retry_after_secs: self.0.queue.drain_secs(texts, images),
            }
        })
    }

    /// Embed texts, in order. An empty text is allowed. Texts beyond the context length are cut.
    ///
    /// Returns one unit vector of `info().dimension` a text. A request of any size is worked off
    /// piece by piece; only its current piece counts towards the queue.
    ///
    /// # Errors
    /// `Overloaded` if the queue is full, `Unavailable` if the worker has ended, `Internal` if the
    /// model fails.
    pub async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let window = texts.len().min(self.0.window);
        let _room = self.admit(&self.0.text_slots, window, "texts")?;
        let mut tokens = self.tokenize(texts).await?.into_iter().enumerate().collect::<Vec<_>>();
        tokens.sort_by_key(|(_, ids)| ids.len()); // alike lengths meet in one batch
        let order: Vec<usize> = tokens.iter().map(|(at, _)| *at).collect();
        let mut vectors = vec![Vec::new(); order.len()];
        let mut answers = stream::iter(tokens).map(|(_, ids)| self.embed_tokens(ids)).buffered(window);
        for at in order {
            if let Some(vector) = answers.next().await {
                vectors[at] = vector?;
            }
        }
        Ok(vectors)
    }

    async fn tokenize(&self, texts: Vec<String>) -> Result<Vec<Vec<u32>>> {
        if texts.len() <= INLINE_TEXTS {
            return texts.iter().map(|text| self.0.text.encode(text)).collect();
        }
        let (send, receive) = oneshot::channel();
        let inner = self.0.clone();
        self.0.decoders.spawn(move || {
            let _ = send.send(texts.iter().map(|text| inner.text.encode(text)).collect());
        });
        receive.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn embed_tokens(&self, ids: Vec<u32>) -> Result<Vec<f32>> {
        let (send, receive) = oneshot::channel();
        self.0.queue.push_text(ids, send);
        receive.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Embed pictures (files: JPEG, PNG, WebP, GIF), in order.
    ///
    /// Returns for each picture a unit vector of `info().dimension`, or why it cannot be embedded
    /// (`InvalidInput`, `TooLarge`). A request of any size is worked off piece by piece; only its
    /// current piece counts towards the queue and is decoded in memory.
    ///
    /// # Errors
    /// `Overloaded` if the queue is full, `Unavailable` if the worker has ended.
    pub async fn embed_images(&self, images: Vec<Vec<u8>>) -> Result<Vec<Result<Vec<f32>>>> {
        let embedded = self.embed_pictures(images, Thumbnails::Skip).await?;
        Ok(embedded.into_iter().map(|one| one.map(|one| one.vector)).collect())
    }

    /// The same with small copies of the pictures.
    ///
    /// # Errors
    /// As [`Embedder::embed_images`].
    pub async fn embed_pictures(
        &self,
        images: Vec<Vec<u8>>,
        thumbnails: Thumbnails,
    ) -> Result<Vec<Result<Embedded>>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let window = images.len().min(self.0.window);
        let _room = self.admit(&self.0.image_slots, window, "pictures")?;
        let mut embedded = Vec::with_capacity(images.len());
        let mut answers =
            stream::iter(images).map(|bytes| self.embed_picture(bytes, thumbnails)).buffered(window);
        while let Some(answer) = answers.next().await {
            match answer {
                Err(error @ Error::Unavailable(_)) => return Err(error),
                other => embedded.push(other),
            }
        }
        Ok(embedded)
    }

    async fn embed_picture(&self, bytes: Vec<u8>, thumbnails: Thumbnails) -> Result<Embedded> {
        let decode = move |inner: &Inner, bytes: &[u8]| {
            let picture = decode(bytes, &inner.limits)?;
            Ok((Picture::Crop(inner.transform.crop_decoded(&picture)), thumbnails.of(&picture)?))
        };
        let (vector, thumbnail) = self.decoded(bytes, decode).await?;
        Ok(Embedded { vector, thumbnail })
    }

    /// Features of pictures of signatures (files as above), in order: the ink alone, see
    /// `preprocess::Signature`.
    ///
    /// Returns for each picture `info().signature`'s dimension of values with the quality of its ink, or why
    /// it cannot be judged (`InvalidInput`, `TooLarge`).
    ///
    /// # Errors
    /// As [`Embedder::embed_images`]; `InvalidInput` if the model makes no such features.
    pub async fn signatures(
        &self,
        images: Vec<Vec<u8>>,
        thumbnails: Thumbnails,
    ) -> Result<Vec<Result<SignatureFeatures>>> {
        if self.info().signature.is_none() {
            return Err(Error::InvalidInput(format!(
                "model `{}` makes no features of signatures; use `bundled`",
                self.info().name
            )));
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let window = images.len().min(self.0.window);
        let _room = self.admit(&self.0.image_slots, window, "pictures")?;
        let mut found = Vec::with_capacity(images.len());
        let mut answers =
            stream::iter(images).map(|bytes| self.signature(bytes, thumbnails)).buffered(window);
        while let Some(answer) = answers.next().await {
            match answer {
                Err(error @ Error::Unavailable(_)) => return Err(error),
                other => found.push(other),
            }
        }
        Ok(found)
    }

    async fn signature(&self, bytes: Vec<u8>, thumbnails: Thumbnails) -> Result<SignatureFeatures> {
        let decode = move |inner: &Inner, bytes: &[u8]| {
            let picture = decode(bytes, &inner.limits)?;
            let signature = Signature::find(&picture, Cleaning::default())
                .map_err(|unfit| Error::Unfit(unfit.to_string()))?;
            let found = (signature.quality(), signature.print(), thumbnails.of(&picture)?);
            Ok((Picture::Signature(Box::new(signature)), found))
        };
        let (features, (quality, print, thumbnail)) = self.decoded(bytes, decode).await?;
        Ok(SignatureFeatures { features, quality, print, thumbnail })
    }

    /// Has a picture decoded on the pool and answered by the towers; what else decoding found comes along.
    async fn decoded<T: Send + 'static>(
        &self,
        bytes: Vec<u8>,
        decode: impl FnOnce(&Inner, &[u8]) -> Result<(Picture, T)> + Send + 'static,
    ) -> Result<(Vec<f32>, T)> {
        let (send, receive) = oneshot::channel();
        let (send_found, found) = oneshot::channel();
        let inner = self.0.clone();
        inner.queue.clone().expect_image();
        self.0.decoders.spawn(move || {
            if send.is_closed() {
                return inner.queue.drop_image(); // its caller has gone
            }
            match catch_unwind(AssertUnwindSafe(|| decode(&inner, &bytes))) {
                Ok(Ok((picture, found))) => {
                    let _ = send_found.send(found);
                    inner.queue.push_image(picture, send);
                }
                Ok(Err(error)) => {
                    inner.queue.drop_image();
                    let _ = send.send(Err(error));
                }
                Err(_) => {
                    inner.queue.drop_image();
                    let _ = send.send(Err(Error::InvalidInput("the picture cannot be decoded".into())));
                }
            }
        });
        let values = receive.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok((values, found.await.map_err(|_| stopped())?))
    }
}

fn stopped() -> Error {
    Error::Unavailable("the embedder is stopping".into())
}
