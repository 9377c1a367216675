//! `lookalike enrol`, `verify`, `identify`, `calibrate`, `subjects`: signatures on a running server.
//! Exit codes of `verify` and `identify`: 0 accept, 1 failed, 2 wrong usage, 3 reject, 4 review.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::exit::{REJECT, REVIEW};
use crate::types::CollectionName;

/// Largest picture that is sent, bytes; the server's own bound.
const MAX_PICTURE: u64 = 20 * 1024 * 1024;

/// Where, and how it is printed.
#[derive(Args)]
pub struct Common {
    #[command(flatten)]
    server: ServerArgs,
    /// The collection
    #[arg(long, short, value_name = "NAME")]
    collection: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct EnrolArgs {
    #[command(flatten)]
    common: Common,
    /// Whose signatures these are
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// They imitate the subject: kept for calibration only
    #[arg(long)]
    forgery: bool,
    /// Create the collection first, where there is none
    #[arg(long)]
    create: bool,
    /// With --create: write every decision to the audit log
    #[arg(long, requires = "create")]
    audit: bool,
    /// Enrol the others where one is unfit
    #[arg(long)]
    partial: bool,
    /// Pictures, one signature each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Args)]
struct PolicyArgs {
    /// A FAR of the calibration, as 0.01 [default: the lowest]
    #[arg(long, value_name = "FAR", conflicts_with = "threshold")]
    target_far: Option<f64>,
    /// Review between the threshold of --target-far and that of this higher FAR
    #[arg(long, value_name = "FAR", requires = "target_far")]
    review_far: Option<f64>,
    /// Accept from this score on
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    threshold: Option<f64>,
}

impl PolicyArgs {
    fn body(&self) -> Value {
        match (self.target_far, self.threshold) {
            (Some(far), _) => json!({"target_far": far, "review_far": self.review_far}),
            (None, Some(threshold)) => json!({"threshold": threshold}),
            (None, None) => Value::Null,
        }
    }
}

#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    common: Common,
    /// Whose it is said to be
    #[arg(long, value_name = "NAME")]
    subject: String,
    #[command(flatten)]
    policy: PolicyArgs,
    /// The share of genuine signatures among all that are presented
    #[arg(long, default_value_t = 0.5)]
    prior: f64,
    /// The picture
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Args)]
pub struct IdentifyArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Candidates that are shown
    #[arg(long, default_value_t = 5)]
    limit: usize,
    /// The picture
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    common: Common,
    /// A FAR to find a threshold for; may be repeated
    #[arg(long = "target-far", value_name = "FAR")]
    target_fars: Vec<f64>,
    /// random (other people's signatures) or skilled (labelled forgeries)
    #[arg(long, default_value = "random")]
    against: String,
    /// Seed of the sampling and of the intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First fit a whitening on this share of the subjects, which the calibration then leaves out
    #[arg(long, value_name = "SHARE")]
    whiten: Option<f64>,
    /// Write the report here, as HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Args)]
pub struct SubjectsArgs {
    #[command(subcommand)]
    verb: SubjectsVerb,
}

#[derive(Subcommand)]
enum SubjectsVerb {
    /// List subjects with their references
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Delete a subject with everything derived from it
    Delete {
        #[command(flatten)]
        common: Common,
        /// Its name
        subject: String,
    },
}

impl Common {
    fn open(&self) -> anyhow::Result<(Client, String)> {
        let name = CollectionName::parse(&self.collection).context("--collection")?;
        Ok((self.server.client(), format!("/collections/{name}")))
    }

    fn print(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            println!("{}", text(answer));
        }
        Ok(())
    }
}

fn picture(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    if size > MAX_PICTURE {
        bail!("{}: {size} bytes, at most {MAX_PICTURE}", path.display());
    }
    Ok(STANDARD.encode(std::fs::read(path).with_context(|| path.display().to_string())?))
}

