//! `lookalike import`: pictures, texts and points into a collection of a running server, or of a data
//! directory that no server has open. The road: `source` finds and reads, `item` names, `send` asks
//! what is there already and sends the rest, `tally` counts and reports, `watch` stays.

mod item;
mod photo;
mod rows;
mod send;
mod shard;
mod source;
mod table;
mod tally;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, bail};
use clap::Args;
use parking_lot::Mutex;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::{SettingsArgs, exit, interrupt, serve, transfer};
use crate::types::{CollectionName, Distance, Payload};
pub use item::read_picture;
use item::{Content, Entry, Ids, Item};
use send::{SendOptions, Sending};
use source::{FieldNames, Source};
use tally::Tally;
use watch::Watch;

/// Most requests at once.
const MAX_PARALLEL: u16 = 64;

#[derive(Args, Clone)]
pub struct ImportArgs {
    /// The collection; it is created where there is none
    collection: String,
    /// Folders, pictures, quoted patterns ('photos/**/*.jpg'), .tar and WebDataset shards, .jsonl or
    /// .parquet of pictures, texts or exported points
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Offline, into this data directory instead of the running server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --data-dir: the model that embeds the pictures [default: bundled]
    #[arg(long, requires = "data_dir")]
    model: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// How vectors of points are compared where the collection is created: cosine, dot, euclid, manhattan
    #[arg(long, default_value = "cosine", value_parser = transfer::parse_distance)]
    distance: Distance,
    /// Name of the vector [default: the unnamed one]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    using: String,
    /// What a picture's id is made from
    #[arg(long, value_enum, default_value = "content")]
    ids: Ids,
    /// Take time, place and camera from the pictures into the payload
    #[arg(long)]
    exif: bool,
    /// Put this into every payload: JSON, or else text; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_pair)]
    payload: Vec<(String, Value)>,
    /// The field of rows that holds the picture [default: image, file, path, image_path, file_name or filename]
    #[arg(long, value_name = "FIELD")]
    picture_field: Option<String>,
    /// The field of rows without a picture that holds the text [default: text]
    #[arg(long, value_name = "FIELD")]
    text_field: Option<String>,
    /// Embed and write also what is in the collection already
    #[arg(long)]
    overwrite: bool,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PARALLEL)))]
    parallel: u16,
    /// Where failed items are reported, as JSON lines
    #[arg(long, value_name = "FILE", default_value = "lookalike-import-errors.jsonl")]
    errors: PathBuf,
    /// Stay, and import what comes into the folders or changes there
    #[arg(long)]
    watch: bool,
    /// With --watch: delete the points of pictures that are removed from the folders while it watches
    #[arg(long, requires = "watch")]
    delete: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// `KEY=VALUE`, the value JSON or else text.
pub fn parse_pair(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Runs the verb.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let name = CollectionName::parse(&args.collection)?;
    let folders = args.folders()?;
    let sources = match folders.as_slice() {
        [] => args.sources.iter().map(|text| Source::open(text)).collect::<anyhow::Result<Vec<_>>>()?,
        folders => folders
            .iter()
            .map(|folder| Source::open(&folder.display().to_string()))
            .collect::<anyhow::Result<_>>()?,
    };
    let (points, sources): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| matches!(source, Source::Points(_)));
    for source in points {
        if let Source::Points(file) = source {
            let place = transfer::Place::new(&name, args.data_dir.as_deref(), &args.server)?;
            let count = transfer::import_points(place, &file, args.distance)?;
            println!("{count} points of {} are in collection {name}", file.display());
        }
    }
    if sources.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    match &args.data_dir {
        None => args.import(&args.server.client(), &name, sources, folders),
        Some(dir) => {
            let flags = SettingsArgs {
                data_dir: Some(dir.clone()),
                model: args.model.clone(),
                ..SettingsArgs::default()
            };
            let settings = flags.settings()?;
            let (args, name) = (args.clone(), name.clone());
            serve::around(settings, move |client| args.import(client, &name, sources, folders))
        }
    }
}

