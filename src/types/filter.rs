//! A filter as a value: which points may be answered. Evaluation is in `collection/`.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{GeoArea, JsonPath, PointId, VectorName};

/// All of `must`, none of `must_not`, at least one of `should` (if there is any), and at least
/// `min_should.count` of `min_should.conditions`. An empty filter lets every point through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Every one of these holds.
    pub must: Vec<Condition>,
    /// None of these holds.
    pub must_not: Vec<Condition>,
    /// At least one of these holds, unless the list is empty.
    pub should: Vec<Condition>,
    /// So many of these hold.
    pub min_should: Option<MinShould>,
}

/// At least `count` of `conditions` hold.
#[derive(Debug, Clone, PartialEq)]
pub struct MinShould {
    /// The conditions that are counted.
    pub conditions: Vec<Condition>,
    /// How many of them must hold.
    pub count: usize,
}

/// One condition on a point.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Some value at `key` satisfies `condition`; an array satisfies it if an element does.
    Field {
        /// Where in the payload.
        key: JsonPath,
        /// What is asked of the value.
        condition: FieldCondition,
    },
    /// The key is absent, null, or an empty array.
    IsEmpty(JsonPath),
    /// The key is there and null, or an array holding a null.
    IsNull(JsonPath),
    /// The id is one of these.
    HasId(HashSet<PointId>),
    /// The point has a vector of this name.
    HasVector(VectorName),
    /// Some element of the array of objects at `key` satisfies the whole filter by itself.
    Nested {
        /// The array of objects.
        key: JsonPath,
        /// Asked of each element as if it were the payload.
        filter: Filter,
    },
    /// A filter within the filter.
    Filter(Filter),
}

/// What is asked of a payload value.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldCondition {
    /// Equality with a value or with one of several.
    Match(Match),
    /// A number within bounds.
    Range(Range),
    /// An RFC 3339 string within bounds.
    DatetimeRange(DatetimeRange),
    /// How many values there are at the key (an array counts its elements, null and absent are 0).
    ValuesCount(Range),
    /// A place within an area.
    Geo(GeoArea),
}

/// Equality with values.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    /// Equal to this value.
    Value(MatchValue),
    /// Equal to one of these.
    Any(Vec<MatchValue>),
    /// There is a value, and it is none of these.
    Except(Vec<MatchValue>),
    /// Every word of the text occurs in the value, in the form that the field's text index gives
    /// words; without one whatever the case.
    Text(String),
    /// A word of the text occurs in the value.
    TextAny(String),
    /// The words of the text stand in the value one after the other.
    Phrase(String),
    /// A string that begins with this, letter by letter.
    Prefix(String),
    /// A string that has this somewhere, letter by letter.
    Substring(String),
}

/// A value that can be compared for equality.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchValue {
    /// A string, compared exactly.
    Keyword(String),
    /// An integer.
    Integer(i64),
    /// true or false.
    Bool(bool),
}

impl MatchValue {
    /// True where the JSON value is this value.
    pub fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (MatchValue::Keyword(a), Value::String(b)) => a == b,
            (MatchValue::Integer(a), Value::Number(b)) => b.as_i64() == Some(*a),
            (MatchValue::Bool(a), Value::Bool(b)) => a == b,
            _ => false,
        }
    }
}

/// Bounds on a number; an absent bound does not bound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Range {
    /// Less than.
    pub lt: Option<f64>,
    /// Greater than.
    pub gt: Option<f64>,
    /// Greater than or equal.
    pub gte: Option<f64>,
    /// Less than or equal.
    pub lte: Option<f64>,
}

impl Range {
    /// True where the number lies within every bound.
    pub fn contains(&self, number: f64) -> bool {
        self.lt.is_none_or(|bound| number < bound)
            && self.gt.is_none_or(|bound| number > bound)
            && self.lte.is_none_or(|bound| number <= bound)
            && self.gte.is_none_or(|bound| number >= bound)
    }
}

