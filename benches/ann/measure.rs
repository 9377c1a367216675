//! What every engine in Rust does the same in `benches/ann/`: reads a data set, times queries, counts what
//! was found and prints one JSON line for each setting. `peers.py` does the same for those in Python.
//!
//! Speed is queries per second of the best round, and queries per CPU second over all rounds, which
//! other load on the machine does not change much. Memory is what is resident beyond what was before
//! the build; rows are read from their file one by one, so that only what the engine keeps is counted.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::{Value, json};

/// Hits of a query.
pub const K: usize = 10;
/// Neighbours of a row in the graph; twice as many in the lowest layer.
pub const M: usize = 16;
/// Candidates of a row while it is put in.
pub const EF_CONSTRUCTION: usize = 200;
const EFS: [usize; 14] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
const FILTERED_EFS: [usize; 6] = [16, 64, 128, 256, 512, 1024];
const FILTERED_QUERIES: usize = 200;
/// The curve ends where nearly everything is found.
const ENOUGH: f64 = 0.9995;
/// Where a second thread is looked at: at the first setting that finds so much.
const SCALED_AT: [f64; 2] = [0.95, 0.99];
/// Scores that differ by less are the same but for rounding.
const TIE: f64 = 1e-6;
/// CPU time is counted in hundredths of a second; a measurement takes at least so many seconds of it.
static SPAN_S: LazyLock<f64> =
    LazyLock::new(|| std::env::var("ANN_SPAN_S").map_or(1.0, |text| text.parse().unwrap()));

/// How a query is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub ef: usize,
    /// So many times [`K`] of the best by bytes are compared exactly; 0 is the engine's own choice.
    pub rescored: f64,
    /// Only rows whose number it divides.
    pub keep: u32,
}

/// An engine with all rows in it. Row numbers are ids.
pub trait Engine: Sync {
    /// Values of `Ask::rescored` to try, the usual one first. What is best at a recall counts.
    fn rescored(&self) -> &[f64];
    /// The [`K`] nearest rows.
    fn search(&self, query: &[f32], ask: Ask) -> Vec<u32>;
}

/// What is to be done: `DIR BUILD_THREADS STAGES THREADS`, where STAGES are `search`, `filter` and
/// `scale` with commas, or `-` for the build alone, and THREADS is what `scale` goes up to.
#[derive(Debug, Clone)]
pub struct Job {
    dir: PathBuf,
    pub build_threads: usize,
    stages: String,
    threads: usize,
}

impl Job {
    pub fn parse(arguments: &[String]) -> Option<Job> {
        let [dir, build_threads, stages, threads, ..] = arguments else { return None };
        let (build_threads, threads) = (build_threads.parse().ok()?, threads.parse().ok()?);
        Some(Job { dir: dir.into(), build_threads, stages: stages.clone(), threads })
    }
}

/// A data set, its rows left in the file.
pub struct Set {
    pub dimension: usize,
    pub rows: usize,
    pub keeps: Vec<u32>,
    base: File,
    queries: Vec<Vec<f32>>,
    /// For each of `keeps` each query's tenth best score.
    tenth: Vec<Vec<f32>>,
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

impl Set {
    pub fn open(job: &Job) -> Set {
        let file = |name: &str| job.dir.join(name);
        let read = |name: &str| std::fs::read(file(name)).unwrap();
        let about: Value = serde_json::from_slice(&read("set.json")).unwrap();
        let number = |name: &str| about[name].as_u64().unwrap() as usize;
        let keeps = about["keeps"].as_array().unwrap().iter().map(|k| k.as_u64().unwrap() as u32).collect();
        let dimension = number("dimension");
        let split = |name: &str, width: usize| -> Vec<Vec<f32>> {
            read(name).chunks_exact(4 * width).map(floats).collect()
        };
        Set {
            dimension,
            rows: number("rows"),
            keeps,
            base: File::open(file("base.f32")).unwrap(),
            queries: split("queries.f32", dimension),
            tenth: split("tenth.f32", number("queries")),
        }
    }

    /// The file of the rows, one behind the other.
    pub fn file(&self) -> File {
        self.base.try_clone().unwrap()
    }

    /// Every row, in order.
    pub fn for_each_row(&self, mut put: impl FnMut(u32, &[f32])) {
        let mut reader = BufReader::with_capacity(1 << 20, self.file());
        let mut bytes = vec![0; 4 * self.dimension];
        for number in 0..self.rows {
            reader.read_exact(&mut bytes).unwrap();
            put(number as u32, &floats(&bytes));
        }
    }

    /// Of what was found for a query, how much is right: it scores no worse than the tenth of the truth.
    fn right(&self, query: usize, found: &[u32], level: usize) -> usize {
        let mut bytes = vec![0; 4 * self.dimension];
        let is_right = |row: &&u32| {
            let keep = self.keeps[level];
            let start = u64::from(**row) * bytes.len() as u64;
            self.base.read_exact_at(&mut bytes, start).unwrap();
            let row_vector = floats(&bytes);
            let products =
                row_vector.iter().zip(&self.queries[query]).map(|(a, b)| f64::from(*a) * f64::from(*b));
            row.is_multiple_of(keep) && products.sum::<f64>() >= f64::from(self.tenth[level][query]) - TIE
        };
        found.iter().filter(is_right).count()
    }
}

/// CPU seconds of this process so far, all threads.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Bytes that are resident, and of these those that no file stands behind.
fn resident() -> (i64, i64) {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 1024
    };
    (of("VmRSS:"), of("RssAnon:"))
}

