//! Long work that answers later: started by a call that does not wait for it, looked at and cancelled under its
//! id. Invariants: so many run, so many wait, the next is told to come back; what is finished is kept for a
//! while and up to a count; no task outlives the process, so nothing here is on disk. Cancelling is asked for,
//! not forced: work looks at [`Cancel`] between steps and before what cannot be undone, so that a cancelled
//! task has changed nothing, or (an import) only what its counts say.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::types::{CollectionName, PointId};

/// Tasks that run at once.
pub const MAX_RUNNING: usize = 2;
/// Tasks that wait for their turn.
pub const MAX_WAITING: usize = 16;
/// Finished tasks that are kept.
pub const MAX_FINISHED: usize = 100;
/// How long a finished task is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Items that failed which a task names; more are only counted.
pub const MAX_FAILURES: usize = 1000;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Points into a collection.
    Import,
    /// A head is fitted.
    Adapt,
    /// Thresholds of a collection of signatures.
    Calibrate,
    /// A whitening is fitted.
    Whiten,
    /// A snapshot is made.
    Snapshot,
    /// A collection is brought back.
    Recover,
}

impl TaskKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Adapt => "adapt",
            Self::Calibrate => "calibrate",
            Self::Whiten => "whiten",
            Self::Snapshot => "snapshot",
            Self::Recover => "recover",
        }
    }
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It runs, and ends at the next step.
    Cancelling,
    /// It ended well, with this answer.
    Done(Value),
    /// It failed; items of an import that failed are not meant.
    Failed(Error),
    /// It ended before its end.
    Cancelled,
}

impl TaskState {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Cancelled)
    }
}

/// Asked to end; what looks at it ends at its next step.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// # Errors
    /// `Conflict` once it was asked to end.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Relaxed) { Err(Error::Conflict("the task was cancelled".into())) } else { Ok(()) }
    }
}

/// An item of a task that failed.
#[derive(Debug, Clone)]
pub struct ItemFailure {
    /// Its place among the items, from 0.
    pub index: u64,
    /// Its id, where it could be read.
    pub id: Option<PointId>,
    /// Why.
    pub error: String,
}

/// A task as it is at the moment.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: TaskKind,
    /// To which collection; none for all of them.
    pub collection: Option<CollectionName>,
    /// How far it is.
    pub state: TaskState,
    /// When it was started, run and over, seconds since 1970.
    pub created: i64,
    /// See `created`.
    pub started: Option<i64>,
    /// See `created`.
    pub finished: Option<i64>,
    /// Items, where they are counted.
    pub total: Option<u64>,
    /// Items that are done, well or not.
    pub done: u64,
    /// Items that failed.
    pub failed: u64,
    /// The first of those.
    pub failures: Vec<ItemFailure>,
    /// Seconds that it has run.
    pub seconds: f64,
}

/// What the work of a task tells of itself.
#[derive(Clone)]
pub struct Progress(Arc<Entry>);

impl Progress {
    /// Whether the work should end.
    pub fn cancel(&self) -> Cancel {
        self.0.cancel.clone()
    }

    /// So many more items are done, well or not.
    pub fn advance(&self, items: u64) {
        self.0.done.fetch_add(items, Relaxed);
    }

    /// An item failed; it is among those that are done.
    pub fn fail(&self, failure: ItemFailure) {
        self.0.failed.fetch_add(1, Relaxed);
        let mut failures = self.0.failures.lock();
        if failures.len() < MAX_FAILURES {
            failures.push(failure);
        }
    }
}

struct Entry {
    id: Uuid,
    kind: TaskKind,
    collection: Option<CollectionName>,
    total: Option<u64>,
    created: i64,
    cancel: Cancel,
    /// Wakes a task that waits for its turn when it is cancelled.
    wake: Notify,
    done: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<ItemFailure>>,
    life: Mutex<Life>,
}

struct Life {
    state: TaskState,
    started: Option<(i64, Instant)>,
    finished: Option<(i64, Instant)>,
}

