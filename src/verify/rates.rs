//! Error rates of scored comparisons: FAR, FRR, EER, the DET curve, thresholds for chosen rates.
//!
//! A comparison is accepted when its score is at or above the threshold. FAR is the share of
//! impostor comparisons that are accepted, FRR the share of genuine ones that are not. Invariant:
//! with a rising threshold FAR never rises and FRR never falls.

use crate::error::{Error, Result};

/// Comparisons that one calibration may hold: 10 million are 240 MB while it runs.
pub const MAX_COMPARISONS: usize = 10_000_000;

/// One comparison of a probe with the references of a subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The score; more is more alike.
    pub score: f64,
    /// The subject whose references it was, counted from 0.
    pub subject: u32,
    /// Whether the probe was that subject's own.
    pub genuine: bool,
}

/// Both error rates at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RatePoint {
    /// Scores at or above it are accepted.
    pub threshold: f64,
    /// Share of impostors accepted, 0 to 1.
    pub far: f64,
    /// Share of genuine probes not accepted, 0 to 1.
    pub frr: f64,
}

/// Comparisons in the order of their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    /// Ascending by score.
    sorted: Vec<Comparison>,
    subjects: usize,
    genuine: usize,
}

impl Comparisons {
    /// Takes comparisons in any order.
    ///
    /// # Errors
    /// `InvalidInput` if a score is not finite, a class is empty, or there are more than
    /// [`MAX_COMPARISONS`].
    pub fn new(mut comparisons: Vec<Comparison>) -> Result<Comparisons> {
        if comparisons.len() > MAX_COMPARISONS {
            return Err(Error::InvalidInput(format!(
                "{} comparisons are more than the {MAX_COMPARISONS} that one calibration takes; take a sample",
                comparisons.len()
            )));
        }
        if let Some(at) = comparisons.iter().position(|c| !c.score.is_finite()) {
            return Err(Error::InvalidInput(format!(
                "comparison {at} has the score {}; expected a finite number",
                comparisons[at].score
            )));
        }
        let genuine = comparisons.iter().filter(|c| c.genuine).count();
        if genuine == 0 || genuine == comparisons.len() {
            let lacking = if genuine == 0 { "genuine" } else { "impostor" };
            return Err(Error::InvalidInput(format!(
                "there are no {lacking} comparisons; error rates need both kinds"
            )));
        }
        comparisons.sort_by(|a, b| a.score.total_cmp(&b.score));
        let subjects = comparisons.iter().map(|c| c.subject as usize + 1).max().unwrap_or(0);
        Ok(Comparisons { sorted: comparisons, subjects, genuine })
    }

    /// Ascending by score.
    pub fn sorted(&self) -> &[Comparison] {
        &self.sorted
    }

    /// One more than the largest subject: the length of weights.
    pub fn subjects(&self) -> usize {
        self.subjects
    }

    /// Subjects that have at least one comparison of the kind.
    pub fn subjects_with(&self, genuine: bool) -> usize {
        let mut seen = vec![false; self.subjects];
        for comparison in self.sorted.iter().filter(|c| c.genuine == genuine) {
            seen[comparison.subject as usize] = true;
        }
        seen.into_iter().filter(|seen| *seen).count()
    }

    /// How many are genuine.
    pub fn genuine(&self) -> usize {
        self.genuine
    }

    /// How many are of impostors.
    pub fn impostors(&self) -> usize {
        self.sorted.len() - self.genuine
    }

    /// Scores of one kind, ascending.
    pub fn scores(&self, genuine: bool) -> Vec<f64> {
        self.sorted.iter().filter(|c| c.genuine == genuine).map(|c| c.score).collect()
    }

    /// FAR and FRR at a threshold.
    pub fn at(&self, threshold: f64) -> RatePoint {
        self.weighted_at(threshold, &|_| 1)
    }

    /// FAR and FRR at a threshold, where subject s counts `weights[s]` times; `None` where the
    /// weights leave a class empty.
    pub fn weighted(&self, threshold: f64, weights: &[u32]) -> Option<RatePoint> {
        let point = self.weighted_at(threshold, &|subject| weights.get(subject).copied().unwrap_or(0));
        (point.far.is_finite() && point.frr.is_finite()).then_some(point)
    }

