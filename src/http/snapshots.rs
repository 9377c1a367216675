//! Snapshots, as Qdrant serves them: of one collection under `/collections/{name}/snapshots`, of
//! the whole store under `/snapshots`. Archives stream in and out of files; none is held in
//! memory. A location to recover from is one of this server's own snapshots or a URL: no other
//! file of this machine is read on behalf of the API.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::http::header::{ContentDisposition, DispositionParam, DispositionType};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope, Failed};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::tasks;
use super::wire::answers;
use super::wire::task::TaskOut;
use crate::engine::{Cancel, TaskKind};
use crate::error::{Error, Result};
use crate::storage::{Scope, Snapshot};
use crate::types::CollectionName;

/// Largest archive that is taken in, bytes: 1 TiB. Before that the disk's floor counts.
const MAX_ARCHIVE: u64 = 1 << 40;
/// Bytes that are read or written at once.
const PIECE: usize = 256 * 1024;
/// How often the room on the disk is looked at while an archive comes in, bytes.
const LOOK_EVERY: u64 = 64 * 1024 * 1024;
/// A server that is fetched from must answer within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A snapshot that is there.
#[derive(Serialize, ToSchema)]
pub struct Described {
    /// Name of its file.
    name: String,
    /// When it was made, UTC, without a zone.
    creation_time: Option<String>,
    /// Bytes of its file.
    size: u64,
    /// SHA-256 of its file in hexadecimal.
    checksum: Option<String>,
}

impl From<Snapshot> for Described {
    fn from(snapshot: Snapshot) -> Self {
        let time = jiff::Timestamp::try_from(snapshot.created).ok();
        Self {
            name: snapshot.name,
            creation_time: time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
            size: snapshot.bytes,
            checksum: snapshot.sha256,
        }
    }
}

/// Where a collection is recovered from.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverBody {
    /// `http(s)://…`, or `file:///…` of one of this server's own snapshots.
    location: String,
    /// SHA-256 that the archive must have, in hexadecimal.
    #[serde(default)]
    checksum: Option<String>,
    /// Sent as `api-key` to the URL.
    #[serde(default)]
    api_key: Option<String>,
    /// Which replica wins where they differ: there is one, and the snapshot wins.
    #[serde(default)]
    priority: Option<String>,
}

const PRIORITIES: [&str; 3] = ["no_sync", "snapshot", "replica"];

fn check_priority(priority: Option<&str>) -> Result<()> {
    match priority {
        Some(given) if !PRIORITIES.contains(&given) => {
            Err(Error::InvalidInput(format!("priority: expected one of {}", PRIORITIES.join(", "))))
        }
        _ => Ok(()),
    }
}

fn scope(path: &str) -> Result<Scope> {
    named(path).map(Scope::Collection)
}

/// Makes a snapshot; with `?async=true` as a task. `wait=false` is answered like any other call: clients of
/// Qdrant expect their own shape there.
async fn created(
    clock: Clock,
    request: &HttpRequest,
    state: &web::Data<State>,
    scope: Result<Scope>,
) -> HttpResponse {
    let (scope, name) = match scope {
        Ok(Scope::Store) => (Scope::Store, None),
        Ok(Scope::Collection(name)) => (Scope::Collection(name.clone()), Some(name)),
        Err(error) => return Failed(error).error_response(),
    };
    if let Some(error) = name.as_ref().and_then(|name| state.engine.collection(name).err()) {
        return Failed(error).error_response();
    }
    tasks::run(clock, request, state, (TaskKind::Snapshot, name), move |state, cancel| {
        let scope = scope.clone();
        async move {
            let snapshot = Described::from(state.engine.create_snapshot(scope, cancel).await?);
            serde_json::to_value(snapshot)
                .map_err(|error| Error::Internal(format!("a snapshot as JSON: {error}")))
        }
    })
    .await
}

async fn listed(state: &State, scope: Scope) -> Result<Vec<Described>> {
    Ok(state.engine.snapshots(scope).await?.into_iter().map(Described::from).collect())
}

