//! The structure, held by a test: levels of modules, one user for each library, file sizes,
//! documentation at the top of every file.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module uses only modules of lower levels.
const LEVELS: [(&str, usize); 20] = [
    ("allocator", 0),
    ("error", 0),
    ("config", 1),
    ("metrics", 1),
    ("types", 1),
    ("migrations", 2),
    ("distance", 2),
    ("kernels", 2),
    ("preprocess", 2),
    ("measure", 2),
    ("storage", 3),
    ("index", 3),
    ("embed", 3),
    ("verify", 3),
    ("adapt", 3),
    ("collection", 4),
    ("report", 5),
    ("engine", 5),
    ("http", 6),
    ("cli", 7),
];

/// Libraries that one module alone may name.
const OWNERS: [(&str, &[&str]); 18] = [
    ("mimalloc", &["allocator"]),
    ("libmimalloc_sys", &["allocator"]),
    ("actix_web", &["http", "cli"]), // cli starts the runtime
    ("actix_multipart", &["http"]),
    ("sled", &["storage", "migrations"]),
    ("hnsw_rs", &["index"]),
    ("candle_core", &["embed"]),
    ("candle_nn", &["embed"]),
    ("candle_transformers", &["embed"]),
    ("tokenizers", &["embed"]),
    ("pulp", &["embed", "kernels", "preprocess"]),
    ("prometheus", &["metrics"]),
    ("turbojpeg", &["preprocess"]),
    ("quick_cache", &["embed"]),
    ("clap", &["cli"]),
    ("nalgebra", &["adapt", "verify"]),
    ("plotters", &["cli", "report"]),
    ("maud", &["cli", "report"]),
];

/// Most lines of a source file.
const MAX_LINES: usize = 600;

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    walk(&root.join("src"), &mut found);
    walk(&root.join("migrations"), &mut found);
    found.into_iter().map(|(path, text)| (path.strip_prefix(root).unwrap().to_owned(), text)).collect()
}

/// The module a file belongs to: `src/http/wire/x.rs` -> `http`.
fn module(path: &Path) -> String {
    let mut parts = path.iter().map(|p| p.to_string_lossy().into_owned());
    match parts.next().as_deref() {
        Some("migrations") => "migrations".into(),
        _ => parts.next().unwrap().trim_end_matches(".rs").to_owned(),
    }
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

/// Lines of code without comments and without the module's own tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn a_module_uses_only_modules_of_lower_levels() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = module(&path);
        if own == "lib" || own == "main" {
            continue;
        }
        let own_level = level(&own).unwrap_or_else(|| panic!("{own} has no level in tests/tidy.rs"));
        for (i, line) in code(&text) {
            for rest in line.split("crate::").skip(1) {
                let used: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(used_level) = level(&used) else { continue };
                if used != own && used_level >= own_level {
                    wrong.push(format!("{}:{}: {own} must not use {used}", path.display(), i + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_library_has_one_module_that_names_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = module(&path);
        for (i, line) in code(&text) {
            for (library, owners) in OWNERS {
                let named =
                    line.contains(&format!("{library}::")) || line.contains(&format!("use {library}"));
                if named && !owners.contains(&own.as_str()) {
                    wrong.push(format!("{}:{}: {own} must not name {library}", path.display(), i + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_is_not_too_long() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not open with `//!`", path.display()));
        }
        if text.lines().count() > MAX_LINES {
            wrong.push(format!("{}: {} lines, at most {MAX_LINES}", path.display(), text.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_only_where_it_is_allowed() {
    let allowed = |path: &Path| {
        path.starts_with("src/distance")
            || path.starts_with("src/kernels")
            || path.starts_with("src/embed/cuda")
            || path == Path::new("src/storage/mmap.rs")
            || path == Path::new("src/allocator.rs")
            || path == Path::new("src/main.rs")
    };
    let lines_of =
        |text: &str| code(text).filter(|(_, l)| l.contains("unsafe {") || l.contains("unsafe fn")).count();
    let wrong: Vec<_> =
        sources().into_iter().filter(|(p, t)| !allowed(p) && lines_of(t) > 0).map(|(p, _)| p).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut section = "";
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies]") && line.contains(" = ") && !line.contains('#') {
            wrong.push(line.to_owned());
        }
    }
    assert!(wrong.is_empty(), "no reason beside: {wrong:?}");
}
