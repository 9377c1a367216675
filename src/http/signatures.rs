//! `/collections/{c}/enrol`, `subjects`, `verify`, `identify`.

use actix_web::{HttpRequest, Responder, web};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::collections::named;
use super::state::State;
use super::upload::{self, Upload};
use super::wire::answers_signatures as answers;
use super::wire::signatures::{EnrolBody, IdentifyBody, VerifyBody, enrol_form, identify_form, verify_form};
use crate::engine::OnFailure;
use crate::error::{Error, Result};

/// Most subjects of a page.
const MAX_PAGE: usize = 10_000;

fn on_failure(request: &HttpRequest) -> Result<OnFailure> {
    match request.headers().get("x-lookalike-partial").map(|value| value.as_bytes()) {
        None | Some(b"false") => Ok(OnFailure::RefuseAll),
        Some(b"true") => Ok(OnFailure::SkipItem),
        Some(_) => Err(Error::InvalidInput("X-Lookalike-Partial: expected true or false".into())),
    }
}

/// The caller's key for the audit log: a hash of it, never the key.
fn key_id(request: &HttpRequest) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let key = header("api-key").or_else(|| header("authorization")?.strip_prefix("Bearer "))?;
    let hash = Sha256::digest(format!("lookalike key\n{key}").as_bytes());
    Some(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Enrols references of a subject: JSON, or a form with `subject` and picture files. Pictures without ink,
/// too small, mostly dark, or the same as a reference are refused with the reason; nothing is enrolled then,
/// unless the header `X-Lookalike-Partial: true` asks for the others.
#[utoipa::path(post, path = "/collections/{name}/enrol", tag = "signatures", params(("name" = String, Path), ("X-Lookalike-Partial" = Option<bool>, Header)), request_body = EnrolBody,
    responses((status = 200, description = "{subject, items: [{sample, status, id?, quality?, error?}], references, advice?}", body = Envelope<answers::EnrolOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
pub async fn enrol(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    payload: web::Payload,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let on_failure = on_failure(&request)?;
            let asked = match upload::read::<EnrolBody>(&request, payload, &state).await? {
                Upload::Json(body) => body.request(on_failure)?,
                Upload::Form(form) => enrol_form(form, on_failure)?,
            };
            state.engine.enrol(&name, asked).await
        })
        .await
}

/// A page of subjects.
#[derive(Deserialize)]
pub struct Page {
    from: Option<String>,
    limit: Option<usize>,
}

/// The subjects in the order of names, with counts; `next` is the `from` of the next page.
#[utoipa::path(get, operation_id = "list_subjects", path = "/collections/{name}/subjects", tag = "signatures", params(("name" = String, Path), ("from" = Option<String>, Query), ("limit" = Option<usize>, Query, description = "1 to 10,000; 100 if absent")),
    responses((status = 200, description = "{subjects: [{subject, references, forgeries}], total, references, next?}", body = Envelope<answers::SubjectsOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn subjects(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    page: web::Query<Page>,
) -> impl Responder {
    clock
        .run(async {
            let limit = page.limit.unwrap_or(100);
            if !(1..=MAX_PAGE).contains(&limit) {
                return Err(Error::Validation(format!("limit is {limit}, it must be from 1 to {MAX_PAGE}")));
            }
            let from = page.from.clone().unwrap_or_default();
            let read = move |collection: &crate::collection::Collection| {
                collection.signature_profile()?;
                collection.with_gallery(|gallery| {
                    let (page, next) = gallery.page(&from, limit);
                    let out = |s: &crate::collection::SubjectCount| {
                        json!({"subject": s.subject, "references": s.references, "forgeries": s.forgeries})
                    };
                    let page: Vec<Value> = page.iter().map(out).collect();
                    json!({"subjects": page, "total": gallery.len(), "references": gallery.references(), "next": next})
                })
            };
            state.engine.on(&named(&path)?, read).await
        })
        .await
}

/// One subject with its references.
#[utoipa::path(get, operation_id = "get_subject", path = "/collections/{name}/subjects/{subject}", tag = "signatures", params(("name" = String, Path), ("subject" = String, Path)),
    responses((status = 200, description = "{subject, references: [{id, sha256?}], forgeries}", body = Envelope<answers::SubjectOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn subject(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    clock
        .run(async {
            let (name, subject) = path.into_inner();
            let read = move |collection: &crate::collection::Collection| {
                collection.signature_profile()?;
                collection.with_gallery(|gallery| {
                    let forgeries = gallery.forgeries(&subject);
                    let known = gallery.subject(&subject);
                    if known.is_none() && forgeries == 0 {
                        return Err(Error::NotFound(format!("no subject `{subject}` is enrolled")));
                    }
                    let references = known.map(|known| known.references.as_slice()).unwrap_or_default();
                    let references: Vec<Value> =
                        references.iter().map(|r| json!({"id": r.id, "sha256": r.sha256})).collect();
                    Ok(json!({"subject": subject, "references": references, "forgeries": forgeries}))
                })?
            };
            state.engine.on(&named(&name)?, read).await
        })
        .await
}

/// Deletes a subject with everything derived from it: references, labelled forgeries, features. Calibrations
/// are marked as stale. The audit log keeps its lines.
#[utoipa::path(delete, operation_id = "delete_subject", path = "/collections/{name}/subjects/{subject}", tag = "signatures", params(("name" = String, Path), ("subject" = String, Path)),
    responses((status = 200, description = "{deleted: points}", body = Envelope<answers::DeletedOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn remove_subject(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    clock
        .run(async {
            let (name, subject) = path.into_inner();
            let remove = move |collection: &crate::collection::Collection| {
                collection.signature_profile()?;
                collection.remove_subject(&subject)
            };
            Ok(json!({"deleted": state.engine.on(&named(&name)?, remove).await?}))
        })
        .await
}

/// Is this the subject's signature? JSON, or a form with `subject`, `policy` and one picture file.
#[utoipa::path(post, path = "/collections/{name}/verify", tag = "signatures", params(("name" = String, Path)), request_body = VerifyBody,
    responses((status = 200, description = "{decision: accept|reject|review, reasons: [{reason, text}], score, threshold: {accept, reject}, probability: {genuine, prior}, p_value, far, frr, references: [{id, similarity}], nearest_impostor, calibration: {id, version, age_secs, against}, whitening, replay, quality, warnings, audit}", body = Envelope<answers::VerifyOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
pub async fn verify(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    payload: web::Payload,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let asked = match upload::read::<VerifyBody>(&request, payload, &state).await? {
                Upload::Json(body) => body.request(key_id(&request))?,
                Upload::Form(form) => verify_form(form, key_id(&request))?,
            };
            state.engine.verify(&name, asked).await
        })
        .await
}

/// Whose signature is this, if anybody's? JSON, or a form with `policy` and one picture file.
#[utoipa::path(post, path = "/collections/{name}/identify", tag = "signatures", params(("name" = String, Path)), request_body = IdentifyBody,
    responses((status = 200, description = "{subject?, decision, reasons, candidates: [{subject, score}], threshold, search_far, searched, note, calibration, replay, quality, warnings, audit}", body = Envelope<answers::IdentifyOut>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
pub async fn identify(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    payload: web::Payload,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let asked = match upload::read::<IdentifyBody>(&request, payload, &state).await? {
                Upload::Json(body) => body.request(key_id(&request))?,
                Upload::Form(form) => identify_form(form, key_id(&request))?,
            };
            state.engine.identify(&name, asked).await
        })
        .await
}
