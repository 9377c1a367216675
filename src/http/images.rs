//! `POST /collections/{c}/images`: many picture files in one multipart upload. Files are
//! embedded and written in groups as they arrive, and every file gets its own line of NDJSON;
//! one that cannot be read never fails the rest. Reading the upload never waits for the client
//! to read the answer: its lines (at most `MAX_FILES`, each short) are held until it does.
//!
//! Parts: `payloads` and `ids` (JSON: a list in the order of the files, or an object by file
//! name) must come before the files; any other part with a file name is a picture. A file
//! without an id gets a UUID made from its bytes, so the same picture sent twice is one point.

use std::collections::BTreeMap;

use actix_multipart::{Field, Multipart};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::answer::{ErrorEnvelope, Failed};
use super::collections::named;
use super::state::State;
use super::wire::answers;
use crate::engine::{Cancel, Choices, Content, Draft, Inference, VectorSource};
use crate::error::{Error, Result};
use crate::types::{CollectionName, DEFAULT_VECTOR, Payload, PointId};

/// Most files of one upload.
const MAX_FILES: usize = 100_000;
/// Files that are embedded and written together.
const GROUP_FILES: usize = 64;
/// Bytes after which a group is full, whatever its files: where they are kept as they are, a group with one
/// more file of the largest size must still be one change of the log.
const GROUP_BYTES: usize = 24 * 1024 * 1024;
/// Largest `payloads` or `ids` part, bytes.
const MAX_JSON_PART: usize = 64 * 1024 * 1024;

/// One line of the answer.
#[derive(Serialize)]
struct Line {
    /// Place of the file in the upload.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    id: Option<PointId>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A picture file that has arrived.
struct File {
    index: usize,
    name: String,
    id: PointId,
    payload: Payload,
    bytes: Vec<u8>,
}

type Lines = mpsc::UnboundedSender<web::Bytes>;

/// Ingests picture files; answers one NDJSON line `{index, file, id, status, error?}` a file.
#[utoipa::path(post, operation_id = "upload_images", path = "/collections/{name}/images", tag = "points", params(("name" = String, Path), ("using" = Option<String>, Query, description = "name of the vector; the unnamed one if absent")),
    request_body(content = inline(answers::ImagesForm), content_type = "multipart/form-data", description = "`payloads` and `ids` as JSON, then the files"),
    responses((status = 200, description = "NDJSON, one line a file: {index, file, id, status, error?}", body = answers::ImageLine, content_type = "application/x-ndjson"), (status = 404, body = ErrorEnvelope)))]
pub async fn ingest(
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    upload: Multipart,
) -> impl Responder {
    let target = match Target::new(&state, &path, request.query_string()) {
        Ok(target) => target,
        Err(error) => return Failed(error).error_response(),
    };
    let is_multipart = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    if !is_multipart {
        return Failed(Error::InvalidInput(
            "content-type: expected multipart/form-data with picture files; single points with pictures go to PUT points".into(),
        ))
        .error_response();
    }
    let (lines, mut answers) = mpsc::unbounded_channel();
    let (groups, arriving) = mpsc::channel(1);
    actix_web::rt::spawn(write_groups(state.clone(), target, arriving, lines.clone()));
    actix_web::rt::spawn(read_upload(state, upload, groups, lines));
    let stream = futures_util::stream::poll_fn(move |context| {
        answers.poll_recv(context).map(|line| line.map(Ok::<_, std::convert::Infallible>))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(stream)
}

/// Where the pictures go.
struct Target {
    collection: CollectionName,
    using: String,
}

impl Target {
    fn new(state: &State, path: &str, query: &str) -> Result<Self> {
        let collection = named(path)?;
        let params = web::Query::<BTreeMap<String, String>>::from_query(query)
            .map_err(|error| Error::InvalidInput(format!("query string: {error}")))?;
        let using = params.get("using").cloned().unwrap_or_else(|| DEFAULT_VECTOR.to_owned());
        let config = state.engine.collection(&collection)?.config();
        match config.vectors.get(&using) {
            None => Err(Error::InvalidInput(format!("using: Not existing vector name error: {using}"))),
            Some(params) => {
                state.engine.check_model_of(&collection, &using, params)?;
                Ok(Self { collection, using })
            }
        }
    }
}

fn send(lines: &Lines, line: &Line) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // The client may be gone; what is written stays written.
        let _ = lines.send(text.into());
    }
}

