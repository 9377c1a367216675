//! Runs batches on a device and goes on where it fails: out of memory halves the batch, anything else, and
//! memory that does not suffice for one item, moves the work to the CPU, once and for good.
//!
//! Invariant: what is asked for is answered whole, in order, or with the error that stands in the way; each
//! step back is said in one line of the log.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::towers::DEVICE_FAILED;
use crate::error::{Error, Result};

/// How the same is run on the CPU.
pub(super) type Again<T> = Box<dyn FnOnce() -> Result<T> + Send>;

/// What runs batches; `T` are the towers.
pub(super) struct Runner<T> {
    towers: T,
    /// Most items of a run, as far as memory has shown.
    most: usize,
    /// Where the device is not the CPU and has not failed yet.
    again: Option<Again<T>>,
    fallen: Arc<AtomicBool>,
}

/// Why a run on a device came to nothing.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Memory,
    Other,
}

impl<T> Runner<T> {
    /// `again` makes the same on the CPU, where that is another device; `fallen` is set when it had to.
    pub(super) fn new(towers: T, again: Option<Again<T>>, fallen: Arc<AtomicBool>) -> Self {
        Self { towers, most: usize::MAX, again, fallen }
    }

    /// The vectors of `count` items; `work` makes those of a range of them.
    ///
    /// # Errors
    /// Those of `work` that are not the device's, and the device's where there is no other.
    pub(super) fn run(
        &mut self,
        count: usize,
        work: impl Fn(&T, Range<usize>) -> Result<Vec<Vec<f32>>>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(count);
        while vectors.len() < count {
            let at = vectors.len();
            let until = count.min(at.saturating_add(self.most));
            let found = catch_unwind(AssertUnwindSafe(|| work(&self.towers, at..until)));
            match found {
                Ok(Ok(found)) if found.len() == until - at => vectors.extend(found),
                Ok(Ok(_)) => return Err(Error::Internal("the model lost an item of the batch".into())),
                Ok(Err(error)) => self.step_back(error, until - at)?,
                Err(_) => {
                    // On a GPU this is how a driver's library that lacks something ends.
                    let text = "the model panicked on this batch; details are in the log";
                    let prefix = if self.again.is_some() { DEVICE_FAILED } else { "" };
                    self.step_back(Error::Internal(format!("{prefix}{text}")), until - at)?;
                }
            }
        }
        Ok(vectors)
    }

    /// Less at a time, or the CPU; the error where neither helps.
    fn step_back(&mut self, error: Error, items: usize) -> Result<()> {
        let Some(failure) = failure(&error).filter(|_| self.again.is_some()) else { return Err(error) };
        if failure == Failure::Memory && items > 1 {
            self.most = items / 2;
            tracing::warn!(
                "the model's device has no memory for {items} at a time; going on with {}",
                self.most
            );
            return Ok(());
        }
        let Some(again) = self.again.take() else { return Err(error) };
        tracing::warn!("{error}; going on with the CPU");
        self.towers = again()?;
        self.most = usize::MAX;
        self.fallen.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// What a device's error says; `None` where it is another's.
fn failure(error: &Error) -> Option<Failure> {
    let Error::Internal(text) = error else { return None };
    let text = text.strip_prefix(DEVICE_FAILED)?.to_lowercase();
    let of_memory = ["out of memory", "out_of_memory", "outofmemory"];
    Some(if of_memory.iter().any(|words| text.contains(words)) { Failure::Memory } else { Failure::Other })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn device(text: &str) -> Error {
        Error::Internal(format!("{DEVICE_FAILED}{text}"))
    }

    /// Towers that are a name.
    fn runner(again: Option<Again<&'static str>>) -> (Runner<&'static str>, Arc<AtomicBool>) {
        let fallen = Arc::new(AtomicBool::new(false));
        (Runner::new("gpu", again, fallen.clone()), fallen)
    }

    fn numbers(range: Range<usize>) -> Vec<Vec<f32>> {
        range.map(|at| vec![at as f32]).collect()
    }

    const OUT: &str = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";

    #[test]
    fn out_of_memory_halves_the_batch_until_it_fits_and_remembers() {
        let (mut runner, fallen) = runner(Some(Box::new(|| panic!("not needed"))));
        let runs = RefCell::new(Vec::new());
        let work = |_: &&str, range: Range<usize>| {
            runs.borrow_mut().push(range.len());
            if range.len() > 3 { Err(device(OUT)) } else { Ok(numbers(range)) }
        };
        assert_eq!(runner.run(10, work).unwrap(), numbers(0..10));
        assert_eq!(*runs.borrow(), [10, 5, 2, 2, 2, 2, 2]);
        runs.borrow_mut().clear();
        assert_eq!(runner.run(3, work).unwrap(), numbers(0..3));
        assert_eq!(*runs.borrow(), [2, 1]);
        assert!(!fallen.load(Ordering::Relaxed));
    }

    #[test]
    fn a_failing_device_a_panic_and_one_item_too_many_move_to_the_cpu_for_good() {
        for kind in 0..3 {
            let (mut runner, fallen) = runner(Some(Box::new(|| Ok("cpu"))));
            let work = |on: &&str, range: Range<usize>| match (*on, kind) {
                ("gpu", 0) => Err(device("DriverError(CUDA_ERROR_ECC_UNCORRECTABLE)")),
                ("gpu", 1) => panic!("a symbol is missing"),
                ("gpu", _) => Err(device("out of memory")),
                _ => Ok(numbers(range)),
            };
            assert_eq!(runner.run(5, work).unwrap(), numbers(0..5), "{kind}");
            assert!(fallen.load(Ordering::Relaxed));
            let again = runner.run(2, |on, range| if *on == "cpu" { Ok(numbers(range)) } else { panic!() });
            assert_eq!(again.unwrap(), numbers(0..2));
        }
    }

    #[test]
    fn errors_that_are_not_the_devices_and_those_of_the_cpu_are_answered() {
        let (mut on_gpu, fallen) = runner(Some(Box::new(|| panic!("not needed"))));
        let error = on_gpu.run(2, |_, _| Err(Error::Internal("a vector without direction".into())));
        assert!(error.unwrap_err().to_string().contains("direction"));
        assert!(!fallen.load(Ordering::Relaxed));
        let (mut on_cpu, _) = runner(None);
        assert!(on_cpu.run(2, |_, _| Err(device(OUT))).unwrap_err().to_string().contains("memory"));
        assert!(on_cpu.run(2, |_, _| panic!("oh")).unwrap_err().to_string().contains("panicked"));
        assert!(on_cpu.run(2, |_, _| Ok(vec![vec![1.0]])).unwrap_err().to_string().contains("lost"));
        // A CPU that cannot be had either.
        let (mut neither, _) = runner(Some(Box::new(|| Err(Error::Model("weights: gone".into())))));
        assert!(neither.run(1, |_, _| Err(device("dead"))).unwrap_err().to_string().contains("gone"));
    }
}
