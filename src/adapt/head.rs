//! The map itself: `q -> M q + b`, brought back to the length of `q`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::distance;
use crate::types::{Distance, norm};

/// What kind of queries a head is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Pictures.
    Picture,
    /// Texts.
    Text,
}

/// How a head is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The query as it is.
    None,
    /// A share of the mean query is taken off.
    Centre,
    /// Whitening: the inverse of the points' covariance, shrunk towards a sphere.
    Whiten,
    /// The inverse of the covariance within labels, shrunk (the metric of linear discriminants).
    Within,
    /// For texts: the ridge map from the words of a label to its points, shrunk towards the identity.
    Ridge,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::None, Kind::Centre, Kind::Whiten, Kind::Within, Kind::Ridge];
}

/// An affine map of vectors of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Rows of M, one after another; the identity where there are none.
    #[serde(serialize_with = "write_floats", deserialize_with = "read_floats")]
    pub matrix: Vec<f32>,
    /// b; its length is that of the vectors.
    #[serde(serialize_with = "write_floats", deserialize_with = "read_floats")]
    pub offset: Vec<f32>,
}

impl Head {
    /// The head that changes nothing.
    pub fn identity(dimension: usize) -> Self {
        Self { matrix: Vec::new(), offset: vec![0.0; dimension] }
    }

    /// True where the parts fit each other and vectors of `dimension`.
    pub fn fits(&self, dimension: usize) -> bool {
        self.offset.len() == dimension
            && (self.matrix.is_empty() || self.matrix.len() == dimension * dimension)
    }

    /// Maps a query that is of unit length under cosine. What comes out has the query's length;
    /// a query that the map sends to nothing, or of another length than the map's, stays as it is.
    pub fn apply(&self, query: &[f32]) -> Vec<f32> {
        if !self.fits(query.len()) {
            return query.to_vec();
        }
        let mut mapped = if self.matrix.is_empty() {
            query.to_vec()
        } else {
            let dot = distance::kernel(Distance::Dot);
            self.matrix.chunks_exact(query.len()).map(|row| dot(row, query)).collect()
        };
        mapped.iter_mut().zip(&self.offset).for_each(|(x, b)| *x += b);
        let (before, after) = (norm(query), norm(&mapped));
        if !after.is_finite() || after <= before * 1e-6 {
            return query.to_vec();
        }
        #[allow(clippy::cast_possible_truncation)]
        mapped.iter_mut().for_each(|x| *x = (f64::from(*x) * before / after) as f32);
        mapped
    }
}

/// Little-endian f32 as base64.
fn write_floats<S: Serializer>(floats: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_floats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(serde::de::Error::custom("the numbers of a head are cut off"));
    }
    Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_that_does_not_fit_leaves_the_query_alone() {
        assert_eq!(Head::identity(3).apply(&[1.0, 2.0]), [1.0, 2.0]);
        let nothing = Head { matrix: vec![0.0; 4], offset: vec![0.0; 2] };
        assert_eq!(nothing.apply(&[0.6, 0.8]), [0.6, 0.8]);
        let not_finite = Head { matrix: vec![f32::INFINITY; 4], offset: vec![0.0; 2] };
        assert_eq!(not_finite.apply(&[0.6, 0.8]), [0.6, 0.8]);
    }

    proptest! {
        #[test]
        fn a_head_survives_json_and_keeps_the_length_of_a_query(
            matrix in prop::collection::vec(-2.0_f32..2.0, 9), offset in prop::collection::vec(-1.0_f32..1.0, 3),
            query in prop::collection::vec(-1.0_f32..1.0, 3)
        ) {
            let head = Head { matrix, offset };
            let text = serde_json::to_string(&head).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Head>(&text).unwrap(), &head);
            let (before, after) = (norm(&query), norm(&head.apply(&query)));
            prop_assert!((before - after).abs() <= 1e-5 * before, "{before} became {after}");
        }
    }
}
