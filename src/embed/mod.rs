//! Pictures and texts to vectors: the model's files, the two towers, the tokenizer, the device and
//! dynamic batching. The only user of candle, tokenizers and hf-hub.
//!
//! Invariant: a vector that comes out is what transformers' `CLIPModel`, `SiglipModel`, `Dinov2Model` or
//! `VisionTextDualEncoderModel` computes from the same checkpoint (within 1e-4, L2-normalised); a checkpoint for
//! which that cannot be said is refused when it is loaded. Waiting work is bounded: in each lane pictures and texts each by `EmbedOptions::queue`.

mod batch;
mod bert;
mod cache;
mod clean;
mod clip;
mod config;
#[cfg_attr(not(feature = "cuda"), path = "cuda/absent.rs")]
mod cuda;
mod device;
mod dino;
mod dual;
mod efficientnet;
mod fallback;
mod files;
mod hub;
mod info;
mod options;
mod pool;
mod precision;
mod runner;
mod siglip;
mod signature;
mod spec;
mod text;
mod towers;
mod vit;
mod vit_candle;
mod vit_cpu;
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::preprocess::{
    Cleaning, Enough, Limits, RgbImage, Signature, Transform, decode, decode_reduced, decoded_bytes,
    thumbnail,
};
use crate::types::THUMBNAIL_SIDE;

use batch::{Picture, Queue, Worker};
use cache::{Cache, Key, Kind};
use pool::{Pool, Task};
use runner::Runner;

pub use bert::BertConfig;
pub use clean::TextCleaning;
pub use clip::ClipConfig;
pub use config::{ModelConfig, TowerShape};
pub use device::{DeviceChoice, open as open_device};
pub use dino::DinoConfig;
pub use dual::DualConfig;
pub use efficientnet::{EfficientNet, Features};
pub use hub::{Cached, Pulled, Removed, Revision, Weighed, cached, model_cache, pull, remove, weigh};
pub use info::ModelInfo;
pub use options::EmbedOptions;
pub use precision::PrecisionChoice;
pub use siglip::SiglipConfig;
pub use signature::{Pooling, SignatureFeatures, SignatureInfo};
pub use spec::ModelSpec;
pub use text::TextEncoder;
pub use towers::Towers;

/// Up to so many texts are cut into tokens on the caller's thread, about 20 microseconds each.
const INLINE_TEXTS: usize = 16;
/// The longer side, at least, of a picture that is scaled down while it is decoded: a thumbnail is made of it.
const REDUCED_THUMBNAIL: u32 = THUMBNAIL_SIDE + THUMBNAIL_SIDE / 2;
/// A picture up to so many bytes is hashed on the caller's thread, in under a millisecond.
const INLINE_HASH: usize = 256 << 10;

/// Who waits for what is embedded. Each lane has a queue of its own, and they take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody who searches.
    Queries,
    /// Points that are written.
    Ingest,
}

impl Lane {
    /// `queries` or `ingest`.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Queries => "queries",
            Lane::Ingest => "ingest",
        }
    }
}

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

