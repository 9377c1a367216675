//! An index read in the order of its values, and its values counted.

use jiff::Timestamp;
use roaring::RoaringBitmap;

use super::PayloadIndex;
use super::key::Key;
use super::tree::Slots;
use crate::types::{MatchValue, PayloadFieldType};

/// A value that points can be put in order by.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum OrderValue {
    /// Of an integer index.
    Integer(i64),
    /// Of a float index.
    Float(f64),
    /// Of a datetime index.
    Moment(Timestamp),
}

impl Slots {
    /// The slots in their order.
    pub(in crate::collection) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Slots::One(slot) => Box::new(std::iter::once(*slot)),
            Slots::Many(slots) => Box::new(slots.iter()),
        }
    }

    /// How many of them are in a set.
    pub(in crate::collection) fn count_in(&self, set: &RoaringBitmap) -> u64 {
        match self {
            Slots::One(slot) => u64::from(set.contains(*slot)),
            Slots::Many(slots) => slots.intersection_len(set),
        }
    }
}

impl PayloadIndex {
    /// Every value with the slots that have it, in the order of values, from either end; `None`
    /// where the index holds no values in order (only integer, float and datetime do).
    pub(in crate::collection) fn ordered(
        &self,
    ) -> Option<impl DoubleEndedIterator<Item = (OrderValue, &Slots)>> {
        let has_order = matches!(
            self.params.kind,
            PayloadFieldType::Integer | PayloadFieldType::Float | PayloadFieldType::Datetime
        );
        let value = |(key, slots)| match key {
            &Key::Integer(number) => Some((OrderValue::Integer(number), slots)),
            Key::Float(number) => Some((OrderValue::Float(number.get()), slots)),
            &Key::Moment(moment) => Some((OrderValue::Moment(moment), slots)),
            Key::Bool(_) | Key::Text(_) | Key::Place(_) => None,
        };
        has_order.then(|| self.tree.iter().filter_map(value))
    }

    /// Every value with the number of slots of `among` that have it, in the order of values;
    /// `None` where the index does not hold values as they are compared (only keyword, uuid,
    /// integer and bool do).
    pub(in crate::collection) fn counts(
        &self,
        among: &RoaringBitmap,
    ) -> Option<impl Iterator<Item = (MatchValue, u64)>> {
        let value = move |(key, slots): (&Key, &Slots)| {
            let count = slots.count_in(among);
            let value = match key {
                Key::Bool(truth) => MatchValue::Bool(*truth),
                Key::Integer(number) => MatchValue::Integer(*number),
                Key::Text(text) => MatchValue::Keyword(text.to_string()),
                Key::Float(_) | Key::Moment(_) | Key::Place(_) => return None,
            };
            (count > 0).then_some((value, count))
        };
        self.holds_values().then(|| self.tree.iter().filter_map(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::JsonPath;

    fn index(kind: PayloadFieldType, values: &[Value]) -> PayloadIndex {
        let mut index = PayloadIndex::new(JsonPath::parse("a").unwrap(), kind.into());
        for (slot, value) in (0..).zip(values) {
            let Value::Object(payload) = json!({"a": value}) else { unreachable!() };
            index.insert(slot, &payload);
        }
        index
    }

    #[test]
    fn values_come_in_their_order_from_either_end() {
        let index = index(PayloadFieldType::Float, &[json!(2.5), json!(-1), json!("x"), json!([7, -1])]);
        let values: Vec<_> = index.ordered().unwrap().collect();
        let expected = [(-1.0, vec![1, 3]), (2.5, vec![0]), (7.0, vec![3])];
        for ((value, slots), (number, wanted)) in values.iter().zip(&expected) {
            assert_eq!(*value, OrderValue::Float(*number));
            assert_eq!(slots.iter().collect::<Vec<_>>(), *wanted);
        }
        assert_eq!(values.len(), 3);
        assert_eq!(index.ordered().unwrap().next_back().unwrap().0, OrderValue::Float(7.0));
        assert!(index.counts(&RoaringBitmap::new()).is_none());
    }

    #[test]
    fn values_are_counted_among_the_slots_asked_for() {
        let index =
            index(PayloadFieldType::Keyword, &[json!("b"), json!(["a", "b"]), json!("c"), json!("b")]);
        let counts: Vec<_> = index.counts(&RoaringBitmap::from_iter([0, 1, 3])).unwrap().collect();
        let keyword = |text: &str| MatchValue::Keyword(text.into());
        assert_eq!(counts, [(keyword("a"), 1), (keyword("b"), 3)]);
        assert!(index.ordered().is_none());
    }
}
