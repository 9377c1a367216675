//! `POST /collections/{c}/import`: points as JSON lines, of which each is answered for. Without `?async=true` they
//! are embedded and written in groups as they arrive, and the answer is a line a point; with it the body is
//! first put into a file of the data directory, and a task reads that. Memory: two groups, whatever the body.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::answer::{Clock, ErrorEnvelope, Failed};
use super::body;
use super::collections::named;
use super::snapshots::Incoming;
use super::state::State;
use super::tasks;
use super::wire::point::PointBody;
use super::wire::task::TaskOut;
use crate::engine::{Cancel, Draft, ItemFailure, Progress, TaskKind};
use crate::error::{Error, Result};
use crate::types::{CollectionName, PointId};

/// Points that are embedded and written together.
const GROUP_POINTS: usize = 64;
/// Bytes of lines after which a group is full, whatever its points.
const GROUP_BYTES: usize = 24 * 1024 * 1024;
/// How often the room on the disk is looked at while a body is put into a file, bytes.
const LOOK_EVERY: usize = 64 * 1024 * 1024;

/// One line of the answer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ImportLine {
    /// Place of the point among those that were sent, from 0.
    index: u64,
    /// Its id, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::wire::answers::PointIdOut>)]
    id: Option<PointId>,
    /// `ok` or `error`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Why it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What a line says.
enum Item {
    Good(u64, Draft),
    Bad(ItemFailure),
}

