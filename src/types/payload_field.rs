//! What a payload index holds and how: the parameters of `field_schema`, kept as they were sent,
//! so that they are echoed whole. A kind by its name alone is kept as the name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{TextOptions, Tokenizer};
use crate::error::{Error, Result};

/// What a payload index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFieldType {
    /// Strings, compared exactly.
    Keyword,
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Float,
    /// true and false.
    Bool,
    /// RFC 3339 moments.
    Datetime,
    /// UUID strings.
    Uuid,
    /// Words of a text.
    Text,
    /// Points on the globe.
    Geo,
}

/// Most characters that `min_token_len` and `max_token_len` may name: longer words are no words.
const MAX_TOKEN: u64 = 1024;

/// A payload index's parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct PayloadIndexParams {
    /// What it holds.
    pub kind: PayloadFieldType,
    /// How texts are read; of a text index.
    pub text: TextOptions,
    /// The parameters as they were sent, with `type`; `None` where a name was sent.
    sent: Option<Map<String, Value>>,
}

impl From<PayloadFieldType> for PayloadIndexParams {
    fn from(kind: PayloadFieldType) -> Self {
        Self { kind, text: TextOptions::default(), sent: None }
    }
}

impl From<PayloadIndexParams> for Value {
    fn from(params: PayloadIndexParams) -> Value {
        match params.sent {
            Some(sent) => Value::Object(sent),
            None => serde_json::to_value(params.kind).unwrap_or_default(),
        }
    }
}

impl TryFrom<Value> for PayloadIndexParams {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        Self::read(&value)
    }
}

impl PayloadIndexParams {
    /// The parameters as they were sent; `None` where a name was sent.
    pub fn sent(&self) -> Option<&Map<String, Value>> {
        self.sent.as_ref()
    }

    /// Reads `field_schema`: a kind's name, or an object whose `type` is one.
    ///
    /// # Errors
    /// `MalformedBody` or `Validation` that names the field, the value and what may stand there;
    /// `InvalidInput` for what is not supported.
    pub fn read(value: &Value) -> Result<Self> {
        let place = if value.is_object() { "field_schema.type" } else { "field_schema" };
        let named = if value.is_object() { value.get("type").unwrap_or(&Value::Null) } else { value };
        let kind = PayloadFieldType::deserialize(named).map_err(|_| {
            Error::MalformedBody(format!(
                "{place}: {named} is unknown, use keyword, integer, float, bool, datetime, uuid, text or geo"
            ))
        })?;
        let Value::Object(sent) = value else { return Ok(kind.into()) };
        let mut text = TextOptions::default();
        for (key, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
            let place = format!("field_schema.{key}");
            match (key.as_str(), kind) {
                ("type", _) => {}
                ("on_disk" | "enable_hnsw", _) => drop(flag(value, &place)?),
                ("is_tenant", PayloadFieldType::Keyword | PayloadFieldType::Uuid)
                | (
                    "is_principal",
                    PayloadFieldType::Integer | PayloadFieldType::Float | PayloadFieldType::Datetime,
                )
                | ("lookup" | "range", PayloadFieldType::Integer)
                | ("phrase_matching", PayloadFieldType::Text) => drop(flag(value, &place)?),
                ("lowercase", PayloadFieldType::Text) => text.lowercase = flag(value, &place)?,
                ("min_token_len", PayloadFieldType::Text) => {
                    text.min_token_len = Some(length(value, &place)?)
                }
                ("max_token_len", PayloadFieldType::Text) => {
                    text.max_token_len = Some(length(value, &place)?)
                }
                ("tokenizer", PayloadFieldType::Text) => text.tokenizer = tokenizer(value, &place)?,
                ("stopwords" | "stemmer" | "ascii_folding", PayloadFieldType::Text) => {
                    if *value != Value::Bool(false) {
                        return Err(Error::InvalidInput(format!("{place} is not supported")));
                    }
                }
                _ => {
                    return Err(Error::MalformedBody(format!(
                        "{place}: unknown parameter of an index of kind {}",
                        name(kind)
                    )));
                }
            }
        }
        if [sent.get("lookup"), sent.get("range")] == [Some(&Value::Bool(false)); 2] {
            return Err(Error::Validation(
                "field_schema: at least one of `lookup` and `range` must be true".into(),
            ));
        }
        if let (Some(least), Some(most)) = (text.min_token_len, text.max_token_len)
            && least > most
        {
            return Err(Error::Validation(format!(
                "field_schema.min_token_len is {least}, at most max_token_len ({most}) is allowed"
            )));
        }
        Ok(Self { kind, text, sent: Some(sent.clone()) })
    }
}

