//! Whether a filter lets a point through: a pure function of the point. What a condition means
//! is taken from Qdrant's own in-memory reference (qdrant-client, `local/payload_filters.py`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::types::{
    Condition, FieldCondition, Filter, GeoPoint, JsonPath, Match, MatchValue, Payload, PointId, TextOptions,
    parse_datetime,
};

/// How the texts of fields with a text index are read, by path; those of others as by default.
pub(super) type Texts = BTreeMap<String, TextOptions>;

static NO_TEXTS: Texts = BTreeMap::new();

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// None for an element of an array under `Nested`: it has no id.
    pub(super) id: Option<PointId>,
    pub(super) payload: &'a Payload,
    /// Names of the vectors it has.
    pub(super) vectors: &'a [&'a str],
    pub(super) texts: &'a Texts,
}

/// True where the filter lets the point through.
pub(super) fn matches(filter: &Filter, subject: Subject<'_>) -> bool {
    let holds = |condition: &Condition| holds(condition, subject);
    filter.must.iter().all(holds)
        && !filter.must_not.iter().any(holds)
        && (filter.should.is_empty() || filter.should.iter().any(holds))
        && filter.min_should.as_ref().is_none_or(|min_should| {
            min_should.conditions.iter().filter(|c| holds(c)).take(min_should.count).count()
                >= min_should.count
        })
}

fn holds(condition: &Condition, subject: Subject<'_>) -> bool {
    match condition {
        Condition::Field { key, condition: FieldCondition::ValuesCount(range) } => {
            let values = key.values(subject.payload);
            // Each value counts for itself; none at all counts 0.
            values.is_empty() && range.contains(0.0)
                || values.iter().any(|value| range.contains(count(value) as f64))
        }
        Condition::Field { key, condition } => {
            let text = subject.texts.get(key.as_str()).copied().unwrap_or_default();
            flat_values(key, subject.payload).into_iter().any(|value| satisfies(value, condition, text))
        }
        Condition::IsEmpty(key) => key.values(subject.payload).iter().all(|value| is_empty(value)),
        Condition::IsNull(key) => flat_values(key, subject.payload).into_iter().any(Value::is_null),
        Condition::HasId(ids) => subject.id.is_some_and(|id| ids.contains(&id)),
        Condition::HasVector(name) => subject.vectors.contains(&name.as_str()),
        Condition::Nested { key, filter } => {
            let elements =
                key.without_every().values(subject.payload).into_iter().filter_map(Value::as_array);
            elements
                .flatten()
                .filter_map(Value::as_object)
                .any(|payload| matches(filter, Subject { id: None, payload, vectors: &[], texts: &NO_TEXTS }))
        }
        Condition::Filter(filter) => matches(filter, subject),
    }
}

/// The values at a path, arrays replaced by their elements (one level).
pub(super) fn flat_values<'a>(key: &JsonPath, payload: &'a Payload) -> Vec<&'a Value> {
    let mut flat = Vec::new();
    for value in key.values(payload) {
        match value {
            Value::Array(items) => flat.extend(items),
            value => flat.push(value),
        }
    }
    flat
}

/// A value that counts as none.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// How many values a value is.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Array(items) => items.len(),
        _ => 1,
    }
}

fn satisfies(value: &Value, condition: &FieldCondition, text: TextOptions) -> bool {
    let is_text = |holds: &dyn Fn(&str) -> bool| value.as_str().is_some_and(holds);
    match condition {
        FieldCondition::Match(Match::Value(wanted)) => wanted.equals(value),
        FieldCondition::Match(Match::Any(wanted)) => any_equals(wanted, value),
        // Null is no value, so it is not a different one either.
        FieldCondition::Match(Match::Except(others)) => !value.is_null() && !any_equals(others, value),
        FieldCondition::Match(Match::Text(asked)) => is_text(&|there| text.has_all(there, asked)),
        FieldCondition::Match(Match::TextAny(asked)) => is_text(&|there| text.has_any(there, asked)),
        FieldCondition::Match(Match::Phrase(asked)) => is_text(&|there| text.has_phrase(there, asked)),
        FieldCondition::Match(Match::Prefix(prefix)) => is_text(&|there| there.starts_with(prefix.as_str())),
        FieldCondition::Match(Match::Substring(part)) => is_text(&|there| there.contains(part.as_str())),
        FieldCondition::Geo(area) => GeoPoint::read(value).is_some_and(|place| area.contains(place)),
        FieldCondition::Range(range) => {
            value.is_number() && value.as_f64().is_some_and(|number| range.contains(number))
        }
        FieldCondition::DatetimeRange(range) => {
            value.as_str().and_then(parse_datetime).is_some_and(|moment| range.contains(moment))
        }
        FieldCondition::ValuesCount(_) => false, // asked of all values together, see `holds`
    }
}

