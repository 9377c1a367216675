//! Signatures on the wire: what is enrolled, verified, identified and calibrated.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::upload::Form;
use super::inference::image;
use super::object::{Object, expected};
use crate::collection::CalibrationVersion;
use crate::engine::{
    CalibrateRequest, EnrolRequest, IdentifyRequest, OnFailure, Policy, Sample, SampleFile, VerifyRequest,
    WhitenRequest,
};
use crate::error::{Error, Result};
use crate::types::PointId;

/// Most candidates of an identification.
const MAX_CANDIDATES: usize = 100;

/// `POST /collections/{c}/enrol`; as a form the files are the samples.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolBody {
    /// Whose signatures these are.
    #[serde(default)]
    subject: Option<String>,
    /// Pictures as base64 or data: URLs, or `{"image": ..}`; 1 to 100.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    samples: Vec<Value>,
    /// One picture, in place of `samples`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    sample: Option<Value>,
    /// They imitate the subject: kept for calibration, never compared with as references.
    #[serde(default)]
    forgery: bool,
    /// Kept with each.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Option<Map<String, Value>>,
}

impl EnrolBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self, on_failure: OnFailure) -> Result<EnrolRequest> {
        let mut samples = Vec::new();
        let named = |i: usize| format!("samples[{i}]");
        let given = self.samples.into_iter().enumerate().map(|(i, value)| (named(i), value));
        for (name, value) in given.chain(self.sample.map(|value| ("sample".to_owned(), value))) {
            samples.push(SampleFile { bytes: picture(value, &name)?, name });
        }
        request(self.subject, samples, self.forgery, self.payload.unwrap_or_default(), on_failure)
    }
}

/// The same as a form.
pub fn enrol_form(mut form: Form, on_failure: OnFailure) -> Result<EnrolRequest> {
    let forgery = match form.texts.remove("forgery").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(Error::Validation(format!("forgery is `{other:.20}`, expected true or false")));
        }
    };
    let payload = json_part(&mut form, "payload")?;
    let payload = match payload {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(expected("payload", "an object", &other)),
    };
    let subject = form.texts.remove("subject");
    no_more(&form)?;
    request(subject, form.files, forgery, payload, on_failure)
}

fn request(
    subject: Option<String>,
    samples: Vec<SampleFile>,
    forgeries: bool,
    payload: Map<String, Value>,
    on_failure: OnFailure,
) -> Result<EnrolRequest> {
    let subject = subject.ok_or_else(|| missing("subject", "whose signature it is"))?;
    for field in ["subject", "forgery_of", "sha256", "quality", "print"] {
        if payload.contains_key(field) {
            return Err(Error::InvalidInput(format!("payload.{field} is set by the server; leave it out")));
        }
    }
    Ok(EnrolRequest { subject, samples, forgeries, payload, on_failure })
}

fn missing(field: &str, what: &str) -> Error {
    Error::MalformedBody(format!("{field}: field is missing ({what})"))
}

fn json_part(form: &mut Form, name: &str) -> Result<Option<Value>> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| Error::MalformedBody(format!("{name}: {error}")))
    };
    form.texts.remove(name).map(parse).transpose()
}

fn no_more(form: &Form) -> Result<()> {
    match form.texts.keys().next() {
        None => Ok(()),
        Some(name) => Err(Error::MalformedBody(format!("{name}: unknown part of the form"))),
    }
}

fn picture(value: Value, place: &str) -> Result<Vec<u8>> {
    match value {
        Value::String(text) => image(&text, place),
        Value::Object(_) => {
            let mut object = Object::new(value, place)?;
            let at = object.at("image");
            let text = object.string("image")?.ok_or_else(|| missing(&at, "the picture as base64"))?;
            object.finish()?;
            image(&text, &at)
        }
        other => Err(expected(place, "a picture as base64", &other)),
    }
}

