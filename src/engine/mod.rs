//! All collections and the models behind one asynchronous face. Async ends here: a call into a
//! collection is one blocking call on a bounded pool; a call into the model waits in its queue.
//! Invariant: nothing is written before everything in the request has been checked and embedded.

mod adapt;
mod calls;
mod choices;
mod draft;
mod duplicates;
mod fusion;
mod groups;
mod import;
mod map;
mod metrics;
mod models;
mod overview;
mod pictures;
mod search;
mod signatures;
mod snapshots;
mod tasks;
mod wanted;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::collection::Collection;
use crate::embed::ModelInfo;
use crate::error::{Error, Result};
use crate::storage::{Store, StoreOptions};
use crate::types::{CollectionConfig, CollectionName, PicturePolicy};

pub use adapt::{AdaptRequest, Adapted, Apply};
pub use calls::CallLimits;
pub use choices::{Choices, HeadUse, Templates};
pub use draft::{Content, Draft, Failure, Inference, OnFailure, Part, Upserted, VectorSource};
pub use fusion::{DEFAULT_RRF_K, Fusion};
pub use groups::{Group, Grouping};
pub use models::{MAX_MODELS, ModelLimits, ModelState, Models};
pub use overview::Disk;
pub use signatures::{
    CalibrateRequest, DEFAULT_TARGET_FARS, EnrolRequest, EnrolledItem, Enrolment, Identification,
    IdentifyRequest, Policy, Sample, SampleFile, Threshold, Verification, VerifyRequest, WhitenRequest,
};
pub use tasks::{Cancel, ItemFailure, MAX_FAILURES, Progress, Task, TaskKind, TaskState, Tasks};
pub use wanted::{Example, Lookup, Search, Strategy, Wanted};

/// Most collections of one server: each has a log, a writer thread and its indexes in memory.
pub const MAX_COLLECTIONS: usize = 1000;

/// The whole database; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    collections: RwLock<BTreeMap<CollectionName, Arc<Collection>>>,
    /// One creation or removal at a time; reads and writes of points do not take it.
    changing: parking_lot::Mutex<()>,
    models: Models,
    calls: calls::Calls,
    /// Held while a head is fitted: one at a time.
    adapting: Arc<tokio::sync::Mutex<()>>,
    /// Held while duplicates are looked for: one page at a time.
    comparing: Arc<tokio::sync::Mutex<()>>,
    /// Held while a map is drawn: one at a time.
    mapping: Arc<tokio::sync::Mutex<()>>,
    /// Which pictures are kept, as far as their collections agree.
    pictures: PicturePolicy,
    /// Work that goes on behind the calls that started it.
    tasks: Tasks,
}

impl Engine {
    /// Opens the data directory and every collection in it. Blocking.
    ///
    /// # Errors
    /// What `Store::open` says: another process, a newer store, an unreadable directory.
    pub fn open(
        data_dir: &Path,
        options: StoreOptions,
        models: impl Into<Models>,
        limits: CallLimits,
        pictures: PicturePolicy,
    ) -> Result<Self> {
        let store = Store::open(data_dir, options)?;
        let mut collections = BTreeMap::new();
        for volume in store.volumes() {
            let name = volume.name().clone();
            collections.insert(name, Arc::new(Collection::open(volume)?));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                store,
                collections: RwLock::new(collections),
                changing: parking_lot::Mutex::new(()),
                models: models.into(),
                calls: calls::Calls::new(limits),
                adapting: Arc::default(),
                comparing: Arc::default(),
                mapping: Arc::default(),
                pictures,
                tasks: Tasks::default(),
            }),
        })
    }

    /// Work that goes on behind the calls that started it.
    pub fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    /// The model that the server started with; see [`Engine::models`] for all.
    pub fn model(&self) -> &ModelInfo {
        self.shared.models.default().info()
    }

    /// The names of all collections, in order.
    pub fn names(&self) -> Vec<CollectionName> {
        self.shared.collections.read().keys().cloned().collect()
    }

    /// True where there is such a collection.
    pub fn exists(&self, name: &CollectionName) -> bool {
        self.shared.collections.read().contains_key(name)
    }

    /// # Errors
    /// `NotFound` where there is no such collection.
    pub fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>> {
        let found = self.shared.collections.read().get(name).cloned();
        found.ok_or_else(|| missing(name))
    }

    /// Creates a collection; it is durable when this returns.
    ///
    /// # Errors
    /// `AlreadyExists`, or `Validation` that names the field; `InvalidInput` where a vector names a model that is
    /// not here or makes vectors of another length.
    pub async fn create(&self, name: CollectionName, config: CollectionConfig) -> Result<()> {
        config.validate()?;
        self.check_models(&config)?;
        let engine = self.clone();
        self.call(move || {
            let _one = engine.shared.changing.lock();
            if engine.exists(&name) {
                return Err(Error::AlreadyExists(format!("Collection `{name}` already exists!")));
            }
            if engine.shared.collections.read().len() >= MAX_COLLECTIONS {
                return Err(Error::InvalidInput(format!(
                    "there are {MAX_COLLECTIONS} collections, the most a server holds"
                )));
            }
            let volume = engine.shared.store.create(&name, &config)?;
            let collection = Arc::new(Collection::open(volume)?);
            engine.shared.collections.write().insert(name, collection);
            Ok(())
        })
        .await
    }

    /// Removes a collection with everything in it. False where there was none.
    pub async fn remove(&self, name: CollectionName) -> Result<bool> {
        let engine = self.clone();
        self.call(move || {
            let _one = engine.shared.changing.lock();
            // First out of sight, then off the disk: no call starts on what is being deleted.
            engine.shared.collections.write().remove(&name);
            engine.shared.store.remove(&name)
        })
        .await
    }

    /// Runs one blocking call on a collection.
    pub async fn on<T: Send + 'static>(
        &self,
        name: &CollectionName,
        call: impl FnOnce(&Collection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let collection = self.collection(name)?;
        let called = collection.clone();
        let done = self.call(move || call(&called)).await;
        match done {
            // Removed while the call was on its way: to its caller it is simply not there.
            Err(Error::Unavailable(_)) if !self.is_current(name, &collection) => Err(missing(name)),
            done => done,
        }
    }

    fn is_current(&self, name: &CollectionName, collection: &Arc<Collection>) -> bool {
        self.shared.collections.read().get(name).is_some_and(|there| Arc::ptr_eq(there, collection))
    }

    /// Finishes what is queued, makes everything durable and marks the stop as clean. Blocking.
    pub fn close(&self) -> Result<()> {
        self.shared.tasks.cancel_all();
        self.shared.collections.read().values().for_each(|collection| collection.keep_graphs());
        self.shared.store.close()
    }

    async fn call<T: Send + 'static>(&self, call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        self.shared.calls.run(call).await
    }
}

fn missing(name: &CollectionName) -> Error {
    Error::NotFound(format!("Collection `{name}` doesn't exist!"))
}
