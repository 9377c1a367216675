//! Rows of pictures or texts as Parquet: the picture's bytes in a column (also as data sets of
//! Hugging Face have it, `{bytes, path}`), or its path or base64 as in JSON lines; the other columns
//! are payload. Rows are read one by one, pages of columns at a time.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use super::item::{Content, Entry, Item};
use super::rows;
use super::source::FieldNames;

/// Columns whose bytes are taken for the picture's.
const BYTES: [&str; 6] = ["image", "picture", "img", "jpg", "png", "bytes"];

fn open(path: &Path) -> anyhow::Result<SerializedFileReader<File>> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    SerializedFileReader::new(file).with_context(|| path.display().to_string())
}

/// Whether the file has columns of vectors, as `export` writes them.
pub fn holds_points(path: &Path) -> anyhow::Result<bool> {
    let reader = open(path)?;
    let schema = reader.metadata().file_metadata().schema();
    Ok(schema
        .get_fields()
        .iter()
        .any(|field| field.name() == "vector" || field.name().starts_with("vector:")))
}

/// Hands over the rows of a file.
pub fn each(
    path: &Path,
    fields: &FieldNames,
    then: &mut dyn FnMut(Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let reader = open(path)?;
    let count = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default().max(1);
    let weight = std::fs::metadata(path)?.len() / count;
    let root = path.parent().unwrap_or(Path::new(""));
    for (number, row) in reader.get_row_iter(None)?.enumerate() {
        let row = row.with_context(|| format!("{}: row {number} cannot be read", path.display()))?;
        let name = format!("{}:{number}", path.display());
        match item(row, &name, root, fields) {
            Ok(item) => then(Entry::Good(Item { weight, ..item }))?,
            Err(error) => then(Entry::Bad { name, error: format!("{error:#}"), weight })?,
        }
    }
    Ok(())
}

fn item(row: Row, name: &str, root: &Path, fields: &FieldNames) -> anyhow::Result<Item> {
    let (mut picture, mut map) = (None, Map::new());
    for (column, field) in row.into_columns() {
        let is_wanted = match &fields.picture {
            Some(wanted) => &column == wanted,
            None => picture.is_none() && BYTES.contains(&column.as_str()),
        };
        match field {
            Field::Bytes(bytes) if is_wanted => picture = Some((bytes.data().to_vec(), None)),
            Field::Group(group) if is_wanted => match of_group(group) {
                (Some(bytes), file) => picture = Some((bytes, file)),
                (None, Some(file)) => {
                    map.insert(column, file.into());
                }
                (None, None) => bail!("{column}: expected bytes or a path"),
            },
            field => {
                if let Some(value) = json(&field) {
                    map.insert(column, value);
                }
            }
        }
    }
    let Some((bytes, file)) = picture else {
        return rows::item(rows::without_nulls(map), name, root, fields);
    };
    // What else the row has follows the rules of lines: here a text is payload.
    let id = map.remove("id").map(|id| serde_json::from_value(id).context("id")).transpose()?;
    let mut payload = rows::without_nulls(match map.remove("payload") {
        Some(Value::Object(payload)) => payload,
        Some(Value::String(text)) => {
            serde_json::from_str(&text).context("payload: expected an object as JSON")?
        }
        _ => map,
    });
    if let Some(file) = file {
        payload.entry("file").or_insert(file.into());
    }
    Ok(Item { name: name.to_owned(), id, payload, content: Content::Bytes(bytes), weight: 0 })
}

/// Bytes and path of `{bytes, path}`.
fn of_group(group: Row) -> (Option<Vec<u8>>, Option<String>) {
    let (mut bytes, mut path) = (None, None);
    for (name, field) in group.into_columns() {
        match (name.as_str(), field) {
            ("bytes", Field::Bytes(found)) => bytes = Some(found.data().to_vec()),
            ("path", Field::Str(found)) => path = Some(found),
            _ => {}
        }
    }
    (bytes, path)
}

/// A value as payload; `None` for null and for bytes.
fn json(field: &Field) -> Option<Value> {
    let float = |value: f64| Number::from_f64(value).map(Value::Number);
    Some(match field {
        Field::Null | Field::Bytes(_) => return None,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float16(value) => return float(f64::from(*value)),
        // As it is written, not as the double next to it.
        Field::Float(value) => return value.to_string().parse().ok().and_then(float),
        Field::Double(value) => return float(*value),
        Field::Str(value) => value.clone().into(),
        Field::TimestampMillis(value) => timestamp(jiff::Timestamp::from_millisecond(*value))?,
        Field::TimestampMicros(value) => timestamp(jiff::Timestamp::from_microsecond(*value))?,
        Field::Group(row) => {
            row.get_column_iter().filter_map(|(name, field)| Some((name.clone(), json(field)?))).collect()
        }
        Field::ListInternal(list) => list.elements().iter().filter_map(json).collect(),
        Field::MapInternal(map) => {
            map.entries().iter().filter_map(|(key, value)| Some((text(key)?, json(value)?))).collect()
        }
        Field::Date(_) | Field::Decimal(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
            field.to_string().into()
        }
    })
}

fn text(key: &Field) -> Option<String> {
    match key {
        Field::Str(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn timestamp(time: Result<jiff::Timestamp, jiff::Error>) -> Option<Value> {
    time.ok().map(|time| time.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::{ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use serde_json::json;
    use std::sync::Arc;

    type Cells<'a> = (&'a [u8], &'a str, i64);

    /// A file of (picture or path, label, size) rows under a schema whose first leaf is the picture.
    fn write(path: &Path, schema: &str, depth: i16, rows: &[Cells<'_>]) {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer =
            SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let texts = |which: fn(&Cells<'_>) -> Vec<u8>| -> Vec<_> {
            rows.iter().map(|row| which(row).into()).collect()
        };
        let levels = vec![depth; rows.len()];
        for values in [texts(|row| row.0.to_vec()), texts(|row| row.1.as_bytes().to_vec())] {
            let mut column = group.next_column().unwrap().unwrap();
            let levels =
                (column.typed::<ByteArrayType>().get_descriptor().max_def_level() > 0).then_some(&*levels);
            column.typed::<ByteArrayType>().write_batch(&values, levels, None).unwrap();
            column.close().unwrap();
        }
        let sizes: Vec<i64> = rows.iter().map(|row| row.2).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&sizes, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    fn items(path: &Path) -> Vec<Result<Item, String>> {
        let mut found = Vec::new();
        each(path, &FieldNames::default(), &mut |entry| {
            found.push(match entry {
                Entry::Good(item) => Ok(item),
                Entry::Bad { error, .. } => Err(error),
            });
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn bytes_of_a_column_and_of_a_struct_are_pictures_and_the_rest_is_payload() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain.parquet");
        let schema =
            "message m { required binary image; required binary label (UTF8); required int64 size; }";
        write(&plain, schema, 0, &[(b"one", "cup", 3), (b"two", "hat", 4)]);
        let nested = dir.path().join("nested.parquet");
        let schema = "message m { optional group image { optional binary bytes; } required binary label (UTF8); required int64 size; }";
        write(&nested, schema, 2, &[(b"one", "cup", 3), (b"two", "hat", 4)]);
        for path in [plain, nested] {
            assert!(!holds_points(&path).unwrap());
            let second = items(&path).pop().unwrap().unwrap();
            assert!(
                matches!(&second.content, Content::Bytes(bytes) if bytes == b"two"),
                "{}",
                path.display()
            );
            assert_eq!(Value::from(second.payload), json!({"label": "hat", "size": 4}));
        }
    }

    #[test]
    fn a_column_of_paths_is_read_as_in_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("paths.parquet");
        let schema =
            "message m { required binary file (UTF8); required binary label (UTF8); required int64 id; }";
        write(&path, schema, 0, &[(b"a.jpg", "cup", 3), (b"https://x/a.jpg", "hat", 4)]);
        let found = items(&path);
        let first = found[0].as_ref().unwrap();
        assert!(matches!(&first.content, Content::File(path) if path == &dir.path().join("a.jpg")));
        assert_eq!(
            (first.id, Value::from(first.payload.clone())),
            (Some(crate::types::PointId::Num(3)), json!({"file": "a.jpg", "label": "cup"}))
        );
        assert!(found[1].as_ref().err().unwrap().contains("not fetched"));
    }
}
