//! Filtered searches, starts and deletes of a collection, measured as a caller meets them. Prints
//! tables in Markdown: recall@10 and time of filters that keep 50 % to 0.1 % (independent of the
//! vectors, of the query's own region, and of the far one), filters with and without an index, a
//! start with and without payload indexes, and what deletes and updates leave behind.
//! `cargo bench --bench filter`
//!
//! `POINTS=n` (default 100,000) points of 256 components in 500 clusters, seeded; `PART=filters`,
//! `start` or `deletes` for one part. A query's time is the best of three, so that p99 tells
//! queries apart and not what else the machine does; one thread asks.

#![allow(missing_docs, clippy::expect_used)] // a bench that cannot go on says why and ends

use std::path::Path;
use std::time::{Duration, Instant};

use lookalike::collection::{Collection, Query};
use lookalike::index::Mode;
use lookalike::storage::{Store, StoreOptions};
use lookalike::types::{
    CollectionConfig, CollectionName, Condition, Distance, FieldCondition, Filter, JsonPath, Match,
    MatchValue, NamedVectors, PayloadFieldType, Point, PointId, Range,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

const SIZE: usize = 256;
const QUERIES: usize = 300;
const K: usize = 10;
/// Of a thousand points so many are kept.
const SHARES: [u32; 5] = [500, 200, 100, 10, 1];
const INDEXES: [(&str, PayloadFieldType); 8] = [
    ("lot", PayloadFieldType::Integer),
    ("side", PayloadFieldType::Integer),
    ("colour", PayloadFieldType::Keyword),
    ("tags", PayloadFieldType::Keyword),
    ("price", PayloadFieldType::Float),
    ("when", PayloadFieldType::Datetime),
    ("title", PayloadFieldType::Text),
    ("at", PayloadFieldType::Geo),
];

fn count() -> usize {
    std::env::var("POINTS").map_or(100_000, |points| points.parse().expect("POINTS is a number"))
}

/// Vectors of length 1 around centres.
struct Cloud {
    random: SmallRng,
    centres: Vec<Vec<f32>>,
}

impl Cloud {
    fn new() -> Self {
        let mut random = SmallRng::seed_from_u64(1);
        let centres = (0..500).map(|_| (0..SIZE).map(|_| random.random_range(-1.0..1.0)).collect()).collect();
        Self { random, centres }
    }

    fn draw(&mut self) -> Vec<f32> {
        let centre = self.random.random_range(0..self.centres.len());
        let around = self.centres[centre].clone();
        self.near(&around, 0.5)
    }

    fn near(&mut self, around: &[f32], spread: f32) -> Vec<f32> {
        let vector: Vec<f32> =
            around.iter().map(|x| x + spread * self.random.random_range(-1.0_f32..1.0)).collect();
        let norm = dot(&vector, &vector).sqrt();
        vector.into_iter().map(|x| x / norm).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<16>().0, b.as_chunks::<16>().0);
    let mut sums = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum()
}

/// The points' vectors, with what filters ask of them, out of a thousand.
struct World {
    cloud: Cloud,
    vectors: Vec<Vec<f32>>,
    /// Independent of the vector.
    lot: Vec<u32>,
    /// Where the vector lies along one direction.
    side: Vec<u32>,
}

impl World {
    fn new() -> Self {
        let mut cloud = Cloud::new();
        let vectors: Vec<_> = (0..count()).map(|_| cloud.draw()).collect();
        let axis = cloud.draw();
        let mut order: Vec<usize> = (0..vectors.len()).collect();
        order.sort_by(|&a, &b| dot(&vectors[a], &axis).total_cmp(&dot(&vectors[b], &axis)));
        let mut side = vec![0; vectors.len()];
        for (place, &i) in order.iter().enumerate() {
            side[i] = (place * 1000 / vectors.len()) as u32;
        }
        let lot = (0..vectors.len()).map(|_| cloud.random.random_range(0..1000)).collect();
        Self { cloud, vectors, lot, side }
    }

    fn point(&self, i: usize) -> Point {
        let mut random = SmallRng::seed_from_u64(i as u64);
        let mut pick = |most: u32| random.random_range(0..most);
        let words: Vec<String> = (0..6).map(|_| format!("word{}", pick(2000))).collect();
        let payload = json!({
            "lot": self.lot[i], "side": self.side[i], "plain": self.lot[i],
            "colour": format!("colour {}", pick(8)),
            "tags": [format!("t{}", pick(100)), format!("t{}", pick(100))],
            "price": f64::from(pick(1_000_000)) / 100.0,
            "when": format!("2026-{:02}-{:02}T{:02}:00:00Z", 1 + pick(12), 1 + pick(28), pick(24)),
            "title": words.join(" "),
            "at": {"lon": f64::from(pick(360_000)) / 1000.0 - 180.0, "lat": f64::from(pick(180_000)) / 1000.0 - 90.0},
        });
        let payload = payload.as_object().cloned().unwrap_or_default();
        let vectors = NamedVectors::from([(String::new(), self.vectors[i].clone())]);
        Point { id: PointId::Num(i as u64), vectors, payload }
    }

    fn fill(&self, collection: &Collection, ids: std::ops::Range<usize>) {
        for first in ids.clone().step_by(1000) {
            let points = (first..ids.end.min(first + 1000)).map(|i| self.point(i)).collect();
            collection.upsert(points).expect("upsert");
        }
    }
}

fn open(dir: &Path) -> (Store, Collection) {
    let store = Store::open(dir, StoreOptions::default()).expect("store");
    let volume = store.volumes().pop().unwrap_or_else(|| {
        let name = CollectionName::parse("c").expect("name");
        store.create(&name, &CollectionConfig::single(SIZE, Distance::Cosine)).expect("create")
    });
    let collection = Collection::open(volume).expect("open");
    (store, collection)
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).expect("path")
}

