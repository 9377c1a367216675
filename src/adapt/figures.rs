//! What a head reaches on points it has not seen.

use rayon::prelude::*;

use super::Labelled;
use super::head::{Head, Modality};
use crate::distance;
use crate::measure::{Figure, Predictions, Ranking, mean_average_precision, mean_over, ones};
use crate::types::Distance;

/// A value for each point; `None` where it has nothing to find.
type PerPoint = Vec<Option<f64>>;

/// The rankings of all queries through one head, over the points they are measured on.
pub struct Figures {
    /// One a query.
    rankings: Vec<Ranking>,
    /// For pictures: average precision and hit of each, as the points are the queries.
    own: Option<(PerPoint, PerPoint)>,
    /// For texts: the label whose words are nearest to each point.
    predictions: Option<Predictions>,
    points: usize,
}

impl Figures {
    /// Every point searches the others (pictures), or every word the points (texts).
    pub fn new(head: &Head, modality: Modality, points: &Labelled, words: &Labelled) -> Self {
        let dot = distance::kernel(Distance::Dot);
        let queries = match modality {
            Modality::Picture => points,
            Modality::Text => words,
        };
        let scores: Vec<Vec<f32>> = queries
            .vectors
            .par_iter()
            .map(|query| {
                let query = head.apply(query);
                points.vectors.iter().map(|point| dot(&query, point)).collect()
            })
            .collect();
        let rankings: Vec<Ranking> = scores
            .par_iter()
            .enumerate()
            .map(|(own, scores)| {
                let left_out = |i: usize| modality == Modality::Picture && i == own;
                Ranking::new(scores, |i| (!left_out(i)).then_some(points.labels[i] == queries.labels[own]))
            })
            .collect();
        let weights = ones(points.labels.len());
        let own = (modality == Modality::Picture).then(|| {
            let precision: PerPoint =
                rankings.par_iter().map(|ranking| ranking.average_precision(&weights)).collect();
            let first =
                precision.iter().zip(&rankings).map(|(p, ranking)| p.map(|_| ranking.hit(1))).collect();
            (precision, first)
        });
        let predictions = (modality == Modality::Text).then(|| predict(&scores, points, words));
        Self { rankings, own, predictions, points: points.labels.len() }
    }

    /// Mean average precision.
    pub fn map(&self) -> Option<f64> {
        self.map_figure()(&ones(self.points))
    }

    /// The share of pictures whose nearest other has their label, or of points whose label's
    /// words are the nearest.
    pub fn first(&self) -> Option<f64> {
        match (&self.own, &self.predictions) {
            (Some((_, first)), _) => mean_over(first, &ones(self.points)),
            (None, Some(predictions)) => predictions.top(1, &ones(self.points)),
            (None, None) => None,
        }
    }

    /// Mean average precision by how often each point counts: as a query for pictures, as what
    /// is searched for texts.
    pub fn map_figure(&self) -> Figure<'_> {
        match &self.own {
            Some((precision, _)) => Box::new(|weights| mean_over(precision, weights)),
            None => Box::new(|weights| mean_average_precision(&self.rankings, weights)),
        }
    }

    /// Average precision of each query.
    pub fn each(&self) -> Vec<Option<f64>> {
        let weights = ones(self.points);
        self.rankings.iter().map(|ranking| ranking.average_precision(&weights)).collect()
    }
}

/// A label scores for a point as its best word does.
fn predict(by_word: &[Vec<f32>], points: &Labelled, words: &Labelled) -> Predictions {
    let classes = points.labels.iter().chain(&words.labels).max().map_or(0, |&label| label as usize + 1);
    let scores = |point: usize| {
        let mut best = vec![f32::NEG_INFINITY; classes];
        for (scores, &label) in by_word.iter().zip(&words.labels) {
            let own = &mut best[label as usize];
            *own = own.max(scores[point]);
        }
        best
    };
    Predictions::new(classes, points.labels.clone(), scores)
}
