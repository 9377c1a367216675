//! The models of a server: the one that it starts with, which stays, and others, each loaded when something is
//! first to be embedded by it, and unloaded when nothing was for a while or when its memory is needed.
//!
//! Invariants: one model is loaded at a time; one that is in use is never unloaded; the weights of all that are
//! loaded stay within the bound; a vector of a collection is made by its own model or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Engine, Inference};
use crate::collection::{Collection, HeadVersion};
use crate::embed::{EmbedOptions, Embedder, ModelInfo, ModelSpec, Weighed, weigh};
use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName, VectorParams};

/// Most models of one server, with the one that it starts with.
pub const MAX_MODELS: usize = 16;
/// Requests that may wait for a model to be loaded.
const MAX_WAITING: usize = 256;
/// How long a request waits for its turn to load a model.
const WAIT: Duration = Duration::from_secs(60);
/// After how many seconds another try makes sense where memory is short.
const RETRY_SECS: u32 = 5;
const MIB: u64 = 1 << 20;

/// When models are unloaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelLimits {
    /// After so long without use; never if absent.
    pub idle: Option<Duration>,
    /// Most bytes of the weights of all that are loaded; no bound if absent.
    pub memory_bytes: Option<u64>,
}

/// The models of a server; cheap to clone.
#[derive(Clone)]
pub struct Models(Arc<Inner>);

struct Inner {
    default: Embedder,
    others: Vec<Other>,
    options: EmbedOptions,
    limits: ModelLimits,
    /// Held while a model is loaded.
    loading: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicUsize,
}

struct Other {
    name: String,
    spec: ModelSpec,
    weighed: Weighed,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    embedder: Option<Embedder>,
    users: usize,
    /// When it was last taken or given back.
    used: Option<Instant>,
    /// As it was when it was last loaded.
    info: Option<ModelInfo>,
}

/// A model as `GET /models` shows it.
#[derive(Debug, Clone)]
pub struct ModelState {
    /// What collections and requests name it by.
    pub name: String,
    /// Length of its vectors.
    pub dimension: usize,
    /// Bytes of its weights, in memory where it is loaded.
    pub weight_bytes: u64,
    /// The rest; `None` where it was not loaded yet.
    pub info: Option<ModelInfo>,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Whether it is the one that the server started with.
    pub default: bool,
}

/// A model that stays loaded as long as this is held.
pub(super) struct InUse {
    embedder: Embedder,
    held: Option<(Arc<Inner>, usize)>,
}

impl std::ops::Deref for InUse {
    type Target = Embedder;

    fn deref(&self) -> &Embedder {
        &self.embedder
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some((inner, at)) = &self.held {
            let mut state = inner.others[*at].state.lock();
            state.users -= 1;
            state.used = Some(Instant::now());
        }
    }
}

impl From<Embedder> for Models {
    fn from(embedder: Embedder) -> Self {
        let (options, limits) = (EmbedOptions::default(), ModelLimits::default());
        Self(Arc::new(Inner::new(embedder, Vec::new(), options, limits)))
    }
}

