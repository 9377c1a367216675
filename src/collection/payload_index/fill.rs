//! Payload indexes filled from many points, every index on a thread of its own. At a start they
//! are made from the payloads, which are read for the vectors' sake anyway.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::PayloadIndex;
use crate::types::Payload;

/// Payloads that are held until the indexes take them in.
const AT_ONCE: usize = 4096;

/// Indexes that are being filled.
pub(in crate::collection) struct Filling {
    indexes: BTreeMap<String, PayloadIndex>,
    waiting: Vec<(u32, Payload)>,
}

impl Filling {
    pub(in crate::collection) fn new(indexes: BTreeMap<String, PayloadIndex>) -> Self {
        Self { indexes, waiting: Vec::new() }
    }

    pub(in crate::collection) fn add(&mut self, slot: u32, payload: Payload) {
        if self.indexes.is_empty() {
            return;
        }
        self.waiting.push((slot, payload));
        if self.waiting.len() == AT_ONCE {
            self.take_in();
        }
    }

    /// The indexes, with every payload in them.
    pub(in crate::collection) fn finish(mut self) -> BTreeMap<String, PayloadIndex> {
        self.take_in();
        self.indexes
    }

    fn take_in(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.indexes.par_iter_mut().for_each(|(_, index)| {
            waiting.iter().for_each(|(slot, payload)| index.insert(*slot, payload));
        });
    }
}
