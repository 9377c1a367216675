//! Where the time of the towers' threads goes: each says what it turns to, and while a measurement is on, the time since
//! then is counted for what it did before. While none is on it costs a look at a flag.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Matrix products, with what is done to their sums on the way out.
    Products,
    /// Attention.
    Attention,
    /// Normalising rows, and preparing them for a product.
    Rows,
    /// Waiting for the other threads, and what is none of the others.
    Waiting,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Products, Part::Attention, Part::Rows, Part::Waiting];

    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Part::Products => "products",
            Part::Attention => "attention",
            Part::Rows => "rows",
            Part::Waiting => "waiting",
        }
    }
}

static ON: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];

thread_local! {
    static NOW: Cell<Option<(Part, Instant)>> = const { Cell::new(None) };
}

/// Counts from now on, for all threads of the process.
pub fn start() {
    NANOSECONDS.iter().for_each(|part| part.store(0, Ordering::Relaxed));
    ON.store(true, Ordering::Relaxed);
}

/// Ends it: the time of all threads together, in the order of [`Part::ALL`]. No tower may be at work.
pub fn stop() -> [Duration; Part::ALL.len()] {
    ON.store(false, Ordering::Relaxed);
    std::array::from_fn(|at| Duration::from_nanos(NANOSECONDS[at].load(Ordering::Relaxed)))
}

/// This thread turns to something else.
#[inline(always)]
pub(super) fn turn_to(part: Part) {
    if ON.load(Ordering::Relaxed) {
        count(Some(part));
    }
}

/// This thread has ended its run.
#[inline(always)]
pub(super) fn end() {
    if ON.load(Ordering::Relaxed) {
        count(None);
    }
}

#[cold]
fn count(next: Option<Part>) {
    let now = Instant::now();
    if let Some((part, since)) = NOW.replace(next.map(|part| (part, now))) {
        let passed = now.duration_since(since).as_nanos() as u64; // of half a thousand years
        NANOSECONDS[part as usize].fetch_add(passed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Activation, Dense, Isa, Linear, Pool, Precision, Scratch, Then};

    #[test]
    fn a_product_counts_as_rows_and_products_while_it_is_measured_and_not_afterwards() {
        let (pool, mut scratch) = (Pool::new(2).unwrap(), Scratch::default());
        let weight = vec![0.5; 96 * 64];
        let linear =
            Linear::new(Isa::best(), Precision::F32, &[Dense { weight: &weight, bias: &[], inputs: 64 }]);
        let (input, mut out) = (vec![1.0; 200 * 64], vec![0.0; 200 * 96]);
        let then = Then { activation: Activation::None, add: false };
        start();
        linear.forward(&pool, &mut scratch, &input, then, &mut out);
        let measured = stop();
        assert!(measured[Part::Products as usize] > Duration::ZERO, "{measured:?}");
        assert!(measured[Part::Rows as usize] > Duration::ZERO, "{measured:?}");
        linear.forward(&pool, &mut scratch, &input, then, &mut out);
        assert_eq!(stop(), measured);
    }
}
