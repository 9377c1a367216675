//! `datatype` of a vector, as Qdrant names it: how its components are stored.

use serde::{Deserialize, Serialize};

/// How a component is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datatype {
    /// In 32 bits, as it was sent.
    #[default]
    Float32,
    /// In 16 bits (IEEE 754 half): 11 bits of precision, at most 65,504.
    Float16,
}

impl Datatype {
    /// True for what counts where nothing is said, which is not written.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
