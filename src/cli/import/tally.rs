//! What an import comes to: counts, the bar with rate and time left, and the report of items that
//! failed: JSON lines `{"item", "error"}` in a file that is only made when the first one fails.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Errors that are printed while the import runs; the report has all.
const SHOWN: u64 = 10;

/// Counts and report of one import.
pub struct Tally {
    /// Written now.
    pub sent: AtomicU64,
    /// In the collection before.
    pub there: AtomicU64,
    /// The same picture once more within this import.
    pub copies: AtomicU64,
    /// In the report.
    pub failed: AtomicU64,
    bar: ProgressBar,
    began: Instant,
    report: Mutex<Report>,
}

struct Report {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Tally {
    /// Nothing yet, of so many bytes; errors will stand in `report`.
    pub fn new(total: u64, report: PathBuf) -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template("{spinner} {wide_bar} {bytes}/{total_bytes}, {msg}, {eta} left")?;
        let bar = ProgressBar::new(total).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        let zero = || AtomicU64::new(0);
        Ok(Self {
            sent: zero(),
            there: zero(),
            copies: zero(),
            failed: zero(),
            bar,
            began: Instant::now(),
            report: Mutex::new(Report { path: report, file: None }),
        })
    }

    /// So many bytes of the source are behind us.
    pub fn advance(&self, weight: u64) {
        self.bar.inc(weight);
        let done = self.sent.load(Relaxed) + self.there.load(Relaxed) + self.copies.load(Relaxed);
        let failed = match self.failed.load(Relaxed) {
            0 => String::new(),
            failed => format!(", {} failed", HumanCount(failed)),
        };
        self.bar.set_message(format!("{} items, {:.0}/s{failed}", HumanCount(done), self.rate(done)));
    }

    /// There is more to do than was said.
    pub fn extend(&self, weight: u64) {
        self.bar.inc_length(weight);
    }

    /// An item failed.
    pub fn fail(&self, item: &str, error: &str) -> anyhow::Result<()> {
        let before = self.failed.fetch_add(1, Relaxed);
        let mut report = self.report.lock();
        let Report { path, file } = &mut *report;
        let file = match file {
            Some(file) => file,
            None => file.insert(BufWriter::new(
                File::create(&*path).with_context(|| format!("{} (--errors)", path.display()))?,
            )),
        };
        serde_json::to_writer(&mut *file, &json!({"item": item, "error": error}))?;
        file.write_all(b"\n")?;
        // A report that is there while the import runs can be read then, and after a crash.
        file.flush()?;
        if before < SHOWN {
            self.bar.suspend(|| eprintln!("{item}: {error}"));
        } else if before == SHOWN {
            self.bar.suspend(|| eprintln!("more errors are in {}", path.display()));
        }
        Ok(())
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// All counts, as JSON.
    pub fn json(&self) -> Value {
        let [sent, there, copies, failed] = self.counts();
        json!({"imported": sent, "already_there": there, "copies": copies, "failed": failed,
            "seconds": self.began.elapsed().as_secs_f64(), "errors": (failed > 0).then(|| self.report.lock().path.clone())})
    }

    /// All counts, in words.
    pub fn text(&self) -> String {
        let [sent, there, copies, failed] = self.counts();
        let secs = self.began.elapsed().as_secs_f64();
        let mut text = format!("{} imported in {secs:.1} s ({:.0}/s)", HumanCount(sent), self.rate(sent));
        if there > 0 {
            text += &format!(", {} were already there", HumanCount(there));
        }
        if copies > 0 {
            text += &format!(", {} were copies of others", HumanCount(copies));
        }
        if failed > 0 {
            text += &format!(", {} failed: see {}", HumanCount(failed), self.report.lock().path.display());
        }
        text
    }

    fn counts(&self) -> [u64; 4] {
        [&self.sent, &self.there, &self.copies, &self.failed].map(|count| count.load(Relaxed))
    }

    #[allow(clippy::cast_precision_loss)]
    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.began.elapsed().as_secs_f64().max(1e-3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_made_at_the_first_error_and_named_in_the_summary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("errors.jsonl");
        let tally = Tally::new(10, path.clone()).unwrap();
        tally.sent.fetch_add(3, Relaxed);
        assert!(!path.exists() && !tally.text().contains("failed"), "{}", tally.text());
        tally.fail("a \"b\".jpg", "no picture").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"error\":\"no picture\",\"item\":\"a \\\"b\\\".jpg\"}\n"
        );
        assert!(
            tally.text().contains("1 failed: see") && tally.text().contains("errors.jsonl"),
            "{}",
            tally.text()
        );
        assert_eq!((tally.json()["imported"].as_u64(), tally.json()["failed"].as_u64()), (Some(3), Some(1)));
    }
}