/// All tasks of a server.
pub struct Tasks {
    /// Newest last.
    entries: Arc<Mutex<VecDeque<Arc<Entry>>>>,
    turns: Arc<Semaphore>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { entries: Arc::default(), turns: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Tasks {
    /// Starts `work` in the background, or lets it wait for its turn.
    ///
    /// # Errors
    /// `Overloaded` where too many wait already.
    pub fn start<F>(
        &self,
        kind: TaskKind,
        collection: Option<CollectionName>,
        total: Option<u64>,
        work: impl FnOnce(Progress) -> F,
    ) -> Result<Task>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let entry = Arc::new(Entry {
            id: Uuid::new_v4(),
            kind,
            collection,
            total,
            created: now(),
            cancel: Cancel::default(),
            wake: Notify::new(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failures: Mutex::default(),
            life: Mutex::new(Life { state: TaskState::Queued, started: None, finished: None }),
        });
        {
            let mut entries = self.entries.lock();
            let open = entries.iter().filter(|entry| !entry.life.lock().state.is_over()).count();
            if open >= MAX_RUNNING + MAX_WAITING {
                return Err(Error::Overloaded {
                    what: format!("{open} tasks are open"),
                    retry_after_secs: 5,
                });
            }
            forget(&mut entries);
            entries.push_back(Arc::clone(&entry));
        }
        let work = work(Progress(Arc::clone(&entry)));
        let (turns, view) = (Arc::clone(&self.turns), entry.view());
        tokio::spawn(run(entry, turns, work));
        Ok(view)
    }

    /// All that are known, newest first.
    pub fn list(&self) -> Vec<Task> {
        let mut entries = self.entries.lock();
        forget(&mut entries);
        entries.iter().rev().map(|entry| entry.view()).collect()
    }

    /// # Errors
    /// `NotFound` for an id that is not known any more.
    pub fn get(&self, id: Uuid) -> Result<Task> {
        self.find(id).map(|entry| entry.view())
    }

    /// Asks a task to end: one that waits ends at once, one that runs at its next step.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it is over.
    pub fn cancel(&self, id: Uuid) -> Result<Task> {
        let entry = self.find(id)?;
        {
            let mut life = entry.life.lock();
            match life.state {
                TaskState::Queued => life.end(TaskState::Cancelled),
                TaskState::Running | TaskState::Cancelling => life.state = TaskState::Cancelling,
                _ => {
                    let state = life.state.name();
                    return Err(Error::Conflict(format!(
                        "task {id} is {state}: there is nothing to cancel any more"
                    )));
                }
            }
            entry.cancel.0.store(true, Relaxed);
        }
        entry.wake.notify_one();
        Ok(entry.view())
    }

    /// Asks all of them to end, before the server does.
    pub fn cancel_all(&self) {
        for entry in self.entries.lock().iter() {
            entry.cancel.0.store(true, Relaxed);
            entry.wake.notify_one();
        }
    }

    fn find(&self, id: Uuid) -> Result<Arc<Entry>> {
        let found = self.entries.lock().iter().find(|entry| entry.id == id).cloned();
        found.ok_or_else(|| {
            Error::NotFound(format!(
                "task {id}; tasks end with their server, and finished ones are kept for a day, at most {MAX_FINISHED}"
            ))
        })
    }
}

/// Lets go of what was finished long ago, or is too much.
fn forget(entries: &mut VecDeque<Arc<Entry>>) {
    let finished = |entry: &Entry| entry.life.lock().finished.map(|(_, at)| at);
    entries.retain(|entry| finished(entry).is_none_or(|at| at.elapsed() < KEPT_FOR));
    let mut over = entries.iter().filter(|entry| finished(entry).is_some()).count();
    entries.retain(|entry| {
        let is_kept = over <= MAX_FINISHED || finished(entry).is_none();
        over -= usize::from(!is_kept);
        is_kept
    });
}

async fn run(
    entry: Arc<Entry>,
    turns: Arc<Semaphore>,
    work: impl Future<Output = Result<Value>> + Send + 'static,
) {
    let turn = tokio::select! {
        turn = turns.acquire() => turn,
        () = entry.wake.notified() => return,
    };
    {
        let mut life = entry.life.lock();
        if life.state != TaskState::Queued {
            return;
        }
        life.state = TaskState::Running;
        life.started = Some((now(), Instant::now()));
    }
    // A panic ends the work, and is not the end of what stands here.
    let ended = tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, task = %entry.id, "a task panicked");
        Err(Error::Internal("the task failed; the server's log says why".into()))
    });
    drop(turn);
    let mut life = entry.life.lock();
    life.end(match ended {
        Ok(result) => TaskState::Done(result),
        Err(_) if entry.cancel.check().is_err() => TaskState::Cancelled,
        Err(error) => {
            tracing::warn!(task = %entry.id, kind = entry.kind.name(), %error, "a task failed");
            TaskState::Failed(error)
        }
    });
}

