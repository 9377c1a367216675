//! Every verb with its arguments, as `--help` says them.

use std::fmt::Write;

use clap::{Arg, Command};

use crate::cell;

pub fn page() -> String {
    let mut command = lookalike::cli::command();
    command.build();
    let mut text =
        "# Command line\n\n`lookalike VERB --help` says the same, `lookalike man` as manual pages.\n\n"
            .to_owned();
    for verb in command.get_subcommands().filter(|verb| is_ours(verb)) {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let name = verb.get_name();
        writeln!(text, "- [{name}](#lookalike-{name}): {}", about.lines().next().unwrap_or_default())
            .unwrap();
    }
    let codes = command.get_after_help().unwrap().to_string();
    writeln!(text, "\n```text\n{}\n```", codes.trim_end()).unwrap();
    for verb in command.get_subcommands_mut() {
        describe(verb, "lookalike", &mut text);
    }
    text
}

fn is_ours(command: &Command) -> bool {
    command.get_name() != "help"
}

fn describe(command: &mut Command, parent: &str, text: &mut String) {
    if !is_ours(command) {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let level = "#".repeat(name.split(' ').count().min(4));
    writeln!(text, "\n{level} {name}\n").unwrap();
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        writeln!(text, "{}\n", about.to_string().trim_end()).unwrap();
    }
    let usage = command.render_usage().to_string();
    writeln!(text, "```text\n{}\n```", usage.trim_start_matches("Usage: ").trim_end()).unwrap();
    let shown: Vec<&Arg> =
        command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())).collect();
    if !shown.is_empty() {
        text.push_str("\n| | default | |\n|---|---|---|\n");
        shown.iter().for_each(|arg| row(arg, text));
    }
    for verb in command.get_subcommands_mut() {
        describe(verb, &name, text);
    }
}

fn row(arg: &Arg, text: &mut String) {
    let takes_value = arg.get_action().takes_values();
    let value = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>"));
    let value = if takes_value { value.collect::<Vec<_>>().join(" ") } else { String::new() };
    let mut name = match arg.get_long() {
        Some(long) => format!("--{long} {value}"),
        None => value,
    };
    if let Some(short) = arg.get_short() {
        name = format!("-{short}, {name}");
    }
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let mut default = defaults.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(", ");
    if !takes_value || arg.is_hide_default_value_set() {
        default.clear();
    }
    let mut help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    if takes_value && !arg.is_hide_possible_values_set() {
        for possible in arg.get_possible_values() {
            let why = possible.get_help().map(|why| format!(" ({why})")).unwrap_or_default();
            write!(help, "; `{}`{why}", possible.get_name()).unwrap();
        }
    }
    if let Some(variable) = arg.get_env() {
        write!(help, "; `{}` in the environment", variable.to_string_lossy()).unwrap();
    }
    // clap's own words for a default that the code decides.
    if let Some((rest, said)) = help.clone().split_once(" [default: ") {
        let (said, after) = said.split_once(']').unwrap_or((said, ""));
        (default, help) = (said.to_owned(), format!("{rest}{after}"));
    }
    writeln!(text, "| `{}` | {} | {} |", cell(&name), cell(&default), cell(&help)).unwrap();
}
