//! Comparisons from a collection's own subjects. Genuine: each reference against the template of the
//! subject's others. Impostor: references of other subjects against the template of all of a subject's.
//! Skilled: labelled forgeries against the subject that they imitate. Subjects that the whitening was
//! fitted on are left out of all of them.

use std::sync::Arc;

use rand::seq::index::sample;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

use super::super::Collection;
use super::book::IdentificationRates;
use crate::error::{Error, Result};
use crate::types::{FORGERY_FIELD, JsonPath};
use crate::verify::{Comparison, MIN_REFERENCES, Template, Whitening};

/// Subjects that a calibration looks at; more are sampled.
const MAX_SUBJECTS: usize = 5_000;
/// References of a subject that are taken as probes.
const MAX_PROBES: usize = 20;
/// Impostor comparisons, spread evenly over the subjects.
const MAX_IMPOSTORS: usize = 500_000;
/// Labelled forgeries.
const MAX_FORGERIES: usize = 20_000;
/// Probes that are searched for among all subjects.
const MAX_SEARCHES: usize = 2_000;

/// What a collection's own subjects give.
#[derive(Debug, Clone)]
pub struct Calibrated {
    /// The whitening of the scores.
    pub whitening: Arc<Whitening>,
    /// Subjects of the collection.
    pub enrolled: usize,
    /// Genuine comparisons.
    pub genuine: Vec<Comparison>,
    /// Comparisons with other subjects' references.
    pub random: Vec<Comparison>,
    /// Comparisons with labelled forgeries.
    pub skilled: Vec<Comparison>,
    /// Searches of probes among all subjects but their own.
    pub identification: Option<IdentificationRates>,
}

struct Person {
    name: String,
    whites: Vec<Vec<f32>>,
    template: Template,
}

impl Collection {
    /// Compares the collection's subjects; the same seed gives the same comparisons.
    ///
    /// # Errors
    /// `Conflict` without a whitening; `InvalidInput` where too few subjects have references enough; those
    /// of reading.
    pub fn comparisons(&self, seed: u64) -> Result<Calibrated> {
        let Some(whitening) = self.whitening() else { return Err(self.no_whitening()) };
        let cohort = self.signature_book().whitening.as_ref().map(|w| w.cohort.clone()).unwrap_or_default();
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut people, enrolled) = self.with_gallery(|gallery| {
            let able = |enrolled: &super::Enrolled| enrolled.references.len() > MIN_REFERENCES;
            let names: Vec<_> =
                gallery.subjects().filter(|(name, e)| !cohort.contains(*name) && able(e)).collect();
            let mut chosen = sample(&mut rng, names.len(), names.len().min(MAX_SUBJECTS)).into_vec();
            chosen.sort_unstable();
            let person = |at: usize| {
                let (name, enrolled) = names[at];
                let whites = enrolled.references.iter().map(|reference| reference.white.clone()).collect();
                Some(Person { name: name.to_owned(), whites, template: enrolled.template.clone()? })
            };
            (chosen.into_iter().filter_map(person).collect::<Vec<_>>(), gallery.len())
        })?;
        people.retain(|person| person.whites.iter().all(|white| !white.is_empty()));
        if people.len() < 2 {
            return Err(Error::InvalidInput(format!(
                "{} subjects outside the whitening's cohort have at least {} references; enrol more",
                people.len(),
                MIN_REFERENCES + 1
            )));
        }
        let genuine = people.par_iter().enumerate().flat_map_iter(|(i, p)| own(i, p, &whitening)).collect();
        let each = (MAX_IMPOSTORS / people.len()).min(10 * (people.len() - 1)).max(1);
        let random =
            (0..people.len()).into_par_iter().flat_map_iter(|i| others(i, &people, each, seed)).collect();
        let skilled = self.forged(&people, &whitening)?;
        let identification = self.searches(&people, &mut rng)?;
        Ok(Calibrated { whitening, enrolled, genuine, random, skilled, identification })
    }

    fn forged(&self, people: &[Person], whitening: &Whitening) -> Result<Vec<Comparison>> {
        let path = JsonPath::parse(FORGERY_FIELD).map_err(Error::Internal)?;
        let mut skilled = Vec::new();
        self.volume.scan(|_, point| {
            let of = path.values(&point.payload).first().and_then(|value| value.as_str());
            let at = of.and_then(|of| people.binary_search_by(|p| p.name.as_str().cmp(of)).ok());
            if let (Some(at), Some(features)) = (at, point.vectors.get(""))
                && skilled.len() < MAX_FORGERIES
            {
                let score = people[at].template.score(&whitening.whiten(features)?);
                skilled.push(Comparison { score, subject: at as u32, genuine: false });
            }
            Ok(())
        })?;
        Ok(skilled)
    }

    fn searches(&self, people: &[Person], rng: &mut SmallRng) -> Result<Option<IdentificationRates>> {
        let all: Vec<(usize, usize)> = people
            .iter()
            .enumerate()
            .flat_map(|(i, person)| (0..person.whites.len()).map(move |j| (i, j)))
            .collect();
        let chosen = sample(rng, all.len(), all.len().min(MAX_SEARCHES)).into_vec();
        self.with_gallery(|gallery| {
            let best = |at: &usize| {
                let (i, j) = all[*at];
                let nearest = gallery.nearest(&people[i].whites[j], Some(&people[i].name), 1);
                nearest.first().map(|(_, score)| *score)
            };
            let mut best_other: Vec<f64> = chosen.par_iter().filter_map(best).collect();
            best_other.sort_by(f64::total_cmp);
            let subjects = gallery.len();
            (!best_other.is_empty()).then_some(IdentificationRates { subjects, best_other })
        })
    }

    /// The error where there is nothing to compare by.
    pub fn no_whitening(&self) -> Error {
        Error::Conflict(format!(
            "collection `{0}` has no whitening; fit one on its own subjects with POST /collections/{0}/whitening",
            self.name()
        ))
    }
}

fn own(i: usize, person: &Person, whitening: &Whitening) -> Vec<Comparison> {
    let score = |j: usize| {
        let rest: Vec<Vec<f32>> = person
            .whites
            .iter()
            .enumerate()
            .filter(|(k, _)| *k != j)
            .map(|(_, white)| white.clone())
            .collect();
        let score = Template::new(&rest, whitening)?.score(&person.whites[j]);
        Some(Comparison { score, subject: i as u32, genuine: true })
    };
    (0..person.whites.len().min(MAX_PROBES)).filter_map(score).collect()
}

fn others(i: usize, people: &[Person], each: usize, seed: u64) -> Vec<Comparison> {
    let mut rng = SmallRng::seed_from_u64(seed ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut one = |_| {
        let other = rng.random_range(0..people.len() - 1);
        let other = &people[if other >= i { other + 1 } else { other }];
        let white = &other.whites[rng.random_range(0..other.whites.len())];
        Comparison { score: people[i].template.score(white), subject: i as u32, genuine: false }
    };
    (0..each).map(&mut one).collect()
}
