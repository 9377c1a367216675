//! Enrolment: references are looked at before they are taken. Refused are pictures without ink, too
//! small or mostly dark, and copies of a reference (the same bytes, features or ink): a subject enrolled
//! twice by one picture looks steadier than it is.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::Engine;
use super::super::draft::OnFailure;
use super::copies::{self, PRINT_FIELD, Traces};
use super::{quality_out, sha256};
use crate::collection::{Collection, MAX_REFERENCES};
use crate::distance;
use crate::embed::{Lane, SignatureFeatures};
use crate::error::{Error, Result};
use crate::types::{
    CollectionName, FORGERY_FIELD, Payload, Pictures, Point, PointId, SUBJECT_FIELD, check_subject,
};
use crate::verify::{MIN_REFERENCES, RECOMMENDED_REFERENCES};

/// A picture file on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFile {
    /// Its place or name in the request, for errors.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// References of one subject.
#[derive(Debug, Clone)]
pub struct EnrolRequest {
    /// Whose.
    pub subject: String,
    /// The pictures.
    pub samples: Vec<SampleFile>,
    /// They imitate the subject: kept for calibration, never compared with as references.
    pub forgeries: bool,
    /// Kept with each.
    pub payload: Payload,
    /// What one that is unfit does to the others.
    pub on_failure: OnFailure,
}

/// What became of one picture.
#[derive(Debug, Clone, Serialize)]
pub struct EnrolledItem {
    /// Its place or name in the request.
    pub sample: String,
    /// `enrolled` or `refused`.
    pub status: &'static str,
    /// The point that it is now.
    pub id: Option<PointId>,
    /// Facts of its ink.
    pub quality: Option<Value>,
    /// Why it was refused.
    pub error: Option<String>,
}

/// What an enrolment did.
#[derive(Debug, Clone, Serialize)]
pub struct Enrolment {
    /// Whose.
    pub subject: String,
    /// In the order of the request.
    pub items: Vec<EnrolledItem>,
    /// References that the subject has now.
    pub references: usize,
    /// What should still be done.
    pub advice: Option<String>,
}

struct Ready {
    at: usize,
    traces: Traces,
    point: Point,
    pictures: Pictures,
}

impl Engine {
    /// Enrols references of a subject; all or none, unless `on_failure` says otherwise.
    ///
    /// # Errors
    /// `Unfit` or `InvalidInput` that names each refused picture and why; `Conflict` where the model is
    /// another; those of writing.
    pub async fn enrol(&self, name: &CollectionName, request: EnrolRequest) -> Result<Enrolment> {
        self.matching_profile(name)?;
        check_subject(&request.subject).map_err(|why| Error::InvalidInput(format!("subject: {why}")))?;
        let count = request.samples.len();
        if !(1..=MAX_REFERENCES).contains(&count) {
            return Err(Error::Validation(format!(
                "samples: {count} pictures, expected 1 to {MAX_REFERENCES}"
            )));
        }
        let names: Vec<String> = request.samples.iter().map(|sample| sample.name.clone()).collect();
        let hashes: Vec<String> = request.samples.iter().map(|sample| sha256(&sample.bytes)).collect();
        let ids: Vec<PointId> = hashes.iter().map(|hash| id_of(&request, hash)).collect();
        let pictures = request.samples.iter().map(|sample| sample.bytes.clone()).collect();
        let policy = self.picture_policy(name)?;
        let found = self.shared.models.default().signatures(Lane::Ingest, pictures, policy.into()).await?;
        let mut originals: Vec<Option<Vec<u8>>> = match policy.originals {
            true => request.samples.into_iter().map(|sample| Some(sample.bytes)).collect(),
            false => vec![None; count],
        };
        let (mut ready, mut refused) = (Vec::new(), BTreeMap::new());
        let mut qualities = vec![None; count];
        for (at, found) in found.into_iter().enumerate() {
            match found {
                Ok(SignatureFeatures { mut features, quality, print, thumbnail }) => {
                    distance::normalise(&mut features);
                    qualities[at] = Some(quality_out(&quality));
                    let mut payload = request.payload.clone();
                    let field = if request.forgeries { FORGERY_FIELD } else { SUBJECT_FIELD };
                    payload.insert(field.into(), request.subject.clone().into());
                    payload.insert("sha256".into(), hashes[at].clone().into());
                    payload.insert("quality".into(), quality_out(&quality));
                    payload.insert(PRINT_FIELD.into(), print.to_text().into());
                    let vectors = BTreeMap::from([(String::new(), features.clone())]);
                    let point = Point { id: ids[at], vectors, payload };
                    let pictures = Pictures { thumbnail, original: originals[at].take() };
                    let sha256 = Some(hashes[at].clone());
                    let traces = Traces { sha256, features: Some(features), print: Some(print) };
                    ready.push(Ready { at, traces, point, pictures });
                }
                Err(error) => drop(refused.insert(at, plain(&error))),
            }
        }
        let (subject, on_failure, forgeries) =
            (request.subject.clone(), request.on_failure, request.forgeries);
        let labels = names.clone();
        let write = move |collection: &Collection| {
            let _alone = collection.enrolling();
            let taken = fresh(collection, &subject, ready, forgeries, &labels, &mut refused)?;
            if on_failure == OnFailure::RefuseAll && !refused.is_empty() {
                let each = refused.iter().map(|(at, why)| format!("{}: {why}", labels[*at]));
                return Err(Error::Unfit(format!(
                    "nothing was enrolled; {}",
                    each.collect::<Vec<_>>().join("; ")
                )));
            }
            if !taken.is_empty() {
                let (points, pictures) = taken.into_iter().unzip();
                collection.upsert_pictured(points, pictures)?;
            }
            let references = collection
                .with_gallery(|gallery| gallery.subject(&subject).map_or(0, |s| s.references.len()))?;
            Ok((refused, references))
        };
        let (refused, references) = self.on(name, write).await?;
        let item = |(at, sample): (usize, String)| {
            let error = refused.get(&at).cloned();
            EnrolledItem {
                sample,
                status: if error.is_some() { "refused" } else { "enrolled" },
                id: error.is_none().then_some(ids[at]),
                quality: qualities[at].clone(),
                error,
            }
        };
        let advice = (!request.forgeries && references < RECOMMENDED_REFERENCES).then(|| {
            format!(
                "{references} reference(s): at least {MIN_REFERENCES} are needed to accept by, \
                 {RECOMMENDED_REFERENCES} are recommended"
            )
        });
        let items = names.into_iter().enumerate().map(item).collect();
        Ok(Enrolment { subject: request.subject, items, references, advice })
    }
}

