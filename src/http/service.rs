//! The server about itself: version, health, cluster.

use actix_web::{HttpResponse, Responder, web};
use serde_json::json;

use super::answer::Clock;
use super::state::State;

/// The version of the protocol we speak: clients compare it with their own.
pub const PROTOCOL_VERSION: &str = "1.19.0";

/// Title and version.
#[utoipa::path(get, path = "/", tag = "service", responses((status = 200, description = "title, protocol version, lookalike's own version, model")))]
pub async fn root(state: web::Data<State>) -> impl Responder {
    HttpResponse::Ok().json(json!({
        "title": "lookalike - vector search with the model inside (Qdrant-compatible)",
        "version": PROTOCOL_VERSION,
        "commit": option_env!("LOOKALIKE_COMMIT").unwrap_or("unknown"),
        "lookalike": {
            "version": env!("CARGO_PKG_VERSION"),
            "model": state.engine.model().name,
            "uptime_secs": state.started.elapsed().as_secs(),
        },
    }))
}

/// True while the process lives.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "the server lives")))]
pub async fn healthz() -> impl Responder {
    "healthz check passed"
}

/// True while the process lives.
#[utoipa::path(get, path = "/livez", tag = "service", responses((status = 200, description = "the server lives")))]
pub async fn livez() -> impl Responder {
    "livez check passed"
}

/// True when requests are answered; the server only listens once its collections are open.
#[utoipa::path(get, path = "/readyz", tag = "service", responses((status = 200, description = "the server answers requests")))]
pub async fn readyz() -> impl Responder {
    "all shards are ready"
}

/// There is no cluster.
#[utoipa::path(get, path = "/cluster", tag = "service", responses((status = 200, description = "always disabled")))]
pub async fn cluster(clock: Clock) -> impl Responder {
    clock.run(async { Ok(json!({"status": "disabled"})) }).await
}
