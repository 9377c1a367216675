//! `POST /collections/{c}/duplicates`: groups of points whose pictures (or whatever their vectors stand for) are
//! nearly the same.

use actix_web::{Responder, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::filter;
use super::wire::point::{ScoredPointOut, refuse};
use super::wire::query::bounded;
use super::wire::selector;
use crate::collection::{
    DuplicateGroup, DuplicateSearch, Duplicates, Fields, MAX_DUPLICATE_GROUPS, MAX_DUPLICATES,
};
use crate::error::{Error, Result};
use crate::types::{PayloadSelector, PointId};

/// Groups where the request names no number.
const DEFAULT_LIMIT: usize = 100;

/// What counts as the same, and which points are compared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicatesBody {
    /// The score from which on two points are the same. If absent: 0.95 under Cosine; under Euclid and Manhattan a
    /// quarter of the typical distance of two points; needed under Dot.
    #[serde(default)]
    threshold: Option<f32>,
    /// Name of the vector; the unnamed one if absent.
    #[serde(default)]
    using: Option<String>,
    /// Which points are compared; all if absent, at most 2,000,000.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Most groups; 100 if absent, at most 10,000.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// Points that a group has at least; 2 if absent, at most 10,000.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    min_size: Option<Value>,
    /// Id to start from; `next_offset` of the page before.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    offset: Option<PointId>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// As in a query.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

impl DuplicatesBody {
    /// # Errors
    /// An error that names the field.
    fn search(self) -> Result<DuplicateSearch> {
        refuse("shard_key", self.shard_key.as_ref())?;
        if self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err(Error::Validation("threshold must be a finite 32-bit number".into()));
        }
        Ok(DuplicateSearch {
            threshold: self.threshold,
            using: self.using.unwrap_or_default(),
            filter: filter::parse_optional(self.filter, "filter")?,
            offset: self.offset,
            limit: bounded(self.limit, "limit", DEFAULT_LIMIT, 1, MAX_DUPLICATE_GROUPS)?,
            min_size: bounded(self.min_size, "min_size", 2, 2, MAX_DUPLICATES)?,
            fields: Fields {
                payload: selector::payload(self.with_payload, PayloadSelector::None)?,
                vectors: selector::vector(self.with_vector)?,
            },
        })
    }
}

/// Points that are the same as the first of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct DuplicateGroupOut {
    /// Id of the representative: the smallest.
    #[schema(value_type = Option<Value>)]
    id: Option<PointId>,
    /// Points of the group; more than `hits` holds where they are more than 10,000.
    size: usize,
    /// The representative, then the others by their score to it, best first.
    hits: Vec<ScoredPointOut>,
}

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct DuplicatesOut {
    /// The largest first, of as many points the most certain.
    groups: Vec<DuplicateGroupOut>,
    /// Groups of this page that are not here because of the limit.
    left_out: usize,
    /// The threshold that was used.
    threshold: f32,
    /// Points of this page.
    compared: usize,
    /// Where the next page begins; null after the last.
    #[schema(value_type = Option<Value>)]
    next_offset: Option<PointId>,
}

impl From<Duplicates> for DuplicatesOut {
    fn from(found: Duplicates) -> Self {
        let group = |group: DuplicateGroup| DuplicateGroupOut {
            id: group.points.first().map(|point| point.id),
            size: group.size,
            hits: group.points.into_iter().map(ScoredPointOut::from).collect(),
        };
        Self {
            groups: found.groups.into_iter().map(group).collect(),
            left_out: found.left_out,
            threshold: found.threshold,
            compared: found.compared,
            next_offset: found.next,
        }
    }
}

/// Groups of points that are nearly the same. Every point of a group reaches the threshold against its representative,
/// the one of the smallest id; a point is in one group, and no two representatives are the same. Points with equal vectors
/// are always found. A page ends after 20,000 searches, 10 seconds or 10,000 points of groups; one page is made
/// at a time in the whole server.
#[utoipa::path(post, path = "/collections/{name}/duplicates", tag = "search", params(("name" = String, Path)), request_body = DuplicatesBody,
    responses((status = 200, body = Envelope<DuplicatesOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn duplicates(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<DuplicatesBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let found = state.engine.duplicates(&name, body.0.search()?).await?;
            Ok(DuplicatesOut::from(found))
        })
        .await
}
