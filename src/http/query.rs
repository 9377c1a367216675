//! Queries: the points nearest to a vector, a text, a picture or another point.

use actix_web::{Responder, web};
use serde::Serialize;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::answers;
use super::wire::groups::{GroupOut, GroupsBody};
use super::wire::older::{RecommendBody, SearchBatchBody, SearchBody};
use super::wire::point::ScoredPointOut;
use super::wire::query::{MAX_QUERIES, QueryBatchBody, QueryBody};
use crate::engine::Search;
use crate::error::{Error, Result};
use crate::types::ScoredPoint;

/// An answer to one query.
#[derive(Serialize)]
struct Hits {
    points: Vec<ScoredPointOut>,
}

fn hits(points: Vec<ScoredPoint>) -> Hits {
    Hits { points: out(points) }
}

fn out(points: Vec<ScoredPoint>) -> Vec<ScoredPointOut> {
    points.into_iter().map(ScoredPointOut::from).collect()
}

/// An answer to a query in groups.
#[derive(Serialize)]
struct Groups {
    groups: Vec<GroupOut>,
}

/// One query.
#[utoipa::path(post, operation_id = "query_points", path = "/collections/{name}/points/query", tag = "search", params(("name" = String, Path)), request_body = QueryBody,
    responses((status = 200, description = "{points: hits, best first}", body = Envelope<answers::HitsOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
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
    responses((status = 200, description = "one {points} a query", body = Envelope<Vec<answers::HitsOut>>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
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
            check_batch(bodies.len())?;
            let searches = each(bodies.into_iter().map(QueryBody::search))?;
            let answers = state.engine.search_all(&name, searches).await?;
            Ok(answers.into_iter().map(hits).collect::<Vec<_>>())
        })
        .await
}

/// The searches of a batch; an error names its place in it.
fn each(searches: impl Iterator<Item = Result<Search>>) -> Result<Vec<Search>> {
    let named = |(i, search): (usize, Result<Search>)| {
        search.map_err(|error| match error {
            Error::MalformedBody(text) => Error::MalformedBody(format!("searches[{i}].{text}")),
            other => other.at(format!("searches[{i}]")),
        })
    };
    searches.enumerate().map(named).collect()
}

fn check_batch(count: usize) -> Result<()> {
    if (1..=MAX_QUERIES).contains(&count) {
        return Ok(());
    }
    Err(Error::Validation(format!("searches holds {count} queries, it must hold 1 to {MAX_QUERIES}")))
}

/// One query, its hits in groups by a payload field.
#[utoipa::path(post, path = "/collections/{name}/points/query/groups", tag = "search", params(("name" = String, Path)), request_body = GroupsBody,
    responses((status = 200, description = "{groups: [{id, hits}]}, the group of the best hit first", body = Envelope<answers::GroupsOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn query_groups(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<GroupsBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let (search, grouping) = body.0.search()?;
            let groups = state.engine.search_groups(&name, search, grouping).await?;
            Ok(Groups { groups: groups.into_iter().map(GroupOut::from).collect() })
        })
        .await
}

async fn older(state: &State, path: &str, search: Result<Search>) -> Result<Vec<ScoredPointOut>> {
    let name = named(path)?;
    let mut answers = state.engine.search_all(&name, vec![search?]).await?;
    Ok(out(answers.pop().unwrap_or_default()))
}

/// One query by a vector, in its older form.
#[utoipa::path(post, path = "/collections/{name}/points/search", tag = "search", params(("name" = String, Path)), request_body = SearchBody,
    responses((status = 200, description = "hits, best first", body = Envelope<Vec<ScoredPointOut>>), (status = 404, body = ErrorEnvelope)))]
pub async fn search(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<SearchBody>,
) -> impl Responder {
    clock.run(older(&state, &path, body.0.search())).await
}

/// Several queries by vectors, in their older form.
#[utoipa::path(post, path = "/collections/{name}/points/search/batch", tag = "search", params(("name" = String, Path)), request_body = SearchBatchBody,
    responses((status = 200, description = "hits for each query", body = Envelope<Vec<Vec<ScoredPointOut>>>), (status = 404, body = ErrorEnvelope)))]
pub async fn search_batch(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<SearchBatchBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            check_batch(body.0.searches.len())?;
            let searches = each(body.0.searches.into_iter().map(SearchBody::search))?;
            let answers = state.engine.search_all(&name, searches).await?;
            let out =
                |points: Vec<ScoredPoint>| points.into_iter().map(ScoredPointOut::from).collect::<Vec<_>>();
            Ok(answers.into_iter().map(out).collect::<Vec<_>>())
        })
        .await
}

/// One recommendation, in its older form.
#[utoipa::path(post, path = "/collections/{name}/points/recommend", tag = "search", params(("name" = String, Path)), request_body = RecommendBody,
    responses((status = 200, description = "hits, best first", body = Envelope<Vec<ScoredPointOut>>), (status = 404, body = ErrorEnvelope)))]
pub async fn recommend(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<RecommendBody>,
) -> impl Responder {
    clock.run(older(&state, &path, body.0.search())).await
}
