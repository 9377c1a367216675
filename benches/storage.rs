//! Our storage beside sled, redb and LMDB (heed) on the same records, in one run: a vector of
//! 512 components (2 KiB) and a payload of about 300 bytes, every write acknowledged when it is
//! durable. sled is given its own `sync_data` on its file behind `flush`, which does not wait
//! for the disk by itself. Prints a table in Markdown.
//!
//! `DIR=/some/disk` chooses where (default: the system's directory for temporary files),
//! `POINTS=n` how many records are loaded, `ENGINE=part-of-a-name` which engine is measured.

#![allow(missing_docs, clippy::expect_used)] // a bench that cannot go on says why and ends

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lookalike::collection::{Collection, Query};
use lookalike::storage::{Change, Store, StoreOptions, Volume};
use lookalike::types::{CollectionConfig, CollectionName, Distance, NamedVectors, Payload, Point, PointId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const CLIENTS: u64 = 32;
const SINGLES: u64 = 60; // records of one client
const BATCH: u64 = 1024;
const BATCHES: u64 = 12;
const SIZE: usize = 512;

fn point(id: u64) -> Point {
    let mut random = SmallRng::seed_from_u64(id);
    let vector: Vec<f32> = (0..SIZE).map(|_| random.random_range(-1.0..1.0)).collect();
    let text: String = (0..270).map(|_| random.random_range('a'..='z')).collect();
    let payload = Payload::from_iter([("n".to_owned(), id.into()), ("text".to_owned(), text.into())]);
    Point { id: PointId::Num(id), vectors: NamedVectors::from([(String::new(), vector)]), payload }
}

/// The same record as bytes.
fn bytes(id: u64) -> Vec<u8> {
    let point = point(id);
    let mut bytes: Vec<u8> = point.vectors[""].iter().flat_map(|c| c.to_le_bytes()).collect();
    bytes.extend(serde_json::to_vec(&point.payload).unwrap_or_default());
    bytes
}

fn disk_bytes(dir: &Path) -> u64 {
    std::fs::read_dir(dir).map_or(0, |items| {
        items
            .flatten()
            .map(|item| match item.metadata() {
                Ok(metadata) if metadata.is_dir() => disk_bytes(&item.path()),
                // Blocks, not length: LMDB's file may have holes.
                Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
                Err(_) => 0,
            })
            .sum()
    })
}

/// What every store can do here. A trait, because there are four of them and one table.
trait Engine: Send + Sync {
    fn put(&self, ids: std::ops::Range<u64>);
    fn delete(&self, ids: Vec<u64>);
    fn read(&self, id: u64) -> bool;
    /// A clean stop, where there is one.
    fn close(&self) {}
}

struct Ours {
    store: Store,
    volume: Arc<Volume>,
}

impl Ours {
    fn open(dir: &Path) -> Self {
        let store = Store::open(dir, StoreOptions::default()).expect("open");
        let volume = store.volumes().into_iter().next().unwrap_or_else(|| {
            let name = CollectionName::parse("c").expect("name");
            store.create(&name, &CollectionConfig::single(SIZE, Distance::Dot)).expect("create")
        });
        Self { store, volume }
    }
}

impl Engine for Ours {
    fn put(&self, ids: std::ops::Range<u64>) {
        self.volume.commit(Change::Upsert(ids.map(point).collect())).expect("commit");
    }
    fn delete(&self, ids: Vec<u64>) {
        self.volume.commit(Change::Delete(ids.into_iter().map(PointId::Num).collect())).expect("commit");
    }
    fn read(&self, id: u64) -> bool {
        self.volume.point(PointId::Num(id)).expect("read").is_some()
    }
    fn close(&self) {
        self.store.close().expect("close");
    }
}

struct Sled {
    db: sled::Db,
    file: File,
}

impl Sled {
    fn open(dir: &Path) -> Self {
        let db = sled::Config::new().path(dir).cache_capacity(64 << 20).open().expect("sled");
        Self { db, file: File::open(dir.join("db")).expect("sled's file") }
    }
    fn sync(&self) {
        self.db.flush().expect("flush");
        self.file.sync_data().expect("sync");
    }
}

impl Engine for Sled {
    fn put(&self, ids: std::ops::Range<u64>) {
        let mut batch = sled::Batch::default();
        ids.for_each(|id| batch.insert(&id.to_be_bytes(), bytes(id)));
        self.db.apply_batch(batch).expect("batch");
        self.sync();
    }
    fn delete(&self, ids: Vec<u64>) {
        let mut batch = sled::Batch::default();
        ids.into_iter().for_each(|id| batch.remove(&id.to_be_bytes()));
        self.db.apply_batch(batch).expect("batch");
        self.sync();
    }
    fn read(&self, id: u64) -> bool {
        self.db.get(id.to_be_bytes()).expect("get").is_some()
    }
}

const TABLE: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("points");

struct Redb(redb::Database);

impl Redb {
    fn open(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("dir");
        Self(redb::Database::create(dir.join("points.redb")).expect("redb"))
    }
}

impl Engine for Redb {
    fn put(&self, ids: std::ops::Range<u64>) {
        let write = self.0.begin_write().expect("write");
        {
            let mut table = write.open_table(TABLE).expect("table");
            ids.for_each(|id| drop(table.insert(id, bytes(id).as_slice()).expect("insert")));
        }
        write.commit().expect("commit");
    }
    fn delete(&self, ids: Vec<u64>) {
        let write = self.0.begin_write().expect("write");
        {
            let mut table = write.open_table(TABLE).expect("table");
            ids.into_iter().for_each(|id| drop(table.remove(id).expect("remove")));
        }
        write.commit().expect("commit");
    }
    fn read(&self, id: u64) -> bool {
        let read = redb::ReadableDatabase::begin_read(&self.0).expect("read");
        read.open_table(TABLE).expect("table").get(id).expect("get").is_some()
    }
}

type HeedTable = heed::Database<heed::types::U64<heed::byteorder::BE>, heed::types::Bytes>;

struct Lmdb {
    env: heed::Env,
    table: HeedTable,
}

impl Lmdb {
    #[allow(unsafe_code)]
    fn open(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("dir");
        // SAFETY: nothing else has this directory's file open or changes it while it is mapped.
        let env = unsafe { heed::EnvOpenOptions::new().map_size(16 << 30).open(dir) }.expect("lmdb");
        let mut write = env.write_txn().expect("txn");
        let table = env.create_database(&mut write, None).expect("table");
        write.commit().expect("commit");
        Self { env, table }
    }
}

impl Engine for Lmdb {
    fn put(&self, ids: std::ops::Range<u64>) {
        let mut write = self.env.write_txn().expect("txn");
        ids.for_each(|id| self.table.put(&mut write, &id, &bytes(id)).expect("put"));
        write.commit().expect("commit");
    }
    fn delete(&self, ids: Vec<u64>) {
        let mut write = self.env.write_txn().expect("txn");
        for id in ids {
            self.table.delete(&mut write, &id).expect("delete");
        }
        write.commit().expect("commit");
    }
    fn read(&self, id: u64) -> bool {
        let read = self.env.read_txn().expect("txn");
        self.table.get(&read, &id).expect("get").is_some()
    }
}

type Open = fn(&Path) -> Box<dyn Engine>;

const ENGINES: [(&str, Open); 4] = [
    ("lookalike", |dir| Box::new(Ours::open(dir))),
    ("sled 0.34 + sync_data", |dir| Box::new(Sled::open(dir))),
    ("redb 3", |dir| Box::new(Redb::open(dir))),
    ("LMDB (heed)", |dir| Box::new(Lmdb::open(dir))),
];

fn main() {
    // `cargo test --benches` passes --test: nothing to measure then.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let root = std::env::var_os("DIR").map_or_else(std::env::temp_dir, Into::into);
    let points: u64 = std::env::var("POINTS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let root = tempfile::tempdir_in(root).expect("a directory");
    println!(
        "| engine | singles/s, {CLIENTS} clients | batch of {BATCH}, ms | reopen after {points} and first read, s | disk after load, x live | disk after churn, x live |"
    );
    println!("|---|---|---|---|---|---|");
    let only = std::env::var("ENGINE").unwrap_or_default();
    for (name, open) in ENGINES.into_iter().filter(|(name, _)| name.contains(&only)) {
        let dir = root.path().join(name.replace(' ', "-"));
        let live = (0..100).map(|id| bytes(id).len() as u64).sum::<u64>() * points / 100;
        let singles = singles(&root.path().join("singles"), open);
        let engine = open(&dir);
        let batch = load(&*engine, points);
        engine.close();
        drop(engine);
        let after_load = disk_bytes(&dir);
        let began = Instant::now();
        let engine = open(&dir);
        assert!(engine.read(points - 1));
        let reopen = began.elapsed();
        let after_churn = churn(engine, points, &dir, open);
        println!(
            "| {name} | {singles:.0} | {batch:.1} | {:.2} | {:.2} | {:.2} |",
            reopen.as_secs_f64(),
            after_load as f64 / live as f64,
            after_churn as f64 / (live as f64 / 10.0)
        );
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
    first_answer(&root.path().join("answer"), points);
}

/// Records a second from clients that each wait for every one of theirs.
fn singles(dir: &Path, open: Open) -> f64 {
    let engine = open(dir);
    engine.put(1_000_000..1_000_001);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let engine = &engine;
            scope.spawn(move || {
                for i in client * SINGLES..(client + 1) * SINGLES {
                    engine.put(i..i + 1);
                }
            });
        }
    });
    let rate = (CLIENTS * SINGLES) as f64 / began.elapsed().as_secs_f64();
    drop(engine);
    std::fs::remove_dir_all(dir).expect("clean up");
    rate
}

