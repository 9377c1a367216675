//! Memory of the kernels: numbers that start at cache lines and lie on huge pages where that is worth it,
//! and views of them that several threads write at once, each its own part.
//!
//! Invariant: a buffer only grows, so that a second run of the same size allocates nothing.

use std::marker::PhantomData;
use std::ops::Range;

/// A cache line; also one row of a matrix tile.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([u8; LINE]);

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Numbers of which every bit pattern is one.
pub(super) trait Number: Copy + Send + Sync + 'static {}
impl Number for u8 {}
impl Number for i8 {}
impl Number for u16 {}
impl Number for u32 {}
impl Number for f32 {}

/// Zeros at first, aligned to cache lines.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<Line>);

impl Buffer {
    /// Room for `bytes`, all zero.
    pub fn zeroed(bytes: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.grow(bytes);
        buffer
    }

    /// Have room for at least `bytes`. What was in it is lost where it has to grow.
    pub fn grow(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(LINE);
        if lines > self.0.len() {
            self.0 = Vec::new(); // its pages go back before the new ones are asked for
            let mut vec = Vec::with_capacity(lines);
            advise_huge_pages(&mut vec);
            vec.resize(lines, Line([0; LINE]));
            self.0 = vec;
        }
    }

    /// All of it as numbers.
    pub fn as_slice<T: Number>(&self) -> &[T] {
        // SAFETY: the lines are initialised, live as long as the borrow, are aligned for every `Number`,
        // and a whole number of `T` fits a line; any bytes are a valid `T`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * (LINE / size_of::<T>())) }
    }

    /// As [`Buffer::as_slice`], to write.
    pub fn as_mut_slice<T: Number>(&mut self) -> &mut [T] {
        // SAFETY: as above; the borrow is exclusive, and any `T` leaves valid bytes behind.
        unsafe {
            std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * (LINE / size_of::<T>()))
        }
    }

    /// The first `count` numbers for several threads.
    pub fn share<T: Number>(&mut self, count: usize) -> Cells<'_, T> {
        Cells::new(&mut self.as_mut_slice()[..count])
    }
}

/// Ask for pages of 2 MiB: weights are streamed at every run, and with small pages each 4 KiB misses the
/// table of pages.
fn advise_huge_pages(vec: &mut Vec<Line>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        /// Below it small pages do as well.
        const WORTH_IT: usize = 1 << 20;
        let spare = vec.spare_capacity_mut();
        let bytes = size_of_val(spare);
        if bytes >= WORTH_IT {
            let start = spare.as_mut_ptr().cast::<u8>();
            let before = start.align_offset(PAGE);
            let length = (bytes - before) & !(PAGE - 1);
            // SAFETY: the range lies within the allocation, the advice changes no byte; a refusal is no harm.
            let _ = unsafe { libc::madvise(start.add(before).cast(), length, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = vec;
}

/// A slice that threads write at once. Between two barriers of a [`super::Team`] no two threads have views
/// of the same numbers, unless all of them only read; each use says why that holds.
pub(super) struct Cells<'a, T> {
    start: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Cells<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cells<'_, T> {}

// SAFETY: it is a mutable slice; who makes views of it keeps them apart (see `view` and `part`).
unsafe impl<T: Send + Sync> Send for Cells<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Cells<'_, T> {}

impl<'a, T> Cells<'a, T> {
    /// Share a slice for as long as it is borrowed.
    pub fn new(slice: &'a mut [T]) -> Cells<'a, T> {
        Cells { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Some of it, shared as well.
    ///
    /// # Panics
    /// Where the range lies outside.
    pub fn range(&self, range: Range<usize>) -> Cells<'a, T> {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies within the slice.
        let start = unsafe { self.start.add(range.start) };
        Cells { start, len: range.end - range.start, life: PhantomData }
    }

    /// Some of it to read.
    ///
    /// # Safety
    /// While the view lives nobody writes these numbers.
    ///
    /// # Panics
    /// Where the range lies outside.
    #[inline(always)]
    pub unsafe fn view(&self, range: Range<usize>) -> &'a [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies within the slice that is borrowed for 'a; the caller keeps writers away.
        unsafe { std::slice::from_raw_parts(self.start.add(range.start), range.end - range.start) }
    }

    /// Some of it to write.
    ///
    /// # Safety
    /// While the view lives nobody else reads or writes these numbers.
    ///
    /// # Panics
    /// Where the range lies outside.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // the point of it; the caller keeps the parts apart
    pub unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies within the slice that is borrowed for 'a; the caller keeps all others away.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zero_at_first_aligned_and_never_shrinks() {
        let mut buffer = Buffer::zeroed(100);
        assert_eq!(buffer.as_slice::<f32>().len(), 32);
        assert!(buffer.as_slice::<u8>().iter().all(|b| *b == 0));
        buffer.as_mut_slice::<u16>().fill(7);
        buffer.grow(10);
        assert_eq!(buffer.as_slice::<u16>(), [7; 64]);
        buffer.grow(5 << 20);
        assert!(buffer.as_slice::<u8>().iter().all(|b| *b == 0));
        assert!(buffer.as_slice::<u8>().as_ptr().addr().is_multiple_of(LINE));
    }
}
