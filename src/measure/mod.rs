//! How good rankings and predictions are, and how sure that is: average precision, recall,
//! accuracy, their chance levels, bootstrap intervals and splits. Pure: scores come in, figures
//! go out; nothing here knows a model, a file or a collection.
//!
//! Every figure is a function of how often each picture counts. With ones it is the figure of
//! the data as they are, with the counts of a resample it is one draw of the bootstrap, and with
//! zeros it is the figure of a part of the data.
//!
//! Invariants: the same seed gives the same numbers on any number of threads; equal scores never
//! help (a picture that ties with the right one stands before it).

mod bootstrap;
mod chance;
mod choice;
mod classify;
mod projection;
mod ranking;
mod relevance;
mod split;

pub use bootstrap::{Figure, Interval, Paired, Resampling, ones};
pub use chance::{average_precision_by_chance, hit_by_chance};
pub use choice::{Choice, choose};
pub use classify::{ClassCount, Predictions};
pub use projection::{MAX_PROJECTED, Projection, arranged, principal};
pub use ranking::{Ranking, mean_average_precision, mean_over, median, rank_of};
pub use relevance::{Background, Relation};
pub use split::{clusters, stratified};