/// The same picture of the same subject is the same point.
fn id_of(request: &EnrolRequest, hash: &str) -> PointId {
    let what = if request.forgeries { "forgery" } else { "reference" };
    PointId::Uuid(Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{what}\n{}\n{hash}", request.subject).as_bytes(),
    ))
}

/// An error's text without its class, which the whole answer states once.
fn plain(error: &Error) -> String {
    let text = error.to_string();
    text.strip_prefix("Wrong input: ").map_or(text.clone(), str::to_owned)
}

/// The points that are copies of none that is there, and of none before them.
fn fresh(
    collection: &Collection,
    subject: &str,
    ready: Vec<Ready>,
    forgeries: bool,
    labels: &[String],
    refused: &mut BTreeMap<usize, String>,
) -> Result<Vec<(Point, Pictures)>> {
    let known: Vec<(PointId, Option<String>)> = collection.with_gallery(|gallery| {
        let references = gallery.subject(subject).map(|s| s.references.as_slice()).unwrap_or_default();
        references.iter().map(|reference| (reference.id, reference.sha256.clone())).collect()
    })?;
    let mut stored = Vec::with_capacity(known.len());
    for (id, hash) in &known {
        // One that was deleted meanwhile is none any more.
        stored.extend(copies::traces(collection, *id, hash.as_deref())?.map(|traces| (*id, traces)));
    }
    let mut taken: Vec<Ready> = Vec::new();
    for one in ready {
        let of_stored = |(id, traces): &(PointId, Traces)| {
            one.traces.same(traces).map(|how| (format!("reference {id} of `{subject}`"), how))
        };
        let of_taken = |other: &Ready| {
            one.traces.same(&other.traces).map(|how| (format!("{} of this request", labels[other.at]), how))
        };
        let copy = stored.iter().find_map(of_stored).or_else(|| taken.iter().find_map(of_taken));
        match copy {
            Some((of, how)) => {
                drop(refused.insert(one.at, format!("it is the same picture as {of} ({how})")))
            }
            None if !forgeries && stored.len() + taken.len() >= MAX_REFERENCES => {
                let why = format!("a subject has at most {MAX_REFERENCES} references");
                refused.insert(one.at, why);
            }
            None => taken.push(one),
        }
    }
    Ok(taken.into_iter().map(|one| (one.point, one.pictures)).collect())
}
