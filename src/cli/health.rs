//! `lookalike health`: whether a server answers, for containers and scripts: exit code 0, or 6.

use std::time::Duration;

use clap::Args;

use super::client::Client;

/// Who asks often wants an answer soon.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct HealthArgs {
    /// The server; needs no key
    #[arg(long, value_name = "URL", env = "LOOKALIKE_URL", default_value = "http://localhost:6333")]
    url: String,
}

/// Runs the verb.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let answer = Client::new(&args.url, None, TIMEOUT).lines("/readyz")?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}
