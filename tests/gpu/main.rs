//! What runs on an NVIDIA GPU: its kernels without one, by a machine of threads in C++ (`emulated.rs`), and on one,
//! where the feature `cuda` is built (`device.rs`).

#[cfg(feature = "cuda")]
mod device;
mod emulated;

#[cfg(feature = "cuda")]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with tests/parity, which uses the rest")]
#[path = "../parity/models.rs"]
mod models;
