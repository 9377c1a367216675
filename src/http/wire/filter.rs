//! Filters: Qdrant's grammar into `types::Filter`. Every error names its place; a condition we
//! do not know is an error, never a condition that always holds.

use std::collections::HashSet;

use serde_json::Value;

use super::geo;
use super::object::{Object, expected};
use crate::error::{Error, Result};
use crate::types::{
    Condition, DatetimeRange, FieldCondition, Filter, JsonPath, Match, MatchValue, MinShould, PointId, Range,
    parse_datetime,
};

/// Deepest nesting of filters within filters.
const MAX_DEPTH: usize = 16;
/// Most conditions of one clause.
const MAX_CONDITIONS: usize = 1024;
/// Most values of `any`, `except` and `has_id`.
const MAX_VALUES: usize = 65_536;
/// Most conditions of a whole filter: each is asked of every point that the indexes leave open.
const MAX_CONDITIONS_IN_ALL: usize = 4096;
/// Most bytes of a text that is looked for.
const MAX_TEXT: usize = 65_536;

/// Makes a match of a text.
type OfText = fn(String) -> Match;

/// The text matches by their key.
const TEXTS: [(&str, OfText); 5] = [
    ("text", Match::Text),
    ("text_any", Match::TextAny),
    ("phrase", Match::Phrase),
    ("prefix", Match::Prefix),
    ("substring", Match::Substring),
];

/// Reads a filter at `place`.
///
/// # Errors
/// `MalformedBody`, `InvalidInput` or `Validation` that names the place.
pub fn parse(value: Value, place: &str) -> Result<Filter> {
    let filter = parse_at(value, place, 0)?;
    let conditions = filter.conditions();
    if conditions > MAX_CONDITIONS_IN_ALL {
        return Err(Error::Validation(format!(
            "{place} holds {conditions} conditions in all, at most {MAX_CONDITIONS_IN_ALL}"
        )));
    }
    Ok(filter)
}

/// Reads a filter that may be absent.
pub fn parse_optional(value: Option<Value>, place: &str) -> Result<Option<Filter>> {
    value.filter(|v| !v.is_null()).map(|v| parse(v, place)).transpose()
}

fn parse_at(value: Value, place: &str, depth: usize) -> Result<Filter> {
    if depth > MAX_DEPTH {
        return Err(Error::Validation(format!("{place}: filters nest at most {MAX_DEPTH} deep")));
    }
    let mut object = Object::new(value, place)?;
    let mut clause = |key: &'static str| {
        let at = object.at(key);
        object.take(key).map_or(Ok(Vec::new()), |value| conditions(value, &at, depth))
    };
    let (must, must_not, should) = (clause("must")?, clause("must_not")?, clause("should")?);
    let min_should = match object.take("min_should") {
        None => None,
        Some(value) => {
            let mut inner = Object::new(value, object.at("min_should"))?;
            let at = inner.at("conditions");
            let conditions = conditions(inner.require("conditions")?, &at, depth)?;
            let at = inner.at("min_count");
            let count = inner
                .count("min_count")?
                .ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
            inner.finish()?;
            if count == 0 {
                return Err(Error::Validation(format!("{at} is 0, it must be 1 or more")));
            }
            Some(MinShould { conditions, count })
        }
    };
    object.finish()?;
    Ok(Filter { must, must_not, should, min_should }.cheapest_first())
}

fn conditions(value: Value, place: &str, depth: usize) -> Result<Vec<Condition>> {
    match value {
        Value::Array(items) if items.len() > MAX_CONDITIONS => Err(Error::Validation(format!(
            "{place} holds {} conditions, at most {MAX_CONDITIONS}",
            items.len()
        ))),
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(i, v)| condition(v, &format!("{place}[{i}]"), depth))
            .collect(),
        one @ Value::Object(_) => Ok(vec![condition(one, place, depth)?]),
        other => Err(expected(place, "a condition or a list of conditions", &other)),
    }
}

