//! A checkpoint's tensors, read one at a time as f32. Invariant: before the first tensor is read,
//! every name and shape has been compared with what the config needs; missing, misshapen and
//! unknown tensors are errors (candle replaces a missing class embedding by random numbers).
//!
//! Format: <https://huggingface.co/docs/safetensors>: header length u64 LE, JSON header, data.
//! `pytorch_model.bin` is read by candle's own unpickler, which runs no code.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, pickle::PthTensors};
use serde::Deserialize;

use crate::error::{Error, Result};

/// The header of the largest CLIP has 100 kB; safetensors itself stops at 100 MB.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// The tensors that a model needs.
pub(super) struct Layout {
    /// What kind of checkpoint it is, for errors.
    pub what: &'static str,
    /// A tensor that every such checkpoint has: what stands before it is the prefix of all names.
    pub landmark: &'static str,
    /// Ends of names that may be there and are not read.
    pub ignored: &'static [&'static str],
    /// Every tensor that is read, with its shape.
    pub tensors: Vec<(String, Vec<usize>)>,
}

impl Layout {
    /// Bytes of all tensors as f32.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>() as u64).sum()
    }
}

enum Bytes {
    Memory(&'static [u8]),
    File(File, PathBuf),
}

impl Bytes {
    fn len(&self) -> Result<u64> {
        match self {
            Bytes::Memory(bytes) => Ok(bytes.len() as u64),
            Bytes::File(file, path) => Ok(file.metadata().map_err(|e| unreadable(path, &e))?.len()),
        }
    }

    fn read(&mut self, start: u64, length: usize) -> Result<std::borrow::Cow<'static, [u8]>> {
        match self {
            Bytes::Memory(bytes) => {
                let bytes: &'static [u8] = bytes;
                let part = usize::try_from(start)
                    .ok()
                    .and_then(|start| bytes.get(start..start.checked_add(length)?));
                part.map(Into::into).ok_or_else(|| refuse("the file ends early".into()))
            }
            Bytes::File(file, path) => {
                let mut part = vec![0; length];
                file.seek(SeekFrom::Start(start))
                    .and_then(|_| file.read_exact(&mut part))
                    .map_err(|e| unreadable(path, &e))?;
                Ok(part.into())
            }
        }
    }
}