impl Models {
    /// The model that is loaded, and others of which the files are opened now and fetched where they have to be;
    /// all run by the same options. Blocking.
    ///
    /// # Errors
    /// `InvalidInput` where there are too many, two have one name, or one does not fit beside the first within the
    /// bound; those of [`Embedder::load`] for what can be told of a model without its weights.
    pub fn new(
        default: Embedder,
        others: &[ModelSpec],
        options: &EmbedOptions,
        limits: ModelLimits,
    ) -> Result<Self> {
        if others.len() >= MAX_MODELS {
            return Err(Error::InvalidInput(format!(
                "also_model names {} models, at most {} may stand beside `model`",
                others.len(),
                MAX_MODELS - 1
            )));
        }
        let own = default.info().weight_bytes;
        if let Some(bound) = limits.memory_bytes
            && own > bound
        {
            return Err(Error::InvalidInput(format!(
                "model_memory_mib is {}, the weights of `{}` alone have {} MiB",
                bound / MIB,
                default.info().name,
                own.div_ceil(MIB)
            )));
        }
        let mut names = vec![default.info().name.clone()];
        let mut found = Vec::new();
        for spec in others {
            let name = spec.name();
            if names.contains(&name) {
                return Err(Error::InvalidInput(format!(
                    "also_model: two models of this server have the name `{name}`, by which requests tell them apart"
                )));
            }
            let weighed = weigh(spec, options)?;
            fits(&default, &name, weighed.bytes, limits)?;
            names.push(name.clone());
            found.push(Other { name, spec: spec.clone(), weighed, state: Mutex::default() });
        }
        // What they count is counted together.
        let options = EmbedOptions { metrics: Some(default.metrics().clone()), ..options.clone() };
        let inner = Arc::new(Inner::new(default, found, options, limits));
        if let (Some(idle), false) = (limits.idle, inner.others.is_empty()) {
            let models = Arc::downgrade(&inner);
            let tick = (idle / 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
            let watch = move || {
                while let Some(inner) = models.upgrade() {
                    if inner.unload_idle(idle) {
                        crate::allocator::give_back();
                    }
                    drop(inner);
                    std::thread::sleep(tick);
                }
            };
            std::thread::Builder::new()
                .name("models".into())
                .spawn(watch)
                .map_err(|error| Error::Internal(format!("a thread cannot start: {error}")))?;
        }
        Ok(Self(inner))
    }

    /// The model that the server started with.
    pub(super) fn default(&self) -> &Embedder {
        &self.0.default
    }

    /// Those that are loaded.
    pub(super) fn loaded(&self) -> Vec<Embedder> {
        let others = self.0.others.iter().filter_map(|other| other.state.lock().embedder.clone());
        std::iter::once(self.0.default.clone()).chain(others).collect()
    }

    /// All of them, the one that the server started with first.
    fn states(&self) -> Vec<ModelState> {
        let info = self.0.default.info();
        let first = ModelState {
            name: info.name.clone(),
            dimension: info.dimension,
            weight_bytes: info.weight_bytes,
            info: Some(info.clone()),
            loaded: true,
            default: true,
        };
        let others = self.0.others.iter().map(|other| {
            let state = other.state.lock();
            ModelState {
                name: other.name.clone(),
                dimension: other.weighed.dimension,
                weight_bytes: other.weighed.bytes,
                info: state.info.clone(),
                loaded: state.embedder.is_some(),
                default: false,
            }
        });
        std::iter::once(first).chain(others).collect()
    }

    fn names(&self) -> String {
        let others = self.0.others.iter().map(|other| other.name.as_str());
        let names = std::iter::once(self.0.default.info().name.as_str()).chain(others);
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// Its place among the others; `None` for the default.
    fn place(&self, name: Option<&str>) -> Result<Option<usize>> {
        match name {
            None => Ok(None),
            Some(name) if name == self.0.default.info().name => Ok(None),
            Some(name) => match self.0.others.iter().position(|other| other.name == name) {
                Some(at) => Ok(Some(at)),
                None if self.0.others.is_empty() => Err(Error::InvalidInput(format!(
                    "model `{name}` is not loaded; this server has {} (leave `model` out to use it)",
                    self.names()
                ))),
                None => Err(Error::InvalidInput(format!(
                    "there is no model `{name}`; this server has {}",
                    self.names()
                ))),
            },
        }
    }

    /// The length of its vectors; `None` where there is no such model.
    fn dimension(&self, name: Option<&str>) -> Option<usize> {
        self.place(name).ok().map(|place| match place {
            None => self.0.default.info().dimension,
            Some(at) => self.0.others[at].weighed.dimension,
        })
    }

    /// What is known of it: of one that was never loaded nothing.
    fn info(&self, name: Option<&str>) -> Option<ModelInfo> {
        match self.place(name).ok()? {
            None => Some(self.0.default.info().clone()),
            Some(at) => self.0.others[at].state.lock().info.clone(),
        }
    }

    /// The model of that name, or the default, loaded first where it has to be.
    ///
    /// # Errors
    /// `InvalidInput` where there is none, `Overloaded` where too many wait, `NoRoom` where others take the
    /// memory; those of [`Embedder::load`].
    pub(super) async fn get(&self, name: Option<&str>) -> Result<InUse> {
        let Some(at) = self.place(name)? else {
            return Ok(InUse { embedder: self.0.default.clone(), held: None });
        };
        if let Some(ready) = Inner::take(&self.0, at) {
            return Ok(ready);
        }
        let busy = || Error::Overloaded {
            what: format!("model `{}` waits for its turn to be loaded", self.0.others[at].name),
            retry_after_secs: RETRY_SECS,
        };
        let waiting = Waiting::new(&self.0.waiting).ok_or_else(busy)?;
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.0.loading).lock_owned());
        let turn = turn.await.map_err(|_| busy())?;
        drop(waiting);
        let inner = Arc::clone(&self.0);
        // The work holds the turn itself: a caller who goes away does not end it.
        let load = move || {
            let _turn = turn;
            Inner::load(&inner, at)
        };
        tokio::task::spawn_blocking(load)
            .await
            .map_err(|error| Error::Internal(format!("loading a model: {error}")))?
    }
}

