//! `PATCH /collections/{c}`: what of a collection's configuration may change.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::collection::{hnsw, pictures};
use super::object::Object;
use crate::error::{Error, Result};
use crate::types::{CollectionConfig, QuantizationConfig, merge_payload};

/// `PATCH /collections/{c}`. Fields that tune other servers are kept and echoed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateBody {
    /// Merged into the collection's metadata, key by key; a null removes its key.
    /// `text_templates` is a list of 1 to 64 strings, each with `{}` once: text queries are put
    /// into each and their vectors averaged.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// `m`, `ef_construct`, `full_scan_threshold`, `max_indexing_threads`. Where another `m` or `ef_construct`
    /// counts for a vector, its graph is built anew in the background (`status` is `yellow` meanwhile).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    hnsw_config: Option<Value>,
    /// As in the creation of a collection; counts for pictures that come from now on.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pictures: Option<Value>,
    /// By name (`""` is the unnamed vector): `hnsw_config` and `quantization_config` as above and below, for this
    /// vector alone, and `on_disk`, which takes effect when the server is started next.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    vectors: Option<Map<String, Value>>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    sparse_vectors: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    optimizers_config: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    params: Option<Map<String, Value>>,
    /// As in the creation of a collection, or `"Disabled"`; the graph is built anew in the background.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    quantization_config: Option<Value>,
    /// Accepted and echoed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    strict_mode_config: Option<Value>,
}

impl UpdateBody {
    /// Checks the fields that may not be changed.
    ///
    /// # Errors
    /// `InvalidInput` that names the field.
    pub fn check(&self) -> Result<()> {
        let sparse = self.sparse_vectors.as_ref().filter(|value| !value.is_null());
        if sparse.is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
            return Err(Error::InvalidInput("sparse_vectors are not supported; leave the field out".into()));
        }
        if let Some(value) = &self.quantization_config {
            QuantizationConfig::parse(value)?;
        }
        Ok(())
    }

    /// The configuration as it becomes.
    ///
    /// # Errors
    /// An error that names the field.
    pub fn apply(self, config: &mut CollectionConfig) -> Result<()> {
        if let Some(more) = &self.metadata {
            merge_payload(&mut config.metadata, more);
        }
        // First, for what is not said of a vector is that of the collection as it becomes.
        config.hnsw = hnsw(self.hnsw_config, "hnsw_config", config.hnsw)?;
        config.pictures = pictures(self.pictures, config.pictures)?;
        for (name, value) in self.vectors.unwrap_or_default() {
            vector(&name, value, config)?;
        }
        let params = self.params.unwrap_or_default();
        let tuned = [
            ("optimizers_config", self.optimizers_config),
            ("quantization_config", self.quantization_config),
            ("strict_mode_config", self.strict_mode_config),
        ];
        let tuned = tuned.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        config.tuning.extend(params.into_iter().chain(tuned).filter(|(_, value)| !value.is_null()));
        Ok(())
    }
}

/// What of one vector's parameters may change.
fn vector(name: &str, value: Value, config: &mut CollectionConfig) -> Result<()> {
    let place = if name.is_empty() { "vectors.\"\"".to_owned() } else { format!("vectors.{name}") };
    if config.signatures.is_some() {
        return Err(Error::InvalidInput(format!(
            "{place}: signatures are compared one by one, there is no graph to change; leave the field out"
        )));
    }
    let (of_all, known) = (config.hnsw, config.vectors.keys().cloned().collect::<Vec<_>>());
    let Some(params) = config.vectors.get_mut(name) else {
        return Err(Error::InvalidInput(format!(
            "{place}: there is no such vector, the collection has {known:?}"
        )));
    };
    let mut object = Object::new(value, &place)?;
    for fixed in ["size", "distance", "datatype", "multivector_config", "model"] {
        if object.take(fixed).is_some() {
            return Err(Error::InvalidInput(format!(
                "{place}.{fixed} cannot be changed; make another collection"
            )));
        }
    }
    if let Some(value) = object.take("hnsw_config") {
        let base = params.hnsw.unwrap_or(of_all);
        params.hnsw = Some(hnsw(Some(value), &object.at("hnsw_config"), base)?);
    }
    if let Some(value) = object.take("quantization_config") {
        params.quantization = QuantizationConfig::parse(&value).map_err(|error| error.at(&place))?;
    }
    params.on_disk = object.boolean("on_disk")?.or(params.on_disk);
    object.finish()
}
