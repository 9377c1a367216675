//! Collections on the wire: how one is created, and how it is described.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::object::{Object, expected};
use crate::collection::CollectionInfo;
use crate::error::{Error, Result};
use crate::types::{
    CollectionConfig, Datatype, Distance, HnswParams, PayloadIndexParams, PicturePolicy, QuantizationConfig,
    VectorParams,
};

/// `PUT /collections/{c}`. Fields that tune other servers are kept and echoed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// `{"size", "distance"}`, or such an object by vector name. If absent: one vector of the default
    /// model's dimension under cosine. `model` in such an object names the model (`GET /models`) that makes
    /// this vector of texts and pictures; the default one if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    vectors: Option<Value>,
    /// Makes it a collection of signatures: `{}` or `{"audit": true}`, which writes every decision to the
    /// audit log. Its vector is the model's own, so that `vectors` must be left out.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    signatures: Option<Value>,
    /// `m` (4 to 64), `ef_construct` (4 to 2,000), `full_scan_threshold`, `max_indexing_threads` (0, which is half the cores, to 1,024).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    hnsw_config: Option<Value>,
    /// The client's own notes. `text_templates`, a list of 1 to 64 strings each with `{}` once, has a
    /// meaning: text queries are put into each and their vectors averaged.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Sparse vectors are not supported.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    sparse_vectors: Option<Value>,
    /// Only `auto`.
    #[serde(default)]
    sharding_method: Option<String>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    init_from: Option<Value>,
    /// `{"scalar": {...}}` (a byte a component, also where nothing is said) or `{"binary": {...}}` (a
    /// bit): what the graph is walked by. Counts for the vectors that name none of their own.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    quantization_config: Option<Value>,
    /// `{"thumbnails": false}` and `{"originals": false}` keep none of this collection's pictures, whatever
    /// the server keeps; true is as the server says.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pictures: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    shard_number: Option<u32>,
    /// Accepted and echoed.
    #[serde(default)]
    replication_factor: Option<u32>,
    /// Accepted and echoed.
    #[serde(default)]
    write_consistency_factor: Option<u32>,
    /// Accepted and echoed; payloads are always on disk.
    #[serde(default)]
    on_disk_payload: Option<bool>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    wal_config: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    optimizers_config: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    strict_mode_config: Option<Value>,
}

impl CreateBody {
    /// Whether decisions are audited, where this is to be a collection of signatures.
    ///
    /// # Errors
    /// An error that names the field.
    pub fn signatures(&self) -> Result<Option<bool>> {
        let Some(value) = self.signatures.clone().filter(|value| !value.is_null()) else { return Ok(None) };
        let mut object = Object::new(value, "signatures")?;
        let audit = object.boolean("audit")?.unwrap_or(false);
        object.finish()?;
        if self.vectors.as_ref().is_some_and(|value| !value.is_null()) {
            return Err(Error::InvalidInput(
                "vectors: a collection of signatures has the model's own vector; leave the field out".into(),
            ));
        }
        Ok(Some(audit))
    }

