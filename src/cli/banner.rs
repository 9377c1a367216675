//! What a server says of itself when it starts.

use std::path::Path;
use std::time::Duration;

use crate::embed::ModelInfo;

/// The banner's lines.
pub fn text(
    url: &str,
    data_dir: &Path,
    collections: usize,
    model: &ModelInfo,
    ready_after: Duration,
) -> String {
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    format!(
        "lookalike {version}\n\
         \x20 address  {url}\n\
         \x20 data     {data} ({collections} collection{s})\n\
         \x20 model    {name}, {dimension} dimensions, {device}, {precision}, loaded in {load:.2} s\n\
         \x20 ready    after {ready:.2} s\n",
        version = env!("CARGO_PKG_VERSION"),
        data = data_dir.display(),
        s = if collections == 1 { "" } else { "s" },
        name = model.name,
        dimension = model.dimension,
        device = model.device,
        precision = model.precision,
        load = model.load_time.as_secs_f64(),
        ready = ready_after.as_secs_f64(),
    )
}
