//! `lookalike completions` and `lookalike man`: shell completions and manual pages, from the command
//! line's own definition, so that they never disagree with it.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// Write a page for every verb into this folder, instead of the main one to stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `completions`.
pub fn completions(args: &CompletionsArgs, mut command: Command) {
    clap_complete::generate(args.shell, &mut command, "lookalike", &mut std::io::stdout());
}

/// Runs `man`.
pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    match &args.dir {
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            clap_mangen::generate_to(command, dir).with_context(|| dir.display().to_string())?;
            println!(
                "manual pages are in {}; read one with `man {}/lookalike.1`",
                dir.display(),
                dir.display()
            );
        }
    }
    Ok(())
}
