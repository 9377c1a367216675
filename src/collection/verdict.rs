//! What is known about a filter before any payload is read: the slots that it surely lets
//! through, and those that must be looked at. Everything else is surely refused.
//!
//! Invariant: `yes` and `maybe` have no slot in common.

use roaring::RoaringBitmap;

use super::state::State;
use crate::types::{Condition, Filter, MinShould};

/// More conditions than this under `min_should` are looked at one point after the other: the
/// sets needed grow with the square.
const MAX_COUNTED: usize = 64;

/// Slots by what is known of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) yes: RoaringBitmap,
    pub(super) maybe: RoaringBitmap,
}

impl Verdict {
    /// Every one of these, surely.
    pub(super) fn certain(yes: RoaringBitmap) -> Self {
        Self { yes, maybe: RoaringBitmap::new() }
    }

    /// Nothing is known of these.
    pub(super) fn unknown(maybe: RoaringBitmap) -> Self {
        Self { yes: RoaringBitmap::new(), maybe }
    }

    /// From the sure ones and all that are possible (which include them).
    fn of(yes: RoaringBitmap, possible: RoaringBitmap) -> Self {
        let maybe = possible - &yes;
        Self { yes, maybe }
    }

    /// All that may be let through.
    pub(super) fn possible(&self) -> RoaringBitmap {
        &self.yes | &self.maybe
    }

    /// Nothing can be let through.
    fn is_none(&self) -> bool {
        self.yes.is_empty() && self.maybe.is_empty()
    }

    fn and(self, other: Verdict) -> Self {
        let possible = self.possible() & other.possible();
        Self::of(self.yes & other.yes, possible)
    }

    fn or(self, other: Verdict) -> Self {
        let possible = self.possible() | other.possible();
        Self::of(self.yes | other.yes, possible)
    }

    fn not(self, live: &RoaringBitmap) -> Self {
        Self { yes: live - self.possible(), maybe: self.maybe }
    }
}

/// Judges a filter by the payload indexes, the ids and the vectors that points have.
pub(super) fn judge(filter: &Filter, state: &State) -> Verdict {
    let live = &state.live;
    let mut verdict = Verdict::certain(live.clone());
    for condition in &filter.must {
        if verdict.is_none() {
            return verdict;
        }
        verdict = verdict.and(judge_condition(condition, state));
    }
    for condition in &filter.must_not {
        if verdict.is_none() {
            return verdict;
        }
        verdict = verdict.and(judge_condition(condition, state).not(live));
    }
    let should = filter.should.iter().map(|condition| judge_condition(condition, state));
    if let Some(any) = should.reduce(Verdict::or) {
        verdict = verdict.and(any);
    }
    if let Some(min_should) = &filter.min_should {
        verdict = verdict.and(judge_count(min_should, state));
    }
    verdict
}

fn judge_condition(condition: &Condition, state: &State) -> Verdict {
    let unknown = || Verdict::unknown(state.live.clone());
    match condition {
        Condition::Field { key, condition } => match state.payload_indexes.get(key.as_str()) {
            Some(index) => index.judge(condition),
            None => unknown(),
        },
        Condition::IsEmpty(key) => match state.payload_indexes.get(key.as_str()) {
            Some(index) => Verdict::certain(index.empty().clone()),
            None => unknown(),
        },
        Condition::IsNull(key) => match state.payload_indexes.get(key.as_str()) {
            Some(index) => Verdict::certain(index.null().clone()),
            None => unknown(),
        },
        Condition::HasId(ids) => {
            Verdict::certain(ids.iter().filter_map(|id| state.slots.get(id).copied()).collect())
        }
        Condition::HasVector(name) => {
            Verdict::certain(state.with_vector.get(name).cloned().unwrap_or_default())
        }
        Condition::Nested { .. } => unknown(),
        Condition::Filter(filter) => judge(filter, state),
    }
}

/// Slots for which at least so many conditions hold: set `k` holds those with `k` or more so far.
fn judge_count(min_should: &MinShould, state: &State) -> Verdict {
    let count = min_should.count;
    if count == 0 {
        return Verdict::certain(state.live.clone());
    }
    if count > min_should.conditions.len() {
        return Verdict::default();
    }
    if min_should.conditions.len() > MAX_COUNTED {
        return Verdict::unknown(state.live.clone());
    }
    let mut sure = vec![RoaringBitmap::new(); count + 1];
    sure[0] = state.live.clone();
    let mut possible = sure.clone();
    for condition in &min_should.conditions {
        let verdict = judge_condition(condition, state);
        let may = verdict.possible();
        for k in (1..=count).rev() {
            let (one_less, one_less_may) = (&sure[k - 1] & &verdict.yes, &possible[k - 1] & &may);
            sure[k] |= one_less;
            possible[k] |= one_less_may;
        }
    }
    Verdict::of(sure.swap_remove(count), possible.swap_remove(count))
}
