//! Every field of [`Settings`] with its comment and default.

use std::fmt::Write;

use lookalike::config::Settings;
use serde_json::Value;

use crate::cell;

const SOURCE: &str = include_str!("../../src/config/mod.rs");

pub fn page() -> String {
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    let mut serve = lookalike::cli::command();
    serve.build();
    let serve = serve.find_subcommand("serve").unwrap();
    let mut text = "# Settings\n\n\
        Flags, then `LOOKALIKE_*` in the environment (the setting in capitals), then `lookalike.toml` (or `--config FILE`,\n\
        `LOOKALIKE_CONFIG`), then the default. A setting that is unknown or out of its range ends the start by name.\n\
        Two variables are no settings: `LOOKALIKE_LOG` says what is logged (`info,lookalike=debug`), `LOOKALIKE_URL` where\n\
        the server is that the other verbs talk to.\n\n\
        | setting | default | flag of `serve` | |\n|---|---|---|---|\n"
        .to_owned();
    let mut seen = 0;
    for (name, comment) in fields() {
        let flag = [name.clone(), format!("no_{name}")]
            .into_iter()
            .find(|id| serve.get_arguments().any(|a| a.get_id() == id));
        let flag = flag.map(|id| format!("`--{}`", id.replace('_', "-"))).unwrap_or_default();
        let default = match defaults.get(&name) {
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        };
        seen += usize::from(defaults.get(&name).is_some());
        writeln!(text, "| `{name}` | {default} | {flag} | {} |", cell(&comment)).unwrap();
    }
    assert_eq!(seen, defaults.as_object().unwrap().len(), "a setting is not in the table");
    text
}

/// Names and comments, in the order of the source.
fn fields() -> Vec<(String, String)> {
    let start = SOURCE.find("pub struct Settings {").unwrap();
    let body = &SOURCE[start..start + SOURCE[start..].find("\n}").unwrap()];
    let (mut found, mut comment) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) {
            found.push((name.to_owned(), std::mem::take(&mut comment)));
        }
    }
    found
}