    /// The configuration; `model_dimension` is used where no vectors are named.
    ///
    /// # Errors
    /// An error that names the field.
    pub fn config(self, model_dimension: usize) -> Result<CollectionConfig> {
        let some = |v: &Option<Value>| v.as_ref().is_some_and(|v| !v.is_null());
        if self
            .sparse_vectors
            .as_ref()
            .is_some_and(|v| v.as_object().is_none_or(|map| !map.is_empty()) && !v.is_null())
        {
            return Err(Error::InvalidInput("sparse_vectors are not supported; leave the field out".into()));
        }
        if some(&self.init_from) {
            return Err(Error::InvalidInput("init_from is not supported; leave the field out".into()));
        }
        if let Some(method) = self.sharding_method.filter(|method| method != "auto") {
            return Err(Error::InvalidInput(format!(
                "sharding_method `{method}` is not supported, only `auto`"
            )));
        }
        if let Some(value) = &self.quantization_config {
            QuantizationConfig::parse(value)?;
        }
        let mut tuning = Map::new();
        let kept = [
            ("shard_number", json!(self.shard_number)),
            ("replication_factor", json!(self.replication_factor)),
            ("write_consistency_factor", json!(self.write_consistency_factor)),
            ("on_disk_payload", json!(self.on_disk_payload)),
            ("wal_config", json!(self.wal_config)),
            ("optimizers_config", json!(self.optimizers_config)),
            ("strict_mode_config", json!(self.strict_mode_config)),
            ("quantization_config", json!(self.quantization_config)),
        ];
        kept.into_iter().filter(|(_, v)| !v.is_null()).for_each(|(key, v)| {
            tuning.insert(key.to_owned(), v);
        });
        let hnsw = hnsw(self.hnsw_config, "hnsw_config", HnswParams::default())?;
        let vectors = match self.vectors.filter(|v| !v.is_null()) {
            None => BTreeMap::from([(String::new(), VectorParams::new(model_dimension, Distance::Cosine))]),
            Some(value) => vectors(value, hnsw)?,
        };
        let config = CollectionConfig {
            vectors,
            hnsw,
            payload_indexes: BTreeMap::new(),
            metadata: self.metadata.unwrap_or_default(),
            tuning,
            signatures: None,
            pictures: pictures(self.pictures, PicturePolicy::ALL)?,
        };
        config.validate()?;
        Ok(config)
    }
}

/// Which pictures a collection keeps, where the field says so.
///
/// # Errors
/// An error that names the field.
pub fn pictures(value: Option<Value>, before: PicturePolicy) -> Result<PicturePolicy> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(before) };
    let mut object = Object::new(value, "pictures")?;
    let policy = PicturePolicy {
        thumbnails: object.boolean("thumbnails")?.unwrap_or(before.thumbnails),
        originals: object.boolean("originals")?.unwrap_or(before.originals),
    };
    object.finish()?;
    Ok(policy)
}

fn vectors(value: Value, hnsw: HnswParams) -> Result<BTreeMap<String, VectorParams>> {
    let Value::Object(map) = value else { return Err(expected("vectors", "an object", &value)) };
    let single = map.contains_key("size") && !map["size"].is_object() || map.contains_key("distance");
    if single {
        return Ok(BTreeMap::from([(String::new(), vector(Value::Object(map), "vectors", hnsw)?)]));
    }
    map.into_iter()
        .map(|(name, value)| {
            let place = format!("vectors.{name}");
            Ok((name, vector(value, &place, hnsw)?))
        })
        .collect()
}

fn vector(value: Value, place: &str, collection_hnsw: HnswParams) -> Result<VectorParams> {
    let mut object = Object::new(value, place)?;
    let size = object.count("size")?.ok_or_else(|| {
        Error::MalformedBody(format!("{place}.size: field is missing (the number of components)"))
    })?;
    let at = object.at("distance");
    let distance = object.require("distance")?;
    let distance: Distance = serde_json::from_value(distance.clone()).map_err(|_| {
        Error::MalformedBody(format!("{at}: {distance} is unknown, use Cosine, Dot, Euclid or Manhattan"))
    })?;
    let hnsw = match object.take("hnsw_config") {
        None => None,
        Some(value) => Some(hnsw(Some(value), &object.at("hnsw_config"), collection_hnsw)?),
    };
    if object.take("multivector_config").is_some() {
        return Err(Error::InvalidInput(format!(
            "{place}.multivector_config is not supported; leave it out"
        )));
    }
    let datatype = match object.string("datatype")?.as_deref() {
        None | Some("float32") => Datatype::Float32,
        Some("float16") => Datatype::Float16,
        Some(other) => {
            return Err(Error::InvalidInput(format!(
                "{place}.datatype `{other}` is not supported, use `float32` or `float16` (searches go by bytes as it is)"
            )));
        }
    };
    let on_disk = object.boolean("on_disk")?;
    let quantization = match object.take("quantization_config") {
        None => None,
        Some(value) => QuantizationConfig::parse(&value).map_err(|error| error.at(place))?,
    };
    let model = object.string("model")?.filter(|name| !name.is_empty());
    object.finish()?;
    Ok(VectorParams { size, distance, hnsw, on_disk, datatype, quantization, model })
}

