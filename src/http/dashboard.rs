//! `GET /dashboard`: the page for people. Its files are built from `clients/dashboard/` and compiled into the
//! binary; they hold no data, so that they are served without a key, and the page asks for one.
//!
//! Invariant: the page loads nothing from anywhere but this server, and runs no script but its own: the policy
//! below has the browser hold it.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use sha2::{Digest, Sha256};

use super::answer::{ErrorEnvelope, Failed};
use crate::error::Error;

/// What the page may do. Pictures come as blobs: they are fetched with the key in a header.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

static INDEX: Asset = Asset {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    bytes: include_bytes!("../../clients/dashboard/dist/index.html"),
};
static ASSETS: [Asset; 3] = [
    Asset {
        name: "app.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../clients/dashboard/dist/app.js"),
    },
    Asset {
        name: "style.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../clients/dashboard/dist/style.css"),
    },
    Asset {
        name: "icon.svg",
        media_type: "image/svg+xml",
        bytes: include_bytes!("../../clients/dashboard/dist/icon.svg"),
    },
];

/// Of all files together: they belong to one another.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    ASSETS.iter().chain([&INDEX]).for_each(|asset| hash.update(asset.bytes));
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
});

/// True for the paths of the page.
pub fn is_page(path: &str) -> bool {
    path == "/dashboard" || path.starts_with("/dashboard/")
}

/// The dashboard: a page to add, search, compare and verify pictures. Served without a key.
#[utoipa::path(get, path = "/dashboard", tag = "service", responses((status = 200, description = "an HTML page", content_type = "text/html")))]
pub async fn page(request: HttpRequest) -> impl Responder {
    answer(&request, &INDEX)
}

/// The page's script, style and icon.
#[utoipa::path(get, path = "/dashboard/{file}", tag = "service", params(("file" = String, Path, description = "app.js, style.css or icon.svg")),
    responses((status = 200, description = "the file"), (status = 404, body = ErrorEnvelope)))]
pub async fn file(request: HttpRequest, path: web::Path<String>) -> impl Responder {
    match ASSETS.iter().find(|asset| asset.name == *path) {
        Some(asset) => answer(&request, asset),
        None => Failed(Error::NotFound(format!("no such path: GET {}", request.path()))).error_response(),
    }
}

fn answer(request: &HttpRequest, asset: &Asset) -> HttpResponse {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = match known == Some(TAG.as_str()) {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    response
        .insert_header((header::ETAG, TAG.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"));
    if known == Some(TAG.as_str()) {
        return response.finish();
    }
    response.content_type(asset.media_type).body(asset.bytes)
}