fn refuse(text: String) -> Error {
    Error::Model(format!("weights: {text}"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Model(format!("cannot read {}: {error}", path.display()))
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

struct Safetensors {
    bytes: Bytes,
    /// Where the data begins in the file.
    base: u64,
    entries: BTreeMap<String, Entry>,
}

impl Safetensors {
    fn open(mut bytes: Bytes) -> Result<Safetensors> {
        let total = bytes.len()?;
        if total < 8 {
            return Err(refuse(format!("model.safetensors has {total} bytes: it is cut short")));
        }
        let mut length = [0; 8];
        length.copy_from_slice(&bytes.read(0, 8)?);
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES || 8 + length > total {
            return Err(refuse(format!(
                "model.safetensors announces a header of {length} bytes in a file of {total}: damaged or cut short \
                 (or a Git LFS pointer in place of the file)"
            )));
        }
        let header = bytes.read(8, length as usize)?; // bounded by MAX_HEADER_BYTES
        let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
            .map_err(|e| refuse(format!("the header of model.safetensors: {e}")))?;
        header.remove("__metadata__");
        let base = 8 + length;
        let mut entries = BTreeMap::new();
        for (name, value) in header {
            let entry: Entry =
                serde_json::from_value(value).map_err(|e| refuse(format!("header entry {name}: {e}")))?;
            let [start, end] = entry.data_offsets;
            if start > end || base.checked_add(end).is_none_or(|end| end > total) {
                return Err(refuse(format!(
                    "{name} ends at byte {} of a file of {total}: model.safetensors is cut short",
                    base.saturating_add(end)
                )));
            }
            entries.insert(name, entry);
        }
        Ok(Safetensors { bytes, base, entries })
    }

    fn read(&mut self, name: &str, digest: &mut Digest) -> Result<Tensor> {
        let entry = self.entries.get(name).ok_or_else(|| refuse(format!("{name} is missing")))?;
        let dtype = match entry.dtype.as_str() {
            "F32" => DType::F32,
            "F16" => DType::F16,
            "BF16" => DType::BF16,
            "F64" => DType::F64,
            other => {
                return Err(refuse(format!(
                    "{name} has type {other}; only F32, F16, BF16 and F64 are supported"
                )));
            }
        };
        let [start, end] = entry.data_offsets;
        let expected = entry.shape.iter().try_fold(dtype.size_in_bytes(), |n, &d| n.checked_mul(d));
        if expected.map(|n| n as u64) != Some(end - start) {
            return Err(refuse(format!("{name} of shape {:?} has {} bytes", entry.shape, end - start)));
        }
        let data = self.bytes.read(self.base + start, (end - start) as usize)?; // equals a usize, checked above
        digest.update(&data);
        Tensor::from_raw_buffer(&data, dtype, &entry.shape, &Device::Cpu)
            .map_err(|e| refuse(format!("{name}: {e}")))
    }
}

enum Source {
    Safetensors(Safetensors),
    Pickle(PthTensors),
}

/// An opened checkpoint whose names and shapes are not yet checked.
pub(super) struct Checkpoint {
    source: Source,
}

impl Checkpoint {
    /// The checkpoint inside the binary.
    pub fn from_memory(bytes: &'static [u8]) -> Result<Checkpoint> {
        Ok(Checkpoint { source: Source::Safetensors(Safetensors::open(Bytes::Memory(bytes))?) })
    }

    /// A `.safetensors` file, or a `.bin` file of PyTorch.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let file = File::open(path).map_err(|e| unreadable(path, &e))?;
        if path.extension().is_some_and(|e| e == "bin") {
            let tensors =
                PthTensors::new(path, None).map_err(|e| refuse(format!("{}: {e}", path.display())))?;
            return Ok(Checkpoint { source: Source::Pickle(tensors) });
        }
        let bytes = Bytes::File(file, path.to_path_buf());
        Ok(Checkpoint { source: Source::Safetensors(Safetensors::open(bytes)?) })
    }

    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match &self.source {
            Source::Safetensors(file) => {
                file.entries.iter().map(|(k, e)| (k.clone(), e.shape.clone())).collect()
            }
            Source::Pickle(file) => {
                file.tensor_infos().iter().map(|(k, i)| (k.clone(), i.layout.dims().to_vec())).collect()
            }
        }
    }

    /// Compare all names and shapes with what the config needs.
    ///
    /// # Errors
    /// `Model` naming what is missing, misshapen or unknown.
    pub fn check(self, layout: &Layout) -> Result<Weights> {
        let Layout { what, landmark, ignored, tensors } = layout;
        let mut found = self.shapes();
        let prefix = if found.contains_key(*landmark) {
            String::new()
        } else {
            let suffix = format!(".{landmark}");
            match found.keys().find_map(|name| name.strip_suffix(&suffix)) {
                Some(prefix) => format!("{prefix}."),
                None => return Err(refuse(format!("{landmark} is missing: not {what}"))),
            }
        };
        let mut missing = Vec::new();
        for (name, shape) in tensors {
            match found.remove(&format!("{prefix}{name}")) {
                None => missing.push(name),
                Some(other) if other != *shape => {
                    return Err(refuse(format!(
                        "{name} has shape {other:?}; config.json asks for {shape:?}"
                    )));
                }
                Some(_) => {}
            }
        }
        if let Some(first) = missing.first() {
            return Err(refuse(format!(
                "{} tensors that config.json asks for are missing, first {first}",
                missing.len()
            )));
        }
        found.retain(|name, _| !ignored.iter().any(|end| name.ends_with(end)));
        if let Some(name) = found.keys().next() {
            return Err(refuse(format!(
                "{} tensors are not part of the model that config.json describes, first {name}",
                found.len()
            )));
        }
        Ok(Weights { source: self.source, prefix, digest: Digest::default() })
    }
}

/// A checkpoint that holds exactly the tensors of its config.
pub(super) struct Weights {
    source: Source,
    prefix: String,
    digest: Digest,
}

impl Weights {
    /// One tensor as f32 on the CPU.
    ///
    /// # Errors
    /// `Model` if it cannot be read or holds a value that is not finite.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let full = format!("{}{name}", self.prefix);
        let tensor = match &mut self.source {
            Source::Safetensors(file) => file.read(&full, &mut self.digest)?,
            Source::Pickle(file) => file
                .get(&full)
                .map_err(|e| refuse(format!("{name}: {e}")))?
                .ok_or_else(|| refuse(format!("{name} is missing")))?,
        };
        let check = || -> candle_core::Result<(Tensor, bool)> {
            let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
            // The sum is not finite if a value is not; sums of finite weights stay far from the edge.
            let finite = tensor.sum_all()?.to_scalar::<f32>()?.is_finite();
            Ok((tensor, finite))
        };
        match check() {
            Ok((tensor, true)) => {
                if matches!(self.source, Source::Pickle(_)) {
                    let sample = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
                    for value in sample.map_err(|e| refuse(format!("{name}: {e}")))? {
                        self.digest.word(u64::from(value.to_bits()));
                    }
                }
                Ok(tensor)
            }
            Ok((_, false)) => Err(refuse(format!("{name} holds a value that is not finite"))),
            Err(error) => Err(refuse(format!("{name}: {error}"))),
        }
    }

    /// A digest of all bytes read so far.
    pub fn digest(&self) -> u64 {
        self.digest.0
    }
}

/// A 64-bit digest in the manner of FNV-1a over 8-byte words: tells models apart, resists no attack.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn update(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }
}

/// The digest of some files together, continued from that of the weights.
pub(super) fn fingerprint(weights: u64, files: &[&[u8]]) -> String {
    let mut digest = Digest(weights);
    files.iter().for_each(|file| digest.update(file));
    format!("{:016x}", digest.0)
}