/// `lookalike enrol`.
pub fn enrol(args: &EnrolArgs) -> anyhow::Result<ExitCode> {
    let (client, base) = args.common.open()?;
    if args.create && client.find(&base)?.is_none() {
        client.call("PUT", &base, Some(&json!({"signatures": {"audit": args.audit}})))?;
    }
    let samples: Vec<String> = args.files.iter().map(|file| picture(file)).collect::<anyhow::Result<_>>()?;
    let enrolled = |samples: &[String], files: &[PathBuf]| {
        let body = json!({"subject": args.subject, "forgery": args.forgery, "samples": samples});
        let answer = client.call("POST", &format!("{base}/enrol"), Some(&body));
        answer.map_err(|error| anyhow!(by_file(&format!("{error:#}"), files)))
    };
    let mut items = Vec::new();
    let mut answer = if args.partial {
        let mut last = Value::Null;
        for (file, sample) in args.files.iter().zip(&samples) {
            match enrolled(std::slice::from_ref(sample), std::slice::from_ref(file)) {
                Ok(mut done) => {
                    items.append(done["items"].as_array_mut().unwrap_or(&mut Vec::new()));
                    last = done;
                }
                Err(error) => items.push(json!({"status": "refused", "error": error.to_string()})),
            }
            if let Some(item) = items.last_mut() {
                item["sample"] = json!(file.display().to_string());
            }
        }
        last
    } else {
        let mut done = enrolled(&samples, &args.files)?;
        items = std::mem::take(done["items"].as_array_mut().unwrap_or(&mut Vec::new()));
        for (item, file) in items.iter_mut().zip(&args.files) {
            item["sample"] = json!(file.display().to_string());
        }
        done
    };
    let refused = items.iter().any(|item| item["status"] != "enrolled");
    if answer.is_null() {
        answer = json!({"subject": args.subject});
    }
    answer["items"] = items.into();
    args.common.print(&answer, |answer| {
        let mut table = table(&["sample", "status", "why"]);
        for item in answer["items"].as_array().into_iter().flatten() {
            table.add_row([&item["sample"], &item["status"], &item["error"]].map(plain));
        }
        let advice = answer["advice"].as_str().map(|advice| format!("\n{advice}")).unwrap_or_default();
        format!("{table}\n{} now has {} reference(s){advice}", args.subject, plain(&answer["references"]))
    })?;
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The server's words with each `samples[i]` called by its file. A file may itself be named like that.
fn by_file(text: &str, files: &[PathBuf]) -> String {
    let mut parts = text.split("samples[");
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let sample =
            part.split_once(']').and_then(|(i, rest)| Some((files.get(i.parse::<usize>().ok()?)?, rest)));
        match sample {
            Some((file, rest)) => named.extend([&file.display().to_string(), rest]),
            None => named.extend(["samples[", part]),
        }
    }
    named
}

/// `lookalike verify`.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let (client, base) = args.common.open()?;
    let body = json!({
        "subject": args.subject, "sample": picture(&args.file)?, "policy": args.policy.body(), "prior": args.prior,
    });
    let answer = client.call("POST", &format!("{base}/verify"), Some(&body))?;
    args.common.print(&answer, |answer| {
        let mut table = decided(answer);
        table.add_row(["score".to_owned(), plain(&answer["score"])]);
        table.add_row(["probability of genuine".to_owned(), plain(&answer["probability"]["genuine"])]);
        table.add_row(["p-value".to_owned(), plain(&answer["p_value"])]);
        for rate in ["far", "frr"] {
            let at = &answer[rate];
            let text = format!(
                "{} ({} to {})",
                plain(&at["value"]),
                plain(&at["interval"]["low"]),
                plain(&at["interval"]["high"])
            );
            table.add_row([format!("{} at the threshold", rate.to_uppercase()), text]);
        }
        let nearest = &answer["nearest_impostor"];
        let other = format!("{} ({})", plain(&nearest["subject"]), plain(&nearest["score"]));
        table.add_row(["nearest other subject".to_owned(), other]);
        let count = answer["references"].as_array().map_or(0, Vec::len);
        table.add_row(["references".to_owned(), count.to_string()]);
        table.to_string()
    })?;
    Ok(code(&answer))
}

/// `lookalike identify`.
pub fn identify(args: &IdentifyArgs) -> anyhow::Result<ExitCode> {
    let (client, base) = args.common.open()?;
    let body = json!({"sample": picture(&args.file)?, "policy": args.policy.body(), "limit": args.limit});
    let answer = client.call("POST", &format!("{base}/identify"), Some(&body))?;
    args.common.print(&answer, |answer| {
        let mut table = decided(answer);
        table.add_row(["subject".to_owned(), answer["subject"].as_str().unwrap_or("nobody").to_owned()]);
        for candidate in answer["candidates"].as_array().into_iter().flatten() {
            let text = format!("{} ({})", plain(&candidate["subject"]), plain(&candidate["score"]));
            table.add_row(["candidate".to_owned(), text]);
        }
        format!("{table}\n{}", plain(&answer["note"]))
    })?;
    Ok(code(&answer))
}

