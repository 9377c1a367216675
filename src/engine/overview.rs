//! What an operator wants to see at one glance.

use super::Engine;
use crate::collection::CollectionInfo;
use crate::error::Result;
use crate::types::CollectionName;

/// The disk that the data lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of the logs of all collections.
    pub log_bytes: u64,
    /// Bytes of the view, which all collections share.
    pub view_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that must stay free: below them only deletes are taken.
    pub reserve_bytes: u64,
}

impl Engine {
    /// How every collection stands, in the order of names, and the disk.
    ///
    /// # Errors
    /// `Io` where the disk cannot be asked.
    pub async fn overview(&self) -> Result<(Vec<(CollectionName, CollectionInfo)>, Disk)> {
        let engine = self.clone();
        self.call(move || {
            let collections: Vec<_> = engine.shared.collections.read().values().cloned().collect();
            let infos: Vec<_> =
                collections.iter().map(|collection| (collection.name().clone(), collection.info())).collect();
            let (free_bytes, reserve_bytes) = engine.shared.store.free_disk()?;
            let disk = Disk {
                log_bytes: infos.iter().map(|(_, info)| info.disk_bytes).sum(),
                view_bytes: engine.shared.store.view_disk_bytes(),
                free_bytes,
                reserve_bytes,
            };
            Ok((infos, disk))
        })
        .await
    }
}
