//! Reads a JSON object field by field, keeping the place for errors and refusing what is left
//! over: a misspelt field is an error, never silently ignored.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// An object being read; `place` is where it stands in the body.
pub struct Object {
    place: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

/// What kind of JSON value this is, for an error text.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The error for a value of the wrong kind.
pub fn expected(place: &str, what: &str, got: &Value) -> Error {
    Error::MalformedBody(format!("{place}: expected {what}, got {}", kind(got)))
}

impl Object {
    /// # Errors
    /// `MalformedBody` where the value is no object.
    pub fn new(value: Value, place: impl Into<String>) -> Result<Self> {
        let place = place.into();
        match value {
            Value::Object(fields) => Ok(Self { place, fields, known: Vec::new() }),
            other => Err(expected(&place, "an object", &other)),
        }
    }

    /// Where the field stands in the body.
    pub fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// Takes a field; null counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.fields.remove(key).filter(|value| !value.is_null())
    }

    /// Takes a field that must be there.
    ///
    /// # Errors
    /// `MalformedBody` that names the missing field.
    pub fn require(&mut self, key: &'static str) -> Result<Value> {
        self.take(key).ok_or_else(|| Error::MalformedBody(format!("{}: field is missing", self.at(key))))
    }

    /// Takes a string.
    pub fn string(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(expected(&self.at(key), "a string", &other)),
        }
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(expected(&self.at(key), "true or false", &other)),
        }
    }

    /// Takes a finite number.
    pub fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(expected(&self.at(key), "a number", &value)),
            },
        }
    }

    /// Takes a count: a whole number from 0.
    pub fn count(&mut self, key: &'static str) -> Result<Option<usize>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(count) => Ok(Some(count)),
                None => Err(expected(&self.at(key), "a whole number from 0", &value)),
            },
        }
    }

    /// Takes an array.
    pub fn list(&mut self, key: &'static str) -> Result<Option<Vec<Value>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(expected(&self.at(key), "an array", &other)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `MalformedBody` that names a field nobody asked for, and those that there are.
    pub fn finish(self) -> Result<()> {
        match self.fields.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, _)) => Err(Error::MalformedBody(format!(
                "{}: unknown field, expected one of {}",
                self.at(key),
                self.known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}
