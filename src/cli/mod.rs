//! The command line: one file or folder a verb. Exit codes stand in `exit.rs`.

mod adapt;
mod audit;
mod banner;
mod bench;
mod client;
mod demo;
mod doctor;
mod eval;
mod exit;
mod health;
mod import;
mod interrupt;
mod manual;
mod models;
mod parquet_file;
mod patience;
mod pictures;
mod search;
mod serve;
mod signatures;
mod snapshot;
mod tasks;
mod transfer;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Device, Overrides, Precision, Settings};

#[derive(Parser)]
#[command(name = "lookalike", version, about, long_about = None, propagate_version = true, after_help = exit::TABLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve collections over HTTP.
    Serve(SettingsArgs),
    /// Serve, ingest the bundled sample pictures and search them.
    Demo(demo::DemoArgs),
    /// Compare models and prompt templates on your own labelled or captioned pictures.
    Eval(eval::EvalArgs),
    /// Fit heads on a collection's own labels, and apply what is better than no head.
    Adapt(adapt::AdaptArgs),
    /// Enrol reference signatures of a subject.
    Enrol(signatures::EnrolArgs),
    /// Is this the subject's signature? Exit codes: 0 accept, 1 failed, 3 reject, 4 review.
    Verify(signatures::VerifyArgs),
    /// Whose signature is this? Exit codes: 0 somebody's, 1 failed, 3 nobody's, 4 review.
    Identify(signatures::IdentifyArgs),
    /// Find thresholds for chosen error rates on a collection's own signatures.
    Calibrate(signatures::CalibrateArgs),
    /// List and delete the subjects of a collection of signatures.
    Subjects(signatures::SubjectsArgs),
    /// Export or check the audit log of a collection of signatures.
    Audit(audit::AuditArgs),
    /// Make, list, download, delete and restore snapshots.
    Snapshot(snapshot::SnapshotArgs),
    /// List, show and cancel what a server does in the background.
    Tasks(tasks::TasksArgs),
    /// Examine a data directory offline, and repair it.
    Doctor(doctor::DoctorArgs),
    /// Write all points of a collection to a file, as JSON lines or Parquet.
    Export(transfer::TransferArgs),
    /// Import pictures, texts or points: folders, patterns, tar, WebDataset, Parquet, JSON lines.
    Import(Box<import::ImportArgs>),
    /// Search a collection by words, by a picture, or both.
    Search(Box<search::SearchArgs>),
    /// Ask a server whether it is ready.
    Health(health::HealthArgs),
    /// List models.
    Models(models::ModelsArgs),
    /// Measure what this machine reaches.
    Bench(bench::BenchArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Print completions for a shell.
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one for every verb.
    Man(manual::ManArgs),
}

/// Settings that can be given as flags; every setting can also stand in the TOML file or in the
/// environment as `LOOKALIKE_NAME`.
#[derive(Args, Clone, Default)]
struct SettingsArgs {
    /// TOML file with settings [default: ./lookalike.toml if it is there]
    #[arg(long, env = "LOOKALIKE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose [default: 6333]
    #[arg(long)]
    port: Option<u16>,
    /// Directory that holds all data [default: ./lookalike-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// `bundled`, a directory in Hugging Face layout, or a hub id such as openai/clip-vit-base-patch32 [default: bundled]
    #[arg(long)]
    model: Option<String>,
    /// A further model, loaded when it is first used; may be repeated
    #[arg(long, value_name = "MODEL")]
    also_model: Vec<String>,
    /// Unload a further model that was not used for so long; 0 never does [default: 900]
    #[arg(long, value_name = "SECONDS")]
    model_idle_secs: Option<u64>,
    /// Weights that may be loaded at once, MiB; 0 is no bound [default: 0]
    #[arg(long, value_name = "MIB")]
    model_memory_mib: Option<usize>,
    /// Where the model runs: auto, cpu, cuda or metal [default: auto]
    #[arg(long, value_parser = parse_device)]
    device: Option<Device>,
    /// Numbers that the model calculates with: f32, bf16 or int8 (CPU), f16 (GPU) or auto [default: f32]
    #[arg(long, value_parser = parse_precision)]
    precision: Option<Precision>,
    /// Never fetch a model from the hub
    #[arg(long)]
    offline: bool,
    /// Key that clients must send
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Serve other machines without a key
    #[arg(long)]
    insecure: bool,
    /// Vectors kept for inputs that come again, MiB; 0 keeps none [default: 64]
    #[arg(long, value_name = "MIB")]
    embed_cache_mib: Option<usize>,
    /// Threads that decode pictures; 0 is the cores [default: 0]
    #[arg(long, value_name = "N")]
    decode_threads: Option<usize>,
    /// Pixels that may be decoded at once, MiB [default: 512]
    #[arg(long, value_name = "MIB")]
    decode_memory_mib: Option<usize>,
    /// Keep no small copies of ingested pictures
    #[arg(long)]
    no_thumbnails: bool,
    /// Keep ingested picture files as they are, beside their points
    #[arg(long)]
    originals: bool,
}

