//! Version 1: the first layout. Collections lie under `collections/`; the view is made when the
//! store is opened.

use std::fs::{self, File};
use std::path::Path;

use crate::error::Result;

/// Creates the directory of the collections.
pub fn run(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("collections"))?;
    File::open(dir)?.sync_all()?;
    Ok(())
}
