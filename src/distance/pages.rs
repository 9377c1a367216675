//! Large arrays that are read at random places: with pages of 4 KiB nearly every read also misses the
//! table of pages. On Linux the system is asked for pages of 2 MiB; elsewhere nothing is done.

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

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_an_ordinary_vector_of_any_size() {
        for n in [0usize, 10, 3_000_001] {
            let mut vec = super::huge_vec::<u64>(n);
            vec.extend(0..n as u64);
            assert_eq!(vec.iter().sum::<u64>(), (n as u64 * n.saturating_sub(1) as u64) / 2);
        }
    }
}
