//! Points on the wire: upserts (as a list or as columns), ids or filters that name points, and
//! records and hits on their way out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answers::PointIdOut;

use super::filter;
use super::vector::{VectorBody, VectorsOut};
use crate::collection::{OrderValue, Ordered, Target};
use crate::engine::Draft;
use crate::error::{Error, Result};
use crate::types::{Payload, PointId, Record, ScoredPoint};

/// Most points of one request.
pub const MAX_POINTS: usize = 100_000;

/// One point.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PointBody {
    /// An unsigned integer or a UUID.
    #[schema(value_type = Value)]
    pub id: PointId,
    /// Numbers, vectors by name, or an object with `text` or `image` for the model.
    #[schema(value_type = Value)]
    pub vector: VectorBody,
    /// Any JSON object.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Payload>,
}

/// Points as columns.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// One id a point.
    #[schema(value_type = Vec<Value>)]
    pub ids: Vec<PointId>,
    /// A list with one vector a point, or such a list by vector name.
    #[schema(value_type = Value)]
    pub vectors: BatchVectors,
    /// One payload a point; null for none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub payloads: Option<Vec<Option<Payload>>>,
}

/// The columns of a batch.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum BatchVectors {
    /// One vector a point.
    Rows(Vec<VectorBody>),
    /// One list of vectors a name.
    Columns(std::collections::BTreeMap<String, Vec<VectorBody>>),
}

/// `PUT /collections/{c}/points`: either `points` or `batch`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpsertBody {
    /// The points, one by one.
    #[serde(default)]
    pub points: Option<Vec<PointBody>>,
    /// The points, as columns.
    #[serde(default)]
    pub batch: Option<BatchBody>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub shard_key: Option<Value>,
    /// Conditional updates are not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub update_filter: Option<Value>,
    /// Only `upsert`.
    #[serde(default)]
    pub update_mode: Option<String>,
}

/// # Errors
/// `InvalidInput` where a field that this server does not support is set.
pub fn refuse(field: &str, value: Option<&Value>) -> Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(Error::InvalidInput(format!("{field} is not supported by this server; leave it out"))),
    }
}

impl UpsertBody {
    /// The points, validated in form; their vectors may still be for the model.
    ///
    /// # Errors
    /// An error that names the field.
    pub fn drafts(self) -> Result<Vec<Draft>> {
        refuse("shard_key", self.shard_key.as_ref())?;
        refuse("update_filter", self.update_filter.as_ref())?;
        if let Some(mode) = self.update_mode.filter(|mode| mode != "upsert") {
            return Err(Error::InvalidInput(format!("update_mode `{mode}` is not supported, only `upsert`")));
        }
        let drafts = match (self.points, self.batch) {
            (Some(points), None) => {
                points.into_iter().enumerate().map(|(i, p)| p.draft(&format!("points[{i}].vector"))).collect()
            }
            (None, Some(batch)) => batch.drafts(),
            _ => Err(Error::MalformedBody("expected exactly one of `points` or `batch`".into())),
        }?;
        if drafts.is_empty() {
            return Err(Error::Validation("points: the list is empty, send at least one point".into()));
        }
        if drafts.len() > MAX_POINTS {
            return Err(Error::Validation(format!(
                "points holds {}, at most {MAX_POINTS} a request",
                drafts.len()
            )));
        }
        Ok(drafts)
    }
}

impl PointBody {
    /// The point, validated in form; `place` is that of its vector.
    ///
    /// # Errors
    /// An error that names the place.
    pub fn draft(self, place: &str) -> Result<Draft> {
        let vectors = self.vector.sources(place)?;
        Ok(Draft { id: self.id, vectors, payload: self.payload.unwrap_or_default() })
    }
}

