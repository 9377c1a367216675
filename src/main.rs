//! The binary: reads the command line and runs one verb.

use std::process::ExitCode;

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
