//! The index of one payload field: from each value to the slots that have it, in memory,
//! rebuilt when the collection is opened.
//!
//! Invariant: a slot is in `other` if and only if its field holds a value that this kind of
//! index cannot (of another type, or null), so an answer is exact for all other slots.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde_json::Value;

use super::filter::flat_values;
use super::verdict::Verdict;
use crate::types::{
    DatetimeRange, FieldCondition, JsonPath, Match, MatchValue, Payload, PayloadFieldType, Range,
    parse_datetime,
};

/// A value in the order of its type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Bool(bool),
    Integer(i64),
    Float(Float),
    Text(Arc<str>),
    Moment(Timestamp),
    /// Stands for any value, where the index only knows that there is one (text, geo).
    Some,
}

/// A finite f64 as bits that sort as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Float(u64);

impl Float {
    fn new(number: f64) -> Self {
        let bits = (number + 0.0).to_bits(); // -0 and 0 are one number
        Self(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
    }

    fn get(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

/// One field's index.
#[derive(Debug)]
pub(super) struct PayloadIndex {
    path: JsonPath,
    kind: PayloadFieldType,
    slots_of: BTreeMap<Key, RoaringBitmap>,
    keys_of: BTreeMap<u32, Box<[Key]>>,
    filled: RoaringBitmap,
    other: RoaringBitmap,
}

impl PayloadIndex {
    pub(super) fn new(path: JsonPath, kind: PayloadFieldType) -> Self {
        Self {
            path,
            kind,
            slots_of: BTreeMap::new(),
            keys_of: BTreeMap::new(),
            filled: RoaringBitmap::new(),
            other: RoaringBitmap::new(),
        }
    }

    pub(super) fn kind(&self) -> PayloadFieldType {
        self.kind
    }

    /// Slots that have a value which the index holds.
    pub(super) fn filled(&self) -> &RoaringBitmap {
        &self.filled
    }

    /// Slots that have a value which it cannot hold.
    pub(super) fn other(&self) -> &RoaringBitmap {
        &self.other
    }

    pub(super) fn insert(&mut self, slot: u32, payload: &Payload) {
        let mut keys = Vec::new();
        for value in flat_values(&self.path, payload) {
            match key(value, self.kind) {
                Some(key) => keys.push(key),
                None => {
                    self.other.insert(slot);
                }
            }
        }
        if keys.is_empty() {
            return;
        }
        keys.sort();
        keys.dedup();
        for key in &mut keys {
            // The text of a value that is there already is shared.
            if let Some((there, slots)) = self.slots_of.range_mut(&*key..=&*key).next() {
                *key = there.clone();
                slots.insert(slot);
            } else {
                self.slots_of.insert(key.clone(), RoaringBitmap::from_iter([slot]));
            }
        }
        self.filled.insert(slot);
        self.keys_of.insert(slot, keys.into());
    }

    pub(super) fn remove(&mut self, slot: u32) {
        self.other.remove(slot);
        self.filled.remove(slot);
        for key in self.keys_of.remove(&slot).unwrap_or_default() {
            if let Some(slots) = self.slots_of.get_mut(&key) {
                slots.remove(slot);
                if slots.is_empty() {
                    self.slots_of.remove(&key);
                }
            }
        }
    }

    /// What the index knows about a condition; `None` where it knows nothing.
    pub(super) fn judge(&self, condition: &FieldCondition) -> Option<Verdict> {
        match condition {
            FieldCondition::Match(Match::Value(value)) => Some(self.equal(std::slice::from_ref(value))),
            FieldCondition::Match(Match::Any(values)) => Some(self.equal(values)),
            FieldCondition::Match(Match::Except(values)) => Some(self.except(values)),
            FieldCondition::Match(Match::Text(_)) => Some(match self.kind {
                PayloadFieldType::Text
                | PayloadFieldType::Keyword
                | PayloadFieldType::Uuid
                | PayloadFieldType::Datetime => Verdict::unknown(self.any()),
                // Texts are among the values of another type.
                _ => Verdict::unknown(self.other.clone()),
            }),
            FieldCondition::Range(range) => Some(self.within(range)),
            FieldCondition::DatetimeRange(range) => Some(self.between(range)),
            FieldCondition::ValuesCount(_) => None,
        }
    }

    fn any(&self) -> RoaringBitmap {
        &self.filled | &self.other
    }

    /// `yes` surely; of those with values of another type nothing is known.
    fn or_other(&self, yes: RoaringBitmap) -> Verdict {
        let maybe = &self.other - &yes;
        Verdict { yes, maybe }
    }

    fn equal(&self, values: &[MatchValue]) -> Verdict {
        let exact = matches!(
            self.kind,
            PayloadFieldType::Keyword
                | PayloadFieldType::Uuid
                | PayloadFieldType::Integer
                | PayloadFieldType::Bool
        );
        if !exact {
            return Verdict::unknown(self.any()); // held in another form than it is compared in
        }
        let slots = values.iter().filter_map(match_key).filter_map(|key| self.slots_of.get(&key));
        self.or_other(slots.fold(RoaringBitmap::new(), |all, slots| all | slots))
    }

    fn except(&self, values: &[MatchValue]) -> Verdict {
        let equal = self.equal(values);
        // Those without an excluded value have others only; of those with one nothing is known.
        let yes = &self.filled - equal.possible();
        let maybe = self.any() - &yes;
        Verdict { yes, maybe }
    }

    fn within(&self, range: &Range) -> Verdict {
        let low = range.gt.into_iter().chain(range.gte).fold(f64::NEG_INFINITY, f64::max);
        let high = range.lt.into_iter().chain(range.lte).fold(f64::INFINITY, f64::min);
        if low > high || low.is_nan() || high.is_nan() {
            return Verdict::default();
        }
        let mut yes = RoaringBitmap::new();
        match self.kind {
            PayloadFieldType::Integer => {
                // Above 2^53 a float stands for many integers: those bounds are widened to all.
                let whole = 9_007_199_254_740_992.0;
                let low = if low.abs() < whole { low as i64 - 1 } else { i64::MIN };
                let high = if high.abs() < whole { high as i64 + 1 } else { i64::MAX };
                for (key, slots) in self.slots_of.range(Key::Integer(low)..=Key::Integer(high)) {
                    if let Key::Integer(number) = key
                        && range.contains(*number as f64)
                    {
                        yes |= slots;
                    }
                }
            }
            PayloadFieldType::Float => {
                let bounds = Key::Float(Float::new(low))..=Key::Float(Float::new(high));
                for (key, slots) in self.slots_of.range(bounds) {
                    if let Key::Float(number) = key
                        && range.contains(number.get())
                    {
                        yes |= slots;
                    }
                }
            }
            _ => {}
        }
        self.or_other(yes)
    }

    fn between(&self, range: &DatetimeRange) -> Verdict {
        match self.kind {
            PayloadFieldType::Datetime => {}
            PayloadFieldType::Keyword | PayloadFieldType::Text | PayloadFieldType::Uuid => {
                return Verdict::unknown(self.any());
            }
            _ => return Verdict::unknown(self.other.clone()),
        }
        let low = range.gt.into_iter().chain(range.gte).max();
        let high = range.lt.into_iter().chain(range.lte).min();
        if low.is_some_and(|low| high.is_some_and(|high| low > high)) {
            return Verdict::default();
        }
        let low = low.map_or(Bound::Unbounded, |moment| Bound::Included(Key::Moment(moment)));
        let high = high.map_or(Bound::Unbounded, |moment| Bound::Included(Key::Moment(moment)));
        let mut yes = RoaringBitmap::new();
        for (key, slots) in self.slots_of.range((low, high)) {
            if let Key::Moment(moment) = key
                && range.contains(*moment)
            {
                yes |= slots;
            }
        }
        self.or_other(yes)
    }
}

fn key(value: &Value, kind: PayloadFieldType) -> Option<Key> {
    match (kind, value) {
        (PayloadFieldType::Keyword | PayloadFieldType::Uuid, Value::String(text)) => {
            Some(Key::Text(text.as_str().into()))
        }
        (PayloadFieldType::Integer, Value::Number(number)) => number.as_i64().map(Key::Integer),
        (PayloadFieldType::Float, Value::Number(number)) => {
            number.as_f64().map(|number| Key::Float(Float::new(number)))
        }
        (PayloadFieldType::Bool, Value::Bool(truth)) => Some(Key::Bool(*truth)),
        (PayloadFieldType::Datetime, Value::String(text)) => parse_datetime(text).map(Key::Moment),
        (PayloadFieldType::Text, Value::String(_)) | (PayloadFieldType::Geo, Value::Object(_)) => {
            Some(Key::Some)
        }
        _ => None,
    }
}

fn match_key(value: &MatchValue) -> Option<Key> {
    Some(match value {
        MatchValue::Keyword(text) => Key::Text(text.as_str().into()),
        MatchValue::Integer(number) => Key::Integer(*number),
        MatchValue::Bool(truth) => Key::Bool(*truth),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn floats_sort_as_bits_as_they_sort_as_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(a.partial_cmp(&b), Some(Float::new(a).cmp(&Float::new(b))));
            prop_assert_eq!(Float::new(a).get(), a);
        }
    }

    #[test]
    fn removing_a_slot_leaves_no_trace() {
        let path = JsonPath::parse("a").unwrap();
        let mut index = PayloadIndex::new(path, PayloadFieldType::Keyword);
        let Value::Object(payload) = serde_json::json!({"a": ["x", "y", 3, "x"]}) else { unreachable!() };
        index.insert(4, &payload);
        index.insert(5, &payload);
        assert_eq!(index.filled().len(), 2);
        assert_eq!(index.other().len(), 2);
        index.remove(4);
        index.remove(5);
        assert!(index.slots_of.is_empty() && index.keys_of.is_empty());
        assert!(index.filled().is_empty() && index.other().is_empty());
    }
}