/// Makes a snapshot of a collection; durable when answered, reads and writes go on meanwhile.
#[utoipa::path(post, operation_id = "create_snapshot", path = "/collections/{name}/snapshots", tag = "snapshots", params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task")),
    responses((status = 200, body = Envelope<Described>), (status = 202, description = "the task", body = Envelope<TaskOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn create(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
) -> impl Responder {
    created(clock, &request, &state, scope(&path)).await
}

/// The snapshots of a collection.
#[utoipa::path(get, operation_id = "list_snapshots", path = "/collections/{name}/snapshots", tag = "snapshots", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Vec<Described>>), (status = 404, body = ErrorEnvelope)))]
pub async fn list(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { listed(&state, scope(&path)?).await }).await
}

/// The archive of a collection's snapshot.
#[utoipa::path(get, operation_id = "download_snapshot", path = "/collections/{name}/snapshots/{snapshot}", tag = "snapshots", params(("name" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, description = "a tar archive", content_type = "application/octet-stream"), (status = 404, body = ErrorEnvelope)))]
pub async fn download(state: web::Data<State>, path: web::Path<(String, String)>) -> impl Responder {
    let (name, snapshot) = path.into_inner();
    let found = scope(&name).and_then(|scope| state.engine.snapshot_path(&scope, &snapshot));
    send(found, &snapshot)
}

/// Removes a snapshot of a collection.
#[utoipa::path(delete, operation_id = "delete_snapshot", path = "/collections/{name}/snapshots/{snapshot}", tag = "snapshots", params(("name" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = Envelope<bool>), (status = 404, body = ErrorEnvelope)))]
pub async fn remove(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> impl Responder {
    clock
        .run(async {
            let (name, snapshot) = path.into_inner();
            state.engine.delete_snapshot(scope(&name)?, snapshot).await.map(|()| true)
        })
        .await
}

/// Makes a snapshot of all collections.
#[utoipa::path(post, operation_id = "create_full_snapshot", path = "/snapshots", tag = "snapshots", params(("async" = Option<bool>, Query, description = "answer with a task")),
    responses((status = 200, body = Envelope<Described>), (status = 202, description = "the task", body = Envelope<TaskOut>)))]
pub async fn create_full(clock: Clock, request: HttpRequest, state: web::Data<State>) -> impl Responder {
    created(clock, &request, &state, Ok(Scope::Store)).await
}

/// The snapshots of all collections.
#[utoipa::path(get, operation_id = "list_full_snapshots", path = "/snapshots", tag = "snapshots", responses((status = 200, body = Envelope<Vec<Described>>)))]
pub async fn list_full(clock: Clock, state: web::Data<State>) -> impl Responder {
    clock.run(listed(&state, Scope::Store)).await
}

/// The archive of a snapshot of all collections.
#[utoipa::path(get, operation_id = "download_full_snapshot", path = "/snapshots/{snapshot}", tag = "snapshots", params(("snapshot" = String, Path)),
    responses((status = 200, description = "a tar archive", content_type = "application/octet-stream"), (status = 404, body = ErrorEnvelope)))]
pub async fn download_full(state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    send(state.engine.snapshot_path(&Scope::Store, &path), &path)
}

/// Removes a snapshot of all collections.
#[utoipa::path(delete, operation_id = "delete_full_snapshot", path = "/snapshots/{snapshot}", tag = "snapshots", params(("snapshot" = String, Path)),
    responses((status = 200, body = Envelope<bool>), (status = 404, body = ErrorEnvelope)))]
pub async fn remove_full(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock
        .run(async { state.engine.delete_snapshot(Scope::Store, path.into_inner()).await.map(|()| true) })
        .await
}