/// Bounds on a moment; an absent bound does not bound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DatetimeRange {
    /// Before.
    pub lt: Option<Timestamp>,
    /// After.
    pub gt: Option<Timestamp>,
    /// At or after.
    pub gte: Option<Timestamp>,
    /// At or before.
    pub lte: Option<Timestamp>,
}

impl DatetimeRange {
    /// True where the moment lies within every bound.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.lt.is_none_or(|bound| moment < bound)
            && self.gt.is_none_or(|bound| moment > bound)
            && self.lte.is_none_or(|bound| moment <= bound)
            && self.gte.is_none_or(|bound| moment >= bound)
    }
}

impl Condition {
    /// What it takes to ask it of one payload, roughly, in comparisons.
    fn cost(&self) -> usize {
        match self {
            Condition::HasId(_) | Condition::HasVector(_) => 1,
            Condition::IsEmpty(_) | Condition::IsNull(_) => 2,
            Condition::Field { condition, .. } => match condition {
                FieldCondition::Match(Match::Any(values) | Match::Except(values)) => 2 + values.len(),
                FieldCondition::Match(Match::Text(_) | Match::TextAny(_) | Match::Phrase(_)) => 100,
                FieldCondition::DatetimeRange(_) => 20,
                FieldCondition::Geo(GeoArea::Polygon { exterior, interiors }) => {
                    4 + exterior.len() + interiors.iter().map(Vec::len).sum::<usize>()
                }
                FieldCondition::Geo(_) => 10,
                FieldCondition::Match(_) | FieldCondition::Range(_) | FieldCondition::ValuesCount(_) => 2,
            },
            Condition::Nested { filter, .. } => 10 * filter.conditions() + 10,
            Condition::Filter(filter) => 10 * filter.conditions(),
        }
    }
}

impl Filter {
    /// True where the filter asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.must.is_empty()
            && self.must_not.is_empty()
            && self.should.is_empty()
            && self.min_should.is_none()
    }

    /// The same filter with the conditions that are answered fast before the others: whoever asks
    /// them one after the other may stop early.
    #[must_use]
    pub fn cheapest_first(mut self) -> Self {
        for conditions in [&mut self.must, &mut self.must_not, &mut self.should] {
            conditions.sort_by_key(Condition::cost);
        }
        self
    }

    /// Calls for every condition but those that are filters, which are gone into; `Nested` is
    /// called for and not gone into: what is in it stands under another path.
    pub fn each_condition<'a>(&'a self, call: &mut dyn FnMut(&'a Condition)) {
        let counted = self.min_should.iter().flat_map(|min_should| &min_should.conditions);
        for condition in self.must.iter().chain(&self.must_not).chain(&self.should).chain(counted) {
            match condition {
                Condition::Filter(filter) => filter.each_condition(call),
                other => call(other),
            }
        }
    }

    /// How many conditions it holds, those of inner filters among them.
    pub fn conditions(&self) -> usize {
        let of = |condition: &Condition| match condition {
            Condition::Nested { filter, .. } | Condition::Filter(filter) => 1 + filter.conditions(),
            _ => 1,
        };
        let counted = self.min_should.iter().flat_map(|min_should| &min_should.conditions);
        self.must.iter().chain(&self.must_not).chain(&self.should).chain(counted).map(of).sum()
    }
}

/// Reads a moment as payloads hold it: RFC 3339, or a date with or without a time, taken as UTC.
pub fn parse_datetime(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_zone_without_zone_and_as_a_date() {
        let noon = parse_datetime("2026-03-01T12:00:00Z").unwrap();
        assert_eq!(parse_datetime("2026-03-01T13:00:00+01:00"), Some(noon));
        assert_eq!(parse_datetime("2026-03-01 12:00:00"), Some(noon));
        assert!(parse_datetime("2026-03-01").unwrap() < noon);
        assert_eq!(parse_datetime("yesterday"), None);
    }

    #[test]
    fn bounds_are_open_or_closed_as_named() {
        let range = Range { gt: Some(1.0), lte: Some(2.0), ..Range::default() };
        assert_eq!([1.0, 1.5, 2.0, 2.1].map(|x| range.contains(x)), [false, true, true, false]);
    }
}
