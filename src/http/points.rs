//! Points: upsert, retrieve, delete, scroll, count.

use actix_web::{HttpRequest, Responder, web};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::answers;
use super::wire::point::{RecordOut, TargetBody, UpsertBody, refuse};
use super::wire::query::{MAX_LIMIT, bounded};
use super::wire::{filter, selector, wanted};
use crate::collection::{Fields, Scroll, Target};
use crate::engine::OnFailure;
use crate::error::Error;
use crate::types::{PayloadSelector, PointId};

/// Points of a scroll that states no limit.
const SCROLL_LIMIT: usize = 10;

/// Header that lets the good points of an upsert in where others cannot be embedded.
pub const PARTIAL_HEADER: &str = "X-Lookalike-Partial";

/// Writes points, embedding what is for the model. All or nothing, unless the header
/// `X-Lookalike-Partial: true` is sent.
#[utoipa::path(put, operation_id = "upsert_points", path = "/collections/{name}/points", tag = "points", params(("name" = String, Path)), request_body = UpsertBody,
    responses((status = 200, description = "{operation_id, status, failed?}", body = Envelope<answers::UpdatedOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn upsert(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<UpsertBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let partial = request.headers().get(PARTIAL_HEADER).is_some_and(|v| v.as_bytes() == b"true");
            let on_failure = if partial { OnFailure::SkipItem } else { OnFailure::RefuseAll };
            let done = state.engine.upsert(&name, body.0.drafts()?, on_failure).await?;
            let mut answer = json!({"operation_id": done.version, "status": "completed"});
            if partial {
                let failed = done.failures.iter().map(|failure| {
                    json!({"index": failure.index, "id": failure.id, "error": failure.error.to_string()})
                });
                answer["failed"] = failed.collect();
            }
            Ok(answer)
        })
        .await
}

/// `POST /collections/{c}/points`: points by id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrieveBody {
    /// Ids; absent points are left out of the answer.
    #[schema(value_type = Vec<Value>)]
    ids: Vec<PointId>,
    /// true if absent.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// false if absent.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

/// Reads points by id.
#[utoipa::path(post, operation_id = "retrieve_points", path = "/collections/{name}/points", tag = "points", params(("name" = String, Path)), request_body = RetrieveBody,
    responses((status = 200, body = Envelope<Vec<RecordOut>>), (status = 404, body = ErrorEnvelope)))]
pub async fn retrieve(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<RetrieveBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let body = body.0;
            refuse("shard_key", body.shard_key.as_ref())?;
            if body.ids.len() > MAX_LIMIT {
                return Err(Error::Validation(format!(
                    "ids holds {}, at most {MAX_LIMIT} a request",
                    body.ids.len()
                )));
            }
            let fields = Fields {
                payload: selector::payload(body.with_payload, PayloadSelector::All)?,
                vectors: selector::vector(body.with_vector)?,
            };
            let records =
                state.engine.on(&name, move |collection| collection.retrieve(&body.ids, &fields)).await?;
            Ok(records.into_iter().map(RecordOut::from).collect::<Vec<_>>())
        })
        .await
}

/// Reads one point.
#[utoipa::path(get, operation_id = "get_point", path = "/collections/{name}/points/{id}", tag = "points", params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Envelope<RecordOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn get(clock: Clock, state: web::Data<State>, path: web::Path<(String, String)>) -> impl Responder {
    clock
        .run(async {
            let (name, id) = path.into_inner();
            let name = named(&name)?;
            let id = PointId::parse(&id).map_err(|why| Error::InvalidInput(format!("id: {why}")))?;
            let fields =
                Fields { payload: PayloadSelector::All, vectors: crate::collection::VectorSelector::All };
            let mut records =
                state.engine.on(&name, move |collection| collection.retrieve(&[id], &fields)).await?;
            records
                .pop()
                .map(RecordOut::from)
                .ok_or_else(|| Error::NotFound(format!("Point with id {id} does not exist!")))
        })
        .await
}

/// Deletes points by id or by filter, as one change.
#[utoipa::path(post, operation_id = "delete_points", path = "/collections/{name}/points/delete", tag = "points", params(("name" = String, Path)), request_body = TargetBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn delete(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<TargetBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let target = body.0.target()?;
            let version = state
                .engine
                .on(&name, move |collection| match target {
                    Target::Ids(ids) => collection.delete(ids),
                    Target::Matching(filter) => collection.delete_matching(&filter),
                })
                .await?;
            Ok(json!({"operation_id": version, "status": "completed"}))
        })
        .await
}

/// `POST /collections/{c}/points/scroll`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrollBody {
    /// Id to start from; `next_page_offset` of the page before.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    offset: Option<PointId>,
    /// Most points, 10 if absent, at most 10,000.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// Which points are wanted.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// true if absent.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// false if absent.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// A payload field with an integer, float or datetime index, or `{"key", "direction", "start_from"}`;
    /// without `offset`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    order_by: Option<Value>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

/// Walks through the points in the order of their ids or of a payload field.
#[utoipa::path(post, operation_id = "scroll_points", path = "/collections/{name}/points/scroll", tag = "points", params(("name" = String, Path)), request_body = ScrollBody,
    responses((status = 200, description = "{points, next_page_offset}", body = Envelope<answers::ScrollOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn scroll(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<ScrollBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let body = body.0;
            refuse("shard_key", body.shard_key.as_ref())?;
            let order = body.order_by.filter(|value| !value.is_null());
            let order = order.map(|value| wanted::order_by(value, "order_by")).transpose()?;
            if order.is_some() && body.offset.is_some() {
                return Err(Error::InvalidInput(
                    "offset: cannot be combined with order_by; go on with order_by.start_from".into(),
                ));
            }
            let scroll = Scroll {
                filter: filter::parse_optional(body.filter, "filter")?,
                offset: body.offset,
                limit: bounded(body.limit, "limit", SCROLL_LIMIT, 1, MAX_LIMIT)?,
                fields: Fields {
                    payload: selector::payload(body.with_payload, PayloadSelector::All)?,
                    vectors: selector::vector(body.with_vector)?,
                },
            };
            if let Some(order) = order {
                let Scroll { filter, limit, fields, .. } = scroll;
                let found = state
                    .engine
                    .on(&name, move |collection| {
                        collection.in_order(&order, filter.as_ref(), (0, limit), &fields)
                    })
                    .await?;
                let points: Vec<_> = found.into_iter().map(RecordOut::from).collect();
                return Ok(json!({"points": points, "next_page_offset": null}));
            }
            let (records, next) =
                state.engine.on(&name, move |collection| collection.scroll(&scroll)).await?;
            let points: Vec<_> = records.into_iter().map(RecordOut::from).collect();
            Ok(json!({"points": points, "next_page_offset": next}))
        })
        .await
}

/// `POST /collections/{c}/points/count`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountBody {
    /// Which points are counted; all if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Counts are always exact.
    #[serde(default)]
    #[allow(dead_code)]
    exact: Option<bool>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

/// Counts points.
#[utoipa::path(post, operation_id = "count_points", path = "/collections/{name}/points/count", tag = "points", params(("name" = String, Path)), request_body = CountBody,
    responses((status = 200, description = "{count}", body = Envelope<answers::CountOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn count(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<CountBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            refuse("shard_key", body.0.shard_key.as_ref())?;
            let filter = filter::parse_optional(body.0.filter, "filter")?;
            let count = state.engine.on(&name, move |collection| collection.count(filter.as_ref())).await?;
            Ok(json!({"count": count}))
        })
        .await
}