/// The graph's parameters; what is left out is as in `base`.
///
/// # Errors
/// An error that names the field.
pub fn hnsw(value: Option<Value>, place: &str, base: HnswParams) -> Result<HnswParams> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(base) };
    let mut object = Object::new(value, place)?;
    let params = HnswParams {
        // Qdrant writes 0 for "no graph"; the smallest graph is what comes nearest.
        m: object.count("m")?.map_or(base.m, |m| if m == 0 { 4 } else { m }),
        ef_construct: object.count("ef_construct")?.unwrap_or(base.ef_construct),
        full_scan_threshold: object.count("full_scan_threshold")?.unwrap_or(base.full_scan_threshold),
        max_indexing_threads: object.count("max_indexing_threads")?.unwrap_or(base.max_indexing_threads),
    };
    for tuning in ["on_disk", "payload_m", "inline_storage"] {
        let _ = object.take(tuning);
    }
    object.finish()?;
    Ok(params)
}

/// A collection as `GET /collections/{c}` describes it.
pub fn describe(config: &CollectionConfig, info: &CollectionInfo) -> Value {
    let vector = |params: &VectorParams| {
        let mut out = json!({"size": params.size, "distance": params.distance});
        if let Some(hnsw) = params.hnsw {
            out["hnsw_config"] = hnsw_out(hnsw);
        }
        if let Some(on_disk) = params.on_disk {
            out["on_disk"] = json!(on_disk);
        }
        if params.datatype != Datatype::Float32 {
            out["datatype"] = json!(params.datatype);
        }
        if let Some(quantization) = &params.quantization {
            out["quantization_config"] = json!(quantization);
        }
        if let Some(model) = &params.model {
            out["model"] = json!(model);
        }
        out
    };
    let vectors: Value = match config.vectors.get("") {
        Some(params) if config.vectors.len() == 1 => vector(params),
        _ => config
            .vectors
            .iter()
            .map(|(name, params)| (name.clone(), vector(params)))
            .collect::<Map<_, _>>()
            .into(),
    };
    let tuned = |key: &str, absent: Value| config.tuning.get(key).cloned().unwrap_or(absent);
    let mut optimizers = json!({
        "deleted_threshold": 0.3, "vacuum_min_vector_number": 1000, "default_segment_number": 1, "flush_interval_sec": 0,
    });
    merge(&mut optimizers, tuned("optimizers_config", Value::Null));
    let mut wal = json!({"wal_capacity_mb": 64, "wal_segments_ahead": 0, "wal_retain_closed": 1});
    merge(&mut wal, tuned("wal_config", Value::Null));
    let schema: Map<_, _> = info
        .payload_indexes
        .iter()
        .map(|index| {
            let mut described = json!({"data_type": index.params.kind, "points": index.points});
            if let Some(sent) = index.params.sent() {
                described["params"] = Value::Object(sent.clone());
            }
            (index.path.clone(), described)
        })
        .collect();
    let mut described = json!({
        "status": if info.read_only.is_some() { "red" } else if info.building { "yellow" } else { "green" },
        "optimizer_status": info.read_only.as_ref().map_or(json!("ok"), |reason| json!({"error": reason})),
        "points_count": info.points,
        "vectors_count": info.vectors,
        "indexed_vectors_count": info.indexed_vectors,
        "segments_count": 1,
        "disk_bytes": info.disk_bytes,
        "config": {
            "params": {
                "vectors": vectors,
                "shard_number": tuned("shard_number", json!(1)),
                "replication_factor": tuned("replication_factor", json!(1)),
                "write_consistency_factor": tuned("write_consistency_factor", json!(1)),
                "on_disk_payload": tuned("on_disk_payload", json!(true)),
            },
            "hnsw_config": hnsw_out(config.hnsw),
            "optimizer_config": optimizers,
            "wal_config": wal,
            "quantization_config": config.quantization(),
        },
        "payload_schema": schema,
    });
    if !config.metadata.is_empty() {
        described["config"]["metadata"] = Value::Object(config.metadata.clone());
    }
    if !config.pictures.is_all() {
        described["config"]["pictures"] = json!(config.pictures);
    }
    if let Some(profile) = &config.signatures {
        described["config"]["signatures"] = json!(profile);
    }
    if let Some(strict) = config.tuning.get("strict_mode_config") {
        described["config"]["strict_mode_config"] = strict.clone();
    }
    described
}

