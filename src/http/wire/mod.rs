//! What travels: the JSON of requests and answers, and its translation to and from `types`.
//! Wire types never leave `http/`. Where a field may hold several forms (a vector or an object
//! for the model, a filter), the JSON is read here by hand, so that an error names the place.

pub mod adapt;
pub mod answers;
pub mod answers_signatures;
pub mod collection;
pub mod filter;
mod geo;
pub mod groups;
pub mod inference;
pub mod object;
pub mod older;
pub mod point;
mod prefetch;
pub mod query;
pub mod relevance;
pub mod selector;
pub mod signatures;
pub mod task;
pub mod update;
pub mod vector;
pub mod wanted;
