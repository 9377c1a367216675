//! The reference pages under `docs/reference/`, written from the code: the command line from clap, the
//! settings from their struct, the HTTP API from the OpenAPI document, the errors from their enum. A
//! page that is behind the code fails its test; `UPDATE_REFERENCE=1 cargo nextest run reference` writes
//! all of them anew.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod command_line;
mod errors;
mod http_api;
mod settings;

use std::fs;
use std::path::Path;

const HEAD: &str = "<!-- Written from the code: UPDATE_REFERENCE=1 cargo nextest run reference -->\n";

/// Compares a page with the code, or writes it.
#[track_caller]
fn hold(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(page);
    let text = format!("{HEAD}{}\n", text.trim_end());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        return fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).position(|(old, new)| old != new);
    assert!(
        there == text,
        "docs/reference/{page} is behind the code (from line {}): \
         UPDATE_REFERENCE=1 cargo nextest run reference",
        differs.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1
    );
}

/// Text within the cell of a table: one line, no column of its own.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_reference_of_the_command_line_is_what_clap_says() {
    hold("command-line.md", &command_line::page());
}

#[test]
fn the_reference_of_the_settings_is_what_their_struct_says() {
    hold("settings.md", &settings::page());
}

#[test]
fn the_reference_of_the_http_api_is_what_the_openapi_document_says() {
    hold("http-api.md", &http_api::page());
}

#[test]
fn the_reference_of_the_errors_is_what_their_enum_says() {
    hold("errors.md", &errors::page());
}
