//! What an operator's monitoring reads.

use std::time::Instant;

use super::Engine;
use crate::embed::Lane;
use crate::error::Result;
use crate::metrics::{Levels, Metrics};

impl Engine {
    /// What is counted while the server works.
    pub fn metrics(&self) -> &Metrics {
        self.shared.embedder.metrics()
    }

    /// All counts and levels of a server that runs since `started`, in Prometheus' text format.
    ///
    /// # Errors
    /// `Overloaded` where too many calls wait.
    pub async fn metrics_text(&self, started: Instant) -> Result<String> {
        let engine = self.clone();
        self.call(move || {
            let embedder = &engine.shared.embedder;
            let lane = |lane: Lane| (lane.name(), embedder.queue_depth_of(lane));
            let collections: Vec<_> = engine.shared.collections.read().values().cloned().collect();
            engine.metrics().text(&Levels {
                queued: vec![lane(Lane::Queries), lane(Lane::Ingest)],
                cache_bytes: embedder.cache_bytes(),
                decode_bytes: embedder.decode_bytes(),
                points: collections.iter().map(|c| (c.name().to_string(), c.info().points)).collect(),
                uptime_secs: started.elapsed().as_secs(),
            })
        })
        .await
    }
}
