//! Inference objects: what a client sends in place of a vector for the model in the server to
//! embed. `{"text", "model"}`, `{"image", "model"}`, `{"object", "model"}`; `object` may also be
//! a list of weighted parts whose vectors are added.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::adapt::head_use;
use super::object::{Object, expected};
use super::relevance;
use crate::engine::{Choices, Content, Inference, Part, Templates};
use crate::error::{Error, Result};
use crate::types::TextTemplates;

/// Most parts of a weighted object.
const MAX_PARTS: usize = 16;
/// Longest text, in bytes; the model reads far less.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// True where the object is one for the model.
pub fn is_inference(map: &Map<String, Value>) -> bool {
    let string = |key: &str| map.get(key).is_some_and(Value::is_string);
    string("text") || string("image") || map.contains_key("object")
}

/// Reads an inference object at `place`.
pub fn parse(value: Value, place: &str) -> Result<Inference> {
    let mut object = Object::new(value, place)?;
    let model = object.string("model")?.filter(|name| !name.is_empty());
    let options = object.take("options");
    let given = (object.take("text"), object.take("image"), object.take("object"));
    let content = match given {
        (Some(text), None, None) => text_content(text, &object.at("text"))?,
        (None, Some(image), None) => image_content(image, &object.at("image"))?,
        (None, None, Some(parts)) => object_content(parts, &object.at("object"))?,
        _ => {
            return Err(Error::MalformedBody(format!(
                "{place}: expected exactly one of `text`, `image` or `object`"
            )));
        }
    };
    let choices = choices(options, &content, &object.at("options"))?;
    object.finish()?;
    Ok(Inference { model, content, choices, place: place.to_owned() })
}

/// Our own options. Others are the business of other models and are passed over.
///
/// - `adapt`: `"none"` for a query that goes through no head of the collection, `"picture"` or
///   `"text"` for one that goes through that for the other kind.
/// - `with_relevance`, `min_relevance`: as beside a query, for clients that send no fields of ours there.
/// - `templates`: strings with `{}` that a text is put into, its vectors averaged; `[]` to embed
///   the text as it is, whatever the collection says.
fn choices(options: Option<Value>, content: &Content, place: &str) -> Result<Choices> {
    let mut choices = Choices::default();
    let Some(Value::Object(mut options)) = options else { return Ok(choices) };
    choices.head = head_use(options.remove("adapt"), place)?;
    let asked = (options.remove("with_relevance"), options.remove("min_relevance"));
    choices.relevance = relevance::parse(asked.0, asked.1, &format!("{place}."))?;
    if let Some(templates) = options.remove("templates").filter(|value| !value.is_null()) {
        let place = format!("{place}.templates");
        if !matches!(content, Content::Text(_)) {
            return Err(Error::InvalidInput(format!("{place}: only a text can be put into templates")));
        }
        choices.templates = match &templates {
            Value::Array(items) if items.is_empty() => Templates::None,
            list => Templates::These(TextTemplates::parse(list).map_err(|error| error.at(place))?),
        };
    }
    Ok(choices)
}

fn text_content(value: Value, place: &str) -> Result<Content> {
    match value {
        Value::String(text) if text.len() > MAX_TEXT_BYTES => Err(Error::Validation(format!(
            "{place}: the text has {} bytes, at most {MAX_TEXT_BYTES}",
            text.len()
        ))),
        Value::String(text) => Ok(Content::Text(text)),
        other => Err(expected(place, "a string", &other)),
    }
}

fn image_content(value: Value, place: &str) -> Result<Content> {
    match value {
        Value::String(text) => image(&text, place).map(Content::Image),
        other => Err(expected(place, "a base64 string or a data: URL", &other)),
    }
}

fn object_content(value: Value, place: &str) -> Result<Content> {
    match value {
        Value::String(_) => text_content(value, place),
        Value::Object(_) => part(value, place).map(|part| part.content),
        Value::Array(items) if items.is_empty() || items.len() > MAX_PARTS => {
            Err(Error::Validation(format!("{place}: expected 1 to {MAX_PARTS} parts, got {}", items.len())))
        }
        Value::Array(items) => {
            let parts = items.into_iter().enumerate().map(|(i, item)| part(item, &format!("{place}[{i}]")));
            Ok(Content::Mix(parts.collect::<Result<_>>()?))
        }
        other => Err(expected(place, "a text, an object with `text` or `image`, or a list of them", &other)),
    }
}

