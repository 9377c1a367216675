//! `/tasks`: long work that its caller does not wait for, and the choice of a call between the two.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use serde_json::Value;
use uuid::Uuid;

use super::answer::{Clock, Envelope, ErrorEnvelope, Failed};
use super::state::State;
use super::wire::task::{TaskOut, TasksOut};
use crate::engine::{Cancel, TaskKind};
use crate::error::{Error, Result};
use crate::types::CollectionName;

/// The tasks that are open, and those that were over within a day, at most 100; newest first. No task outlives
/// its server.
#[utoipa::path(get, operation_id = "list_tasks", path = "/tasks", tag = "tasks", responses((status = 200, body = Envelope<TasksOut>)))]
pub async fn list(clock: Clock, state: web::Data<State>) -> impl Responder {
    let tasks = || state.engine.tasks().list().into_iter().map(TaskOut::from).collect();
    clock.run(async { Ok(TasksOut { tasks: tasks() }) }).await
}

/// A task: how far it is, and what came of it.
#[utoipa::path(get, operation_id = "get_task", path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)),
    responses((status = 200, body = Envelope<TaskOut>), (status = 404, body = ErrorEnvelope)))]
pub async fn get(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { state.engine.tasks().get(id(&path)?).map(TaskOut::from) }).await
}

/// Cancels a task: one that waits at once, one that runs at its next step, `cancelling` until then. A cancelled
/// fit, snapshot or recovery has changed nothing; of an import stays what it counts as done. Where it is over
/// already the answer is 409.
#[utoipa::path(delete, operation_id = "cancel_task", path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)),
    responses((status = 200, body = Envelope<TaskOut>), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
pub async fn cancel(clock: Clock, state: web::Data<State>, path: web::Path<String>) -> impl Responder {
    clock.run(async { state.engine.tasks().cancel(id(&path)?).map(TaskOut::from) }).await
}

fn id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::InvalidInput(format!("id: `{text}` is no UUID, as tasks have")))
}

/// Whether a call asks not to be waited for, with `?async=true`.
///
/// # Errors
/// `InvalidInput` for another value than true and false.
pub fn is_asynchronous(query: &str) -> Result<bool> {
    let params = web::Query::<BTreeMap<String, String>>::from_query(query)
        .map_err(|error| Error::InvalidInput(format!("query string: {error}")))?;
    match params.get("async").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::InvalidInput(format!("async is `{other}`, expected true or false"))),
    }
}

/// Runs the work and answers it; with `?async=true` starts a task of it and answers that. A task waits where
/// the call would be told to come back.
pub async fn run<F>(
    clock: Clock,
    request: &HttpRequest,
    state: &web::Data<State>,
    what: (TaskKind, Option<CollectionName>),
    work: impl Fn(web::Data<State>, Cancel) -> F + Send + 'static,
) -> HttpResponse
where
    F: Future<Output = Result<Value>> + Send + 'static,
{
    match is_asynchronous(request.query_string()) {
        Err(error) => Failed(error).error_response(),
        Ok(false) => clock.run(work(state.clone(), Cancel::default())).await,
        Ok(true) => {
            let background = state.clone();
            let started = state.engine.tasks().start(what.0, what.1, None, move |progress| async move {
                let cancel = progress.cancel();
                loop {
                    cancel.check()?;
                    match work(background.clone(), cancel.clone()).await {
                        Err(error) if error.retry_after_secs().is_some() => {
                            let seconds = error.retry_after_secs().unwrap_or_default().min(2);
                            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                        }
                        ended => return ended,
                    }
                }
            });
            accepted(clock, started.map(TaskOut::from))
        }
    }
}

/// The answer where a task was started.
pub fn accepted(clock: Clock, started: Result<TaskOut>) -> HttpResponse {
    match started {
        Ok(task) => clock.accepted(&format!("/tasks/{}", task.id), task),
        Err(error) => Failed(error).error_response(),
    }
}
