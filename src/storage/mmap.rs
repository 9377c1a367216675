//! The log's only unsafe block: a read-only mapping of the durable part of a segment.
#![allow(unsafe_code)]

use std::fs::File;

/// The first bytes of a file, mapped; an empty mapping holds no pages.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps the first `length` bytes of `file`, which must be there.
    ///
    /// # Errors
    /// The operating system's, among others when the file is shorter.
    pub fn new(file: &File, length: usize) -> std::io::Result<Self> {
        if length == 0 {
            return Ok(Self(None));
        }
        if file.metadata()?.len() < length as u64 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "shorter than its records"));
        }
        // SAFETY: the mapping is undefined behaviour only if the bytes change or vanish while it
        // is there. The data directory is locked by this process, segments are append-only, only
        // bytes that were written before are mapped, and recovery cuts a torn tail off before it
        // maps what stands in front of it. Every read out of the mapping is checked against a
        // crc32c, so that bytes changed from outside are found out rather than believed.
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(file)? };
        Ok(Self(Some(map)))
    }

    /// The mapped bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}
