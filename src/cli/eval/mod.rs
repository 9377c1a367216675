//! `lookalike eval`: compares models and prompt templates on labelled or captioned pictures, and
//! says which to use and how sure that is.
//!
//! `dataset` reads the pictures, `classes` their words, `templates` the candidates; `model` runs
//! one model over all of it; `figures` measures, `relevance` what hits say of themselves, `verdict` chooses; `report` is what comes out,
//! as `table`, JSON or `html` (with `plots`); `store` writes the choice into a collection.
//!
//! Invariant: a file that cannot be used is named and left out, a model that cannot be loaded is
//! named and the others go on; the verb fails only where nothing could be measured.

mod classes;
mod dataset;
mod figures;
mod html;
mod model;
mod plots;
mod relevance;
mod report;
mod store;
mod table;
mod templates;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::{SettingsArgs, serve};
use crate::measure::Resampling;
use report::{Measured, NotLoaded, Report};

/// Draws where the data are so large that fewer are enough for the time they take.
const FEWEST_RESAMPLES: usize = 200;
/// Places of rankings that all draws together may walk over: about half a minute of two cores.
const RANKING_BUDGET: usize = 8_000_000_000;

/// The figure that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Share of pictures whose label is found from its words (zero-shot top-1)
    Accuracy,
    /// The same, every label counting alike
    Balanced,
    /// Mean average precision of the pictures of a label, searched by its words
    Map,
    /// Share of captions whose own picture comes first (R@1)
    Caption,
}

#[derive(Args)]
pub struct EvalArgs {
    /// A folder ROOT/LABEL/picture, or a JSONL file with `file` and `label`, `caption` or `captions`
    #[arg(value_name = "PICTURES")]
    pictures: PathBuf,
    /// Models to compare: `bundled`, a directory, a hub id; may be repeated [default: bundled]
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// A template with one `{}`; may be repeated
    #[arg(long = "template", value_name = "TEMPLATE")]
    templates: Vec<String>,
    /// JSON list of templates: strings, {"name", "template"}, {"name", "templates"} or {"name", "per_class"}
    #[arg(long = "templates", value_name = "FILE")]
    templates_file: Option<PathBuf>,
    /// JSON object of the labels to use: label -> word, list of words, or {"words", "templates"}
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Field of the JSONL that holds the label
    #[arg(long, default_value = "label", value_name = "FIELD")]
    label_field: String,
    /// Field of the JSONL that holds the caption or captions [default: caption or captions]
    #[arg(long, value_name = "FIELD")]
    caption_field: Option<String>,
    /// The figure that decides [default: accuracy with labels, caption without]
    #[arg(long, value_enum)]
    metric: Option<Metric>,
    /// Most pictures; of more, as many are drawn
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    max_pictures: u32,
    /// Most captions that are searched for
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    max_captions: u32,
    /// Draws of the bootstrap
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    resamples: u32,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where the models run: auto, cpu, cuda or metal [default: auto]
    #[arg(long, value_parser = super::parse_device)]
    device: Option<crate::config::Device>,
    /// Numbers that the models calculate with: f32, bf16 or int8 (CPU), f16 (GPU) or auto [default: f32]
    #[arg(long, value_parser = super::parse_precision)]
    precision: Option<crate::config::Precision>,
    /// Never fetch a model from the hub
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    store: store::StoreArgs,
}

/// Runs the verb.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let target = store::Target::parse(&args.store)?;
    let settings = SettingsArgs::of_model(args.device, args.precision, args.offline).settings()?;
    let options = serve::embed_options(&settings);
    let source = dataset::Source {
        path: &args.pictures,
        label_field: &args.label_field,
        caption_field: args.caption_field.as_deref(),
        max_pictures: args.max_pictures as usize,
        max_captions: args.max_captions as usize,
        max_bytes: options.limits.max_bytes as u64,
        seed: args.seed,
    };
    let class_file = args.classes.as_deref().map(classes::ClassFile::read).transpose()?;
    let mut data = dataset::read(&source, class_file.as_ref())?;
    let classes = classes::Classes::new(&data.labels, class_file.as_ref());
    let sets = templates::candidates(&args.templates, args.templates_file.as_deref(), &classes, &data)?;
    let names = if args.models.is_empty() { vec![settings.model.clone()] } else { args.models.clone() };
    let (mut runs, mut not_loaded) = (Vec::new(), Vec::new());
    for name in &names {
        match model::Run::new(name, &options, &mut data, &classes, &sets) {
            Ok(run) => runs.push(run),
            Err(error) => {
                eprintln!("model {name} is left out: {error:#}");
                not_loaded.push(NotLoaded { model: name.clone(), error: format!("{error:#}") });
            }
        }
    }
    for problem in &data.problems {
        eprintln!("left out: {problem}");
    }
    if runs.is_empty() {
        bail!(
            "no model could be measured: {}",
            not_loaded.iter().map(|n| format!("{}: {}", n.model, n.error)).collect::<Vec<_>>().join("; ")
        );
    }
    data.keep_usable(&mut runs)?;
    let metric =
        args.metric.unwrap_or(if data.labels.len() >= 2 { Metric::Accuracy } else { Metric::Caption });
    let how = Resampling { resamples: args.resamples as usize, seed: args.seed, level: 0.95 };
    let figures = figures::measure(&data, &classes, &sets, &runs);
    let verdict = verdict::Verdict::new(metric, &how, &data, &runs[0].pictures, &figures)?;
    let measured = Measured {
        data: &data,
        classes: &classes,
        sets: &sets,
        runs: &runs,
        figures: &figures,
        verdict: &verdict,
    };
    let report = Report::new(&args.pictures, &measured, not_loaded);
    println!("{}", table::render(&report));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).context("the report as JSON")?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("JSON: {}", path.display());
    }
    if let Some(path) = &args.html {
        let page = html::render(&report)?;
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
        println!("HTML: {}", path.display());
    }
    if let Some(target) = target {
        println!("{}", target.store(&report, &sets)?);
    }
    Ok(())
}

/// The draws that the data allow: all that were asked for, or as many as fit the budget.
fn affordable(asked: usize, places: usize) -> usize {
    asked.min((RANKING_BUDGET / places.max(1)).max(FEWEST_RESAMPLES))
}