impl ImportArgs {
    /// The folders to watch.
    fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.watch {
            return Ok(Vec::new());
        }
        // What changes is told by whole paths.
        let folders = self.sources.iter().map(std::path::absolute).collect::<std::io::Result<Vec<_>>>()?;
        match folders.iter().find(|folder| !folder.is_dir()) {
            Some(other) => bail!("--watch: {} is no folder; only folders can be watched", other.display()),
            None => Ok(folders),
        }
    }

    fn import(
        &self,
        client: &Client,
        name: &CollectionName,
        sources: Vec<Source>,
        folders: Vec<PathBuf>,
    ) -> anyhow::Result<ExitCode> {
        let options = SendOptions {
            collection: format!("/collections/{name}"),
            using: self.using.clone(),
            ids: self.ids,
            payload: self.payload.iter().cloned().collect::<Payload>(),
            exif: self.exif,
            overwrite: self.overwrite,
            parallel: usize::from(self.parallel),
        };
        let fields = FieldNames { picture: self.picture_field.clone(), text: self.text_field.clone() };
        create(client, &options)?;
        let stop = interrupt::flag();
        let tally = Tally::new(sources.iter().map(Source::weight).sum(), self.errors.clone())?;
        let done = if folders.is_empty() {
            Sending::new(client, &options, &tally, stop).run(|then| each(sources, &fields, then))
        } else {
            let points = std::collections::HashMap::new();
            let deletes = self.delete;
            let mut watch =
                Watch { folders, points, deletes, client, options: &options, tally: &tally, stop };
            watch.run(|watch| {
                let placed = Mutex::default();
                let mut sending = Sending::new(client, &options, &tally, stop);
                sending.placed = Some(&placed);
                sending.run(|then| each(sources, &fields, then))?;
                watch.points.extend(placed.into_inner());
                eprintln!("{}; watching, Ctrl-C ends it", tally.text());
                Ok(())
            })
        };
        tally.finish();
        self.conclude(done, &tally, name, stop)
    }

    fn conclude(
        &self,
        done: anyhow::Result<()>,
        tally: &Tally,
        name: &CollectionName,
        stop: &AtomicBool,
    ) -> anyhow::Result<ExitCode> {
        let is_interrupted = stop.load(Relaxed) && !self.watch;
        if self.json {
            println!("{}", tally.json());
        } else {
            println!("{} into collection {name}", tally.text());
        }
        if done.is_err() || is_interrupted {
            eprintln!("The same command goes on where this one stopped.");
        }
        done.context("the import stopped")?;
        Ok(if is_interrupted {
            exit::INTERRUPTED.into()
        } else if tally.failed.load(Relaxed) > 0 {
            exit::PARTLY.into()
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn each(
    sources: Vec<Source>,
    fields: &FieldNames,
    then: &mut dyn FnMut(Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    sources.into_iter().try_for_each(|source| source.each(fields, then))
}

/// Sends picture files as they are; returns how many were written.
///
/// # Errors
/// Where one is refused, or the server is gone.
pub fn send_bytes<'a>(
    client: &Client,
    collection: &str,
    pictures: impl Iterator<Item = &'a [u8]>,
    stop: &AtomicBool,
) -> anyhow::Result<u64> {
    let options = SendOptions {
        collection: collection.to_owned(),
        using: String::new(),
        ids: Ids::Content,
        payload: Payload::new(),
        exif: false,
        overwrite: true,
        parallel: 4,
    };
    let report = std::env::temp_dir().join(format!("lookalike-{}.jsonl", uuid::Uuid::new_v4()));
    let tally = Tally::new(0, report)?;
    let item = |bytes: &[u8]| Item {
        name: String::new(),
        id: None,
        payload: Payload::new(),
        content: Content::Bytes(bytes.to_vec()),
        weight: 0,
    };
    let mut pictures = pictures;
    Sending::new(client, &options, &tally, stop)
        .run(|then| pictures.try_for_each(|bytes| then(Entry::Good(item(bytes)))))?;
    tally.finish();
    if tally.failed.load(Relaxed) > 0 {
        bail!("{}", tally.text());
    }
    Ok(tally.sent.load(Relaxed))
}

/// Creates the collection where there is none, with a vector of the model's dimension.
fn create(client: &Client, options: &SendOptions) -> anyhow::Result<()> {
    if client.find(&options.collection)?.is_some() {
        return Ok(());
    }
    if !options.using.is_empty() {
        bail!("there is no such collection, and --using names a vector of it; create it first");
    }
    client.call("PUT", &options.collection, Some(&serde_json::json!({})))?;
    Ok(())
}
