//! `/collections/{c}/adapt`: heads fitted on a collection's own labelled points.

use actix_web::{HttpRequest, Responder, ResponseError, web};
use serde_json::{Value, json};

use super::answer::{Clock, Envelope, ErrorEnvelope, Failed};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::tasks;
use super::wire::adapt::{AdaptBody, AppliedBody, version_out};
use super::wire::answers;
use super::wire::task::TaskOut;
use crate::adapt::Modality;
use crate::engine::TaskKind;
use crate::error::{Error, Result};

/// Fits heads for picture and text queries on the collection's labelled points, compares them
/// with no head on held-out points, stores the best with all figures as a new version, and
/// applies it where it wins. An applied head changes text and picture queries (not the vectors,
/// not queries by numbers or ids); one query opts out with `"adapt": "none"` in the `options` of
/// its text or picture, or in `params`.
#[utoipa::path(post, operation_id = "fit_adapt", path = "/collections/{name}/adapt", tag = "search", params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task, and fit in the background")), request_body = AdaptBody,
    responses((status = 202, description = "the task", body = Envelope<TaskOut>), (status = 200, description = "the version: {version, comparisons: [{modality, candidates: [{kind, strength, map, first, gain}], best, wins}], applied_to}", body = Envelope<Value>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn fit(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<AdaptBody>,
) -> impl Responder {
    let checked = named(&path).and_then(|name| {
        state.engine.collection(&name)?;
        Ok((name, body.0.request()?))
    });
    let (name, fit) = match checked {
        Ok(checked) => checked,
        Err(error) => return Failed(error).error_response(),
    };
    tasks::run(clock, &request, &state, (TaskKind::Adapt, Some(name.clone())), move |state, cancel| {
        let (name, fit) = (name.clone(), fit.clone());
        async move {
            let adapted = state.engine.adapt(&name, fit, cancel).await?;
            let list = state.engine.collection(&name)?.heads();
            let fits = state.engine.has_model_of(&adapted.version);
            Ok(version_out(&adapted.version, &list, fits))
        }
    })
    .await
}

/// The versions with their figures, and which of them is applied to which queries.
#[utoipa::path(get, operation_id = "list_adapt", path = "/collections/{name}/adapt", tag = "search", params(("name" = String, Path)),
    responses((status = 200, description = "{versions, applied: [{vector, modality, version}]}", body = Envelope<answers::AdaptOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn list(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { describe(&state, &path) }).await
}

fn describe(state: &State, path: &str) -> Result<Value> {
    let list = state.engine.collection(&named(path)?)?.heads();
    let out = |version| version_out(version, &list, state.engine.has_model_of(version));
    let versions: Vec<Value> = list.versions.iter().map(out).collect();
    Ok(json!({"versions": versions, "applied": list.applied}))
}

/// Applies a version, or none with `{"version": null}`.
#[utoipa::path(put, operation_id = "apply_adapt", path = "/collections/{name}/adapt/applied", tag = "search", params(("name" = String, Path)), request_body = AppliedBody,
    responses((status = 200, description = "as GET answers", body = Envelope<answers::AdaptOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn apply(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<AppliedBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let AppliedBody { version, vector, queries } = body.0;
            let Some(version) = version else {
                let queries = queries.unwrap_or_else(|| vec![Modality::Picture, Modality::Text]);
                let vector = vector.unwrap_or_default();
                state.engine.on(&name, move |collection| collection.unapply_heads(&vector, &queries)).await?;
                return describe(&state, &path);
            };
            let list = state.engine.collection(&name)?.heads();
            let known = list.versions.iter().find(|v| v.version == version);
            let won = known.map(|v| v.comparisons.iter().filter(|c| c.wins).map(|c| c.modality).collect());
            let queries: Vec<Modality> = queries.or(won).unwrap_or_default();
            if known.is_some() && queries.is_empty() {
                return Err(Error::InvalidInput(format!(
                    "queries: version {version} won for no kind of query; to apply it anyway name them, as [\"text\"]"
                )));
            }
            state.engine.on(&name, move |collection| collection.apply_head(version, &queries)).await?;
            describe(&state, &path)
        })
        .await
}

/// Removes a version; if it was applied, no head is from then on.
#[utoipa::path(delete, operation_id = "delete_adapt", path = "/collections/{name}/adapt/{version}", tag = "search", params(("name" = String, Path), ("version" = u32, Path)),
    responses((status = 200, description = "as GET answers", body = Envelope<answers::AdaptOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn remove(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    clock
        .run(async {
            let (name, version) = path.into_inner();
            let number = version.parse().map_err(|_| {
                Error::InvalidInput(format!("version: `{version:.40}` is no number of a version"))
            })?;
            state.engine.on(&named(&name)?, move |collection| collection.remove_head(number)).await?;
            describe(&state, &name)
        })
        .await
}
