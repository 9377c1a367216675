//! One probe against all subjects: whose signature is this, if anybody's? A search among N subjects has N
//! chances to be wrong, so its threshold is not that of a verification: it was found by searching with
//! signatures whose own subject was left out (the FAR of a whole search).

use serde::Serialize;
use serde_json::{Value, json};

use super::super::Engine;
use super::copies::copied;
use super::verify::{Other, UsedCalibration, Why, reasons, used};
use super::{Policy, Probe, Sample, Threshold, matching_calibration, quality_out, warnings};
use crate::collection::{Collection, IdentificationRates};
use crate::error::{Error, Result};
use crate::types::CollectionName;
use crate::verify::{Evidence, MIN_ERRORS, Thresholds, Verdict, decide};

/// The FAR of a search where none is asked for.
const USUAL_FAR: f64 = 0.01;

/// Whose signature is this?
#[derive(Debug, Clone)]
pub struct IdentifyRequest {
    /// The signature.
    pub sample: Sample,
    /// How the threshold is chosen; a FAR is that of the whole search.
    pub policy: Policy,
    /// Candidates in the answer, 1 to 100.
    pub limit: usize,
    /// A hash of the caller's key, for the audit log.
    pub key_id: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Identification {
    /// Whose it is; nobody's where the best candidate is not accepted.
    pub subject: Option<String>,
    /// On the best candidate.
    pub decision: Verdict,
    /// Why; the first decided.
    pub reasons: Vec<Why>,
    /// The best first.
    pub candidates: Vec<Other>,
    /// `None` without a calibration or a threshold.
    pub threshold: Option<Threshold>,
    /// The estimated share of searches with a stranger's signature that name somebody, among the subjects
    /// there are now.
    pub search_far: Option<f64>,
    /// Subjects that were searched.
    pub searched: usize,
    /// How the threshold accounts for their number.
    pub note: String,
    /// The calibration that was used.
    pub calibration: Option<UsedCalibration>,
    /// The probe is a copy of a reference of the best candidate.
    pub replay: bool,
    /// Facts of the probe's ink.
    pub quality: Option<Value>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Its number in the audit log, where there is one.
    pub audit: Option<u64>,
}

impl Engine {
    /// Compares a probe with every subject. Audited as a verification is.
    ///
    /// # Errors
    /// As [`Engine::verify`].
    pub async fn identify(&self, name: &CollectionName, request: IdentifyRequest) -> Result<Identification> {
        let profile = self.matching_profile(name)?;
        let IdentifyRequest { sample, policy, limit, key_id } = request;
        let probe = self.probe(name, sample, "sample").await?;
        self.on(name, move |collection| {
            let mut answer = search(collection, &probe, policy, limit, &profile.recipe)?;
            if profile.audit {
                let fields = json!({
                    "time": jiff::Timestamp::now().to_string(), "kind": "identify", "subject": answer.subject,
                    "candidate": answer.candidates.first().map(|c| &c.subject), "probe_sha256": probe.sha256,
                    "decision": answer.decision, "score": answer.candidates.first().map(|c| c.score),
                    "threshold": answer.threshold.as_ref().map(|t| t.accept), "replay": answer.replay,
                    "calibration": answer.calibration.as_ref().map(|c| &c.id), "key": key_id,
                });
                let entry = fields.as_object().cloned().unwrap_or_default();
                answer.audit = Some(collection.append_audit(entry)?);
            }
            Ok(answer)
        })
        .await
    }
}

fn search(
    collection: &Collection,
    probe: &Probe,
    policy: Policy,
    limit: usize,
    recipe: &str,
) -> Result<Identification> {
    let current = matching_calibration(collection, recipe)?;
    let (candidates, references, searched) = collection.with_gallery(|gallery| {
        let whitening = gallery.whitening().ok_or_else(|| collection.no_whitening())?;
        let white = probe.features.as_ref().map(|features| whitening.whiten(features)).transpose()?;
        let nearest = white.map(|white| gallery.nearest(&white, None, limit)).unwrap_or_default();
        let best = nearest.first().and_then(|(name, _)| gallery.subject(name));
        let references = best.map(|best| best.references.clone()).unwrap_or_default();
        Ok::<_, Error>((nearest, references, gallery.len()))
    })??;
    let rates = current.as_ref().and_then(|(version, _)| version.identification.as_ref());
    let limits = match policy {
        Policy::Threshold(accept, reject) => {
            Some(Thresholds::new(accept, reject.unwrap_or(accept)).map_err(|error| error.at("policy"))?)
        }
        Policy::Lowest => rates.map(|rates| usual(rates, searched)).transpose()?,
        Policy::TargetFar(far, review) => match rates {
            None => None,
            Some(rates) => {
                let accept = threshold(rates, searched, far)?;
                let reject = review.map(|far| threshold(rates, searched, far)).transpose()?;
                let limits = Thresholds::new(accept, reject.unwrap_or(accept));
                Some(limits.map_err(|error| error.at("policy"))?)
            }
        },
    };
    let replay = copied(collection, probe, &references)?;
    let evidence = Evidence {
        score: candidates.first().map(|(_, score)| *score),
        references: references.len(),
        replay,
        unfit: probe.unfit.clone(),
    };
    let decision = decide(&evidence, limits);
    let accepted = decision.verdict == Verdict::Accept;
    Ok(Identification {
        subject: candidates.first().filter(|_| accepted).map(|(name, _)| name.clone()),
        decision: decision.verdict,
        reasons: reasons(&decision),
        candidates: candidates.into_iter().map(|(subject, score)| Other { subject, score }).collect(),
        threshold: limits.map(|limits| Threshold { accept: limits.accept, reject: limits.reject }),
        search_far: limits.zip(rates).map(|(limits, rates)| search_far(rates, searched, limits.accept)),
        searched,
        note: note(rates, searched),
        calibration: current.as_ref().map(|(version, _)| used(version)),
        replay: replay.is_some(),
        quality: probe.quality.as_ref().map(quality_out),
        warnings: current.as_ref().map(|(version, _)| warnings(version, searched)).unwrap_or_default(),
        audit: None,
    })
}

fn note(rates: Option<&IdentificationRates>, searched: usize) -> String {
    match rates {
        None => "there is no calibration, so nobody is named".to_owned(),
        Some(rates) => format!(
            "the FAR is that of a whole search: {} searches among {} subjects with signatures of none of them; for \
             the {searched} subjects of now it is scaled as 1 - (1 - FAR)^({searched}/{})",
            rates.best_other.len(),
            rates.subjects,
            rates.subjects
        ),
    }
}

/// FAR of a search among those of the calibration, to that among those of now, which are seldom fewer.
fn growth(rates: &IdentificationRates, searched: usize) -> f64 {
    (searched as f64 / rates.subjects.max(1) as f64).max(1.0)
}

fn search_far(rates: &IdentificationRates, searched: usize, threshold: f64) -> f64 {
    let below = rates.best_other.partition_point(|score| *score < threshold);
    let far = (rates.best_other.len() - below) as f64 / rates.best_other.len() as f64;
    1.0 - (1.0 - far).powf(growth(rates, searched))
}

fn usual(rates: &IdentificationRates, searched: usize) -> Result<Thresholds> {
    let far = USUAL_FAR.max(lowest(rates, searched) * 1.000_001).min(0.999);
    let accept = threshold(rates, searched, far)?;
    Thresholds::new(accept, accept)
}

/// The lowest FAR that the searches support among the subjects of now.
fn lowest(rates: &IdentificationRates, searched: usize) -> f64 {
    let far = (MIN_ERRORS / rates.best_other.len() as f64).min(1.0);
    1.0 - (1.0 - far).powf(growth(rates, searched))
}

fn threshold(rates: &IdentificationRates, searched: usize, far: f64) -> Result<f64> {
    let lowest = lowest(rates, searched);
    if far < lowest {
        return Err(Error::InvalidInput(format!(
            "policy.target_far: a FAR of {far} of a search among {searched} subjects cannot be told from {} searches; \
             the lowest that they support is {lowest:.2e}",
            rates.best_other.len()
        )));
    }
    let then = 1.0 - (1.0 - far).powf(1.0 / growth(rates, searched));
    let count = rates.best_other.len();
    // At most so many of the searches may name somebody.
    let allowed = ((then * (count as f64 + 1.0)).floor() as usize).saturating_sub(1).min(count);
    Ok(match count.checked_sub(allowed + 1) {
        Some(at) => rates.best_other[at].next_up(),
        None => rates.best_other[0],
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_search_keeps_the_far_that_was_asked_for(far in 0.02f64..0.5, subjects in 1usize..300, now in 1usize..400) {
            let best_other = (0..2000).map(f64::from).collect();
            let rates = IdentificationRates { subjects, best_other };
            match threshold(&rates, now, far) {
                Ok(found) => prop_assert!(search_far(&rates, now, found) <= far + 1e-9),
                Err(error) => prop_assert!(far < lowest(&rates, now), "{}", error),
            }
        }
    }
}
