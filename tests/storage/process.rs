//! The process under test: this binary once more, with the C shim loaded into it. It works
//! through a workload and writes a line for every acknowledgement beside the store, where the
//! shim sees it in its place among all other writes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use lookalike::storage::{Change, Store};

use super::workload::{Changes, config, name, options};

/// The shim, compiled once; `None` where there is no C compiler.
pub fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = SHIM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storage/shim.c");
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([out.as_os_str(), source.as_ref(), "-ldl".as_ref(), "-lpthread".as_ref()])
            .output();
        match built {
            Ok(output) if output.status.success() => Some(out),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => None,
        }
    });
    if made.is_none() {
        println!("SKIPPED: there is no C compiler (cc) to build tests/storage/shim.c with");
    }
    made.as_deref()
}

/// Runs the workload of a seed below `root` (store in `root/store`, acknowledgements in
/// `root/acks`) in a process of its own, with the shim and these variables.
pub fn run(shim: &Path, root: &Path, seed: u64, changes: usize, variables: &[(&str, String)]) -> Output {
    fs::create_dir_all(root).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::works_through_its_load", "--ignored", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", shim)
        .env("SHIM_ROOT", root)
        .env("CHILD_SEED", seed.to_string())
        .env("CHILD_CHANGES", changes.to_string())
        .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
        .output()
        .unwrap()
}

/// The acknowledgements that a process left.
pub fn acks(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("acks")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The process itself. Stops at nothing: it notes every error and goes on.
#[test]
#[ignore = "the process under test of other tests"]
fn works_through_its_load() {
    let Some(root) = std::env::var_os("SHIM_ROOT").map(PathBuf::from) else { return };
    let variable = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (seed, changes) = (variable("CHILD_SEED"), variable("CHILD_CHANGES") as usize);
    let mut acks = File::create(root.join("acks")).unwrap();
    // A note that fails is one that nobody saw.
    let mut note = move |text: String| drop(acks.write_all(text.as_bytes()));
    let store = match Store::open(&root.join("store"), options()) {
        Ok(store) => store,
        Err(error) => return note(format!("refused {error}\n")),
    };
    let volume = match store.create(&name("c"), &config()) {
        Ok(volume) => volume,
        Err(error) => return note(format!("refused {error}\n")),
    };
    note("created\n".to_owned());
    for (i, change) in Changes::new(seed).take(changes).enumerate() {
        match volume.commit(change) {
            Ok(_) => note(format!("ack {}\n", i + 1)),
            Err(error) => note(format!("error {} {error}\n", i + 1)),
        }
        if i % 40 == 30 {
            note(format!("compacted {}\n", volume.compact().is_ok()));
        }
        if i % 50 == 20
            && let Ok(other) = store.create(&name("other"), &config())
        {
            let _ = other.commit(Change::Delete(vec![]));
            drop(other);
            let _ = store.remove(&name("other"));
        }
    }
    let closed = store.close();
    note(format!("closed {}\n", closed.is_ok()));
}
