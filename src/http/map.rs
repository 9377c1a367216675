//! `POST /collections/{c}/map`: a sample of a collection on a plane, to be looked at.

use actix_web::{Responder, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::point::refuse;
use super::wire::query::bounded;
use super::wire::{filter, selector};
use crate::collection::{MAX_MAPPED, Map, MapPoint, MapRequest, Projected};
use crate::error::{Error, Result};
use crate::types::{Payload, PayloadSelector, PointId};

/// Points where the request names no number.
const DEFAULT_LIMIT: usize = 1_000;

/// What is drawn, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MapBody {
    /// `tsne` (default): neighbours lie together, and distances beyond them mean nothing; `pca`: the two
    /// directions of most variance.
    #[serde(default)]
    method: Option<String>,
    /// Name of the vector; the unnamed one if absent.
    #[serde(default)]
    using: Option<String>,
    /// Which points are drawn; all if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Most points; 1,000 if absent, at most 2,000. Of more a sample is drawn that depends on the ids alone.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

impl MapBody {
    /// # Errors
    /// An error that names the field.
    fn request(self) -> Result<MapRequest> {
        refuse("shard_key", self.shard_key.as_ref())?;
        let projected = match self.method.as_deref() {
            None | Some("tsne") => Projected::Arranged,
            Some("pca") => Projected::Principal,
            Some(other) => {
                return Err(Error::Validation(format!("method is `{other:.40}`, use `tsne` or `pca`")));
            }
        };
        Ok(MapRequest {
            using: self.using.unwrap_or_default(),
            filter: filter::parse_optional(self.filter, "filter")?,
            limit: bounded(self.limit, "limit", DEFAULT_LIMIT, 1, MAX_MAPPED)?,
            projected,
            payload: selector::payload(self.with_payload, PayloadSelector::None)?,
        })
    }
}

/// A point on the map.
#[derive(Debug, Serialize, ToSchema)]
pub struct MapPointOut {
    #[schema(value_type = Value)]
    id: PointId,
    /// -1 to 1, to the right.
    x: f32,
    /// -1 to 1, upwards.
    y: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Payload>,
}

/// A map.
#[derive(Debug, Serialize, ToSchema)]
pub struct MapOut {
    /// In the order of ids.
    points: Vec<MapPointOut>,
    /// Points that could have been drawn.
    among: usize,
    /// The share of the variance along the two directions of most, 0 to 1; `tsne` starts from these.
    explained: [f32; 2],
}

impl From<Map> for MapOut {
    fn from(map: Map) -> Self {
        let point = |MapPoint { id, x, y, payload }: MapPoint| MapPointOut { id, x, y, payload };
        Self {
            points: map.points.into_iter().map(point).collect(),
            among: map.among,
            explained: map.explained,
        }
    }
}

/// A sample of the points on a plane, what is alike together. The same points give the same map. One is drawn at a time
/// in the whole server.
#[utoipa::path(post, path = "/collections/{name}/map", tag = "search", params(("name" = String, Path)), request_body = MapBody,
    responses((status = 200, body = Envelope<MapOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn map(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<MapBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            Ok(MapOut::from(state.engine.map(&name, body.0.request()?).await?))
        })
        .await
}