/// Whether a model fits beside the default.
fn fits(default: &Embedder, name: &str, bytes: u64, limits: ModelLimits) -> Result<()> {
    let needed = default.info().weight_bytes + bytes;
    match limits.memory_bytes {
        Some(bound) if needed > bound => Err(Error::InvalidInput(format!(
            "model_memory_mib is {}, the weights of `{}` and `{name}` have {} MiB; raise it, or leave `{name}` out",
            bound / MIB,
            default.info().name,
            needed.div_ceil(MIB)
        ))),
        _ => Ok(()),
    }
}

/// Counts a request for as long as it waits, also when its client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Self> {
        let already = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count);
        (already < MAX_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn new(default: Embedder, others: Vec<Other>, options: EmbedOptions, limits: ModelLimits) -> Self {
        Self { default, others, options, limits, loading: Arc::default(), waiting: AtomicUsize::new(0) }
    }

    fn take(this: &Arc<Self>, at: usize) -> Option<InUse> {
        let mut state = this.others[at].state.lock();
        let embedder = state.embedder.clone()?;
        state.users += 1;
        state.used = Some(Instant::now());
        Some(InUse { embedder, held: Some((Arc::clone(this), at)) })
    }

    /// In the turn of the caller alone.
    fn load(this: &Arc<Self>, at: usize) -> Result<InUse> {
        if let Some(ready) = Self::take(this, at) {
            return Ok(ready);
        }
        this.make_room(at)?;
        let Other { name, spec, weighed, state } = &this.others[at];
        let embedder = Embedder::load(spec, &this.options)?;
        let info = embedder.info();
        if info.dimension != weighed.dimension {
            return Err(Error::Model(format!(
                "model `{name}` made vectors of {} components when the server started, its files now make {}; start \
                 the server anew",
                weighed.dimension, info.dimension
            )));
        }
        tracing::info!("model `{name}` is loaded, in {:.1} s", info.load_time.as_secs_f64());
        {
            let mut state = state.lock();
            state.info = Some(info.clone());
            state.embedder = Some(embedder);
        }
        Self::take(this, at).ok_or_else(|| Error::Unavailable(format!("model `{name}` was unloaded at once")))
    }

    /// Unloads idle models, the one that was used longest ago first, until another has room.
    fn make_room(&self, at: usize) -> Result<()> {
        let Some(bound) = self.limits.memory_bytes else { return Ok(()) };
        let needed = self.others[at].weighed.bytes;
        loop {
            let (mut taken, mut oldest) = (self.default.info().weight_bytes, None);
            for (place, other) in self.others.iter().enumerate() {
                let state = other.state.lock();
                if state.embedder.is_some() {
                    taken += other.weighed.bytes;
                    let since = (state.used, place);
                    if state.users == 0 && oldest.is_none_or(|oldest| since < oldest) {
                        oldest = Some(since);
                    }
                }
            }
            if taken + needed <= bound {
                return Ok(());
            }
            let Some((_, oldest)) = oldest else {
                return Err(Error::NoRoom {
                    what: format!(
                        "model `{}` has {} MiB of weights, the models in use have {} MiB of the {} MiB that \
                         model_memory_mib allows",
                        self.others[at].name,
                        needed.div_ceil(MIB),
                        taken.div_ceil(MIB),
                        bound / MIB
                    ),
                    retry_after_secs: RETRY_SECS,
                });
            };
            self.unload(oldest, |_| true);
        }
    }

    /// True where something was unloaded.
    fn unload_idle(&self, idle: Duration) -> bool {
        let is_idle = |state: &State| state.used.is_some_and(|used| used.elapsed() >= idle);
        (0..self.others.len()).filter(|at| self.unload(*at, is_idle)).count() > 0
    }

    fn unload(&self, at: usize, is_due: impl Fn(&State) -> bool) -> bool {
        let mut state = self.others[at].state.lock();
        if state.users > 0 || state.embedder.is_none() || !is_due(&state) {
            return false;
        }
        state.embedder = None;
        tracing::info!("model `{}` is unloaded", self.others[at].name);
        true
    }
}

