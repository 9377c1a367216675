//! `quantization_config`, as Qdrant names it: what stands for the floats where a graph is walked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// What stands for a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantization {
    /// A byte; the walk is as good as by floats.
    #[default]
    Scalar,
    /// A bit: an eighth of the memory; more candidates are compared exactly.
    Binary,
}

/// A quantisation as it was asked for, which is how it is echoed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct QuantizationConfig {
    kind: Quantization,
    sent: Map<String, Value>,
}

impl QuantizationConfig {
    /// Reads `{"scalar": {...}}` or `{"binary": {...}}`; `None` where nothing or `"Disabled"` is said,
    /// for which scalar counts.
    ///
    /// # Errors
    /// `InvalidInput` that names the field from `quantization_config` on.
    pub fn parse(value: &Value) -> Result<Option<Self>> {
        let wrong = |text: String| Err(Error::InvalidInput(format!("quantization_config{text}")));
        let object = match value {
            Value::Null => return Ok(None),
            Value::String(text) if text.eq_ignore_ascii_case("disabled") => return Ok(None),
            Value::Object(object) => object,
            other => return wrong(format!(": expected an object, got {other}")),
        };
        if object.contains_key("product") {
            return wrong(".product is not supported; use `scalar`, `binary` or leave it out".into());
        }
        let mut kinds = object.iter().filter(|(_, value)| !value.is_null());
        let (kind, fields) = match (kinds.next(), kinds.next()) {
            (None, _) => return Ok(None),
            (Some((name, Value::Object(fields))), None) => match name.as_str() {
                "scalar" => (Quantization::Scalar, fields),
                "binary" => (Quantization::Binary, fields),
                other => return wrong(format!(".{other} is unknown; use `scalar` or `binary`")),
            },
            (Some((name, other)), None) => {
                return wrong(format!(".{name}: expected an object, got {other}"));
            }
            (Some(_), Some(_)) => return wrong(": one of `scalar` and `binary` is allowed".into()),
        };
        let name = if kind == Quantization::Binary { "binary" } else { "scalar" };
        for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let good = match (kind, field.as_str()) {
                (_, "always_ram") => value.is_boolean(),
                (Quantization::Scalar, "type") => value == "int8",
                (Quantization::Scalar, "quantile") => {
                    value.as_f64().is_some_and(|share| (0.5..=1.0).contains(&share))
                }
                (Quantization::Binary, "encoding") => value == "one_bit",
                (Quantization::Binary, "query_encoding") => {
                    ["default", "binary", "scalar4bits", "scalar8bits"].iter().any(|known| value == known)
                }
                _ => return wrong(format!(".{name}.{field} is unknown")),
            };
            if !good {
                let expected = match field.as_str() {
                    "always_ram" => "true or false",
                    "type" => "`int8`",
                    "quantile" => "a number from 0.5 to 1",
                    "encoding" => "`one_bit`",
                    _ => "`default`, `binary`, `scalar4bits` or `scalar8bits`",
                };
                return wrong(format!(".{name}.{field} is {value}, expected {expected}"));
            }
        }
        Ok(Some(Self { kind, sent: object.clone() }))
    }

    /// What stands for a component.
    pub fn kind(&self) -> Quantization {
        self.kind
    }
}

impl TryFrom<Value> for QuantizationConfig {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        Self::parse(&value)?.ok_or_else(|| Error::InvalidInput("quantization_config is empty".into()))
    }
}

impl From<QuantizationConfig> for Value {
    fn from(config: QuantizationConfig) -> Value {
        Value::Object(config.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_client_sends_is_read_and_given_back_as_it_was() {
        let cases = [
            (json!({"scalar": {"type": "int8", "quantile": 0.99, "always_ram": true}}), Quantization::Scalar),
            (json!({"binary": {"always_ram": null}}), Quantization::Binary),
            (
                json!({"binary": {"encoding": "one_bit", "query_encoding": "scalar8bits"}}),
                Quantization::Binary,
            ),
        ];
        for (sent, kind) in cases {
            let config = QuantizationConfig::parse(&sent).unwrap().unwrap();
            assert_eq!(config.kind(), kind);
            assert_eq!(serde_json::to_value(&config).unwrap(), sent);
            assert_eq!(serde_json::from_value::<QuantizationConfig>(sent).unwrap(), config);
        }
        for none in [json!(null), json!({}), json!("Disabled"), json!({"scalar": null})] {
            assert_eq!(QuantizationConfig::parse(&none).unwrap(), None, "{none}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for (sent, named) in [
            (json!(3), "expected an object, got 3"),
            (json!({"product": {"compression": "x4"}}), ".product is not supported"),
            (json!({"turbo": {}}), ".turbo is unknown"),
            (json!({"scalar": {}, "binary": {}}), "one of `scalar` and `binary`"),
            (json!({"scalar": 1}), ".scalar: expected an object, got 1"),
            (json!({"scalar": {"type": "int4"}}), ".scalar.type is \"int4\", expected `int8`"),
            (
                json!({"scalar": {"quantile": 0.2}}),
                ".scalar.quantile is 0.2, expected a number from 0.5 to 1",
            ),
            (json!({"binary": {"encoding": "two_bits"}}), ".binary.encoding is \"two_bits\""),
            (json!({"binary": {"always_ram": 1}}), ".binary.always_ram is 1, expected true or false"),
            (json!({"binary": {"size": 1}}), ".binary.size is unknown"),
        ] {
            let error = QuantizationConfig::parse(&sent).unwrap_err().to_string();
            assert!(error.contains(named), "{sent}: {error}");
        }
    }
}