/// Imports points sent as JSON lines, each `{"id", "vector", "payload"}` as in an upsert; a vector may be an object
/// with `text` or `image` for the model. One that is wrong never fails the rest. Without `async` the answer is a
/// line for each point; with `async=true` it is 202 with a task, once the body has arrived whole.
#[utoipa::path(post, operation_id = "import_points", path = "/collections/{name}/import", tag = "points",
    params(("name" = String, Path), ("async" = Option<bool>, Query, description = "answer with a task, and import in the background")),
    request_body(content = PointBody, content_type = "application/x-ndjson", description = "one point a line"),
    responses((status = 200, description = "NDJSON, one line a point, not always in their order: {index, id?, status, error?}", body = ImportLine, content_type = "application/x-ndjson"),
        (status = 202, description = "the task", body = super::answer::Envelope<TaskOut>), (status = 404, body = ErrorEnvelope), (status = 413, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn import(
    clock: Clock,
    request: HttpRequest,
    state: web::Data<State>,
    path: web::Path<String>,
    payload: web::Payload,
) -> impl Responder {
    let checked = named(&path).and_then(|name| {
        state.engine.collection(&name)?;
        Ok((name, tasks::is_asynchronous(request.query_string())?))
    });
    match checked {
        Err(error) => Failed(error).error_response(),
        Ok((name, true)) => tasks::accepted(clock, in_background(&state, name, payload).await),
        Ok((name, false)) => streaming(state, name, payload),
    }
}

fn streaming(state: web::Data<State>, name: CollectionName, payload: web::Payload) -> HttpResponse {
    let (lines, mut answers) = mpsc::unbounded_channel();
    let (groups, mut arriving) = mpsc::channel(1);
    let (reading, read_lines) = (state.clone(), lines.clone());
    actix_web::rt::spawn(async move { read(&reading, payload, &groups, &read_lines).await });
    actix_web::rt::spawn(async move {
        while let Some(group) = arriving.recv().await {
            write(&state, &name, group, &Cancel::default(), &mut |line| send(&lines, &line)).await;
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| {
        answers.poll_recv(context).map(|line| line.map(Ok::<_, std::convert::Infallible>))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(stream)
}

type Lines = mpsc::UnboundedSender<web::Bytes>;

fn send(lines: &Lines, line: &ImportLine) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // The client may be gone; what is written stays written.
        let _ = lines.send(text.into());
    }
}

fn refused(ItemFailure { index, id, error }: ItemFailure) -> ImportLine {
    ImportLine { index, id, status: "error", error: Some(error) }
}

fn item(index: u64, line: &[u8]) -> Item {
    let bad = |id, error: Error| Item::Bad(ItemFailure { index, id, error: error.to_string() });
    match body::parse::<PointBody>(line) {
        Err(error) => bad(None, error),
        Ok(point) => {
            let id = point.id;
            point.draft("vector").map_or_else(|error| bad(Some(id), error), |draft| Item::Good(index, draft))
        }
    }
}

/// Reads the body line by line; ends at the first thing that cannot be read, with a line that says so.
async fn read(
    state: &State,
    mut payload: web::Payload,
    groups: &mpsc::Sender<Vec<(u64, Draft)>>,
    lines: &Lines,
) {
    let (mut splitter, mut group, mut bytes) = (Splitter::new(state), Vec::new(), 0);
    loop {
        let piece = match next(state, &mut payload).await {
            Ok(piece) => piece,
            Err(error) => {
                send(
                    lines,
                    &refused(ItemFailure { index: splitter.index, id: None, error: error.to_string() }),
                );
                break;
            }
        };
        let is_last = piece.is_none();
        for (length, item) in splitter.take(piece.as_deref()) {
            match item {
                Item::Bad(failure) => send(lines, &refused(failure)),
                Item::Good(index, draft) => {
                    bytes += length;
                    group.push((index, draft));
                }
            }
            if group.len() == GROUP_POINTS || bytes >= GROUP_BYTES {
                bytes = 0;
                if groups.send(std::mem::take(&mut group)).await.is_err() {
                    return;
                }
            }
        }
        if let Some(error) = splitter.over.take() {
            send(lines, &refused(ItemFailure { index: splitter.index, id: None, error: error.to_string() }));
            break;
        }
        if is_last {
            break;
        }
    }
    if !group.is_empty() {
        let _ = groups.send(group).await;
    }
    // What is left of the body is read and dropped, so that the client sees the answer.
    while let Ok(Some(_)) = next(state, &mut payload).await {}
}

/// The next piece of the body, `None` at its end.
async fn next(state: &State, payload: &mut web::Payload) -> Result<Option<web::Bytes>> {
    match tokio::time::timeout(state.options.body_timeout, payload.next()).await {
        Err(_) => Err(Error::Timeout("the body stopped arriving".into())),
        Ok(None) => Ok(None),
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(error))) => Err(Error::InvalidInput(format!("the body could not be read: {error}"))),
    }
}

/// Takes a body apart into lines, within the bounds of the server.
struct Splitter {
    rest: Vec<u8>,
    /// The next item's.
    index: u64,
    total: usize,
    max_line: usize,
    max_total: usize,
    /// What ends the reading.
    over: Option<Error>,
}

impl Splitter {
    fn new(state: &State) -> Self {
        let (max_line, max_total) = (state.options.max_body_bytes, state.options.max_upload_bytes);
        Self { rest: Vec::new(), index: 0, total: 0, max_line, max_total, over: None }
    }

    /// The items that a piece completes, with the bytes of their lines; the last one at the end of the body.
    fn take(&mut self, piece: Option<&[u8]>) -> Vec<(usize, Item)> {
        let mut found = Vec::new();
        self.total += piece.map_or(0, <[u8]>::len);
        if self.total > self.max_total {
            self.over = Some(too_large(self.max_total));
            return found;
        }
        let mut left = piece.unwrap_or(b"\n");
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&left[..end]);
            left = &left[end + 1..];
            let line = std::mem::take(&mut self.rest);
            if !line.iter().all(u8::is_ascii_whitespace) {
                found.push((line.len(), item(self.index, &line)));
                self.index += 1;
            }
        }
        self.rest.extend_from_slice(left);
        if self.rest.len() > self.max_line {
            let mib = self.max_line >> 20;
            self.over =
                Some(Error::TooLarge(format!("the line is longer than {mib} MiB, the rest is not read")));
        }
        found
    }
}

fn too_large(limit: usize) -> Error {
    Error::TooLarge(format!("the body is larger than {} MiB; send the rest in another", limit >> 20))
}

/// Writes a group and tells what came of each point; returns what no other point would survive.
async fn write(
    state: &State,
    name: &CollectionName,
    group: Vec<(u64, Draft)>,
    cancel: &Cancel,
    tell: &mut (dyn FnMut(ImportLine) + Send),
) -> Option<Error> {
    let named: Vec<(u64, PointId)> = group.iter().map(|(index, draft)| (*index, draft.id)).collect();
    let drafts = group.into_iter().map(|(_, draft)| draft).collect();
    let (mut failed, fatal): (BTreeMap<usize, Error>, _) =
        match state.engine.import(name, drafts, cancel).await {
            Ok(failed) => (failed, None),
            Err(error) => (BTreeMap::new(), Some(error)),
        };
    for (place, (index, id)) in named.into_iter().enumerate() {
        let error = failed.remove(&place).or_else(|| fatal.clone());
        tell(match error {
            Some(error) => refused(ItemFailure { index, id: Some(id), error: error.to_string() }),
            None => ImportLine { index, id: Some(id), status: "ok", error: None },
        });
    }
    fatal
}

