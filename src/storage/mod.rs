//! Storage: for every collection a log of its own, which is the truth, and for all of them one
//! view in sled, which is verified against the logs whenever the store is opened.
//!
//! - [`Store`] is a data directory: one process, some collections, one view.
//! - [`Volume`] is one collection's points on disk. A commit is acknowledged when its frame is
//!   durable in the log and applied to the view.
//! - `frame`, `record`, `segment`, `log`, `parity` are the log; `keys`, `codec`, `view` the view;
//!   `replay`, `recovery` and `reconcile` bring them together; `writer` and `compaction` run on the volume's
//!   one writer thread.
//!
//! Invariants: every read verifies a checksum; what was acknowledged is never lost silently; a
//! volume whose disk has failed once is read-only until it is opened again.
//!
//! ```text
//! LOCK  SCHEMA  SCHEMA.copy  CLEAN          the store's own files
//! view/                                     sled
//! snapshots/                                archives, see `archive`
//! collections/<number>/MANIFEST             which log counts
//! collections/<number>/LAST                 hint: the last durable change
//! collections/<number>/log/NNNNNN.seg       frames
//! collections/<number>/parity/*.par          gives damaged segments their bytes back
//! collections/<number>/graphs.hint          what indexes keep; can be made again
//! collections/<number>/kept/                torn ends, cut off; segments that were healed
//! collections/<number>/notes/               small texts beside the log
//! ```

mod archive;
mod audit;
mod codec;
mod compaction;
mod doctor;
mod durable;
mod frame;
mod hint;
mod keys;
mod last;
mod log;
mod manifest;
mod mmap;
mod notes;
mod parity;
mod part;
mod pictures;
mod reconcile;
mod record;
mod recovery;
mod replay;
mod segment;
mod snapshot;
mod store;
mod stored;
mod view;
mod visible;
mod volume;
mod writer;

#[cfg(test)]
mod tests;

pub use archive::{Restored, Scope, Snapshot};
pub use audit::{AuditCheck, AuditLog, check_audit};
pub use doctor::{Diagnosis, Examined, Outlook, examine, repair};
pub use snapshot::Content;
pub use store::Store;
pub use stored::StoredVectors;
pub use volume::{Hook, Ids, Moved, Volume};

use crate::types::{CollectionConfig, NamedVectors, Payload, Pictures, Point, PointId};

/// One change of a collection: applied whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes points; one with the same id is replaced, its payload too.
    Upsert(Vec<Point>),
    /// The same with what is kept of the picture of each, in the order of the points. A point that is
    /// written again without pictures has none any more; a new payload leaves them.
    Pictured(Vec<Point>, Vec<Pictures>),
    /// Deletes points; ids that are absent are passed over.
    Delete(Vec<PointId>),
    /// Replaces whole payloads and keeps the vectors; ids that are absent are passed over.
    SetPayload(Vec<(PointId, Payload)>),
    /// Replaces the configuration.
    Configure(CollectionConfig),
}

/// A point as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPoint {
    /// Sequence number of the change that last wrote it.
    pub version: u64,
    /// Its payload.
    pub payload: Payload,
    /// Its vectors.
    pub vectors: NamedVectors,
}

/// The store's bounds.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of sled's cache, for the whole store. It is filled up and stays so.
    pub view_cache_bytes: u64,
    /// Most bytes of a segment, 4 KiB to 1 GiB (one frame may be larger). A log goes on in a new
    /// one when this, or a sixteenth of it and at least 1 MiB, is reached.
    pub segment_bytes: u64,
    /// Commits that may wait for a volume's writer; the next one is answered `Overloaded`.
    pub queue_length: usize,
    /// Bytes of all commits that may wait for a volume's writer; one alone may be larger.
    pub queue_bytes: usize,
    /// Bytes that must stay free on the disk: below it only deletes are taken.
    pub min_free_disk_bytes: u64,
    /// Bytes of the log that no point needs any more, from which on compaction is thought of.
    pub compact_from_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            view_cache_bytes: 64 * MIB,
            segment_bytes: 64 * MIB,
            queue_length: 1024,
            queue_bytes: 256 * 1024 * 1024,
            min_free_disk_bytes: 256 * MIB,
            compact_from_bytes: 8 * MIB,
        }
    }
}
