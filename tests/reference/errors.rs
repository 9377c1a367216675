//! Every class of error with its HTTP status and the words that its text begins with.

use std::fmt::Write;

use lookalike::error::Error;

use crate::cell;

const SOURCE: &str = include_str!("../../src/error.rs");

/// One of each class.
fn every() -> Vec<(&'static str, Error)> {
    let text = || "..".to_owned();
    vec![
        ("InvalidInput", Error::InvalidInput(text())),
        ("Unfit", Error::Unfit(text())),
        ("MalformedBody", Error::MalformedBody(text())),
        ("Model", Error::Model(text())),
        ("Unauthorized", Error::Unauthorized(text())),
        ("Forbidden", Error::Forbidden(text())),
        ("NotFound", Error::NotFound(text())),
        ("Timeout", Error::Timeout(text())),
        ("AlreadyExists", Error::AlreadyExists(text())),
        ("Conflict", Error::Conflict(text())),
        ("TooLarge", Error::TooLarge(text())),
        ("Validation", Error::Validation(text())),
        ("Overloaded", Error::Overloaded { what: text(), retry_after_secs: 1 }),
        ("Corrupted", Error::Corrupted(text())),
        ("Io", Error::Io(text())),
        ("Internal", Error::Internal(text())),
        ("Unavailable", Error::Unavailable(text())),
        ("NoRoom", Error::NoRoom { what: text(), retry_after_secs: 1 }),
        ("StorageFull", Error::StorageFull(text())),
    ]
}

pub fn page() -> String {
    let comments = comments();
    let mut named: Vec<&str> = comments.iter().map(|(name, _)| name.as_str()).collect();
    let every = every();
    let mut made: Vec<&str> = every.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    made.sort_unstable();
    assert_eq!(named, made, "a class of error is missing in tests/reference/errors.rs");
    let mut text = "# Errors\n\n\
        An error is `{\"status\": {\"error\": \"text\"}, \"time\": seconds}` under its HTTP status. The text names the field or the item\n\
        and says what to do; a program should go by the status. Nothing of a request that failed was written, but where\n\
        the request asked for partial success. A path that there is with another method is answered 405.\n\n\
        | status | text begins with | when |\n|---|---|---|\n"
        .to_owned();
    for (name, error) in &every {
        let comment = &comments.iter().find(|(of, _)| of == name).unwrap().1;
        let code = error.code();
        let comment = comment.replace(&format!(" ({code})"), "");
        writeln!(text, "| {code} | `{}` | {} |", cell(&error.to_string()), cell(&comment)).unwrap();
    }
    text.push_str(
        "\nFor 500 the text a client gets is `Service internal error; the server's log says why`, except for corrupted data. \
         429, and 503 where a model has no room, come with `Retry-After`\nin seconds; our clients and verbs wait as it asks.\n",
    );
    text
}

/// Names and comments of the enum.
fn comments() -> Vec<(String, String)> {
    let start = SOURCE.find("pub enum Error {").unwrap();
    let body = &SOURCE[start..start + SOURCE[start..].find("\n}").unwrap()];
    let (mut found, mut comment) = (Vec::new(), String::new());
    for line in body.lines().skip(1) {
        let is_variant = line.starts_with("    ") && line.trim_start().starts_with(char::is_uppercase);
        if let Some(text) = line.strip_prefix("    ///") {
            comment.push_str(text);
        } else if is_variant {
            let name = line.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
            found.push((name, std::mem::take(&mut comment)));
        }
    }
    found
}
