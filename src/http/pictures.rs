//! `GET /collections/{c}/points/{id}/thumbnail` and `original`: the pictures that are kept with points. What is
//! answered can never be more than a picture: its type is what our own decoder says it is, and the headers
//! keep a browser from taking it for anything else.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};

use super::answer::{ErrorEnvelope, Failed};
use super::collections::named;
use super::state::State;
use crate::error::{Error, Result};
use crate::preprocess::Format;
use crate::types::{PictureKind, PointId};

/// Asked for again each time, answered 304 while it is the same: what is deleted or replaced is gone at once.
const CACHE: &str = "private, no-cache";
/// Nothing in a picture may run or load anything, should a browser ever show it as a page.
const POLICY: &str = "default-src 'none'; sandbox";

/// The small copy of a point's picture: a JPEG whose longer side has at most 256 pixels, without metadata. None is
/// kept of points that came as numbers or texts, or where the server or the collection keeps none.
#[utoipa::path(get, path = "/collections/{name}/points/{id}/thumbnail", tag = "points", params(("name" = String, Path), ("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "the ETag of what is known")),
    responses((status = 200, description = "the JPEG, with an ETag", content_type = "image/jpeg"), (status = 304, description = "still what If-None-Match names"), (status = 404, body = ErrorEnvelope)))]
pub async fn thumbnail(
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    answer(&request, &state, path.into_inner(), PictureKind::Thumbnail).await
}

/// The file that a point was made from, as it was sent, to be downloaded. Kept only where the server runs with
/// `--originals` and the collection does not say no.
#[utoipa::path(get, path = "/collections/{name}/points/{id}/original", tag = "points", params(("name" = String, Path), ("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "the ETag of what is known")),
    responses((status = 200, description = "the file: JPEG, PNG, WebP or GIF, with an ETag", content_type = "image/*"), (status = 304, description = "still what If-None-Match names"), (status = 404, body = ErrorEnvelope)))]
pub async fn original(
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    answer(&request, &state, path.into_inner(), PictureKind::Original).await
}

async fn answer(
    request: &HttpRequest,
    state: &State,
    (name, id): (String, String),
    kind: PictureKind,
) -> HttpResponse {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = known.unwrap_or_default().to_owned();
    match find(state, &name, &id, kind, known).await {
        Ok(Found::Same(tag)) => HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .insert_header((header::CACHE_CONTROL, CACHE))
            .finish(),
        Ok(Found::Picture { tag, bytes, format, disposition }) => HttpResponse::Ok()
            .content_type(media_type(format))
            .insert_header((header::ETAG, tag))
            .insert_header((header::CACHE_CONTROL, CACHE))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
            .insert_header((header::CONTENT_DISPOSITION, disposition))
            .body(bytes),
        Err(error) => Failed(error).error_response(),
    }
}

enum Found {
    /// What the client has.
    Same(String),
    Picture {
        tag: String,
        bytes: Vec<u8>,
        format: Format,
        disposition: String,
    },
}

async fn find(state: &State, name: &str, id: &str, kind: PictureKind, known: String) -> Result<Found> {
    let name = named(name)?;
    let id = PointId::parse(id).map_err(|why| Error::InvalidInput(format!("id: {why}")))?;
    let read = move |collection: &crate::collection::Collection| {
        let tag = |tag: u32| format!("\"{tag:08x}\"");
        let now = tag(collection.picture_tag(id, kind)?);
        if known.split(',').any(|one| one.trim().trim_start_matches("W/") == now) {
            return Ok(Found::Same(now));
        }
        let kept = collection.picture(id, kind)?;
        let format = Format::sniff(&kept.bytes)?;
        let disposition = match kind {
            PictureKind::Thumbnail => "inline".to_owned(),
            PictureKind::Original => format!("attachment; filename=\"{id}.{}\"", extension(format)),
        };
        Ok(Found::Picture { tag: tag(kept.tag), bytes: kept.bytes, format, disposition })
    };
    state.engine.on(&name, read).await
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Jpeg => "image/jpeg",
        Format::Png => "image/png",
        Format::WebP => "image/webp",
        Format::Gif => "image/gif",
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Jpeg => "jpg",
        Format::Png => "png",
        Format::WebP => "webp",
        Format::Gif => "gif",
    }
}
