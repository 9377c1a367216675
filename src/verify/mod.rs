//! Verification of signatures: is this probe by the same hand as these references? Features are
//! whitened, compared with the subject's references, and the score becomes a decision.
//!
//! Pure mathematics: vectors in, numbers out. No pictures, no models, no storage, no HTTP.
//! Invariant: what is fitted (whitening, calibration) has an id that follows from all its numbers, so
//! that scores of one are never compared with thresholds of another.

mod calibration;
mod decision;
mod platt;
mod rates;
mod score;
mod shipped;
mod whitening;

pub use calibration::{
    Calibration, Estimate, IMPOSTOR_SCORES, MAX_TARGETS, MIN_ERRORS, MIN_GENUINE, MIN_SUBJECTS,
    OperatingPoint, Wanted,
};
pub use decision::{
    DUPLICATE_COSINE, Decision, Evidence, Likeness, MIN_REFERENCES, RECOMMENDED_REFERENCES, Reason,
    Thresholds, Verdict, decide,
};
pub use platt::{Platt, expected_calibration_error};
pub use rates::{Comparison, Comparisons, MAX_COMPARISONS, RatePoint};
pub use score::{Score, Template, cosine, score};
pub use shipped::default_whitening;
pub use whitening::{MAX_COHORT_SIGNATURES, MIN_COHORT, Whitening};
