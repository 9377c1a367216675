//! `lookalike snapshot`: snapshots of a running server, and collections or whole stores brought
//! back from an archive, over the server or offline into a data directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::ServerArgs;
use crate::storage::{Store, StoreOptions};
use crate::types::CollectionName;

#[derive(Args)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a snapshot of a collection, or of all, on the server.
    Create(Which),
    /// List the server's snapshots.
    List(Which),
    /// Write a snapshot of the server to a file here.
    Download {
        /// The snapshot's name
        snapshot: String,
        /// The file [default: the snapshot's name]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
    },
    /// Delete a snapshot on the server.
    Delete {
        /// The snapshot's name
        snapshot: String,
        #[command(flatten)]
        which: Which,
    },
    /// Bring a collection back from an archive, in place of the one of its name; with --data-dir
    /// and no --collection, a whole store into a new directory.
    Restore {
        /// The archive
        file: PathBuf,
        /// Offline, into this data directory, instead of into the running server
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
struct Which {
    /// The collection [default: the whole store]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Which {
    fn path(&self) -> String {
        match &self.collection {
            Some(name) => format!("/collections/{name}/snapshots"),
            None => "/snapshots".to_owned(),
        }
    }
}

/// Runs the verb.
pub fn run(args: &SnapshotArgs) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Create(which) => {
            print(&which.server.client().call("POST", &which.path(), None)?);
            Ok(())
        }
        Verb::List(which) => {
            let list = which.server.client().call("GET", &which.path(), None)?;
            list.as_array().into_iter().flatten().for_each(print);
            Ok(())
        }
        Verb::Download { snapshot, to, which } => {
            let to = to.clone().unwrap_or_else(|| PathBuf::from(snapshot));
            let bytes = which.server.client().download(&format!("{}/{snapshot}", which.path()), &to)?;
            println!("{} ({bytes} bytes)", to.display());
            Ok(())
        }
        Verb::Delete { snapshot, which } => {
            which.server.client().call("DELETE", &format!("{}/{snapshot}", which.path()), None)?;
            Ok(())
        }
        Verb::Restore { file, data_dir: None, which } => {
            let name = which.collection.as_deref().context("name the collection with --collection")?;
            which.server.client().upload(&format!("/collections/{name}/snapshots/upload"), file)?;
            println!("collection {name} is restored");
            Ok(())
        }
        Verb::Restore { file, data_dir: Some(dir), which } => match &which.collection {
            Some(name) => restore_one(file, dir, name),
            None => restore_all(file, dir),
        },
    }
}

/// Name, time, bytes and SHA-256 of a snapshot on a line.
fn print(snapshot: &Value) {
    let text = |key: &str| snapshot[key].as_str().unwrap_or("-").to_owned();
    println!("{}  {}  {}  {}", text("name"), text("creation_time"), snapshot["size"], text("checksum"));
}

fn restore_one(file: &Path, dir: &Path, name: &str) -> anyhow::Result<()> {
    let name = CollectionName::parse(name)?;
    let store = Store::open(dir, StoreOptions::default())?;
    store.unpack(file, None, |contents| {
        let content = contents.iter().find(|content| content.name == name || contents.len() == 1);
        let content = content.ok_or_else(|| {
            crate::error::Error::NotFound(format!("the snapshot holds no collection `{name}`"))
        })?;
        let restored = store.restore(&name, content)?;
        println!("collection {name} is restored with {} points", restored.volume.len());
        Ok(())
    })?;
    store.close()?;
    Ok(())
}

/// Fills a directory beside, which then takes the place of `dir`: all of it or nothing.
fn restore_all(file: &Path, dir: &Path) -> anyhow::Result<()> {
    if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty; name an empty or new directory, or one --collection", dir.display());
    }
    let aside = dir.with_extension("restoring");
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    {
        let store = Store::open(&aside, StoreOptions::default())?;
        store.unpack(file, None, |contents| {
            for content in &contents {
                let restored = store.restore(&content.name, content)?;
                println!("collection {} is restored with {} points", content.name, restored.volume.len());
            }
            Ok(())
        })?;
        store.close()?;
    }
    std::fs::rename(&aside, dir).with_context(|| dir.display().to_string())?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
