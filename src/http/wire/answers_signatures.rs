//! The shapes of answers about signatures, for the OpenAPI document alone; see `answers.rs`.

// Nothing reads the fields; their types are what counts.
#![allow(dead_code)]

use serde_json::Value;
use utoipa::ToSchema;

use super::answers::PointIdOut;

/// `accept`, `reject`, or `review` where a person must look.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum DecisionOut {
    Accept,
    Reject,
    Review,
}

/// A reason, as a word and as a sentence.
#[derive(ToSchema)]
pub struct WhyOut {
    reason: String,
    text: String,
}

/// A range of 95 %.
#[derive(ToSchema)]
pub struct IntervalOut {
    low: f64,
    high: f64,
}

/// A figure with its interval over subjects drawn again.
#[derive(ToSchema)]
pub struct EstimateOut {
    value: f64,
    interval: IntervalOut,
}

/// Accept from, reject below.
#[derive(ToSchema)]
pub struct ThresholdOut {
    accept: f64,
    reject: f64,
}

/// The probability that a probe with this score is genuine, where the share `prior` of all is.
#[derive(ToSchema)]
pub struct ProbabilityOut {
    genuine: f64,
    prior: f64,
}

/// A reference that was compared with.
#[derive(ToSchema)]
pub struct UsedReferenceOut {
    id: PointIdOut,
    similarity: f64,
}

/// A subject and the probe's score against it.
#[derive(ToSchema)]
pub struct CandidateOut {
    subject: String,
    score: f64,
}

/// The calibration that was used.
#[derive(ToSchema)]
pub struct UsedCalibrationOut {
    id: String,
    version: u64,
    age_secs: i64,
    /// `random` or `skilled`.
    against: String,
}

/// Facts of a picture's ink.
#[derive(ToSchema)]
pub struct QualityOut {
    ink_share: f64,
    width: u64,
    height: u64,
    contrast: f64,
}

/// Is this the subject's signature?
#[derive(ToSchema)]
pub struct VerifyOut {
    subject: String,
    decision: DecisionOut,
    /// The first decided.
    reasons: Vec<WhyOut>,
    /// Null where the probe cannot be judged.
    score: Option<f64>,
    /// Null without a calibration or a threshold.
    threshold: Option<ThresholdOut>,
    probability: Option<ProbabilityOut>,
    /// The share of genuine probes of the calibration that score no higher.
    p_value: Option<f64>,
    /// At the threshold, against other people's signatures.
    far: Option<EstimateOut>,
    /// At the threshold.
    frr: Option<EstimateOut>,
    references: Vec<UsedReferenceOut>,
    nearest_impostor: Option<CandidateOut>,
    calibration: Option<UsedCalibrationOut>,
    whitening: String,
    /// The probe is a copy of a reference.
    replay: bool,
    quality: Option<QualityOut>,
    warnings: Vec<String>,
    /// Its number in the audit log, where there is one.
    audit: Option<u64>,
}

/// Whose signature is this?
#[derive(ToSchema)]
pub struct IdentifyOut {
    /// Null where it is nobody's.
    subject: Option<String>,
    decision: DecisionOut,
    reasons: Vec<WhyOut>,
    /// The best first.
    candidates: Vec<CandidateOut>,
    threshold: Option<ThresholdOut>,
    /// The share of searches with a stranger's signature that name somebody.
    search_far: Option<f64>,
    searched: u64,
    note: String,
    calibration: Option<UsedCalibrationOut>,
    replay: bool,
    quality: Option<QualityOut>,
    warnings: Vec<String>,
    audit: Option<u64>,
}

/// What became of one picture.
#[derive(ToSchema)]
pub struct EnrolledOut {
    sample: String,
    /// `enrolled` or `refused`.
    status: String,
    id: Option<PointIdOut>,
    quality: Option<QualityOut>,
    error: Option<String>,
}

/// What an enrolment did.
#[derive(ToSchema)]
pub struct EnrolOut {
    subject: String,
    items: Vec<EnrolledOut>,
    /// References that the subject has now.
    references: u64,
    /// What should still be done.
    advice: Option<String>,
}

/// A subject in a list.
#[derive(ToSchema)]
pub struct SubjectCountOut {
    subject: String,
    references: u64,
    forgeries: u64,
}

/// A page of subjects.
#[derive(ToSchema)]
pub struct SubjectsOut {
    subjects: Vec<SubjectCountOut>,
    total: u64,
    references: u64,
    /// The `from` of the next page.
    next: Option<String>,
}

/// A reference.
#[derive(ToSchema)]
pub struct ReferenceOut {
    id: PointIdOut,
    sha256: Option<String>,
}

/// A subject.
#[derive(ToSchema)]
pub struct SubjectOut {
    subject: String,
    references: Vec<ReferenceOut>,
    forgeries: u64,
}

/// Points that were deleted.
#[derive(ToSchema)]
pub struct DeletedOut {
    deleted: u64,
}

/// A threshold for a chosen FAR.
#[derive(ToSchema)]
pub struct OperatingPointOut {
    target_far: f64,
    threshold: f64,
    threshold_interval: IntervalOut,
    far: EstimateOut,
    frr: EstimateOut,
    /// Fewer than 30 false accepts are expected: the true FAR may be off by more than 30 %.
    coarse: bool,
}

/// What labelled forgeries show at the thresholds.
#[derive(ToSchema)]
pub struct SkilledOut {
    forgeries: u64,
    subjects: u64,
    eer: EstimateOut,
    far: Vec<f64>,
}

/// The searches that identification rests on.
#[derive(ToSchema)]
pub struct SearchesOut {
    subjects: u64,
    searches: u64,
}

/// A point of the DET curve.
#[derive(ToSchema)]
pub struct RatePointOut {
    threshold: f64,
    far: f64,
    frr: f64,
}

/// Scores to probabilities.
#[derive(ToSchema)]
pub struct PlattOut {
    slope: f64,
    offset: f64,
}

/// A calibration; `det`, `platt` and `eer_threshold` only where one is asked for by its id.
#[derive(ToSchema)]
pub struct CalibrationOut {
    id: String,
    version: u64,
    /// Seconds since 1970.
    created: i64,
    /// It is in use.
    current: bool,
    recipe: String,
    whitening: String,
    /// `random` or `skilled`.
    against: String,
    enrolled: u64,
    subjects: u64,
    genuine: u64,
    impostors: u64,
    seed: u64,
    eer: EstimateOut,
    points: Vec<OperatingPointOut>,
    skilled: Option<SkilledOut>,
    identification: Option<SearchesOut>,
    /// The collection has grown by half since.
    outgrown: bool,
    /// Why it should be made anew.
    stale: Option<String>,
    #[schema(required = false)]
    det: Option<Vec<RatePointOut>>,
    #[schema(required = false)]
    platt: Option<PlattOut>,
    #[schema(required = false)]
    eer_threshold: Option<f64>,
}

/// All calibrations, oldest first.
#[derive(ToSchema)]
pub struct CalibrationsOut {
    calibrations: Vec<CalibrationOut>,
}

/// A whitening.
#[derive(ToSchema)]
pub struct WhiteningOut {
    id: String,
    /// `default` or `fitted`.
    origin: String,
    /// Seconds since 1970.
    created: i64,
    subjects: u64,
    /// Names of the subjects it was fitted on, where they are of this collection.
    cohort: Vec<String>,
}

/// The whitening in use.
#[derive(ToSchema)]
pub struct WhiteningsOut {
    #[schema(value_type = Option<WhiteningOut>)]
    whitening: Option<Value>,
}