    fn weighted_at(&self, threshold: f64, weight: &dyn Fn(usize) -> u32) -> RatePoint {
        let (mut impostors, mut accepted, mut genuine, mut rejected) = (0u64, 0u64, 0u64, 0u64);
        for comparison in &self.sorted {
            let weight = u64::from(weight(comparison.subject as usize));
            let over = comparison.score >= threshold;
            if comparison.genuine {
                genuine += weight;
                rejected += if over { 0 } else { weight };
            } else {
                impostors += weight;
                accepted += if over { weight } else { 0 };
            }
        }
        RatePoint {
            threshold,
            far: accepted as f64 / impostors as f64,
            frr: rejected as f64 / genuine as f64,
        }
    }

    /// The rates just below every distinct score and above the last: the whole ROC, thresholds
    /// ascending.
    pub fn curve(&self) -> Vec<RatePoint> {
        self.weighted_curve(&vec![1; self.subjects])
    }

    fn weighted_curve(&self, weights: &[u32]) -> Vec<RatePoint> {
        let total = |genuine: bool| -> u64 {
            let of_kind = self.sorted.iter().filter(|c| c.genuine == genuine);
            of_kind.map(|c| u64::from(weights[c.subject as usize])).sum()
        };
        let (genuine, impostors) = (total(true), total(false));
        let (mut rejected, mut refused) = (0, 0);
        let mut curve = Vec::new();
        let point = |threshold: f64, rejected: u64, refused: u64| RatePoint {
            threshold,
            far: (impostors - refused) as f64 / impostors as f64,
            frr: rejected as f64 / genuine as f64,
        };
        for same in self.sorted.chunk_by(|a, b| a.score == b.score) {
            curve.push(point(same[0].score, rejected, refused));
            for comparison in same {
                let weight = u64::from(weights[comparison.subject as usize]);
                *(if comparison.genuine { &mut rejected } else { &mut refused }) += weight;
            }
        }
        let last = self.sorted.last().map_or(0.0, |c| c.score);
        curve.push(point(last.next_up(), rejected, refused));
        curve
    }

    /// The equal error rate and its threshold: where FAR and FRR cross, on the line between the
    /// two points around the crossing.
    pub fn eer(&self) -> RatePoint {
        crossing(&self.curve())
    }

    /// The same with subject s counted `weights[s]` times; `None` where the weights leave a class empty.
    pub fn weighted_eer(&self, weights: &[u32]) -> Option<f64> {
        self.weighted(0.0, weights)?;
        Some(crossing(&self.weighted_curve(weights)).far)
    }

    /// The mean of each subject's own EER (with a threshold of its own: an oracle, not a promise);
    /// subjects that lack one kind are left out. `None` if all do.
    pub fn mean_subject_eer(&self) -> Option<f64> {
        let mut groups: Vec<Vec<Comparison>> = vec![Vec::new(); self.subjects];
        for comparison in &self.sorted {
            groups[comparison.subject as usize].push(*comparison);
        }
        let eers: Vec<f64> = groups
            .into_iter()
            .filter_map(|group| Comparisons::new(group).ok())
            .map(|g| g.eer().far)
            .collect();
        (!eers.is_empty()).then(|| eers.iter().sum::<f64>() / eers.len() as f64)
    }

    /// At most `count` (2 or more) points of the curve for a plot, spread evenly over its corners.
    pub fn det(&self, count: usize) -> Vec<RatePoint> {
        let curve = self.curve();
        let corners: Vec<RatePoint> = (0..curve.len())
            .filter(|&i| {
                i == 0
                    || i + 1 == curve.len()
                    || !(curve[i - 1].far == curve[i].far && curve[i].far == curve[i + 1].far
                        || curve[i - 1].frr == curve[i].frr && curve[i].frr == curve[i + 1].frr)
            })
            .map(|i| curve[i])
            .collect();
        let count = count.max(2);
        if corners.len() <= count {
            return corners;
        }
        (0..count).map(|i| corners[i * (corners.len() - 1) / (count - 1)]).collect()
    }

