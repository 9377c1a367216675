//! Large arrays and the system's pages. What is read at random places lies on pages of 2 MiB: with those of
//! 4 KiB nearly every read also misses the table of pages. What is dropped to make room gives its pages back
//! at once, whatever the allocator would keep. On Linux; elsewhere nothing is done.

/// An empty vector with room for `capacity` elements, on huge pages where that is possible and worth it.
pub fn huge_vec<T>(capacity: usize) -> Vec<T> {
    let mut vec: Vec<T> = Vec::with_capacity(capacity);
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        /// Below it small pages do as well.
        const WORTH_IT: usize = 4 << 20;
        let spare = vec.spare_capacity_mut();
        let bytes = size_of_val(spare);
        if bytes >= WORTH_IT {
            let start = spare.as_mut_ptr().cast::<u8>();
            let before = start.align_offset(PAGE);
            let length = (bytes - before) & !(PAGE - 1);
            // SAFETY: the range lies within the allocation; the advice changes no byte of it. A refusal
            // is no harm.
            let _ = unsafe { libc::madvise(start.add(before).cast(), length, libc::MADV_HUGEPAGE) };
        }
    }
    vec
}

/// Floats whose pages go back to the system when they are dropped.
#[derive(Debug, Default)]
pub struct FloatPages(Vec<f32>);

impl std::ops::Deref for FloatPages {
    type Target = Vec<f32>;

    fn deref(&self) -> &Vec<f32> {
        &self.0
    }
}

impl std::ops::DerefMut for FloatPages {
    fn deref_mut(&mut self) -> &mut Vec<f32> {
        &mut self.0
    }
}

impl Drop for FloatPages {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        {
            const PAGE: usize = 4096;
            /// Smaller ones are used again soon.
            const WORTH_IT: usize = 64 << 10;
            self.0.clear();
            let spare = self.0.spare_capacity_mut();
            let bytes = size_of_val(spare);
            if bytes >= WORTH_IT {
                let start = spare.as_mut_ptr().cast::<u8>();
                let before = start.align_offset(PAGE);
                let length = (bytes - before) & !(PAGE - 1);
                // SAFETY: the whole pages of an allocation that holds no elements any more; they read as
                // zeros from here on. The allocator keeps no notes in what it has given out. A refusal is
                // no harm.
                let _ = unsafe { libc::madvise(start.add(before).cast(), length, libc::MADV_DONTNEED) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn floats_come_and_go_and_their_neighbours_stay() {
        let mut kept = Vec::new();
        for n in [0usize, 100, 20_000, 70_001, 20_000] {
            kept.push(vec![n as u8 | 1; n + 3]);
            let mut floats = super::FloatPages::default();
            floats.extend((0..n).map(|i| i as f32));
            assert_eq!(floats.iter().sum::<f32>() >= 0.0, floats.len() == n);
            drop(floats);
            assert!(kept.iter().flatten().all(|byte| *byte != 0));
        }
    }

    #[test]
    fn it_is_an_ordinary_vector_of_any_size() {
        for n in [0usize, 10, 3_000_001] {
            let mut vec = super::huge_vec::<u64>(n);
            vec.extend(0..n as u64);
            assert_eq!(vec.iter().sum::<u64>(), (n as u64 * n.saturating_sub(1) as u64) / 2);
        }
    }
}
