//! The references of all subjects, whitened, in memory: what a probe is compared with. Kept in step with
//! every write by the commit hook.
//!
//! Memory: 1 KiB a signature (256 values), and as much again a subject for its template; bounded by
//! [`MAX_SIGNATURES`], which writes refuse to pass.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use crate::types::{FORGERY_FIELD, NamedVectors, Payload, PointId, SUBJECT_FIELD};
use crate::verify::{Template, Whitening};

/// Most signatures of a collection: 512 MiB of whitened features.
pub const MAX_SIGNATURES: usize = 500_000;
/// Most references of one subject: an exact scan of all of them stays under a millisecond.
pub const MAX_REFERENCES: usize = 100;

/// One reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The point.
    pub id: PointId,
    /// Of the picture's bytes, where known.
    pub sha256: Option<String>,
    /// Whitened, norm 1; empty without a whitening.
    pub white: Vec<f32>,
}

/// One subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enrolled {
    /// In the order of their ids.
    pub references: Vec<Reference>,
    /// Of all of them; `None` without references or without a whitening.
    pub template: Option<Template>,
}

/// A subject in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectCount {
    /// Its name.
    pub subject: String,
    /// Its references.
    pub references: usize,
    /// Labelled forgeries of it.
    pub forgeries: usize,
}

/// All subjects.
#[derive(Debug, Default)]
pub struct Gallery {
    whitening: Option<Arc<Whitening>>,
    subjects: BTreeMap<String, Enrolled>,
    forged: BTreeMap<String, usize>,
    places: HashMap<PointId, Place>,
    references: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    Reference(String),
    Forgery(String),
}

impl Gallery {
    /// An empty one.
    pub(super) fn new(whitening: Option<Arc<Whitening>>) -> Self {
        Self { whitening, ..Self::default() }
    }

    /// What its references are whitened by.
    pub fn whitening(&self) -> Option<&Arc<Whitening>> {
        self.whitening.as_ref()
    }

    /// The subject of this name.
    pub fn subject(&self, name: &str) -> Option<&Enrolled> {
        self.subjects.get(name)
    }

    /// Every subject with at least one reference, in the order of names.
    pub fn subjects(&self) -> impl Iterator<Item = (&str, &Enrolled)> {
        self.subjects.iter().map(|(name, enrolled)| (name.as_str(), enrolled))
    }

    /// True where nobody has a reference.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// References of all subjects.
    pub fn references(&self) -> usize {
        self.references
    }

    /// References and forgeries.
    pub(super) fn signatures(&self) -> usize {
        self.places.len()
    }

    /// Labelled forgeries of a subject.
    pub fn forgeries(&self, name: &str) -> usize {
        self.forged.get(name).copied().unwrap_or(0)
    }

    /// Whether the point is one of the subject's references.
    pub fn is_reference(&self, id: PointId, subject: &str) -> bool {
        self.places.get(&id) == Some(&Place::Reference(subject.to_owned()))
    }

    /// Whether a point with this id is held, as reference or forgery.
    pub(super) fn holds(&self, id: PointId) -> bool {
        self.places.contains_key(&id)
    }

    /// A page of subjects from a name on, and the name that the next page starts with.
    pub fn page(&self, from: &str, limit: usize) -> (Vec<SubjectCount>, Option<String>) {
        let mut range = self.subjects.range(from.to_owned()..);
        let count = |(name, enrolled): (&String, &Enrolled)| SubjectCount {
            subject: name.clone(),
            references: enrolled.references.len(),
            forgeries: self.forgeries(name),
        };
        let page = range.by_ref().take(limit).map(count).collect();
        (page, range.next().map(|(name, _)| name.clone()))
    }

