//! The allocator of every program that links this crate. Large tensors come and go at every batch; the
//! system's allocator returns and zeroes their pages each time, this one keeps them for a while.
#![allow(unsafe_code)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives what is free back to the system now: after a large piece of work, whose memory nothing will take
/// again soon. Takes milliseconds.
pub fn give_back() {
    // SAFETY: frees nothing that is in use; may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
