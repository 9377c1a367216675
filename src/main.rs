//! The binary: reads the command line and runs one verb.

use std::process::ExitCode;

/// Large tensors come and go at every batch; the system allocator returns and zeroes their pages each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lookalike::cli::run()
}
