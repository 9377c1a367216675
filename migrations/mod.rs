//! The steps that bring an older data directory up to date: numbered, in order, forward only.
//!
//! A step imports only std, sled, our `Error`, and structs that are frozen inside its own file:
//! it must do tomorrow what it did when it was released. What a step writes is durable before
//! the version says so. A released step never changes; the test below holds its hash.
//!
//! The version stands in `SCHEMA`, and once more in `SCHEMA.copy`, so that one damaged file does
//! not keep anyone from their data.

mod m0001_initial;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// One step.
struct Step {
    /// The version that the directory has behind it.
    version: u32,
    /// What it does, for the log.
    what: &'static str,
    /// Does it. Called again where it was cut short.
    run: fn(&Path) -> Result<()>,
}

const STEPS: &[Step] =
    &[Step { version: 1, what: "a directory for the collections", run: m0001_initial::run }];

/// The version that this program reads and writes.
pub fn current() -> u32 {
    STEPS.last().map_or(0, |step| step.version)
}

/// Brings the data directory up to date.
///
/// # Errors
/// `Unavailable` where a newer lookalike wrote it, naming both versions; `Corrupted` where the
/// version cannot be read; `Io`.
pub fn migrate(dir: &Path) -> Result<()> {
    take(dir, STEPS)
}

fn take(dir: &Path, steps: &[Step]) -> Result<()> {
    let newest = steps.last().map_or(0, |step| step.version);
    let found = known(dir, newest)?;
    for step in steps.iter().filter(|step| step.version > found) {
        tracing::info!("schema version {}: {}", step.version, step.what);
        (step.run)(dir)?;
        // What the step wrote is durable before the version says so.
        write_version(dir, step.version)?;
    }
    if version_in(&dir.join("SCHEMA"))? != Some(newest)
        || version_in(&dir.join("SCHEMA.copy"))? != Some(newest)
    {
        write_version(dir, newest)?;
    }
    Ok(())
}

/// The version of a data directory, 0 for a new one; changes nothing.
///
/// # Errors
/// As [`migrate`].
pub fn found(dir: &Path) -> Result<u32> {
    known(dir, current())
}

fn known(dir: &Path, newest: u32) -> Result<u32> {
    let found = version(dir)?;
    if found > newest {
        return Err(Error::Unavailable(format!(
            "the data directory {} has schema version {found} and this lookalike knows versions up to {newest}; use a newer lookalike",
            dir.display()
        )));
    }
    Ok(found)
}

