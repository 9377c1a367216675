//! Signatures: enrolled, verified, identified, calibrated. The model makes features of pictures; the
//! collection keeps and compares them; a decision is in the audit log before it is answered.
//!
//! Invariant: a score is made and judged by one recipe, one whitening and one calibration that belong
//! together; where they do not, the answer is a conflict that says what to do, never a number.

mod calibrate;
mod copies;
mod enrol;
mod identify;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Engine;
use crate::collection::{CalibrationVersion, Collection, Origin};
use crate::distance;
use crate::embed::{Lane, SignatureInfo, Thumbnails};
use crate::error::{Error, Result};
use crate::preprocess::{InkPrint, Quality};
use crate::types::{
    CollectionConfig, CollectionName, Distance, FORGERY_FIELD, HnswParams, PayloadFieldType,
    PayloadIndexParams, PointId, SUBJECT_FIELD, SignatureProfile, VectorParams,
};
use crate::verify::Calibration;

pub use calibrate::{CalibrateRequest, DEFAULT_TARGET_FARS, WhitenRequest};
pub use enrol::{EnrolRequest, EnrolledItem, Enrolment, SampleFile};
pub use identify::{Identification, IdentifyRequest};
pub use verify::{Verification, VerifyRequest};

/// More references than a collection has, so that no graph is built of them.
const NO_GRAPH: usize = 1_000_000_000;

/// A signature in question.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// The bytes of a picture file.
    Image(Vec<u8>),
    /// Features of the collection's recipe.
    Features(Vec<f32>),
    /// A point of the collection.
    Point(PointId),
}

/// How a threshold is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Policy {
    /// The lowest FAR of the calibration.
    #[default]
    Lowest,
    /// A FAR, and a higher one below whose threshold is rejected; between the two is a review.
    TargetFar(f64, Option<f64>),
    /// Thresholds: accept from, reject below (the same where absent).
    Threshold(f64, Option<f64>),
}

/// The threshold that was used, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// Accept from here on.
    pub accept: f64,
    /// Reject below.
    pub reject: f64,
}

/// The facts of a sample.
struct Probe {
    /// Norm 1; `None` where the picture cannot be judged.
    features: Option<Vec<f32>>,
    quality: Option<Quality>,
    /// Of the bytes of a picture, or of the features' bytes.
    sha256: String,
    unfit: Option<String>,
    point: Option<PointId>,
    /// Of a picture, or of a point that was enrolled with one.
    print: Option<InkPrint>,
}

/// The SHA-256 of bytes in hex.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As it is answered and stored.
fn quality_out(quality: &Quality) -> serde_json::Value {
    serde_json::json!({
        "ink_share": quality.ink_share, "width": quality.width, "height": quality.height, "contrast": quality.contrast,
    })
}

impl Engine {
    /// How the loaded model makes features of signatures.
    ///
    /// # Errors
    /// `InvalidInput` where it cannot.
    pub fn signature_info(&self) -> Result<&SignatureInfo> {
        self.model().signature.as_ref().ok_or_else(|| {
            Error::InvalidInput(format!(
                "signatures: model `{}` makes no features of signatures; start the server with `--model bundled`",
                self.model().name
            ))
        })
    }

    /// Creates a collection of signatures: the vector, the indexes and the whitening that belong to the model.
    ///
    /// # Errors
    /// As [`Engine::create`]; `InvalidInput` where the model makes no features of signatures.
    pub async fn create_signatures(
        &self,
        name: CollectionName,
        config: CollectionConfig,
        audit: bool,
    ) -> Result<()> {
        let info = self.signature_info()?.clone();
        let keyword = |field: &str| (field.to_owned(), PayloadIndexParams::from(PayloadFieldType::Keyword));
        // References are compared one by one with a probe; nothing walks a graph of them.
        let hnsw = Some(HnswParams { full_scan_threshold: NO_GRAPH, ..config.hnsw });
        let vector = VectorParams { hnsw, ..VectorParams::new(info.dimension, Distance::Cosine) };
        let config = CollectionConfig {
            vectors: BTreeMap::from([(String::new(), vector)]),
            payload_indexes: [SUBJECT_FIELD, FORGERY_FIELD].map(keyword).into(),
            signatures: Some(SignatureProfile { recipe: info.recipe.clone(), audit }),
            ..config
        };
        self.create(name.clone(), config).await?;
        if let Some(whitening) = self.default_whitening(&info.recipe) {
            let set = move |collection: &Collection| {
                collection.set_whitening(whitening, Origin::Default, BTreeSet::new())
            };
            self.on(&name, set).await?;
        }
        Ok(())
    }

