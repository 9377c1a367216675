//! Several lists of hits made one. Reciprocal rank fusion (Cormack et al. 2009) looks at places alone,
//! distribution-based score fusion at scores in units of their spread. Formulas and ties are Qdrant's.

use std::collections::HashMap;

use crate::types::{PointId, ScoredPoint};

/// How lists are made one.
#[derive(Debug, Clone, PartialEq)]
pub enum Fusion {
    /// By places: `1 / ((place + 1) / weight + k - 1)`, summed up.
    Rrf {
        /// The larger, the less the first places stand out; 2 is usual, at least 1.
        k: u32,
        /// One a list; all 1 where there are none.
        weights: Vec<f32>,
    },
    /// By scores: three standard deviations below a list's mean is 0, three above is 1; summed up.
    Dbsf,
}

/// `k` where a request names none.
pub const DEFAULT_RRF_K: u32 = 2;

impl Fusion {
    /// Every point of the lists, best first, equal ones in the order in which they were met.
    pub(super) fn fuse(&self, lists: &[Vec<ScoredPoint>]) -> Vec<(PointId, f32)> {
        let mut order: Vec<PointId> = Vec::new();
        let mut scores: HashMap<PointId, f32> = HashMap::new();
        for (number, list) in lists.iter().enumerate() {
            for (hit, worth) in list.iter().zip(self.worths(number, list)) {
                let score = scores.entry(hit.id).or_insert_with(|| {
                    order.push(hit.id);
                    0.0
                });
                *score += worth;
            }
        }
        let mut fused: Vec<(PointId, f32)> = order.into_iter().map(|id| (id, scores[&id])).collect();
        fused.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable
        fused
    }

    fn worths(&self, number: usize, list: &[ScoredPoint]) -> Vec<f32> {
        match self {
            Fusion::Rrf { k, weights } => {
                let weight = weights.get(number).copied().unwrap_or(1.0);
                let worth = |place: usize| {
                    let worth = 1.0 / ((place as f64 + 1.0) / f64::from(weight) + f64::from(*k) - 1.0);
                    if weight > 0.0 { worth as f32 } else { 0.0 }
                };
                (0..list.len()).map(worth).collect()
            }
            Fusion::Dbsf => {
                let count = list.len() as f64;
                let mean = list.iter().map(|hit| f64::from(hit.score)).sum::<f64>() / count;
                let squares = list.iter().map(|hit| (f64::from(hit.score) - mean).powi(2)).sum::<f64>();
                let deviation = (squares / (count - 1.0)).sqrt();
                if list.len() < 2 || deviation == 0.0 {
                    return vec![0.5; list.len()];
                }
                let worth = |hit: &ScoredPoint| {
                    ((f64::from(hit.score) - mean + 3.0 * deviation) / (6.0 * deviation)) as f32
                };
                list.iter().map(worth).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(hits: &[(u64, f32)]) -> Vec<ScoredPoint> {
        let hit = |&(id, score): &(u64, f32)| ScoredPoint {
            relevance: None,
            id: PointId::Num(id),
            version: 0,
            score,
            payload: None,
            vectors: None,
        };
        hits.iter().map(hit).collect()
    }

    #[test]
    fn places_add_up_and_weights_count() {
        let lists = [list(&[(1, 9.0), (2, 8.0)]), list(&[(2, 0.3), (3, 0.2)])];
        let fused = Fusion::Rrf { k: 2, weights: Vec::new() }.fuse(&lists);
        let expected = [(2, 1.0 / 3.0 + 0.5), (1, 0.5), (3, 1.0 / 3.0)];
        for ((id, score), (wanted, worth)) in fused.iter().zip(expected) {
            assert_eq!(*id, PointId::Num(wanted));
            assert!((score - worth).abs() < 1e-6);
        }
        let fused = Fusion::Rrf { k: 2, weights: vec![10.0, 0.0] }.fuse(&lists);
        assert_eq!(fused[0].0, PointId::Num(1));
        assert_eq!(fused[2], (PointId::Num(3), 0.0));
    }

    #[test]
    fn one_hit_and_equal_scores_are_worth_a_half() {
        let fused = Fusion::Dbsf.fuse(&[list(&[(1, 7.0)]), list(&[(2, 3.0), (1, 3.0)]), Vec::new()]);
        assert_eq!(fused, [(PointId::Num(1), 1.0), (PointId::Num(2), 0.5)]);
    }

    proptest! {
        #[test]
        fn a_list_alone_keeps_its_order(mut scores in prop::collection::vec(-9f32..9.0, 1..40)) {
            scores.sort_by(|a, b| b.total_cmp(a));
            let hits: Vec<(u64, f32)> = (0..).zip(scores).collect();
            for fusion in [Fusion::Dbsf, Fusion::Rrf { k: 2, weights: Vec::new() }] {
                let fused = fusion.fuse(&[list(&hits)]);
                let ids: Vec<PointId> = fused.iter().map(|(id, _)| *id).collect();
                prop_assert_eq!(ids, (0..hits.len() as u64).map(PointId::Num).collect::<Vec<_>>());
                prop_assert!(fused.iter().all(|(_, score)| score.is_finite()));
            }
        }
    }
}
