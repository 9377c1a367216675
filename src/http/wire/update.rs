//! `PATCH /collections/{c}`: what of a collection's configuration may change.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::collection::{hnsw, pictures};
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
    /// `m`, `ef_construct`, `full_scan_threshold`, `max_indexing_threads`; used when the collection is opened next.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    hnsw_config: Option<Value>,
    /// As in the creation of a collection; counts for pictures that come from now on.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pictures: Option<Value>,
    /// Cannot be changed.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    vectors: Option<Value>,
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
    /// As in the creation of a collection; takes effect when the server is started next.
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
        let given = |value: &Option<Value>| {
            value.as_ref().is_some_and(|v| !v.is_null() && v.as_object().is_none_or(|map| !map.is_empty()))
        };
        for (field, value) in [("vectors", &self.vectors), ("sparse_vectors", &self.sparse_vectors)] {
            if given(value) {
                return Err(Error::InvalidInput(format!(
                    "{field} of a collection cannot be changed; leave the field out"
                )));
            }
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
        config.hnsw = hnsw(self.hnsw_config, "hnsw_config", config.hnsw)?;
        config.pictures = pictures(self.pictures, config.pictures)?;
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
