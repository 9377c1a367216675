//! What a ranking in random order reaches, so that a figure can be read against it.

/// The expected average precision of `wanted` among `all` pictures in random order; 0 where
/// nothing is wanted.
///
/// Source: Y. Bestgen, "Exact expected average precision of the random baseline" (2015).
pub fn average_precision_by_chance(wanted: usize, all: usize) -> f64 {
    if wanted == 0 || all == 0 {
        return 0.0;
    }
    if all == 1 {
        return 1.0;
    }
    let (wanted, n) = (wanted.min(all) as f64, all as f64);
    let harmonic: f64 = (1..=all).map(|i| 1.0 / i as f64).sum();
    ((wanted - 1.0) / (n - 1.0) * (n - harmonic) + harmonic) / n
}

/// The chance that one of `wanted` among `all` pictures is among the first `k` of a random order.
pub fn hit_by_chance(wanted: usize, all: usize, k: usize) -> f64 {
    // The product of the chances that the first, the second, ... is none of them.
    let mut none = 1.0;
    for place in 0..k.min(all) {
        let left = all - place;
        none *= left.saturating_sub(wanted) as f64 / left as f64;
    }
    1.0 - none
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Ranking;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

    #[test]
    fn chance_is_what_shuffled_rankings_reach_on_average() {
        let mut rng = SmallRng::seed_from_u64(5);
        for (wanted, all) in [(1, 7), (3, 10), (10, 10), (2, 40)] {
            let mut scores: Vec<f32> = (0..all).map(|i| i as f32).collect();
            let (mut precision, mut hits) = (0.0, 0.0);
            let rounds = 20_000;
            for _ in 0..rounds {
                scores.shuffle(&mut rng);
                let ranking = Ranking::new(&scores, |i| Some(i < wanted));
                precision += ranking.average_precision(&vec![1; all]).unwrap() / f64::from(rounds);
                hits += ranking.hit(3) / f64::from(rounds);
            }
            let expected = average_precision_by_chance(wanted, all);
            assert!((precision - expected).abs() < 0.01, "{wanted} of {all}: {precision} for {expected}");
            let expected = hit_by_chance(wanted, all, 3);
            assert!((hits - expected).abs() < 0.015, "{wanted} of {all}: {hits} for {expected}");
        }
    }

    proptest! {
        #[test]
        fn chance_is_a_share(wanted in 0_usize..50, more in 0_usize..50, k in 0_usize..120) {
            let all = wanted + more;
            prop_assert!((0.0..=1.0 + 1e-12).contains(&average_precision_by_chance(wanted, all)));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&hit_by_chance(wanted, all, k)));
        }
    }
}
