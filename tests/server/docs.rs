//! The documents say what happens: every block of commands in the README and under `docs/` is run against a
//! real server, page by page, in the order of the page; JSON and settings are parsed. What a reader cannot see:
//!
//! - `<!-- not run: reason -->` before a block: it is left out.
//! - `<!-- setup: command -->`: is run as if it stood there.
//! - a `text` block says what the block before it printed: each of its lines stands within one of those.
//!
//! `cargo run --release --` and `lookalike` are the binary under test, port 6333 is the server's own. A block that
//! is `lookalike serve ..` starts the page's server anew with these flags. Blocks in Python are run by
//! `tests/python/test_docs.py`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use lookalike::config::Settings;

use crate::process::Server;
use crate::signatures::own;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Pages that are not run: written from the code, or a story of their own.
const SKIPPED: [&str; 7] = [
    "docs/SUMMARY.md",
    "docs/signatures.md",
    "docs/reference/command-line.md",
    "docs/reference/errors.md",
    "docs/reference/http-api.md",
    "docs/reference/settings.md",
    "docs/README.md",
];

/// What a page has to be done for it, in order.
#[derive(Debug, PartialEq)]
enum Step {
    /// Commands; the line where they stand.
    Run(usize, String),
    /// Lines that the commands before printed.
    Printed(usize, Vec<String>),
    Json(usize, String),
    Toml(usize, String),
}

/// The steps of a page.
///
/// # Errors
/// A block that is neither run nor marked.
fn steps(page: &str) -> Result<Vec<Step>, String> {
    let (mut found, mut lines) = (Vec::new(), page.lines().enumerate());
    let mut is_marked = false;
    while let Some((i, line)) = lines.next() {
        let comment = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(command) = comment.and_then(|comment| comment.strip_prefix("setup: ")) {
            found.push(Step::Run(i + 1, command.to_owned()));
        } else if let Some(reason) = comment.and_then(|comment| comment.strip_prefix("not run: ")) {
            if reason.trim().is_empty() {
                return Err(format!("line {}: no reason", i + 1));
            }
            is_marked = true;
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            let body: Vec<String> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| line.trim() != "```")
                .map(str::to_owned)
                .collect();
            let (at, joined) = (i + 1, body.join("\n"));
            match language {
                _ if std::mem::take(&mut is_marked) => {}
                "sh" => found.push(Step::Run(at, joined)),
                "text" if matches!(found.last(), Some(Step::Run(..))) => found.push(Step::Printed(at, body)),
                "json" => found.push(Step::Json(at, joined)),
                "toml" => found.push(Step::Toml(at, joined)),
                "python" => {}
                other => return Err(format!("line {at}: a block of `{other}` is neither run nor marked")),
            }
        } else if !line.trim().is_empty() && is_marked {
            return Err(format!("line {}: a mark without a block", i + 1));
        }
    }
    Ok(found)
}

/// A page's folder, server and commands.
struct Reader {
    folder: tempfile::TempDir,
    server: Option<Server>,
}

impl Reader {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_lookalike"), bin.join("lookalike")).unwrap();
        // An answer that is an error is a failure of the page.
        let curl = "#!/bin/sh\nPATH=${PATH#*:}\nexec curl --fail-with-body --max-time 120 \"$@\"\n";
        fs::write(bin.join("curl"), curl).unwrap();
        fs::set_permissions(bin.join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(Path::new(ROOT).join("samples"), folder.path().join("samples")).unwrap();
        Self { folder, server: None }
    }

    /// The signatures that a page speaks of.
    fn sign(&self) {
        let folder = self.folder.path().join("signatures");
        for writer in 1..=24 {
            let hand = folder.join(format!("writer-{writer:02}"));
            fs::create_dir_all(&hand).unwrap();
            for number in 1..=5 {
                fs::write(hand.join(format!("{number}.png")), own(writer, number)).unwrap();
            }
        }
        fs::write(folder.join("cheque.png"), own(20, 9)).unwrap();
    }

    fn serve(&mut self, flags: &[&str]) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        self.server = Some(Server::start_in(&self.folder.path().join("data"), flags));
    }

    fn run(&mut self, commands: &str) -> Output {
        if self.server.is_none() {
            self.serve(&[]);
        }
        let url = self.server.as_ref().unwrap().url.clone();
        let commands = commands
            .replace("cargo run --release -- ", "lookalike ")
            .replace("localhost:6333", url.trim_start_matches("http://"));
        let bin = self.folder.path().join("bin");
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &commands])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("LOOKALIKE_LOG", "error")
            .env("LOOKALIKE_URL", url)
            .output()
            .unwrap()
    }
}

