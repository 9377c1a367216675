//! `lookalike bench`: what this machine reaches, in a minute: a server of its own over a folder that is
//! removed afterwards ingests the sample pictures, embeds texts, and answers queries by words and by
//! stored points, one at a time. Every figure goes the whole way over HTTP.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::{Table, presets};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::client::Client;
use super::{SettingsArgs, demo, import, serve};
use crate::config::{Device, Precision};

/// The collections that it fills.
const PICTURES: &str = "/collections/pictures";
const VECTORS: &str = "/collections/vectors";
/// Vectors of one request.
const BATCH: usize = 500;
/// Texts of one request.
const TEXTS: usize = 32;
/// Fewest queries that a percentile is said of.
const LEAST: usize = 20;
/// Longest wait for the graph of the vectors.
const GRAPH: Duration = Duration::from_secs(120);

#[derive(Args, Clone)]
pub struct BenchArgs {
    /// `bundled`, a directory in Hugging Face layout, or a hub id [default: bundled]
    #[arg(long)]
    model: Option<String>,
    /// Where the model runs: auto, cpu, cuda or metal [default: auto]
    #[arg(long, value_parser = super::parse_device)]
    device: Option<Device>,
    /// Numbers that the model calculates with: f32, bf16 or int8 (CPU), f16 (GPU) or auto [default: f32]
    #[arg(long, value_parser = super::parse_precision)]
    precision: Option<Precision>,
    /// Never fetch a model from the hub
    #[arg(long)]
    offline: bool,
    /// Random vectors that are searched among
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    points: u32,
    /// Longest time of each measurement, seconds
    #[arg(long, value_name = "SECS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the verb.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let dir = Scratch(std::env::temp_dir().join(format!("lookalike-bench-{}", uuid::Uuid::new_v4())));
    let flags = SettingsArgs {
        data_dir: Some(dir.0.clone()),
        model: args.model.clone(),
        ..SettingsArgs::of_model(args.device, args.precision, args.offline)
    };
    let began = Instant::now();
    let work = {
        let args = args.clone();
        move |client: &Client| measure(client, &args, began.elapsed())
    };
    let figures = serve::around(flags.settings()?, work)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", table(&figures));
    }
    Ok(())
}

fn measure(client: &Client, args: &BenchArgs, start: Duration) -> anyhow::Result<Value> {
    let limit = Duration::from_secs(args.seconds);
    let model = client.call("GET", "/models", None)?["models"][0].clone();
    client.call("PUT", PICTURES, Some(&json!({})))?;
    let (pictures, secs) = ingest(client, limit)?;
    let texts = embed_texts(client, limit)?;
    let by_text =
        queries(client, PICTURES, limit, |i| json!({"text": format!("a picture of thing number {i}")}))?;
    let dimension = usize::try_from(model["dimension"].as_u64().unwrap_or(256))?;
    fill(client, dimension, args.points)?;
    let by_point = queries(client, VECTORS, limit, |i| json!(i % u64::from(args.points)))?;
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"), "debug": cfg!(debug_assertions),
        "cores": std::thread::available_parallelism().map_or(0, usize::from), "model": model,
        "start_secs": start.as_secs_f64(),
        "pictures": {"count": pictures, "per_sec": per_sec(pictures, secs)},
        "texts": {"per_sec": texts},
        "query_by_text_ms": by_text, "query_by_point_ms": by_point, "points": args.points,
    }))
}

/// Pictures that were ingested, and the seconds it took.
fn ingest(client: &Client, limit: Duration) -> anyhow::Result<(u64, f64)> {
    let began = Instant::now();
    let until = began + limit;
    let pictures = demo::pictures().take_while(|_| Instant::now() < until);
    let sent = import::send_bytes(client, PICTURES, pictures, &AtomicBool::new(false))?;
    Ok((sent, began.elapsed().as_secs_f64()))
}

/// Texts a second.
fn embed_texts(client: &Client, limit: Duration) -> anyhow::Result<f64> {
    let (began, mut done) = (Instant::now(), 0);
    while began.elapsed() < limit.min(Duration::from_secs(3)) {
        let texts: Vec<_> =
            (done..done + TEXTS).map(|i| json!({"text": format!("photo of a red cup, {i}")})).collect();
        client.call("POST", "/embed", Some(&json!({"inputs": texts})))?;
        done += TEXTS;
    }
    Ok(per_sec(done as u64, began.elapsed().as_secs_f64()))
}

/// Random vectors, and the wait until the index has its graph.
fn fill(client: &Client, dimension: usize, count: u32) -> anyhow::Result<()> {
    client.call("PUT", VECTORS, Some(&json!({"vectors": {"size": dimension, "distance": "Cosine"}})))?;
    let mut random = SmallRng::seed_from_u64(1);
    let ids: Vec<u32> = (0..count).collect();
    for ids in ids.chunks(BATCH) {
        let mut point = |id: &u32| {
            let vector: Vec<f32> = (0..dimension).map(|_| random.random_range(-1.0..1.0)).collect();
            json!({"id": id, "vector": vector})
        };
        let points: Vec<_> = ids.iter().map(&mut point).collect();
        client.call("PUT", &format!("{VECTORS}/points?wait=true"), Some(&json!({"points": points})))?;
    }
    let began = Instant::now();
    while began.elapsed() < GRAPH && client.call("GET", VECTORS, None)?["status"] != "green" {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Percentiles of queries, one at a time, in milliseconds.
fn queries(
    client: &Client,
    path: &str,
    limit: Duration,
    query: impl Fn(u64) -> Value,
) -> anyhow::Result<Value> {
    let (path, began, mut times) = (format!("{path}/points/query"), Instant::now(), Vec::new());
    while times.len() < LEAST || (began.elapsed() < limit && times.len() < 1000) {
        let body = json!({"query": query(times.len() as u64), "limit": 10});
        let asked = Instant::now();
        client.call("POST", &path, Some(&body))?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    Ok(json!({"queries": times.len(), "p50": at(50), "p95": at(95), "p99": at(99)}))
}

#[allow(clippy::cast_precision_loss)]
fn per_sec(count: u64, secs: f64) -> f64 {
    count as f64 / secs.max(1e-6)
}

fn table(figures: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or_else(String::new, |value| format!("{value:.1}"));
    let percentiles =
        |value: &Value| ["p50", "p95", "p99"].map(|p| format!("{p} {} ms", number(&value[p]))).join(", ");
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["what", "measured"]);
    let model = &figures["model"];
    let name = |key: &str| model[key].as_str().unwrap_or_default().to_owned();
    table.add_row([
        "model".to_owned(),
        format!("{}, {}, {}, {} cores", name("name"), name("device"), name("precision"), figures["cores"]),
    ]);
    table.add_row([
        "start, empty".to_owned(),
        format!("{:.2} s", figures["start_secs"].as_f64().unwrap_or_default()),
    ]);
    table.add_row([
        "pictures ingested".to_owned(),
        format!("{}/s ({} pictures)", number(&figures["pictures"]["per_sec"]), figures["pictures"]["count"]),
    ]);
    table.add_row(["texts embedded".to_owned(), format!("{}/s", number(&figures["texts"]["per_sec"]))]);
    table.add_row(["query by words".to_owned(), percentiles(&figures["query_by_text_ms"])]);
    table.add_row([
        format!("query by a point among {}", figures["points"]),
        percentiles(&figures["query_by_point_ms"]),
    ]);
    let note = if figures["debug"] == true {
        "\nThis is a build with debug assertions; a release build is faster."
    } else {
        ""
    };
    format!("{table}{note}")
}
