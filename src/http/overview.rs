//! `GET /overview`: the server at one glance, for the dashboard.

use actix_web::{Responder, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::{Clock, Envelope};
use super::state::State;
use crate::collection::CollectionInfo;
use crate::types::{CollectionName, PicturePolicy};

/// A collection in a few words; `GET /collections/{c}` has all of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectionLine {
    name: String,
    /// `green`, `yellow` while a graph is being built, `red` where nothing can be written.
    status: &'static str,
    /// Why nothing can be written.
    error: Option<String>,
    points: usize,
    vectors: usize,
    /// Vectors in a graph; the others are searched exactly.
    indexed_vectors: usize,
    /// Bytes of its log.
    disk_bytes: u64,
    /// Whether it is a collection of signatures.
    signatures: bool,
    /// Whether small copies of the pictures that come from now on are kept.
    thumbnails: bool,
    /// Whether their files are kept.
    originals: bool,
}

/// The whole server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// Of lookalike.
    version: &'static str,
    uptime_secs: u64,
    /// As `GET /models` describes it.
    #[schema(value_type = Object)]
    model: Value,
    /// `{log_bytes, view_bytes, free_bytes, reserve_bytes}`; below the reserve only deletes are taken.
    #[schema(value_type = Object)]
    disk: Value,
    /// In the order of names.
    collections: Vec<CollectionLine>,
}

fn line(name: &CollectionName, info: CollectionInfo, kept: PicturePolicy) -> CollectionLine {
    let kept = kept.and(info.config.pictures);
    CollectionLine {
        name: name.to_string(),
        status: if info.read_only.is_some() {
            "red"
        } else if info.building {
            "yellow"
        } else {
            "green"
        },
        error: info.read_only,
        points: info.points,
        vectors: info.vectors,
        indexed_vectors: info.indexed_vectors,
        disk_bytes: info.disk_bytes,
        signatures: info.config.signatures.is_some(),
        thumbnails: kept.thumbnails,
        originals: kept.originals,
    }
}

/// Version, model, disk, and all collections with their counts, states and sizes.
#[utoipa::path(get, path = "/overview", tag = "service", responses((status = 200, body = Envelope<Overview>)))]
pub async fn overview(clock: Clock, state: web::Data<State>) -> impl Responder {
    clock
        .run(async {
            let (collections, disk) = state.engine.overview().await?;
            let kept = state.engine.pictures_kept();
            let model = state.engine.model();
            let (device, precision) = model.running_on();
            Ok(Overview {
                version: env!("CARGO_PKG_VERSION"),
                uptime_secs: state.started.elapsed().as_secs(),
                model: json!({
                    "name": model.name, "dimension": model.dimension, "modalities": model.modalities,
                    "device": device, "precision": precision, "fingerprint": model.fingerprint,
                    "signatures": model.signature.is_some(),
                }),
                disk: json!({
                    "log_bytes": disk.log_bytes, "view_bytes": disk.view_bytes, "free_bytes": disk.free_bytes,
                    "reserve_bytes": disk.reserve_bytes,
                }),
                collections: collections.into_iter().map(|(name, info)| line(&name, info, kept)).collect(),
            })
        })
        .await
}