fn refuse(lines: &Lines, index: usize, file: Option<String>, id: Option<PointId>, error: &Error) {
    send(lines, &Line { index, file, id, status: "error", error: Some(error.to_string()) });
}

/// Reads part after part; ends at the first part that cannot be read, with a line that says so.
async fn read_upload(
    state: web::Data<State>,
    mut upload: Multipart,
    groups: mpsc::Sender<Vec<File>>,
    lines: Lines,
) {
    let mut columns = Columns::default();
    let (mut group, mut group_bytes, mut index, mut total) = (Vec::new(), 0, 0, 0);
    loop {
        let next = tokio::time::timeout(state.options.body_timeout, upload.next()).await;
        let mut field = match next {
            Ok(None) => break,
            Ok(Some(Ok(field))) => field,
            Ok(Some(Err(error))) => {
                refuse(
                    &lines,
                    index,
                    None,
                    None,
                    &Error::InvalidInput(format!("the upload could not be read: {error}")),
                );
                break;
            }
            Err(_) => {
                refuse(&lines, index, None, None, &Error::Timeout("the upload stopped arriving".into()));
                break;
            }
        };
        let part = field.name().unwrap_or_default().to_owned();
        let file = field.content_disposition().and_then(|c| c.get_filename()).map(clean_name);
        if file.is_none() || part == "payloads" || part == "ids" {
            if let Err(error) = columns.read(&part, &mut field, index, &state).await {
                refuse(&lines, index, None, None, &error);
                break;
            }
            continue;
        }
        let file = file.unwrap_or_default();
        if index == MAX_FILES {
            refuse(
                &lines,
                index,
                Some(file),
                None,
                &Error::TooLarge(format!("an upload holds at most {MAX_FILES} files")),
            );
            break;
        }
        let limit = state.options.max_image_bytes;
        match read_field(&mut field, limit, &state).await {
            Ok(bytes) => {
                total += bytes.len();
                if total > state.options.max_upload_bytes {
                    let mib = state.options.max_upload_bytes / (1024 * 1024);
                    refuse(
                        &lines,
                        index,
                        Some(file),
                        None,
                        &Error::TooLarge(format!(
                            "the upload is larger than {mib} MiB; send the rest in another"
                        )),
                    );
                    break;
                }
                match columns.file(index, file.clone(), bytes) {
                    Ok(ready) => {
                        group_bytes += ready.bytes.len();
                        group.push(ready);
                    }
                    Err(error) => refuse(&lines, index, Some(file), None, &error),
                }
            }
            Err(error @ Error::TooLarge(_)) => refuse(&lines, index, Some(file), None, &error),
            Err(error) => {
                refuse(&lines, index, Some(file), None, &error);
                break;
            }
        }
        index += 1;
        if group.len() >= GROUP_FILES || group_bytes >= GROUP_BYTES {
            group_bytes = 0;
            if groups.send(std::mem::take(&mut group)).await.is_err() {
                return;
            }
        }
    }
    if !group.is_empty() {
        let _ = groups.send(group).await;
    }
    // What is left of the upload is read and dropped, so that the client sees the answer.
    while let Ok(Some(Ok(mut field))) = tokio::time::timeout(state.options.body_timeout, upload.next()).await
    {
        while let Some(Ok(_)) = field.next().await {}
    }
}

/// The file's own name, without any directory.
pub(super) fn clean_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.chars().filter(|c| !c.is_control()).take(255).collect()
}

