//! A score to a decision: accept, reject, or leave it to a person, with the reasons in plain words.
//!
//! Invariant: doubt never becomes an acceptance. A probe that is unfit, a copy of a reference, or is
//! compared with too few references is at best reviewed; only a rejection needs no more evidence.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// References under which a score is not trusted to accept: with one the EER is twice as high.
pub const MIN_REFERENCES: usize = 3;
/// References from which on more add little.
pub const RECOMMENDED_REFERENCES: usize = 5;
/// The cosine of raw features above which two pictures are the same one.
pub const DUPLICATE_COSINE: f32 = 0.999;

/// How a copy was told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Likeness {
    /// The same file.
    Bytes,
    /// The cosine of raw features.
    Features(f32),
    /// The correlation of the ink where the one lies best on the other.
    Ink(f32),
}

impl std::fmt::Display for Likeness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Likeness::Bytes => write!(f, "the same file"),
            Likeness::Features(cosine) => write!(f, "cosine {cosine:.4}"),
            Likeness::Ink(correlation) => {
                write!(
                    f,
                    "printed, scanned, scaled or turned: its ink lies on the other's, correlation {correlation:.3}"
                )
            }
        }
    }
}

/// What is done with a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The score is that of the subject's own signatures.
    Accept,
    /// The score is that of others.
    Reject,
    /// A person must look.
    Review,
}

/// Why. Its `Display` is a sentence for the one who reads the answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// At or above the threshold.
    #[error("the score {score:.3} reaches the threshold {threshold:.3}")]
    ReachesThreshold {
        /// Of the probe.
        score: f64,
        /// For acceptance.
        threshold: f64,
    },
    /// Below the threshold for rejection.
    #[error("the score {score:.3} is below {threshold:.3}")]
    BelowThreshold {
        /// Of the probe.
        score: f64,
        /// For rejection.
        threshold: f64,
    },
    /// Between the two.
    #[error("the score {score:.3} lies between {reject:.3} (reject below) and {accept:.3} (accept from)")]
    BetweenThresholds {
        /// Of the probe.
        score: f64,
        /// Reject below it.
        reject: f64,
        /// Accept from it.
        accept: f64,
    },
    /// Fewer references than [`MIN_REFERENCES`].
    #[error(
        "{references} reference(s) are too few to accept by; enrol at least {needed}, better {recommended}"
    )]
    FewReferences {
        /// How many there are.
        references: usize,
        /// [`MIN_REFERENCES`].
        needed: usize,
        /// [`RECOMMENDED_REFERENCES`].
        recommended: usize,
    },
    /// The probe is a copy of a reference: presented again, not signed again.
    #[error(
        "the probe is the same picture as reference {reference} ({likeness}); nobody signs twice to the pixel"
    )]
    Replay {
        /// Its place among the references.
        reference: usize,
        /// How it was told.
        likeness: Likeness,
    },
    /// The picture cannot be judged.
    #[error("the probe cannot be judged: {why}")]
    Unfit {
        /// In plain words.
        why: String,
    },
    /// No calibration, so no threshold.
    #[error("the collection is not calibrated: there is no threshold to decide by")]
    Uncalibrated,
}

/// Where scores become decisions. `reject` is at most `accept`; scores between are reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Accept from here on.
    pub accept: f64,
    /// Reject below.
    pub reject: f64,
}

impl Thresholds {
    /// # Errors
    /// `InvalidInput` if they are not finite or `reject` is above `accept`.
    pub fn new(accept: f64, reject: f64) -> Result<Thresholds> {
        if !accept.is_finite() || !reject.is_finite() || reject > accept {
            return Err(Error::InvalidInput(format!(
                "thresholds: reject {reject} and accept {accept}; expected finite numbers, reject at most accept"
            )));
        }
        Ok(Thresholds { accept, reject })
    }
}

/// What is known of a probe.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// `None` if the probe could not be scored.
    pub score: Option<f64>,
    /// How many references it was compared with.
    pub references: usize,
    /// The reference that it copies, and how that was told.
    pub replay: Option<(usize, Likeness)>,
    /// Why the picture cannot be judged.
    pub unfit: Option<String>,
}

/// A verdict and all its reasons; the first is the one that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// At least one.
    pub reasons: Vec<Reason>,
}

