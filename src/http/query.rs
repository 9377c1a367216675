//! Queries: the points nearest to a vector, a text, a picture or another point.

use actix_web::{Responder, web};
use serde_json::{Value, json};

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::point::ScoredPointOut;
use super::wire::query::{MAX_QUERIES, QueryBatchBody, QueryBody};
use crate::error::{Error, Result};
use crate::types::ScoredPoint;

fn hits(points: Vec<ScoredPoint>) -> serde_json::Value {
    json!({"points": points.into_iter().map(ScoredPointOut::from).collect::<Vec<_>>()})
}

/// One query.
#[utoipa::path(post, path = "/collections/{name}/points/query", tag = "search", params(("name" = String, Path)), request_body = QueryBody,
    responses((status = 200, description = "{points: hits, best first}", body = Envelope<Value>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn query(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<QueryBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let mut answers = state.engine.search_all(&name, vec![body.0.search()?]).await?;
            Ok(hits(answers.pop().unwrap_or_default()))
        })
        .await
}

/// Several queries, embedded together.
#[utoipa::path(post, path = "/collections/{name}/points/query/batch", tag = "search", params(("name" = String, Path)), request_body = QueryBatchBody,
    responses((status = 200, description = "one {points} a query", body = Envelope<Value>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn query_batch(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<QueryBatchBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let bodies = body.0.searches;
            if bodies.is_empty() || bodies.len() > MAX_QUERIES {
                return Err(Error::Validation(format!(
                    "searches holds {} queries, it must hold 1 to {MAX_QUERIES}",
                    bodies.len()
                )));
            }
            let one = |(i, body): (usize, QueryBody)| {
                body.search().map_err(|error| match error {
                    Error::MalformedBody(text) => Error::MalformedBody(format!("searches[{i}].{text}")),
                    other => other.at(format!("searches[{i}]")),
                })
            };
            let searches = bodies.into_iter().enumerate().map(one).collect::<Result<Vec<_>>>()?;
            let answers = state.engine.search_all(&name, searches).await?;
            Ok(answers.into_iter().map(hits).collect::<Vec<_>>())
        })
        .await
}
