//! `GET /collections/{c}/audit`: the audit log as JSON lines, file after file.

use actix_web::{HttpResponse, Responder, ResponseError, web};
use futures_util::stream;

use super::answer::{ErrorEnvelope, Failed};
use super::collections::named;
use super::state::State;

/// The whole audit log, oldest first. Each line holds the hash of the one before it.
#[utoipa::path(get, operation_id = "export_audit", path = "/collections/{name}/audit", tag = "signatures", params(("name" = String, Path)),
    responses((status = 200, description = "JSON lines: {hash, previous, sequence, time, kind, subject, probe_sha256, decision, score, threshold, calibration, key}", content_type = "application/x-ndjson"), (status = 404, body = ErrorEnvelope)))]
pub async fn export(state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    let start = async {
        let name = named(&path)?;
        let files = state.engine.on(&name, |collection| {
            collection.signature_profile()?;
            collection.audit_files()
        });
        files.await.map(|files| (name, files))
    };
    let (name, files) = match start.await {
        Ok(found) => found,
        Err(error) => return Failed(error).error_response(),
    };
    // One file at a time is held in memory.
    let lines = stream::unfold((state, name, files.into_iter()), |(state, name, mut files)| async move {
        let number = files.next()?;
        let read = state.engine.on(&name, move |collection| collection.audit_file(number)).await;
        let bytes = read.map(|bytes| web::Bytes::from(bytes.unwrap_or_default()));
        Some((bytes, (state, name, files)))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(Box::pin(lines))
}
