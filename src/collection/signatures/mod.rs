//! What a collection of signatures keeps beside its points: the whitening and the calibrations (notes of
//! the volume: `signatures` lists them, `whitening-ID` and `calibration-N` hold the numbers), the
//! whitened references in memory (`gallery`), and the audit log.
//!
//! Invariants: points hold raw features, so that another whitening needs no new embedding; a calibration
//! names the recipe and the whitening that its scores were made with; a note is written before the list
//! names it and removed after.

mod book;
mod calibrate;
mod gallery;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};

use super::Collection;
use crate::error::{Error, Result};
use crate::storage::{AuditLog, Change, Volume};
use crate::types::{
    Condition, FORGERY_FIELD, FieldCondition, Filter, JsonPath, Match, MatchValue, NamedVectors, Payload,
    Point, PointId, SUBJECT_FIELD, SignatureProfile, check_subject,
};
use crate::verify::{Calibration, Whitening};

pub use book::{
    CalibrationVersion, CohortWhitening, IdentificationRates, MAX_CALIBRATIONS, Origin, SignatureBook,
    Skilled,
};
pub use calibrate::Calibrated;
pub use gallery::{Enrolled, Gallery, MAX_REFERENCES, MAX_SIGNATURES, Reference, SubjectCount};

/// Points that are whitened together while the gallery is built.
const LOADED_AT_ONCE: usize = 4096;

/// What is held in memory.
pub(super) struct Signatures {
    book: RwLock<Arc<SignatureBook>>,
    whitening: RwLock<Option<Arc<Whitening>>>,
    calibration: RwLock<Option<Arc<Calibration>>>,
    /// Built at the first use, then kept in step by the commit hook.
    gallery: RwLock<Option<Gallery>>,
    /// One change of whitening or calibrations at a time.
    changing: Mutex<()>,
    /// One enrolment at a time, from its look at what is there until its own is.
    enrolling: Mutex<()>,
    audit: AuditLog,
}

impl Signatures {
    pub(super) fn open(volume: &Volume) -> Self {
        let audit = AuditLog::of(volume);
        let none = Self {
            book: RwLock::default(),
            whitening: RwLock::default(),
            calibration: RwLock::default(),
            gallery: RwLock::default(),
            changing: Mutex::default(),
            enrolling: Mutex::default(),
            audit,
        };
        if volume.config().signatures.is_none() {
            return none;
        }
        match book::load(volume) {
            Ok((book, whitening, calibration)) => {
                *none.book.write() = Arc::new(book);
                *none.whitening.write() = whitening.map(Arc::new);
                *none.calibration.write() = calibration.map(Arc::new);
            }
            Err(error) => {
                tracing::error!("collection `{}`: no whitening and no calibration: {error}", volume.name());
            }
        }
        none
    }

    /// The commit hook.
    pub(super) fn apply(&self, change: &Change) {
        let mut gallery = self.gallery.write();
        let Some(kept) = gallery.as_mut() else { return };
        match change {
            Change::Upsert(points) | Change::Pictured(points, _) => {
                let points: Vec<_> = points.iter().map(|p| (p.id, &p.payload, &p.vectors)).collect();
                kept.put(&points);
            }
            Change::Delete(ids) => kept.remove(ids),
            // Whose a point is may have changed: built anew at the next use.
            Change::SetPayload(_) => *gallery = None,
            Change::Configure(_) => {}
        }
    }
}

impl Collection {
    /// The profile.
    ///
    /// # Errors
    /// `InvalidInput` where this is no collection of signatures.
    pub fn signature_profile(&self) -> Result<SignatureProfile> {
        self.config().signatures.ok_or_else(|| {
            Error::InvalidInput(format!(
                "collection `{}` holds no signatures; create one with {{\"signatures\": {{}}}}",
                self.name()
            ))
        })
    }

    /// Which whitening and which calibrations there are.
    pub fn signature_book(&self) -> Arc<SignatureBook> {
        Arc::clone(&self.signatures.book.read())
    }

    /// The whitening in use.
    pub fn whitening(&self) -> Option<Arc<Whitening>> {
        self.signatures.whitening.read().clone()
    }

    /// The calibration in use, the newest.
    pub fn calibration(&self) -> Option<Arc<Calibration>> {
        self.signatures.calibration.read().clone()
    }