fn any_equals(wanted: &[MatchValue], value: &Value) -> bool {
    wanted.iter().any(|wanted| wanted.equals(value))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::types::{MinShould, Range};

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap()
    }

    fn field(key: &str, condition: FieldCondition) -> Condition {
        Condition::Field { key: path(key), condition }
    }

    fn keyword(text: &str) -> MatchValue {
        MatchValue::Keyword(text.into())
    }

    fn holds_for(payload: Value, condition: Condition) -> bool {
        let Value::Object(payload) = payload else { panic!("a payload is an object") };
        let subject =
            Subject { id: Some(PointId::Num(7)), payload: &payload, vectors: &["image"], texts: &NO_TEXTS };
        matches(&Filter { must: vec![condition], ..Filter::default() }, subject)
    }

    #[test]
    fn an_array_matches_where_an_element_does() {
        let red = || field("tags", FieldCondition::Match(Match::Value(keyword("red"))));
        assert!(holds_for(json!({"tags": ["blue", "red"]}), red()));
        assert!(holds_for(json!({"tags": "red"}), red()));
        assert!(!holds_for(json!({"tags": ["blue"]}), red()));
        assert!(!holds_for(json!({"tags": [["red"]]}), red()), "one level only");
        assert!(!holds_for(json!({}), red()));
    }

    #[test]
    fn numbers_strings_and_booleans_are_never_equal_to_each_other() {
        let one = || field("n", FieldCondition::Match(Match::Value(MatchValue::Integer(1))));
        assert!(holds_for(json!({"n": 1}), one()));
        for other in [json!(1.0), json!("1"), json!(true), json!(null)] {
            assert!(!holds_for(json!({"n": other}), one()), "{other}");
        }
        let range = || field("n", FieldCondition::Range(Range { gte: Some(0.5), ..Range::default() }));
        assert!(holds_for(json!({"n": 1.5}), range()));
        assert!(!holds_for(json!({"n": true}), range()));
    }

    #[test]
    fn except_asks_for_a_value_that_is_another() {
        let not_red = || field("c", FieldCondition::Match(Match::Except(vec![keyword("red")])));
        assert!(holds_for(json!({"c": "blue"}), not_red()));
        assert!(holds_for(json!({"c": ["red", "blue"]}), not_red()));
        assert!(holds_for(json!({"c": 5}), not_red()));
        assert!(!holds_for(json!({"c": "red"}), not_red()));
        assert!(!holds_for(json!({"c": null}), not_red()));
        assert!(!holds_for(json!({}), not_red()));
    }

    #[test]
    fn empty_and_null_are_told_apart() {
        let empty = |value: Value| holds_for(value, Condition::IsEmpty(path("k")));
        let null = |value: Value| holds_for(value, Condition::IsNull(path("k")));
        assert!(empty(json!({})) && empty(json!({"k": null})) && empty(json!({"k": []})));
        assert!(!empty(json!({"k": 0})) && !empty(json!({"k": [null]})));
        assert!(null(json!({"k": null})) && null(json!({"k": [1, null]})));
        assert!(!null(json!({})) && !null(json!({"k": []})) && !null(json!({"k": 0})));
    }

    #[test]
    fn text_asks_for_every_word_in_any_case_and_order() {
        let text = |text: &str| field("t", FieldCondition::Match(Match::Text(text.into())));
        let payload = || json!({"t": "A Red-brick house, 12_b"});
        for wanted in ["house red", "BRICK", "12", "b"] {
            assert!(holds_for(payload(), text(wanted)), "{wanted}");
        }
        for wanted in ["hous", "red blue", "", " - "] {
            assert!(!holds_for(payload(), text(wanted)), "{wanted}");
        }
    }

    #[test]
    fn a_nested_filter_must_hold_for_one_element_alone() {
        let nested = |key: &str| Condition::Nested {
            key: path(key),
            filter: Filter {
                must: vec![
                    field("x", FieldCondition::Match(Match::Value(MatchValue::Integer(1)))),
                    field("y", FieldCondition::Match(Match::Value(MatchValue::Integer(2)))),
                ],
                ..Filter::default()
            },
        };
        for key in ["a", "a[]"] {
            assert!(holds_for(json!({"a": [{"x": 1}, {"x": 1, "y": 2}]}), nested(key)));
            assert!(!holds_for(json!({"a": [{"x": 1}, {"y": 2}]}), nested(key)));
            assert!(!holds_for(json!({"a": {"x": 1, "y": 2}}), nested(key)), "no array, no elements");
        }
        let own_id = Condition::Nested {
            key: path("a"),
            filter: Filter {
                must: vec![Condition::HasId(HashSet::from([PointId::Num(7)]))],
                ..Filter::default()
            },
        };
        assert!(!holds_for(json!({"a": [{}]}), own_id), "an element has no id");
    }

    #[test]
    fn counts_ids_vectors_and_min_should() {
        let count = |range: Range| field("k", FieldCondition::ValuesCount(range));
        let two = Range { gte: Some(2.0), ..Range::default() };
        let none = Range { lt: Some(1.0), ..Range::default() };
        assert!(holds_for(json!({"k": [1, 2]}), count(two)));
        assert!(!holds_for(json!({"k": 5}), count(two)));
        assert!(holds_for(json!({}), count(none)) && holds_for(json!({"k": null}), count(none)));
        assert!(holds_for(json!({}), Condition::HasVector("image".into())));
        assert!(!holds_for(json!({}), Condition::HasVector("text".into())));
        let conditions = vec![
            Condition::HasId(HashSet::from([PointId::Num(7)])),
            Condition::HasVector("image".into()),
            Condition::IsNull(path("k")),
        ];
        for (count, expected) in [(1, true), (2, true), (3, false)] {
            let min_should = Some(MinShould { conditions: conditions.clone(), count });
            let filter = Filter { min_should, ..Filter::default() };
            assert_eq!(holds_for(json!({}), Condition::Filter(filter)), expected, "{count}");
        }
    }
}
