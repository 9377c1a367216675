//! `lookalike export`, and the points of `lookalike import`: all points of a collection as JSON lines
//! (as Qdrant's API has a point: `{"id", "vector", "payload"}`) or as Parquet, between a file and a
//! running server, or a data directory that no server has open.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::client::{Client, ServerArgs};
use super::parquet_file;
use crate::collection::Collection;
use crate::storage::{Store, StoreOptions};
use crate::types::{CollectionConfig, CollectionName, Distance, NamedVectors, Point, PointId};

/// Points that are read or written at once.
const BATCH: usize = 500;
/// Longest line of a JSON lines file, bytes.
const MAX_LINE: u64 = 64 * 1024 * 1024;

#[derive(Args)]
pub struct TransferArgs {
    /// The collection
    collection: String,
    /// The file; `.parquet` is Parquet, anything else JSON lines
    file: PathBuf,
    /// Offline, this data directory instead of the running server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Reads a distance as it is typed.
pub fn parse_distance(text: &str) -> Result<Distance, String> {
    let mut name = text.to_lowercase();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    serde_json::from_value(name.into()).map_err(|_| "use cosine, dot, euclid or manhattan".to_owned())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Where the collection is.
pub enum Place {
    Server(Client, String),
    Store(Store, CollectionName),
}

/// Runs `lookalike export`.
pub fn export(args: &TransferArgs) -> anyhow::Result<()> {
    let name = CollectionName::parse(&args.collection)?;
    let place = Place::new(&name, args.data_dir.as_deref(), &args.server)?;
    let aside = args.file.with_extension("part");
    let file = File::create(&aside).with_context(|| aside.display().to_string())?;
    let count = if is_parquet(&args.file) {
        let names = place.vector_names()?;
        let mut writer = parquet_file::Writer::new(file, &names)?;
        let mut batch = Vec::new();
        place.each(&mut |point| {
            batch.push(point);
            if batch.len() == parquet_file::ROWS { writer.write(&std::mem::take(&mut batch)) } else { Ok(()) }
        })?;
        writer.write(&batch)?;
        writer.finish()?
    } else {
        let mut writer = BufWriter::new(file);
        let mut count = 0;
        place.each(&mut |point| {
            count += 1;
            serde_json::to_writer(&mut writer, &to_json(&point))?;
            Ok(writer.write_all(b"\n")?)
        })?;
        writer.into_inner().context("writing the end of the file")?.sync_all()?;
        count
    };
    std::fs::rename(&aside, &args.file)?;
    println!("{count} points of {} are in {}", args.collection, args.file.display());
    place.close()
}

/// Writes the points of a file into a collection; returns how many.
///
/// # Errors
/// The first point that is none, with its line; what stands before it is written.
pub fn import_points(place: Place, file: &Path, distance: Distance) -> anyhow::Result<usize> {
    let mut target = Target { place: &place, distance, open: None, batch: Vec::new(), count: 0 };
    if is_parquet(file) {
        parquet_file::read(file, &mut |point| target.take(point))?;
    } else {
        let mut reader = BufReader::new(File::open(file).with_context(|| file.display().to_string())?);
        for number in 1.. {
            let mut line = String::new();
            let read = std::io::Read::take(&mut reader, MAX_LINE).read_line(&mut line)?;
            if read == 0 {
                break;
            }
            if !line.trim().is_empty() {
                let point = from_json(&line).with_context(|| format!("{}: line {number}", file.display()))?;
                target.take(point)?;
            }
        }
    }
    target.flush()?;
    let count = target.count;
    drop(target);
    place.close()?;
    Ok(count)
}

impl Place {
    /// The collection `name` of a data directory, or else of a server.
    ///
    /// # Errors
    /// Where the directory cannot be opened.
    pub fn new(name: &CollectionName, data_dir: Option<&Path>, server: &ServerArgs) -> anyhow::Result<Self> {
        Ok(match data_dir {
            Some(dir) => Place::Store(Store::open(dir, StoreOptions::default())?, name.clone()),
            None => Place::Server(server.client(), format!("/collections/{name}")),
        })
    }

    fn vector_names(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Place::Store(store, name) => {
                let volume = store.volumes().into_iter().find(|volume| volume.name() == name);
                let config = volume.with_context(|| format!("there is no collection {name}"))?.config();
                Ok(config.vectors.into_keys().collect())
            }
            Place::Server(server, path) => {
                let info = server.call("GET", path, None)?;
                Ok(match &info["config"]["params"]["vectors"] {
                    Value::Object(map) if map.contains_key("size") => vec![String::new()],
                    Value::Object(map) => map.keys().cloned().collect(),
                    _ => Vec::new(),
                })
            }
        }
    }

    /// Hands every point on, in the order of ids.
    fn each(&self, then: &mut dyn FnMut(Point) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match self {
            Place::Store(store, name) => {
                let volume = store.volumes().into_iter().find(|volume| volume.name() == name);
                let volume = volume.with_context(|| format!("there is no collection {name}"))?;
                let mut failed = None;
                volume
                    .scan(|id, stored| {
                        let point = Point { id, vectors: stored.vectors, payload: stored.payload };
                        then(point).map_err(|error| {
                            let text = error.to_string();
                            failed = Some(error);
                            crate::error::Error::Io(text)
                        })
                    })
                    .map_err(|error| failed.take().unwrap_or_else(|| error.into()))?;
                match volume.read_only_reason() {
                    Some(reason) => bail!("not all points could be read: {reason}"),
                    None => Ok(()),
                }
            }
            Place::Server(server, path) => {
                let mut offset = Value::Null;
                loop {
                    let body =
                        json!({"limit": BATCH, "offset": offset, "with_payload": true, "with_vector": true});
                    let page = server.call("POST", &format!("{path}/points/scroll"), Some(&body))?;
                    for point in page["points"].as_array().into_iter().flatten() {
                        then(from_value(point.clone())?)?;
                    }
                    offset = page["next_page_offset"].clone();
                    if offset.is_null() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn close(self) -> anyhow::Result<()> {
        match self {
            Place::Store(store, _) => Ok(store.close()?),
            Place::Server(..) => Ok(()),
        }
    }
}

/// Collects points and writes them; creates the collection from the first if need be.
struct Target<'a> {
    place: &'a Place,
    distance: Distance,
    /// The collection in a store.
    open: Option<Collection>,
    batch: Vec<Point>,
    count: usize,
}

impl Target<'_> {
    fn take(&mut self, point: Point) -> anyhow::Result<()> {
        if self.count == 0 && self.batch.is_empty() {
            self.begin(&point)?;
        }
        self.batch.push(point);
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn begin(&mut self, first: &Point) -> anyhow::Result<()> {
        let sizes: Vec<(&String, usize)> = first.vectors.iter().map(|(name, v)| (name, v.len())).collect();
        match self.place {
            Place::Store(store, name) => {
                let found = store.volumes().into_iter().find(|volume| volume.name() == name);
                let volume = match found {
                    Some(volume) => volume,
                    None => {
                        let mut config = CollectionConfig::single(1, self.distance);
                        let params = config.vectors.remove("").context("no vector parameters")?;
                        for (name, size) in sizes {
                            let mut params = params.clone();
                            params.size = size;
                            config.vectors.insert(name.clone(), params);
                        }
                        config.validate()?;
                        store.create(name, &config)?
                    }
                };
                self.open = Some(Collection::open(volume)?);
            }
            Place::Server(server, path) => {
                if server.find(path)?.is_none() {
                    let params = |size: usize| json!({"size": size, "distance": self.distance});
                    let vectors = match sizes.as_slice() {
                        [(name, size)] if name.is_empty() => params(*size),
                        sizes => sizes.iter().map(|(name, size)| ((*name).clone(), params(*size))).collect(),
                    };
                    server.call("PUT", path, Some(&json!({"vectors": vectors})))?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let points = std::mem::take(&mut self.batch);
        if points.is_empty() {
            return Ok(());
        }
        self.count += points.len();
        match (self.place, &self.open) {
            (Place::Server(server, path), _) => {
                let points: Vec<Value> = points.iter().map(to_json).collect();
                let body = json!({"points": points});
                server.call("PUT", &format!("{path}/points?wait=true"), Some(&body))?;
            }
            (Place::Store(..), Some(collection)) => {
                collection.upsert(points)?;
            }
            (Place::Store(..), None) => bail!("the collection is not open"),
        }
        Ok(())
    }
}

fn to_json(point: &Point) -> Value {
    let is_unnamed = point.vectors.len() == 1 && point.vectors.contains_key("");
    let vector = match point.vectors.get("") {
        Some(vector) if is_unnamed => json!(vector),
        _ => json!(point.vectors),
    };
    json!({"id": point.id, "vector": vector, "payload": point.payload})
}

fn from_json(line: &str) -> anyhow::Result<Point> {
    from_value(serde_json::from_str(line)?)
}

fn from_value(value: Value) -> anyhow::Result<Point> {
    let Value::Object(mut map) = value else { bail!("expected an object") };
    let id: PointId = serde_json::from_value(map.remove("id").context("id is missing")?).context("id")?;
    let vectors: NamedVectors = match map.remove("vector").context("vector is missing")? {
        list @ Value::Array(_) => {
            NamedVectors::from([(String::new(), serde_json::from_value(list).context("vector")?)])
        }
        other => serde_json::from_value(other).context("vector")?,
    };
    let payload = match map.remove("payload") {
        None | Some(Value::Null) => Map::new(),
        Some(payload) => serde_json::from_value(payload).context("payload: expected an object")?,
    };
    let others: BTreeSet<&String> = map
        .keys()
        .filter(|key| !["version", "order_value", "shard_key", "score"].contains(&key.as_str()))
        .collect();
    if let Some(unknown) = others.first() {
        bail!("unknown field `{unknown}`; a point has id, vector and payload");
    }
    Ok(Point { id, vectors, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_point_survives_its_line_to_the_last_bit(
            id in any::<u64>(), vector in prop::collection::vec(-1e30_f32..1e30, 1..8), named in any::<bool>(), text in ".{0,20}"
        ) {
            let name = if named { "a" } else { "" };
            let vectors = NamedVectors::from([(name.to_owned(), vector)]);
            let payload = Map::from_iter([("t".to_owned(), text.into())]);
            let point = Point { id: PointId::Num(id), vectors, payload };
            prop_assert_eq!(from_json(&to_json(&point).to_string()).unwrap(), point);
        }
    }

    #[test]
    fn a_line_that_is_no_point_is_refused_by_field() {
        for (line, named) in [
            ("[]", "object"),
            ("{\"vector\": [1]}", "id"),
            ("{\"id\": 1}", "vector"),
            ("{\"id\": -1, \"vector\": [1]}", "id"),
            ("{\"id\": 1, \"vector\": [\"x\"]}", "vector"),
            ("{\"id\": 1, \"vector\": [1], \"payload\": 3}", "payload"),
            ("{\"id\": 1, \"vector\": [1], \"vectors\": 3}", "vectors"),
        ] {
            let error = format!("{:#}", from_json(line).unwrap_err());
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
