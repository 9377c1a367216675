//! `lookalike models`: which models can be used without a download, and what a running server uses.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::SettingsArgs;
use super::client::ServerArgs;

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
}

/// Runs the verb.
pub fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    let Verb::List { server, which, json } = &args.verb;
    let models = if *server {
        let answer = which.client().call("GET", "/models", None)?;
        answer["models"].as_array().cloned().unwrap_or_default()
    } else {
        local(&cache()?)?
    };
    if *json {
        println!("{}", serde_json::to_string_pretty(&models)?);
        return Ok(());
    }
    let keys: &[&str] = if *server {
        &["name", "dimension", "modalities", "device", "precision", "loaded"]
    } else {
        &["name", "kind", "mib", "place"]
    };
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(keys);
    for model in &models {
        table.add_row(keys.iter().map(|key| match &model[*key] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        }));
    }
    println!("{table}");
    Ok(())
}

/// Where the hub's models are kept: the setting, or the hub's own place.
fn cache() -> anyhow::Result<PathBuf> {
    let settings = SettingsArgs::default().settings()?;
    Ok(settings.model_cache.unwrap_or_else(crate::embed::model_cache))
}

/// The bundled model, and every model of the cache that is there whole.
fn local(cache: &Path) -> anyhow::Result<Vec<Value>> {
    let mut models =
        vec![json!({"name": "bundled", "kind": "inside the binary", "mib": Value::Null, "place": ""})];
    let Ok(entries) = std::fs::read_dir(cache) else { return Ok(models) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| cache.display().to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix("models--") else { continue };
        let is_model = |snapshot: &Path| {
            let has = |file: &str| snapshot.join(file).is_file();
            has("config.json") && (has("model.safetensors") || has("pytorch_model.bin"))
        };
        let snapshots = std::fs::read_dir(entry.path().join("snapshots")).into_iter().flatten().flatten();
        if snapshots.map(|snapshot| snapshot.path()).any(|snapshot| is_model(&snapshot)) {
            let bytes = size(&entry.path().join("blobs"));
            let id = id.replacen("--", "/", 1);
            found.push(json!({"name": id, "kind": "hub, cached", "mib": bytes >> 20, "place": entry.path()}));
        }
    }
    found.sort_by_key(|model| model["name"].to_string());
    models.extend(found);
    Ok(models)
}

fn size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_cache_are_listed_when_they_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        for (model, files) in [
            ("models--openai--clip", &["config.json", "model.safetensors"][..]),
            ("models--half--there", &["config.json"]),
            ("datasets--x--y", &["config.json", "model.safetensors"]),
        ] {
            let snapshot = dir.path().join(model).join("snapshots/abc");
            std::fs::create_dir_all(&snapshot).unwrap();
            files.iter().for_each(|file| std::fs::write(snapshot.join(file), "x").unwrap());
        }
        let found = local(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|model| model["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["bundled", "openai/clip"]);
        assert_eq!(local(Path::new("/nowhere")).unwrap().len(), 1);
    }
}
