//! What an evaluation says, as it stands in the JSON; the table and the page show the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Metric;
use super::classes::Classes;
use super::dataset::Dataset;
use super::figures::{RunFigures, SetFigures, labelled};
use super::model::Run;
use super::relevance::{self, Reliability};
use super::templates::TemplateSet;
use super::verdict::Verdict;
use crate::measure::{
    Interval, Ranking, average_precision_by_chance, hit_by_chance, mean_average_precision, mean_over, median,
    ones,
};

/// Problems that are listed; of more, the number is said.
const MAX_PROBLEMS: usize = 1000;

/// A model that could not be measured.
#[derive(Serialize)]
pub struct NotLoaded {
    pub model: String,
    pub error: String,
}

/// A figure with its interval of 95 %.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figure {
    pub value: f64,
    pub interval: Option<Interval>,
}

/// One model with one set of templates.
#[derive(Serialize)]
pub struct SetReport {
    pub set: String,
    /// Zero-shot: share of pictures whose label comes first.
    pub accuracy: Option<Figure>,
    pub top5: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    /// Pictures of a label, searched by its words.
    pub map: Option<Figure>,
    pub precision_at_10: Option<f64>,
    pub label_recall: BTreeMap<String, f64>,
    /// Captions: share whose own picture comes first.
    pub caption_r1: Option<Figure>,
    pub caption_recall: BTreeMap<String, f64>,
    pub caption_median_rank: Option<f64>,
    /// What the relevance of hits is worth, searched by captions, or by labels where there are none.
    pub relevance: Option<Reliability>,
}

/// One model.
#[derive(Serialize)]
pub struct ModelReport {
    pub model: String,
    pub fingerprint: String,
    pub dimension: usize,
    pub device: &'static str,
    pub load_secs: f64,
    pub pictures_per_sec: f64,
    pub texts_per_sec: f64,
    /// Other pictures of the label, searched by a picture.
    pub picture_to_picture_map: Option<Figure>,
    pub picture_to_picture_r1: Option<f64>,
    /// What the relevance of hits is worth, searched by pictures.
    pub picture_relevance: Option<Reliability>,
    pub sets: Vec<SetReport>,
}

/// What random order or guessing reaches.
#[derive(Serialize)]
pub struct Chance {
    pub accuracy: Option<f64>,
    pub top5: Option<f64>,
    pub map: Option<f64>,
    pub precision_at_10: Option<f64>,
    pub label_r1: Option<f64>,
    pub caption_r1: Option<f64>,
    pub caption_r10: Option<f64>,
    pub picture_to_picture_map: Option<f64>,
}

/// Which to use.
#[derive(Serialize)]
pub struct Recommendation {
    pub model: String,
    pub set: String,
    pub templates: Vec<String>,
    pub metric: &'static str,
    /// Measured on the pictures that chose it.
    pub apparent: Figure,
    /// Chosen on one half, measured on the other.
    pub honest: Option<Figure>,
    pub runner_up: Option<RunnerUp>,
    /// Share of the draws in which it comes first.
    pub comes_first: f64,
    pub sentence: String,
}

/// The second best.
#[derive(Serialize)]
pub struct RunnerUp {
    pub model: String,
    pub set: String,
    pub lead: f64,
    pub lead_interval: Interval,
    /// Share of the draws in which the chosen one is ahead of it.
    pub ahead: f64,
}

/// One class under the recommended candidate.
#[derive(Serialize)]
pub struct ClassReport {
    pub label: String,
    pub words: Vec<String>,
    pub pictures: u32,
    pub found: u32,
    pub average_precision: Option<f64>,
}

/// The whole.
#[derive(Serialize)]
pub struct Report {
    pub lookalike_eval: u32,
    pub version: &'static str,
    pub source: String,
    pub pictures_found: usize,
    pub pictures: usize,
    pub labels: usize,
    pub captions: usize,
    pub resamples: usize,
    pub seed: u64,
    pub left_out: usize,
    pub problems: Vec<String>,
    pub not_loaded: Vec<NotLoaded>,
    pub template_sets: Vec<TemplateSet>,
    pub chance: Chance,
    pub models: Vec<ModelReport>,
    pub recommendation: Recommendation,
    /// Every candidate by the deciding figure, as `model / set`.
    pub deciding: Vec<(String, String, Option<Figure>)>,
    pub classes: Vec<ClassReport>,
    /// `[true][predicted]` of the recommended candidate, in the order of `classes`.
    pub confusion: Vec<Vec<u32>>,
}

/// Everything that was measured.
pub struct Measured<'a> {
    pub data: &'a Dataset,
    pub classes: &'a Classes,
    pub sets: &'a [TemplateSet],
    pub runs: &'a [Run],
    pub figures: &'a [RunFigures],
    pub verdict: &'a Verdict,
}

