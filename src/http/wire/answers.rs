//! The shapes of answers that handlers build from parts of other modules, for the OpenAPI document
//! alone: clients in other languages are generated from them. Their tests compare every answer of a real
//! server with these.

// Nothing reads the fields; their types are what counts.
#![allow(dead_code)]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::groups::GroupOut;
use super::point::{RecordOut, ScoredPointOut};

/// An unsigned 64-bit number, or a UUID.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PointIdOut {
    /// A number.
    Number(u64),
    /// A UUID, hyphenated.
    Uuid(String),
}

/// A name in a list.
#[derive(ToSchema)]
pub struct Named {
    name: String,
}

/// All collections.
#[derive(ToSchema)]
pub struct CollectionsOut {
    collections: Vec<Named>,
}

/// Whether there is such a collection.
#[derive(ToSchema)]
pub struct ExistsOut {
    exists: bool,
}

/// A collection, as Qdrant describes one.
#[derive(ToSchema)]
pub struct CollectionOut {
    /// `green`; `yellow` while a graph is being built; `red` when it is read-only.
    status: String,
    points_count: u64,
    vectors_count: u64,
    /// Vectors that a graph covers.
    indexed_vectors_count: u64,
    segments_count: u64,
    disk_bytes: u64,
    /// Vectors, graph parameters, metadata.
    #[schema(value_type = Object)]
    config: Value,
    /// Payload indexes by field: `{data_type, points, params?}`.
    #[schema(value_type = Object)]
    payload_schema: Value,
}

/// A change that is done.
#[derive(ToSchema)]
pub struct UpdatedOut {
    /// Sequence number of the write.
    operation_id: u64,
    /// Always `completed`.
    status: String,
    /// With `X-Lookalike-Partial: true`: items that could not be embedded.
    #[schema(required = false)]
    failed: Vec<FailedItem>,
}

/// An item that was left out.
#[derive(ToSchema)]
pub struct FailedItem {
    /// Its place in the request.
    index: u64,
    id: PointIdOut,
    error: String,
}

/// How many points.
#[derive(ToSchema)]
pub struct CountOut {
    count: u64,
}

/// A page of points.
#[derive(ToSchema)]
pub struct ScrollOut {
    points: Vec<RecordOut>,
    /// The `offset` of the next page; null after the last.
    next_page_offset: Option<PointIdOut>,
}

/// Hits, best first.
#[derive(ToSchema)]
pub struct HitsOut {
    points: Vec<ScoredPointOut>,
}

/// Groups, that of the best hit first.
#[derive(ToSchema)]
pub struct GroupsOut {
    groups: Vec<GroupOut>,
}

/// What the model makes of the inputs.
#[derive(ToSchema)]
pub struct EmbedOut {
    /// Unit length, in the order of the inputs.
    embeddings: Vec<Vec<f32>>,
    model: String,
    dimension: u64,
}

/// The models of a server.
#[derive(ToSchema)]
pub struct ModelsOut {
    models: Vec<ModelOut>,
}

/// A model.
#[derive(ToSchema)]
pub struct ModelOut {
    name: String,
    dimension: u64,
    /// `text` and `image`, or `image` alone; absent where it was not loaded yet, as `device` and `precision` are.
    modalities: Option<Vec<String>>,
    device: Option<String>,
    precision: Option<String>,
    /// Whether it is in memory.
    loaded: bool,
    /// Whether it is the one of vectors that name none.
    default: bool,
    /// MiB of its weights.
    weight_mib: u64,
}

/// One line of the answer to an upload of pictures.
#[derive(ToSchema)]
pub struct ImageLine {
    /// Place of the file in the upload.
    index: u64,
    /// Its name.
    file: Option<String>,
    /// Its point.
    id: Option<PointIdOut>,
    /// `ok` or `error`.
    status: String,
    /// Why it was refused.
    error: Option<String>,
}

/// The parts of an upload of pictures.
#[derive(ToSchema)]
pub struct ImagesForm {
    /// JSON, before the files: a list in the order of the files, or an object by file name.
    payloads: Option<String>,
    /// JSON, before the files: as `payloads`; a file without an id gets one made from its bytes.
    ids: Option<String>,
    /// Picture files.
    #[schema(format = Binary, value_type = Vec<String>)]
    image: Vec<String>,
}

/// The part of an upload of a snapshot.
#[derive(ToSchema)]
pub struct SnapshotForm {
    /// The archive.
    #[schema(format = Binary)]
    snapshot: String,
}

/// Versions of heads, and which are applied.
#[derive(ToSchema)]
pub struct AdaptOut {
    /// With all figures.
    #[schema(value_type = Vec<Object>)]
    versions: Vec<Value>,
    applied: Vec<AppliedOut>,
}

/// A head that is applied.
#[derive(ToSchema)]
pub struct AppliedOut {
    vector: String,
    /// `picture` or `text`.
    modality: String,
    version: u64,
}
