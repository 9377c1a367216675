//! The binary: reads the command line and runs one verb.

use std::process::ExitCode;

/// Large tensors come and go at every batch; the system allocator returns and zeroes their pages each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    for (name, value) in lookalike::embed::thread_settings() {
        if std::env::var_os(name).is_none() {
            // SAFETY: the first thing `main` does: no other thread exists that could read the environment.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var(name, value);
            }
        }
    }
    lookalike::cli::run()
}
