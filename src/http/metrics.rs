//! `GET /metrics`: what the server counts about itself, for Prometheus; and the count of requests.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{HttpResponse, web};

use super::answer::Failed;
use super::state::State;

/// The text format of Prometheus that we write.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters, histograms and levels in Prometheus' text format: requests by endpoint and status, the queues and batches
/// of the model, its cache, decoding, collections and points, the process.
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, description = "Prometheus' text format 0.0.4", body = String, content_type = "text/plain")))]
pub async fn metrics(state: web::Data<State>) -> Result<HttpResponse, Failed> {
    let text = state.engine.metrics_text(state.started).await.map_err(Failed)?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}

/// A request on its way.
pub(super) struct Count {
    started: Instant,
    method: &'static str,
    endpoint: String,
}

impl Count {
    /// The request as its route is written, not as its path is: names and ids are no labels.
    pub(super) fn start(request: &ServiceRequest) -> Self {
        let endpoint = request.match_pattern().unwrap_or_else(|| "none".to_owned());
        Self { started: Instant::now(), method: known(request.method()), endpoint }
    }

    pub(super) fn end(self, answer: &ServiceResponse<impl MessageBody>) {
        if let Some(state) = answer.request().app_data::<web::Data<State>>() {
            let metrics = state.engine.metrics();
            metrics.answered(self.method, &self.endpoint, answer.status().as_u16(), self.started.elapsed());
        }
    }
}

/// A client may send any word as its method; it makes no label of its own.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