struct Inner {
    info: ModelInfo,
    text: TextEncoder,
    transform: Transform,
    limits: Limits,
    queue: Arc<Queue>,
    decoders: Pool,
    cache: Cache,
    metrics: Metrics,
    capacity: usize,
    /// By [`Lane`].
    text_slots: [Semaphore; 2],
    image_slots: [Semaphore; 2],
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
        let device = towers.device().clone();
        let fingerprint =
            weights::fingerprint(weights.digest(), &[&files.config, &files.tokenizer, &files.preprocessor]);
        let signature = towers.signature_info(&fingerprint);
        let info = ModelInfo {
            name,
            fingerprint,
            signature,
            dimension: config.projection(),
            modalities: config.modalities(),
            weight_bytes: config.layout().bytes(),
            device: device::name(&device),
            precision: precision::name(towers.precision()),
            image_size: config.image_size(),
            context_length: config.context_length(),
            load_time: started.elapsed(),
            fallen: Arc::default(),
        };
        let again = (!device.is_cpu()).then(|| fallback::on_the_cpu(spec, options, &info.fingerprint));
        let towers = Runner::new(towers, again, info.fallen.clone());
        let max_batch = match options.max_batch {
            0 => device::batch(&device, config.picture_bytes()),
            set => set,
        };
        Embedder::start(info, towers, text, transform, &EmbedOptions { max_batch, ..options.clone() })
    }

    fn start(
        info: ModelInfo,
        towers: Runner<Towers>,
        text: TextEncoder,
        transform: Transform,
        options: &EmbedOptions,
    ) -> Result<Embedder> {
        let threads = options.decode_threads();
        let pool = Pool::start(threads, options.decode_bytes)?;
        let metrics = options.metrics.clone().map_or_else(Metrics::new, Ok)?;
        let cleaning = format!("{:?}", options.cleaning);
        let model = [info.fingerprint.as_str(), info.precision, &cleaning];
        let cache = Cache::new(options.cache_bytes, &model, metrics.clone())?;
        let queue = Arc::new(Queue::new());
        let worker = Worker {
            queue: queue.clone(),
            towers,
            transform: transform.clone(),
            max_batch: options.max_batch,
            max_wait: options.max_wait,
            metrics: metrics.clone(),
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
            cache,
            metrics,
            capacity: options.queue,
            text_slots: [Semaphore::new(options.queue), Semaphore::new(options.queue)],
            image_slots: [Semaphore::new(options.queue), Semaphore::new(options.queue)],
            window: (2 * options.max_batch + threads).min(options.queue),
        })))
    }

    /// What is loaded.
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// What is counted while it works.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Bytes that the cache holds.
    pub fn cache_bytes(&self) -> u64 {
        self.0.cache.bytes()
    }

    /// Bytes of pixels that are being decoded.
    pub fn decode_bytes(&self) -> u64 {
        self.0.decoders.bytes()
    }

    /// Texts and pictures that wait or are being worked on.
    pub fn queue_depth(&self) -> usize {
        self.queue_depth_of(Lane::Queries) + self.queue_depth_of(Lane::Ingest)
    }

    /// The same of one lane.
    pub fn queue_depth_of(&self, lane: Lane) -> usize {
        let (texts, images) = self.waiting(lane);
        texts + images
    }

    fn waiting(&self, lane: Lane) -> (usize, usize) {
        let of = |slots: &[Semaphore; 2]| {
            self.0.capacity - slots[lane as usize].available_permits().min(self.0.capacity)
        };
        (of(&self.0.text_slots), of(&self.0.image_slots))
    }

    /// Reserve room for `count` items of a kind in a lane.
    fn admit<'a>(
        &'a self,
        lane: Lane,
        slots: &'a [Semaphore; 2],
        count: usize,
        what: &str,
    ) -> Result<SemaphorePermit<'a>> {
        slots[lane as usize].try_acquire_many(count as u32).map_err(|_| {
            // `count` is at most the window, which is at most 100,000
            let (texts, images) = self.waiting(lane);
            Error::Overloaded {
                what: format!("the queue of {what} to embed is full ({} items)", self.0.capacity),
                retry_after_secs: self.0.queue.drain_secs(texts, images),
            }
        })
    }

    /// [`Embedder::embed_texts_in`] the lane of queries.
    ///
    /// # Errors
    /// As there.
    pub async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        self.embed_texts_in(Lane::Queries, texts).await
    }

    /// Embed texts, in order. An empty text is allowed. Texts beyond the context length are cut.
    ///
    /// Returns one unit vector of `info().dimension` a text. A request of any size is worked off
    /// piece by piece; only its current piece counts towards the queue, and what is in the cache does not.
    ///
    /// # Errors
    /// `Overloaded` if the queue is full, `Unavailable` if the worker has ended, `Internal` if the
    /// model fails, `InvalidInput` if it embeds no texts.
    pub async fn embed_texts_in(&self, lane: Lane, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let mut vectors = vec![Vec::new(); texts.len()];
        let cache = &self.0.cache;
        let (mut keys, mut places, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (at, text) in texts.into_iter().enumerate() {
            let key = if cache.is_on() { cache.key(Kind::Text, text.as_bytes()) } else { Key::default() };
            match cache.get(&key) {
                Some(found) => vectors[at].clone_from(&found.vector),
                None => {
                    keys.push(key);
                    places.push(at);
                    left.push(text);
                }
            }
        }
        if left.is_empty() {
            return Ok(vectors);
        }
        let window = left.len().min(self.0.window);
        let _room = self.admit(lane, &self.0.text_slots, window, "texts")?;
        let tokens = self.tokenize(lane, left).await?;
        let mut tokens: Vec<_> = tokens.into_iter().zip(keys).zip(places).collect();
        tokens.sort_by_key(|((ids, _), _)| ids.len()); // alike lengths meet in one batch
        let order: Vec<usize> = tokens.iter().map(|(_, at)| *at).collect();
        let embed = |((ids, key), _): ((Vec<u32>, Key), usize)| async move {
            cache.get_or_make(&key, self.embed_tokens(lane, ids)).await
        };
        let mut answers = stream::iter(tokens).map(embed).buffered(window);
        for at in order {
            if let Some(embedded) = answers.next().await {
                vectors[at] = taken(embedded?).vector;
            }
        }
        Ok(vectors)
    }

    async fn tokenize(&self, lane: Lane, texts: Vec<String>) -> Result<Vec<Vec<u32>>> {
        if texts.len() <= INLINE_TEXTS {
            return texts.iter().map(|text| self.0.text.encode(text)).collect();
        }
        let inner = self.0.clone();
        self.on_pool(lane, move || texts.iter().map(|text| inner.text.encode(text)).collect()).await?
    }

    /// Work without pixels on the decoders' threads; it is left undone if its caller goes.
    async fn on_pool<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (send, receive) = oneshot::channel();
        let run = move || {
            if !send.is_closed() {
                let _ = send.send(work());
            }
        };
        self.0.decoders.run(lane, Task { bytes: 0, abandoned: Box::new(|| false), run: Box::new(run) });
        receive.await.map_err(|_| stopped())
    }

    async fn embed_tokens(&self, lane: Lane, ids: Vec<u32>) -> Result<Embedded> {
        let (send, receive) = oneshot::channel();
        self.0.queue.push_text(lane, ids, send);
        let vector = receive.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(Embedded { vector, thumbnail: None })
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
        let embedded = self.embed_pictures(Lane::Queries, images, Thumbnails::Skip).await?;
        Ok(embedded.into_iter().map(|one| one.map(|one| one.vector)).collect())
    }

    /// The same in any lane, with small copies of the pictures.
    ///
    /// # Errors
    /// As [`Embedder::embed_images`].
    pub async fn embed_pictures(
        &self,
        lane: Lane,
        images: Vec<Vec<u8>>,
        thumbnails: Thumbnails,
    ) -> Result<Vec<Result<Embedded>>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let window = images.len().min(self.0.window);
        let _room = self.admit(lane, &self.0.image_slots, window, "pictures")?;
        let mut embedded = Vec::with_capacity(images.len());
        let mut answers =
            stream::iter(images).map(|bytes| self.embed_picture(lane, bytes, thumbnails)).buffered(window);
        while let Some(answer) = answers.next().await {
            match answer {
                Err(error @ Error::Unavailable(_)) => return Err(error),
                other => embedded.push(other),
            }
        }
        Ok(embedded)
    }

    async fn embed_picture(&self, lane: Lane, bytes: Vec<u8>, thumbnails: Thumbnails) -> Result<Embedded> {
        let cache = &self.0.cache;
        if !cache.is_on() {
            return self.decode_and_embed(lane, bytes.into(), thumbnails).await;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let keys = |inner: &Inner, bytes: &[u8]| {
            [Kind::Picture, Kind::PictureWithThumbnail].map(|kind| inner.cache.key(kind, bytes))
        };
        let [plain, with_thumbnail] = if bytes.len() <= INLINE_HASH {
            keys(&self.0, &bytes)
        } else {
            let (inner, bytes) = (self.0.clone(), bytes.clone());
            self.on_pool(lane, move || keys(&inner, &bytes)).await?
        };
        let key = match thumbnails {
            Thumbnails::Make => with_thumbnail,
            // A vector is the same with its thumbnail.
            Thumbnails::Skip => match cache.get(&with_thumbnail) {
                Some(found) => return Ok(Embedded { vector: found.vector.clone(), thumbnail: None }),
                None => plain,
            },
        };
        cache.get_or_make(&key, self.decode_and_embed(lane, bytes, thumbnails)).await.map(taken)
    }

    async fn decode_and_embed(
        &self,
        lane: Lane,
        bytes: Arc<[u8]>,
        thumbnails: Thumbnails,
    ) -> Result<Embedded> {
        let decode = move |inner: &Inner, bytes: &[u8]| {
            // The same with a thumbnail and without: a picture has one vector.
            let enough = Enough { longer: REDUCED_THUMBNAIL, ..inner.transform.enough() };
            let picture = decode_reduced(bytes, &inner.limits, enough)?;
            Ok((Picture::Crop(inner.transform.crop_decoded(&picture)), thumbnails.of(&picture)?))
        };
        let (vector, thumbnail) = self.decoded(lane, bytes, decode).await?;
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
        lane: Lane,
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
        let _room = self.admit(lane, &self.0.image_slots, window, "pictures")?;
        let mut found = Vec::with_capacity(images.len());
        let mut answers =
            stream::iter(images).map(|bytes| self.signature(lane, bytes, thumbnails)).buffered(window);
        while let Some(answer) = answers.next().await {
            match answer {
                Err(error @ Error::Unavailable(_)) => return Err(error),
                other => found.push(other),
            }
        }
        Ok(found)
    }

    async fn signature(
        &self,
        lane: Lane,
        bytes: Vec<u8>,
        thumbnails: Thumbnails,
    ) -> Result<SignatureFeatures> {
        let decode = move |inner: &Inner, bytes: &[u8]| {
            let picture = decode(bytes, &inner.limits)?;
            let signature = Signature::find(&picture, Cleaning::default())
                .map_err(|unfit| Error::Unfit(unfit.to_string()))?;
            let found = (signature.quality(), signature.print(), thumbnails.of(&picture)?);
            Ok((Picture::Signature(Box::new(signature)), found))
        };
        let (features, (quality, print, thumbnail)) = self.decoded(lane, bytes.into(), decode).await?;
        Ok(SignatureFeatures { features, quality, print, thumbnail })
    }

    /// Has a picture decoded on the pool and answered by the towers; what else decoding found comes along.
    async fn decoded<T: Send + 'static>(
        &self,
        lane: Lane,
        bytes: Arc<[u8]>,
        decode: impl FnOnce(&Inner, &[u8]) -> Result<(Picture, T)> + Send + 'static,
    ) -> Result<(Vec<f32>, T)> {
        let (send, receive) = oneshot::channel();
        let (send_found, found) = oneshot::channel();
        let inner = self.0.clone();
        let held = decoded_bytes(&bytes, &inner.limits);
        // While it waits for bytes a task learns by this that its caller has gone.
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        inner.queue.expect_image(lane);
        let run = move || {
            if send.is_closed() {
                return inner.queue.drop_image(lane); // its caller has gone
            }
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| decode(&inner, &bytes)));
            inner.metrics.decoded(started.elapsed());
            match outcome {
                Ok(Ok((picture, found))) => {
                    let _ = send_found.send(found);
                    inner.queue.push_image(lane, picture, send);
                }
                Ok(Err(error)) => {
                    inner.queue.drop_image(lane);
                    let _ = send.send(Err(error));
                }
                Err(_) => {
                    inner.queue.drop_image(lane);
                    let _ = send.send(Err(Error::InvalidInput("the picture cannot be decoded".into())));
                }
            }
        };
        let abandoned = Box::new(move || waiting.strong_count() == 0);
        self.0.decoders.run(lane, Task { bytes: held, abandoned, run: Box::new(run) });
        let values = receive.await.unwrap_or_else(|_| Err(stopped()))?;
        drop(caller);
        Ok((values, found.await.map_err(|_| stopped())?))
    }
}

/// What nobody else holds without copying it.
fn taken(embedded: Arc<Embedded>) -> Embedded {
    Arc::try_unwrap(embedded).unwrap_or_else(|shared| (*shared).clone())
}

fn stopped() -> Error {
    Error::Unavailable("the embedder is stopping".into())
}
