//! What every handler sees: the engine, and the bounds and keys of the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::engine::Engine;

/// Bounds and keys of the server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Key that allows everything; none lets everybody in.
    pub api_key: Option<String>,
    /// Key that allows reading.
    pub read_only_api_key: Option<String>,
    /// Largest JSON body, bytes.
    pub max_body_bytes: usize,
    /// Largest multipart upload, bytes.
    pub max_upload_bytes: usize,
    /// Largest picture file, bytes.
    pub max_image_bytes: usize,
    /// A body must arrive within this time.
    pub body_timeout: Duration,
    /// A request must be answered within this time.
    pub request_timeout: Duration,
    /// Threads that answer; the cores if 0.
    pub workers: usize,
}

/// What every handler sees.
pub struct State {
    pub engine: Engine,
    pub options: ServerOptions,
    pub started: Instant,
}
