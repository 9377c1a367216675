//! The index of one payload field: from each value to the slots that have it, in memory,
//! rebuilt when the collection is opened.
//!
//! Invariant: a slot is in `other` if and only if its field holds a value that this kind of
//! index cannot (of another type, or null), so an answer is exact for all other slots.

mod fill;
mod key;
mod order;
mod place;
mod tree;

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::filter::{count, flat_values, is_empty};
use super::verdict::Verdict;
use crate::types::{
    DatetimeRange, FieldCondition, GeoArea, JsonPath, Match, MatchValue, Payload, PayloadFieldType,
    PayloadIndexParams, Range, TextOptions,
};
pub(super) use fill::Filling;
use key::{Float, Key};
pub use order::OrderValue;
use tree::{Asked, Tree};

/// One field's index.
#[derive(Debug)]
pub(super) struct PayloadIndex {
    path: JsonPath,
    params: PayloadIndexParams,
    tree: Tree,
    keys_of: BTreeMap<u32, Box<[Key]>>,
    /// Slots that have a value which the index holds.
    filled: RoaringBitmap,
    /// Slots that have a value which it cannot hold.
    other: RoaringBitmap,
    /// Slots that have several values which it holds.
    several: RoaringBitmap,
    /// Slots where the field is absent, null or an empty array.
    empty: RoaringBitmap,
    /// Slots that have a null.
    null: RoaringBitmap,
    /// Slots by how many values they have; a path with `[]` may count several times.
    counted: BTreeMap<usize, RoaringBitmap>,
}

impl PayloadIndex {
    pub(super) fn new(path: JsonPath, params: PayloadIndexParams) -> Self {
        let asked = match params.kind {
            PayloadFieldType::Integer | PayloadFieldType::Float | PayloadFieldType::Datetime => Asked::Ranges,
            _ => Asked::Keys,
        };
        Self {
            path,
            params,
            tree: Tree::new(asked),
            keys_of: BTreeMap::new(),
            filled: RoaringBitmap::new(),
            other: RoaringBitmap::new(),
            several: RoaringBitmap::new(),
            empty: RoaringBitmap::new(),
            null: RoaringBitmap::new(),
            counted: BTreeMap::new(),
        }
    }

    pub(super) fn params(&self) -> &PayloadIndexParams {
        &self.params
    }

    /// How texts are read, of a text index.
    pub(super) fn text(&self) -> Option<TextOptions> {
        (self.params.kind == PayloadFieldType::Text).then_some(self.params.text)
    }

    /// Slots that have a value which the index holds.
    pub(super) fn filled(&self) -> &RoaringBitmap {
        &self.filled
    }

    /// Slots where the field is absent, null or an empty array.
    pub(super) fn empty(&self) -> &RoaringBitmap {
        &self.empty
    }

    /// Slots that have a null.
    pub(super) fn null(&self) -> &RoaringBitmap {
        &self.null
    }

    /// True where it holds values as they are compared by `match`.
    fn holds_values(&self) -> bool {
        matches!(
            self.params.kind,
            PayloadFieldType::Keyword
                | PayloadFieldType::Uuid
                | PayloadFieldType::Integer
                | PayloadFieldType::Bool
        )
    }