/// Puts the body into a file and starts a task that reads it.
async fn in_background(
    state: &web::Data<State>,
    name: CollectionName,
    mut payload: web::Payload,
) -> Result<TaskOut> {
    let spool = Incoming::new(state)?;
    let mut file = BufWriter::new(File::create_new(&spool.path)?);
    let (mut total, mut looked, mut lines, mut is_blank) = (0, 0, 0, true);
    while let Some(piece) = next(state, &mut payload).await? {
        total += piece.len();
        if total > state.options.max_upload_bytes {
            return Err(too_large(state.options.max_upload_bytes));
        }
        for byte in &piece {
            match byte {
                b'\n' => {
                    lines += u64::from(!is_blank);
                    is_blank = true;
                }
                byte => is_blank &= byte.is_ascii_whitespace(),
            }
        }
        let written = web::block(move || file.write_all(&piece).map(|()| file)).await;
        file = written.map_err(|error| Error::Internal(format!("writing a body: {error}")))??;
        if total - looked >= LOOK_EVERY {
            looked = total;
            state.engine.check_room(0)?;
        }
    }
    lines += u64::from(!is_blank);
    if lines == 0 {
        return Err(Error::Validation("the body holds no points, send at least one line".into()));
    }
    let written = web::block(move || file.flush()).await;
    written.map_err(|error| Error::Internal(format!("writing a body: {error}")))??;
    let (background, target) = (state.clone(), name.clone());
    let work = move |progress| from_file(background, target, spool, progress);
    state.engine.tasks().start(TaskKind::Import, Some(name), Some(lines), work).map(TaskOut::from)
}

async fn from_file(
    state: web::Data<State>,
    name: CollectionName,
    spool: Incoming,
    progress: Progress,
) -> Result<serde_json::Value> {
    let max_line = state.options.max_body_bytes as u64;
    let mut reader = BufReader::new(File::open(&spool.path)?);
    let (mut index, mut imported, mut failed) = (0, 0_u64, 0_u64);
    let cancel = progress.cancel();
    loop {
        cancel.check()?;
        let read = move || group(&mut reader, index, max_line).map(|group| (reader, group));
        let read = tokio::task::spawn_blocking(read).await;
        let (again, items) = read.map_err(|error| Error::Internal(format!("reading a body: {error}")))??;
        reader = again;
        if items.is_empty() {
            return Ok(json!({"imported": imported, "failed": failed}));
        }
        index += items.len() as u64;
        let mut drafts = Vec::new();
        for item in items {
            match item {
                Item::Good(index, draft) => drafts.push((index, draft)),
                Item::Bad(failure) => {
                    failed += 1;
                    progress.fail(failure);
                    progress.advance(1);
                }
            }
        }
        let mut told = Vec::new();
        let fatal = write(&state, &name, drafts, &cancel, &mut |line| told.push(line)).await;
        // Of a group that was cancelled the points are neither.
        cancel.check()?;
        for ImportLine { index, id, error, .. } in told {
            match error {
                None => imported += 1,
                Some(error) => {
                    failed += 1;
                    progress.fail(ItemFailure { index, id, error });
                }
            }
            progress.advance(1);
        }
        if let Some(error) = fatal {
            return Err(error);
        }
    }
}

/// The next items of a file, none at its end.
fn group(reader: &mut BufReader<File>, start: u64, max_line: u64) -> Result<Vec<Item>> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    let mut line = Vec::new();
    while items.len() < GROUP_POINTS && bytes < GROUP_BYTES {
        line.clear();
        if reader.by_ref().take(max_line + 1).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let is_long = line.len() as u64 > max_line && line.last() != Some(&b'\n');
        let index = start + items.len() as u64;
        if is_long {
            reader.skip_until(b'\n')?;
            let error = format!("Payload too large: the line is longer than {} MiB", max_line >> 20);
            items.push(Item::Bad(ItemFailure { index, id: None, error }));
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            bytes += line.len();
            items.push(item(index, &line));
        }
    }
    Ok(items)
}
