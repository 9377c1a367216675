//! `lookalike demo`: the main job from nothing. Starts the server, ingests the sample pictures
//! that are inside the binary over its own HTTP API, searches them by text and by picture, and
//! keeps serving.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use include_dir::{Dir, include_dir};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::{SettingsArgs, serve};

/// Origin and licences are in `samples/README.md`.
static SAMPLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/samples");

/// The collection that the demo fills.
const COLLECTION: &str = "demo";
/// Pictures of one request.
const BATCH: usize = 32;
/// A call on the server ends after this time.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Hits shown of each search.
const HITS: usize = 5;
/// The text searches.
const TEXTS: [&str; 3] = ["pants", "red apple", "birthday cake"];
/// The picture that the image search starts from.
const PICTURE: &str = "pictograms/dog-face-fluent-flat.png";

#[derive(Args)]
pub struct DemoArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// End after the searches instead of serving on
    #[arg(long)]
    exit: bool,
}

/// One line of `samples.jsonl`.
#[derive(Deserialize)]
struct Sample {
    file: String,
    #[serde(flatten)]
    about: serde_json::Map<String, Value>,
}

/// Runs the verb.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut settings = args.settings.settings()?;
    let exit = args.exit;
    if args.settings.port.is_none() && std::net::TcpListener::bind(settings.address()).is_err() {
        eprintln!("port {} is taken, using another one", settings.port);
        settings.port = 0;
    }
    actix_web::rt::System::new().block_on(async move {
        let started = serve::start(&settings)?;
        println!("{}", started.banner);
        let client = Client::new(&reachable(started.bound.address), settings.api_key.clone(), TIMEOUT);
        let handle = started.bound.server.handle();
        let showing = tokio::task::spawn_blocking(move || show(&client));
        let watch = actix_web::rt::spawn(async move {
            let shown = match showing.await {
                Ok(shown) => shown,
                Err(error) => Err(anyhow::anyhow!("the demo panicked: {error}")),
            };
            match &shown {
                Ok(()) if !exit => println!("\nServing until Ctrl-C."),
                _ => handle.stop(true).await,
            }
            shown
        });
        started.bound.server.await?;
        serve::stop(&started.engine)?;
        // Ctrl-C may come before the searches are done: then there is nothing to report.
        if watch.is_finished() { watch.await? } else { Ok(()) }
    })
}

fn show(client: &Client) -> anyhow::Result<()> {
    let samples = samples()?;
    ingest(client, &samples)?;
    for text in TEXTS {
        println!("\nText: \"{text}\"");
        print_hits(&query(client, &json!({"text": text}))?);
    }
    println!("\nPicture: {PICTURE}");
    print_hits(&query(client, &json!({"image": STANDARD.encode(picture(PICTURE)?)}))?);
    println!(
        "\nOpen {url}/openapi.json for the whole API, or try:\n\n  curl -s {url}/collections/{COLLECTION}/points/query{auth} \\\n    -H 'content-type: application/json' \\\n    -d '{{\"query\": {{\"text\": \"pizza\"}}, \"limit\": 3, \"with_payload\": true}}'",
        url = client.url,
        auth = if client.api_key.is_some() { " -H \"api-key: $KEY\"" } else { "" },
    );
    Ok(())
}

fn samples() -> anyhow::Result<Vec<Sample>> {
    let list = SAMPLES.get_file("samples.jsonl").and_then(|file| file.contents_utf8());
    let list = list.context("samples.jsonl is missing from the binary")?;
    list.lines().map(|line| serde_json::from_str(line).context("samples.jsonl")).collect()
}

/// The bytes of the sample pictures, in the order of their list.
pub fn pictures() -> impl Iterator<Item = &'static [u8]> {
    samples().unwrap_or_default().into_iter().filter_map(|sample| picture(&sample.file).ok())
}

fn picture(file: &str) -> anyhow::Result<&'static [u8]> {
    SAMPLES
        .get_file(file)
        .map(|f| f.contents())
        .with_context(|| format!("sample {file} is missing from the binary"))
}

fn ingest(client: &Client, samples: &[Sample]) -> anyhow::Result<()> {
    if count(client)? == Some(samples.len() as u64) {
        println!("The {} sample pictures are already in collection `{COLLECTION}`.", samples.len());
        return Ok(());
    }
    client.call("DELETE", &format!("/collections/{COLLECTION}"), None)?;
    let about = json!({"metadata": {"about": "lookalike's sample pictures"}});
    client.call("PUT", &format!("/collections/{COLLECTION}"), Some(&about))?;
    let began = Instant::now();
    let bar = ProgressBar::new(samples.len() as u64).with_style(ProgressStyle::with_template(
        "{msg} {bar:40} {pos}/{len} pictures, {per_sec}, {eta} left",
    )?);
    bar.set_message("Ingesting");
    for (i, batch) in samples.chunks(BATCH).enumerate() {
        let point = |(j, sample): (usize, &Sample)| -> anyhow::Result<Value> {
            let mut payload = sample.about.clone();
            payload.insert("file".into(), sample.file.clone().into());
            let image = STANDARD.encode(picture(&sample.file)?);
            Ok(json!({"id": i * BATCH + j, "vector": {"image": image}, "payload": payload}))
        };
        let points = batch.iter().enumerate().map(point).collect::<anyhow::Result<Vec<_>>>()?;
        let body = json!({"points": points});
        client.call("PUT", &format!("/collections/{COLLECTION}/points"), Some(&body))?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let secs = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = samples.len() as f64 / secs;
    println!("Ingested {} pictures in {secs:.1} s ({rate:.0} pictures/s).", samples.len());
    Ok(())
}

fn print_hits(hits: &[Value]) {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(comfy_table::presets::UTF8_BORDERS_ONLY)
        .set_header(["", "score", "kind", "label", "file"]);
    for (i, hit) in hits.iter().enumerate() {
        let text = |key: &str| hit["payload"][key].as_str().unwrap_or("").to_owned();
        let score = format!("{:.3}", hit["score"].as_f64().unwrap_or_default());
        table.add_row([(i + 1).to_string(), score, text("kind"), text("label"), text("file")]);
    }
    println!("{table}");
}

/// The address as a client on this machine reaches it.
fn reachable(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}

/// How many points the collection has; `None` where it is absent.
fn count(client: &Client) -> anyhow::Result<Option<u64>> {
    let exists = client.call("GET", &format!("/collections/{COLLECTION}/exists"), None)?;
    if exists["exists"] != true {
        return Ok(None);
    }
    Ok(client.call("GET", &format!("/collections/{COLLECTION}"), None)?["points_count"].as_u64())
}

fn query(client: &Client, query: &Value) -> anyhow::Result<Vec<Value>> {
    let body = json!({"query": query, "limit": HITS, "with_payload": true});
    let answer = client.call("POST", &format!("/collections/{COLLECTION}/points/query"), Some(&body))?;
    Ok(answer["points"].as_array().cloned().unwrap_or_default())
}
