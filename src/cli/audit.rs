//! `lookalike audit`: exports a collection's audit log as JSON lines, and checks its chain of hashes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::client::ServerArgs;
use crate::storage::check_audit;
use crate::types::CollectionName;

#[derive(Args)]
pub struct AuditArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The collection
    #[arg(long, short, value_name = "NAME", required_unless_present = "file")]
    collection: Option<String>,
    /// Check that no line was changed, removed or put in; exit code 1 where one was
    #[arg(long)]
    check: bool,
    /// Check an exported file instead of a server's log
    #[arg(long, value_name = "FILE", requires = "check", conflicts_with = "collection")]
    file: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let text = match (&args.file, &args.collection) {
        (Some(file), _) => std::fs::read(file).with_context(|| file.display().to_string())?,
        (None, name) => {
            let name = CollectionName::parse(name.as_deref().unwrap_or_default()).context("--collection")?;
            args.server.client().lines(&format!("/collections/{name}/audit"))?
        }
    };
    if !args.check {
        std::io::stdout().write_all(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = check_audit(&text);
    if let Some((line, why)) = &found.broken {
        eprintln!("lookalike: line {line}: {why}");
        return Ok(ExitCode::FAILURE);
    }
    println!("{} lines hold, from number {}; last hash {}", found.lines, found.first, found.last_hash);
    if found.first > 1 {
        println!("Lines before number {} are not in the log.", found.first);
    }
    Ok(ExitCode::SUCCESS)
}
