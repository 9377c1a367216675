//! Rows of pictures or texts as JSON lines. A row has a picture (`image` as base64 or a `data:`
//! URL, or `file`, `path`, `image_path`, `file_name` or `filename` relative to the list) or a
//! `text`; perhaps an `id`; and a `payload`, or else whatever other fields it has.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::item::{Content, Entry, Item};
use super::source::FieldNames;
use crate::types::{Payload, PointId};

/// Longest line, bytes: a picture of 20 MiB as base64, and more than that for what goes with it.
pub const MAX_LINE: u64 = 64 * 1024 * 1024;
/// Fields that hold the picture itself.
const INLINE: [&str; 1] = ["image"];
/// Fields that hold its path.
const PATHS: [&str; 5] = ["file", "path", "image_path", "file_name", "filename"];

/// Hands over the rows of a file.
pub fn each(
    path: &Path,
    fields: &FieldNames,
    then: &mut dyn FnMut(Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    let root = path.parent().unwrap_or(Path::new(""));
    for number in 1.. {
        let mut line = Vec::new();
        let read = Read::take(&mut reader, MAX_LINE + 1).read_until(b'\n', &mut line)?;
        let weight = read as u64;
        if read == 0 {
            break;
        }
        if weight > MAX_LINE {
            bail!("{}: line {number} is longer than {} MiB", path.display(), MAX_LINE / (1024 * 1024));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let name = format!("{}:{number}", path.display());
        let row = serde_json::from_slice::<Map<String, Value>>(&line).context("expected an object as JSON");
        match row.and_then(|row| item(row, &name, root, fields)) {
            Ok(item) => then(Entry::Good(Item { weight, ..item }))?,
            Err(error) => then(Entry::Bad { name, error: format!("{error:#}"), weight })?,
        }
    }
    Ok(())
}

/// A row as an item, without weight.
pub fn item(
    mut row: Map<String, Value>,
    name: &str,
    root: &Path,
    fields: &FieldNames,
) -> anyhow::Result<Item> {
    let id = match row.remove("id") {
        None | Some(Value::Null) => None,
        Some(id) => Some(serde_json::from_value::<PointId>(id).context("id")?),
    };
    let (content, name, file) = content(&mut row, name, root, fields)?;
    let mut payload = match row.remove("payload") {
        None | Some(Value::Null) => row,
        Some(Value::Object(payload)) => payload,
        Some(_) => bail!("payload: expected an object"),
    };
    if let Some((field, value)) = file {
        payload.entry(field).or_insert(value);
    }
    Ok(Item { name, id, payload, content, weight: 0 })
}

/// The content, the item's name, and what the payload keeps of it.
type Taken = (Content, String, Option<(String, Value)>);

fn content(
    row: &mut Map<String, Value>,
    name: &str,
    root: &Path,
    fields: &FieldNames,
) -> anyhow::Result<Taken> {
    let filled = |field: &&str| row.get(*field).is_some_and(|value| !value.is_null());
    let usual = INLINE.iter().chain(&PATHS).copied().find(filled);
    let field = match &fields.picture {
        Some(field) if filled(&field.as_str()) => Some(field.clone()),
        Some(_) => None,
        None => usual.map(ToOwned::to_owned),
    };
    if let Some(field) = field {
        let Some(Value::String(text)) = row.remove(&field) else { bail!("{field}: expected a text") };
        if INLINE.contains(&field.as_str()) || text.starts_with("data:") {
            return Ok((
                Content::Bytes(decode(&text).with_context(|| field.clone())?),
                name.to_owned(),
                None,
            ));
        }
        if text.contains("://") {
            bail!("{field}: addresses of pictures are not fetched; download {text} first");
        }
        let kept = ("file".to_owned(), text.clone().into());
        return Ok((Content::File(root.join(&text)), text, Some(kept)));
    }
    let field = fields.text.as_deref().unwrap_or("text");
    match row.remove(field) {
        Some(Value::String(text)) if !text.is_empty() => {
            let kept = (field.to_owned(), text.clone().into());
            Ok((Content::Text(text), name.to_owned(), Some(kept)))
        }
        _ => bail!(
            "there is neither a picture ({}) nor a text (`{field}`); name the fields with --picture-field and --text-field",
            fields
                .picture
                .clone()
                .unwrap_or_else(|| [INLINE.as_slice(), PATHS.as_slice()].concat().join(", "))
        ),
    }
}

/// Base64, alone or in a `data:` URL.
fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").context("expected a data: URL with base64")?.1,
        None => text,
    };
    STANDARD.decode(text.trim()).context("expected base64")
}

/// What of a row may be payload: all but empty values.
pub fn without_nulls(row: Map<String, Value>) -> Payload {
    row.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: Value) -> anyhow::Result<Item> {
        let Value::Object(row) = row else { panic!("no object") };
        item(row, "list:1", Path::new("/r"), &FieldNames::default())
    }

    #[test]
    fn a_row_has_a_path_or_a_picture_or_a_text_and_the_rest_is_payload() {
        let path = read(json!({"file": "a/b.jpg", "label": "cup", "id": 7})).unwrap();
        assert!(matches!(&path.content, Content::File(p) if p == Path::new("/r/a/b.jpg")));
        assert_eq!((path.id, path.name.as_str()), (Some(PointId::Num(7)), "a/b.jpg"));
        assert_eq!(Value::from(path.payload), json!({"file": "a/b.jpg", "label": "cup"}));
        let inline =
            read(json!({"image": "data:image/png;base64,AQI=", "payload": {"k": 1}, "other": 2})).unwrap();
        assert!(matches!(&inline.content, Content::Bytes(bytes) if bytes == &[1, 2]));
        assert_eq!(Value::from(inline.payload), json!({"k": 1}));
        let text = read(json!({"text": "a cup", "lang": "en"})).unwrap();
        assert!(matches!(&text.content, Content::Text(text) if text == "a cup"));
        assert_eq!(Value::from(text.payload), json!({"text": "a cup", "lang": "en"}));
    }

    #[test]
    fn a_row_that_is_none_says_which_field_is_wrong() {
        for (row, says) in [
            (json!({"label": "x"}), "--picture-field"),
            (json!({"file": 3}), "file"),
            (json!({"image": "?"}), "base64"),
            (json!({"image": "data:image/png,x"}), "data: URL"),
            (json!({"file": "https://x/y.jpg"}), "not fetched"),
            (json!({"file": "a.jpg", "id": -1}), "id"),
            (json!({"file": "a.jpg", "payload": []}), "payload"),
        ] {
            let error = format!("{:#}", read(row).err().unwrap());
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn bad_lines_are_entries_of_their_own_between_good_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, "{\"file\": \"a.jpg\"}\nnonsense\n\n{\"text\": \"b\"}").unwrap();
        let (mut seen, mut total) = (Vec::new(), 0);
        each(&path, &FieldNames::default(), &mut |entry| {
            let (good, weight) = match entry {
                Entry::Good(item) => (true, item.weight),
                Entry::Bad { name, error, weight } => {
                    assert!(name.ends_with("x.jsonl:2") && error.contains("expected"), "{name} {error}");
                    (false, weight)
                }
            };
            seen.push(good);
            total += weight;
            Ok(())
        })
        .unwrap();
        assert_eq!((seen, total + 1), (vec![true, false, true], std::fs::metadata(&path).unwrap().len()));
    }
}