fn must(key: &str, condition: FieldCondition) -> Filter {
    Filter { must: vec![Condition::Field { key: path(key), condition }], ..Filter::default() }
}

fn below(key: &str, bound: u32) -> Filter {
    must(key, FieldCondition::Range(Range { lt: Some(f64::from(bound)), ..Range::default() }))
}

fn settle(collection: &Collection) -> Duration {
    let began = Instant::now();
    while collection.info().building {
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

fn numbers(collection: &Collection, query: &Query) -> Vec<usize> {
    let number = |id| if let PointId::Num(number) = id { number as usize } else { usize::MAX };
    collection.search(query).expect("search").iter().map(|hit| number(hit.id)).collect()
}

/// The hits and the best time of three.
fn ask(collection: &Collection, query: &Query, best: &mut Vec<Duration>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        found = numbers(collection, query);
        least = least.min(began.elapsed());
    }
    best.push(least);
    found
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn truth(world: &World, query: &[f32], keep: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut all: Vec<(f32, usize)> = world
        .vectors
        .iter()
        .enumerate()
        .filter(|(i, _)| keep(*i))
        .map(|(i, vector)| (-dot(query, vector), i))
        .collect();
    let place = K.min(all.len().saturating_sub(1));
    if !all.is_empty() {
        all.select_nth_unstable_by(place, |a, b| a.0.total_cmp(&b.0));
    }
    all.truncate(K);
    all.into_iter().map(|(_, i)| i).collect()
}

fn filters(world: &mut World, collection: &Collection) {
    println!("| filter | keeps | short answers | recall@{K} | p50 | p99 | p99 to unfiltered |");
    println!("|---|---|---|---|---|---|---|");
    for relation in ["independent", "the query's region", "the far region"] {
        for share in SHARES {
            let is_by_lot = relation == "independent";
            let (key, values) = if is_by_lot { ("lot", &world.lot) } else { ("side", &world.side) };
            let around: Vec<usize> = (0..world.vectors.len())
                .filter(|&i| match relation {
                    "independent" => true,
                    "the far region" => world.side[i] >= 900,
                    _ => world.side[i] < share,
                })
                .collect();
            let filter = below(key, share);
            let (mut plain, mut filtered) = (Vec::new(), Vec::new());
            let (mut short, mut wanted, mut right) = (0, 0, 0);
            for _ in 0..QUERIES {
                let base = around[world.cloud.random.random_range(0..around.len())];
                let around = world.vectors[base].clone();
                let vector = world.cloud.near(&around, 0.02);
                let all = Query::new(vector.clone(), String::new(), K);
                let some = Query { filter: Some(filter.clone()), ..all.clone() };
                ask(collection, &all, &mut plain);
                let found = ask(collection, &some, &mut filtered);
                let truth = truth(world, &vector, |i| values[i] < share);
                short += usize::from(found.len() < truth.len());
                wanted += truth.len();
                right += truth.iter().filter(|i| found.contains(i)).count();
            }
            let p99 = quantile(&mut filtered, 0.99);
            println!(
                "| {relation} | {} % | {short} | {:.4} | {:.2?} | {p99:.2?} | {:.1} |",
                f64::from(share) / 10.0,
                right as f64 / wanted as f64,
                quantile(&mut filtered, 0.5),
                p99.as_secs_f64() / quantile(&mut plain, 0.99).as_secs_f64(),
            );
        }
    }
    println!();
    println!("| condition | points | count, indexed | count, not indexed | search, indexed | not indexed |");
    println!("|---|---|---|---|---|---|");
    let word = |text: &str| FieldCondition::Match(Match::Value(MatchValue::Keyword(text.into())));
    let range = |high: f64| FieldCondition::Range(Range { lt: Some(high), ..Range::default() });
    let asked = [
        ("colour", "a keyword of 8", word("colour 3")),
        ("tags", "a tag of 100", word("t7")),
        ("price", "a price range", range(5000.0)),
        ("price", "a price range", range(10.0)),
        ("title", "words", FieldCondition::Match(Match::Text("word7 word8".into()))),
    ];
    let query = Query::new(world.vectors[7].clone(), String::new(), K);
    let time = |filter: &Filter| {
        let (mut count, mut search, mut found) = (Duration::MAX, Duration::MAX, 0);
        for _ in 0..5 {
            let began = Instant::now();
            found = collection.count(Some(filter)).expect("count");
            count = count.min(began.elapsed());
            let began = Instant::now();
            numbers(collection, &Query { filter: Some(filter.clone()), ..query.clone() });
            search = search.min(began.elapsed());
        }
        (found, count, search)
    };
    for (key, what, condition) in asked {
        let filter = must(key, condition);
        let kind = INDEXES.iter().find(|(name, _)| *name == key).expect("an index").1;
        let (found, count, search) = time(&filter);
        collection.delete_payload_index(&path(key)).expect("delete index");
        let (found_without, count_without, search_without) = time(&filter);
        assert_eq!(found, found_without, "{what}");
        collection.create_payload_index(path(key), kind).expect("create index");
        println!(
            "| {what} | {found} | {count:.2?} | {count_without:.2?} | {search:.2?} | {search_without:.2?} |"
        );
    }
    println!();
}

fn start(dir: &Path) {
    println!("| payload indexes | open store | open collection |");
    println!("|---|---|---|");
    for are_there in [true, false, true] {
        let (store, collection) = open(dir);
        for (key, kind) in INDEXES {
            if are_there {
                collection.create_payload_index(path(key), kind).expect("create index");
            } else {
                collection.delete_payload_index(&path(key)).expect("delete index");
            }
        }
        settle(&collection);
        close(store, collection);
        for _ in 0..3 {
            let began = Instant::now();
            let store = Store::open(dir, StoreOptions::default()).expect("store");
            let opened = began.elapsed();
            let collection = Collection::open(store.volumes().pop().expect("volume")).expect("open");
            let number = if are_there { INDEXES.len() } else { 0 };
            println!("| {number} | {opened:.2?} | {:.2?} |", began.elapsed() - opened);
            settle(&collection);
            close(store, collection);
        }
    }
    println!();
}

fn close(store: Store, collection: Collection) {
    collection.keep_graphs();
    drop(collection);
    store.close().expect("close");
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: 0 kB");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn recall(world: &mut World, collection: &Collection) -> f64 {
    let mut right = 0;
    for _ in 0..QUERIES {
        let query = Query::new(world.cloud.draw(), String::new(), K);
        let found = numbers(collection, &query);
        let exact = numbers(collection, &Query { mode: Mode::Exact, ..query });
        right += exact.iter().filter(|i| found.contains(i)).count();
    }
    right as f64 / (QUERIES * K) as f64
}

fn deletes(world: &mut World, collection: &Collection) {
    println!("| | points | recall@{K} | in the graph | log | memory | until settled |");
    println!("|---|---|---|---|---|---|---|");
    let row = |what: &str, world: &mut World| {
        let settled = settle(collection);
        // Compaction of the log and what the allocator gives back take their time.
        std::thread::sleep(Duration::from_secs(10));
        let recall = recall(world, collection);
        let info = collection.info();
        println!(
            "| {what} | {} | {recall:.4} | {} | {} MiB | {} MiB | {settled:.1?} |",
            info.points,
            info.indexed_vectors,
            info.disk_bytes >> 20,
            resident_mib(),
        );
    };
    row("as filled", world);
    let points = world.vectors.len();
    for _ in 0..3 {
        for i in 0..points {
            world.vectors[i] = world.cloud.draw();
        }
        world.fill(collection, 0..points);
    }
    row("each updated three times", world);
    let gone = (0..points).filter(|_| world.cloud.random.random_bool(0.5));
    let gone: Vec<PointId> = gone.collect::<Vec<_>>().into_iter().map(|i| PointId::Num(i as u64)).collect();
    for some in gone.chunks(1000) {
        collection.delete(some.to_vec()).expect("delete");
    }
    row("a random half deleted", world);
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let part = std::env::var("PART").unwrap_or_default();
    let is_wanted = |name: &str| part.is_empty() || part == name;
    let dir = std::env::var("DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    let dir = tempfile::tempdir_in(dir).expect("dir");
    let mut world = World::new();
    let (store, collection) = open(dir.path());
    for (key, kind) in INDEXES {
        collection.create_payload_index(path(key), kind).expect("create index");
    }
    let began = Instant::now();
    world.fill(&collection, 0..world.vectors.len());
    println!("{} points of {SIZE} components written in {:.1?}", world.vectors.len(), began.elapsed());
    println!("graph ready {:.1?} later\n", settle(&collection));
    if is_wanted("filters") {
        filters(&mut world, &collection);
    }
    close(store, collection);
    if is_wanted("start") {
        start(dir.path());
    }
    if is_wanted("deletes") {
        let (_store, collection) = open(dir.path());
        deletes(&mut world, &collection);
    }
}
