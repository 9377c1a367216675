//! One probe against one subject.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::Engine;
use super::copies::copied;
use super::{Policy, Probe, Sample, Threshold, matching_calibration, quality_out, warnings};
use crate::collection::{CalibrationVersion, Collection, Reference};
use crate::error::{Error, Result};
use crate::types::{CollectionName, PointId};
use crate::verify::{Calibration, Decision, Estimate, Evidence, Reason, Thresholds, Verdict, cosine, decide};

/// Is this the subject's signature?
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// Whose it is said to be.
    pub subject: String,
    /// The signature.
    pub sample: Sample,
    /// How the threshold is chosen.
    pub policy: Policy,
    /// The share of genuine signatures among all that are presented, above 0 and below 1.
    pub prior: f64,
    /// A hash of the caller's key, for the audit log.
    pub key_id: Option<String>,
}

/// A reference that was compared with.
#[derive(Debug, Clone, Serialize)]
pub struct UsedReference {
    /// The point.
    pub id: PointId,
    /// The cosine of the whitened features.
    pub similarity: f64,
}

/// Another subject.
#[derive(Debug, Clone, Serialize)]
pub struct Other {
    /// Its name.
    pub subject: String,
    /// The probe's score against it.
    pub score: f64,
}

/// The probability that a probe with this score is genuine.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Probability {
    /// 0 to 1.
    pub genuine: f64,
    /// Where this share of all probes is genuine.
    pub prior: f64,
}

/// The calibration that was used.
#[derive(Debug, Clone, Serialize)]
pub struct UsedCalibration {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Seconds since it was made.
    pub age_secs: i64,
    /// Whom its thresholds were found against.
    pub against: String,
}

/// A reason, as a word and as a sentence.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// As `reaches_threshold`.
    pub reason: Value,
    /// In plain words.
    pub text: String,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Whose it is said to be.
    pub subject: String,
    /// Accept, reject or review.
    pub decision: Verdict,
    /// Why; the first decided.
    pub reasons: Vec<Why>,
    /// `None` where the probe cannot be judged.
    pub score: Option<f64>,
    /// `None` without a calibration or a threshold.
    pub threshold: Option<Threshold>,
    /// Platt's.
    pub probability: Option<Probability>,
    /// The share of genuine probes of the calibration that score no higher.
    pub p_value: Option<f64>,
    /// At the threshold, against other people's signatures.
    pub far: Option<Estimate>,
    /// At the threshold.
    pub frr: Option<Estimate>,
    /// Those that were compared with, by similarity.
    pub references: Vec<UsedReference>,
    /// The other subject that is most alike.
    pub nearest_impostor: Option<Other>,
    /// The calibration that was used.
    pub calibration: Option<UsedCalibration>,
    /// The whitening that was used.
    pub whitening: String,
    /// The probe is a copy of a reference.
    pub replay: bool,
    /// Facts of the probe's ink; `None` where it came as numbers.
    pub quality: Option<Value>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Its number in the audit log, where there is one.
    pub audit: Option<u64>,
}

type Current = (CalibrationVersion, std::sync::Arc<Calibration>);

impl Engine {
    /// Compares a probe with a subject's references and decides. The decision is in the audit log, where
    /// the profile asks for one, before this returns.
    ///
    /// # Errors
    /// `NotFound` where there is no such subject; `Conflict` where model, whitening and calibration do not
    /// belong together; `InvalidInput` for a picture that cannot be read or a policy that the calibration
    /// does not hold.
    pub async fn verify(&self, name: &CollectionName, request: VerifyRequest) -> Result<Verification> {
        let profile = self.matching_profile(name)?;
        // Unknown subjects and policies are told before the model works for nothing.
        let (subject, policy, recipe) = (request.subject.clone(), request.policy, profile.recipe.clone());
        let check = move |collection: &Collection| {
            let current = matching_calibration(collection, &recipe)?;
            thresholds(policy, current.as_ref())?;
            let known = collection.with_gallery(|gallery| gallery.subject(&subject).is_some())?;
            if known { Ok(()) } else { Err(Error::NotFound(format!("no subject `{subject}` is enrolled"))) }
        };
        self.on(name, check).await?;
        let VerifyRequest { subject, sample, policy, prior, key_id } = request;
        let probe = self.probe(name, sample, "sample").await?;
        self.on(name, move |collection| {
            let current = matching_calibration(collection, &profile.recipe)?;
            let mut answer = judge(collection, subject, &probe, policy, prior, current.as_ref())?;
            if profile.audit {
                let entry = entry(&answer, &probe, key_id.as_deref());
                answer.audit = Some(collection.append_audit(entry)?);
            }
            Ok(answer)
        })
        .await
    }
}

