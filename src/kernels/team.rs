//! Threads that work through one computation together: each runs the same steps, a step's tasks are handed
//! out one by one, and none starts a step before all tasks of the one before are done. A thread that the
//! system keeps waiting is not waited for, unless it has a task.
//!
//! One run of a tower has some seventy steps of 20 to 500 microseconds; waking threads for each would cost
//! as much as a step. So the threads are woken once a run, and wait for each other turning on the spot for a
//! short time, after which they let others run.
//!
//! Invariant: a panic in one thread ends the others too, and the caller gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::laps::{self, Part};
use crate::error::{Error, Result};

/// Most threads of a pool: towers on the CPU gain little beyond, and each has scratch memory of its own.
pub const MAX_THREADS: usize = 64;
/// Turns on the spot before a waiting thread lets others run, about 20 microseconds.
const TURNS: u32 = 1000;

/// A fixed number of threads.
#[derive(Debug)]
pub struct Pool(ThreadPool);

impl Pool {
    /// `threads` is 1 to [`MAX_THREADS`]; 0 is as many as the machine has cores.
    ///
    /// # Errors
    /// `Internal` if the system refuses a thread.
    pub fn new(threads: usize) -> Result<Pool> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads }.min(MAX_THREADS);
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("tower-{i}"))
            .build()
            .map_err(|e| Error::Internal(format!("the threads of the towers cannot start: {e}")))?;
        Ok(Pool(pool))
    }

    /// How many.
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Work off a slice in chunks of `size`; the task gets a chunk's number.
    pub fn chunks<T: Send>(&self, slice: &mut [T], size: usize, task: impl Fn(usize, &mut [T]) + Sync) {
        self.0.install(|| slice.par_chunks_mut(size).enumerate().for_each(|(at, chunk)| task(at, chunk)));
    }

    /// Every thread runs `steps`, with the same calls of [`Team::each`] in the same order.
    pub fn run(&self, steps: impl Fn(&Team) + Sync) {
        let meeting = Meeting::default();
        self.0.broadcast(|context| {
            let (rank, threads) = (context.index(), context.num_threads());
            let team = Team { meeting: &meeting, rank, threads, step: Cell::new(0) };
            laps::turn_to(Part::Waiting);
            steps(&team);
            laps::end();
        });
    }
}

#[derive(Default)]
struct Meeting {
    /// The step that is worked on, times 2^32, plus the next of its tasks.
    next: AtomicU64,
    /// Tasks of the step that are done.
    done: AtomicUsize,
    /// A thread has panicked.
    broken: AtomicBool,
}

/// One thread's place among those of a run.
pub struct Team<'a> {
    meeting: &'a Meeting,
    rank: usize,
    threads: usize,
    /// The step that this thread has come to.
    step: Cell<u64>,
}

impl Team<'_> {
    /// Which thread this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Work off tasks 0 to `count`, below 2^32, with the others. Returns when all tasks are done, whoever did
    /// them: a thread that the system has kept waiting finds the step done and is waited for by nobody.
    pub fn each(&self, count: usize, mut task: impl FnMut(usize)) {
        let Meeting { next, done, .. } = self.meeting;
        let step = self.step.get();
        self.step.set(step + 1);
        // A step without tasks has one that does nothing, so that somebody ends it.
        let tasks = count.max(1) as u64;
        let mut seen = next.load(Ordering::Acquire);
        while seen >> 32 == step && seen & u64::from(u32::MAX) < tasks {
            // Acquire: what earlier steps wrote is seen by who takes a task of this one.
            match next.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire) {
                Err(now) => seen = now,
                Ok(_) => {
                    let at = (seen & u64::from(u32::MAX)) as usize;
                    if at < count {
                        task(at);
                    }
                    // The last one to be done has seen what the others wrote, and passes it on with the step.
                    if done.fetch_add(1, Ordering::AcqRel) as u64 + 1 == tasks {
                        done.store(0, Ordering::Relaxed);
                        next.store((step + 1) << 32, Ordering::Release);
                    }
                    seen = next.load(Ordering::Acquire);
                }
            }
        }
        laps::turn_to(Part::Waiting);
        self.wait(step);
    }

    fn wait(&self, step: u64) {
        let mut turns = 0u32;
        while self.meeting.next.load(Ordering::Acquire) >> 32 == step {
            if self.meeting.broken.load(Ordering::Relaxed) {
                std::panic::resume_unwind(Box::new("another thread of the tower panicked"));
            }
            turns = turns.saturating_add(1);
            if turns < TURNS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.meeting.broken.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_and_no_step_starts_before_the_last_has_ended() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            let done: Vec<AtomicUsize> = (0..300).map(|_| AtomicUsize::new(0)).collect();
            pool.run(|team| {
                for step in 0..300 {
                    let tasks = step % 7;
                    team.each(tasks, |_| {
                        let before = if step == 0 { 0 } else { (step - 1) % 7 };
                        assert!(step == 0 || done[step - 1].load(Ordering::Relaxed) == before);
                        done[step].fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            for (step, done) in done.iter().enumerate() {
                assert_eq!(done.load(Ordering::Relaxed), step % 7);
            }
        }
    }

    #[test]
    fn a_panic_of_one_thread_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3).unwrap();
        let run = || pool.run(|team| team.each(9, |task| assert_ne!(task, 4)));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        let sum = AtomicUsize::new(0);
        pool.run(|team| {
            team.each(9, |task| {
                sum.fetch_add(task, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 36);
    }
}
