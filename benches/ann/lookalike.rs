//! Our side of `benches/ann/run`: builds an index over a data set and measures it (`measure.rs`).
//!
//! `cargo bench --bench ann -- DIR BUILD_THREADS STAGES THREADS [SETTINGS]`, where SETTINGS is a JSON object that
//! is laid over the vector's parameters. Without DIR it does nothing, so that `cargo test` passes over it.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use lookalike::index::{Index, Rescore, Search};
use lookalike::types::{HnswParams, VectorParams};
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

fn build(set: &Set, settings: &Value) -> Ours {
    let mut params = json!({"size": set.dimension, "distance": "Cosine"});
    for (name, value) in settings.as_object().unwrap() {
        params[name] = value.clone();
    }
    let params: VectorParams = serde_json::from_value(params).unwrap();
    let hnsw = HnswParams { m: M, ef_construct: EF_CONSTRUCTION, full_scan_threshold: 1000 };
    let index = Index::new(&params, hnsw);
    set.for_each_row(|slot, vector| index.insert(slot, vector).unwrap());
    while index.state().building {
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
    measure::run("lookalike", &said, &job, |set| build(set, &settings));
}
