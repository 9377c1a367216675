//! Storage against what a disk and a power cut can do to it. Each test takes a bounded share of
//! its gate; `scripts/soak` runs the whole of it (`SOAK=1`), and `SEED=n` repeats a run.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corruption;
mod doctor;
mod faults;
mod fixtures;
mod image;
mod power;
mod process;
mod workload;

/// How many rounds a test takes: its share, the whole gate, or what the variable `name` says.
fn rounds(name: &str, share: u64, gate: u64) -> u64 {
    let given = std::env::var(name).ok().and_then(|rounds| rounds.parse().ok());
    given.unwrap_or(if std::env::var_os("SOAK").is_some() { gate } else { share })
}

/// The seed of a run, printed so that it can be repeated.
fn seed(test: &str) -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) << 20 ^ now());
    println!("{test}: SEED={seed}");
    seed
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into()
}

/// One row of the table that `scripts/soak` collects.
fn row(test: &str, rounds: u64, found: &str) {
    println!("SOAK| {test} | {rounds} | {found} |");
}