/// Brings a collection back from a snapshot, in place of the one of this name; searches see the
/// old one until the new one is whole.
#[utoipa::path(put, operation_id = "recover_snapshot", path = "/collections/{name}/snapshots/recover", tag = "snapshots", params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task")), request_body = RecoverBody,
    responses((status = 202, description = "the task", body = Envelope<TaskOut>), (status = 200, body = Envelope<bool>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn recover(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<RecoverBody>,
) -> impl Responder {
    let body = body.0;
    let checked = named(&path).and_then(|name| check_priority(body.priority.as_deref()).map(|()| name));
    let name = match checked {
        Ok(name) => name,
        Err(error) => return Failed(error).error_response(),
    };
    tasks::run(clock, &request, &state, (TaskKind::Recover, Some(name.clone())), move |state, cancel| {
        recovered(state, name.clone(), body.clone(), cancel)
    })
    .await
}

async fn recovered(
    state: web::Data<State>,
    name: CollectionName,
    body: RecoverBody,
    cancel: Cancel,
) -> Result<Value> {
    let RecoverBody { location, checksum, api_key, .. } = body;
    if let Some(path) = location.strip_prefix("file://") {
        let path = own_file(Path::new(path), &state.engine.snapshots_dir())?;
        state.engine.restore(name, path, checksum, cancel).await?;
        return Ok(true.into());
    }
    if !location.starts_with("http://") && !location.starts_with("https://") {
        return Err(Error::InvalidInput("location: expected file:///… or http(s)://…".into()));
    }
    let archive = Incoming::new(&state)?;
    let (engine, target, asked) = (state.engine.clone(), archive.path.clone(), cancel.clone());
    let room = move |bytes| asked.check().and_then(|()| engine.check_room(bytes));
    let fetch = move || fetch(&location, api_key.as_deref(), &target, room);
    let fetched = tokio::task::spawn_blocking(fetch).await;
    fetched.map_err(|error| Error::Internal(format!("fetching a snapshot: {error}")))??;
    state.engine.restore(name, archive.path.clone(), checksum, cancel).await?;
    Ok(true.into())
}

#[derive(Deserialize)]
struct UploadParams {
    #[serde(default)]
    checksum: Option<String>,
    #[serde(default)]
    priority: Option<String>,
}

/// Brings a collection back from an archive in the part `snapshot` of a multipart upload.
#[utoipa::path(post, operation_id = "upload_snapshot", path = "/collections/{name}/snapshots/upload", tag = "snapshots",
    params(("name" = String, Path), ("checksum" = Option<String>, Query, description = "SHA-256 that the archive must have"), ("priority" = Option<String>, Query)),
    request_body(content = inline(answers::SnapshotForm), content_type = "multipart/form-data", description = "the archive as the part `snapshot`"),
    responses((status = 200, body = Envelope<bool>), (status = 400, body = ErrorEnvelope)))]
pub async fn upload(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    upload: Multipart,
) -> impl Responder {
    clock
        .run(async {
            let name: CollectionName = named(&path)?;
            let params = web::Query::<UploadParams>::from_query(request.query_string())
                .map_err(|error| Error::InvalidInput(format!("query string: {error}")))?;
            check_priority(params.priority.as_deref())?;
            let archive = Incoming::new(&state)?;
            receive(upload, &archive.path, &state).await?;
            let checksum = params.checksum.clone();
            state.engine.restore(name, archive.path.clone(), checksum, Cancel::default()).await?;
            Ok(true)
        })
        .await
}

/// A file for what is on its way in; it goes when this is dropped.
pub(super) struct Incoming {
    pub(super) path: PathBuf,
}

impl Incoming {
    pub(super) fn new(state: &State) -> Result<Self> {
        state.engine.check_room(0)?;
        Ok(Self { path: state.engine.restoring_path() })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.path.exists()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("{}: not removed: {error}", self.path.display());
        }
    }
}

/// The path, where it leads to a file below the server's own snapshots, whatever links there are.
fn own_file(path: &Path, snapshots: &Path) -> Result<PathBuf> {
    let refused = || {
        Error::InvalidInput(format!(
            "location: {} is no snapshot of this server (below {}); send other files with snapshots/upload",
            path.display(),
            snapshots.display()
        ))
    };
    let snapshots = snapshots.canonicalize().map_err(|_| refused())?;
    let path = path.canonicalize().map_err(|_| refused())?;
    (path.starts_with(snapshots) && path.is_file()).then_some(path).ok_or_else(refused)
}

