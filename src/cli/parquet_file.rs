//! Points as Parquet, without arrow: columns `id` (text), `payload` (JSON text), and one list of
//! floats for each vector, `vector` or `vector:<name>`. Written with Snappy; read also where the
//! ids are integers, the floats are doubles, or the lists are nested as other writers do.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::types::{NamedVectors, Payload, Point, PointId};

/// Rows of a row group: what is held in memory at once.
pub const ROWS: usize = 10_000;

fn column_of(name: &str) -> String {
    if name.is_empty() { "vector".to_owned() } else { format!("vector:{name}") }
}

fn name_of(column: &str) -> Option<&str> {
    if column == "vector" { Some("") } else { column.strip_prefix("vector:") }
}

/// A Parquet file on its way.
pub struct Writer {
    inner: SerializedFileWriter<File>,
    names: Vec<String>,
    rows: usize,
}

impl Writer {
    /// A file with columns for these vectors.
    pub fn new(file: File, names: &[String]) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY);
            column.with_repetition(Repetition::REQUIRED).with_converted_type(ConvertedType::UTF8).build()
        };
        let mut fields = vec![Arc::new(text("id")?), Arc::new(text("payload")?)];
        for name in names {
            let element = Type::primitive_type_builder("element", Physical::FLOAT)
                .with_repetition(Repetition::REQUIRED)
                .build()?;
            let list = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![Arc::new(element)])
                .build()?;
            let vector = Type::group_type_builder(&column_of(name))
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(ConvertedType::LIST)
                .with_fields(vec![Arc::new(list)])
                .build()?;
            fields.push(Arc::new(vector));
        }
        let schema = Type::group_type_builder("point").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .build();
        let inner = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { inner, names: names.to_vec(), rows: 0 })
    }

    /// Writes a row group.
    pub fn write(&mut self, points: &[Point]) -> anyhow::Result<()> {
        if points.is_empty() {
            return Ok(());
        }
        let mut group = self.inner.next_row_group()?;
        let ids: Vec<ByteArray> = points.iter().map(|p| p.id.to_string().into_bytes().into()).collect();
        let payloads = points.iter().map(|p| Ok(serde_json::to_vec(&p.payload)?.into()));
        let payloads = payloads.collect::<anyhow::Result<Vec<ByteArray>>>()?;
        for values in [ids, payloads] {
            let mut column = group.next_column()?.context("a column is missing")?;
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        for name in &self.names {
            let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
            for point in points {
                let vector = point.vectors.get(name).map(Vec::as_slice);
                // 0: no vector, 2: a component; the first of a list does not repeat.
                definitions.extend(vector.map_or(vec![0], |vector| vec![2; vector.len()]));
                repetitions.extend((0..vector.map_or(1, <[f32]>::len)).map(|i| i16::from(i > 0)));
                values.extend_from_slice(vector.unwrap_or_default());
            }
            let mut column = group.next_column()?.context("a column is missing")?;
            column.typed::<FloatType>().write_batch(&values, Some(&definitions), Some(&repetitions))?;
            column.close()?;
        }
        group.close()?;
        self.rows += points.len();
        Ok(())
    }

    /// Ends the file, durably; returns its rows.
    pub fn finish(mut self) -> anyhow::Result<usize> {
        self.inner.finish()?;
        self.inner.inner().sync_all()?;
        Ok(self.rows)
    }
}

/// Reads a file's points, row group by row group.
pub fn read(path: &Path, then: &mut dyn FnMut(Point) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let reader = SerializedFileReader::new(file).with_context(|| path.display().to_string())?;
    for i in 0..reader.num_row_groups() {
        let group = reader.get_row_group(i)?;
        let points = read_group(&*group).with_context(|| format!("{}: row group {i}", path.display()))?;
        points.into_iter().try_for_each(&mut *then)?;
    }
    Ok(())
}

