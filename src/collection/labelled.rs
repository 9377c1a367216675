//! Labelled points for a fit: vectors and the labels in their payloads, a bounded random sample.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::Value;

use crate::adapt::Labelled;
use crate::error::{Error, Result};
use crate::types::{JsonPath, PointId};

use super::Collection;

/// Most points whose payloads are read in search of labels.
const MAX_LOOKED_AT: usize = 100_000;
/// Most labels.
const MAX_LABELS: usize = 500;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledPoints {
    /// Vectors and numbers of labels.
    pub points: Labelled,
    /// The labels by number.
    pub names: Vec<String>,
}

impl Collection {
    /// Up to `most` points that have a label at `path` and a vector named `using`, drawn at
    /// random by `seed` from the first hundred thousand of a random order. A label is a string, a
    /// number or a boolean; points with another value there, or several, have none.
    ///
    /// # Errors
    /// `InvalidInput` where there are too many labels or no such vector; those of reading.
    pub fn labelled_points(
        &self,
        path: &JsonPath,
        using: &str,
        most: usize,
        seed: u64,
    ) -> Result<LabelledPoints> {
        let index = self.index(using)?;
        let mut ids: Vec<(PointId, u32)> = {
            let state = self.memory.state.read();
            state.slots.iter().map(|(&id, &slot)| (id, slot)).collect()
        };
        ids.shuffle(&mut SmallRng::seed_from_u64(seed));
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        let mut points = Labelled::default();
        for (id, slot) in ids.into_iter().take(MAX_LOOKED_AT) {
            if points.labels.len() == most {
                break;
            }
            let Some(payload) = self.volume.payload(id)? else { continue };
            let label = match path.values(&payload).as_slice() {
                [Value::String(text)] => text.clone(),
                [Value::Number(number)] => number.to_string(),
                [Value::Bool(flag)] => flag.to_string(),
                _ => continue,
            };
            let Some(vector) = index.vector(slot) else { continue };
            let next = numbers.len() as u32;
            let number = *numbers.entry(label).or_insert(next);
            if numbers.len() > MAX_LABELS {
                return Err(Error::InvalidInput(format!(
                    "label: `{}` has more than {MAX_LABELS} different values; choose a field with fewer",
                    path.as_str()
                )));
            }
            points.vectors.push(vector);
            points.labels.push(number);
        }
        let mut names = vec![String::new(); numbers.len()];
        for (name, number) in numbers {
            names[number as usize] = name;
        }
        Ok(LabelledPoints { points, names })
    }
}
