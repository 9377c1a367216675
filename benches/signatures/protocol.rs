//! Scores of a pack's comparisons, and what they say: equal error rates, the leak probe, and whether a
//! calibrated FAR holds.

use std::collections::BTreeMap;

use lookalike::measure::Resampling;
use lookalike::verify::{Calibration, Comparison, Comparisons, Template, Wanted, Whitening, cosine};
use nalgebra::{DMatrix, DVector};

use crate::pack::{Kind, Pack};

/// How references and probe are compared.
#[derive(Clone, Copy)]
pub enum Scoring<'a> {
    /// As the server does.
    Steady(&'a Whitening),
    /// Without the normalisation by the references' own likeness.
    Plain(&'a Whitening),
    /// The cosine of features as they are.
    Raw,
}

impl Scoring<'_> {
    fn view(self, features: &[f32]) -> Vec<f32> {
        match self {
            Scoring::Steady(whitening) | Scoring::Plain(whitening) => {
                whitening.whiten(features).expect("the whitening is for these features")
            }
            Scoring::Raw => features.to_vec(),
        }
    }

    fn template(self, references: &[Vec<f32>]) -> Template {
        if let Scoring::Steady(whitening) = self {
            return Template::new(references, whitening).expect("there are references");
        }
        let mut centroid = vec![0.0; references[0].len()];
        references.iter().for_each(|row| centroid.iter_mut().zip(row).for_each(|(sum, value)| *sum += value));
        let norm = cosine(&centroid, &centroid).sqrt() as f32;
        centroid.iter_mut().for_each(|value| *value /= norm);
        Template { centroid, offset: 0.0 }
    }
}

/// Comparisons of some writers: genuine with one kind of impostor.
pub struct Run<'a> {
    pub pack: &'a Pack,
    pub features: &'a [Vec<f32>],
    pub writers: &'a [&'a str],
    pub references: usize,
    /// Whether forgeries that stand twice are probes too.
    pub duplicates: bool,
}

impl Run<'_> {
    pub fn comparisons(&self, scoring: Scoring<'_>, seed: u32, impostors: Kind) -> Vec<Comparison> {
        let mut all = Vec::new();
        for (subject, writer) in (0u32..).zip(self.writers) {
            let Some(claim) = self.pack.claims.get(&(seed, (*writer).to_owned())) else { continue };
            let view = |i: usize| Some(scoring.view(self.features.get(i).filter(|row| !row.is_empty())?));
            let chosen = claim.references.iter().take(self.references);
            let references: Vec<Vec<f32>> = chosen.filter_map(|&i| view(i)).collect();
            if references.is_empty() {
                continue;
            }
            let template = scoring.template(&references);
            let mut probes = claim.probes.clone();
            if self.duplicates {
                let pictures = self.pack.pictures.iter().enumerate();
                let twice = pictures.filter(|(_, p)| p.duplicate && !p.genuine && p.writer == *writer);
                probes.extend(twice.map(|(i, _)| (i, Kind::Skilled)));
            }
            for (probe, kind) in
                probes.into_iter().filter(|(_, kind)| *kind == Kind::Genuine || *kind == impostors)
            {
                // What holds no signature is turned away at the door.
                let score = view(probe).map_or(-2.0, |probe| template.score(&probe));
                all.push(Comparison { score, subject, genuine: kind == Kind::Genuine });
            }
        }
        all
    }

    /// Equal error rate in percent: mean over the pack's seeds, and standard deviation.
    pub fn eer(&self, scoring: Scoring<'_>, impostors: Kind) -> Option<(f64, f64)> {
        let of = |seed: u32| {
            let comparisons = Comparisons::new(self.comparisons(scoring, seed, impostors)).ok()?;
            let point = comparisons.eer();
            Some(50.0 * (point.far + point.frr))
        };
        let rates: Vec<f64> = self.pack.seeds().into_iter().map(of).collect::<Option<_>>()?;
        Some(spread(&rates))
    }

    /// The FAR that is seen on one half of the writers at the threshold for `far` of the other half, over
    /// `far`: mean over seeds and both ways.
    pub fn far_over_stated(&self, scoring: Scoring<'_>, far: f64, impostors: Kind) -> Option<f64> {
        let wanted = Wanted {
            target_fars: vec![far],
            resampling: Resampling { resamples: 100, seed: 1, level: 0.95 },
        };
        let mut seen = Vec::new();
        for seed in self.pack.seeds() {
            let all = self.comparisons(scoring, seed, impostors);
            for half in 0..2 {
                let (fitted, held): (Vec<Comparison>, Vec<Comparison>) =
                    all.iter().partition(|comparison| comparison.subject % 2 == half);
                let calibration = Calibration::fit(&Comparisons::new(fitted).ok()?, &wanted).ok()?;
                seen.push(Comparisons::new(held).ok()?.at(calibration.points[0].threshold).far / far);
            }
        }
        Some(spread(&seen).0)
    }
}

