//! What was embedded before: an input that comes again costs a hash and no model, and equal inputs that
//! wait at the same time are embedded once, the others wait for that one.
//!
//! Invariant: a key holds the SHA-256 of all that decides the vector: the model's fingerprint, its precision,
//! the clean-up of texts, the kind of input and its bytes (of a text after its template). Errors are not kept.

use std::future::Future;
use std::sync::Arc;

use quick_cache::sync::Cache as Weighted;
use quick_cache::{OptionsBuilder, Weighter};
use sha2::{Digest, Sha256};

use super::Embedded;
use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// Bytes an entry takes beside its vector and its thumbnail: key, counts, the place in the table.
const ENTRY_BYTES: u64 = 160;
/// A usual entry, to size the table: 256 components and no thumbnail.
const USUAL_BYTES: u64 = 1024 + ENTRY_BYTES;
/// Parts of the cache with a lock each. An entry may take most of one part, so they stay few.
const SHARDS: usize = 4;

/// The hash of an input and of all that decides its vector.
pub(super) type Key = [u8; 32];

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Picture,
    /// A picture whose thumbnail is made with its vector.
    PictureWithThumbnail,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Embedded>> for Weight {
    fn weight(&self, _: &Key, kept: &Arc<Embedded>) -> u64 {
        let thumbnail = kept.thumbnail.as_ref().map_or(0, Vec::len);
        (4 * kept.vector.len() + thumbnail) as u64 + ENTRY_BYTES
    }
}

/// Vectors by what they were made of.
pub(super) struct Cache {
    kept: Option<Weighted<Key, Arc<Embedded>, Weight>>,
    /// Has taken in what all keys begin with.
    seed: Sha256,
    metrics: Metrics,
}

impl Cache {
    /// At most `bytes`; nothing is kept if 0. `model` names all about the model that decides a vector.
    pub fn new(bytes: u64, model: &[&str], metrics: Metrics) -> Result<Cache> {
        let mut seed = Sha256::new();
        for part in model {
            seed.update((part.len() as u64).to_le_bytes());
            seed.update(part);
        }
        let build = |bytes: u64| -> Result<_> {
            let options = OptionsBuilder::new()
                .shards(SHARDS)
                .estimated_items_capacity(usize::try_from(bytes / USUAL_BYTES).unwrap_or(usize::MAX))
                .weight_capacity(bytes)
                .build()
                .map_err(|error| Error::Internal(format!("the embedding cache: {error}")))?;
            Ok(Weighted::with_options(options, Weight, Default::default(), Default::default()))
        };
        let kept = if bytes == 0 { None } else { Some(build(bytes)?) };
        Ok(Cache { kept, seed, metrics })
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.kept.is_some()
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, Weighted::weight)
    }

    /// The key of an input.
    pub fn key(&self, kind: Kind, bytes: &[u8]) -> Key {
        let mut hash = self.seed.clone();
        hash.update([kind as u8]);
        hash.update(bytes);
        hash.finalize().into()
    }

    /// What is kept of an input that needs no waiting for.
    pub fn get(&self, key: &Key) -> Option<Arc<Embedded>> {
        let found = self.kept.as_ref()?.get(key)?;
        self.metrics.looked_up(true);
        Some(found)
    }

    /// What is kept under `key`, or what `make` makes, which is kept then. While one makes it, others who
    /// ask for it wait; if he goes away or fails, the next one makes it.
    pub async fn get_or_make(
        &self,
        key: &Key,
        make: impl Future<Output = Result<Embedded>>,
    ) -> Result<Arc<Embedded>> {
        let Some(kept) = &self.kept else { return make.await.map(Arc::new) };
        match kept.get_value_or_guard_async(key).await {
            Ok(found) => {
                self.metrics.looked_up(true);
                Ok(found)
            }
            Err(guard) => {
                self.metrics.looked_up(false);
                let made = Arc::new(make.await?);
                let _ = guard.insert(made.clone()); // refused only if the entry was taken away meanwhile
                Ok(made)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes: u64) -> Cache {
        Cache::new(bytes, &["model", "f32"], Metrics::new().unwrap()).unwrap()
    }

    fn vector(value: f32) -> Result<Embedded> {
        Ok(Embedded { vector: vec![value; 64], thumbnail: None })
    }

    #[test]
    fn a_key_depends_on_the_model_the_kind_and_every_byte() {
        let (one, other) = (cache(1), Cache::new(1, &["modelf", "32"], Metrics::new().unwrap()).unwrap());
        let key = one.key(Kind::Text, b"a");
        assert_eq!(key, one.key(Kind::Text, b"a"));
        for different in
            [one.key(Kind::Picture, b"a"), one.key(Kind::Text, b"b"), other.key(Kind::Text, b"a")]
        {
            assert_ne!(key, different);
        }
    }

    #[tokio::test]
    async fn equal_inputs_at_once_are_made_once_and_a_maker_who_leaves_is_replaced() {
        let cache = cache(1 << 20);
        let key = cache.key(Kind::Text, b"a");
        let made = std::cell::Cell::new(0);
        let make = || async {
            tokio::task::yield_now().await;
            made.set(made.get() + 1);
            vector(1.0)
        };
        // The first is dropped half way: the second, who waits for it, makes it himself.
        let mut gone = Box::pin(cache.get_or_make(&key, make()));
        assert!(futures_util::poll!(&mut gone).is_pending());
        let second = cache.get_or_make(&key, make());
        let third = cache.get_or_make(&key, make());
        let all = async { tokio::join!(second, third) };
        let mut all = Box::pin(all);
        assert!(futures_util::poll!(&mut all).is_pending());
        drop(gone);
        let (second, third) = all.await;
        assert_eq!((made.get(), second.unwrap().vector.len(), third.unwrap().vector.len()), (1, 64, 64));
        assert!(cache.get(&key).is_some());
    }

    #[tokio::test]
    async fn errors_are_not_kept_and_the_bytes_stay_within_the_bound() {
        let cache = cache(64 << 10);
        let key = cache.key(Kind::Picture, b"broken");
        let failed = cache.get_or_make(&key, async { Err(Error::InvalidInput("damaged".into())) }).await;
        assert_eq!(failed.unwrap_err().code(), 400);
        assert!(cache.get_or_make(&key, async { vector(2.0) }).await.is_ok());
        for i in 0..2_000u32 {
            let key = cache.key(Kind::Text, &i.to_le_bytes());
            cache.get_or_make(&key, async { vector(i as f32) }).await.unwrap();
        }
        assert!(cache.bytes() > 32 << 10 && cache.bytes() <= 64 << 10, "{}", cache.bytes());
        let off = self::cache(0);
        off.get_or_make(&key, async { vector(1.0) }).await.unwrap();
        assert!(off.get(&key).is_none() && off.bytes() == 0);
    }
}