fn condition(value: Value, place: &str, depth: usize) -> Result<Condition> {
    let has = |key: &str| value.get(key).is_some_and(|v| !v.is_null());
    if has("must") || has("must_not") || has("should") || has("min_should") {
        return parse_at(value, place, depth + 1).map(Condition::Filter);
    }
    if has("key") {
        return field(Object::new(value, place)?);
    }
    let mut object = Object::new(value, place)?;
    let found = if let Some(value) = object.take("is_empty") {
        Condition::IsEmpty(key_of(value, object.at("is_empty"))?)
    } else if let Some(value) = object.take("is_null") {
        Condition::IsNull(key_of(value, object.at("is_null"))?)
    } else if let Some(items) = object.list("has_id")? {
        Condition::HasId(ids(items, &object.at("has_id"))?.into_iter().collect::<HashSet<_>>())
    } else if let Some(name) = object.string("has_vector")? {
        Condition::HasVector(name)
    } else if let Some(value) = object.take("nested") {
        let mut inner = Object::new(value, object.at("nested"))?;
        let at = inner.at("key");
        let key = path(inner.require("key")?, &at)?;
        let at = inner.at("filter");
        let filter = parse_at(inner.require("filter")?, &at, depth + 1)?;
        inner.finish()?;
        Condition::Nested { key, filter }
    } else {
        object.finish()?;
        return Err(Error::MalformedBody(format!(
            "{place}: expected a condition: `key` with `match`, `range`, `values_count` or a geo condition, or one of `is_empty`, `is_null`, `has_id`, `has_vector`, `nested`, or a filter"
        )));
    };
    object.finish()?;
    Ok(found)
}

fn field(mut object: Object) -> Result<Condition> {
    let at = object.at("key");
    let key = path(object.require("key")?, &at)?;
    let mut found = Vec::new();
    if let Some(value) = object.take("match") {
        found.push(FieldCondition::Match(matching(value, object.at("match"))?));
    }
    if let Some(value) = object.take("range") {
        found.push(range(value, &object.at("range"))?);
    }
    if let Some(value) = object.take("datetime_range") {
        found.push(range(value, &object.at("datetime_range"))?);
    }
    if let Some(value) = object.take("values_count") {
        let FieldCondition::Range(range) = range(value, &object.at("values_count"))? else {
            return Err(Error::MalformedBody(format!("{}: expected numbers", object.at("values_count"))));
        };
        found.push(FieldCondition::ValuesCount(range));
    }
    for kind in geo::KINDS {
        if let Some(value) = object.take(kind) {
            found.push(FieldCondition::Geo(geo::area(kind, value, object.at(kind))?));
        }
    }
    let empty = (object.boolean("is_empty")?, object.boolean("is_null")?);
    let place = object.at("");
    object.finish()?;
    let field = |condition| Condition::Field { key: key.clone(), condition };
    match (found.len(), empty) {
        (0, (Some(wanted), None)) => Ok(flag(Condition::IsEmpty(key), wanted)),
        (0, (None, Some(wanted))) => Ok(flag(Condition::IsNull(key), wanted)),
        (0, _) => Err(Error::MalformedBody(format!(
            "{}: a condition on a field needs `match`, `range`, `values_count` or a geo condition",
            place.trim_end_matches('.')
        ))),
        (1, _) => Ok(field(found.remove(0))),
        (_, _) => Ok(Condition::Filter(Filter {
            must: found.into_iter().map(field).collect(),
            ..Filter::default()
        })),
    }
}

fn flag(condition: Condition, wanted: bool) -> Condition {
    if wanted {
        return condition;
    }
    Condition::Filter(Filter { must_not: vec![condition], ..Filter::default() })
}