fn name(kind: PayloadFieldType) -> String {
    serde_json::to_value(kind).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
}

fn flag(value: &Value, place: &str) -> Result<bool> {
    value.as_bool().ok_or_else(|| Error::MalformedBody(format!("{place}: {value} is not true or false")))
}

fn length(value: &Value, place: &str) -> Result<usize> {
    match value.as_u64() {
        Some(length @ 1..=MAX_TOKEN) => Ok(length as usize), // at most 1024
        Some(_) => Err(Error::Validation(format!("{place} is {value}, it must be from 1 to {MAX_TOKEN}"))),
        None => Err(Error::MalformedBody(format!("{place}: {value} is not a whole number"))),
    }
}

fn tokenizer(value: &Value, place: &str) -> Result<Tokenizer> {
    match value.as_str() {
        Some("word") => Ok(Tokenizer::Word),
        Some("whitespace") => Ok(Tokenizer::Whitespace),
        Some("prefix") => Ok(Tokenizer::Prefix),
        Some("multilingual") => Err(Error::InvalidInput(format!(
            "{place}: multilingual is not supported, use word, whitespace or prefix"
        ))),
        _ => {
            Err(Error::MalformedBody(format!("{place}: {value} is unknown, use word, whitespace or prefix")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_and_an_object_are_read_and_kept_as_sent() {
        for sent in [
            json!("keyword"),
            json!({"type": "keyword", "is_tenant": true, "on_disk": true}),
            json!({"type": "integer", "lookup": true, "range": false, "is_principal": true}),
            json!({"type": "text", "tokenizer": "prefix", "min_token_len": 2, "max_token_len": 9,
                "lowercase": false, "phrase_matching": true}),
            json!({"type": "geo", "on_disk": null}),
        ] {
            let params: PayloadIndexParams = serde_json::from_value(sent.clone()).unwrap();
            assert_eq!(serde_json::to_value(params).unwrap(), sent);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_bound() {
        for (sent, named) in [
            (json!("blob"), "field_schema: \"blob\" is unknown"),
            (json!({"type": "blob"}), "field_schema.type: \"blob\""),
            (json!({"type": "keyword", "lowercase": true}), "field_schema.lowercase"),
            (json!({"type": "text", "tokenizer": "multilingual"}), "multilingual is not supported"),
            (json!({"type": "text", "tokenizer": "letters"}), "field_schema.tokenizer: \"letters\""),
            (json!({"type": "text", "min_token_len": 0}), "min_token_len is 0, it must be from 1 to 1024"),
            (json!({"type": "text", "min_token_len": 5, "max_token_len": 4}), "min_token_len is 5"),
            (json!({"type": "text", "stemmer": {"type": "snowball"}}), "field_schema.stemmer"),
            (json!({"type": "integer", "lookup": false, "range": false}), "`lookup` and `range`"),
            (json!({"type": "integer", "lookup": 1}), "field_schema.lookup: 1"),
        ] {
            let error = PayloadIndexParams::read(&sent).unwrap_err().to_string();
            assert!(error.contains(named), "{sent}: {error}");
        }
    }
}