/// A part's bytes; one that is too large is read to its end and refused.
pub(super) async fn read_field(field: &mut Field, limit: usize, state: &State) -> Result<Vec<u8>> {
    let (mut bytes, mut too_large) = (Vec::new(), false);
    loop {
        match tokio::time::timeout(state.options.body_timeout, field.next()).await {
            Ok(None) if too_large => {
                return Err(Error::TooLarge(format!(
                    "the file is larger than {} MiB",
                    limit / (1024 * 1024)
                )));
            }
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(chunk))) => {
                too_large |= bytes.len() + chunk.len() > limit;
                if too_large {
                    bytes = Vec::new();
                } else {
                    bytes.extend_from_slice(&chunk);
                }
            }
            Ok(Some(Err(error))) => {
                return Err(Error::InvalidInput(format!("the upload could not be read: {error}")));
            }
            Err(_) => return Err(Error::Timeout("the upload stopped arriving".into())),
        }
    }
}

/// `payloads` and `ids`, by place or by file name.
#[derive(Default)]
struct Columns {
    payloads: Value,
    ids: Value,
}

impl Columns {
    async fn read(&mut self, part: &str, field: &mut Field, files_seen: usize, state: &State) -> Result<()> {
        if part != "payloads" && part != "ids" {
            return Err(Error::InvalidInput(format!(
                "part `{part}` has no file name; expected picture files, `payloads` or `ids`"
            )));
        }
        if files_seen > 0 {
            return Err(Error::InvalidInput(format!("{part} must come before the files")));
        }
        let bytes = read_field(field, MAX_JSON_PART, state).await.map_err(|error| error.at(part))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::MalformedBody(format!("{part}: {error}")))?;
        if !value.is_array() && !value.is_object() {
            return Err(Error::MalformedBody(format!(
                "{part}: expected a list in the order of the files, or an object by file name"
            )));
        }
        if part == "payloads" {
            self.payloads = value;
        } else {
            self.ids = value;
        }
        Ok(())
    }

    fn file(&mut self, index: usize, name: String, bytes: Vec<u8>) -> Result<File> {
        let mut payload = match cell(&mut self.payloads, index, &name) {
            Value::Null => Payload::new(),
            Value::Object(map) => map,
            _ => return Err(Error::MalformedBody(format!("payloads[{index}]: expected an object"))),
        };
        let id = match cell(&mut self.ids, index, &name) {
            Value::Null => PointId::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes)),
            value => serde_json::from_value(value)
                .map_err(|error| Error::MalformedBody(format!("ids[{index}]: {error}")))?,
        };
        if !payload.contains_key("file") {
            payload.insert("file".into(), name.clone().into());
        }
        Ok(File { index, name, id, payload, bytes })
    }
}

fn cell(column: &mut Value, index: usize, name: &str) -> Value {
    match column {
        Value::Array(items) => items.get_mut(index).map(Value::take).unwrap_or_default(),
        Value::Object(map) => map.get(name).cloned().unwrap_or_default(),
        _ => Value::Null,
    }
}

/// Embeds and writes group after group while the next one arrives.
async fn write_groups(
    state: web::Data<State>,
    target: Target,
    mut groups: mpsc::Receiver<Vec<File>>,
    lines: Lines,
) {
    while let Some(group) = groups.recv().await {
        let files: Vec<_> = group.iter().map(|file| (file.index, file.name.clone(), file.id)).collect();
        let mut failed = match write_group(&state, &target, group).await {
            Ok(failed) => failed,
            Err(error) => files.iter().enumerate().map(|(i, _)| (i, error.clone())).collect(),
        };
        for (i, (index, name, id)) in files.into_iter().enumerate() {
            match failed.remove(&i) {
                Some(error) => refuse(&lines, index, Some(name), Some(id), &error),
                None => {
                    send(&lines, &Line { index, file: Some(name), id: Some(id), status: "ok", error: None })
                }
            }
        }
    }
}

/// The errors by place in the group.
async fn write_group(state: &State, target: &Target, group: Vec<File>) -> Result<BTreeMap<usize, Error>> {
    let draft = |file: File| {
        let content = Content::Image(file.bytes);
        let inference = Inference { model: None, content, choices: Choices::default(), place: file.name };
        let vectors = BTreeMap::from([(target.using.clone(), VectorSource::Inference(inference))]);
        Draft { id: file.id, vectors, payload: file.payload }
    };
    let drafts = group.into_iter().map(draft).collect();
    state.engine.import(&target.collection, drafts, &Cancel::default()).await
}
