//! The values of a payload field and how many points have each, from the field's index.

use crate::error::{Error, Result};
use crate::types::{Filter, JsonPath, MatchValue};

use super::Collection;

/// Most values of one answer.
pub const MAX_FACETS: usize = 10_000;

impl Collection {
    /// The `limit` most frequent values of a field among the points that the filter lets through, the most
    /// frequent first, equal ones in the order of values.
    ///
    /// # Errors
    /// `InvalidInput` where the field has no index that holds values as they are compared; names it and
    /// says which to create. Those of reading.
    pub fn facet(
        &self,
        key: &JsonPath,
        filter: Option<&Filter>,
        limit: usize,
    ) -> Result<Vec<(MatchValue, u64)>> {
        if !(1..=MAX_FACETS).contains(&limit) {
            return Err(Error::InvalidInput(format!("limit is {limit}, it must be from 1 to {MAX_FACETS}")));
        }
        self.volume.read_whole(|| {
            let allowed = match filter.filter(|filter| !filter.is_empty()) {
                Some(filter) => Some(self.matching(filter)?),
                None => None,
            };
            let state = self.memory.state.read();
            let among = allowed.as_ref().unwrap_or(&state.live);
            let counts = state.payload_indexes.get(key.as_str()).and_then(|index| index.counts(among));
            let Some(counts) = counts else {
                return Err(Error::InvalidInput(format!(
                    "key: there is no index over `{}` that counts values. Please create one: an index of kind \
                     `keyword`, `integer`, `bool` or `uuid`",
                    key.as_str()
                )));
            };
            let mut counts: Vec<(MatchValue, u64)> = counts.collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // stable
            counts.truncate(limit);
            Ok(counts)
        })
    }
}
