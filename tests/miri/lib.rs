//! The sources of `distance` as they are, and of what they name, in a crate that Miri compiles in a minute.

#[path = "../../src/distance/mod.rs"]
pub mod distance;
#[path = "../../src/error.rs"]
pub mod error;
pub mod types;
