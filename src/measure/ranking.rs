//! One query's ranking of the pictures, and what it is worth.

/// The pictures in the order of their scores, with those that are wanted marked.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Indexes of pictures, best first.
    order: Vec<u32>,
    /// By place in the ranking.
    wanted: Vec<bool>,
}

impl Ranking {
    /// Ranks the pictures by `scores`, larger first. Among equal scores the wanted ones come
    /// last. `wanted` takes a picture's index; it says `None` for a picture that is left out.
    pub fn new(scores: &[f32], wanted: impl Fn(usize) -> Option<bool>) -> Self {
        let mut items: Vec<(u32, bool)> =
            (0_u32..).take(scores.len()).filter_map(|i| Some((i, wanted(i as usize)?))).collect();
        items.sort_by(|&(a, a_wanted), &(b, b_wanted)| {
            scores[b as usize].total_cmp(&scores[a as usize]).then(a_wanted.cmp(&b_wanted)).then(a.cmp(&b))
        });
        let (order, wanted) = items.into_iter().unzip();
        Self { order, wanted }
    }

    /// The mean, over the wanted pictures, of the precision at their places; a picture counts as
    /// often as `weights` says (by its index). `None` where no wanted picture counts.
    pub fn average_precision(&self, weights: &[u32]) -> Option<f64> {
        let (mut place, mut found, mut sum) = (0_u64, 0_u64, 0.0);
        for (&picture, &wanted) in self.order.iter().zip(&self.wanted) {
            for _ in 0..weights[picture as usize] {
                place += 1;
                if wanted {
                    found += 1;
                    sum += found as f64 / place as f64;
                }
            }
        }
        (found > 0).then(|| sum / found as f64)
    }

    /// 1 where a wanted picture is among the first `k`, else 0.
    pub fn hit(&self, k: usize) -> f64 {
        if self.wanted.iter().take(k).any(|&wanted| wanted) { 1.0 } else { 0.0 }
    }

    /// The share of wanted pictures among the first `k` (among all, where there are fewer).
    pub fn precision(&self, k: usize) -> f64 {
        let places = k.min(self.wanted.len());
        if places == 0 {
            return 0.0;
        }
        self.wanted.iter().take(places).filter(|&&wanted| wanted).count() as f64 / places as f64
    }

    /// How many pictures are ranked, and how many of them are wanted.
    pub fn counts(&self) -> (usize, usize) {
        (self.order.len(), self.wanted.iter().filter(|&&wanted| wanted).count())
    }
}

/// The place of picture `target` by `scores`, from 1; those that score the same stand before it.
pub fn rank_of(scores: &[f32], target: usize) -> usize {
    let own = scores[target];
    1 + scores.iter().enumerate().filter(|&(i, &score)| i != target && score >= own).count()
}

/// The mean average precision of several queries; one without a wanted picture is left out.
pub fn mean_average_precision(rankings: &[Ranking], weights: &[u32]) -> Option<f64> {
    let each: Vec<f64> = rankings.iter().filter_map(|ranking| ranking.average_precision(weights)).collect();
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// The mean of one value a picture, each as often as its picture counts; a picture without a
/// value is left out.
pub fn mean_over(values: &[Option<f64>], weights: &[u32]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (value, &weight) in values.iter().zip(weights) {
        if let Some(value) = value {
            sum += value * f64::from(weight);
            count += f64::from(weight);
        }
    }
    (count > 0.0).then(|| sum / count)
}

/// The middle value; the mean of the two middle ones where their number is even.
pub fn median(values: &[usize]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle] as f64),
        _ => Some((sorted[middle - 1] + sorted[middle]) as f64 / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By its definition: for every wanted picture, how many of those at least as good are wanted.
    fn naive(scores: &[f32], wanted: &[bool]) -> Option<f64> {
        let of = |i: usize| {
            // Distinct scores: no ties.
            let ahead: Vec<usize> = (0..scores.len()).filter(|&j| scores[j] >= scores[i]).collect();
            ahead.iter().filter(|&&j| wanted[j]).count() as f64 / ahead.len() as f64
        };
        let each: Vec<f64> = (0..scores.len()).filter(|&i| wanted[i]).map(of).collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    }

    #[test]
    fn a_known_ranking_has_the_average_precision_that_is_computed_by_hand() {
        let ranking = Ranking::new(&[0.9, 0.8, 0.7, 0.6], |i| Some(i == 0 || i == 2));
        let expected = (1.0 + 2.0 / 3.0) / 2.0;
        assert!((ranking.average_precision(&[1; 4]).unwrap() - expected).abs() < 1e-12);
        assert_eq!((ranking.hit(1), ranking.precision(3), ranking.counts()), (1.0, 2.0 / 3.0, (4, 2)));
    }

    #[test]
    fn equal_scores_never_help() {
        let ranking = Ranking::new(&[0.5; 10], |i| Some(i == 0));
        assert!((ranking.average_precision(&[1; 10]).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(ranking.hit(9), 0.0);
        assert_eq!(rank_of(&[0.5; 10], 3), 10);
    }

    #[test]
    fn a_picture_that_is_left_out_is_not_ranked() {
        let ranking = Ranking::new(&[0.9, 0.8, 0.7], |i| (i != 0).then_some(i == 1));
        assert_eq!(ranking.average_precision(&[1; 3]), Some(1.0));
        assert_eq!(ranking.counts(), (2, 1));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_middle_ones() {
        assert_eq!((median(&[]), median(&[3]), median(&[9, 1, 2, 4])), (None, Some(3.0), Some(3.0)));
    }

    proptest! {
        #[test]
        fn average_precision_agrees_with_its_definition(
            items in prop::collection::vec((any::<u16>(), any::<bool>()), 0..60)
        ) {
            // Made distinct by their index.
            let scores: Vec<f32> =
                items.iter().enumerate().map(|(i, (s, _))| f32::from(*s) * 64.0 + i as f32).collect();
            let wanted: Vec<bool> = items.iter().map(|(_, wanted)| *wanted).collect();
            let got = Ranking::new(&scores, |i| Some(wanted[i])).average_precision(&vec![1; items.len()]);
            match (got, naive(&scores, &wanted)) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-9, "{a} for {b}"),
                (a, b) => prop_assert_eq!(a, b),
            }
        }

        #[test]
        fn a_weight_of_n_is_the_picture_n_times(
            items in prop::collection::vec((0_u32..4, any::<bool>()), 1..40)
        ) {
            let score = |i: usize| -(i as f32);
            let scores: Vec<f32> = (0..items.len()).map(score).collect();
            let weights: Vec<u32> = items.iter().map(|(weight, _)| *weight).collect();
            let weighted = Ranking::new(&scores, |i| Some(items[i].1)).average_precision(&weights);
            let repeated: Vec<usize> =
                weights.iter().enumerate().flat_map(|(i, &w)| vec![i; w as usize]).collect();
            let scores: Vec<f32> = (0..repeated.len()).map(score).collect();
            let plain = Ranking::new(&scores, |i| Some(items[repeated[i]].1));
            prop_assert_eq!(weighted, plain.average_precision(&vec![1; repeated.len()]));
        }

        #[test]
        fn the_rank_is_the_place_in_the_sorted_list(scores in prop::collection::vec(-100_i16..100, 1..50), pick in any::<prop::sample::Index>()) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let target = pick.index(scores.len());
            let ranking = Ranking::new(&scores, |i| Some(i == target));
            let rank = rank_of(&scores, target);
            prop_assert_eq!(ranking.hit(rank), 1.0);
            prop_assert_eq!(ranking.hit(rank - 1), 0.0);
        }
    }
}