/// The version of a data directory; 0 for a new one.
fn version(dir: &Path) -> Result<u32> {
    let found = [version_in(&dir.join("SCHEMA"))?, version_in(&dir.join("SCHEMA.copy"))?];
    if let Some(version) = found.into_iter().flatten().max() {
        return Ok(version);
    }
    // A new directory, or one whose very first step was cut short.
    let is_new = match fs::read_dir(dir.join("collections")) {
        Ok(mut items) => items.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if is_new {
        return Ok(0);
    }
    Err(Error::Corrupted(format!(
        "{}: SCHEMA and SCHEMA.copy are both damaged or missing; restore one of them from a backup",
        dir.display()
    )))
}

fn line(version: u32) -> String {
    let text = format!("lookalike schema {version}");
    format!("{text} crc32c {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn version_in(path: &Path) -> Result<Option<u32>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path, &error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let version = text.split(' ').nth(2).and_then(|number| number.parse().ok());
    Ok(version.filter(|version| line(*version) == text))
}

fn write_version(dir: &Path, version: u32) -> Result<()> {
    for name in ["SCHEMA.copy", "SCHEMA"] {
        let (aside, path) = (dir.join("SCHEMA.new"), dir.join(name));
        let write = || {
            let mut file = File::create(&aside)?;
            file.write_all(line(version).as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|error| at(&path, &error))?;
    }
    Ok(())
}

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of all released steps. A changed hash means that a released step changed:
    /// undo it and write a new step.
    const RELEASED: &[(u32, &str, u32)] = &[(1, include_str!("m0001_initial.rs"), 1_192_423_984)];

    #[test]
    fn a_released_step_never_changes() {
        assert_eq!(RELEASED.len(), STEPS.len());
        for ((version, source, hash), step) in RELEASED.iter().zip(STEPS) {
            assert_eq!(*version, step.version);
            assert_eq!(crc32c::crc32c(source.as_bytes()), *hash, "the source of step {version} changed");
            for used in source.lines().filter(|line| line.starts_with("use ")) {
                let is_allowed = ["use std::", "use sled::", "use crate::error::"];
                assert!(is_allowed.iter().any(|start| used.starts_with(start)), "step {version}: {used}");
            }
        }
    }

    #[test]
    fn steps_are_numbered_from_one_without_a_gap() {
        for (expected, step) in (1..).zip(STEPS) {
            assert_eq!(step.version, expected);
        }
    }

    /// Two steps, of which the second is cut short behind its first and before its second flush
    /// as long as there is a file `kill`.
    const WITH_A_KILL: &[Step] = &[
        Step { version: 1, what: "", run: m0001_initial::run },
        Step {
            version: 2,
            what: "",
            run: |dir| {
                fs::write(dir.join("collections/count"), "x")?;
                let runs = fs::read_to_string(dir.join("runs")).unwrap_or_default();
                fs::write(dir.join("runs"), runs + "run ")?;
                if dir.join("kill").exists() { Err(Error::Io("killed".to_owned())) } else { Ok(()) }
            },
        },
    ];

    #[test]
    fn a_step_that_was_killed_between_its_two_flushes_is_done_again_and_no_other_is() {
        let dir = tempfile::tempdir().unwrap();
        let runs = || fs::read_to_string(dir.path().join("runs")).unwrap();
        fs::write(dir.path().join("kill"), "").unwrap();
        assert!(take(dir.path(), WITH_A_KILL).is_err());
        assert_eq!(version(dir.path()).unwrap(), 1, "the data is there, the version is not");
        fs::remove_file(dir.path().join("kill")).unwrap();
        take(dir.path(), WITH_A_KILL).unwrap();
        assert_eq!((version(dir.path()).unwrap(), runs().as_str()), (2, "run run "));
        // Killed between the two files of the version: the newer one counts, nothing runs again.
        fs::write(dir.path().join("SCHEMA"), line(1)).unwrap();
        take(dir.path(), WITH_A_KILL).unwrap();
        assert_eq!((version_in(&dir.path().join("SCHEMA")).unwrap(), runs().as_str()), (Some(2), "run run "));
        assert!(matches!(migrate(dir.path()), Err(Error::Unavailable(_))), "a newer store is refused");
    }

    #[test]
    fn a_newer_directory_is_refused_with_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        migrate(dir.path()).unwrap();
        write_version(dir.path(), 7).unwrap();
        let text = migrate(dir.path()).unwrap_err().to_string();
        assert!(text.contains("version 7") && text.contains("up to 1"), "{text}");
    }

    #[test]
    fn one_damaged_version_file_is_made_again_and_two_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        migrate(dir.path()).unwrap();
        fs::create_dir(dir.path().join("collections/00000001")).unwrap();
        for name in ["SCHEMA", "SCHEMA.copy"] {
            fs::write(dir.path().join(name), "lookalike schema 9").unwrap();
            migrate(dir.path()).unwrap();
            assert_eq!(version_in(&dir.path().join(name)).unwrap(), Some(current()));
        }
        for name in ["SCHEMA", "SCHEMA.copy"] {
            fs::write(dir.path().join(name), "lookalike schema 9").unwrap();
        }
        assert!(matches!(migrate(dir.path()), Err(Error::Corrupted(_))));
    }
}