/// Decide. `thresholds` is `None` without a calibration.
pub fn decide(evidence: &Evidence, thresholds: Option<Thresholds>) -> Decision {
    let mut doubts = Vec::new();
    if let Some(why) = &evidence.unfit {
        doubts.push(Reason::Unfit { why: why.clone() });
    }
    if let Some((reference, likeness)) = evidence.replay {
        doubts.push(Reason::Replay { reference, likeness });
    }
    let (Some(score), Some(Thresholds { accept, reject })) = (evidence.score, thresholds) else {
        if doubts.is_empty() || thresholds.is_none() {
            doubts.push(Reason::Uncalibrated);
        }
        return Decision { verdict: Verdict::Review, reasons: doubts };
    };
    let finding = if score >= accept {
        Reason::ReachesThreshold { score, threshold: accept }
    } else if score < reject {
        Reason::BelowThreshold { score, threshold: reject }
    } else {
        Reason::BetweenThresholds { score, reject, accept }
    };
    if !doubts.is_empty() {
        doubts.push(finding);
        return Decision { verdict: Verdict::Review, reasons: doubts };
    }
    let few = Reason::FewReferences {
        references: evidence.references,
        needed: MIN_REFERENCES,
        recommended: RECOMMENDED_REFERENCES,
    };
    match finding {
        Reason::BelowThreshold { .. } => Decision { verdict: Verdict::Reject, reasons: vec![finding] },
        _ if evidence.references < MIN_REFERENCES => {
            Decision { verdict: Verdict::Review, reasons: vec![few, finding] }
        }
        Reason::ReachesThreshold { .. } => Decision { verdict: Verdict::Accept, reasons: vec![finding] },
        _ => Decision { verdict: Verdict::Review, reasons: vec![finding] },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { accept: 0.6, reject: 0.4 };

    fn evidence(score: f64, references: usize) -> Evidence {
        Evidence { score: Some(score), references, ..Evidence::default() }
    }

    #[test]
    fn each_case_comes_with_its_reason_in_words() {
        let copied = |likeness| Evidence { replay: Some((2, likeness)), ..evidence(0.99, 5) };
        let blank = Evidence { unfit: Some("it is blank".into()), references: 5, ..Evidence::default() };
        for (evidence, thresholds, verdict, words) in [
            (evidence(0.6, 5), Some(THRESHOLDS), Verdict::Accept, "reaches the threshold 0.600"),
            (evidence(0.39, 1), Some(THRESHOLDS), Verdict::Reject, "is below 0.400"),
            (evidence(0.5, 5), Some(THRESHOLDS), Verdict::Review, "between 0.400 (reject below) and 0.600"),
            (evidence(0.9, 2), Some(THRESHOLDS), Verdict::Review, "2 reference(s) are too few"),
            (evidence(0.9, 5), None, Verdict::Review, "not calibrated"),
            (
                copied(Likeness::Bytes),
                Some(THRESHOLDS),
                Verdict::Review,
                "same picture as reference 2 (the same file)",
            ),
            (
                copied(Likeness::Features(0.9995)),
                Some(THRESHOLDS),
                Verdict::Review,
                "reference 2 (cosine 0.9995)",
            ),
            (copied(Likeness::Ink(0.98)), Some(THRESHOLDS), Verdict::Review, "reference 2 (printed, scanned"),
            (blank, Some(THRESHOLDS), Verdict::Review, "cannot be judged: it is blank"),
        ] {
            let decision = decide(&evidence, thresholds);
            assert_eq!(decision.verdict, verdict, "{decision:?}");
            assert!(decision.reasons[0].to_string().contains(words), "{decision:?}");
        }
    }

    #[test]
    fn thresholds_in_the_wrong_order_are_refused() {
        for (accept, reject) in [(0.4, 0.6), (f64::NAN, 0.1), (0.3, f64::NEG_INFINITY)] {
            assert!(Thresholds::new(accept, reject).is_err(), "{accept} {reject}");
        }
    }

    proptest! {
        #[test]
        fn only_a_fit_probe_that_is_no_copy_and_has_references_enough_is_accepted(
            score in prop::option::of(0.0f64..1.0), references in 0usize..12, replay: bool, unfit: bool, calibrated: bool
        ) {
            let evidence = Evidence {
                score, references, replay: replay.then_some((0, Likeness::Bytes)), unfit: unfit.then(|| "it is blank".into()),
            };
            let decision = decide(&evidence, calibrated.then_some(THRESHOLDS));
            let sound = calibrated && references >= MIN_REFERENCES && !replay && !unfit;
            prop_assert_eq!(decision.verdict == Verdict::Accept, sound && score.is_some_and(|s| s >= 0.6));
            prop_assert!(!decision.reasons.is_empty());
            if decision.verdict == Verdict::Reject {
                prop_assert!(calibrated && score.is_some_and(|s| s < 0.4));
            }
        }
    }
}
