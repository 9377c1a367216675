//! The whitening and the calibrations of a collection: stored, versioned, and told apart by their ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::Collection;
use crate::error::{Error, Result};
use crate::storage::Volume;
use crate::verify::{Calibration, Estimate, OperatingPoint, Whitening};

/// Calibrations that are kept; the oldest goes first.
pub const MAX_CALIBRATIONS: usize = 16;
/// The note that lists everything.
const LIST: &str = "signatures";

/// Where a whitening comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It ships with the model.
    Default,
    /// Fitted on subjects of this collection.
    Fitted,
}

/// The whitening in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CohortWhitening {
    /// Of its numbers.
    pub id: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Seconds since 1970.
    pub created: i64,
    /// Subjects it was fitted on.
    pub subjects: usize,
    /// Their names where they are of this collection: calibrations leave them out.
    pub cohort: BTreeSet<String>,
}

/// What labelled forgeries show at the thresholds of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skilled {
    /// Forgeries that were compared.
    pub forgeries: usize,
    /// Subjects that they imitate.
    pub subjects: usize,
    /// The equal error rate against them.
    pub eer: Estimate,
    /// The share of them accepted, at each threshold of the calibration in its order.
    pub far: Vec<f64>,
}

/// How well nobody is recognised among so many subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentificationRates {
    /// Subjects that were searched.
    pub subjects: usize,
    /// The best score of a probe against all subjects but its own, ascending.
    pub best_other: Vec<f64>,
}

/// A calibration in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationVersion {
    /// Of its numbers.
    pub id: String,
    /// From 1 on, never used twice.
    pub version: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// How the features were made.
    pub recipe: String,
    /// The whitening of its scores.
    pub whitening: String,
    /// `random` or `skilled`: whom the thresholds were found against.
    pub against: String,
    /// Subjects of the collection at the time.
    pub enrolled: usize,
    /// Subjects that it rests on.
    pub subjects: usize,
    /// Genuine comparisons.
    pub genuine: usize,
    /// Impostor comparisons.
    pub impostors: usize,
    /// Seed of the sampling and of the intervals.
    pub seed: u64,
    /// The equal error rate.
    pub eer: Estimate,
    /// The thresholds.
    pub points: Vec<OperatingPoint>,
    /// Labelled forgeries, where there are.
    pub skilled: Option<Skilled>,
    /// For `identify`.
    pub identification: Option<IdentificationRates>,
    /// Why it should be made anew, where it should.
    pub stale: Option<String>,
}

impl CalibrationVersion {
    /// Whether the collection has grown by half since.
    pub fn outgrown(&self, enrolled_now: usize) -> bool {
        2 * enrolled_now >= 3 * self.enrolled
    }
}

/// Everything that is fitted for a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignatureBook {
    /// In use.
    pub whitening: Option<CohortWhitening>,
    /// The last version that was given out.
    pub last: u32,
    /// Oldest first.
    pub calibrations: Vec<CalibrationVersion>,
}

impl SignatureBook {
    /// The one in use.
    pub fn current(&self) -> Option<&CalibrationVersion> {
        self.calibrations.last()
    }
}

fn whitening_note(id: &str) -> String {
    format!("whitening-{id}")
}

fn calibration_note(version: u32) -> String {
    format!("calibration-{version}")
}

fn read<T: serde::de::DeserializeOwned>(volume: &Volume, name: &str) -> Result<Option<T>> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| Error::Corrupted(format!("note `{name}`: {error}")))
    };
    volume.note(name)?.map(parse).transpose()
}

fn text_of(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}

type Loaded = (SignatureBook, Option<Whitening>, Option<Calibration>);

pub(super) fn load(volume: &Volume) -> Result<Loaded> {
    let book: SignatureBook = read(volume, LIST)?.unwrap_or_default();
    let lost = |what: &str| Error::Corrupted(format!("note `{what}` is missing or not whole"));
    let whitening = match &book.whitening {
        None => None,
        Some(known) => {
            let name = whitening_note(&known.id);
            let whitening: Option<Whitening> = read(volume, &name)?;
            Some(whitening.filter(|w| w.is_whole() && w.id() == known.id).ok_or_else(|| lost(&name))?)
        }
    };
    let calibration = match book.current() {
        None => None,
        Some(known) => {
            let name = calibration_note(known.version);
            let calibration: Option<Calibration> = read(volume, &name)?;
            Some(calibration.filter(|c| c.id == known.id).ok_or_else(|| lost(&name))?)
        }
    };
    Ok((book, whitening, calibration))
}

