//! The bound on blocking calls: so many run, so many wait, the next is told to come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// How many blocking calls there may be.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Calls that run at once.
    pub parallel: usize,
    /// Calls that wait for their turn.
    pub waiting: usize,
}

pub(super) struct Calls {
    turns: Semaphore,
    waiting: AtomicUsize,
    limits: CallLimits,
}

/// Counts a waiting call for as long as it waits, also when its client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Calls {
    pub(super) fn new(limits: CallLimits) -> Self {
        Self { turns: Semaphore::new(limits.parallel), waiting: AtomicUsize::new(0), limits }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let already = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if already >= self.limits.waiting {
            return Err(Error::Overloaded {
                what: format!("{already} calls are waiting"),
                retry_after_secs: 1,
            });
        }
        let turn =
            self.turns.acquire().await.map_err(|_| Error::Unavailable("the server is stopping".into()))?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(call).await;
        drop(turn);
        done.map_err(|error| {
            tracing::error!(%error, "a call into a collection panicked");
            Error::Internal("the call failed; the server's log says why".into())
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_call_too_many_is_told_to_come_back() {
        let calls = std::sync::Arc::new(Calls::new(CallLimits { parallel: 1, waiting: 1 }));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let first = {
            let calls = calls.clone();
            tokio::spawn(async move {
                calls.run(move || held.recv().map_err(|e| Error::Internal(e.to_string()))).await
            })
        };
        while calls.turns.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = {
            let calls = calls.clone();
            tokio::spawn(async move { calls.run(|| Ok(2)).await })
        };
        while calls.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let third = calls.run(|| Ok(3)).await.unwrap_err();
        assert_eq!(third.code(), 429);
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_in_a_call_is_an_error_and_gives_its_turn_back() {
        let calls = Calls::new(CallLimits { parallel: 1, waiting: 1 });
        for _ in 0..3 {
            let error = calls.run(|| -> Result<()> { panic!("on purpose") }).await.unwrap_err();
            assert_eq!(error.code(), 500);
        }
        assert_eq!(calls.run(|| Ok(1)).await.unwrap(), 1);
    }
}
