//! Tasks on the wire.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answers::PointIdOut;
use crate::engine::{ItemFailure, Task, TaskState};
use crate::types::PointId;

/// A task as it is at the moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskOut {
    /// A UUID.
    pub id: String,
    /// `import`, `adapt`, `calibrate`, `whiten`, `snapshot` or `recover`.
    kind: &'static str,
    /// The collection; none where it is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    /// `queued`, `running`, `cancelling`, and then `done`, `failed` or `cancelled`.
    state: &'static str,
    /// When it was asked for, RFC 3339, UTC.
    created: String,
    /// When its turn came.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    /// Items, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Items that are done, well or not.
    done: u64,
    /// Items among them that failed.
    failed: u64,
    /// Items a second since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// Seconds that the rest will take at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<f64>,
    /// The first 1,000 items that failed.
    failures: Vec<ItemFailureOut>,
    /// What the call would have answered; once it is `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// Why it `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The status that the call would have been answered with, once it `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_status: Option<u16>,
}

/// An item of an import that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemFailureOut {
    /// Its place among the items, from 0.
    index: u64,
    /// Its id, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PointIdOut>)]
    id: Option<PointId>,
    /// Why.
    error: String,
}

/// All tasks that are known.
#[derive(Debug, Serialize, ToSchema)]
pub struct TasksOut {
    /// Newest first.
    pub tasks: Vec<TaskOut>,
}

impl From<ItemFailure> for ItemFailureOut {
    fn from(ItemFailure { index, id, error }: ItemFailure) -> Self {
        Self { index, id, error }
    }
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default()
}

impl From<Task> for TaskOut {
    fn from(task: Task) -> Self {
        let rate = (task.done > 0 && task.seconds > 0.0).then(|| task.done as f64 / task.seconds);
        let is_running = matches!(task.state, TaskState::Running | TaskState::Cancelling);
        let left = task.total.map(|total| total.saturating_sub(task.done) as f64).filter(|_| is_running);
        let state = task.state.name();
        let (result, error) = match task.state {
            TaskState::Done(result) => (Some(result), None),
            TaskState::Failed(error) => (None, Some(error)),
            _ => (None, None),
        };
        Self {
            id: task.id.to_string(),
            kind: task.kind.name(),
            collection: task.collection.map(|name| name.to_string()),
            state,
            created: time(task.created),
            started: task.started.map(time),
            finished: task.finished.map(time),
            total: task.total,
            done: task.done,
            failed: task.failed,
            rate,
            eta: left.zip(rate).map(|(left, rate)| left / rate),
            failures: task.failures.into_iter().map(ItemFailureOut::from).collect(),
            result,
            error_status: error.as_ref().map(crate::error::Error::code),
            error: error.map(|error| error.to_string()),
        }
    }
}