/// Builds, asks and prints. `settings` says in words how the engine was set.
pub fn run<E: Engine>(name: &str, settings: &str, job: &Job, build: impl FnOnce(&Set) -> E) {
    let set = Set::open(job);
    let before = resident();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let engine = build(&set);
    let mut built = json!({
        "engine": name, "stage": "build", "settings": settings, "threads": job.build_threads,
        "build_s": began.elapsed().as_secs_f64(), "build_cpu_s": cpu_seconds() - cpu,
    });
    let has = |stage: &str| job.stages.split(',').any(|s| s == stage);
    let mut curve = Vec::new();
    if has("search") {
        curve = searched(name, &engine, &set);
    }
    // After the queries, so that what they bring in from files is counted.
    let (all, anonymous) = resident();
    built["bytes"] = json!(all - before.0);
    built["anonymous_bytes"] = json!(anonymous - before.1);
    println!("{built}");
    if has("filter") {
        filtered(name, &engine, &set);
    }
    if has("scale") {
        scaled(name, &engine, &set, &curve, job.threads);
    }
}

/// A setting, what it found and how fast.
type Point = (Ask, f64, f64);

fn searched<E: Engine>(name: &str, engine: &E, set: &Set) -> Vec<Point> {
    let mut curve = Vec::new();
    for &rescored in engine.rescored() {
        for ef in EFS {
            let ask = Ask { ef, rescored, keep: 1 };
            let (recall, qps, per_cpu_s) = timed(engine, set, set.queries.len(), ask, 0);
            curve.push((ask, recall, per_cpu_s));
            println!(
                "{}",
                json!({
                    "engine": name, "stage": "search", "ef": ef, "rescored": rescored, "recall": recall,
                    "qps": qps, "per_cpu_s": per_cpu_s,
                })
            );
            if recall >= ENOUGH {
                break;
            }
        }
    }
    curve
}

fn filtered<E: Engine>(name: &str, engine: &E, set: &Set) {
    for (level, &keep) in set.keeps.iter().enumerate() {
        if keep == 1 || set.rows / (keep as usize) < K {
            continue;
        }
        for ef in FILTERED_EFS {
            let few = FILTERED_QUERIES.min(set.queries.len());
            let ask = Ask { ef, rescored: engine.rescored()[0], keep };
            let (recall, qps, per_cpu_s) = timed(engine, set, few, ask, level);
            println!(
                "{}",
                json!({
                    "engine": name, "stage": "filter", "keep": 1.0 / f64::from(keep), "ef": ef, "recall": recall,
                    "qps": qps, "per_cpu_s": per_cpu_s,
                })
            );
            if recall >= ENOUGH {
                break;
            }
        }
    }
}

/// Rounds with one thread and with several in turn, at the fastest setting that finds so much; the best of each.
fn scaled<E: Engine>(name: &str, engine: &E, set: &Set, curve: &[Point], threads: usize) {
    for least in SCALED_AT {
        let reached = curve.iter().filter(|(_, recall, _)| *recall >= least);
        let Some(&(ask, recall, _)) = reached.max_by(|a, b| a.2.total_cmp(&b.2)) else { continue };
        let (mut one, mut many, began) = (0.0f64, 0.0f64, Instant::now());
        let mut rounds = 0;
        while rounds < 5 || began.elapsed().as_secs_f64() < 4.0 * *SPAN_S {
            one = one.max(round(engine, set, ask, 1));
            many = many.max(round(engine, set, ask, threads));
            rounds += 1;
        }
        println!(
            "{}",
            json!({
                "engine": name, "stage": "scale", "ef": ask.ef, "rescored": ask.rescored, "recall": recall,
                "threads": threads, "qps_1": one, "qps": many,
            })
        );
    }
}

/// Queries per second of wall time over one round of all queries.
fn round<E: Engine>(engine: &E, set: &Set, ask: Ask, threads: usize) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in set.queries.chunks(set.queries.len().div_ceil(threads)) {
            scope.spawn(move || part.iter().for_each(|query| drop(engine.search(query, ask))));
        }
    });
    set.queries.len() as f64 / began.elapsed().as_secs_f64()
}

/// (recall, queries per second of the best round, queries per CPU second), one thread.
fn timed<E: Engine>(engine: &E, set: &Set, queries: usize, ask: Ask, level: usize) -> (f64, f64, f64) {
    let (mut best, mut asked, cpu) = (0.0f64, 0, cpu_seconds());
    let mut found: Vec<Vec<u32>> = Vec::new();
    while asked == 0 || cpu_seconds() - cpu < *SPAN_S {
        let began = Instant::now();
        found = set.queries[..queries].iter().map(|query| engine.search(query, ask)).collect();
        best = best.max(queries as f64 / began.elapsed().as_secs_f64());
        asked += queries;
    }
    let per_cpu_s = asked as f64 / (cpu_seconds() - cpu);
    let right: usize = found.iter().enumerate().map(|(query, found)| set.right(query, found, level)).sum();
    (right as f64 / (queries * K) as f64, best, per_cpu_s)
}
