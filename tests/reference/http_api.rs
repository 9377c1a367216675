//! Every call of the OpenAPI document, and the fields of what goes in and out.

use std::fmt::Write;

use serde_json::Value;

use crate::cell;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub fn page() -> String {
    let document = serde_json::to_value(lookalike::http::openapi_document()).unwrap();
    let mut text = "# HTTP API\n\n\
        Every answer is `{\"result\": .., \"status\": \"ok\", \"time\": seconds}`, of which the answers below are the `result`; what went\n\
        wrong is described in [errors](errors.md). The key goes along as `api-key` or `Authorization: Bearer`. `?timeout=SECONDS`\n\
        bounds a call, up to `request_timeout_secs`. The same as a document for generators: `GET /openapi.json`, or `lookalike openapi`.\n"
        .to_owned();
    let tags: Vec<&str> = list(&document["tags"]).iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let calls = calls(&document);
    for tag in &tags {
        writeln!(text, "\n## {}", capital(tag)).unwrap();
        for (path, method, operation) in calls.iter().filter(|(_, _, operation)| operation["tags"][0] == *tag)
        {
            describe(path, method, operation, &mut text);
        }
    }
    let untagged: Vec<_> =
        calls.iter().filter(|(_, _, o)| !tags.iter().any(|tag| o["tags"][0] == *tag)).collect();
    assert!(untagged.is_empty(), "these stand under no tag: {untagged:?}");
    text.push_str("\n## Bodies and answers\n");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| !name.starts_with("Envelope_")) {
        writeln!(text, "\n### {name}\n").unwrap();
        if let Some(said) = schema["description"].as_str() {
            writeln!(text, "{}\n", said.trim()).unwrap();
        }
        match schema["properties"].as_object() {
            Some(_) => fields(schema, &mut text),
            None => writeln!(text, "{}", kind(schema)).unwrap(),
        }
    }
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn calls(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = methods.get(method) {
                found.push((path.as_str(), method, operation));
            }
        }
    }
    found
}

fn describe(path: &str, method: &str, operation: &Value, text: &mut String) {
    writeln!(text, "\n### {} {path}\n", method.to_uppercase()).unwrap();
    let said = ["summary", "description"].map(|key| operation[key].as_str().unwrap_or_default().trim());
    writeln!(text, "{}", said.join("\n\n").trim_end()).unwrap();
    let parameters = list(&operation["parameters"]);
    let asked: Vec<&Value> = parameters.iter().filter(|parameter| parameter["in"] != "path").collect();
    if !asked.is_empty() {
        text.push('\n');
    }
    for parameter in asked {
        let name = parameter["name"].as_str().unwrap();
        let place = parameter["in"].as_str().unwrap();
        let said = parameter["description"].as_str().unwrap_or_default();
        writeln!(text, "- `{name}` ({place}, {}): {}", kind(&parameter["schema"]), cell(said)).unwrap();
    }
    let body = &operation["requestBody"];
    for (media, content) in body["content"].as_object().into_iter().flatten() {
        let said = body["description"].as_str().map(|said| format!(": {said}")).unwrap_or_default();
        let media = if media == "application/json" { String::new() } else { format!(" as `{media}`") };
        writeln!(text, "\nBody{media}: {}{said}", kind(&content["schema"])).unwrap();
        if content["schema"]["properties"].is_object() {
            text.push('\n');
            fields(&content["schema"], text);
        }
    }
    text.push('\n');
    for (status, response) in operation["responses"].as_object().unwrap() {
        if status == "default" {
            continue;
        }
        let said = response["description"].as_str().unwrap_or_default().trim();
        let of = |content: &Value| kind(&content["schema"]);
        let kinds: Vec<String> =
            response["content"].as_object().into_iter().flatten().map(|(_, c)| of(c)).collect();
        let kinds = kinds.join(" or ");
        let parts: Vec<&str> = [said, kinds.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty() && *part != "[ErrorEnvelope](#errorenvelope)")
            .collect();
        match parts.is_empty() {
            true => writeln!(text, "- {status}"),
            false => writeln!(text, "- {status}: {}", parts.join("; ")),
        }
        .unwrap();
    }
}

fn fields(schema: &Value, text: &mut String) {
    let required: Vec<&str> = list(&schema["required"]).iter().filter_map(Value::as_str).collect();
    text.push_str("| field | | |\n|---|---|---|\n");
    for (name, field) in schema["properties"].as_object().unwrap() {
        let must = if required.contains(&name.as_str()) { "" } else { ", may be absent" };
        let said = cell(field["description"].as_str().unwrap_or_default());
        writeln!(text, "| `{name}` | {}{must} | {said} |", kind(field)).unwrap();
    }
}

/// A type in words, with links to the types that it names.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return match name.strip_prefix("Envelope_") {
            None => format!("[{name}](#{})", name.to_lowercase()),
            Some(inner) => unwrapped(inner),
        };
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if let Some(parts) = schema[key].as_array() {
            let parts: Vec<_> = parts.iter().map(kind).filter(|part| part != "null").collect();
            return parts.join(word);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        names => list(names).iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
    };
    match names.as_slice() {
        [] => "any JSON".to_owned(),
        ["array"] => format!("list of {}", kind(&schema["items"])),
        ["object"] if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        names => names.join(" or "),
    }
}

/// `Vec_Described` as a list of `Described`.
fn unwrapped(name: &str) -> String {
    match name.strip_prefix("Vec_") {
        Some(inner) => format!("list of {}", unwrapped(inner)),
        None if name == "Value" => "any JSON".to_owned(),
        None if name == "bool" => "boolean".to_owned(),
        None => format!("[{name}](#{})", name.to_lowercase()),
    }
}
