//! All figures of all candidates, from vectors to rankings.

use rayon::prelude::*;

use super::Metric;
use super::classes::Classes;
use super::dataset::Dataset;
use super::model::{Run, SetVectors};
use super::templates::TemplateSet;
use crate::distance::{self, Kernel};
use crate::measure::{Figure, Predictions, Ranking, mean_average_precision, mean_over, rank_of};
use crate::types::Distance;

/// Pictures that are searched with pictures; of more, the first in the random order.
const MAX_PICTURE_QUERIES: usize = 2000;

/// What one set of templates reaches with one model.
pub struct SetFigures {
    /// Of the labelled pictures.
    pub predictions: Option<Predictions>,
    /// One a class, over the labelled pictures; empty without labels.
    pub by_label: Vec<Ranking>,
    /// The place of each caption's own picture.
    pub caption_ranks: Vec<usize>,
    /// By picture: the share of its captions that find it first; `None` without captions.
    pub found_first: Vec<Option<f64>>,
}

/// What one model reaches.
pub struct RunFigures {
    pub sets: Vec<SetFigures>,
    /// By picture: average precision of the others of its label, searched with it.
    pub picture_ap: Vec<Option<f64>>,
    /// By picture: 1 where its nearest other picture has its label.
    pub picture_first: Vec<Option<f64>>,
}

/// Indexes of the labelled pictures, which `Predictions` count from 0 on.
pub fn labelled(data: &Dataset) -> Vec<usize> {
    (0..data.pictures.len()).filter(|&i| data.pictures[i].label.is_some()).collect()
}

/// Measures every model with every set.
pub fn measure(data: &Dataset, classes: &Classes, sets: &[TemplateSet], runs: &[Run]) -> Vec<RunFigures> {
    let dot = distance::kernel(Distance::Cosine);
    runs.iter()
        .map(|run| {
            let (picture_ap, picture_first) = by_picture(data, run, dot);
            let sets =
                sets.iter().zip(&run.sets).map(|(_, vectors)| of_set(data, classes, run, vectors, dot));
            RunFigures { sets: sets.collect(), picture_ap, picture_first }
        })
        .collect()
}

fn of_set(data: &Dataset, classes: &Classes, run: &Run, vectors: &SetVectors, dot: Kernel) -> SetFigures {
    let scores_of = |query: &Vec<f32>| -> Vec<f32> { run.pictures.iter().map(|p| dot(query, p)).collect() };
    let by_class: Vec<Vec<f32>> = vectors.classes.par_iter().map(scores_of).collect();
    let rank = |(class, scores): (usize, &Vec<f32>)| {
        Ranking::new(scores, |i| data.pictures[i].label.map(|label| label as usize == class))
    };
    let by_label = by_class.par_iter().enumerate().map(rank).collect();
    let labelled = labelled(data);
    let truth: Vec<u32> = labelled.iter().filter_map(|&i| data.pictures[i].label).collect();
    let predictions = (classes.all.len() >= 2).then(|| {
        Predictions::new(classes.all.len(), truth, |i| by_class.iter().map(|s| s[labelled[i]]).collect())
    });
    let caption_ranks: Vec<usize> = data
        .captions
        .par_iter()
        .zip(&vectors.captions)
        .map(|(caption, vector)| rank_of(&scores_of(vector), caption.picture))
        .collect();
    let mut sums = vec![(0.0, 0.0); data.pictures.len()];
    for (caption, &rank) in data.captions.iter().zip(&caption_ranks) {
        let (first, all) = &mut sums[caption.picture];
        *all += 1.0;
        *first += if rank == 1 { 1.0 } else { 0.0 };
    }
    let found_first = sums.into_iter().map(|(first, all)| (all > 0.0).then(|| first / all)).collect();
    SetFigures { predictions, by_label, caption_ranks, found_first }
}

type PerPicture = Vec<Option<f64>>;

/// Every picture as a query, itself left out.
fn by_picture(data: &Dataset, run: &Run, dot: Kernel) -> (PerPicture, PerPicture) {
    let weights = vec![1; data.pictures.len()];
    let queries = labelled(data).len().min(MAX_PICTURE_QUERIES);
    let mut order = labelled(data);
    order.truncate(queries);
    let measured: Vec<(usize, Option<f64>, f64)> = order
        .into_par_iter()
        .map(|own| {
            let scores: Vec<f32> = run.pictures.iter().map(|other| dot(&run.pictures[own], other)).collect();
            let label = data.pictures[own].label;
            let ranking = Ranking::new(&scores, |i| {
                data.pictures[i].label.filter(|_| i != own).map(|l| Some(l) == label)
            });
            (own, ranking.average_precision(&weights), ranking.hit(1))
        })
        .collect();
    let (mut ap, mut first) = (vec![None; data.pictures.len()], vec![None; data.pictures.len()]);
    for (own, value, hit) in measured {
        ap[own] = value;
        // A picture that is alone in its label has nothing to find.
        first[own] = value.map(|_| hit);
    }
    (ap, first)
}

impl SetFigures {
    /// The figure that decides, as a function of how often each picture counts.
    pub fn figure<'a>(&'a self, metric: Metric, labelled: &'a [usize]) -> Figure<'a> {
        let among = move |weights: &[u32]| -> Vec<u32> { labelled.iter().map(|&i| weights[i]).collect() };
        match metric {
            Metric::Accuracy => Box::new(move |w| self.predictions.as_ref()?.top(1, &among(w))),
            Metric::Balanced => Box::new(move |w| self.predictions.as_ref()?.balanced(&among(w))),
            Metric::Map => Box::new(|w| mean_average_precision(&self.by_label, w)),
            Metric::Caption => Box::new(|w| mean_over(&self.found_first, w)),
        }
    }
}