fn matching(value: Value, place: String) -> Result<Match> {
    let mut object = Object::new(value, place)?;
    let one = (object.take("value"), object.take("any"), object.take("except"));
    let mut texts: Vec<Match> = Vec::new();
    for (key, made) in TEXTS {
        if let Some(text) = object.string(key)? {
            if text.len() > MAX_TEXT {
                let (at, length) = (object.at(key), text.len());
                return Err(Error::Validation(format!("{at} holds {length} bytes, at most {MAX_TEXT}")));
            }
            texts.push(made(text));
        }
    }
    let found = match (one, texts.pop(), texts.is_empty()) {
        ((Some(value), None, None), None, _) => Match::Value(match_value(value, &object.at("value"))?),
        ((None, Some(values), None), None, _) => Match::Any(match_values(values, &object.at("any"))?),
        ((None, None, Some(values)), None, _) => Match::Except(match_values(values, &object.at("except"))?),
        ((None, None, None), Some(text), true) => text,
        _ => {
            let place = object.at("");
            object.finish()?;
            return Err(Error::MalformedBody(format!(
                "{}: expected exactly one of `value`, `any`, `except`, `text`, `text_any`, `phrase`, `prefix`, `substring`",
                place.trim_end_matches('.')
            )));
        }
    };
    object.finish()?;
    Ok(found)
}

fn match_values(value: Value, place: &str) -> Result<Vec<MatchValue>> {
    match value {
        Value::Array(items) if items.len() > MAX_VALUES => {
            Err(Error::Validation(format!("{place} holds {} values, at most {MAX_VALUES}", items.len())))
        }
        Value::Array(items) => {
            items.into_iter().enumerate().map(|(i, v)| match_value(v, &format!("{place}[{i}]"))).collect()
        }
        other => Err(expected(place, "a list of values", &other)),
    }
}

fn match_value(value: Value, place: &str) -> Result<MatchValue> {
    match value {
        Value::String(text) => Ok(MatchValue::Keyword(text)),
        Value::Bool(flag) => Ok(MatchValue::Bool(flag)),
        Value::Number(number) if number.as_i64().is_some() => {
            Ok(MatchValue::Integer(number.as_i64().unwrap_or_default()))
        }
        other => Err(expected(place, "a string, an integer or a boolean (use `range` for floats)", &other)),
    }
}

/// Bounds that are all numbers, or all moments.
fn range(value: Value, place: &str) -> Result<FieldCondition> {
    let mut object = Object::new(value, place)?;
    let bounds = ["lt", "gt", "gte", "lte"].map(|key| (object.at(key), object.take(key)));
    object.finish()?;
    if bounds.iter().any(|(_, value)| matches!(value, Some(Value::String(_)))) {
        let [lt, gt, gte, lte] = bounds.map(|(place, value)| moment(value, &place));
        return Ok(FieldCondition::DatetimeRange(DatetimeRange { lt: lt?, gt: gt?, gte: gte?, lte: lte? }));
    }
    let number = |(place, value): (String, Option<Value>)| match value {
        None => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| expected(&place, "a number or a datetime", &value))
        }
    };
    let [lt, gt, gte, lte] = bounds.map(number);
    Ok(FieldCondition::Range(Range { lt: lt?, gt: gt?, gte: gte?, lte: lte? }))
}

fn moment(value: Option<Value>, place: &str) -> Result<Option<jiff::Timestamp>> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => parse_datetime(&text).map(Some).ok_or_else(|| {
            Error::InvalidInput(format!(
                "{place}: `{text}` is no datetime; use RFC 3339, as 2026-03-01T12:00:00Z"
            ))
        }),
        Some(other) => Err(expected(place, "a datetime like the other bounds", &other)),
    }
}

fn key_of(value: Value, place: String) -> Result<JsonPath> {
    let mut object = Object::new(value, place)?;
    let at = object.at("key");
    let key = path(object.require("key")?, &at)?;
    object.finish()?;
    Ok(key)
}

