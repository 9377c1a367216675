//! Splits of pictures: stratified by label, and with copies of a picture on one side.

use std::collections::{BTreeMap, HashMap};

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// Numbers the pictures so that identical vectors get one number.
pub fn clusters<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<u32> {
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    vectors
        .map(|vector| {
            let next = known.len() as u32;
            // The bits: floats are no keys. Adding 0 makes -0 and 0 the same.
            *known.entry(vector.iter().map(|x| (x + 0.0).to_bits()).collect()).or_insert(next)
        })
        .collect()
}

/// Marks about `share` of the pictures of every label (at least one and not all, where a label
/// has two clusters or more). Pictures of one cluster stay together; a cluster counts to the
/// label of its first picture.
pub fn stratified(labels: &[u32], clusters: &[u32], share: f64, seed: u64) -> Vec<bool> {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (picture, &cluster) in clusters.iter().enumerate() {
        members.entry(cluster).or_default().push(picture);
    }
    let mut by_label: BTreeMap<u32, Vec<&Vec<usize>>> = BTreeMap::new();
    for pictures in members.values() {
        by_label.entry(labels[pictures[0]]).or_default().push(pictures);
    }
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut marked = vec![false; labels.len()];
    // Whole counts leave a rest, which is carried from label to label: the share holds overall.
    let mut rest = 0.0;
    for groups in by_label.values_mut() {
        groups.shuffle(&mut rng);
        let exact = share * groups.len() as f64 + rest;
        let least = if groups.len() >= 2 { 1.0 } else { 0.0 };
        let most = if groups.len() >= 2 { groups.len() as f64 - 1.0 } else { groups.len() as f64 };
        let take = exact.round().clamp(least, most);
        rest = (exact - take).clamp(-1.0, 1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        groups.iter().take(take as usize).flat_map(|group| group.iter()).for_each(|&i| marked[i] = true);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identical_vectors_are_one_cluster() {
        let vectors: [&[f32]; 4] = [&[1.0, 0.0], &[0.0, 1.0], &[1.0, -0.0], &[0.0, 1.0]];
        assert_eq!(clusters(vectors.into_iter()), [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn a_split_keeps_copies_together_and_both_sides_of_every_label(
            pictures in prop::collection::vec((0_u32..5, 0_u32..30), 1..120),
            share in 0.1_f64..0.9, seed in any::<u64>(),
        ) {
            // Copies have one label here.
            let labels: Vec<u32> = pictures.iter().map(|(label, _)| *label).collect();
            let clusters: Vec<u32> = pictures.iter().map(|(label, cluster)| label * 100 + cluster).collect();
            let marked = stratified(&labels, &clusters, share, seed);
            for i in 0..labels.len() {
                for j in 0..labels.len() {
                    prop_assert!(clusters[i] != clusters[j] || marked[i] == marked[j]);
                }
            }
            for label in 0..5 {
                let mut own: Vec<u32> = (0..labels.len()).filter(|&i| labels[i] == label).map(|i| clusters[i]).collect();
                own.sort_unstable();
                own.dedup();
                let sides: Vec<bool> = (0..labels.len()).filter(|&i| labels[i] == label).map(|i| marked[i]).collect();
                if own.len() >= 2 {
                    prop_assert!(sides.contains(&true) && sides.contains(&false));
                }
            }
            prop_assert_eq!(marked, stratified(&labels, &clusters, share, seed));
        }
    }
}