fn parse_device(text: &str) -> Result<Device, String> {
    serde_json::from_value(text.into()).map_err(|_| "use auto, cpu, cuda or metal".to_owned())
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    serde_json::from_value(text.into()).map_err(|_| "use f32, bf16, f16, int8 or auto".to_owned())
}

impl SettingsArgs {
    /// Of a verb that runs models but serves nothing.
    fn of_model(device: Option<Device>, precision: Option<Precision>, offline: bool) -> Self {
        Self { device, precision, offline, ..Self::default() }
    }

    fn settings(&self) -> crate::error::Result<Settings> {
        let overrides = Overrides {
            host: self.host,
            port: self.port,
            data_dir: self.data_dir.clone(),
            model: self.model.clone(),
            also_model: (!self.also_model.is_empty()).then(|| self.also_model.clone()),
            model_idle_secs: self.model_idle_secs,
            model_memory_mib: self.model_memory_mib,
            device: self.device,
            precision: self.precision,
            // A switch that is not typed leaves the file and the environment their say.
            offline: self.offline.then_some(true),
            api_key: self.api_key.clone(),
            insecure: self.insecure.then_some(true),
            embed_cache_mib: self.embed_cache_mib,
            decode_threads: self.decode_threads,
            decode_memory_mib: self.decode_memory_mib,
            thumbnails: self.no_thumbnails.then_some(false),
            originals: self.originals.then_some(true),
        };
        Settings::read(self.config.as_deref(), &overrides)
    }
}

/// The definition of the command line.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line and runs the verb.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let done = match cli.verb {
        Verb::Enrol(args) => signatures::enrol(&args),
        Verb::Verify(args) => signatures::verify(&args),
        Verb::Identify(args) => signatures::identify(&args),
        Verb::Calibrate(args) => signatures::calibrate(&args),
        Verb::Subjects(args) => signatures::subjects(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Demo(args) => demo::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Eval(args) => eval::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Adapt(args) => adapt::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Snapshot(args) => snapshot::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Tasks(args) => tasks::run(&args),
        Verb::Doctor(args) => doctor::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Export(args) => transfer::export(&args).map(|()| ExitCode::SUCCESS),
        Verb::Import(args) => import::run(&args),
        Verb::Search(args) => search::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Health(args) => health::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Models(args) => models::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Completions(args) => {
            manual::completions(&args, command());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Man(args) => manual::man(&args, command()).map(|()| ExitCode::SUCCESS),
        Verb::Openapi => print_openapi().map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lookalike: {error:#}");
            exit::code_of(&error)
        }
    }
}

fn print_openapi() -> anyhow::Result<()> {
    println!("{}", crate::http::openapi_document().to_pretty_json()?);
    Ok(())
}

/// `LOOKALIKE_LOG` chooses what is logged, as `info,lookalike=debug`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LOOKALIKE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,lookalike=info"));
    // A second call (in tests) finds the log already set up.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}