    /// The lowest threshold that an impostor from the same population passes with probability at
    /// most `far`: of the m impostor scores at most `far * (m + 1) - 1` are at or above it. `None`
    /// if m is so small that no threshold can promise it.
    pub fn threshold_for_far(&self, far: f64) -> Option<f64> {
        let impostors = self.scores(false);
        let allowed = (far * (impostors.len() as f64 + 1.0) + 1e-9).floor() - 1.0;
        if allowed < 0.0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to MAX_COMPARISONS
        let allowed = (allowed as usize).min(impostors.len());
        match impostors.len() - allowed {
            0 => impostors.first().copied(), // everyone may pass
            below => Some(impostors[below - 1].next_up()),
        }
    }

    /// The highest threshold that a genuine probe from the same population fails with probability
    /// at most `frr`; `None` if there are too few genuine scores to promise it.
    pub fn threshold_for_frr(&self, frr: f64) -> Option<f64> {
        let genuine = self.scores(true);
        let allowed = (frr * (genuine.len() as f64 + 1.0) + 1e-9).floor() - 1.0;
        if allowed < 0.0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to MAX_COMPARISONS
        let allowed = (allowed as usize).min(genuine.len() - 1);
        Some(genuine[allowed])
    }
}

/// Where the falling FAR meets the rising FRR.
fn crossing(curve: &[RatePoint]) -> RatePoint {
    let at = curve.iter().position(|p| p.frr >= p.far).unwrap_or(curve.len() - 1);
    let above = curve[at];
    let Some(below) = at.checked_sub(1).map(|i| curve[i]) else { return above };
    let (gap_below, gap_above) = (below.far - below.frr, above.frr - above.far);
    let share = if gap_below + gap_above > 0.0 { gap_below / (gap_below + gap_above) } else { 0.5 };
    let eer = below.frr + share * (above.frr - below.frr);
    RatePoint { threshold: above.threshold, far: eer, frr: eer }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn comparisons(genuine: &[f64], impostors: &[f64]) -> Comparisons {
        let of = |scores: &[f64], genuine| -> Vec<Comparison> {
            scores.iter().zip(0..).map(|(&score, i)| Comparison { score, subject: i % 7, genuine }).collect()
        };
        Comparisons::new([of(genuine, true), of(impostors, false)].concat()).unwrap()
    }

    fn scores() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((-20i32..20).prop_map(|x| f64::from(x) / 4.0), 1..60)
    }

    #[test]
    fn separable_scores_have_no_error() {
        let all = comparisons(&[0.7, 0.8, 0.9], &[0.1, 0.2, 0.3]);
        let eer = all.eer();
        assert_eq!((eer.far, eer.frr), (0.0, 0.0));
        let point = all.at(eer.threshold);
        assert_eq!((point.far, point.frr), (0.0, 0.0), "{eer:?}");
    }

    #[test]
    fn scores_that_are_all_wrong_have_an_eer_of_one() {
        assert_eq!(comparisons(&[0.1, 0.2], &[0.8, 0.9]).eer().far, 1.0);
    }

    #[test]
    fn a_counted_example_comes_out_as_by_hand() {
        // Above 0.5: one impostor of four; below: one genuine of four.
        let all = comparisons(&[0.4, 0.6, 0.7, 0.8], &[0.1, 0.2, 0.3, 0.55]);
        assert_eq!(all.at(0.5), RatePoint { threshold: 0.5, far: 0.25, frr: 0.25 });
        assert_eq!(all.eer().far, 0.25);
    }

    #[test]
    fn subjects_of_different_levels_have_a_lower_eer_with_thresholds_of_their_own() {
        let mut all = Vec::new();
        for subject in 0..4 {
            let level = f64::from(subject);
            for i in 0..5 {
                let step = f64::from(i) * 0.01;
                all.push(Comparison { score: level + 0.5 + step, subject, genuine: true });
                all.push(Comparison { score: level + step, subject, genuine: false });
            }
        }
        let all = Comparisons::new(all).unwrap();
        assert_eq!(all.mean_subject_eer(), Some(0.0));
        assert!(all.eer().far > 0.2);
    }

    #[test]
    fn what_cannot_be_ranked_is_refused_by_name() {
        let one = |score, genuine| Comparison { score, subject: 0, genuine };
        for (all, words) in [
            (vec![one(f64::NAN, true), one(0.0, false)], "comparison 0 has the score NaN"),
            (vec![one(0.5, true)], "no impostor comparisons"),
            (vec![one(0.5, false)], "no genuine comparisons"),
            (vec![], "no genuine comparisons"),
        ] {
            let error = Comparisons::new(all).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn identical_scores_have_an_eer_of_one_half(scores in scores()) {
            prop_assert!((comparisons(&scores, &scores).eer().far - 0.5).abs() < 1e-9);
        }

        #[test]
        fn a_rising_threshold_never_raises_far_and_never_lowers_frr(g in scores(), i in scores()) {
            let all = comparisons(&g, &i);
            for curve in [all.curve(), all.det(9)] {
                prop_assert_eq!((curve[0].far, curve[0].frr), (1.0, 0.0));
                prop_assert_eq!((curve[curve.len() - 1].far, curve[curve.len() - 1].frr), (0.0, 1.0));
                for pair in curve.windows(2) {
                    prop_assert!(pair[0].threshold < pair[1].threshold);
                    prop_assert!(pair[0].far >= pair[1].far && pair[0].frr <= pair[1].frr);
                }
                for point in &curve {
                    prop_assert_eq!(all.at(point.threshold), *point);
                }
            }
        }

        #[test]
        fn the_eer_does_not_change_under_a_rising_map_of_the_scores(g in scores(), i in scores()) {
            let map = |s: &[f64]| s.iter().map(|x| x.powi(3) + 2.0 * x).collect::<Vec<_>>();
            let (plain, mapped) = (comparisons(&g, &i).eer().far, comparisons(&map(&g), &map(&i)).eer().far);
            prop_assert!((plain - mapped).abs() < 1e-12);
        }

        #[test]
        fn weights_count_as_copies_do(g in scores(), i in scores(), weights in prop::collection::vec(0u32..4, 7)) {
            let all = comparisons(&g, &i);
            let copies: Vec<Comparison> = all.sorted().iter()
                .flat_map(|c| std::iter::repeat_n(*c, weights[c.subject as usize] as usize)).collect();
            match Comparisons::new(copies) {
                Ok(copies) => {
                    prop_assert!((all.weighted_eer(&weights).unwrap() - copies.eer().far).abs() < 1e-12);
                    prop_assert_eq!(all.weighted(0.5, &weights).unwrap(), copies.at(0.5));
                }
                Err(_) => prop_assert_eq!(all.weighted_eer(&weights), None),
            }
        }

        #[test]
        fn thresholds_keep_what_they_promise_and_are_the_lowest_that_do(g in scores(), i in scores(), far in 0.01f64..1.0) {
            let all = comparisons(&g, &i);
            let m = i.len() as f64;
            match all.threshold_for_far(far) {
                None => prop_assert!(far * (m + 1.0) < 1.0 + 1e-6),
                Some(threshold) => {
                    let accepted = all.at(threshold).far * m;
                    prop_assert!((accepted + 1.0) / (m + 1.0) <= far + 1e-6, "{accepted} of {m} for {far}");
                    let lower = all.at(threshold.next_down()).far * m;
                    prop_assert!((lower + 1.0) / (m + 1.0) > far - 1e-6 || lower == m);
                }
            }
            if let Some(threshold) = all.threshold_for_frr(far) {
                prop_assert!(all.at(threshold).frr <= far + 1e-9);
            }
        }

        #[test]
        fn a_higher_target_never_has_a_higher_threshold(g in scores(), i in scores(), a in 0.01f64..1.0, b in 0.01f64..1.0) {
            let all = comparisons(&g, &i);
            if let (Some(low), Some(high)) = (all.threshold_for_far(a.min(b)), all.threshold_for_far(a.max(b))) {
                prop_assert!(high <= low);
            }
        }
    }
}
