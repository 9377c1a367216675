//! Whitenings and calibrations fitted on a collection's own subjects, one fit at a time in the server.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::SmallRng};

use super::super::{Cancel, Engine};
use crate::collection::{Calibrated, CalibrationVersion, Collection, Origin, SignatureBook, Skilled};
use crate::error::{Error, Result};
use crate::measure::Resampling;
use crate::types::CollectionName;
use crate::verify::{
    Calibration, Comparison, Comparisons, MAX_COHORT_SIGNATURES, MIN_COHORT, MIN_ERRORS, Wanted, Whitening,
};

/// Targets where none are asked for: those of them that the comparisons support.
pub const DEFAULT_TARGET_FARS: [f64; 4] = [0.001, 0.01, 0.05, 0.1];

/// A calibration.
#[derive(Debug, Clone)]
pub struct CalibrateRequest {
    /// FARs to find thresholds for; [`DEFAULT_TARGET_FARS`] where they are supported, if none.
    pub target_fars: Vec<f64>,
    /// Find thresholds against labelled forgeries instead of other people's signatures.
    pub skilled: bool,
    /// Of the sampling and of the intervals.
    pub seed: u64,
    /// Draws for the intervals, 100 to 100,000.
    pub resamples: usize,
}

/// A whitening of the collection's own.
#[derive(Debug, Clone)]
pub struct WhitenRequest {
    /// The cohort by name; drawn by `share` if none.
    pub subjects: Vec<String>,
    /// The share of subjects that is drawn, above 0 and below 1.
    pub share: f64,
    /// Of the draw.
    pub seed: u64,
    /// Go back to the whitening that ships with the model.
    pub default: bool,
}

impl Engine {
    /// Calibrates a collection on its own subjects, and keeps the calibration.
    ///
    /// # Errors
    /// `InvalidInput` that says what is too few; `Conflict` without a whitening or with another model;
    /// `Overloaded` while another fit runs; `Conflict` where it is cancelled, and nothing is kept then.
    pub async fn calibrate(
        &self,
        name: &CollectionName,
        request: CalibrateRequest,
        cancel: Cancel,
    ) -> Result<(CalibrationVersion, Arc<SignatureBook>)> {
        let recipe = self.matching_profile(name)?.recipe;
        let one = self.one_fit()?;
        self.on(name, move |collection| {
            let _one = one;
            cancel.check()?;
            let found = collection.comparisons(request.seed)?;
            cancel.check()?;
            let (mut version, calibration) = fit(&found, &request)?;
            version.recipe = recipe;
            // From here on it is kept.
            cancel.check()?;
            version.version = collection.add_calibration(version.clone(), calibration)?;
            Ok((version, collection.signature_book()))
        })
        .await
    }

    /// Fits a whitening on a cohort of the collection's subjects, which no calibration rests on from then
    /// on, or goes back to the default one.
    ///
    /// # Errors
    /// As [`Engine::calibrate`]; `NotFound` for an unknown subject.
    pub async fn whiten(
        &self,
        name: &CollectionName,
        request: WhitenRequest,
        cancel: Cancel,
    ) -> Result<Arc<SignatureBook>> {
        let recipe = self.matching_profile(name)?.recipe;
        let default = if request.default {
            let none = || Error::NotFound("no whitening ships for this model; fit one".into());
            Some(self.default_whitening(&recipe).ok_or_else(none)?)
        } else {
            None
        };
        let one = self.one_fit()?;
        self.on(name, move |collection| {
            let _one = one;
            if let Some(whitening) = default {
                collection.set_whitening(whitening, Origin::Default, BTreeSet::new())?;
                return Ok(collection.signature_book());
            }
            let cohort = cohort(collection, &request)?;
            let mut signatures = Vec::new();
            let each = (MAX_COHORT_SIGNATURES / cohort.len().max(1)).max(1);
            for subject in &cohort {
                let ids: Vec<_> = collection.with_gallery(|gallery| {
                    let references = gallery.subject(subject).map(|s| s.references.as_slice());
                    references.unwrap_or_default().iter().take(each).map(|r| r.id).collect()
                })?;
                for id in ids {
                    signatures.push((subject.clone(), collection.vector(id, "")?));
                }
            }
            cancel.check()?;
            let whitening = Whitening::fit(&recipe, &signatures)?;
            cancel.check()?;
            collection.set_whitening(whitening, Origin::Fitted, cohort)?;
            Ok(collection.signature_book())
        })
        .await
    }

