//! Which candidate to use: a model with a set of templates, by one figure.

use anyhow::Context;

use super::dataset::Dataset;
use super::figures::{RunFigures, labelled};
use super::{Metric, affordable};
use crate::measure::{Choice, Figure, Interval, Resampling, choose, clusters};

/// Intervals of one figure, by model and set.
pub type Intervals = Vec<Vec<Option<Interval>>>;

/// What was chosen, and the intervals beside it.
pub struct Verdict {
    pub metric: Metric,
    /// `(model, set)` of each candidate, in the order of the choice's numbers.
    pub candidates: Vec<(usize, usize)>,
    pub choice: Choice,
    /// Draws that were made for the deciding figure.
    pub resamples: usize,
    pub seed: u64,
    pub accuracy: Intervals,
    pub map: Intervals,
    pub caption: Intervals,
    /// Picture-to-picture mAP, by model.
    pub by_picture: Vec<Option<Interval>>,
}

impl Verdict {
    /// Chooses by `metric`. Pictures with equal `vectors` stay on one side of every split.
    ///
    /// # Errors
    /// Where the data do not have what the metric needs.
    pub fn new(
        metric: Metric,
        how: &Resampling,
        data: &Dataset,
        vectors: &[Vec<f32>],
        runs: &[RunFigures],
    ) -> anyhow::Result<Self> {
        let pictures = data.pictures.len();
        let labelled = labelled(data);
        let candidates: Vec<(usize, usize)> =
            runs.iter().enumerate().flat_map(|(r, run)| (0..run.sets.len()).map(move |s| (r, s))).collect();
        let figures = |metric: Metric| -> Vec<Figure<'_>> {
            candidates.iter().map(|&(r, s)| runs[r].sets[s].figure(metric, &labelled)).collect()
        };
        let draws_of = |metric: Metric| {
            let rankings = if metric == Metric::Map { data.labels.len() } else { 1 };
            // Twenty halves are measured beside the candidates.
            affordable(how.resamples, (candidates.len() + 20) * rankings * pictures)
        };
        // Halves are stratified by label; pictures without one are one stratum.
        let strata: Vec<u32> = data.pictures.iter().map(|p| p.label.unwrap_or(u32::MAX)).collect();
        let same = clusters(vectors.iter().map(Vec::as_slice));
        let deciding = Resampling { resamples: draws_of(metric), ..*how };
        let choice = choose(&figures(metric), &strata, &same, &deciding).context(match metric {
            Metric::Caption => "no picture has a caption (choose another --metric)",
            _ => "fewer than two labels have pictures (give labels, or --metric caption)",
        })?;
        let nested = |flat: Vec<Option<Interval>>| -> Intervals {
            let mut flat = flat.into_iter();
            runs.iter().map(|run| flat.by_ref().take(run.sets.len()).collect()).collect()
        };
        let intervals = |of: Metric| -> Intervals {
            if of == metric {
                return nested(choice.intervals.clone());
            }
            let how = Resampling { resamples: draws_of(of), ..*how };
            let draws = how.draw(pictures, &figures(of));
            nested((0..candidates.len()).map(|i| how.interval(draws.iter().map(|row| row[i]))).collect())
        };
        let alone: Vec<Figure<'_>> = runs
            .iter()
            .map(|run| -> Figure<'_> {
                Box::new(|weights| crate::measure::mean_over(&run.picture_ap, weights))
            })
            .collect();
        let draws = how.draw(pictures, &alone);
        let by_picture = (0..runs.len()).map(|i| how.interval(draws.iter().map(|row| row[i]))).collect();
        Ok(Self {
            metric,
            accuracy: intervals(Metric::Accuracy),
            map: intervals(Metric::Map),
            caption: intervals(Metric::Caption),
            by_picture,
            resamples: deciding.resamples,
            seed: how.seed,
            candidates: candidates.clone(),
            choice,
        })
    }
}
