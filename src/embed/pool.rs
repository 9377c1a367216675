//! The threads that decode pictures, bounded in number and in bytes of pixels: a task says what it will
//! hold and waits until that much is free; one that needs more than all runs alone. Two lanes in turn,
//! so that a picture of a query waits for at most one of a bulk ingest.
//!
//! Invariant: what a task said it holds is given back when it ends, also by a panic; a task whose caller
//! has gone takes nothing.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Lane;
use crate::error::{Error, Result};

/// Work for a thread of the pool.
pub(super) struct Task {
    /// Bytes that it will hold at most.
    pub bytes: u64,
    /// Whether nobody waits for it any more.
    pub abandoned: Box<dyn Fn() -> bool + Send>,
    /// Is called in any case: it finds out itself that nobody waits.
    pub run: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct State {
    /// By [`Lane`].
    waiting: [VecDeque<Task>; 2],
    /// The lane that goes first if both wait.
    next: usize,
    /// Held by the tasks that run.
    bytes: u64,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    budget: u64,
}

/// The threads; they end when this is dropped.
pub(super) struct Pool(Arc<Shared>);

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.wake.notify_all();
    }
}

impl Pool {
    /// `threads` threads that hold at most `budget` bytes together.
    pub fn start(threads: usize, budget: u64) -> Result<Pool> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), budget: budget.max(1) });
        let pool = Pool(shared.clone()); // ends those that run if one cannot start
        for i in 0..threads {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("decode-{i}"))
                .spawn(move || shared.work())
                .map_err(|error| Error::Internal(format!("the decoder threads cannot start: {error}")))?;
        }
        Ok(pool)
    }

    /// Has a task run when its turn comes and its bytes are free.
    pub fn run(&self, lane: Lane, task: Task) {
        self.0.state.lock().waiting[lane as usize].push_back(task);
        self.0.wake.notify_all();
    }

    /// Bytes that running tasks hold.
    pub fn bytes(&self) -> u64 {
        self.0.state.lock().bytes
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return;
            }
            let Some((bytes, task)) = state.take(self.budget) else {
                self.wake.wait(&mut state);
                continue;
            };
            state.bytes += bytes;
            drop(state);
            if catch_unwind(AssertUnwindSafe(task.run)).is_err() {
                tracing::error!("a picture decoder panicked");
            }
            state = self.state.lock();
            state.bytes -= bytes;
            if bytes > 0 {
                self.wake.notify_all(); // one that waits for bytes may go now
            }
        }
    }
}

impl State {
    /// The next task and the bytes it holds; `None` if there is none, or none for which there is room.
    /// The first of a lane is not overtaken by smaller ones behind it, or it might wait for ever.
    fn take(&mut self, budget: u64) -> Option<(u64, Task)> {
        let lane = match self.waiting[self.next].is_empty() {
            true => 1 - self.next,
            false => self.next,
        };
        let first = self.waiting[lane].front()?;
        let bytes = if (first.abandoned)() { 0 } else { first.bytes };
        if bytes > 0 && self.bytes > 0 && self.bytes.saturating_add(bytes) > budget {
            return None;
        }
        self.next = 1 - lane;
        Some((bytes, self.waiting[lane].pop_front()?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn task(bytes: u64, run: impl FnOnce() + Send + 'static) -> Task {
        Task { bytes, abandoned: Box::new(|| false), run: Box::new(run) }
    }

    #[test]
    fn running_tasks_never_hold_more_than_the_budget_and_one_larger_than_it_runs_alone() {
        let pool = Pool::start(4, 100).unwrap();
        let (held, most, count) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let (send, done) = mpsc::channel();
        for bytes in [40, 60, 40, 1_000, 30, 80, 20, 500, 10] {
            let (held, most, count, send) = (held.clone(), most.clone(), count.clone(), send.clone());
            let run = move || {
                let all = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                let others = count.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(if bytes > 100 && others == 0 { 0 } else { all }, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                held.fetch_sub(bytes, Ordering::SeqCst);
                count.fetch_sub(1, Ordering::SeqCst);
                send.send(()).unwrap();
            };
            pool.run(Lane::Ingest, task(bytes, run));
        }
        (0..9).for_each(|_| done.recv_timeout(Duration::from_secs(10)).unwrap());
        assert!(most.load(Ordering::SeqCst) <= 100, "{most:?}");
    }

    #[test]
    fn a_query_waits_for_one_task_of_an_ingest_and_a_panic_gives_its_bytes_back() {
        let pool = Pool::start(1, 100).unwrap();
        let (send, order) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        pool.run(
            Lane::Ingest,
            task(100, move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
                panic!("on purpose");
            }),
        );
        running.recv_timeout(Duration::from_secs(10)).unwrap();
        for (lane, name) in
            [(Lane::Ingest, 'i'), (Lane::Ingest, 'i'), (Lane::Queries, 'q'), (Lane::Queries, 'q')]
        {
            let send = send.clone();
            pool.run(lane, task(100, move || send.send(name).unwrap()));
        }
        open.send(()).unwrap();
        let next = || order.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!([next(), next(), next(), next()], ['q', 'i', 'q', 'i']);
    }

    #[test]
    fn an_abandoned_task_waits_for_no_bytes() {
        let pool = Pool::start(2, 100).unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        pool.run(
            Lane::Ingest,
            task(100, move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
            }),
        );
        running.recv_timeout(Duration::from_secs(10)).unwrap();
        let (send, done) = mpsc::channel();
        let run = move || send.send(()).unwrap();
        pool.run(Lane::Queries, Task { abandoned: Box::new(|| true), ..task(100, run) });
        done.recv_timeout(Duration::from_secs(10)).unwrap();
        open.send(()).unwrap();
    }
}
