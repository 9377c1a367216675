//! A disk that remembers what was synced. It replays the shim's trace; at any point of it an
//! image can be taken as a power cut would leave it: everything that was synced, and of the rest
//! nothing, everything, or a random half, with writes torn at sectors of 512 bytes. Names are
//! durable when their directory was synced; what is not may be there up to some point.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::Rng;
use rand::rngs::SmallRng;

const SECTOR: usize = 512;

/// One record of the trace.
#[derive(Debug)]
pub struct Op {
    pub code: u8,
    pub at: usize,
    pub path: String,
    pub second: String,
    pub data: Vec<u8>,
}

/// Reads a trace; one that was cut short ends with its last whole record.
pub fn read_trace(path: &Path) -> Vec<Op> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut ops = Vec::new();
    while let Some(op) = read_op(&mut rest) {
        ops.push(op);
    }
    ops
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn read_op(rest: &mut &[u8]) -> Option<Op> {
    let code = take(rest, 1)?[0];
    let at = u64::from_le_bytes(take(rest, 8)?.try_into().unwrap()) as usize;
    take(rest, 8)?;
    let mut text = || {
        let length = u16::from_le_bytes(take(rest, 2)?.try_into().unwrap());
        Some(String::from_utf8(take(rest, length.into())?.to_vec()).unwrap())
    };
    let (path, second) = (text()?, text()?);
    let length = u32::from_le_bytes(take(rest, 4)?.try_into().unwrap());
    let data = take(rest, length as usize)?.to_vec();
    Some(Op { code, at, path, second, data })
}

#[derive(Debug, Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone)]
enum Naming {
    Set(String, usize),
    Remove(String),
    Move(String, String, usize),
}

#[derive(Debug)]
enum Node {
    File { durable: Vec<u8>, pending: Vec<Pending> },
    Dir { durable: BTreeMap<String, usize>, pending: Vec<Naming>, now: BTreeMap<String, usize> },
}

/// The disk, with the root directory as its first node.
#[derive(Debug)]
pub struct Disk(Vec<Node>);

/// What a power cut does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    There,
    Random,
}

impl Default for Disk {
    fn default() -> Self {
        Self(vec![Node::new_dir()])
    }
}

impl Node {
    fn new_dir() -> Self {
        Node::Dir { durable: BTreeMap::new(), pending: Vec::new(), now: BTreeMap::new() }
    }
}

fn write_at(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn name_in(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Set(name, node) => drop(names.insert(name.clone(), *node)),
        Naming::Remove(name) => drop(names.remove(name)),
        Naming::Move(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl Disk {
    fn find(&self, path: &str) -> usize {
        path.split('/').filter(|part| !part.is_empty()).fold(0, |node, part| match &self.0[node] {
            Node::Dir { now, .. } => *now.get(part).unwrap_or_else(|| panic!("{path}: not there")),
            Node::File { .. } => panic!("{path}: not a directory"),
        })
    }

    fn name(&mut self, dir: usize, naming: Naming) {
        let Node::Dir { pending, now, .. } = &mut self.0[dir] else { panic!("not a directory") };
        name_in(now, &naming);
        pending.push(naming);
    }

    fn place<'a>(&self, path: &'a str) -> (usize, &'a str) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(dir), name)
    }

    /// Carries out one record.
    pub fn apply(&mut self, op: Op) {
        match op.code {
            b'C' | b'M' => {
                let node = if op.code == b'M' {
                    Node::new_dir()
                } else {
                    Node::File { durable: Vec::new(), pending: Vec::new() }
                };
                self.0.push(node);
                let (dir, name) = self.place(&op.path);
                self.name(dir, Naming::Set(name.to_owned(), self.0.len() - 1));
            }
            b'U' | b'X' => {
                let (dir, name) = self.place(&op.path);
                self.name(dir, Naming::Remove(name.to_owned()));
            }
            b'R' => {
                let node = self.find(&op.path);
                let ((from_dir, from), (to_dir, to)) = (self.place(&op.path), self.place(&op.second));
                if from_dir == to_dir {
                    self.name(from_dir, Naming::Move(from.to_owned(), to.to_owned(), node));
                } else {
                    self.name(to_dir, Naming::Set(to.to_owned(), node));
                    self.name(from_dir, Naming::Remove(from.to_owned()));
                }
            }
            b'W' | b'T' => {
                let node = self.find(&op.path);
                let Node::File { pending, .. } = &mut self.0[node] else { panic!("{}: no file", op.path) };
                let is_write = op.code == b'W';
                pending.push(if is_write {
                    Pending::Write(op.at, op.data)
                } else {
                    Pending::Truncate(op.at)
                });
            }
            b'S' => {
                let node = self.find(&op.path);
                match &mut self.0[node] {
                    Node::File { durable, pending } => {
                        for pending in pending.drain(..) {
                            match pending {
                                Pending::Write(at, data) => write_at(durable, at, &data),
                                Pending::Truncate(length) => durable.resize(length, 0),
                            }
                        }
                    }
                    Node::Dir { durable, pending, .. } => {
                        pending.drain(..).for_each(|naming| name_in(durable, &naming));
                    }
                }
            }
            code => panic!("unknown record {code}"),
        }
    }

    /// Writes the image of a power cut now to `to`, below the directory `from` of the disk.
    pub fn cut(&self, from: &str, to: &Path, unsynced: Unsynced, random: &mut SmallRng) {
        let node = match &self.0[0] {
            Node::Dir { now, .. } => now.get(from).copied(),
            Node::File { .. } => None,
        };
        fs::create_dir_all(to).unwrap();
        if let Some(node) = node {
            self.write(node, to, unsynced, random);
        }
    }

    fn write(&self, node: usize, to: &Path, unsynced: Unsynced, random: &mut SmallRng) {
        match &self.0[node] {
            Node::Dir { durable, pending, .. } => {
                fs::create_dir_all(to).unwrap();
                let mut names = durable.clone();
                // Journals keep the order of names: up to some point they are there.
                let kept = match unsynced {
                    Unsynced::Lost => 0,
                    Unsynced::There => pending.len(),
                    Unsynced::Random => random.random_range(0..=pending.len()),
                };
                pending[..kept].iter().for_each(|naming| name_in(&mut names, naming));
                for (name, node) in names {
                    self.write(node, &to.join(name), unsynced, random);
                }
            }
            Node::File { durable, pending } => {
                let mut bytes = durable.clone();
                for pending in pending {
                    let is_kept = match unsynced {
                        Unsynced::Lost => false,
                        Unsynced::There => true,
                        Unsynced::Random => random.random_bool(0.5),
                    };
                    match pending {
                        _ if !is_kept => {}
                        Pending::Truncate(length) => bytes.resize(*length, 0),
                        Pending::Write(at, data) => {
                            let is_torn = unsynced == Unsynced::Random && random.random_bool(0.3);
                            let length = if is_torn { torn(*at, data.len(), random) } else { data.len() };
                            write_at(&mut bytes, *at, &data[..length]);
                        }
                    }
                }
                fs::write(to, bytes).unwrap();
            }
        }
    }
}

/// How much of a write is there: up to some border of sectors.
fn torn(at: usize, length: usize, random: &mut SmallRng) -> usize {
    let end = at + random.random_range(0..=length);
    (end / SECTOR * SECTOR).saturating_sub(at).min(length)
}