/// The flags of a block that only serves; the data folder is the page's own.
fn serve_flags(commands: &str) -> Option<Vec<&str>> {
    let rest =
        commands.strip_prefix("cargo run --release -- serve").or(commands.strip_prefix("lookalike serve"))?;
    assert!(!rest.contains('\n'), "a block that serves does nothing else: {commands}");
    let flags: Vec<&str> = rest.split('#').next().unwrap_or_default().split_whitespace().collect();
    let folder = flags.iter().position(|flag| *flag == "--data-dir");
    Some(
        flags
            .iter()
            .enumerate()
            .filter(|(i, _)| folder.is_none_or(|at| *i != at && *i != at + 1))
            .map(|(_, f)| *f)
            .collect(),
    )
}

fn try_page(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let mut reader = Reader::new();
    if text.contains("signatures/writer-") {
        reader.sign();
    }
    let mut said = String::new();
    for step in steps(&text)? {
        match step {
            Step::Run(at, commands) => {
                if let Some(flags) = serve_flags(&commands) {
                    reader.serve(&flags);
                    continue;
                }
                let output = reader.run(&commands);
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                said = String::from_utf8_lossy(&output.stdout).into_owned();
                if !output.status.success() {
                    return Err(format!("line {at}: {}\n{commands}\n{said}\n{errors}", output.status));
                }
            }
            Step::Printed(at, lines) => {
                for line in lines.iter().map(|line| line.trim()) {
                    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                    if !said.lines().any(|printed| squeezed(printed).contains(&squeezed(line))) {
                        return Err(format!("line {at}: `{line}` was not printed but\n{said}"));
                    }
                }
            }
            Step::Json(at, text) => {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
                parsed.map_err(|error| format!("line {at}: {error}"))?;
            }
            Step::Toml(at, text) => {
                let settings =
                    Figment::from(Serialized::defaults(Settings::default())).merge(Toml::string(&text));
                settings.extract::<Settings>().map_err(|error| format!("line {at}: {error}"))?;
            }
        }
    }
    Ok(())
}

/// Every page under `docs/`, and the README.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(ROOT);
    let mut found = vec![root.join("README.md")];
    walk(&root.join("docs"), &mut found);
    found.retain(|path| {
        !SKIPPED.iter().any(|skipped| path.ends_with(skipped)) || path.ends_with("docs/README.md")
    });
    found.sort();
    found
}

#[track_caller]
fn try_pages(is_wanted: impl Fn(&str) -> bool) {
    let root = Path::new(ROOT);
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    let wanted: Vec<PathBuf> = pages().into_iter().filter(|path| is_wanted(&name(path))).collect();
    assert!(!wanted.is_empty());
    let wrong: Vec<String> = wanted
        .iter()
        .filter_map(|path| try_page(path).err().map(|error| format!("{}: {error}", name(path))))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_the_docs_say_first_is_what_happens() {
    try_pages(|name| !name.contains("how-to/"));
}

#[test]
fn what_the_docs_say_of_importing_and_searching_is_what_happens() {
    try_pages(|name| name.contains("how-to/") && !name.contains("signatures") && name < "docs/how-to/g");
}

#[test]
fn what_the_docs_say_of_moving_keeping_and_serving_is_what_happens() {
    try_pages(|name| name.contains("how-to/") && (name.contains("signatures") || name >= "docs/how-to/g"));
}

#[test]
fn a_block_of_the_docs_that_is_neither_run_nor_marked_is_found() {
    for wrong in
        ["```\nls\n```\n", "```js\n1\n```\n", "<!-- not run:   -->\n```sh\nls\n```\n", "```text\nx\n```\n"]
    {
        assert!(steps(wrong).is_err(), "{wrong}");
    }
    assert!(steps("<!-- not run: a reason -->\n\nprose\n").is_err());
    assert_eq!(steps("<!-- not run: a reason -->\n```sh\nls\n```\n"), Ok(Vec::new()));
    let found = steps("```sh\nls\n```\n```text\na\n```\n<!-- setup: true -->\n").unwrap();
    assert_eq!(found[1], Step::Printed(4, vec!["a".into()]));
    assert_eq!(found[2], Step::Run(7, "true".into()));
}

/// Every page can be reached from the index, and every link within the repository leads somewhere.
#[test]
fn links_of_the_docs_lead_somewhere_and_no_page_is_left_out() {
    let root = Path::new(ROOT);
    let mut wrong = Vec::new();
    let index = fs::read_to_string(root.join("docs/README.md")).unwrap();
    let summary = fs::read_to_string(root.join("docs/SUMMARY.md")).unwrap();
    let mut all = pages();
    all.extend(SKIPPED.map(|skipped| root.join(skipped)));
    all.sort();
    all.dedup();
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root).unwrap().display().to_string();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_ours = !file.is_empty() && !file.contains("://");
            if is_ours && !page.parent().unwrap().join(file).exists() {
                wrong.push(format!("{name}: {link} is not there"));
            }
        }
        let within = name.trim_start_matches("docs/");
        let is_listed = |list: &str| list.contains(&format!("({within})"));
        if name != "README.md"
            && !["README.md", "SUMMARY.md"].contains(&within)
            && !(is_listed(&index) && is_listed(&summary))
        {
            wrong.push(format!("{name}: not in docs/README.md and docs/SUMMARY.md"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
