//! Collections: create, describe, list, remove; and their payload indexes.

use actix_web::{Responder, web};
use serde_json::json;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::state::State;
use super::wire::answers;
use super::wire::collection::{CreateBody, PayloadIndexBody, describe};
use super::wire::update::UpdateBody;
use crate::error::{Error, Result};
use crate::types::{CollectionName, JsonPath};

/// A name from the path.
pub fn named(path: &str) -> Result<CollectionName> {
    CollectionName::parse(path)
}

/// The names of all collections.
#[utoipa::path(get, operation_id = "list_collections", path = "/collections", tag = "collections", responses((status = 200, description = "{collections: [{name}]}", body = Envelope<answers::CollectionsOut>)))]
pub async fn list(clock: Clock, state: web::Data<State>) -> impl Responder {
    let names: Vec<_> = state.engine.names().into_iter().map(|name| json!({"name": name})).collect();
    clock.run(async { Ok(json!({"collections": names})) }).await
}

/// Configuration, counts and state of one collection.
#[utoipa::path(get, operation_id = "get_collection", path = "/collections/{name}", tag = "collections", params(("name" = String, Path)),
    responses((status = 200, description = "as Qdrant describes a collection", body = Envelope<answers::CollectionOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn get(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            state.engine.on(&name, |collection| Ok(describe(&collection.config(), &collection.info()))).await
        })
        .await
}

/// Creates a collection; durable when answered.
#[utoipa::path(put, operation_id = "create_collection", path = "/collections/{name}", tag = "collections", params(("name" = String, Path)), request_body = CreateBody,
    responses((status = 200, body = Envelope<bool>), (status = 409, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope)))]
pub async fn create(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<CreateBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let signatures = body.0.signatures()?;
            let config = body.0.config(state.engine.model().dimension)?;
            match signatures {
                None => state.engine.create(name, config).await?,
                Some(audit) => state.engine.create_signatures(name, config, audit).await?,
            }
            Ok(true)
        })
        .await
}

/// Changes a collection's metadata and tuning; durable when answered.
#[utoipa::path(patch, operation_id = "update_collection", path = "/collections/{name}", tag = "collections", params(("name" = String, Path)), request_body = UpdateBody,
    responses((status = 200, body = Envelope<bool>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn update(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<UpdateBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            body.0.check()?;
            let change = move |collection: &crate::collection::Collection| {
                collection.configure(|config| body.0.apply(config))
            };
            state.engine.on(&name, change).await?;
            Ok(true)
        })
        .await
}

/// Removes a collection with everything in it; false where there was none.
#[utoipa::path(delete, operation_id = "delete_collection", path = "/collections/{name}", tag = "collections", params(("name" = String, Path)), responses((status = 200, body = Envelope<bool>)))]
pub async fn remove(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { state.engine.remove(named(&path)?).await }).await
}

/// Whether there is such a collection.
#[utoipa::path(get, operation_id = "collection_exists", path = "/collections/{name}/exists", tag = "collections", params(("name" = String, Path)), responses((status = 200, description = "{exists}", body = Envelope<answers::ExistsOut>)))]
pub async fn exists(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { Ok(json!({"exists": state.engine.exists(&named(&path)?)})) }).await
}

/// Indexes a payload field, so that filters on it need not read every payload.
#[utoipa::path(put, path = "/collections/{name}/index", tag = "collections", params(("name" = String, Path)), request_body = PayloadIndexBody,
    responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn create_index(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<PayloadIndexBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let params = body.0.params()?;
            let field = JsonPath::parse(&body.0.field_name)
                .map_err(|why| Error::InvalidInput(format!("field_name: {why}")))?;
            let version = state
                .engine
                .on(&name, move |collection| collection.create_payload_index(field, params))
                .await?;
            Ok(json!({"operation_id": version, "status": "completed"}))
        })
        .await
}

/// Removes the index of a payload field; the payloads stay.
#[utoipa::path(delete, path = "/collections/{name}/index/{field}", tag = "collections",
    params(("name" = String, Path), ("field" = String, Path)), responses((status = 200, body = Envelope<answers::UpdatedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn delete_index(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    clock
        .run(async {
            let (name, field) = path.into_inner();
            let name = named(&name)?;
            let field =
                JsonPath::parse(&field).map_err(|why| Error::InvalidInput(format!("field_name: {why}")))?;
            let version =
                state.engine.on(&name, move |collection| collection.delete_payload_index(&field)).await?;
            Ok(json!({"operation_id": version, "status": "completed"}))
        })
        .await
}
