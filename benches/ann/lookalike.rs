//! Our side of `benches/ann/run`: builds an index over a data set and measures it (`measure.rs`).
//!
//! `cargo bench --bench ann -- DIR BUILD_THREADS STAGES THREADS [SETTINGS]`, where SETTINGS is a JSON object that
//! is laid over the vector's parameters. The originals are read from the data set's own file, mapped, as a
//! collection reads them from its log; with `{"on_disk": false}` they are held. Without DIR it does nothing, so
//! that `cargo test` passes over it.

// A bench fails by panicking.
#![allow(missing_docs, unsafe_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lookalike::index::{Index, Originals, Rescore, Search, Stored};
use lookalike::types::{HnswParams, VectorParams};
use memmap2::Mmap;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

mod measure;
use measure::{Ask, EF_CONSTRUCTION, Engine, Job, K, M, Set};

struct Ours {
    index: Index,
    /// What a payload index answers for the filters.
    allowed: HashMap<u32, RoaringBitmap>,
}

impl Engine for Ours {
    fn rescored(&self) -> &[f64] {
        &[0.0, 4.0]
    }

    fn search(&self, query: &[f32], ask: Ask) -> Vec<u32> {
        let rescore = match ask.rescored {
            0.0 => Rescore::InDoubt,
            times => Rescore::Times(times as f32),
        };
        let search =
            Search { ef: Some(ask.ef), allow: self.allowed.get(&ask.keep), rescore, ..Search::new(K) };
        self.index.search(query, &search).unwrap().into_iter().map(|hit| hit.slot).collect()
    }
}

/// The rows as they lie in the data set's file.
struct Rows {
    map: Arc<Mmap>,
    /// Bytes of a row.
    width: usize,
}

/// Some of them.
struct Found {
    map: Arc<Mmap>,
    width: usize,
    slots: Vec<u32>,
}

impl Originals for Rows {
    fn find(&self, slots: &[u32]) -> Option<Arc<dyn Stored>> {
        Some(Arc::new(Found { map: self.map.clone(), width: self.width, slots: slots.to_vec() }))
    }

    fn turn(&self) -> u64 {
        0
    }
}

impl Stored for Found {
    fn read(&self, i: usize, out: &mut [f32]) -> bool {
        let (numbers, _) = self.bytes(i).as_chunks::<4>();
        out.iter_mut().zip(numbers).for_each(|(out, bytes)| *out = f32::from_le_bytes(*bytes));
        true
    }

    fn bytes(&self, i: usize) -> &[u8] {
        &self.map[self.slots[i] as usize * self.width..][..self.width]
    }
}

fn build(job: &Job, set: &Set, settings: &Value) -> Ours {
    let mut params = json!({"size": set.dimension, "distance": "Cosine"});
    for (name, value) in settings.as_object().unwrap() {
        params[name] = value.clone();
    }
    let params: VectorParams = serde_json::from_value(params).unwrap();
    let hnsw = HnswParams {
        m: M,
        ef_construct: EF_CONSTRUCTION,
        full_scan_threshold: 1000,
        max_indexing_threads: job.build_threads,
    };
    let index = Index::new(&params, hnsw);
    if params.on_disk != Some(false) {
        // SAFETY: nothing writes to the data set's file while it is mapped.
        let map = Arc::new(unsafe { Mmap::map(&set.file()) }.unwrap());
        index.store_originals(Box::new(Rows { map, width: 4 * set.dimension }));
    }
    set.for_each_row(|slot, vector| index.insert(slot, vector).unwrap());
    // Until the graph stands and, where they lie in the file as well, few floats are still held.
    let held =
        |index: &Index| params.on_disk != Some(false) && index.state().vectors_in_memory > set.rows / 10;
    let began = std::time::Instant::now();
    while index.state().building || (held(&index) && began.elapsed() < Duration::from_secs(5)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let rows = set.rows as u32;
    let of = |&keep: &u32| (keep, (0..rows).filter(|slot| slot.is_multiple_of(keep)).collect());
    let allowed = set.keeps.iter().filter(|&&keep| keep > 1).map(of).collect();
    Ours { index, allowed }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(job) = Job::parse(&arguments) else { return };
    let settings: Value = arguments.get(4).map_or(json!({}), |text| serde_json::from_str(text).unwrap());
    let said = match settings.as_object().unwrap().is_empty() {
        true => "defaults: bytes, what is in doubt compared exactly; or the best 40".to_owned(),
        false => settings.to_string(),
    };
    measure::run("lookalike", &said, &job, |set| build(&job, set, &settings));
}
