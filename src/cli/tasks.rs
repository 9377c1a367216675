//! `lookalike tasks`: long work that a running server does in the background.

use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::client::ServerArgs;
use super::{exit, interrupt};

/// How often a task that is waited for is looked at.
const TICK: Duration = Duration::from_millis(300);

#[derive(Args)]
pub struct TasksArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the tasks, newest first.
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a task as JSON.
    Show {
        /// Its id
        id: String,
        /// Wait until it is over; exit code 1 where it did not end well, 5 where items failed
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Cancel a task: one that runs ends at its next step.
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Runs the verb.
pub fn run(args: &TasksArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::List { server, json } => {
            let answer = server.client().call("GET", "/tasks", None)?;
            let tasks = answer["tasks"].as_array().map_or(&[][..], Vec::as_slice);
            if *json {
                println!("{}", serde_json::to_string_pretty(tasks)?);
            } else {
                println!("{}", table(tasks));
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Show { id, wait, server } => show(server, id, *wait),
        Verb::Cancel { id, server } => {
            let task = server.client().call("DELETE", &format!("/tasks/{id}"), None)?;
            println!("{} {}", text(&task["id"]), text(&task["state"]));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(server: &ServerArgs, id: &str, wait: bool) -> anyhow::Result<ExitCode> {
    let (client, stop) = (server.client(), interrupt::flag());
    loop {
        let task = client.call("GET", &format!("/tasks/{id}"), None)?;
        let is_over = ["done", "failed", "cancelled"].contains(&text(&task["state"]).as_str());
        if wait && !is_over && !stop.load(Relaxed) {
            std::thread::sleep(TICK);
            continue;
        }
        println!("{}", serde_json::to_string_pretty(&task)?);
        return Ok(match (wait, text(&task["state"]).as_str()) {
            (false, _) => ExitCode::SUCCESS,
            (true, "done") if task["failed"].as_u64().unwrap_or(0) > 0 => exit::PARTLY.into(),
            (true, "done") => ExitCode::SUCCESS,
            (true, _) if is_over => exit::FAILED.into(),
            // Ctrl-C ends the waiting, not the task.
            (true, _) => exit::INTERRUPTED.into(),
        });
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn table(tasks: &[Value]) -> Table {
    let mut table = Table::new();
    let header = ["id", "kind", "collection", "state", "done", "failed", "left"];
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    for task in tasks {
        let done = match task["total"].as_u64() {
            Some(total) => format!("{} of {total}", task["done"]),
            None => String::new(),
        };
        let left = task["eta"].as_f64().map(|seconds| format!("{seconds:.0} s")).unwrap_or_default();
        let failed = task["failed"].as_u64().filter(|failed| *failed > 0);
        let failed = failed.map(|failed| failed.to_string()).unwrap_or_default();
        let [id, kind, collection, state] = ["id", "kind", "collection", "state"].map(|key| text(&task[key]));
        table.add_row([id, kind, collection, state, done, failed, left]);
    }
    table
}
