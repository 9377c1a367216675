//! Ctrl-C as a wish that a verb looks at, so that it can end in order and say where it stands.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STOP: AtomicBool = AtomicBool::new(false);
static LISTENING: OnceLock<()> = OnceLock::new();

/// Set once Ctrl-C or SIGTERM came. From the first call on they no longer end the process.
pub fn flag() -> &'static AtomicBool {
    LISTENING.get_or_init(|| {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            if runtime.block_on(wish()).is_ok() {
                STOP.store(true, Relaxed);
                eprintln!("\nending after what is in flight");
            }
        });
    });
    &STOP
}

#[cfg(unix)]
async fn wish() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wish() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