    /// The collection's profile, where the loaded model is the one it was made with.
    ///
    /// # Errors
    /// `Conflict` where the recipes differ; `InvalidInput`, `NotFound`.
    fn matching_profile(&self, name: &CollectionName) -> Result<SignatureProfile> {
        let profile = self.collection(name)?.signature_profile()?;
        let loaded = self.signature_info()?;
        if profile.recipe != loaded.recipe {
            return Err(Error::Conflict(format!(
                "collection `{name}` was enrolled with the features `{}`, the loaded model makes `{}`; load the model \
                 it was enrolled with, or enrol anew",
                profile.recipe, loaded.recipe
            )));
        }
        Ok(profile)
    }

    /// The features of a sample. A picture that cannot be judged is no error here: it is reviewed.
    async fn probe(&self, name: &CollectionName, sample: Sample, place: &str) -> Result<Probe> {
        let dimension = self.signature_info()?.dimension;
        match sample {
            Sample::Image(bytes) => {
                let sha256 = sha256(&bytes);
                let answer = self
                    .shared
                    .models
                    .default()
                    .signatures(Lane::Queries, vec![bytes], Thumbnails::Skip)
                    .await?
                    .pop();
                let none = || Err(Error::Internal("the model answered nothing".into()));
                match answer.unwrap_or_else(none) {
                    Ok(found) => {
                        let mut features = found.features;
                        distance::normalise(&mut features);
                        let (quality, print) = (Some(found.quality), Some(found.print));
                        Ok(Probe {
                            features: Some(features),
                            quality,
                            sha256,
                            unfit: None,
                            point: None,
                            print,
                        })
                    }
                    Err(Error::Unfit(why)) => {
                        let unfit = Some(why);
                        Ok(Probe { features: None, quality: None, sha256, unfit, point: None, print: None })
                    }
                    Err(error) => Err(error.at(place)),
                }
            }
            Sample::Features(mut features) => {
                crate::types::check_vector(&features, dimension, Distance::Cosine)
                    .map_err(|error| error.at(place))?;
                distance::normalise(&mut features);
                Ok(Probe {
                    sha256: of_features(&features),
                    features: Some(features),
                    quality: None,
                    unfit: None,
                    point: None,
                    print: None,
                })
            }
            Sample::Point(id) => {
                let read = move |collection: &Collection| {
                    Ok((collection.vector(id, "")?, copies::print_of(collection, id)?))
                };
                let (features, print) = self.on(name, read).await?;
                let sha256 = of_features(&features);
                let features = Some(features);
                Ok(Probe { features, quality: None, sha256, unfit: None, point: Some(id), print })
            }
        }
    }

    /// The whitening that ships for a recipe.
    fn default_whitening(&self, recipe: &str) -> Option<crate::verify::Whitening> {
        crate::verify::default_whitening(recipe)
    }
}

fn of_features(features: &[f32]) -> String {
    let bytes: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
    sha256(&bytes)
}

/// The calibration in use, where it belongs to the recipe and the whitening in use; `None` where there is
/// none at all.
///
/// # Errors
/// `Conflict` where the whitening or the recipe is another.
fn matching_calibration(
    collection: &Collection,
    recipe: &str,
) -> Result<Option<(CalibrationVersion, std::sync::Arc<Calibration>)>> {
    let book = collection.signature_book();
    let Some(version) = book.current() else { return Ok(None) };
    let whitening = book.whitening.as_ref().map_or("none", |w| w.id.as_str());
    if version.whitening != whitening || version.recipe != recipe {
        return Err(Error::Conflict(format!(
            "calibration `{}` was made with whitening `{}` and features `{}`, in use are `{whitening}` and `{recipe}`; \
             calibrate again with POST /collections/{}/calibrate",
            version.id,
            version.whitening,
            version.recipe,
            collection.name()
        )));
    }
    let calibration = collection.calibration().filter(|c| c.id == version.id).ok_or_else(|| {
        Error::Conflict(format!("calibration `{}` was changed meanwhile; ask again", version.id))
    })?;
    Ok(Some((version.clone(), calibration)))
}

/// What an operator should know before trusting a calibration.
fn warnings(version: &CalibrationVersion, enrolled_now: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if version.outgrown(enrolled_now) {
        warnings.push(format!(
            "the collection has grown from {} to {enrolled_now} subjects since it was calibrated; calibrate again",
            version.enrolled
        ));
    }
    warnings.extend(version.stale.clone());
    warnings
}
