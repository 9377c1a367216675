//! A value as an index holds it, in the order of its type.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::place::Place;
use crate::types::{GeoPoint, MatchValue, PayloadFieldType, parse_datetime};

/// A value in the order of its type. `Bool(false)` is the least of all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Integer(i64),
    Float(Float),
    Text(Arc<str>),
    Moment(Timestamp),
    Place(Place),
}

/// A finite f64 as bits that sort as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Float(u64);

impl Float {
    pub(super) fn new(number: f64) -> Self {
        let bits = (number + 0.0).to_bits(); // -0 and 0 are one number
        Self(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
    }

    pub(super) fn get(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

impl Key {
    /// A payload's value under this kind of index; `None` where it cannot hold it. A text is
    /// several keys, see `mod.rs`.
    pub(super) fn new(value: &Value, kind: PayloadFieldType) -> Option<Key> {
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
            // Places off the map are looked at one by one: an area may still hold them.
            (PayloadFieldType::Geo, value) => {
                GeoPoint::read(value).filter(|point| point.is_on_the_map()).map(|p| Key::Place(Place::new(p)))
            }
            _ => None,
        }
    }

    /// What is asked for, as a key.
    pub(super) fn asked(value: &MatchValue) -> Key {
        match value {
            MatchValue::Keyword(text) => Key::Text(text.as_str().into()),
            MatchValue::Integer(number) => Key::Integer(*number),
            MatchValue::Bool(truth) => Key::Bool(*truth),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn floats_sort_as_bits_as_they_sort_as_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(a.partial_cmp(&b), Some(Float::new(a).cmp(&Float::new(b))));
            prop_assert_eq!(Float::new(a).get(), a);
        }
    }
}