fn path(value: Value, place: &str) -> Result<JsonPath> {
    match value {
        Value::String(text) => {
            JsonPath::parse(&text).map_err(|why| Error::InvalidInput(format!("{place}: {why}")))
        }
        other => Err(expected(place, "a payload field", &other)),
    }
}

/// Reads a list of point ids.
pub fn ids(items: Vec<Value>, place: &str) -> Result<Vec<PointId>> {
    if items.len() > MAX_VALUES {
        return Err(Error::Validation(format!("{place} holds {} ids, at most {MAX_VALUES}", items.len())));
    }
    let one = |(i, item)| {
        serde_json::from_value(item).map_err(|error| Error::MalformedBody(format!("{place}[{i}]: {error}")))
    };
    items.into_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_clause_and_condition_is_read() {
        let filter = parse(
            json!({
                "must": [
                    {"key": "city", "match": {"value": "Bern"}},
                    {"key": "n", "match": {"any": [1, 2]}},
                    {"key": "n", "range": {"gte": 1, "lt": 5.5}},
                    {"key": "t", "range": {"gte": "2026-01-01T00:00:00Z"}},
                    {"key": "at", "geo_radius": {"center": {"lon": 7.4, "lat": 46.9}, "radius": 1000}},
                    {"nested": {"key": "items[]", "filter": {"must": {"key": "x", "match": {"value": true}}}}},
                    {"should": [{"is_null": {"key": "a"}}]}
                ],
                "must_not": {"is_empty": {"key": "b"}},
                "should": [{"has_id": [1, "550e8400e29b41d4a716446655440000"]}, {"has_vector": ""}],
                "min_should": {"conditions": [{"key": "n", "match": {"except": ["x"]}}], "min_count": 1}
            }),
            "filter",
        )
        .unwrap();
        assert_eq!((filter.must.len(), filter.must_not.len(), filter.should.len()), (7, 1, 2));
        // The cheap conditions first.
        assert!(
            matches!(
                &filter.must[..],
                [
                    ..,
                    Condition::Field { condition: FieldCondition::DatetimeRange(_), .. },
                    Condition::Nested { .. }
                ]
            ),
            "{:?}",
            filter.must
        );
    }

    #[test]
    fn a_wrong_condition_is_named_by_its_place() {
        for (value, place) in [
            (json!({"must": [{"key": "a"}]}), "filter.must[0]"),
            (json!({"must": [{"kye": "a"}]}), "filter.must[0].kye"),
            (json!({"must": [{"key": "a", "match": {"value": 1.5}}]}), "filter.must[0].match.value"),
            (json!({"must": [{"key": "a", "match": {}}]}), "filter.must[0].match"),
            (json!({"must": [{"key": "a", "range": {"gte": []}}]}), "filter.must[0].range.gte"),
            (json!({"must": [{"key": "a", "range": {"gte": "noon"}}]}), "filter.must[0].range.gte"),
            (json!({"must": [{"key": "a", "geo_radius": {}}]}), "filter.must[0].geo_radius.center"),
            (json!({"must": [{"key": "a", "match": {"text": "a", "phrase": "b"}}]}), "filter.must[0].match"),
            (json!({"must": [{"has_id": ["x"]}]}), "filter.must[0].has_id[0]"),
            (json!({"must": 5}), "filter.must"),
            (json!({"mist": []}), "filter.mist"),
            (json!({"min_should": {"conditions": []}}), "filter.min_should.min_count"),
            (json!([]), "filter"),
        ] {
            let error = parse(value.clone(), "filter").unwrap_err();
            assert!(error.to_string().contains(&format!("{place}:")), "{value}: {error}");
        }
    }

    #[test]
    fn a_filter_that_nests_too_deep_is_refused_without_overflow() {
        let mut value = json!({"must": []});
        for _ in 0..50 {
            value = json!({"must": [value]});
        }
        assert_eq!(parse(value, "filter").unwrap_err().code(), 422);
    }
}