    /// Held by an enrolment while it compares its pictures with those that are there and writes them, so that of
    /// copies that come at once one is kept, and the bound of references holds.
    pub fn enrolling(&self) -> impl Drop + '_ {
        self.signatures.enrolling.lock()
    }

    /// Reads the gallery; builds it at the first use, while nothing is written.
    ///
    /// # Errors
    /// Those of reading.
    pub fn with_gallery<T>(&self, read: impl FnOnce(&Gallery) -> T) -> Result<T> {
        // A change of payloads drops the gallery: then it is built once more.
        loop {
            if let Some(gallery) = self.signatures.gallery.read().as_ref() {
                return Ok(read(gallery));
            }
            let _alone = self.gate.write();
            if self.signatures.gallery.read().is_none() {
                let built = self.build_gallery()?;
                *self.signatures.gallery.write() = Some(built);
            }
        }
    }

    fn build_gallery(&self) -> Result<Gallery> {
        let mut gallery = Gallery::new(self.whitening());
        let mut some: Vec<(PointId, Payload, NamedVectors)> = Vec::new();
        let take = |gallery: &mut Gallery, some: &mut Vec<(PointId, Payload, NamedVectors)>| {
            let points: Vec<_> = some.iter().map(|(id, payload, vectors)| (*id, payload, vectors)).collect();
            gallery.put(&points);
            some.clear();
        };
        self.volume.scan(|id, point| {
            some.push((id, point.payload, point.vectors));
            if some.len() == LOADED_AT_ONCE {
                take(&mut gallery, &mut some);
            }
            Ok(())
        })?;
        take(&mut gallery, &mut some);
        Ok(gallery)
    }

    /// The bounds of what is written to a collection of signatures, whichever way it comes.
    pub(super) fn check_signatures(&self, points: &[Point]) -> Result<()> {
        for (i, point) in points.iter().enumerate() {
            let names = [SUBJECT_FIELD, FORGERY_FIELD].map(|field| (field, point.payload.get(field)));
            for (field, value) in names.into_iter().filter_map(|(field, value)| Some((field, value?))) {
                let name = value.as_str().ok_or("expected a string".to_owned());
                name.and_then(check_subject)
                    .map_err(|why| Error::InvalidInput(format!("points[{i}].payload.{field}: {why}")))?;
            }
            if names.iter().all(|(_, value)| value.is_none()) {
                return Err(Error::InvalidInput(format!(
                    "points[{i}].payload: a collection of signatures needs `{SUBJECT_FIELD}` (whose signature it is) \
                     or `{FORGERY_FIELD}` (whose it imitates)"
                )));
            }
        }
        self.with_gallery(|gallery| {
            let new = points.iter().filter(|point| !gallery.holds(point.id)).count();
            if gallery.signatures() + new > MAX_SIGNATURES {
                return Err(Error::InvalidInput(format!(
                    "points: the collection would hold more than {MAX_SIGNATURES} signatures, the most that are \
                     compared in memory; use another collection"
                )));
            }
            Ok(())
        })?
    }

    /// Removes a subject: its references, the labelled forgeries of it, and what is kept of them in
    /// memory; calibrations that may rest on it are marked. Returns how many points went.
    ///
    /// # Errors
    /// `NotFound` where there is neither; those of storage.
    pub fn remove_subject(&self, subject: &str) -> Result<usize> {
        let (references, forgeries) = self.with_gallery(|gallery| {
            (gallery.subject(subject).map_or(0, |s| s.references.len()), gallery.forgeries(subject))
        })?;
        if references + forgeries == 0 {
            return Err(Error::NotFound(format!("no subject `{subject}` is enrolled")));
        }
        let named = |field: &str| {
            let key = JsonPath::parse(field).map_err(Error::Internal)?;
            let condition = FieldCondition::Match(Match::Value(MatchValue::Keyword(subject.to_owned())));
            Ok::<_, Error>(Condition::Field { key, condition })
        };
        let filter =
            Filter { should: vec![named(SUBJECT_FIELD)?, named(FORGERY_FIELD)?], ..Filter::default() };
        self.delete_matching(&filter)?;
        self.mark_stale(subject)?;
        Ok(references + forgeries)
    }

    /// Appends a decision to the audit log; durable when this returns.
    ///
    /// # Errors
    /// Those of the log.
    pub fn append_audit(&self, entry: Map<String, Value>) -> Result<u64> {
        self.signatures.audit.append(&self.volume, entry)
    }

    /// The numbers of the audit log's files, ascending.
    ///
    /// # Errors
    /// `Io`.
    pub fn audit_files(&self) -> Result<Vec<u32>> {
        self.signatures.audit.files()
    }

    /// One file of the audit log.
    ///
    /// # Errors
    /// `Io`.
    pub fn audit_file(&self, number: u32) -> Result<Option<Vec<u8>>> {
        self.signatures.audit.read(number)
    }
}