fn read_group(group: &dyn RowGroupReader) -> anyhow::Result<Vec<Point>> {
    let rows = usize::try_from(group.metadata().num_rows())?;
    let (mut ids, mut payloads) = (None, None);
    let mut vectors = vec![NamedVectors::new(); rows];
    for i in 0..group.num_columns() {
        let column = group.metadata().column(i).column_descr_ptr();
        let root = column.path().parts().first().cloned().unwrap_or_default();
        let reader = group.get_column_reader(i)?;
        match (root.as_str(), reader) {
            ("id", ColumnReader::ByteArrayColumnReader(mut reader)) => {
                let texts = cells::<ByteArrayType>(&mut reader, rows, column.max_def_level())?;
                ids =
                    Some(texts.into_iter().map(|cell| id(&text(cell)?)).collect::<anyhow::Result<Vec<_>>>()?);
            }
            ("id", ColumnReader::Int64ColumnReader(mut reader)) => {
                let cells =
                    cells::<parquet::data_type::Int64Type>(&mut reader, rows, column.max_def_level())?;
                let number =
                    |cell: Vec<i64>| Ok(PointId::Num(u64::try_from(*cell.first().context("id is null")?)?));
                ids = Some(cells.into_iter().map(number).collect::<anyhow::Result<Vec<_>>>()?);
            }
            ("payload", ColumnReader::ByteArrayColumnReader(mut reader)) => {
                let cells = cells::<ByteArrayType>(&mut reader, rows, column.max_def_level())?;
                payloads = Some(cells.into_iter().map(payload).collect::<anyhow::Result<Vec<_>>>()?);
            }
            (root, ColumnReader::FloatColumnReader(mut reader)) if name_of(root).is_some() => {
                let cells = cells::<FloatType>(&mut reader, rows, column.max_def_level())?;
                put(&mut vectors, root, cells, |component| component);
            }
            (root, ColumnReader::DoubleColumnReader(mut reader)) if name_of(root).is_some() => {
                let cells =
                    cells::<parquet::data_type::DoubleType>(&mut reader, rows, column.max_def_level())?;
                #[allow(clippy::cast_possible_truncation)]
                put(&mut vectors, root, cells, |component| component as f32);
            }
            (other, _) => {
                bail!("column `{other}` is none of id, payload, vector, vector:<name>, or has another type")
            }
        }
    }
    let ids = ids.context("there is no column `id`")?;
    let payloads = payloads.unwrap_or_else(|| vec![Payload::new(); rows]);
    let points = ids.into_iter().zip(vectors).zip(payloads);
    Ok(points.map(|((id, vectors), payload)| Point { id, vectors, payload }).collect())
}

fn put<T>(vectors: &mut [NamedVectors], column: &str, cells: Vec<Vec<T>>, to_f32: impl Fn(T) -> f32) {
    let name = name_of(column).unwrap_or_default();
    for (vectors, cell) in vectors.iter_mut().zip(cells) {
        if !cell.is_empty() {
            vectors.insert(name.to_owned(), cell.into_iter().map(&to_f32).collect());
        }
    }
}

/// The values of each row of a column, none where it is null.
fn cells<T: DataType>(
    reader: &mut parquet::column::reader::ColumnReaderImpl<T>,
    rows: usize,
    max_definition: i16,
) -> anyhow::Result<Vec<Vec<T::T>>> {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let more =
            reader.read_records(rows - read, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        if more.0 == 0 {
            bail!("a column has {read} rows of {rows}");
        }
        read += more.0;
    }
    let mut values = values.into_iter();
    let mut cells = Vec::with_capacity(rows);
    if definitions.is_empty() {
        cells.extend(values.map(|value| vec![value]));
    } else {
        for (i, definition) in definitions.into_iter().enumerate() {
            if repetitions.get(i).is_none_or(|repetition| *repetition == 0) {
                cells.push(Vec::new());
            }
            if definition == max_definition
                && let (Some(cell), Some(value)) = (cells.last_mut(), values.next())
            {
                cell.push(value);
            }
        }
    }
    if cells.len() != rows {
        bail!("a column has {} rows of {rows}", cells.len());
    }
    Ok(cells)
}

fn text(cell: Vec<ByteArray>) -> anyhow::Result<String> {
    Ok(String::from_utf8(cell.first().context("id is null")?.data().to_vec())?)
}

fn id(text: &str) -> anyhow::Result<PointId> {
    PointId::parse(text).map_err(|error| anyhow::anyhow!("id: {error}"))
}

fn payload(cell: Vec<ByteArray>) -> anyhow::Result<Payload> {
    match cell.first() {
        None => Ok(Payload::new()),
        Some(json) => serde_json::from_slice(json.data()).context("payload: expected an object as JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_back_from_a_file_as_they_were_with_and_without_vectors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.parquet");
        let point = |i: u64| {
            let mut vectors = NamedVectors::from([("a".to_owned(), vec![i as f32, f32::MIN_POSITIVE])]);
            if i.is_multiple_of(3) {
                vectors.insert(String::new(), vec![0.1; 5]);
            }
            let id = if i.is_multiple_of(2) {
                PointId::Num(u64::MAX - i)
            } else {
                PointId::Uuid(uuid::Uuid::from_u128(i.into()))
            };
            Point { id, vectors, payload: Payload::from_iter([("n".to_owned(), i.into())]) }
        };
        let points: Vec<Point> = (0..50).map(point).collect();
        let names = [String::new(), "a".to_owned(), "never".to_owned()];
        let mut writer = Writer::new(File::create(&path).unwrap(), &names).unwrap();
        points.chunks(20).for_each(|chunk| writer.write(chunk).unwrap());
        assert_eq!(writer.finish().unwrap(), 50);
        let mut found = Vec::new();
        read(&path, &mut |point| {
            found.push(point);
            Ok(())
        })
        .unwrap();
        assert_eq!(found, points);
    }

    #[test]
    fn a_file_that_is_no_parquet_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.parquet");
        std::fs::write(&path, "no parquet at all").unwrap();
        let error = format!("{:#}", read(&path, &mut |_| Ok(())).unwrap_err());
        assert!(error.contains("p.parquet"), "{error}");
    }
}