/// The name of a deciding figure.
pub fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "zero-shot accuracy",
        Metric::Balanced => "balanced zero-shot accuracy",
        Metric::Map => "mAP of label search",
        Metric::Caption => "R@1 of caption search",
    }
}

impl Report {
    /// Puts everything together.
    pub fn new(source: &Path, measured: &Measured<'_>, not_loaded: Vec<NotLoaded>) -> Self {
        let Measured { data, classes, sets, runs, figures, verdict } = measured;
        let models: Vec<ModelReport> = (0..runs.len()).map(|r| model(measured, r)).collect();
        let (best_run, best_set) = verdict.candidates[verdict.choice.best];
        let best = &figures[best_run].sets[best_set];
        let weights = ones(data.pictures.len());
        let labelled = labelled(data);
        let deciding = verdict.candidates.iter().zip(&verdict.choice.intervals).map(|(&(r, s), interval)| {
            let value = figures[r].sets[s].figure(verdict.metric, &labelled)(&weights);
            (
                runs[r].info.name.clone(),
                sets[s].name.clone(),
                value.map(|value| Figure { value, interval: *interval }),
            )
        });
        Self {
            lookalike_eval: 1,
            version: env!("CARGO_PKG_VERSION"),
            source: source.display().to_string(),
            pictures_found: data.found,
            pictures: data.pictures.len(),
            labels: data.labels.len(),
            captions: data.captions.len(),
            resamples: verdict.resamples,
            seed: verdict.seed,
            left_out: data.problems.len(),
            problems: data.problems.iter().take(MAX_PROBLEMS).cloned().collect(),
            not_loaded,
            template_sets: sets.to_vec(),
            chance: chance(data, best),
            recommendation: recommendation(measured),
            deciding: deciding.collect(),
            classes: class_reports(classes, best, &weights),
            confusion: best.predictions.as_ref().map(|p| p.confusion()).unwrap_or_default(),
            models,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let all: Vec<f64> = values.collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// Labels with pictures are what label search is measured on.
fn searched(rankings: &[Ranking]) -> impl Iterator<Item = &Ranking> {
    rankings.iter().filter(|ranking| ranking.counts().1 > 0)
}

fn model(measured: &Measured<'_>, r: usize) -> ModelReport {
    let (run, figures, verdict) = (&measured.runs[r], &measured.figures[r], measured.verdict);
    let weights = ones(measured.data.pictures.len());
    let by_picture = mean_over(&figures.picture_ap, &weights);
    ModelReport {
        model: run.info.name.clone(),
        fingerprint: run.info.fingerprint.clone(),
        dimension: run.info.dimension,
        device: run.info.device,
        load_secs: run.info.load_time.as_secs_f64(),
        pictures_per_sec: run.pictures_per_sec,
        texts_per_sec: run.texts_per_sec,
        picture_to_picture_map: by_picture.map(|value| Figure { value, interval: verdict.by_picture[r] }),
        picture_to_picture_r1: mean_over(&figures.picture_first, &weights),
        picture_relevance: relevance::by_picture(measured.data, run),
        sets: (0..figures.sets.len()).map(|s| set(measured, r, s, &weights)).collect(),
    }
}

fn set(measured: &Measured<'_>, r: usize, s: usize, weights: &[u32]) -> SetReport {
    let (figures, verdict) = (&measured.figures[r].sets[s], measured.verdict);
    let labelled = labelled(measured.data);
    let own: Vec<u32> = ones(labelled.len());
    let with = |value: Option<f64>, interval: Option<Interval>| value.map(|value| Figure { value, interval });
    let top = |k: u32| figures.predictions.as_ref().and_then(|p| p.top(k, &own));
    let ranks = &figures.caption_ranks;
    let within = |k: usize| mean(ranks.iter().map(|&rank| if rank <= k { 1.0 } else { 0.0 }));
    let at = |value: &dyn Fn(usize) -> Option<f64>| -> BTreeMap<String, f64> {
        [1, 5, 10].into_iter().filter_map(|k| Some((format!("R@{k}"), value(k)?))).collect()
    };
    SetReport {
        set: measured.sets[s].name.clone(),
        accuracy: with(top(1), verdict.accuracy[r][s]),
        top5: top(5),
        balanced_accuracy: figures.predictions.as_ref().and_then(|p| p.balanced(&own)),
        map: with(mean_average_precision(&figures.by_label, weights), verdict.map[r][s]),
        precision_at_10: mean(searched(&figures.by_label).map(|ranking| ranking.precision(10))),
        label_recall: at(&|k| mean(searched(&figures.by_label).map(|ranking| ranking.hit(k)))),
        caption_r1: with(mean_over(&figures.found_first, weights), verdict.caption[r][s]),
        caption_recall: at(&within),
        caption_median_rank: median(ranks),
        relevance: relevance::by_text(measured.data, &measured.runs[r], &measured.runs[r].sets[s]),
    }
}

fn chance(data: &Dataset, any: &SetFigures) -> Chance {
    let classes = (data.labels.len() >= 2).then_some(data.labels.len() as f64);
    let counts = || searched(&any.by_label).map(Ranking::counts);
    let pictures = data.pictures.len() as f64;
    let captions = (!data.captions.is_empty()).then_some(());
    // A picture searches among the others for those of its label.
    let others = counts().filter(|&(_, own)| own >= 2);
    let (sum, queries) = others.fold((0.0, 0.0), |(sum, queries), (all, own)| {
        (sum + own as f64 * average_precision_by_chance(own - 1, all - 1), queries + own as f64)
    });
    Chance {
        accuracy: classes.map(|n| 1.0 / n),
        top5: classes.map(|n| (5.0 / n).min(1.0)),
        map: mean(counts().map(|(all, own)| average_precision_by_chance(own, all))),
        precision_at_10: mean(counts().map(|(all, own)| own as f64 / all as f64)),
        label_r1: mean(counts().map(|(all, own)| hit_by_chance(own, all, 1))),
        caption_r1: captions.map(|()| 1.0 / pictures),
        caption_r10: captions.map(|()| (10.0 / pictures).min(1.0)),
        picture_to_picture_map: (queries > 0.0).then(|| sum / queries),
    }
}

fn class_reports(classes: &Classes, best: &SetFigures, weights: &[u32]) -> Vec<ClassReport> {
    let Some(predictions) = &best.predictions else { return Vec::new() };
    let counts = predictions.per_class();
    let report = |((class, count), ranking): ((&super::classes::Class, _), &Ranking)| {
        let crate::measure::ClassCount { right, pictures } = count;
        ClassReport {
            label: class.label.clone(),
            words: class.words.clone(),
            pictures,
            found: right,
            average_precision: ranking.average_precision(weights),
        }
    };
    classes.all.iter().zip(counts).zip(&best.by_label).map(report).collect()
}

fn recommendation(measured: &Measured<'_>) -> Recommendation {
    let Measured { sets, runs, verdict, .. } = measured;
    let choice = &verdict.choice;
    let name = |i: usize| {
        let (r, s) = verdict.candidates[i];
        (runs[r].info.name.clone(), sets[s].name.clone())
    };
    let (model, set) = name(choice.best);
    let runner_up = choice.runner_up.map(|(second, lead)| {
        let (model, set) = name(second);
        RunnerUp { model, set, lead: lead.difference, lead_interval: lead.interval, ahead: lead.ahead }
    });
    let apparent = Figure { value: choice.apparent, interval: choice.intervals[choice.best] };
    let honest = choice.honest.map(|value| Figure { value, interval: choice.honest_interval });
    let metric = metric_name(verdict.metric);
    let sentence =
        sentence(&model, &set, metric, &apparent, honest.as_ref(), runner_up.as_ref(), choice.first);
    let templates = sets[verdict.candidates[choice.best].1].shared.clone();
    Recommendation {
        model,
        set,
        templates,
        metric,
        apparent,
        honest,
        runner_up,
        comes_first: choice.first,
        sentence,
    }
}

fn sentence(
    model: &str,
    set: &str,
    metric: &str,
    apparent: &Figure,
    honest: Option<&Figure>,
    second: Option<&RunnerUp>,
    first: f64,
) -> String {
    let range =
        |i: Option<Interval>| i.map_or(String::new(), |i| format!(" ({:.3} to {:.3})", i.low, i.high));
    let mut text =
        format!("Use {model} with `{set}`: {metric} {:.3}{}", apparent.value, range(apparent.interval));
    if let Some(honest) = honest {
        text += &format!(
            ", {:.3}{} where it is chosen on one half and measured on the other",
            honest.value,
            range(honest.interval)
        );
    }
    if let Some(second) = second {
        let RunnerUp { model: other, set: other_set, lead, lead_interval, ahead } = second;
        let sure = if lead_interval.low > 0.0 {
            "clearly ahead of"
        } else if *ahead >= 0.8 {
            "probably ahead of"
        } else {
            "not reliably different from"
        };
        text += &format!(
            "; {sure} {other} with `{other_set}` by {lead:.3} ({:.3} to {:.3}), ahead of it in {:.0} % and of all in {:.0} % of the draws",
            lead_interval.low,
            lead_interval.high,
            100.0 * ahead,
            100.0 * first
        );
    }
    text + "."
}