/// Mean and standard deviation.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (square / (values.len().max(2) - 1) as f64).sqrt())
}

/// Genuine signatures of some writers, for a whitening.
pub fn cohort(pack: &Pack, features: &[Vec<f32>], writers: &[&str]) -> Vec<(String, Vec<f32>)> {
    let wanted = pack.pictures.iter().zip(features).filter(|(picture, row)| {
        picture.genuine && !picture.duplicate && !row.is_empty() && writers.contains(&picture.writer.as_str())
    });
    wanted.map(|(picture, row)| (picture.writer.clone(), row.clone())).collect()
}

/// How well forged is told from genuine without any reference, by a ridge regression on the features
/// fitted on writers of `fit`: the area under the curve on those of `test`. 0.5 is by chance. `None` without
/// features of both kinds.
pub fn leak(pack: &Pack, features: &[Vec<f32>], fit: &[&str], test: &[&str]) -> Option<f64> {
    let of = |writers: &[&str]| -> BTreeMap<usize, f64> {
        let usable = pack.pictures.iter().enumerate().filter(|(i, picture)| {
            !picture.duplicate && !features[*i].is_empty() && writers.contains(&picture.writer.as_str())
        });
        usable.map(|(i, picture)| (i, if picture.genuine { 1.0 } else { -1.0 })).collect()
    };
    let (fit, test) = (of(fit), of(test));
    if fit.values().all(|label| *label > 0.0) || test.is_empty() {
        return None;
    }
    let size = features.iter().map(Vec::len).max().unwrap_or(0);
    let rows: Vec<&Vec<f32>> = fit.keys().map(|&i| &features[i]).collect();
    let data = DMatrix::from_iterator(
        size,
        rows.len(),
        rows.iter().flat_map(|row| row.iter().map(|v| f64::from(*v))),
    );
    let mean = data.column_mean();
    let mut centred = data;
    centred.column_iter_mut().for_each(|mut column| column -= &mean);
    let labels = DVector::from_iterator(fit.len(), fit.values().copied());
    let level = labels.mean();
    let mut product = &centred * centred.transpose();
    let ridge = 0.05 * product.trace() / size as f64;
    (0..size).for_each(|i| product[(i, i)] += ridge);
    let factor = product.cholesky()?;
    let weights = factor.solve(&(&centred * labels.add_scalar(-level)));
    let mut scored: Vec<(f64, f64)> = test
        .iter()
        .map(|(&i, &label)| {
            (features[i].iter().zip(weights.iter()).map(|(v, w)| f64::from(*v) * w).sum(), label)
        })
        .collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut forged, mut ordered) = (0.0, 0.0);
    for (_, label) in &scored {
        if *label < 0.0 { forged += 1.0 } else { ordered += forged }
    }
    Some(ordered / (forged * (scored.len() as f64 - forged)).max(1.0))
}
