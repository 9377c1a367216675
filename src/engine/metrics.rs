//! What an operator's monitoring reads.

use std::time::Instant;

use super::Engine;
use crate::embed::{Embedder, Lane};
use crate::error::Result;
use crate::metrics::{Levels, Metrics};

impl Engine {
    /// What is counted while the server works.
    pub fn metrics(&self) -> &Metrics {
        self.shared.models.default().metrics()
    }

    /// All counts and levels of a server that runs since `started`, in Prometheus' text format.
    ///
    /// # Errors
    /// `Overloaded` where too many calls wait.
    pub async fn metrics_text(&self, started: Instant) -> Result<String> {
        let engine = self.clone();
        self.call(move || {
            let loaded = engine.shared.models.loaded();
            let lane = |lane: Lane| (lane.name(), loaded.iter().map(|one| one.queue_depth_of(lane)).sum());
            let collections: Vec<_> = engine.shared.collections.read().values().cloned().collect();
            engine.metrics().text(&Levels {
                queued: vec![lane(Lane::Queries), lane(Lane::Ingest)],
                cache_bytes: loaded.iter().map(Embedder::cache_bytes).sum(),
                decode_bytes: loaded.iter().map(Embedder::decode_bytes).sum(),
                points: collections.iter().map(|c| (c.name().to_string(), c.info().points)).collect(),
                uptime_secs: started.elapsed().as_secs(),
            })
        })
        .await
    }
}
