//! The appending end of a collection's log. Bytes are acknowledged only after `append` has
//! returned: one write, one fdatasync. After an error nothing is ever appended again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::error::Result;
use crate::types::{CollectionConfig, CollectionName};

use super::durable;
use super::frame::{self, Kind, Mark};
use super::segment::{self, Header};

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
    segment_bytes: u64,
}

impl Log {
    /// Begins a log, or a generation of one, with segment `header.number`. The segment holds its
    /// header and a Head frame; both are durable when this returns, but for the file's name.
    pub fn begin(dir: PathBuf, header: Header, segment_bytes: u64, head: Head<'_>) -> Result<Self> {
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
        Ok(Self { dir, header, mark, file, length: bytes.len() as u64, segment_bytes })
    }

    /// Goes on with the segment `header.number`, which ends with a whole frame.
    pub fn resume(dir: PathBuf, header: Header, segment_bytes: u64) -> Result<Self> {
        let path = segment::path(&dir, header.number);
        let open = || {
            let file = OpenOptions::new().append(true).open(&path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|error| durable::at(&path, &error))?;
        let mark = Mark::new(header.salt, header.generation);
        Ok(Self { dir, header, mark, file, length, segment_bytes })
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
        self.length > self.segment_bytes / 2 && self.length + bytes as u64 > self.segment_bytes
    }

    /// Begins the next segment. What was appended before is durable already.
    pub fn roll(&mut self, head: Head<'_>) -> Result<()> {
        let header = Header { number: self.header.number + 1, ..self.header };
        let next = Self::begin(self.dir.clone(), header, self.segment_bytes, head)?;
        durable::sync_dir(&self.dir)?;
        *self = next;
        Ok(())
    }

    /// Appends whole frames and makes them durable.
    pub fn append(&mut self, frames: &[u8]) -> Result<()> {
        let path = || segment::path(&self.dir, self.header.number);
        self.file.write_all(frames).map_err(|error| durable::at(&path(), &error))?;
        self.file.sync_data().map_err(|error| durable::at(&path(), &error))?;
        self.length += frames.len() as u64;
        Ok(())
    }
}
