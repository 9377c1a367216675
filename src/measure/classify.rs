//! Zero-shot classification: the class whose words are nearest to the picture.

/// What was predicted for each picture.
#[derive(Debug, Clone)]
pub struct Predictions {
    classes: usize,
    /// The true class of each picture.
    truth: Vec<u32>,
    /// The class that scored best; of equal ones a wrong one.
    predicted: Vec<u32>,
    /// Place of the true class, from 1.
    ranks: Vec<u32>,
}

/// How often a class was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCount {
    /// Pictures whose class was found.
    pub right: u32,
    /// Pictures of the class.
    pub pictures: u32,
}

impl Predictions {
    /// Predicts from the scores of every class for every picture; `scores(picture)` has one
    /// score a class, larger being nearer, and `truth` is below `classes`.
    pub fn new(classes: usize, truth: Vec<u32>, scores: impl Fn(usize) -> Vec<f32>) -> Self {
        let (mut predicted, mut ranks) = (Vec::with_capacity(truth.len()), Vec::with_capacity(truth.len()));
        for (picture, &class) in truth.iter().enumerate() {
            let scores = scores(picture);
            let own = scores[class as usize];
            let rival = (0_u32..)
                .zip(&scores)
                .filter(|&(other, _)| other != class)
                .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            predicted.push(rival.filter(|(_, score)| **score >= own).map_or(class, |(other, _)| other));
            ranks.push(super::rank_of(&scores, class as usize) as u32);
        }
        Self { classes, truth, predicted, ranks }
    }

    /// The share of pictures whose class is among the `k` best.
    pub fn top(&self, k: u32, weights: &[u32]) -> Option<f64> {
        let (mut right, mut all) = (0_u64, 0_u64);
        for (&rank, &weight) in self.ranks.iter().zip(weights) {
            all += u64::from(weight);
            right += if rank <= k { u64::from(weight) } else { 0 };
        }
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// The mean over the classes of the share found; classes without a picture are left out.
    pub fn balanced(&self, weights: &[u32]) -> Option<f64> {
        let mut counts = vec![(0_u64, 0_u64); self.classes];
        for ((&class, &rank), &weight) in self.truth.iter().zip(&self.ranks).zip(weights) {
            let (right, all) = &mut counts[class as usize];
            *all += u64::from(weight);
            *right += if rank == 1 { u64::from(weight) } else { 0 };
        }
        let shares: Vec<f64> = counts
            .iter()
            .filter(|(_, all)| *all > 0)
            .map(|&(right, all)| right as f64 / all as f64)
            .collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// How often each class was found.
    pub fn per_class(&self) -> Vec<ClassCount> {
        let mut counts = vec![ClassCount { right: 0, pictures: 0 }; self.classes];
        for (&class, &rank) in self.truth.iter().zip(&self.ranks) {
            counts[class as usize].pictures += 1;
            counts[class as usize].right += u32::from(rank == 1);
        }
        counts
    }

    /// `[true class][predicted class]` in pictures.
    pub fn confusion(&self) -> Vec<Vec<u32>> {
        let mut table = vec![vec![0; self.classes]; self.classes];
        for (&class, &predicted) in self.truth.iter().zip(&self.predicted) {
            table[class as usize][predicted as usize] += 1;
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_scores_for_all_classes_find_nothing() {
        let predictions = Predictions::new(3, vec![0, 1, 2], |_| vec![0.1; 3]);
        assert_eq!(predictions.top(1, &[1; 3]), Some(0.0));
        assert_eq!(predictions.top(3, &[1; 3]), Some(1.0));
        assert!(predictions.confusion().iter().enumerate().all(|(i, row)| row[i] == 0));
    }

    #[test]
    fn balanced_accuracy_counts_a_rare_class_as_much_as_a_frequent_one() {
        // Three of class 0, all found; one of class 1, missed.
        let predictions = Predictions::new(2, vec![0, 0, 0, 1], |_| vec![1.0, 0.0]);
        assert_eq!(predictions.top(1, &[1; 4]), Some(0.75));
        assert_eq!(predictions.balanced(&[1; 4]), Some(0.5));
        assert_eq!(predictions.balanced(&[1, 1, 1, 0]), Some(1.0));
        assert_eq!(predictions.balanced(&[0; 4]), None);
    }

    proptest! {
        #[test]
        fn the_confusion_the_classes_and_the_accuracy_agree(
            pictures in prop::collection::vec((0_u32..4, prop::collection::vec(0_u8..20, 4)), 1..60)
        ) {
            let truth: Vec<u32> = pictures.iter().map(|(class, _)| *class).collect();
            let n = truth.len();
            let predictions =
                Predictions::new(4, truth, |i| pictures[i].1.iter().map(|&s| f32::from(s)).collect());
            let confusion = predictions.confusion();
            let diagonal: u32 = (0..4).map(|i| confusion[i][i]).sum();
            let right: u32 = predictions.per_class().iter().map(|c| c.right).sum();
            prop_assert_eq!(diagonal, right);
            prop_assert_eq!(predictions.top(1, &vec![1; n]), Some(f64::from(right) / n as f64));
            prop_assert_eq!(predictions.top(4, &vec![1; n]), Some(1.0));
            prop_assert_eq!(confusion.iter().flatten().sum::<u32>() as usize, n);
        }
    }
}