/// `lookalike calibrate`.
pub fn calibrate(args: &CalibrateArgs) -> anyhow::Result<ExitCode> {
    let (client, base) = args.common.open()?;
    if let Some(share) = args.whiten {
        let body = json!({"share": share, "seed": args.seed});
        client.call("POST", &format!("{base}/whitening"), Some(&body))?;
    }
    let body = json!({"target_fars": args.target_fars, "against": args.against, "seed": args.seed});
    let answer = client.call("POST", &format!("{base}/calibrate"), Some(&body))?;
    args.common.print(&answer, |answer| {
        let mut table = table(&["chosen FAR", "threshold", "FAR", "FRR"]);
        for point in answer["points"].as_array().into_iter().flatten() {
            let cells = [&point["target_far"], &point["threshold"], &point["far"]["value"], &point["frr"]["value"]];
            table.add_row(cells.map(plain));
        }
        let eer = &answer["eer"];
        format!(
            "Calibration {} (version {}): {} subjects, {} genuine and {} impostor comparisons\nEER {} ({} to {})\n{table}",
            plain(&answer["id"]),
            answer["version"],
            answer["subjects"],
            answer["genuine"],
            answer["impostors"],
            plain(&eer["value"]),
            plain(&eer["interval"]["low"]),
            plain(&eer["interval"]["high"]),
        )
    })?;
    if let Some(to) = &args.report {
        let id = answer["id"].as_str().unwrap_or_default();
        client.download(&format!("{base}/calibrations/{id}/report"), to)?;
        eprintln!("The report is in {}", to.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `lookalike subjects`.
pub fn subjects(args: &SubjectsArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        SubjectsVerb::Delete { common, subject } => {
            let (client, base) = common.open()?;
            let path = format!("{base}/subjects/{}", escaped(subject));
            let answer = client.call("DELETE", &path, None)?;
            common.print(&answer, |answer| format!("{subject}: {} points deleted", answer["deleted"]))?;
        }
        SubjectsVerb::List { common } => {
            let (client, base) = common.open()?;
            let mut all = Vec::new();
            let mut from = String::new();
            loop {
                let path = format!("{base}/subjects?limit=1000&from={}", escaped(&from));
                let mut page = client.call("GET", &path, None)?;
                all.append(page["subjects"].as_array_mut().unwrap_or(&mut Vec::new()));
                match page["next"].as_str() {
                    Some(next) => from = next.to_owned(),
                    None => break,
                }
            }
            common.print(&json!(all), |all| {
                let mut table = table(&["subject", "references", "forgeries"]);
                for subject in all.as_array().into_iter().flatten() {
                    table.add_row(
                        [&subject["subject"], &subject["references"], &subject["forgeries"]].map(plain),
                    );
                }
                table.to_string()
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    table
}

fn decided(answer: &Value) -> Table {
    let decision = answer["decision"].as_str().unwrap_or_default().to_uppercase();
    let mut table = table(&["decision", &decision]);
    for reason in answer["reasons"].as_array().into_iter().flatten() {
        table.add_row(["because".to_owned(), plain(&reason["text"])]);
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        table.add_row(["warning".to_owned(), plain(warning)]);
    }
    table.add_row(["threshold".to_owned(), plain(&answer["threshold"]["accept"])]);
    table.add_row(["calibration".to_owned(), plain(&answer["calibration"]["id"])]);
    table
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

fn code(answer: &Value) -> ExitCode {
    match answer["decision"].as_str() {
        Some("accept") => ExitCode::SUCCESS,
        Some("reject") => ExitCode::from(REJECT),
        _ => ExitCode::from(REVIEW),
    }
}

/// For a path or a query: everything but letters, digits and `-_.~`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_called_by_their_files_whatever_those_are_called() {
        let files = ["samples[1].png", "b.png"].map(PathBuf::from);
        let text =
            "samples[0]: blank; samples[1]: as samples[0]; samples[2], samples[x] and samples[ are none";
        let named =
            "samples[1].png: blank; b.png: as samples[1].png; samples[2], samples[x] and samples[ are none";
        assert_eq!(by_file(text, &files), named);
        assert_eq!(by_file("no subject", &files), "no subject");
    }
}