    /// The scores of a whitened probe against every subject but one, the best `limit` first; equal scores
    /// in the order of names.
    pub fn nearest(&self, probe: &[f32], except: Option<&str>, limit: usize) -> Vec<(String, f64)> {
        let mut scored: Vec<(&str, f64)> = self
            .subjects
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != except)
            .filter_map(|(name, enrolled)| Some((name.as_str(), enrolled.template.as_ref()?.score(probe))))
            .collect();
        let order = |a: &(&str, f64), b: &(&str, f64)| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0));
        if scored.len() > limit && limit > 0 {
            scored.select_nth_unstable_by(limit - 1, order);
            scored.truncate(limit);
        }
        scored.sort_by(order);
        scored.truncate(limit);
        scored.into_iter().map(|(name, score)| (name.to_owned(), score)).collect()
    }

    /// Takes points in; those that were there are replaced.
    pub(super) fn put(&mut self, points: &[(PointId, &Payload, &NamedVectors)]) {
        let whitening = self.whitening.clone();
        let white = |(id, payload, vectors): &(PointId, &Payload, &NamedVectors)| {
            let place = place(payload);
            let features = vectors.get("");
            let is_reference = matches!(place, Some(Place::Reference(_)));
            let white = match (&whitening, features) {
                (Some(whitening), Some(features)) if is_reference => whitening.whiten(features).ok(),
                _ => None,
            };
            let sha256 = payload.get("sha256").and_then(|v| v.as_str()).map(str::to_owned);
            (place, Reference { id: *id, sha256, white: white.unwrap_or_default() })
        };
        let made: Vec<(Option<Place>, Reference)> = points.par_iter().map(white).collect();
        let mut touched = BTreeSet::new();
        for (place, reference) in made {
            touched.extend(self.take(reference.id));
            match &place {
                Some(Place::Reference(name)) => {
                    self.references += 1;
                    touched.insert(name.clone());
                    let references = &mut self.subjects.entry(name.clone()).or_default().references;
                    let at = references.partition_point(|other| other.id < reference.id);
                    self.places.insert(reference.id, Place::Reference(name.clone()));
                    references.insert(at, reference);
                }
                Some(Place::Forgery(name)) => {
                    *self.forged.entry(name.clone()).or_default() += 1;
                    self.places.insert(reference.id, Place::Forgery(name.clone()));
                }
                None => {}
            }
        }
        self.settle(touched);
    }

    /// Takes points out.
    pub(super) fn remove(&mut self, ids: &[PointId]) {
        let touched: BTreeSet<String> = ids.iter().filter_map(|&id| self.take(id)).collect();
        self.settle(touched);
    }

    /// Takes a point out, and returns the subject that it was a reference of.
    fn take(&mut self, id: PointId) -> Option<String> {
        match self.places.remove(&id)? {
            Place::Reference(name) => {
                self.references -= 1;
                if let Some(enrolled) = self.subjects.get_mut(&name) {
                    enrolled.references.retain(|reference| reference.id != id);
                }
                Some(name)
            }
            Place::Forgery(name) => {
                if let Some(count) = self.forged.get_mut(&name) {
                    *count -= 1;
                    if *count == 0 {
                        self.forged.remove(&name);
                    }
                }
                None
            }
        }
    }

    /// Templates of subjects whose references changed; those without references go.
    fn settle(&mut self, touched: BTreeSet<String>) {
        for name in touched {
            let Some(enrolled) = self.subjects.get_mut(&name) else { continue };
            if enrolled.references.is_empty() {
                self.subjects.remove(&name);
                continue;
            }
            let whites: Vec<Vec<f32>> = enrolled
                .references
                .iter()
                .filter(|reference| !reference.white.is_empty())
                .map(|reference| reference.white.clone())
                .collect();
            enrolled.template =
                self.whitening.as_ref().and_then(|whitening| Template::new(&whites, whitening));
        }
    }
}

fn place(payload: &Payload) -> Option<Place> {
    let field = |name: &str| payload.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    match field(FORGERY_FIELD) {
        Some(of) => Some(Place::Forgery(of)),
        None => field(SUBJECT_FIELD).map(Place::Reference),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn whitening() -> Arc<Whitening> {
        let person = |i: usize| {
            (0..4).map(move |j| {
                let features = (0..6).map(|k| ((i * 7 + k * 3) as f32).sin() + (j * k) as f32 * 0.02);
                (i.to_string(), features.collect())
            })
        };
        Arc::new(Whitening::fit("r", &(0..12).flat_map(person).collect::<Vec<_>>()).unwrap())
    }

    fn features(seed: u64) -> NamedVectors {
        let values = (0..6).map(|k| ((seed * 13 + k * 5) as f32).sin()).collect();
        BTreeMap::from([(String::new(), values)])
    }

    fn payload(subject: u64, forged: bool) -> Payload {
        let field = if forged { FORGERY_FIELD } else { SUBJECT_FIELD };
        json!({field: format!("s{subject}")}).as_object().unwrap().clone()
    }

    proptest! {
        #[test]
        fn a_gallery_kept_in_step_equals_one_built_anew(
            steps in prop::collection::vec((0u64..12, 0u64..4, any::<bool>(), any::<bool>()), 1..60)
        ) {
            let mut kept = Gallery::new(Some(whitening()));
            let mut truth = BTreeMap::new();
            for (id, subject, forged, deletes) in steps {
                if deletes {
                    truth.remove(&id);
                    kept.remove(&[PointId::Num(id)]);
                } else {
                    let (payload, vectors) = (payload(subject, forged), features(id + 31 * subject));
                    kept.put(&[(PointId::Num(id), &payload, &vectors)]);
                    truth.insert(id, (payload, vectors));
                }
            }
            let mut anew = Gallery::new(Some(whitening()));
            let all: Vec<_> = truth.iter().map(|(id, (p, v))| (PointId::Num(*id), p, v)).collect();
            anew.put(&all);
            prop_assert_eq!(&kept.subjects, &anew.subjects);
            prop_assert_eq!(&kept.forged, &anew.forged);
            prop_assert_eq!(kept.references, anew.references);
            prop_assert_eq!(kept.references, kept.subjects.values().map(|s| s.references.len()).sum::<usize>());
        }
    }

    #[test]
    fn the_nearest_come_first_and_pages_follow_on_each_other() {
        let mut gallery = Gallery::new(Some(whitening()));
        for id in 0..20 {
            gallery.put(&[(PointId::Num(id), &payload(id % 10, false), &features(id % 10))]);
        }
        let probe = whitening().whiten(&features(3)[""]).unwrap();
        let nearest = gallery.nearest(&probe, None, 4);
        assert_eq!((nearest.len(), nearest[0].0.as_str()), (4, "s3"));
        assert!(nearest.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(gallery.nearest(&probe, Some("s3"), 20).iter().all(|(name, _)| name != "s3"));
        let (page, next) = gallery.page("", 7);
        assert_eq!((page.len(), page[0].references, next.as_deref()), (7, 2, Some("s7")));
        assert_eq!(gallery.page(&next.unwrap(), 7).1, None);
    }
}
