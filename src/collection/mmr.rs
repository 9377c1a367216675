//! Maximal marginal relevance (Carbonell and Goldstein 1998): hits that are near the query and
//! not near each other. The order of choice, ties included, is Qdrant's.

use crate::distance;
use crate::error::{Error, Result};
use crate::index::Index;

use super::search::Found;

/// Most candidates that hits are chosen from: each choice compares with all that are left.
pub const MAX_MMR_CANDIDATES: usize = 4_096;

/// How hits are spread out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmr {
    /// 0 (the nearest, whatever they have in common) to 1 (as different as can be).
    pub diversity: f32,
    /// The nearest so many are chosen from, 1 to [`MAX_MMR_CANDIDATES`].
    pub candidates: usize,
}

impl Mmr {
    pub(super) fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.diversity) {
            return Err(Error::InvalidInput(format!(
                "mmr.diversity is {}, it must be from 0 to 1",
                self.diversity
            )));
        }
        if !(1..=MAX_MMR_CANDIDATES).contains(&self.candidates) {
            return Err(Error::InvalidInput(format!(
                "mmr.candidates_limit is {}, it must be from 1 to {MAX_MMR_CANDIDATES}",
                self.candidates
            )));
        }
        Ok(())
    }
}

/// A candidate that is not chosen yet. Similarities: larger is nearer.
struct Pending {
    found: Found,
    vector: Vec<f32>,
    to_query: f32,
    to_chosen: f32,
}

/// Chooses at most `limit` of the candidates, which come best first; their scores stay.
pub(super) fn spread_out(index: &Index, mmr: &Mmr, candidates: Vec<Found>, limit: usize) -> Vec<Found> {
    let (kind, kernel) = (index.distance(), distance::kernel(index.distance()));
    let similarity = |score: f32| -kind.rank(score);
    let mut pending: Vec<Pending> = candidates
        .into_iter()
        .filter_map(|found| {
            let vector = index.vector(found.slot)?; // gone meanwhile: left out
            Some(Pending { found, vector, to_query: similarity(found.score), to_chosen: f32::NEG_INFINITY })
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < limit && !pending.is_empty() {
        let worth = |candidate: &Pending| {
            if chosen.is_empty() {
                return candidate.to_query;
            }
            (1.0 - mmr.diversity) * candidate.to_query - mmr.diversity * candidate.to_chosen
        };
        let best = pending.iter().map(worth).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((best, _)) = best else { break };
        let Pending { found, vector, .. } = pending.swap_remove(best);
        for candidate in &mut pending {
            candidate.to_chosen = candidate.to_chosen.max(similarity(kernel(&vector, &candidate.vector)));
        }
        chosen.push(found);
    }
    chosen
}
