//! `/collections/{c}/calibrate`, `calibrations`, `whitening`.

use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use serde_json::{Value, json};

use super::answer::{Clock, Envelope, ErrorEnvelope, Failed};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::tasks;
use super::wire::answers_signatures as answers;
use super::wire::signatures::{CalibrateBody, WhitenBody, calibration_out};
use super::wire::task::TaskOut;
use crate::collection::Collection;
use crate::engine::TaskKind;
use crate::error::Result;
use crate::report;
use crate::types::CollectionName;

/// Finds thresholds on the collection's own subjects, with intervals over subjects, and keeps them as a new
/// version. A FAR that the number of comparisons cannot support is refused.
#[utoipa::path(post, path = "/collections/{name}/calibrate", tag = "signatures", params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task, and calibrate in the background")), request_body = CalibrateBody,
    responses((status = 202, description = "the task", body = Envelope<TaskOut>), (status = 200, description = "the calibration: {id, version, eer, points: [{target_far, threshold, far, frr}], skilled?, identification, outgrown, stale?}", body = Envelope<answers::CalibrationOut>), (status = 400, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn calibrate(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<CalibrateBody>,
) -> impl Responder {
    let checked = known(&state, &path).and_then(|name| Ok((name, body.0.request()?)));
    let (name, fit) = match checked {
        Ok(checked) => checked,
        Err(error) => return Failed(error).error_response(),
    };
    tasks::run(clock, &request, &state, (TaskKind::Calibrate, Some(name.clone())), move |state, cancel| {
        let (name, fit) = (name.clone(), fit.clone());
        async move {
            let (version, _) = state.engine.calibrate(&name, fit, cancel).await?;
            Ok(calibration_out(&version, version.enrolled, true))
        }
    })
    .await
}

/// The name of a collection that there is.
fn known(state: &State, path: &str) -> Result<CollectionName> {
    let name = named(path)?;
    state.engine.collection(&name)?;
    Ok(name)
}

fn enrolled(collection: &Collection) -> Result<usize> {
    collection.signature_profile()?;
    collection.with_gallery(|gallery| gallery.len())
}

/// The calibrations, oldest first; the last one is used.
#[utoipa::path(get, operation_id = "list_calibrations", path = "/collections/{name}/calibrations", tag = "signatures", params(("name" = String, Path)),
    responses((status = 200, description = "{calibrations}", body = Envelope<answers::CalibrationsOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn list(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    let read = |collection: &Collection| {
        let enrolled = enrolled(collection)?;
        let book = collection.signature_book();
        let last = book.last;
        let all: Vec<Value> =
            book.calibrations.iter().map(|c| calibration_out(c, enrolled, c.version == last)).collect();
        Ok(json!({"calibrations": all}))
    };
    clock.run(async { state.engine.on(&named(&path)?, read).await }).await
}

/// One calibration with its DET curve and Platt's coefficients.
#[utoipa::path(get, operation_id = "get_calibration", path = "/collections/{name}/calibrations/{calibration}", tag = "signatures", params(("name" = String, Path), ("calibration" = String, Path)),
    responses((status = 200, description = "as in the list, with {det: [{threshold, far, frr}], platt, eer_threshold}", body = Envelope<answers::CalibrationOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn get(clock: Clock, state: web::Data<State>, path: web::Path<(String, String)>) -> impl Responder {
    let (name, id) = path.into_inner();
    let read = move |collection: &Collection| {
        let enrolled = enrolled(collection)?;
        let (version, stored) = collection.stored_calibration(&id)?;
        let mut out =
            calibration_out(&version, enrolled, version.version == collection.signature_book().last);
        out["det"] = json!(stored.det);
        out["platt"] = json!(stored.platt);
        out["eer_threshold"] = json!(stored.eer_threshold);
        Ok(out)
    };
    clock.run(async { state.engine.on(&named(&name)?, read).await }).await
}

/// The report of a calibration as one HTML page.
#[utoipa::path(get, operation_id = "calibration_report", path = "/collections/{name}/calibrations/{calibration}/report", tag = "signatures", params(("name" = String, Path), ("calibration" = String, Path)),
    responses((status = 200, description = "an HTML page that needs nothing else", content_type = "text/html"), (status = 404, body = ErrorEnvelope)))]
pub async fn report(state: web::Data<State>, path: web::Path<(String, String)>) -> impl Responder {
    let (name, id) = path.into_inner();
    let write = move |collection: &Collection| {
        collection.signature_profile()?;
        let (version, stored) = collection.stored_calibration(&id)?;
        report::calibration(collection.name().as_str(), &version, &stored)
    };
    let written = match named(&name) {
        Ok(name) => state.engine.on(&name, write).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(html) => HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html),
        Err(error) => Failed(error).error_response(),
    }
}

/// The whitening in use.
#[utoipa::path(get, operation_id = "get_whitening", path = "/collections/{name}/whitening", tag = "signatures", params(("name" = String, Path)),
    responses((status = 200, description = "{whitening: {id, origin: default|fitted, created, subjects, cohort}?}", body = Envelope<answers::WhiteningsOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn whitening(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    let read = |collection: &Collection| {
        collection.signature_profile()?;
        Ok(json!({"whitening": collection.signature_book().whitening}))
    };
    clock.run(async { state.engine.on(&named(&path)?, read).await }).await
}

/// Fits a whitening on a cohort of the collection's subjects, which calibrations leave out from then on, or
/// goes back to the default one. Thresholds of the whitening before do not hold any more: calibrate again.
#[utoipa::path(post, operation_id = "fit_whitening", path = "/collections/{name}/whitening", tag = "signatures", params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task, and fit in the background")), request_body = WhitenBody,
    responses((status = 202, description = "the task", body = Envelope<TaskOut>), (status = 200, description = "as GET answers", body = Envelope<answers::WhiteningsOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn whiten(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<WhitenBody>,
) -> impl Responder {
    let checked = known(&state, &path).and_then(|name| Ok((name, body.0.request()?)));
    let (name, fit) = match checked {
        Ok(checked) => checked,
        Err(error) => return Failed(error).error_response(),
    };
    tasks::run(clock, &request, &state, (TaskKind::Whiten, Some(name.clone())), move |state, cancel| {
        let (name, fit) = (name.clone(), fit.clone());
        async move {
            let book = state.engine.whiten(&name, fit, cancel).await?;
            Ok(json!({"whitening": book.whitening}))
        }
    })
    .await
}