impl Life {
    fn end(&mut self, state: TaskState) {
        self.state = state;
        self.finished = Some((now(), Instant::now()));
    }
}

impl Entry {
    fn view(&self) -> Task {
        let life = self.life.lock();
        let until = life.finished.map_or_else(Instant::now, |(_, at)| at);
        Task {
            id: self.id,
            kind: self.kind,
            collection: self.collection.clone(),
            state: life.state.clone(),
            created: self.created,
            started: life.started.map(|(at, _)| at),
            finished: life.finished.map(|(at, _)| at),
            total: self.total,
            done: self.done.load(Relaxed),
            failed: self.failed.load(Relaxed),
            failures: self.failures.lock().clone(),
            seconds: life.started.map_or(0.0, |(_, at)| until.duration_since(at).as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn over(tasks: &Tasks, id: Uuid) -> Task {
        loop {
            let task = tasks.get(id).unwrap();
            if task.state.is_over() {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Runs until it is cancelled.
    fn endless(tasks: &Tasks) -> Result<Task> {
        tasks.start(TaskKind::Adapt, None, None, |progress| async move {
            loop {
                progress.cancel().check()?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_told_to_come_back() {
        let tasks = Tasks::default();
        let all: Vec<Task> = (0..MAX_RUNNING + MAX_WAITING).map(|_| endless(&tasks).unwrap()).collect();
        assert_eq!(endless(&tasks).unwrap_err().code(), 429);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let count = |state: &str| tasks.list().iter().filter(|task| task.state.name() == state).count();
        assert_eq!((count("running"), count("queued")), (MAX_RUNNING, MAX_WAITING));
        // One that waits ends at once and never runs.
        let waiting = tasks.cancel(all.last().unwrap().id).unwrap();
        assert_eq!((waiting.state, waiting.started), (TaskState::Cancelled, None));
        endless(&tasks).unwrap();
        tasks.list().iter().for_each(|task| drop(tasks.cancel(task.id)));
        for task in all {
            assert_eq!(over(&tasks, task.id).await.state, TaskState::Cancelled);
            assert_eq!(tasks.cancel(task.id).unwrap_err().code(), 409);
        }
        assert_eq!(tasks.turns.available_permits(), MAX_RUNNING);
    }

    #[tokio::test]
    async fn what_came_of_a_task_is_kept_up_to_a_count() {
        let tasks = Tasks::default();
        let mut last = None;
        for number in 0..MAX_FINISHED + 5 {
            let started = tasks.start(TaskKind::Import, None, Some(2), move |progress| async move {
                progress.advance(2);
                progress.fail(ItemFailure { index: 1, id: None, error: "on purpose".into() });
                if number % 2 == 0 { Ok(number.into()) } else { Err(Error::Validation("odd".into())) }
            });
            let task = over(&tasks, started.unwrap().id).await;
            assert_eq!((task.done, task.failed, task.failures.len()), (2, 1, 1));
            assert!(matches!(&task.state, TaskState::Done(value) if *value == number) == (number % 2 == 0));
            last = Some(task.id);
        }
        let kept = tasks.list();
        assert!(kept.len() <= MAX_FINISHED + 1, "{}", kept.len());
        assert_eq!(Some(kept[0].id), last);
    }
}
