//! Payloads by themselves: merge, overwrite, remove keys, clear.

use actix_web::{HttpResponse, Responder, web};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::answers;
use super::wire::point::{TargetBody, refuse, target};
use super::wire::selector;
use crate::collection::{PayloadEdit, Target};
use crate::error::{Error, Result};
use crate::types::{JsonPath, Payload, PointId};

/// Payload for points named by id or by filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadBody {
    /// The keys to set.
    #[schema(value_type = Object)]
    payload: Payload,
    /// Ids of points.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    points: Option<Vec<PointId>>,
    /// A filter that the points pass.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Path under which the keys are set.
    #[serde(default)]
    key: Option<String>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

/// Keys to remove from points named by id or by filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysBody {
    /// Paths to remove.
    keys: Vec<String>,
    /// Ids of points.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    points: Option<Vec<PointId>>,
    /// A filter that the points pass.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

async fn edit(
    clock: Clock,
    state: &State,
    path: &str,
    change: Result<(Target, PayloadEdit)>,
) -> HttpResponse {
    clock
        .run(async {
            let name = named(path)?;
            let (target, edit) = change?;
            let version =
                state.engine.on(&name, move |collection| collection.change_payload(&target, &edit)).await?;
            Ok(json!({"operation_id": version, "status": "completed"}))
        })
        .await
}

/// Sets keys; the others stay.
#[utoipa::path(post, operation_id = "set_payload", path = "/collections/{name}/points/payload", tag = "points", params(("name" = String, Path)), request_body = PayloadBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn merge(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<PayloadBody>,
) -> impl Responder {
    let body = body.0;
    let change = (|| {
        refuse("shard_key", body.shard_key.as_ref())?;
        let key = body.key.map(|key| JsonPath::parse(&key)).transpose();
        let key = key.map_err(|why| Error::InvalidInput(format!("key: {why}")))?;
        Ok((target(body.points, body.filter)?, PayloadEdit::Merge(body.payload, key)))
    })();
    edit(clock, &state, &path, change).await
}

/// Replaces whole payloads.
#[utoipa::path(put, operation_id = "overwrite_payload", path = "/collections/{name}/points/payload", tag = "points", params(("name" = String, Path)), request_body = PayloadBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn overwrite(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<PayloadBody>,
) -> impl Responder {
    let body = body.0;
    let change = (|| {
        refuse("shard_key", body.shard_key.as_ref())?;
        if body.key.is_some() {
            return Err(Error::InvalidInput(
                "key: only merging takes a path; overwriting replaces the whole payload".into(),
            ));
        }
        Ok((target(body.points, body.filter)?, PayloadEdit::Overwrite(body.payload)))
    })();
    edit(clock, &state, &path, change).await
}

/// Removes keys.
#[utoipa::path(post, operation_id = "delete_payload", path = "/collections/{name}/points/payload/delete", tag = "points", params(("name" = String, Path)), request_body = KeysBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn delete_keys(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<KeysBody>,
) -> impl Responder {
    let body = body.0;
    let change = (|| {
        refuse("shard_key", body.shard_key.as_ref())?;
        let keys = selector::paths(body.keys.into_iter().map(Value::String).collect(), "keys")?;
        Ok((target(body.points, body.filter)?, PayloadEdit::RemoveKeys(keys)))
    })();
    edit(clock, &state, &path, change).await
}

/// Empties payloads.
#[utoipa::path(post, operation_id = "clear_payload", path = "/collections/{name}/points/payload/clear", tag = "points", params(("name" = String, Path)), request_body = TargetBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn clear(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<TargetBody>,
) -> impl Responder {
    let change = body.0.target().map(|target| (target, PayloadEdit::Clear));
    edit(clock, &state, &path, change).await
}
