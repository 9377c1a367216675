//! Waiting for a server that is busy or away: 429 is honoured with its `Retry-After`, a lost
//! connection is tried again for a while, everything else is the caller's. Stops at once when asked to.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::client::{Refused, Unreachable};

/// How long a busy server is waited for, in one call.
const BUSY_FOR: Duration = Duration::from_secs(900);
/// How long one that cannot be reached is waited for: a restart takes less.
const AWAY_FOR: Duration = Duration::from_secs(20);
/// First wait where the server names none; it doubles.
const FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(30);

/// Calls until it succeeds, or fails for good.
///
/// # Errors
/// The last error.
pub fn patiently<T>(stop: &AtomicBool, mut call: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (mut began_away, began) = (None, Instant::now());
    let mut wait = FIRST;
    loop {
        let error = match call() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = if let Some(Refused { status: 429, retry_after, .. }) = error.downcast_ref::<Refused>() {
            began_away = None;
            (began.elapsed() < BUSY_FOR).then(|| retry_after.unwrap_or(wait))
        } else if error.downcast_ref::<Unreachable>().is_some() {
            let since = *began_away.get_or_insert_with(Instant::now);
            (since.elapsed() < AWAY_FOR).then_some(wait)
        } else {
            None
        };
        let Some(pause) = pause else { return Err(error) };
        let until = Instant::now() + pause.min(LONGEST);
        while Instant::now() < until {
            if stop.load(Relaxed) {
                return Err(error);
            }
            std::thread::sleep(
                until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)),
            );
        }
        wait = (wait * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<Duration>) -> anyhow::Error {
        Refused { status: 429, text: "busy".into(), retry_after }.into()
    }

    #[test]
    fn a_busy_server_is_asked_again_when_it_said_and_not_before() {
        let (mut calls, began) = (0, Instant::now());
        let done = patiently(&AtomicBool::new(false), || {
            calls += 1;
            if calls < 3 { Err(busy(Some(Duration::from_millis(300)))) } else { Ok(calls) }
        });
        assert_eq!(done.unwrap(), 3);
        assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
    }

    #[test]
    fn other_refusals_and_a_stop_are_not_waited_for() {
        let mut calls = 0;
        let refused = patiently(&AtomicBool::new(false), || {
            calls += 1;
            Err::<(), _>(Refused { status: 400, text: "no".into(), retry_after: None }.into())
        });
        assert!(refused.is_err() && calls == 1);
        let stopped = patiently(&AtomicBool::new(true), || Err::<(), _>(busy(Some(Duration::from_secs(60)))));
        assert!(stopped.is_err());
    }
}