impl BatchBody {
    fn drafts(self) -> Result<Vec<Draft>> {
        let n = self.ids.len();
        let same = |field: &str, len: usize| {
            if len == n {
                return Ok(());
            }
            Err(Error::Validation(format!(
                "{field} holds {len} items, batch.ids holds {n}; they must be equal"
            )))
        };
        let mut payloads = match self.payloads {
            Some(payloads) => {
                same("batch.payloads", payloads.len())?;
                payloads
            }
            None => vec![None; n],
        };
        let mut drafts: Vec<Draft> = self
            .ids
            .into_iter()
            .zip(payloads.iter_mut())
            .map(|(id, payload)| Draft {
                id,
                vectors: std::collections::BTreeMap::new(),
                payload: payload.take().unwrap_or_default(),
            })
            .collect();
        match self.vectors {
            BatchVectors::Rows(rows) => {
                same("batch.vectors", rows.len())?;
                for (i, (draft, row)) in drafts.iter_mut().zip(rows).enumerate() {
                    draft.vectors = row.sources(&format!("batch.vectors[{i}]"))?;
                }
            }
            BatchVectors::Columns(columns) => {
                for (name, column) in columns {
                    let place = format!("batch.vectors.{name}");
                    same(&place, column.len())?;
                    for (i, (draft, cell)) in drafts.iter_mut().zip(column).enumerate() {
                        let place = format!("{place}[{i}]");
                        let source = cell.sources(&place)?.remove("").ok_or_else(|| {
                            Error::MalformedBody(format!("{place}: expected one vector, got vectors by name"))
                        })?;
                        draft.vectors.insert(name.clone(), source);
                    }
                }
            }
        }
        Ok(drafts)
    }
}

/// Points named by id or by filter: exactly one of the two.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetBody {
    /// Ids of points.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    pub points: Option<Vec<PointId>>,
    /// A filter that the points pass.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub shard_key: Option<Value>,
}

impl TargetBody {
    /// # Errors
    /// `MalformedBody` where both or neither are given.
    pub fn target(self) -> Result<Target> {
        refuse("shard_key", self.shard_key.as_ref())?;
        target(self.points, self.filter)
    }
}

/// Exactly one of ids and filter.
pub fn target(points: Option<Vec<PointId>>, given: Option<Value>) -> Result<Target> {
    match (points, given.filter(|v| !v.is_null())) {
        (Some(ids), None) if ids.len() > MAX_POINTS => {
            Err(Error::Validation(format!("points holds {} ids, at most {MAX_POINTS}", ids.len())))
        }
        (Some(ids), None) => Ok(Target::Ids(ids)),
        (None, Some(value)) => Ok(Target::Matching(filter::parse(value, "filter")?)),
        _ => Err(Error::MalformedBody("expected exactly one of `points` or `filter`".into())),
    }
}

/// A point as it was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordOut {
    #[schema(value_type = PointIdOut)]
    id: PointId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    vector: Option<VectorsOut>,
    /// Where it stands in the order that was asked for; microseconds since 1970 of a datetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_value: Option<Value>,
}

impl From<Record> for RecordOut {
    fn from(record: Record) -> Self {
        let Record { id, payload, vectors } = record;
        Self { id, payload, vector: vectors.map(VectorsOut), order_value: None }
    }
}

impl From<Ordered> for RecordOut {
    fn from(ordered: Ordered) -> Self {
        let value = match ordered.value {
            OrderValue::Integer(number) => number.into(),
            OrderValue::Float(number) => number.into(),
            OrderValue::Moment(moment) => moment.as_microsecond().into(),
        };
        Self { order_value: Some(value), ..Self::from(ordered.record) }
    }
}

/// A hit.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoredPointOut {
    #[schema(value_type = PointIdOut)]
    id: PointId,
    /// Sequence number of the write that made the point as it is.
    version: u64,
    /// Similarity (larger is nearer) or distance (smaller is nearer).
    score: f32,
    /// The probability from 0 to 1 that it is a right answer, where it was asked for and can be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance: Option<f32>,
    /// The same, under a name that the official clients read.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_value: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    vector: Option<VectorsOut>,
}

impl From<ScoredPoint> for ScoredPointOut {
    fn from(hit: ScoredPoint) -> Self {
        Self {
            id: hit.id,
            version: hit.version,
            score: hit.score,
            relevance: hit.relevance,
            order_value: hit.relevance,
            payload: hit.payload,
            vector: hit.vectors.map(VectorsOut),
        }
    }
}
