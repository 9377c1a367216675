//! Large arrays and the system's pages. What is read at random places lies on pages of 2 MiB: with those of
//! 4 KiB nearly every read also misses the table of pages. What is dropped to make room gives its pages back
//! at once, whatever the allocator would keep. On Linux; elsewhere (and under Miri) nothing is done.

use std::ops::{Deref, DerefMut};

/// A vector whose pages go back to the system when it is dropped.
#[derive(Debug)]
pub struct Pages<T>(Vec<T>);

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pages<T> {
    /// With room for `capacity` elements, on huge pages where that is possible and worth it. It must not
    /// grow beyond it.
    pub fn huge(capacity: usize) -> Self {
        #[allow(unused_mut)] // where there is nothing to advise
        let mut pages = Self(Vec::with_capacity(capacity));
        #[cfg(all(target_os = "linux", not(miri)))]
        pages.advise_huge(libc::MADV_HUGEPAGE);
        pages
    }

    /// Of the room for elements, none of which there may be yet or any more, the pages of so many bytes:
    /// where they begin, and their length.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn spare(&mut self, page: usize) -> (*mut libc::c_void, usize) {
        let spare = self.0.spare_capacity_mut();
        let bytes = size_of_val(spare);
        let start = spare.as_mut_ptr().cast::<u8>();
        let before = start.align_offset(page).min(bytes);
        (start.wrapping_add(before).cast(), (bytes - before) & !(page - 1))
    }

    /// Only whole huge pages: of one that is shared with others all would be resident. To be taken back
    /// before the memory is anyone else's.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn advise_huge(&mut self, advice: libc::c_int) {
        /// Below it small pages do as well.
        const WORTH_IT: usize = 4 << 20;
        let (start, length) = self.spare(2 << 20);
        if length >= WORTH_IT {
            // SAFETY: the range lies within the allocation; the advice changes no byte of it. A refusal is
            // no harm.
            let _ = unsafe { libc::madvise(start, length, advice) };
        }
    }
}

impl<T> Deref for Pages<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            /// Smaller ones are used again soon.
            const WORTH_IT: usize = 64 << 10;
            self.0.clear();
            let (start, length) = self.spare(4096);
            if length >= WORTH_IT {
                // SAFETY: the whole pages of an allocation that holds no elements any more; they read as
                // zeros from here on. The allocator keeps no notes in what it has given out. A refusal is
                // no harm.
                let _ = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
                // Small things that come to lie there would take a huge page each.
                self.advise_huge(libc::MADV_NOHUGEPAGE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn elements_come_and_go_and_their_neighbours_stay() {
        let mut kept = Vec::new();
        let part = if cfg!(miri) { 1000 } else { 1 }; // there an instruction takes some hundred
        for n in [0usize, 100, 20_000, 70_001, 3_000_001, 20_000].map(|n| n / part) {
            kept.push(vec![n as u8 | 1; n + 3]);
            for mut floats in [Pages::default(), Pages::huge(n)] {
                floats.extend((0..n).map(|i| i as f32));
                assert_eq!(floats.len(), n);
                assert!(floats.iter().enumerate().all(|(i, value)| *value == i as f32));
            }
            assert!(kept.iter().flatten().all(|byte| *byte != 0));
        }
    }

    /// Where the system has huge pages for those who ask.
    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn memory_that_was_on_huge_pages_takes_them_no_more_when_it_is_free() {
        let is_advised = |address: usize| {
            let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut is_here = false;
            text.lines().any(|line| {
                let range = line.split(' ').next().and_then(|range| range.split_once('-'));
                let bound = |text: &str| usize::from_str_radix(text, 16).ok();
                if let Some((from, to)) = range.and_then(|(from, to)| Some((bound(from)?, bound(to)?))) {
                    is_here = (from..to).contains(&address);
                }
                is_here && line.starts_with("VmFlags:") && line.contains(" hg")
            })
        };
        let pages = Pages::<u64>::huge(4 << 20);
        let middle = pages.as_ptr() as usize + (16 << 20);
        let while_it_lives = is_advised(middle);
        drop(pages);
        assert!(!is_advised(middle));
        let has_some = std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists();
        assert_eq!(while_it_lives, has_some);
    }
}
