//! `with_payload` and `with_vector`: which parts of a point an answer holds.

use serde_json::Value;

use super::object::{Object, expected};
use crate::collection::VectorSelector;
use crate::error::{Error, Result};
use crate::types::{JsonPath, PayloadSelector};

/// Reads `with_payload`: true, false, a list of paths, or `{"include"|"exclude": [..]}`.
pub fn payload(value: Option<Value>, absent: PayloadSelector) -> Result<PayloadSelector> {
    const PLACE: &str = "with_payload";
    match value {
        None | Some(Value::Null) => Ok(absent),
        Some(Value::Bool(true)) => Ok(PayloadSelector::All),
        Some(Value::Bool(false)) => Ok(PayloadSelector::None),
        Some(Value::Array(items)) => paths(items, PLACE).map(PayloadSelector::Include),
        Some(value @ Value::Object(_)) => {
            let mut object = Object::new(value, PLACE)?;
            let (include, exclude) = (object.list("include")?, object.list("exclude")?);
            object.finish()?;
            match (include, exclude) {
                (Some(items), None) => paths(items, "with_payload.include").map(PayloadSelector::Include),
                (None, Some(items)) => paths(items, "with_payload.exclude").map(PayloadSelector::Exclude),
                _ => Err(Error::MalformedBody("with_payload: expected either `include` or `exclude`".into())),
            }
        }
        Some(other) => Err(expected(PLACE, "true, false, a list of fields, or an object", &other)),
    }
}

/// Reads `with_vector`: true, false, or a list of vector names.
pub fn vector(value: Option<Value>) -> Result<VectorSelector> {
    const PLACE: &str = "with_vector";
    match value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(VectorSelector::None),
        Some(Value::Bool(true)) => Ok(VectorSelector::All),
        Some(Value::String(name)) => Ok(VectorSelector::Names(vec![name])),
        Some(Value::Array(items)) => {
            let names = items.into_iter().map(|item| match item {
                Value::String(name) => Ok(name),
                other => Err(expected(PLACE, "names of vectors", &other)),
            });
            names.collect::<Result<_>>().map(VectorSelector::Names)
        }
        Some(other) => Err(expected(PLACE, "true, false, or a list of vector names", &other)),
    }
}

/// Reads a list of payload paths.
pub fn paths(items: Vec<Value>, place: &str) -> Result<Vec<JsonPath>> {
    let one = |(i, item): (usize, Value)| match item {
        Value::String(text) => {
            JsonPath::parse(&text).map_err(|why| Error::InvalidInput(format!("{place}[{i}]: {why}")))
        }
        other => Err(expected(&format!("{place}[{i}]"), "a payload field", &other)),
    };
    items.into_iter().enumerate().map(one).collect()
}