impl Engine {
    /// The models of this server, the default first.
    pub fn models(&self) -> Vec<ModelState> {
        self.shared.models.states()
    }

    /// Checks what the vectors of a new collection say of their models.
    pub(super) fn check_models(&self, config: &CollectionConfig) -> Result<()> {
        for (vector, params) in &config.vectors {
            let Some(model) = &params.model else { continue };
            let place = if vector.is_empty() { "vectors".to_owned() } else { format!("vectors.{vector}") };
            match self.shared.models.dimension(Some(model)) {
                None => {
                    return Err(Error::InvalidInput(format!(
                        "{place}.model: this server has no model `{model}`, only {}; start it with --also-model",
                        self.shared.models.names()
                    )));
                }
                Some(dimension) if dimension != params.size => {
                    return Err(Error::InvalidInput(format!(
                        "{place}.size is {}, the model `{model}` makes vectors of {dimension} components",
                        params.size
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Checks that the model of a vector is here and makes vectors of its length.
    ///
    /// # Errors
    /// `InvalidInput` that names both.
    pub fn check_model_of(&self, name: &CollectionName, vector: &str, params: &VectorParams) -> Result<()> {
        let models = &self.shared.models;
        let model = params.model.as_deref();
        let shown = model.unwrap_or(&self.model().name);
        match models.dimension(model) {
            None => Err(Error::InvalidInput(format!(
                "vector `{vector}` of collection `{name}` is of the model `{shown}`, which this server does not have (it \
                 has {}); start it with --also-model, or send vectors",
                models.names()
            ))),
            Some(dimension) if dimension != params.size => Err(Error::InvalidInput(format!(
                "the model {shown} makes vectors of {dimension} components, collection `{name}` holds vectors of {}",
                params.size
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Gives a text or picture the model of the vector that it is for.
    ///
    /// # Errors
    /// `InvalidInput` where the request names another, or the server does not have it.
    pub(super) fn bind(
        &self,
        inference: &mut Inference,
        name: &CollectionName,
        vector: &str,
        params: &VectorParams,
    ) -> Result<()> {
        let models = &self.shared.models;
        let own = params.model.as_deref();
        let shown = own.unwrap_or(&self.model().name);
        let place = inference.place.clone();
        if let Some(asked) = inference.model.as_deref().filter(|asked| *asked != shown) {
            if models.place(own).is_ok() {
                models.place(Some(asked)).map_err(|error| error.at(&place))?;
            }
            return Err(Error::InvalidInput(format!(
                "{place}: model `{asked}` is asked for, but vector `{vector}` of collection `{name}` is of the model \
                 `{shown}`; leave `model` out to use it"
            )));
        }
        if models.dimension(own).is_none() {
            self.check_model_of(name, vector, params).map_err(|error| error.at(&place))?;
        }
        inference.model = own.map(ToOwned::to_owned);
        Ok(())
    }

    /// What there is to know of the model of a vector, which is loaded first where it has to be.
    pub(super) async fn model_of(&self, params: &VectorParams) -> Result<ModelInfo> {
        Ok(self.shared.models.get(params.model.as_deref()).await?.info().clone())
    }

    /// The fingerprint of the model of a vector; `None` where this server does not have it.
    pub(super) async fn fingerprint_of(
        &self,
        collection: &Collection,
        vector: &str,
    ) -> Result<Option<String>> {
        let config = collection.config();
        let Some(params) = config.vectors.get(vector) else { return Ok(None) };
        let model = params.model.as_deref();
        if let Some(info) = self.shared.models.info(model) {
            return Ok(Some(info.fingerprint));
        }
        match self.shared.models.dimension(model) {
            None => Ok(None),
            Some(_) => Ok(Some(self.model_of(params).await?.fingerprint)),
        }
    }

    /// Whether a head was fitted for a model of this server; of one that was never loaded its name says so.
    pub fn has_model_of(&self, version: &HeadVersion) -> bool {
        self.models().iter().any(|model| match &model.info {
            Some(info) => info.fingerprint == version.fingerprint,
            None => model.name == version.model,
        })
    }
}
