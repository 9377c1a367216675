//! `lookalike models`: which models can be used without a download, what a running server uses, and the hub's
//! cache: what is fetched into it and removed from it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::SettingsArgs;
use super::client::ServerArgs;
use crate::embed::{self, Cached, ModelSpec, Pulled, Removed, Revision};

#[derive(Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the bundled model and those of the hub's cache; with --server, what a server uses.
    List {
        /// Ask the running server instead
        #[arg(long)]
        server: bool,
        #[command(flatten)]
        which: ServerArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model from the hub into the cache, or go on where that stopped, and check that it can be used.
    ///
    /// Only the files that are needed are fetched, each is compared with the hash that the hub names, and the
    /// commit is printed: `ID@COMMIT` is this model for ever. `HF_ENDPOINT` names another hub, `HF_TOKEN` is sent
    /// to it; the cache is `model_cache`, or the hub's usual one.
    Pull {
        /// As openai/clip-vit-base-patch32, or with @ and a branch, tag or commit
        #[arg(value_name = "ID[@REVISION]", value_parser = HubId::parse)]
        id: HubId,
        /// Refuse to fetch anything
        #[arg(long)]
        offline: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a model from the cache, or one of its revisions with what no other of them needs.
    Remove {
        /// As openai/clip-vit-base-patch32, or with @ and a branch, tag or commit
        #[arg(value_name = "ID[@REVISION]", value_parser = HubId::parse)]
        id: HubId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A model of the hub, and the revision if one was named.
#[derive(Clone)]
struct HubId {
    id: String,
    revision: Option<String>,
}

impl HubId {
    fn parse(text: &str) -> Result<HubId, String> {
        match ModelSpec::parse(text) {
            Ok(ModelSpec::Hub { id, revision }) => {
                Ok(HubId { id, revision: text.contains('@').then_some(revision) })
            }
            Ok(ModelSpec::Bundled) => Err("the bundled model is inside the binary".into()),
            Ok(ModelSpec::Directory(_)) => {
                Err("expected an id of the hub such as openai/clip-vit-base-patch32, not a directory".into())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Runs the verb.
pub fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    match &args.verb {
        Verb::List { server: true, which, json } => {
            let answer = which.client().call("GET", "/models", None)?;
            let models = answer["models"].as_array().cloned().unwrap_or_default();
            let keys = ["name", "dimension", "modalities", "device", "precision", "loaded", "weight_mib"];
            show(&models, &keys, *json)
        }
        Verb::List { server: false, json, .. } => {
            show(&local(&cache()?), &["name", "kind", "revisions", "mib", "place"], *json)
        }
        Verb::Pull { id, offline, json } => {
            if *offline || SettingsArgs::default().settings()?.offline {
                bail!("offline is set, so that nothing is fetched; leave it out while you are online");
            }
            let revision = id.revision.as_deref().unwrap_or("main");
            let Pulled { commit, path, files, dimension } = embed::pull(&id.id, revision, Some(&cache()?))?;
            let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
            if *json {
                let files: Vec<_> =
                    files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect();
                return print(&json!({"name": id.id, "revision": revision, "commit": commit,
                    "dimension": dimension, "files": files, "place": path}));
            }
            println!("{}@{commit}: {} in {}", id.id, HumanBytes(bytes), path.display());
            println!("vectors of {dimension} dimensions; use it with --model {}@{commit}", id.id);
            Ok(())
        }
        Verb::Remove { id, json } => {
            let Removed { bytes, commits } = embed::remove(&id.id, id.revision.as_deref(), Some(&cache()?))?;
            if *json {
                return print(&json!({"name": id.id, "commits": commits, "bytes": bytes}));
            }
            let what = match &id.revision {
                Some(revision) => format!("{}@{revision}", id.id),
                None => id.id.clone(),
            };
            println!("removed {what}: {} are free", HumanBytes(bytes));
            Ok(())
        }
    }
}

fn print(value: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn show(models: &[Value], keys: &[&str], json: bool) -> anyhow::Result<()> {
    if json {
        return print(&models.into());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(keys);
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| item.as_str().unwrap_or_default()).collect();
            items.join("\n")
        }
        other => other.to_string(),
    };
    for model in models {
        table.add_row(keys.iter().map(|key| cell(&model[*key])));
    }
    println!("{table}");
    Ok(())
}

/// Where the hub's models are kept: the setting, or the hub's own place.
fn cache() -> anyhow::Result<PathBuf> {
    let settings = SettingsArgs::default().settings()?;
    Ok(settings.model_cache.unwrap_or_else(embed::model_cache))
}

/// The bundled model, and every model of the cache that is there whole.
fn local(cache: &Path) -> Vec<Value> {
    let bundled = json!({"name": "bundled", "kind": "inside the binary", "revisions": [], "mib": Value::Null, "place": ""});
    let revision = |Revision { commit, names }: Revision| match names.is_empty() {
        true => commit,
        false => format!("{commit} ({})", names.join(", ")),
    };
    let cached = |Cached { id, revisions, bytes, place }: Cached| {
        let revisions: Vec<_> = revisions.into_iter().map(revision).collect();
        json!({"name": id, "kind": "hub, cached", "revisions": revisions, "mib": bytes >> 20, "place": place})
    };
    std::iter::once(bundled).chain(embed::cached(cache).into_iter().map(cached)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_the_hub_are_fetched_and_removed() {
        let clip = HubId::parse("openai/clip@v1").ok().unwrap();
        assert_eq!((clip.id.as_str(), clip.revision.as_deref()), ("openai/clip", Some("v1")));
        assert_eq!(HubId::parse("openai/clip").ok().unwrap().revision, None);
        for wrong in ["bundled", ".", "/etc", "../a/b", "a/b@../../c", "a/..", "x--y/z", "clip"] {
            assert!(HubId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