/// A picture (base64, `data:` URL or `{"image"}`), features (a list or `{"vector"}`), or a point (`{"id"}`).
fn sample(value: Option<Value>) -> Result<Sample> {
    let numbers = |value: Value, place: &str| {
        let vector: Vec<f32> = serde_json::from_value(value)
            .map_err(|error| Error::MalformedBody(format!("{place}: expected numbers: {error}")))?;
        Ok(Sample::Features(vector))
    };
    match value {
        None | Some(Value::Null) => Err(missing("sample", "a picture as base64, {\"vector\"} or {\"id\"}")),
        Some(value @ Value::Array(_)) => numbers(value, "sample"),
        Some(Value::Object(mut map)) if map.contains_key("vector") && map.len() == 1 => {
            numbers(map.remove("vector").unwrap_or_default(), "sample.vector")
        }
        Some(Value::Object(mut map)) if map.contains_key("id") && map.len() == 1 => {
            let id: PointId = serde_json::from_value(map.remove("id").unwrap_or_default())
                .map_err(|error| Error::MalformedBody(format!("sample.id: {error}")))?;
            Ok(Sample::Point(id))
        }
        Some(value) => picture(value, "sample").map(Sample::Image),
    }
}

fn policy(value: Option<Value>) -> Result<Policy> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Policy::Lowest) };
    let mut object = Object::new(value, "policy")?;
    let (target, review) = (object.number("target_far")?, object.number("review_far")?);
    let (threshold, reject) = (object.number("threshold")?, object.number("reject_below")?);
    object.finish()?;
    for (field, far) in [("target_far", target), ("review_far", review)] {
        if far.is_some_and(|far| !(far > 0.0 && far < 1.0)) {
            let far = far.unwrap_or_default();
            return Err(Error::Validation(format!(
                "policy.{field} is {far}, it must be above 0 and below 1"
            )));
        }
    }
    match (target, threshold) {
        (Some(far), None) if reject.is_none() => {
            if review.is_some_and(|review| review < far) {
                return Err(Error::Validation("policy.review_far must not be below target_far".into()));
            }
            Ok(Policy::TargetFar(far, review))
        }
        (None, Some(threshold)) if review.is_none() => Ok(Policy::Threshold(threshold, reject)),
        _ => Err(Error::Validation(
            "policy: expected `target_far` (with `review_far`), or `threshold` (with `reject_below`)".into(),
        )),
    }
}

/// `POST /collections/{c}/verify`; as a form the one file is the sample.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// Whose it is said to be.
    #[serde(default)]
    subject: Option<String>,
    /// A picture as base64 or data: URL, `{"vector": [..]}` of the collection's features, or `{"id": ..}`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    sample: Option<Value>,
    /// `{"target_far", "review_far"?}` of the calibration, or `{"threshold", "reject_below"?}`; the lowest
    /// calibrated FAR if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    policy: Option<Value>,
    /// The share of genuine signatures among all that are presented; 0.5 if absent.
    #[serde(default)]
    prior: Option<f64>,
}

impl VerifyBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self, key_id: Option<String>) -> Result<VerifyRequest> {
        let prior = self.prior.unwrap_or(0.5);
        if !(prior > 0.0 && prior < 1.0) {
            return Err(Error::Validation(format!("prior is {prior}, it must be above 0 and below 1")));
        }
        let subject = self.subject.ok_or_else(|| missing("subject", "whose signature it is said to be"))?;
        Ok(VerifyRequest {
            subject,
            sample: sample(self.sample)?,
            policy: policy(self.policy)?,
            prior,
            key_id,
        })
    }
}

/// The same as a form.
pub fn verify_form(mut form: Form, key_id: Option<String>) -> Result<VerifyRequest> {
    let body = VerifyBody {
        subject: form.texts.remove("subject"),
        sample: None,
        policy: json_part(&mut form, "policy")?,
        prior: match form.texts.remove("prior") {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Error::MalformedBody(format!("prior: `{text:.20}` is no number")))?,
            ),
        },
    };
    no_more(&form)?;
    let bytes = one_file(form)?;
    // The sample is put in after: a placeholder that is read as features.
    let request = VerifyBody { sample: Some(json!([0])), ..body }.request(key_id)?;
    Ok(VerifyRequest { sample: Sample::Image(bytes), ..request })
}

fn one_file(mut form: Form) -> Result<Vec<u8>> {
    match (form.files.pop(), form.files.len()) {
        (Some(file), 0) => Ok(file.bytes),
        (_, more) => Err(Error::MalformedBody(format!(
            "sample: the form holds {} files, expected one picture",
            if more == 0 { 0 } else { more + 1 }
        ))),
    }
}

