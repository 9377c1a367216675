//! The appending end of a collection's log. Bytes are acknowledged only after `append` has
//! returned: one write, one fdatasync. After an error nothing is ever appended again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::error::Result;
use crate::types::{CollectionConfig, CollectionName};

use super::durable;
use super::frame::{self, Kind, Mark};
use super::parity::Parity;
use super::segment::{self, Header};

/// Bytes of the first segments of a log, where `segment_bytes` is not less: a log has some
/// segments before they grow, so that its parity stays a small part of it.
const FIRST_SEGMENTS: u64 = 1024 * 1024;
/// Segments grow so that one is about this part of the log.
const PART: u64 = 16;

/// What a segment's first frame says: name, configuration, and the change that it is as of.
pub type Head<'a> = (&'a CollectionName, &'a CollectionConfig, u64);

/// The last segment of a log, open for appending.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    header: Header,
    mark: Mark,
    file: File,
    length: u64,
    /// Bytes of the generation's segments before this one.
    before: u64,
    segment_bytes: u64,
    parity: Parity,
}

impl Log {
    /// Begins a log, or a generation of one, with segment `header.number`. The segment holds its
    /// header and a Head frame; both are durable when this returns, but for the file's name.
    pub fn begin(dir: PathBuf, header: Header, segment_bytes: u64, head: Head<'_>) -> Result<Self> {
        let parity = Parity::begin(&dir, header);
        Self::create(dir, header, segment_bytes, head, parity, 0)
    }

    fn create(
        dir: PathBuf,
        header: Header,
        segment_bytes: u64,
        head: Head<'_>,
        mut parity: Parity,
        before: u64,
    ) -> Result<Self> {
        let path = segment::path(&dir, header.number);
        let mark = Mark::new(header.salt, header.generation);
        let (name, config, seq) = head;
        let mut bytes = header.encode().to_vec();
        mark.write(&mut bytes, seq, &frame::encode_config(Kind::Head, name, config)?)?;
        let create = || {
            let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|error| durable::at(&path, &error))?;
        parity.take(header.number, 0, &bytes);
        Ok(Self { dir, header, mark, file, length: bytes.len() as u64, before, segment_bytes, parity })
    }

    /// Goes on with the segment `header.number`, which ends with a whole frame and has `before`
    /// bytes of its generation before it.
    pub fn resume(dir: PathBuf, header: Header, segment_bytes: u64, before: u64) -> Result<Self> {
        let path = segment::path(&dir, header.number);
        let open = || {
            let file = OpenOptions::new().append(true).open(&path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|error| durable::at(&path, &error))?;
        let mark = Mark::new(header.salt, header.generation);
        let parity = Parity::resume(&dir, header);
        Ok(Self { dir, header, mark, file, length, before, segment_bytes, parity })
    }

    /// The log's mark.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Salt, generation, and the number of the segment that is appended to.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Bytes of the segment that is appended to.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// True where `bytes` more would exceed the segment's size. A segment that holds next to
    /// nothing takes anything.
    pub fn is_full_for(&self, bytes: usize) -> bool {
        let most = self.segment_bytes;
        let size = (self.before / PART).next_power_of_two().clamp(FIRST_SEGMENTS.min(most), most);
        self.length > size / 2 && self.length + bytes as u64 > size
    }

    /// Begins the next segment. What was appended before is durable already.
    pub fn roll(&mut self, head: Head<'_>) -> Result<()> {
        self.finish();
        let header = Header { number: self.header.number + 1, ..self.header };
        let parity = std::mem::replace(&mut self.parity, Parity::begin(&self.dir, header));
        let before = self.before + self.length;
        let next = Self::create(self.dir.clone(), header, self.segment_bytes, head, parity, before)?;
        durable::sync_dir(&self.dir)?;
        *self = next;
        Ok(())
    }

    /// Makes the parity durable. Failing is no harm: it is compared with the log at open.
    pub fn finish(&self) {
        if let Err(error) = self.parity.sync() {
            tracing::debug!("the parity was not synced: {error}");
        }
    }

    /// Appends whole frames and makes them durable.
    pub fn append(&mut self, frames: &[u8]) -> Result<()> {
        let path = || segment::path(&self.dir, self.header.number);
        self.file.write_all(frames).map_err(|error| durable::at(&path(), &error))?;
        self.file.sync_data().map_err(|error| durable::at(&path(), &error))?;
        // Only what is durable is taken in: what the parity gives back was written.
        self.parity.take(self.header.number, self.length, frames);
        self.length += frames.len() as u64;
        Ok(())
    }
}
