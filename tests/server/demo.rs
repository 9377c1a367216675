//! `lookalike demo --exit`: the main job in one command, as its user sees it.

use std::path::Path;
use std::process::{Command, Output};

fn demo(dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lookalike"))
        .args(["demo", "--exit", "--port", "0", "--offline", "--data-dir"])
        .arg(dir)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// What each search must find: the title of its table, a label, and how many of its five hits
/// have it at least (of apples, cakes and dog faces there are two each, of pants dozens).
const EXPECTED: [(&str, &str, usize); 4] = [
    ("Text: \"pants\"", " pants ", 3),
    ("Text: \"red apple\"", " red apple ", 2),
    ("Text: \"birthday cake\"", " birthday cake ", 2),
    ("Picture: ", " dog face ", 2),
];

/// The kinds of the hits of one search, in order.
fn rows<'a>(output: &'a str, title: &str) -> Vec<&'a str> {
    let from = output.find(title).unwrap_or_else(|| panic!("no `{title}` in {output}"));
    output[from..]
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("│ ") && line.contains('.'))
        .collect()
}

#[test]
fn the_demo_finds_the_right_kind_of_picture_and_keeps_it_for_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(text.contains("Ingested"), "{text}");
    assert!(text.contains("curl -s http://127.0.0.1:"), "{text}");
    for (title, wanted, least) in EXPECTED {
        let rows = rows(&text, title);
        assert_eq!(rows.len(), 5, "{title}: {rows:?}");
        let right = rows.iter().filter(|row| row.contains(wanted)).count();
        assert!(right >= least, "{title}: only {right} of 5 hits are `{wanted}`:\n{}", rows.join("\n"));
    }
    let again = String::from_utf8(demo(dir.path()).stdout).unwrap();
    assert!(again.contains("already in collection"), "{again}");
    assert_eq!(again.matches("│ 1").count(), 4, "{again}");
}
