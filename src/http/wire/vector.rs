//! Whatever may stand where a vector is expected: numbers, numbers by name, or an object for
//! the model. Numbers are read straight into f32, without a tree of JSON values in between:
//! bulk ingest is mostly this.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::inference;
use crate::engine::VectorSource;
use crate::error::{Error, Result};
use crate::types::{DEFAULT_VECTOR, NamedVectors, VectorName, VectorParams};

/// One JSON value, with arrays of numbers already f32.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    /// An array of numbers.
    Numbers(Vec<f32>),
    /// Anything else.
    Json(Value),
}

/// What stands in a point's `vector`.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorBody {
    /// The unnamed vector.
    Numbers(Vec<f32>),
    /// Named vectors, or an object for the model.
    Fields(BTreeMap<String, Slot>),
}

/// One component. JSON numbers beyond f32 become infinite here and are refused by their index
/// when the vector is checked.
struct Component(f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        impl<'de> Visitor<'de> for V {
            type Value = Component;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number (a component of a vector)")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Component, A::Error> {
                Err(A::Error::custom(
                    "a vector of vectors (multivector) is not supported; send one vector of numbers",
                ))
            }
        }
        deserializer.deserialize_any(V)
    }
}

fn numbers<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<f32>, A::Error> {
    let mut numbers = Vec::with_capacity(seq.size_hint().unwrap_or(512).min(4096));
    while let Some(Component(number)) = seq.next_element()? {
        if numbers.len() == VectorParams::MAX_SIZE {
            return Err(A::Error::custom(format!(
                "a vector has at most {} components",
                VectorParams::MAX_SIZE
            )));
        }
        numbers.push(number);
    }
    Ok(numbers)
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Slot;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of numbers or an object with `text` or `image`")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Slot, A::Error> {
                let mut numbers = Vec::new();
                let mut values = Vec::new();
                while let Some(value) = seq.next_element::<Value>()? {
                    match value.as_f64() {
                        #[allow(clippy::cast_possible_truncation)]
                        Some(number) if values.is_empty() => numbers.push(number as f32),
                        _ if numbers.is_empty() => values.push(value),
                        _ => return Err(A::Error::custom("a vector holds numbers only")),
                    }
                    if numbers.len() > VectorParams::MAX_SIZE || values.len() > VectorParams::MAX_SIZE {
                        return Err(A::Error::custom(format!(
                            "a vector has at most {} components",
                            VectorParams::MAX_SIZE
                        )));
                    }
                }
                Ok(if values.is_empty() { Slot::Numbers(numbers) } else { Slot::Json(values.into()) })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Slot, A::Error> {
                Value::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Slot::Json)
            }
            fn visit_str<E>(self, text: &str) -> Result<Slot, E> {
                Ok(Slot::Json(text.into()))
            }
            fn visit_string<E>(self, text: String) -> Result<Slot, E> {
                Ok(Slot::Json(text.into()))
            }
            fn visit_unit<E>(self) -> Result<Slot, E> {
                Ok(Slot::Json(Value::Null))
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Slot, E> {
                Ok(Slot::Json(flag.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Slot, E> {
                Ok(Slot::Json(number.into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Slot, E> {
                Ok(Slot::Json(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Slot, E> {
                Ok(Slot::Json(number.into()))
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl<'de> Deserialize<'de> for VectorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = VectorBody;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(
                    "a vector: an array of numbers, an object of vectors by name, or an object with `text` or `image` for the model",
                )
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<VectorBody, A::Error> {
                numbers(seq).map(VectorBody::Numbers)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorBody, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, slot)) = map.next_entry::<String, Slot>()? {
                    if fields.insert(key.clone(), slot).is_some() {
                        return Err(A::Error::custom(format!("`{key}` stands twice")));
                    }
                }
                Ok(VectorBody::Fields(fields))
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A slot back as plain JSON, for the parsers of rarer forms.
fn json(slot: Slot) -> Value {
    match slot {
        Slot::Numbers(numbers) => numbers.into_iter().map(f64::from).collect::<Vec<_>>().into(),
        Slot::Json(value) => value,
    }
}

fn source(slot: Slot, place: &str) -> Result<VectorSource> {
    match slot {
        Slot::Numbers(numbers) => Ok(VectorSource::Dense(numbers)),
        Slot::Json(Value::Object(map)) if map.contains_key("indices") => Err(Error::InvalidInput(format!(
            "{place}: sparse vectors are not supported; send an array of numbers"
        ))),
        Slot::Json(Value::Array(_)) => Err(Error::InvalidInput(format!(
            "{place}: a vector of vectors (multivector) is not supported; send one vector of numbers"
        ))),
        Slot::Json(value) => inference::parse(value, place).map(VectorSource::Inference),
    }
}

impl VectorBody {
    /// The vectors by name, each numbers or for the model.
    ///
    /// # Errors
    /// `MalformedBody` or `InvalidInput` that names the place.
    pub fn sources(self, place: &str) -> Result<BTreeMap<VectorName, VectorSource>> {
        match self {
            VectorBody::Numbers(numbers) => {
                Ok(BTreeMap::from([(DEFAULT_VECTOR.to_owned(), VectorSource::Dense(numbers))]))
            }
            VectorBody::Fields(fields) => {
                let map_is_inference = fields.iter().any(|(key, slot)| match (key.as_str(), slot) {
                    ("text" | "image", Slot::Json(Value::String(_))) => true,
                    ("object", _) => fields.contains_key("model") || fields.len() == 1,
                    _ => false,
                });
                if map_is_inference {
                    let map = fields.into_iter().map(|(key, slot)| (key, json(slot))).collect();
                    let inference = inference::parse(Value::Object(map), place)?;
                    return Ok(BTreeMap::from([(
                        DEFAULT_VECTOR.to_owned(),
                        VectorSource::Inference(inference),
                    )]));
                }
                let named = fields.into_iter().map(|(name, slot)| {
                    let place = if name.is_empty() { place.to_owned() } else { format!("{place}.{name}") };
                    Ok((name, source(slot, &place)?))
                });
                named.collect()
            }
        }
    }
}

/// One vector, as a query or `POST /embed` gives it.
///
/// # Errors
/// `MalformedBody` or `InvalidInput` that names the place.
pub fn parse_one(value: Value, place: &str) -> Result<VectorSource> {
    let slot: Slot =
        serde_json::from_value(value).map_err(|error| Error::MalformedBody(format!("{place}: {error}")))?;
    source(slot, place)
}

/// Vectors on their way out: the unnamed one alone as an array, others by name.
#[derive(Debug, Clone)]
pub struct VectorsOut(pub NamedVectors);

impl Serialize for VectorsOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.get(DEFAULT_VECTOR) {
            Some(vector) if self.0.len() == 1 => vector.serialize(serializer),
            _ => self.0.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<BTreeMap<VectorName, VectorSource>> {
        let body: VectorBody =
            serde_json::from_str(text).map_err(|error| Error::MalformedBody(error.to_string()))?;
        body.sources("points[0].vector")
    }

    #[test]
    fn numbers_names_and_objects_are_told_apart() {
        assert!(
            matches!(body("[1, 2.5, -3]").unwrap()[""], VectorSource::Dense(ref v) if v == &[1.0, 2.5, -3.0])
        );
        let named = body(r#"{"text": [1, 2], "image": {"image": "aGk=", "model": "m"}}"#).unwrap();
        assert!(matches!(named["text"], VectorSource::Dense(_)));
        assert!(matches!(named["image"], VectorSource::Inference(_)));
        assert!(matches!(
            body(r#"{"text": "a cat", "model": "m"}"#).unwrap()[""],
            VectorSource::Inference(_)
        ));
        assert!(matches!(body(r#"{"": {"text": "a cat"}}"#).unwrap()[""], VectorSource::Inference(_)));
    }

    #[test]
    fn forms_that_are_not_supported_say_so() {
        for (text, says) in [
            ("[[1, 2], [3, 4]]", "multivector"),
            (r#"{"a": [[1, 2]]}"#, "multivector"),
            (r#"{"s": {"indices": [1], "values": [2.0]}}"#, "sparse"),
            (r#"[1, "x"]"#, "component"),
            (r#""x""#, "a vector"),
            ("null", "a vector"),
        ] {
            let error = body(text).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
