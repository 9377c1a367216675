//! Some fields of a payload, read from its JSON without making values of all the others: a filter
//! that must look at every payload asks for few of their fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::types::Payload;

/// The fields of these names of the object in `json`; those that are not there are left out.
///
/// # Errors
/// Where `json` is no JSON object, also where a field that is not asked for is broken.
pub fn fields(json: &[u8], names: &[String]) -> serde_json::Result<Payload> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let payload = json.deserialize_map(Fields(names))?;
    json.end()?;
    Ok(payload)
}

struct Fields<'a>(&'a [String]);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Payload;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
        let mut payload = Payload::new();
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            match name {
                Some(name) => {
                    let value: Value = map.next_value()?;
                    payload.insert(name.to_owned(), value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(payload)
    }
}

/// A field's name, if it is one of these.
struct Name<'a>(&'a [String]);

impl<'a, 'de> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|wanted| *wanted == name).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d\"\\\\é]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_fields_asked_for_are_those_of_the_whole_payload(
            payload in prop::collection::btree_map("[a-d\"\\\\é]{0,2}", any_value(), 0..6),
            names in prop::collection::vec("[a-d\"\\\\é]{0,2}", 0..4),
        ) {
            let json = serde_json::to_vec(&payload).unwrap();
            let expected: Payload = payload.into_iter().filter(|(name, _)| names.contains(name)).collect();
            prop_assert_eq!(fields(&json, &names).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_whole_object_is_refused_wherever_it_is_broken() {
        let names = ["a".to_owned()];
        assert_eq!(Value::Object(fields(br#" {"b": [1], "a": 2} "#, &names).unwrap()), json!({"a": 2}));
        for broken in ["", "3", "[1]", r#"{"a": 1"#, r#"{"a": 1} x"#, r#"{"b": [1, "a": 2}"#, r#"{"b": }"#] {
            assert!(fields(broken.as_bytes(), &names).is_err(), "{broken}");
        }
    }
}
