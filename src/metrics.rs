//! What the server counts about itself while it works, and the text that Prometheus reads.
//! The only user of the crate prometheus.
//!
//! Invariant: labels come from short fixed lists (methods, routes, status codes, lanes), so that no client
//! can make new series; the names of collections, at most 1,000, are read when the text is made.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::error::{Error, Result};

/// Seconds: from a cached text to a bulk request.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Items of one run of a tower, at most 256.
const ITEMS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Counters and histograms of one server; cheap to clone, all clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    batch_items: HistogramVec,
    batch_seconds: HistogramVec,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    decode_seconds: Histogram,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// What is true at the moment when the text is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// Items that wait for the model or are being worked on: (lane, items).
    pub queued: Vec<(&'static str, usize)>,
    /// Bytes that the embedding cache holds.
    pub cache_bytes: u64,
    /// Bytes of pixels that are being decoded.
    pub decode_bytes: u64,
    /// Points of each collection.
    pub points: Vec<(String, usize)>,
    /// Whole seconds since the server started.
    pub uptime_secs: u64,
}

impl Metrics {
    /// All at 0.
    ///
    /// # Errors
    /// `Internal` if a name is not one that Prometheus takes.
    pub fn new() -> Result<Metrics> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            added(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            added(&registry, HistogramVec::new(options, labels))
        };
        let requests = counter(
            "lookalike_http_requests_total",
            "Requests that were answered.",
            &["method", "endpoint", "status"],
        )?;
        let request_seconds = histogram(
            "lookalike_http_request_seconds",
            "Time to the head of the answer.",
            &SECONDS,
            &["method", "endpoint"],
        )?;
        let batch_items = histogram(
            "lookalike_embed_batch_items",
            "Items of one run of a tower.",
            &ITEMS,
            &["lane", "kind"],
        )?;
        let batch_seconds = histogram(
            "lookalike_embed_batch_seconds",
            "Time of one run of a tower.",
            &SECONDS,
            &["lane", "kind"],
        )?;
        let simple = |name: &str, help: &str| added(&registry, IntCounter::new(name, help));
        let cache_hits = simple(
            "lookalike_embed_cache_hits_total",
            "Inputs whose vector was in the cache, or on its way for an equal input.",
        )?;
        let cache_misses =
            simple("lookalike_embed_cache_misses_total", "Inputs that were not in the cache.")?;
        let options =
            HistogramOpts::new("lookalike_decode_seconds", "Time to decode and resize one picture.")
                .buckets(SECONDS.to_vec());
        let decode_seconds = added(&registry, Histogram::with_opts(options))?;
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .map_err(wrong)?;
        Ok(Metrics {
            requests,
            request_seconds,
            batch_items,
            batch_seconds,
            cache_hits,
            cache_misses,
            decode_seconds,
            registry,
        })
    }

    /// A request to `endpoint`, the pattern of its route, was answered.
    pub fn answered(&self, method: &str, endpoint: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, endpoint, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[method, endpoint]).observe(took.as_secs_f64());
    }

    /// A tower ran over `items` of a lane; `kind` is `text` or `picture`.
    pub fn ran(&self, lane: &str, kind: &str, items: usize, took: Duration) {
        self.batch_items.with_label_values(&[lane, kind]).observe(items as f64);
        self.batch_seconds.with_label_values(&[lane, kind]).observe(took.as_secs_f64());
    }

    /// An input was looked for in the cache.
    pub fn looked_up(&self, found: bool) {
        if found { &self.cache_hits } else { &self.cache_misses }.inc();
    }

    /// A picture was decoded and resized.
    pub fn decoded(&self, took: Duration) {
        self.decode_seconds.observe(took.as_secs_f64());
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// `Internal` if it cannot be written.
    pub fn text(&self, levels: &Levels) -> Result<String> {
        // A registry for this text alone: a collection that is gone leaves no series behind.
        let now = Registry::new();
        let gauge = |name: &str, help: &str, value: u64| -> Result<()> {
            added(&now, IntGauge::new(name, help))?.set(i64::try_from(value).unwrap_or(i64::MAX));
            Ok(())
        };
        gauge("lookalike_uptime_seconds", "Time since the start.", levels.uptime_secs)?;
        gauge("lookalike_embed_cache_bytes", "Bytes in the embedding cache.", levels.cache_bytes)?;
        gauge("lookalike_decode_bytes", "Bytes of pixels being decoded.", levels.decode_bytes)?;
        gauge("lookalike_collections", "Collections.", levels.points.len() as u64)?;
        let gauges = |name: &str, help: &str, label: &str| {
            added(&now, IntGaugeVec::new(Opts::new(name, help), &[label]))
        };
        let queued = gauges("lookalike_embed_queue_items", "Items waiting for the model or in it.", "lane")?;
        for (lane, items) in &levels.queued {
            queued.with_label_values(&[lane]).set(*items as i64);
        }
        let points = gauges("lookalike_points", "Points of a collection.", "collection")?;
        for (collection, count) in &levels.points {
            points.with_label_values(&[collection]).set(*count as i64);
        }
        let mut families = now.gather();
        families.extend(self.registry.gather());
        TextEncoder::new().encode_to_string(&families).map_err(wrong)
    }
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> Result<C> {
    let made = made.map_err(wrong)?;
    registry.register(Box::new(made.clone())).map_err(wrong)?;
    Ok(made)
}

fn wrong(error: prometheus::Error) -> Error {
    Error::Internal(format!("metrics: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text_and_a_collection_that_is_gone_does_not() {
        let metrics = Metrics::new().unwrap();
        metrics.answered("GET", "/collections/{name}", 404, Duration::from_millis(3));
        metrics.ran("queries", "text", 3, Duration::from_millis(20));
        metrics.looked_up(true);
        let levels = |names: &[&str]| Levels {
            queued: vec![("queries", 2), ("ingest", 0)],
            points: names.iter().map(|name| ((*name).to_owned(), 7)).collect(),
            ..Levels::default()
        };
        let text = metrics.text(&levels(&["a", "b"])).unwrap();
        for line in [
            "lookalike_http_requests_total{endpoint=\"/collections/{name}\",method=\"GET\",status=\"404\"} 1",
            "lookalike_http_request_seconds_bucket{endpoint=\"/collections/{name}\",method=\"GET\",le=\"0.005\"} 1",
            "lookalike_embed_batch_items_bucket{kind=\"text\",lane=\"queries\",le=\"2\"} 0",
            "lookalike_embed_batch_items_bucket{kind=\"text\",lane=\"queries\",le=\"4\"} 1",
            "lookalike_embed_cache_hits_total 1",
            "lookalike_embed_queue_items{lane=\"queries\"} 2",
            "lookalike_points{collection=\"b\"} 7",
            "lookalike_collections 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!metrics.text(&levels(&["a"])).unwrap().contains("collection=\"b\""));
    }
}