impl Collection {
    /// Uses another whitening from now on: the references are whitened anew. Calibrations of the one
    /// before stay in the list, and are refused with it.
    ///
    /// # Errors
    /// Those of storage; nothing changes then.
    pub fn set_whitening(
        &self,
        whitening: Whitening,
        origin: Origin,
        cohort: BTreeSet<String>,
    ) -> Result<()> {
        let _one = self.signatures.changing.lock();
        let mut book = SignatureBook::clone(&self.signature_book());
        let before = book.whitening.as_ref().map(|old| old.id.clone()).filter(|id| id != whitening.id());
        self.volume.set_note(&whitening_note(whitening.id()), &text_of(&whitening)?)?;
        book.whitening = Some(CohortWhitening {
            id: whitening.id().to_owned(),
            origin,
            created: jiff::Timestamp::now().as_second(),
            subjects: whitening.subjects(),
            cohort,
        });
        self.volume.set_note(LIST, &text_of(&book)?)?;
        let _alone = self.gate.write();
        *self.signatures.book.write() = Arc::new(book);
        *self.signatures.whitening.write() = Some(Arc::new(whitening));
        *self.signatures.gallery.write() = None;
        if let Some(id) = before
            && let Err(error) = self.volume.remove_note(&whitening_note(&id))
        {
            tracing::warn!("collection `{}`: whitening {id} stays on disk: {error}", self.name());
        }
        Ok(())
    }

    /// Keeps a calibration and uses it from now on; returns its version.
    ///
    /// # Errors
    /// Those of storage; nothing changes then. `Conflict` where the whitening changed meanwhile.
    pub fn add_calibration(&self, mut version: CalibrationVersion, calibration: Calibration) -> Result<u32> {
        let _one = self.signatures.changing.lock();
        let mut book = SignatureBook::clone(&self.signature_book());
        if book.whitening.as_ref().map(|w| &w.id) != Some(&version.whitening) {
            return Err(Error::Conflict("the whitening was changed meanwhile; calibrate again".into()));
        }
        book.last += 1;
        version.version = book.last;
        self.volume.set_note(&calibration_note(book.last), &text_of(&calibration)?)?;
        book.calibrations.push(version);
        let mut gone = Vec::new();
        while book.calibrations.len() > MAX_CALIBRATIONS {
            gone.push(book.calibrations.remove(0).version);
        }
        let number = book.last;
        self.volume.set_note(LIST, &text_of(&book)?)?;
        *self.signatures.book.write() = Arc::new(book);
        *self.signatures.calibration.write() = Some(Arc::new(calibration));
        for version in gone {
            if let Err(error) = self.volume.remove_note(&calibration_note(version)) {
                tracing::warn!("collection `{}`: calibration {version} stays on disk: {error}", self.name());
            }
        }
        Ok(number)
    }

    /// A stored calibration by its id, with its place in the list.
    ///
    /// # Errors
    /// `NotFound`; those of storage.
    pub fn stored_calibration(&self, id: &str) -> Result<(CalibrationVersion, Calibration)> {
        let book = self.signature_book();
        let missing = || Error::NotFound(format!("no calibration `{id:.40}`; GET calibrations lists them"));
        // The newest of equal ones: the same scores give the same id.
        let version = book.calibrations.iter().rev().find(|c| c.id == id).ok_or_else(missing)?;
        let stored = read(&self.volume, &calibration_note(version.version))?.ok_or_else(missing)?;
        Ok((version.clone(), stored))
    }

    pub(super) fn mark_stale(&self, subject: &str) -> Result<()> {
        let _one = self.signatures.changing.lock();
        let mut book = SignatureBook::clone(&self.signature_book());
        let mut changed = false;
        for version in &mut book.calibrations {
            changed |= version.stale.is_none();
            version.stale = Some("a subject that it may rest on was deleted; calibrate again".into());
        }
        // The deleted name itself must not be kept.
        changed |= book.whitening.as_mut().is_some_and(|whitening| whitening.cohort.remove(subject));
        if changed {
            self.volume.set_note(LIST, &text_of(&book)?)?;
            *self.signatures.book.write() = Arc::new(book);
        }
        Ok(())
    }
}
