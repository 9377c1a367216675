//! Qdrant's segment engine (the crate qdrant-edge) in `benches/ann/run`: one segment, built by its
//! optimizer from points with a payload, measured as our own side is (`../measure.rs`).
//!
//! `ann-qdrant-edge ENGINE DIR BUILD_THREADS STAGES THREADS`, where ENGINE is `qdrant-f32` or
//! `qdrant-i8`: scalar quantisation in memory and rescoring. Filters go by a
//! payload index on tags. It plans as it does by default: a filter that lets less than 10 MB of
//! vectors through is answered by a scan; in small sets from an eighth of it, so that its graph is used.
//! Segments lie in the system's temporary folder (TMPDIR).

#[path = "../../measure.rs"]
mod measure;

use measure::{Ask, EF_CONSTRUCTION, Engine, Job, K, M, Set};
use qdrant_edge::{
    CreateIndex, EdgeConfig, EdgeShard, FieldIndexOperations, Filter, NamedQuery, PointId,
    PointInsertOperations, PointOperations, PointStruct, QueryEnum, SearchParams, SearchRequestBuilder,
    UpdateOperation,
};
use serde_json::{Value, json};

/// Points in one request.
const BATCH: usize = 1_000;

struct Qdrant {
    shard: EdgeShard,
    is_quantised: bool,
    _folder: tempfile::TempDir,
}

impl Engine for Qdrant {
    fn rescored(&self) -> &[f64] {
        if self.is_quantised { &[2.0, 1.5, 4.0] } else { &[0.0] }
    }

    fn search(&self, query: &[f32], ask: Ask) -> Vec<u32> {
        let mut params = SearchParams { hnsw_ef: Some(ask.ef), ..SearchParams::default() };
        if self.is_quantised {
            params.quantization = Some(qdrant_edge::QuantizationSearchParams {
                ignore: false,
                rescore: Some(true),
                oversampling: Some(ask.rescored),
            });
        }
        let nearest = QueryEnum::Nearest(NamedQuery::default_dense(query.to_vec()));
        let mut request = SearchRequestBuilder::new(nearest, K).params(params);
        if ask.keep > 1 {
            request = request.filter(filter(ask.keep));
        }
        let row = |id: &PointId| match id {
            PointId::NumId(number) => *number as u32,
            other => panic!("{other} was never put in"),
        };
        self.shard.search(request.build()).unwrap().iter().map(|point| row(&point.id)).collect()
    }
}

fn filter(keep: u32) -> Filter {
    let tagged = json!({"must": [{"key": "tags", "match": {"value": keep.to_string()}}]});
    serde_json::from_value(tagged).unwrap()
}

fn configuration(set: &Set, job: &Job, is_quantised: bool) -> EdgeConfig {
    let kilobytes = set.rows * set.dimension * 4 / 1024;
    let quantisation = match is_quantised {
        true => json!({"scalar": {"type": "int8", "memory": "pinned"}}),
        false => Value::Null,
    };
    let configuration = json!({
        "vectors": {"": {"size": set.dimension, "distance": "Cosine", "memory": "cached"}},
        "payload_memory": "cached",
        "hnsw_config": {
            "m": M, "ef_construct": EF_CONSTRUCTION, "max_indexing_threads": job.build_threads,
            "full_scan_threshold": (kilobytes / 8).min(10_000),
        },
        "quantization_config": quantisation,
        // One segment: the best that a graph can do.
        "optimizers": {"default_segment_number": 1, "max_segment_size": 1_000_000_000, "indexing_threshold": 1},
        "wal_enabled": false,
        "max_search_threads": 1,
    });
    serde_json::from_value(configuration).unwrap()
}

fn build(set: &Set, job: &Job, is_quantised: bool) -> Qdrant {
    let folder = tempfile::tempdir().unwrap();
    let shard = EdgeShard::new(folder.path(), configuration(set, job, is_quantised)).unwrap();
    let index = CreateIndex {
        field_name: "tags".parse().unwrap(),
        field_schema: Some(serde_json::from_value(json!({"type": "keyword"})).unwrap()),
    };
    shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index))).unwrap();
    let mut batch = Vec::with_capacity(BATCH);
    let put = |batch: &mut Vec<PointStruct>| {
        let points = batch.drain(..).map(Into::into).collect();
        let upsert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
        shard.update(UpdateOperation::PointOperation(upsert)).unwrap();
    };
    set.for_each_row(|row, vector| {
        let divides = |keep: &&u32| **keep > 1 && row.is_multiple_of(**keep);
        let tags: Vec<String> = set.keeps.iter().filter(divides).map(u32::to_string).collect();
        batch.push(PointStruct::new(u64::from(row), vector.to_vec(), json!({"tags": tags})));
        if batch.len() == BATCH {
            put(&mut batch);
        }
    });
    put(&mut batch);
    shard.optimize().unwrap();
    Qdrant { shard, is_quantised, _folder: folder }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(engine), Some(job)) = (arguments.first(), Job::parse(arguments.get(1..).unwrap_or(&[]))) else {
        panic!("ENGINE DIR BUILD_THREADS STAGES THREADS");
    };
    let is_quantised = engine == "qdrant-i8";
    let settings = match is_quantised {
        true => "int8 scalar quantisation in memory, the best 15, 20 or 40 compared exactly",
        false => "f32",
    };
    let settings = format!("one segment, {settings}; payload index; put in point by point, then optimized");
    measure::run(engine, &settings, &job, |set| build(set, &job, is_quantised));
}