fn entry(answer: &Verification, probe: &Probe, key_id: Option<&str>) -> serde_json::Map<String, Value> {
    let fields = json!({
        "time": jiff::Timestamp::now().to_string(), "kind": "verify", "subject": answer.subject,
        "probe_sha256": probe.sha256, "decision": answer.decision, "score": answer.score,
        "threshold": answer.threshold.as_ref().map(|t| t.accept), "replay": answer.replay,
        "calibration": answer.calibration.as_ref().map(|c| &c.id), "whitening": answer.whitening, "key": key_id,
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn judge(
    collection: &Collection,
    subject: String,
    probe: &Probe,
    policy: Policy,
    prior: f64,
    current: Option<&Current>,
) -> Result<Verification> {
    struct Compared {
        whitening: String,
        references: Vec<Reference>,
        score: Option<f64>,
        similarities: Vec<f64>,
        nearest: Option<Other>,
        enrolled: usize,
    }
    let compared = collection.with_gallery(|gallery| {
        let whitening = gallery.whitening().ok_or_else(|| collection.no_whitening())?;
        let known = gallery
            .subject(&subject)
            .ok_or_else(|| Error::NotFound(format!("no subject `{subject}` is enrolled")))?;
        let white = probe.features.as_ref().map(|features| whitening.whiten(features)).transpose()?;
        let score = white.as_ref().and_then(|white| Some(known.template.as_ref()?.score(white)));
        let similarity = |white: &Vec<f32>| {
            known.references.iter().map(|reference| cosine(white, &reference.white)).collect()
        };
        let nearest = white.as_ref().and_then(|white| gallery.nearest(white, Some(&subject), 1).pop());
        Ok::<_, Error>(Compared {
            whitening: whitening.id().to_owned(),
            references: known.references.clone(),
            score,
            similarities: white.as_ref().map(similarity).unwrap_or_default(),
            nearest: nearest.map(|(subject, score)| Other { subject, score }),
            enrolled: gallery.len(),
        })
    })??;
    if let Some((version, _)) = current
        && version.whitening != compared.whitening
    {
        return Err(Error::Conflict("the whitening was changed meanwhile; ask again".into()));
    }
    let replay = copied(collection, probe, &compared.references)?;
    let limits = thresholds(policy, current)?;
    let evidence = Evidence {
        score: compared.score,
        references: compared.references.len(),
        replay,
        unfit: probe.unfit.clone(),
    };
    let decision = decide(&evidence, limits);
    let calibration = current.map(|(_, calibration)| calibration);
    let rates = limits.zip(calibration).map(|(limits, c)| c.estimates_at(limits.accept));
    let mut references: Vec<UsedReference> = compared
        .references
        .iter()
        .zip(&compared.similarities)
        .map(|(reference, &similarity)| UsedReference { id: reference.id, similarity })
        .collect();
    references.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    Ok(Verification {
        subject,
        decision: decision.verdict,
        reasons: reasons(&decision),
        score: compared.score,
        threshold: limits.map(|limits| Threshold { accept: limits.accept, reject: limits.reject }),
        probability: compared
            .score
            .zip(calibration)
            .map(|(score, c)| Probability { genuine: c.platt.probability(score, prior), prior }),
        p_value: compared.score.zip(calibration).map(|(score, c)| c.p_value(score)),
        far: rates.map(|rates| rates.0),
        frr: rates.map(|rates| rates.1),
        references,
        nearest_impostor: compared.nearest,
        calibration: current.map(|(version, _)| used(version)),
        whitening: compared.whitening,
        replay: replay.is_some(),
        quality: probe.quality.as_ref().map(quality_out),
        warnings: current.map(|(version, _)| warnings(version, compared.enrolled)).unwrap_or_default(),
        audit: None,
    })
}

pub(super) fn used(version: &CalibrationVersion) -> UsedCalibration {
    UsedCalibration {
        id: version.id.clone(),
        version: version.version,
        age_secs: (jiff::Timestamp::now().as_second() - version.created).max(0),
        against: version.against.clone(),
    }
}

pub(super) fn reasons(decision: &Decision) -> Vec<Why> {
    let why = |reason: &Reason| Why {
        reason: serde_json::to_value(reason).map(|mut v| v["reason"].take()).unwrap_or_default(),
        text: reason.to_string(),
    };
    decision.reasons.iter().map(why).collect()
}

/// The thresholds of a policy; `None` without a calibration where one is needed.
fn thresholds(policy: Policy, current: Option<&Current>) -> Result<Option<Thresholds>> {
    let at = |far: f64, field: &str, (version, _): &Current| {
        let point = version.points.iter().find(|point| (point.target_far - far).abs() <= 1e-9 * far);
        point.map(|point| point.threshold).ok_or_else(|| {
            let known: Vec<String> = version.points.iter().map(|p| p.target_far.to_string()).collect();
            Error::InvalidInput(format!(
                "policy.{field}: the calibration holds no threshold for a FAR of {far}, it holds {}; calibrate with \
                 this target",
                known.join(", ")
            ))
        })
    };
    match (policy, current) {
        (Policy::Threshold(accept, reject), _) => {
            let limits = Thresholds::new(accept, reject.unwrap_or(accept));
            limits.map(Some).map_err(|error| error.at("policy"))
        }
        (_, None) => Ok(None),
        (Policy::Lowest, Some((version, _))) => {
            let lowest = version.points.iter().min_by(|a, b| a.target_far.total_cmp(&b.target_far));
            lowest.map(|point| Thresholds::new(point.threshold, point.threshold)).transpose()
        }
        (Policy::TargetFar(far, review), Some(current)) => {
            let accept = at(far, "target_far", current)?;
            let reject = review.map(|far| at(far, "review_far", current)).transpose()?.unwrap_or(accept);
            Thresholds::new(accept, reject).map(Some).map_err(|error| error.at("policy"))
        }
    }
}