    pub(super) fn insert(&mut self, slot: u32, payload: &Payload) {
        let found = self.path.values(payload);
        if found.iter().all(|value| is_empty(value)) {
            self.empty.insert(slot);
        }
        if found.is_empty() {
            self.counted.entry(0).or_default().insert(slot);
        }
        for value in found {
            self.counted.entry(count(value)).or_default().insert(slot);
        }
        let mut keys = Vec::new();
        let mut held = 0;
        for value in flat_values(&self.path, payload) {
            if value.is_null() {
                self.null.insert(slot);
            }
            match (self.params.kind, value) {
                (PayloadFieldType::Text, Value::String(text)) => {
                    keys.extend(self.params.text.known(text).into_iter().map(|word| Key::Text(word.into())));
                    held += 1;
                }
                (kind, value) => match Key::new(value, kind) {
                    Some(key) => {
                        keys.push(key);
                        held += 1;
                    }
                    None => drop(self.other.insert(slot)),
                },
            }
        }
        if held > 0 {
            self.filled.insert(slot);
        }
        if held > 1 {
            self.several.insert(slot);
        }
        keys.sort_unstable();
        keys.dedup();
        for key in &mut keys {
            self.tree.insert(key, slot);
        }
        if !keys.is_empty() {
            self.keys_of.insert(slot, keys.into());
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        for slots in [&mut self.filled, &mut self.other, &mut self.several, &mut self.empty, &mut self.null] {
            slots.remove(slot);
        }
        self.counted.retain(|_, slots| {
            slots.remove(slot);
            !slots.is_empty()
        });
        let keys = self.keys_of.remove(&slot).unwrap_or_default();
        for (i, key) in keys.iter().enumerate() {
            self.tree.remove(key, slot, &keys[i + 1..]);
        }
    }

    /// What the index knows about a condition.
    pub(super) fn judge(&self, condition: &FieldCondition) -> Verdict {
        match condition {
            FieldCondition::Match(Match::Value(value)) => self.equal(std::slice::from_ref(value)),
            FieldCondition::Match(Match::Any(values)) => self.equal(values),
            FieldCondition::Match(Match::Except(values)) => self.except(values),
            FieldCondition::Match(Match::Text(text)) => self.words(text, Words::All),
            FieldCondition::Match(Match::TextAny(text)) => self.words(text, Words::Any),
            FieldCondition::Match(Match::Phrase(text)) => self.words(text, Words::InARow),
            FieldCondition::Match(Match::Prefix(prefix)) => self.beginning(prefix),
            FieldCondition::Match(Match::Substring(part)) => self.texts(|text| text.contains(part.as_str())),
            FieldCondition::Range(range) => self.within(range),
            FieldCondition::DatetimeRange(range) => self.between(range),
            FieldCondition::ValuesCount(range) => {
                let counts = self.counted.iter().filter(|(count, _)| range.contains(**count as f64));
                Verdict::certain(counts.fold(RoaringBitmap::new(), |all, (_, slots)| all | slots))
            }
            FieldCondition::Geo(area) => self.inside(area),
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

    /// Where only strings can be meant: those that have one.
    fn some_text(&self) -> Verdict {
        match self.params.kind {
            PayloadFieldType::Text | PayloadFieldType::Keyword | PayloadFieldType::Uuid => {
                Verdict::unknown(self.filled.clone())
            }
            PayloadFieldType::Datetime => Verdict::unknown(self.any()),
            // Texts are among the values of another type.
            _ => Verdict::unknown(self.other.clone()),
        }
    }

    fn slots(&self, key: &Key) -> RoaringBitmap {
        self.tree.get(key).map(tree::Slots::to_set).unwrap_or_default()
    }

    fn equal(&self, values: &[MatchValue]) -> Verdict {
        if !self.holds_values() {
            return Verdict::unknown(self.any()); // held in another form than it is compared in
        }
        let mut yes = RoaringBitmap::new();
        let found = values.iter().filter_map(|value| self.tree.get(&Key::asked(value)));
        found.for_each(|slots| slots.add_to(&mut yes));
        self.or_other(yes)
    }

    fn except(&self, values: &[MatchValue]) -> Verdict {
        if !self.holds_values() {
            return Verdict::unknown(self.any());
        }
        let excluded = self.equal(values).yes;
        let mut yes = &self.filled - &excluded;
        for slot in excluded & &self.several {
            let is_other = |key: &Key| !values.iter().any(|value| Key::asked(value) == *key);
            if self.keys_of.get(&slot).is_some_and(|keys| keys.iter().any(is_other)) {
                yes.insert(slot);
            }
        }
        self.or_other(yes)
    }

    /// Strings by their words. Only a text index holds words; of a slot with several texts it does
    /// not know which text has which.
    fn words(&self, text: &str, words: Words) -> Verdict {
        let Some(options) = self.text() else { return self.some_text() };
        let asked = options.asked(text);
        let keys = asked.iter().map(|word| self.slots(&Key::Text(word.as_str().into())));
        let found = match words {
            Words::Any => return Verdict::certain(keys.fold(RoaringBitmap::new(), |all, slots| all | slots)),
            Words::All | Words::InARow => keys.reduce(|all, slots| all & slots).unwrap_or_default(),
        };
        if asked.len() == 1 {
            return Verdict::certain(found);
        }
        let maybe = if words == Words::All { &found & &self.several } else { found.clone() };
        Verdict { yes: found - &maybe, maybe }
    }

    fn beginning(&self, prefix: &str) -> Verdict {
        if !matches!(self.params.kind, PayloadFieldType::Keyword | PayloadFieldType::Uuid) {
            return self.some_text();
        }
        let low = Key::Text(prefix.into());
        let mut yes = RoaringBitmap::new();
        let begins = |key: &Key| matches!(key, Key::Text(text) if text.starts_with(prefix));
        let from = self.tree.from(&low).take_while(|(key, _)| begins(key));
        from.for_each(|(_, slots)| slots.add_to(&mut yes));
        Verdict::certain(yes) // what is no string begins with nothing
    }

    /// The slots with a string that `keep` keeps, where whole strings are held.
    fn texts(&self, keep: impl Fn(&str) -> bool) -> Verdict {
        if !matches!(self.params.kind, PayloadFieldType::Keyword | PayloadFieldType::Uuid) {
            return self.some_text();
        }
        let mut yes = RoaringBitmap::new();
        for (key, slots) in self.tree.iter() {
            if matches!(key, Key::Text(text) if keep(text)) {
                slots.add_to(&mut yes);
            }
        }
        Verdict::certain(yes)
    }

    fn within(&self, range: &Range) -> Verdict {
        let low = range.gt.into_iter().chain(range.gte).fold(f64::NEG_INFINITY, f64::max);
        let high = range.lt.into_iter().chain(range.lte).fold(f64::INFINITY, f64::min);
        if low > high || low.is_nan() || high.is_nan() {
            return Verdict::default();
        }
        let yes = match self.params.kind {
            PayloadFieldType::Integer => {
                // Above 2^53 a float stands for many integers: those bounds are widened to all.
                let whole = 9_007_199_254_740_992.0;
                let low = if low.abs() < whole { low as i64 - 1 } else { i64::MIN };
                let high = if high.abs() < whole { high as i64 + 1 } else { i64::MAX };
                self.tree.range(
                    &Key::Integer(low),
                    &Key::Integer(high),
                    |key| matches!(key, Key::Integer(number) if range.contains(*number as f64)),
                )
            }
            PayloadFieldType::Float => {
                let (low, high) = (Key::Float(Float::new(low)), Key::Float(Float::new(high)));
                self.tree.range(
                    &low,
                    &high,
                    |key| matches!(key, Key::Float(number) if range.contains(number.get())),
                )
            }
            _ => RoaringBitmap::new(),
        };
        self.or_other(yes)
    }

    fn between(&self, range: &DatetimeRange) -> Verdict {
        if self.params.kind != PayloadFieldType::Datetime {
            return self.some_text();
        }
        let low = range.gt.into_iter().chain(range.gte).max();
        let high = range.lt.into_iter().chain(range.lte).min();
        let low = Key::Moment(low.unwrap_or(jiff::Timestamp::MIN));
        let high = Key::Moment(high.unwrap_or(jiff::Timestamp::MAX));
        let keep = |key: &Key| matches!(key, Key::Moment(moment) if range.contains(*moment));
        Verdict::certain(self.tree.range(&low, &high, keep)) // what is no moment is in no range
    }

    fn inside(&self, area: &GeoArea) -> Verdict {
        if self.params.kind != PayloadFieldType::Geo {
            return Verdict::unknown(self.other.clone()); // no other kind holds objects
        }
        let mut yes = RoaringBitmap::new();
        for bounds in area.bounds() {
            for (low, high) in place::ranges(&bounds) {
                for (key, slots) in self.tree.each(&Key::Place(low), &Key::Place(high)) {
                    if matches!(key, Key::Place(place) if area.contains(place.point())) {
                        slots.add_to(&mut yes);
                    }
                }
            }
        }
        self.or_other(yes)
    }
}

/// How the words asked for must stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    All,
    Any,
    InARow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_a_slot_leaves_no_trace() {
        let path = JsonPath::parse("a").unwrap();
        let mut index = PayloadIndex::new(path, PayloadFieldType::Keyword.into());
        let Value::Object(payload) = serde_json::json!({"a": ["x", "y", 3, "x", null]}) else {
            unreachable!()
        };
        index.insert(4, &payload);
        index.insert(5, &payload);
        assert_eq!(index.filled().len(), 2);
        assert_eq!(index.other.len(), 2);
        index.remove(4);
        index.remove(5);
        assert!(index.tree.is_empty() && index.keys_of.is_empty() && index.counted.is_empty());
        assert!(index.filled().is_empty() && index.other.is_empty() && index.null().is_empty());
    }
}