fn hnsw_out(hnsw: HnswParams) -> Value {
    json!({
        "m": hnsw.m, "ef_construct": hnsw.ef_construct, "full_scan_threshold": hnsw.full_scan_threshold,
        "max_indexing_threads": hnsw.max_indexing_threads, "on_disk": false,
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.into_iter().filter(|(_, value)| !value.is_null()));
    }
}

/// `PUT /collections/{c}/index`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadIndexBody {
    /// Path of the payload field.
    pub field_name: String,
    /// `keyword`, `integer`, `float`, `bool`, `datetime`, `uuid`, `text`, `geo`, or an object
    /// whose `type` is one of them, with `is_tenant`, `is_principal`, `lookup`, `range`, `on_disk`
    /// (kept and echoed) and for `text` with `tokenizer` (`word`, `whitespace`, `prefix`),
    /// `lowercase`, `min_token_len`, `max_token_len` and `phrase_matching`.
    #[serde(default)]
    #[schema(value_type = Value)]
    pub field_schema: Option<Value>,
}

impl PayloadIndexBody {
    /// # Errors
    /// An error that names the field.
    pub fn params(&self) -> Result<PayloadIndexParams> {
        PayloadIndexParams::read(self.field_schema.as_ref().unwrap_or(&Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(body: Value) -> Result<CollectionConfig> {
        serde_json::from_value::<CreateBody>(body).unwrap().config(256)
    }

    #[test]
    fn one_vector_named_vectors_and_none_are_read() {
        let unnamed = config(json!({"vectors": {"size": 4, "distance": "Dot"}})).unwrap();
        assert_eq!(unnamed.vectors[""].size, 4);
        let empty_name = config(json!({"vectors": {"": {"size": 4, "distance": "Dot"}}})).unwrap();
        assert_eq!(empty_name, unnamed);
        let named = config(
            json!({"vectors": {"a": {"size": 4, "distance": "Dot"}, "size": {"size": 2, "distance": "Cosine"}}}),
        );
        assert_eq!(named.unwrap().vectors.len(), 2);
        assert_eq!(config(json!({})).unwrap().vectors[""].size, 256);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, named) in [
            (json!({"vectors": {"size": 0, "distance": "Dot"}}), "vectors.size is 0"),
            (json!({"vectors": {"size": 70000, "distance": "Dot"}}), "vectors.size is 70000"),
            (json!({"vectors": {"size": 4, "distance": "Cos"}}), "vectors.distance"),
            (json!({"vectors": {"distance": "Dot"}}), "vectors.size"),
            (json!({"vectors": {"size": 4}}), "vectors.distance"),
            (json!({"vectors": {"a": 5}}), "vectors.a"),
            (json!({"vectors": 5}), "vectors"),
            (
                json!({"vectors": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}}),
                "multivector_config",
            ),
            (json!({"hnsw_config": {"m": 1000}}), "hnsw_config.m is 1000"),
            (json!({"sparse_vectors": {"s": {}}}), "sparse_vectors"),
            (json!({"sharding_method": "custom"}), "sharding_method"),
            (
                json!({"quantization_config": {"product": {"compression": "x4"}}}),
                "quantization_config.product",
            ),
        ] {
            let error = config(body.clone()).unwrap_err();
            assert!(error.to_string().contains(named), "{body}: {error}");
        }
    }
}
