//! The id of a point: an unsigned 64-bit number or a UUID, as in Qdrant. Numbers sort before
//! UUIDs, numbers by value, UUIDs by bytes: the order in which scroll walks.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A point's id. JSON: a number, or a string that is a UUID in any of its usual forms
/// (hyphenated, without dashes, `urn:uuid:`, braced); printed hyphenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PointId {
    /// An unsigned 64-bit number.
    Num(u64),
    /// A UUID.
    Uuid(Uuid),
}

impl PointId {
    /// Parses what a user may type: digits or a UUID.
    ///
    /// # Errors
    /// A sentence that says what an id may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse::<u64>() {
            return Ok(PointId::Num(number));
        }
        Uuid::parse_str(text).map(PointId::Uuid).map_err(|_| {
            format!(
                "value {text} is not a valid point ID, valid values are either an unsigned integer or a UUID"
            )
        })
    }
}

impl std::fmt::Display for PointId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PointId::Num(number) => number.fmt(f),
            PointId::Uuid(uuid) => uuid.hyphenated().fmt(f),
        }
    }
}

impl Serialize for PointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PointId::Num(number) => serializer.serialize_u64(*number),
            PointId::Uuid(uuid) => serializer.collect_str(&uuid.hyphenated()),
        }
    }
}

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = PointId;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a point ID: an unsigned integer or a UUID string")
            }
            fn visit_u64<E>(self, value: u64) -> Result<PointId, E> {
                Ok(PointId::Num(value))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<PointId, E> {
                u64::try_from(value).map(PointId::Num).map_err(|_| {
                    E::custom(format!("value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID"))
                })
            }
            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<PointId, E> {
                Uuid::parse_str(value).map(PointId::Uuid).map_err(|_| {
                    E::custom(format!("value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID"))
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_uuid_is_read_in_every_usual_form_and_printed_hyphenated() {
        for text in [
            "550e8400e29b41d4a716446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        ] {
            let id: PointId = serde_json::from_value(text.into()).unwrap();
            assert_eq!(id.to_string(), "550e8400-e29b-41d4-a716-446655440000");
        }
    }

    #[test]
    fn a_negative_number_or_a_word_is_refused() {
        for value in [serde_json::json!(-1), "cat".into(), serde_json::json!(1.5), "7".into()] {
            assert!(serde_json::from_value::<PointId>(value.clone()).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_id_survives_json(number in any::<u64>(), bytes in any::<u128>()) {
            for id in [PointId::Num(number), PointId::Uuid(Uuid::from_u128(bytes))] {
                let text = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(serde_json::from_str::<PointId>(&text).unwrap(), id);
            }
        }
    }
}
