//! `lookalike adapt`: asks a server to fit heads on a collection's labelled points, and prints
//! what each candidate reaches on the held-out ones.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::client::Client;
use crate::types::CollectionName;

/// A fit may take its time.
const TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Args)]
pub struct AdaptArgs {
    /// The server
    #[arg(long, env = "LOOKALIKE_URL", default_value = "http://localhost:6333", value_name = "URL")]
    url: String,
    /// Key for the server
    #[arg(long, env = "LOOKALIKE_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// The collection
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Path of the payload field with the labels
    #[arg(long, value_name = "KEY")]
    label: String,
    /// A word for a label, as `tee=t-shirt`; may be repeated, also for one label
    #[arg(long = "word", value_name = "LABEL=TEXT")]
    words: Vec<String>,
    /// Name of the vector [default: the unnamed one]
    #[arg(long, value_name = "NAME")]
    vector: Option<String>,
    /// A candidate: centre, whiten, within or ridge; may be repeated [default: all]
    #[arg(long = "candidate", value_name = "KIND")]
    candidates: Vec<String>,
    /// The share of points that is held out
    #[arg(long, default_value_t = 0.3)]
    holdout: f64,
    /// Seed of the split
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Store the head but do not apply it
    #[arg(long)]
    never_apply: bool,
}

/// Runs the verb.
pub fn run(args: &AdaptArgs) -> anyhow::Result<()> {
    let collection = CollectionName::parse(&args.collection).context("--collection")?;
    let mut words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pair in &args.words {
        let Some((label, word)) = pair.split_once('=') else {
            bail!("--word `{pair}`: expected LABEL=TEXT");
        };
        words.entry(label).or_default().push(word);
    }
    let mut body = json!({
        "label": args.label, "holdout": args.holdout, "seed": args.seed, "words": words,
        "apply": if args.never_apply { "never" } else { "if_better" },
    });
    if let Some(vector) = &args.vector {
        body["vector"] = json!(vector);
    }
    if !args.candidates.is_empty() {
        body["candidates"] = json!(args.candidates);
    }
    let client = Client::new(&args.url, args.api_key.clone(), TIMEOUT);
    let path = format!("/collections/{collection}/adapt?timeout={}", TIMEOUT.as_secs());
    let version = client.call("POST", &path, Some(&body))?;
    println!("{}", render(&version));
    Ok(())
}

fn render(version: &Value) -> String {
    let mut text = format!(
        "{} points with {} labels at `{}`, model {}\n",
        version["points"],
        version["labels"],
        version["label"].as_str().unwrap_or_default(),
        version["model"].as_str().unwrap_or_default()
    );
    for comparison in version["comparisons"].as_array().into_iter().flatten() {
        let modality = comparison["modality"].as_str().unwrap_or_default();
        text += &format!(
            "\n{modality} queries: fitted on {}, measured on {} held-out points\n{}\n",
            comparison["fitted_on"],
            comparison["held_out"],
            table(comparison)
        );
        let best = comparison["best"].as_str().unwrap_or_default();
        text += &if comparison["wins"] == true {
            format!("`{best}` is better than no head.\n")
        } else {
            "No head is better than none.\n".to_owned()
        };
    }
    for note in version["notes"].as_array().into_iter().flatten() {
        text += &format!("\n{}\n", note.as_str().unwrap_or_default());
    }
    let applied: Vec<&str> =
        version["applied_to"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    text += &format!(
        "\nStored as version {}, applied to {}.",
        version["version"],
        if applied.is_empty() { "no queries".to_owned() } else { applied.join(" and ") + " queries" }
    );
    text
}

fn table(comparison: &Value) -> Table {
    let is_text = comparison["modality"] == "text";
    let mut table = Table::new();
    let first = if is_text { "accuracy" } else { "R@1" };
    let mut header = vec!["head", "strength", "mAP", first, "gain in mAP", "interval"];
    if is_text {
        header.push("gain, unseen words");
    }
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    let number = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:.3}"));
    let signed = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:+.3}"));
    for candidate in comparison["candidates"].as_array().into_iter().flatten() {
        let gain = &candidate["gain"];
        let interval = match gain["interval"]["low"].as_f64() {
            Some(_) => {
                format!("{} to {}", signed(&gain["interval"]["low"]), signed(&gain["interval"]["high"]))
            }
            None => "-".to_owned(),
        };
        let mut row = vec![
            candidate["kind"].as_str().unwrap_or_default().to_owned(),
            number(&candidate["strength"]),
            number(&candidate["map"]),
            number(&candidate["first"]),
            signed(&gain["map"]),
            interval,
        ];
        if is_text {
            row.push(signed(&gain["unseen_words"]));
        }
        table.add_row(row);
    }
    table
}
