//! Those of `src/types` that vectors need.
#![allow(dead_code)] // what only their neighbours use

#[path = "../../src/types/datatype.rs"]
mod datatype;
#[path = "../../src/types/distance.rs"]
mod distance;
#[path = "../../src/types/vector.rs"]
mod vector;

pub use datatype::Datatype;
pub use distance::{Distance, Order};
pub use vector::{DEFAULT_VECTOR, MIN_NORM, NamedVectors, VectorName, check_vector, norm};