fn fetch(url: &str, api_key: Option<&str>, to: &Path, room: impl Fn(u64) -> Result<()>) -> Result<()> {
    let wrong = |what: String| Error::InvalidInput(format!("location: {what}"));
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(CONNECT_TIMEOUT * 6))
        .build()
        .new_agent();
    let mut request = agent.get(url);
    if let Some(key) = api_key {
        request = request.header("api-key", key);
    }
    let mut response = request.call().map_err(|error| wrong(format!("{url}: {error}")))?;
    let mut reader = response.body_mut().with_config().limit(MAX_ARCHIVE).reader();
    let mut file = File::create_new(to)?;
    let (mut buffer, mut total, mut looked) = (vec![0; PIECE], 0_u64, 0);
    loop {
        let read = reader.read(&mut buffer).map_err(|error| wrong(format!("{url}: {error}")))?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read])?;
        total += read as u64;
        if total - looked >= LOOK_EVERY {
            looked = total;
            room(0)?;
        }
    }
}

/// Writes the part `snapshot` of an upload to a file.
async fn receive(mut upload: Multipart, to: &Path, state: &State) -> Result<()> {
    let wait = state.options.body_timeout;
    let late = |_| Error::Timeout("the upload stopped arriving".into());
    let broken = |error| Error::InvalidInput(format!("the upload could not be read: {error}"));
    let missing = || Error::InvalidInput("expected one part named `snapshot` with the archive".into());
    let field = tokio::time::timeout(wait, upload.next()).await.map_err(late)?;
    let mut field = field.ok_or_else(missing)?.map_err(broken)?;
    if field.name() != Some("snapshot") {
        return Err(missing());
    }
    let mut file = File::create_new(to)?;
    let (mut total, mut looked) = (0_u64, 0);
    while let Some(piece) = tokio::time::timeout(wait, field.next()).await.map_err(late)? {
        let piece = piece.map_err(broken)?;
        total += piece.len() as u64;
        if total > MAX_ARCHIVE {
            return Err(Error::TooLarge(format!("the archive is larger than {} GiB", MAX_ARCHIVE >> 30)));
        }
        file = web::block(move || file.write_all(&piece).map(|()| file))
            .await
            .map_err(|error| Error::Internal(format!("writing an upload: {error}")))??;
        if total - looked >= LOOK_EVERY {
            looked = total;
            state.engine.check_room(0)?;
        }
    }
    Ok(())
}

/// Streams a file.
fn send(path: Result<PathBuf>, name: &str) -> HttpResponse {
    let opened = path.and_then(|path| {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    let (file, length) = match opened {
        Ok(opened) => opened,
        Err(error) => return Failed(error).error_response(),
    };
    let pieces = futures_util::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, actix_web::Error>(None);
        }
        let read = web::block(move || {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            file.read_exact(&mut piece).map(|()| (piece, file))
        });
        let (piece, file) = read.await??;
        let left = left - piece.len() as u64;
        Ok(Some((web::Bytes::from(piece), (file, left))))
    });
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header(ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(name.to_owned())],
        })
        .no_chunking(length)
        .streaming(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_outside_the_snapshots_is_read_whatever_the_path_says() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = dir.path().join("snapshots");
        std::fs::create_dir(&snapshots).unwrap();
        let (inside, outside) = (snapshots.join("a.snapshot"), dir.path().join("secret"));
        std::fs::write(&inside, "a").unwrap();
        std::fs::write(&outside, "b").unwrap();
        std::os::unix::fs::symlink(&outside, snapshots.join("link")).unwrap();
        assert!(own_file(&inside, &snapshots).is_ok());
        for wrong in [outside, snapshots.join("../secret"), snapshots.join("link"), snapshots.clone()] {
            let error = own_file(&wrong, &snapshots).unwrap_err();
            assert!(error.to_string().contains("snapshots/upload"), "{error}");
        }
    }
}
