//! How a collection is set up: its vectors, its graph, its payload indexes. Stored with the
//! collection as JSON; unknown tuning fields of a client are echoed, not kept here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Datatype, Distance, JsonPath, PayloadIndexParams, PicturePolicy, QuantizationConfig, SignatureProfile,
    TextTemplates, VectorName,
};
use crate::error::{Error, Result};

/// A collection's name: 1 to 64 of letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CollectionName(String);

impl CollectionName {
    /// Most characters of a name.
    pub const MAX_LENGTH: usize = 64;

    /// # Errors
    /// `InvalidInput` that says what a name may hold.
    pub fn parse(text: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(Error::InvalidInput(format!(
            "collection name `{shown}` is not allowed; use 1 to 64 letters, digits, `_` or `-`"
        )))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CollectionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CollectionName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One vector of a collection's points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorParams {
    /// Components, 1 to 65,536.
    pub size: usize,
    /// How two of them are compared.
    pub distance: Distance,
    /// The graph's parameters where they differ from the collection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hnsw: Option<HnswParams>,
    /// False holds all floats in memory; otherwise those of a vector in the graph are read from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<bool>,
    /// How the components are stored.
    #[serde(default, skip_serializing_if = "Datatype::is_default")]
    pub datatype: Datatype,
    /// What the graph is walked by, where it differs from the collection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationConfig>,
    /// The model that makes it of texts and pictures; the one that the server starts with if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl VectorParams {
    /// Most components of a vector.
    pub const MAX_SIZE: usize = 65_536;

    /// Nothing but what there must be.
    pub fn new(size: usize, distance: Distance) -> Self {
        Self {
            size,
            distance,
            hnsw: None,
            on_disk: None,
            datatype: Datatype::Float32,
            quantization: None,
            model: None,
        }
    }
}

/// How the graph is built and when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HnswParams {
    /// Neighbours a node keeps per layer, 4 to 64 (`M`).
    pub m: usize,
    /// Candidates looked at for a new node, 4 to 2,000.
    pub ef_construct: usize,
    /// Up to so many vectors are searched exactly, without a graph.
    pub full_scan_threshold: usize,
    /// Threads that build a graph, at most as many as there are cores; 0 is half the cores.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_indexing_threads: usize,
}

/// What is not said of a collection is not written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl Default for HnswParams {
    fn default() -> Self {
        Self { m: 16, ef_construct: 100, full_scan_threshold: 10_000, max_indexing_threads: 0 }
    }
}

/// A collection's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectionConfig {
    /// The vectors by name; `""` is the unnamed one.
    pub vectors: BTreeMap<VectorName, VectorParams>,
    /// The graph's parameters.
    #[serde(default)]
    pub hnsw: HnswParams,
    /// Payload fields that have an index, by path.
    #[serde(default)]
    pub payload_indexes: BTreeMap<String, PayloadIndexParams>,
    /// The client's own notes on the collection, as sent.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Tuning fields of other servers that have no meaning here, kept to be echoed.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub tuning: serde_json::Map<String, serde_json::Value>,
    /// Of a collection of signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignatureProfile>,
    /// Which pictures are kept, as far as the server keeps them.
    #[serde(default, skip_serializing_if = "PicturePolicy::is_all")]
    pub pictures: PicturePolicy,
}

impl CollectionConfig {
    /// A collection with one unnamed vector.
    pub fn single(size: usize, distance: Distance) -> Self {
        Self {
            vectors: BTreeMap::from([(String::new(), VectorParams::new(size, distance))]),
            hnsw: HnswParams::default(),
            payload_indexes: BTreeMap::new(),
            metadata: serde_json::Map::new(),
            tuning: serde_json::Map::new(),
            signatures: None,
            pictures: PicturePolicy::ALL,
        }
    }

    /// What graphs are walked by where a vector names nothing of its own.
    pub fn quantization(&self) -> Option<QuantizationConfig> {
        // A store may hold one from before it had a meaning: then it has none.
        QuantizationConfig::parse(self.tuning.get("quantization_config")?).ok()?
    }

    /// A vector's parameters with those of the collection where it names none of its own.
    pub fn resolved(&self, params: &VectorParams) -> VectorParams {
        VectorParams {
            hnsw: params.hnsw.or(Some(self.hnsw)),
            quantization: params.quantization.clone().or_else(|| self.quantization()),
            ..params.clone()
        }
    }

    /// The templates that text queries are put into. What stood under their key before it had a
    /// meaning counts as none.
    pub fn text_templates(&self) -> Option<TextTemplates> {
        self.metadata.get(TextTemplates::KEY).and_then(|value| TextTemplates::parse(value).ok())
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// `Validation` that names the field and its range.
    pub fn validate(&self) -> Result<()> {
        let within = |field: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::Validation(format!("{field} is {value}, it must be from {low} to {high}")))
        };
        if self.vectors.len() > 16 {
            return Err(Error::Validation(format!(
                "vectors holds {} names, at most 16 are allowed",
                self.vectors.len()
            )));
        }
        let graph = |place: &str, hnsw: &HnswParams| {
            within(&format!("{place}hnsw_config.m"), hnsw.m, 4, 64)?;
            within(&format!("{place}hnsw_config.ef_construct"), hnsw.ef_construct, 4, 2_000)?;
            within(&format!("{place}hnsw_config.max_indexing_threads"), hnsw.max_indexing_threads, 0, 1_024)
        };
        graph("", &self.hnsw)?;
        for (name, params) in &self.vectors {
            let field = if name.is_empty() { "vectors".to_owned() } else { format!("vectors.{name}") };
            if name.len() > 64 {
                return Err(Error::Validation(format!("{field}: a vector name has at most 64 characters")));
            }
            within(&format!("{field}.size"), params.size, 1, VectorParams::MAX_SIZE)?;
            if params.model.as_ref().is_some_and(|model| model.len() > 256) {
                return Err(Error::Validation(format!(
                    "{field}.model: a model's name has at most 256 bytes"
                )));
            }
            if let Some(hnsw) = &params.hnsw {
                graph(&format!("{field}."), hnsw)?;
            }
        }
        for path in self.payload_indexes.keys() {
            JsonPath::parse(path).map_err(Error::InvalidInput)?;
        }
        if let Some(templates) = self.metadata.get(TextTemplates::KEY) {
            TextTemplates::parse(templates)
                .map_err(|error| error.at(format!("metadata.{}", TextTemplates::KEY)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_directory_is_refused() {
        for name in ["", "..", "a/b", "a b", "ü", "x.y", &"a".repeat(65)] {
            assert!(CollectionName::parse(name).is_err(), "{name}");
        }
        assert!(CollectionName::parse("My_photos-2026").is_ok());
    }

    #[test]
    fn a_configuration_survives_json() {
        let config = CollectionConfig::single(256, Distance::Cosine);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CollectionConfig>(&text).unwrap(), config);
    }

    #[test]
    fn a_size_out_of_range_names_its_field() {
        let error = CollectionConfig::single(0, Distance::Dot).validate().unwrap_err();
        assert_eq!(error.code(), 422);
        assert!(error.to_string().contains("vectors.size is 0"), "{error}");
    }
}
