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
    let expected = lookalike_demo_expectations();
    for (title, wanted) in expected {
        let rows = rows(&text, title);
        assert_eq!(rows.len(), 5, "{title}: {rows:?}");
        let right = rows.iter().filter(|row| wanted.iter().any(|label| row.contains(label))).count();
        assert!(right >= 3, "{title}: only {right} of 5 hits are one of {wanted:?}:\n{}", rows.join("\n"));
    }
    let again = String::from_utf8(demo(dir.path()).stdout).unwrap();
    assert!(again.contains("already in collection"), "{again}");
    assert_eq!(again.matches("│ 1").count(), 4, "{again}");
}

/// What each search must find: the title of its table, and words of which each good row has one.
fn lookalike_demo_expectations() -> [(&'static str, &'static [&'static str]); 4] {
    [
        ("Text: \"a pair of shoes\"", &["shoes"]),
        ("Text: \"a dress\"", &["dress"]),
        ("Text: \"a red apple\"", &["apple", "strawberry", "cherries", "tomato", "peach"]),
        ("Picture: ", &["automobile", "taxi", "bus", "truck", "car", "engine", "vehicle"]),
    ]
}
