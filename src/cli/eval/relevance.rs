//! How well the relevance of hits says how probable it is that they are right, on the pictures of an evaluation: the
//! first hits of every query by what was said of them and by what they are, and what is said where
//! the right pictures are not there.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use super::dataset::Dataset;
use super::figures::labelled;
use super::model::{Run, SetVectors};
use crate::distance;
use crate::measure::{Background, Relation};
use crate::types::Distance;

/// Hits of a query that are judged.
const HITS: usize = 10;
/// Parts of the range from 0 to 1 that hits are counted in.
const BINS: usize = 5;
/// Pictures that are queries; of more, the first in the random order.
const MAX_PICTURE_QUERIES: usize = 1000;

/// Hits whose relevance is in one part of the range.
#[derive(Debug, Clone, Serialize)]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    pub hits: usize,
    /// Mean of what was said.
    pub said: Option<f64>,
    /// Share of hits that are right.
    pub right: Option<f64>,
}

/// What relevance is worth for one kind of query.
#[derive(Debug, Clone, Serialize)]
pub struct Reliability {
    pub queries: usize,
    pub bins: Vec<Bin>,
    /// Expected calibration error: how far what was said is from what is right, on average over the hits.
    pub calibration_error: f64,
    /// Hits of 0.5 and more, and the share of them that is right.
    pub probable: usize,
    pub probable_right: Option<f64>,
    /// The share of the right hits that they are.
    pub probable_recall: Option<f64>,
    /// The share of queries with a hit of 0.5 and more where the right pictures are taken out.
    pub absent_probable: Option<f64>,
}

struct Query<'a> {
    vector: &'a [f32],
    right: BTreeSet<usize>,
    /// A picture does not search for itself.
    own: Option<usize>,
}

/// By texts: captions if there are any, else the words of labels. `None` where there are too few pictures.
pub fn by_text(data: &Dataset, run: &Run, vectors: &SetVectors) -> Option<Reliability> {
    let mut with_caption: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for caption in &data.captions {
        with_caption.entry(&caption.text).or_default().insert(caption.picture);
    }
    let captions = data.captions.iter().zip(&vectors.captions).map(|(caption, vector)| Query {
        vector,
        right: with_caption[caption.text.as_str()].clone(),
        own: None,
    });
    let with_label = |label: usize| {
        let is_own = |i: &usize| data.pictures[*i].label.is_some_and(|own| own as usize == label);
        (0..data.pictures.len()).filter(is_own).collect()
    };
    let labels = vectors.classes.iter().enumerate();
    let labels = labels.map(|(label, vector)| Query { vector, right: with_label(label), own: None });
    let queries: Vec<Query<'_>> =
        if data.captions.is_empty() { labels.collect() } else { captions.collect() };
    reliability(&queries, &run.pictures, Relation::Across)
}

/// By pictures: the others of the same label are right.
pub fn by_picture(data: &Dataset, run: &Run) -> Option<Reliability> {
    let mut of_label: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for (i, picture) in data.pictures.iter().enumerate() {
        if let Some(label) = picture.label {
            of_label.entry(label).or_default().insert(i);
        }
    }
    let query = |i: usize| {
        let mut right = of_label.get(&data.pictures[i].label?)?.clone();
        right.remove(&i);
        (!right.is_empty()).then(|| Query { vector: &run.pictures[i], right, own: Some(i) })
    };
    let queries: Vec<_> = labelled(data).into_iter().take(MAX_PICTURE_QUERIES).filter_map(query).collect();
    reliability(&queries, &run.pictures, Relation::Within)
}

/// (what is said, what is right) of the first hits, and the best of what is said without the right ones.
type Judged = (Vec<(f32, bool)>, Option<f32>);

fn judged(query: &Query<'_>, pictures: &[Vec<f32>], relation: Relation) -> Option<Judged> {
    let dot = distance::kernel(Distance::Cosine);
    let mut scores: Vec<(usize, f32)> =
        pictures.iter().enumerate().map(|(i, p)| (i, dot(query.vector, p))).collect();
    scores.retain(|(i, _)| Some(*i) != query.own);
    // The pictures stand in a random order: the first are a sample.
    let sample = |wanted: &dyn Fn(usize) -> bool| {
        let wanted = scores.iter().filter(|(i, _)| wanted(*i));
        Background::of(wanted.take(Background::SAMPLE).map(|(_, score)| *score))
    };
    let (all, others) = (sample(&|_| true)?, sample(&|i| !query.right.contains(&i)));
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let hits = scores.iter().take(HITS);
    let hits = hits.map(|(i, score)| (all.relevance(*score, relation), query.right.contains(i))).collect();
    let other = scores.iter().find(|(i, _)| !query.right.contains(i));
    Some((hits, others.zip(other).map(|(others, (_, score))| others.relevance(*score, relation))))
}

fn reliability(queries: &[Query<'_>], pictures: &[Vec<f32>], relation: Relation) -> Option<Reliability> {
    let judged: Vec<Judged> =
        queries.par_iter().filter_map(|query| judged(query, pictures, relation)).collect();
    if judged.is_empty() {
        return None;
    }
    let hits: Vec<(f32, bool)> = judged.iter().flat_map(|(hits, _)| hits).copied().collect();
    let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    let bins: Vec<Bin> = (0..BINS)
        .map(|bin| {
            let number = |said: f32| ((f64::from(said) * BINS as f64) as usize).min(BINS - 1);
            let own: Vec<_> = hits.iter().filter(|(said, _)| number(*said) == bin).collect();
            let said: f64 = own.iter().map(|(said, _)| f64::from(*said)).sum();
            Bin {
                from: bin as f64 / BINS as f64,
                to: (bin + 1) as f64 / BINS as f64,
                hits: own.len(),
                said: (!own.is_empty()).then(|| said / own.len() as f64),
                right: share(own.iter().filter(|(_, right)| *right).count(), own.len()),
            }
        })
        .collect();
    let off = |bin: &Bin| Some((bin.said? - bin.right?).abs() * bin.hits as f64);
    let probable: Vec<_> = hits.iter().filter(|(said, _)| *said >= 0.5).collect();
    let right = probable.iter().filter(|(_, right)| *right).count();
    let absent: Vec<f32> = judged.iter().filter_map(|(_, absent)| *absent).collect();
    Some(Reliability {
        queries: judged.len(),
        calibration_error: bins.iter().filter_map(off).sum::<f64>() / hits.len().max(1) as f64,
        bins,
        probable: probable.len(),
        probable_right: share(right, probable.len()),
        probable_recall: share(right, hits.iter().filter(|(_, right)| *right).count()),
        absent_probable: share(absent.iter().filter(|said| **said >= 0.5).count(), absent.len()),
    })
}