/// `POST /collections/{c}/identify`; as a form the one file is the sample.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifyBody {
    /// As in `verify`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    sample: Option<Value>,
    /// As in `verify`; a FAR is that of the whole search.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    policy: Option<Value>,
    /// Candidates in the answer, 1 to 100; 5 if absent.
    #[serde(default)]
    limit: Option<usize>,
}

impl IdentifyBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self, key_id: Option<String>) -> Result<IdentifyRequest> {
        let limit = self.limit.unwrap_or(5);
        if !(1..=MAX_CANDIDATES).contains(&limit) {
            return Err(Error::Validation(format!(
                "limit is {limit}, it must be from 1 to {MAX_CANDIDATES}"
            )));
        }
        Ok(IdentifyRequest { sample: sample(self.sample)?, policy: policy(self.policy)?, limit, key_id })
    }
}

/// The same as a form.
pub fn identify_form(mut form: Form, key_id: Option<String>) -> Result<IdentifyRequest> {
    let policy_value = json_part(&mut form, "policy")?;
    no_more(&form)?;
    let bytes = one_file(form)?;
    let body = IdentifyBody { sample: Some(json!([0])), policy: policy_value, limit: None };
    Ok(IdentifyRequest { sample: Sample::Image(bytes), ..body.request(key_id)? })
}

/// `POST /collections/{c}/calibrate`
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrateBody {
    /// FARs to find thresholds for; 0.001, 0.01, 0.05 and 0.1 as far as the comparisons support them if absent.
    #[serde(default)]
    target_fars: Vec<f64>,
    /// `random` (default): thresholds against other people's signatures; `skilled`: against labelled forgeries.
    #[serde(default)]
    against: Option<String>,
    /// Of the sampling and of the intervals; 1 if absent.
    #[serde(default)]
    seed: Option<u64>,
    /// Draws for the intervals, 100 to 10,000; 300 if absent.
    #[serde(default)]
    resamples: Option<usize>,
}

impl CalibrateBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self) -> Result<CalibrateRequest> {
        let skilled = match self.against.as_deref() {
            None | Some("random") => false,
            Some("skilled") => true,
            Some(other) => {
                return Err(Error::Validation(format!(
                    "against is `{other:.40}`, use `random` or `skilled`"
                )));
            }
        };
        let resamples = self.resamples.unwrap_or(300);
        if !(100..=10_000).contains(&resamples) {
            return Err(Error::Validation(format!("resamples is {resamples}, it must be from 100 to 10000")));
        }
        Ok(CalibrateRequest {
            target_fars: self.target_fars,
            skilled,
            seed: self.seed.unwrap_or(1),
            resamples,
        })
    }
}

/// `POST /collections/{c}/whitening`
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhitenBody {
    /// The cohort by name, at least 10; drawn by `share` if absent.
    #[serde(default)]
    subjects: Vec<String>,
    /// The share of subjects that is drawn, 0.05 to 0.95; 0.5 if absent.
    #[serde(default)]
    share: Option<f64>,
    /// Of the draw; 1 if absent.
    #[serde(default)]
    seed: Option<u64>,
    /// True goes back to the whitening that ships with the model.
    #[serde(default)]
    default: bool,
}

impl WhitenBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self) -> Result<WhitenRequest> {
        let share = self.share.unwrap_or(0.5);
        if !(0.05..=0.95).contains(&share) {
            return Err(Error::Validation(format!("share is {share}, it must be from 0.05 to 0.95")));
        }
        let WhitenBody { subjects, seed, default, .. } = self;
        Ok(WhitenRequest { subjects, share, seed: seed.unwrap_or(1), default })
    }
}

/// A calibration in the list: all but the scores of its searches.
pub fn calibration_out(version: &CalibrationVersion, enrolled_now: usize, current: bool) -> Value {
    let searches = version.identification.as_ref();
    json!({
        "id": version.id, "version": version.version, "created": version.created, "current": current,
        "recipe": version.recipe, "whitening": version.whitening, "against": version.against,
        "enrolled": version.enrolled, "subjects": version.subjects, "genuine": version.genuine,
        "impostors": version.impostors, "seed": version.seed, "eer": version.eer, "points": version.points,
        "skilled": version.skilled,
        "identification": searches.map(|s| json!({"subjects": s.subjects, "searches": s.best_other.len()})),
        "outgrown": version.outgrown(enrolled_now), "stale": version.stale,
    })
}