    fn one_fit(&self) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        Arc::clone(&self.shared.adapting)
            .try_lock_owned()
            .map_err(|_| Error::Overloaded { what: "another fit is running".into(), retry_after_secs: 10 })
    }
}

fn cohort(collection: &Collection, request: &WhitenRequest) -> Result<BTreeSet<String>> {
    collection.with_gallery(|gallery| {
        if !request.subjects.is_empty() {
            if let Some(unknown) = request.subjects.iter().find(|name| gallery.subject(name).is_none()) {
                return Err(Error::NotFound(format!("subjects: no subject `{unknown}` is enrolled")));
            }
            return Ok(request.subjects.iter().cloned().collect());
        }
        let mut names: Vec<&str> =
            gallery.subjects().filter(|(_, s)| s.references.len() >= 2).map(|(name, _)| name).collect();
        names.shuffle(&mut SmallRng::seed_from_u64(request.seed));
        let wanted = ((names.len() as f64 * request.share).round() as usize).max(MIN_COHORT);
        Ok(names.into_iter().take(wanted.min(MAX_COHORT_SIGNATURES)).map(str::to_owned).collect())
    })?
}

fn fit(found: &Calibrated, request: &CalibrateRequest) -> Result<(CalibrationVersion, Calibration)> {
    if request.skilled && found.skilled.is_empty() {
        return Err(Error::InvalidInput(
            "against: no labelled forgeries; enrol some with `\"forgery\": true`, or calibrate against `random`".into(),
        ));
    }
    let with = |impostors: &[Comparison]| Comparisons::new([&found.genuine, impostors].concat());
    let impostors = if request.skilled { &found.skilled } else { &found.random };
    let comparisons = with(impostors)?;
    let mut targets = request.target_fars.clone();
    if targets.is_empty() {
        let supported = |far: &f64| far * impostors.len() as f64 >= MIN_ERRORS;
        targets = DEFAULT_TARGET_FARS.into_iter().filter(supported).collect();
        if targets.is_empty() {
            targets.push(DEFAULT_TARGET_FARS[DEFAULT_TARGET_FARS.len() - 1]);
        }
    }
    let resampling = Resampling { resamples: request.resamples, seed: request.seed, level: 0.95 };
    let calibration = Calibration::fit(&comparisons, &Wanted { target_fars: targets, resampling })?;
    let skilled = if found.skilled.is_empty() {
        None
    } else {
        skilled(found, &with(&found.skilled)?, &calibration, resampling)
    };
    let version = CalibrationVersion {
        id: calibration.id.clone(),
        version: 0,
        created: jiff::Timestamp::now().as_second(),
        recipe: String::new(),
        whitening: found.whitening.id().to_owned(),
        against: if request.skilled { "skilled" } else { "random" }.to_owned(),
        enrolled: found.enrolled,
        subjects: calibration.subjects,
        genuine: comparisons.genuine(),
        impostors: comparisons.impostors(),
        seed: request.seed,
        eer: calibration.eer,
        points: calibration.points.clone(),
        skilled,
        identification: found.identification.clone(),
        stale: None,
    };
    Ok((version, calibration))
}

fn skilled(
    found: &Calibrated,
    comparisons: &Comparisons,
    calibration: &Calibration,
    resampling: Resampling,
) -> Option<Skilled> {
    let eer = comparisons.eer().far;
    let figure: crate::measure::Figure<'_> = Box::new(|weights| comparisons.weighted_eer(weights));
    let draws = resampling.draw(comparisons.subjects(), &[figure]);
    let interval = resampling.interval(draws.iter().map(|row| row[0]));
    let interval = interval.unwrap_or(crate::measure::Interval { low: eer, high: eer });
    Some(Skilled {
        forgeries: found.skilled.len(),
        subjects: comparisons.subjects_with(false),
        eer: crate::verify::Estimate { value: eer, interval },
        far: calibration.points.iter().map(|point| comparisons.at(point.threshold).far).collect(),
    })
}