fn part(value: Value, place: &str) -> Result<Part> {
    let mut object = Object::new(value, place)?;
    let weight = object.number("weight")?.unwrap_or(1.0);
    #[allow(clippy::cast_possible_truncation)]
    let weight = weight as f32;
    if weight.is_nan() || weight.abs() > 1000.0 {
        return Err(Error::Validation(format!("{place}.weight is {weight}, it must be from -1000 to 1000")));
    }
    let content = match (object.take("text"), object.take("image")) {
        (Some(text), None) => text_content(text, &object.at("text"))?,
        (None, Some(image)) => image_content(image, &object.at("image"))?,
        _ => return Err(Error::MalformedBody(format!("{place}: expected exactly one of `text` or `image`"))),
    };
    object.finish()?;
    Ok(Part { content, weight })
}

/// The bytes of a picture given as base64 (any alphabet, padded or not) or as a `data:` URL.
///
/// # Errors
/// `InvalidInput` that names the place; URLs and local paths are refused.
pub fn image(text: &str, place: &str) -> Result<Vec<u8>> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Err(Error::InvalidInput(format!(
            "{place}: this server does not fetch image URLs; send the picture's bytes as base64"
        )));
    }
    if lower.starts_with("file:") {
        return Err(Error::InvalidInput(format!(
            "{place}: the server reads no local files; send the picture's bytes as base64"
        )));
    }
    let encoded = if lower.starts_with("data:") {
        let (head, data) = text.split_once(',').ok_or_else(|| {
            Error::InvalidInput(format!("{place}: a data: URL has a comma before its data"))
        })?;
        if !head.to_ascii_lowercase().ends_with(";base64") {
            return Err(Error::InvalidInput(format!("{place}: only base64 data: URLs are read")));
        }
        data
    } else {
        text
    };
    let encoded: std::borrow::Cow<'_, str> = if encoded.contains(['\n', '\r', ' ']) {
        encoded.replace(['\n', '\r', ' '], "").into()
    } else {
        encoded.into()
    };
    if encoded.is_empty() {
        return Err(Error::InvalidInput(format!("{place}: the picture is empty")));
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(encoded.as_bytes()).ok())
        .ok_or_else(|| {
            Error::InvalidInput(format!(
                "{place}: neither base64 nor a data: URL (the server reads no local files); send the picture's bytes as base64"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn both_forms_of_a_mixed_object_are_read() {
        let mixed =
            json!({"object": [{"text": "red", "weight": 1}, {"text": "logo", "weight": -0.7}], "model": "m"});
        let inference = parse(mixed, "query").unwrap();
        let Content::Mix(parts) = inference.content else { panic!("{inference:?}") };
        assert_eq!(parts.iter().map(|p| p.weight).collect::<Vec<_>>(), [1.0, -0.7]);
        assert!(matches!(parse(json!({"object": "a cat"}), "q").unwrap().content, Content::Text(_)));
    }

    #[test]
    fn an_object_with_two_contents_or_a_path_is_refused_by_place() {
        for value in [
            json!({"text": "a", "image": "aGk="}),
            json!({"image": "/etc/passwd.png"}),
            json!({"image": "file:///etc/passwd"}),
            json!({"image": "https://example.com/a.png"}),
            json!({"image": ""}),
            json!({"text": 5}),
            json!({"text": "a", "txet": "b"}),
            json!({"object": []}),
            json!({"text": "a", "options": {"templates": ["no hole"]}}),
            json!({"text": "a", "options": {"templates": "{}"}}),
            json!({"image": "aGk=", "options": {"templates": ["{}"]}}),
            json!({"object": [{"text": "a", "weight": 1e9}]}),
        ] {
            let error = parse(value.clone(), "points[3].vector").unwrap_err();
            assert!(error.to_string().contains("points[3].vector"), "{value}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_any_base64(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            for text in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), format!("data:image/png;base64,{}", STANDARD.encode(&bytes))] {
                prop_assert_eq!(&image(&text, "x").unwrap(), &bytes);
            }
        }
    }
}
