//! When changes become visible: a sequence lock between the writer and those who read several
//! points. A reader reads without a lock, and again where a change of several points came
//! between; where that happens twice it holds the writer off for the time of one read.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use parking_lot::{RwLock, RwLockWriteGuard};

/// How often a read is tried before it holds the writer off.
const TRIES: usize = 2;

/// The lock; uneven while a change becomes visible.
#[derive(Debug, Default)]
pub struct Visible {
    turns: AtomicU64,
    lock: RwLock<()>,
}

/// Held by the writer from the first to the last thing that it makes visible of a group.
pub struct Changing<'a> {
    visible: &'a Visible,
    _alone: RwLockWriteGuard<'a, ()>,
}

impl Visible {
    /// What becomes visible until the guard is dropped, does so at once for whole reads.
    pub fn change(&self) -> Changing<'_> {
        let alone = self.lock.write();
        self.turns.fetch_add(1, Ordering::AcqRel);
        Changing { visible: self, _alone: alone }
    }

    /// Reads so that no change comes between.
    pub fn read<T>(&self, mut read: impl FnMut() -> T) -> T {
        for _ in 0..TRIES {
            let before = self.turns.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let found = read();
                fence(Ordering::Acquire);
                if self.turns.load(Ordering::Acquire) == before {
                    return found;
                }
            }
        }
        let _writer_waits = self.lock.read();
        read()
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.visible.turns.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_read_never_sees_half_of_a_change() {
        let visible = Visible::default();
        let values = [AtomicU64::new(0), AtomicU64::new(0)];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 1..20_000 {
                    let _changing = visible.change();
                    values[0].store(value, Ordering::Relaxed);
                    std::hint::spin_loop();
                    values[1].store(value, Ordering::Relaxed);
                }
            });
            for _ in 0..20_000 {
                let (a, b) =
                    visible.read(|| (values[0].load(Ordering::Relaxed), values[1].load(Ordering::Relaxed)));
                assert_eq!(a, b);
            }
        });
    }
}
