//! `lookalike doctor`: examines a data directory offline, and repairs it when asked to.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::storage::{self, Diagnosis, Outlook, StoreOptions};

/// Most lost ids that are printed of a collection.
const SHOWN: usize = 1000;

#[derive(Args)]
pub struct DoctorArgs {
    /// The data directory; no server may be running on it
    #[arg(default_value = "./lookalike-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Heal what can be healed; what is lost stays lost, and what was damaged is kept aside
    #[arg(long)]
    repair: bool,
}

/// Runs the verb; fails where something is wrong, after a repair too.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let mut diagnosis = storage::examine(&args.data_dir)?;
    print(&diagnosis);
    if args.repair && !diagnosis.is_whole() {
        storage::repair(&args.data_dir, StoreOptions::default())?;
        println!("\nafter the repair:");
        diagnosis = storage::examine(&args.data_dir)?;
        print(&diagnosis);
    }
    if diagnosis.is_whole() {
        return Ok(());
    }
    let loses = diagnosis.collections.iter().any(|examined| examined.outlook == Outlook::Loses);
    if loses {
        bail!("something is lost; restore it from a snapshot (`lookalike snapshot restore`)");
    }
    bail!("nothing is lost; `lookalike doctor --repair`, or the next start, heals it");
}

fn print(diagnosis: &Diagnosis) {
    match &diagnosis.schema {
        Ok(version) => println!("schema version {version}"),
        Err(error) => println!("schema: {error}"),
    }
    if let Some(error) = &diagnosis.view {
        println!("the view cannot be read and is made again: {error}");
    }
    for examined in &diagnosis.collections {
        let name = examined.name.as_deref().unwrap_or("?");
        let state = match examined.outlook {
            Outlook::Whole => "whole",
            Outlook::Heals => "damaged, heals without loss",
            Outlook::Loses => "damaged, something is lost",
        };
        println!(
            "collection {name} ({}): {state}; {} points, {} segments, {:.1} MiB",
            examined.dir.display(),
            examined.points,
            examined.segments,
            examined.bytes as f64 / f64::from(1 << 20)
        );
        examined.findings.iter().for_each(|finding| println!("  - {finding}"));
        if !examined.lost.is_empty() {
            let ids: Vec<String> = examined.lost.iter().take(SHOWN).map(ToString::to_string).collect();
            println!("  {} points are lost: {}", examined.lost.len(), ids.join(", "));
        }
    }
}