/// Loads all records; returns the median of the first batches in ms, encoding included.
fn load(engine: &dyn Engine, points: u64) -> f64 {
    let mut times = Vec::new();
    for (i, from) in (0..points).step_by(BATCH as usize).enumerate() {
        let began = Instant::now();
        engine.put(from..(from + BATCH).min(points));
        if (i as u64) < BATCHES {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Ten rewrites of a tenth, then 90 % deleted, then a minute at most; bytes on the disk.
fn churn(engine: Box<dyn Engine>, points: u64, dir: &Path, open: Open) -> u64 {
    let tenth = points / 10;
    for _ in 0..10 {
        for from in (0..tenth).step_by(BATCH as usize) {
            engine.put(from..(from + BATCH).min(tenth));
        }
    }
    for from in (tenth..points).step_by(10_000) {
        engine.delete((from..(from + 10_000).min(points)).collect());
    }
    std::thread::sleep(Duration::from_secs(2));
    engine.close();
    drop(engine);
    drop(open(dir));
    disk_bytes(dir)
}

/// A process that was killed: from nothing to the first correct answer of a search.
fn first_answer(dir: &Path, points: u64) {
    let image = dir.with_extension("image");
    {
        let ours = Ours::open(dir);
        load(&ours, points);
        copy(dir, &image);
    }
    for state in ["the first time after the copy", "again"] {
        let began = Instant::now();
        let store = Store::open(&image, StoreOptions::default()).expect("open");
        let opened = began.elapsed();
        let collection = Collection::open(store.volumes().remove(0)).expect("collection");
        let vector = point(points / 2).vectors.remove("").unwrap_or_default();
        let query = Query::new(vector, String::new(), 1);
        let hits = collection.search(&query).expect("search");
        assert_eq!(hits[0].id, PointId::Num(points / 2));
        let answered = began.elapsed();
        println!(
            "\n{points} x {SIZE} reopened as a killed process left them, {state}: store {:.2} s, first correct answer {:.2} s",
            opened.as_secs_f64(),
            answered.as_secs_f64()
        );
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("dir");
    for item in std::fs::read_dir(from).expect("dir").flatten() {
        let target = to.join(item.file_name());
        if item.path().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).expect("copy");
        }
    }
}
