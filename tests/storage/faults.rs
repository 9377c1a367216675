//! The disk refuses: every n-th write and sync in turn, and a disk that is really full. Nothing
//! is acknowledged that is not there afterwards, and nothing panics.

use std::process::Command;

use lookalike::storage::{Change, Store, StoreOptions};
use lookalike::types::PointId;

use super::workload::{self, Changes, config, contents, holds, name, options, point, scratch, volume};
use super::{process, rounds, row, seed};

const CHANGES: usize = 60;

#[test]
fn a_write_or_sync_that_fails_is_never_acknowledged_and_takes_nothing_along() {
    let Some(shim) = process::shim() else { return };
    let seed = seed("failing writes and syncs");
    // The share takes every step-th failure, beginning anywhere.
    let step = 200 / rounds("FAULTS", 20, 200).clamp(1, 200);
    let (mut done, mut read_only, mut caught) = (0, 0, 0);
    for kind in ["SHIM_FAIL_WRITE", "SHIM_FAIL_SYNC"] {
        for n in (1 + seed % step..=200).step_by(step as usize) {
            let root = scratch();
            let what = format!("seed {seed}, {kind}={n}");
            let output = process::run(shim, root.path(), seed, CHANGES, &[(kind, n.to_string())]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{what}: {errors}");
            // sled panics where its last sync fails; that is caught. Nothing else panics.
            let panics: Vec<_> = errors.lines().filter(|line| line.contains("panicked at")).collect();
            assert!(panics.iter().all(|line| line.contains("/sled-0.34")), "{what}: {errors}");
            caught += panics.len();
            read_only += u64::from(examine(root.path(), seed, &what));
            done += 1;
        }
    }
    row(
        "failed n-th write or sync",
        done,
        &format!(
            "0 false acknowledgements, 0 panics ({caught} of sled's caught); {read_only} made the collection read-only"
        ),
    );
}

/// Holds what the process acknowledged against what is there; true where it met an error.
fn examine(root: &std::path::Path, seed: u64, what: &str) -> bool {
    let acks = process::acks(root);
    let number = |line: &String| line.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
    let acked = acks.iter().filter(|line| line.starts_with("ack ")).filter_map(number).max().unwrap_or(0);
    let first_error = acks.iter().filter(|line| line.starts_with("error ")).filter_map(number).min();
    assert!(first_error.is_none_or(|error| error > acked), "{what}: acknowledged after an error");
    let store = Store::open(&root.join("store"), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let Some(volume) = volume(&store) else {
        assert!(!acks.iter().any(|line| line == "created"), "{what}: the collection is lost");
        return false;
    };
    assert_eq!(volume.read_only_reason(), None, "{what}: opened again");
    let found = contents(&volume);
    // What failed may be there or not; nothing that came behind it is.
    let candidates = (acked..=(acked + 1).min(CHANGES)).map(|changes| workload::after(seed, changes).0);
    assert!(candidates.into_iter().any(|model| holds(&found, &model)), "{what}: {acked} acknowledged");
    volume.commit(Change::Upsert(vec![point(PointId::Num(9999), 1)])).unwrap();
    first_error.is_some()
}

/// In a process of its own, on a disk of a few MiB.
#[test]
#[ignore = "the process under test of another test"]
fn fills_its_disk() {
    let Some(dir) = std::env::var_os("FULL_DIR").map(std::path::PathBuf::from) else { return };
    let seed = 5;
    for floor in [0, 1 << 20] {
        let at = dir.join(format!("floor-{floor}"));
        let options = || StoreOptions { min_free_disk_bytes: floor, segment_bytes: 1 << 20, ..options() };
        let mut acked = 0;
        let refused = {
            let store = Store::open(&at, options()).unwrap();
            let volume = store.create(&name("c"), &config()).unwrap();
            let mut refused = None;
            for change in Changes::new(seed).take(1_000_000) {
                match volume.commit(change) {
                    Ok(_) => acked += 1,
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            let refused = refused.expect("the disk never was full");
            let (model, _) = workload::after(seed, acked);
            if floor > 0 {
                assert_eq!(refused.code(), 507, "{refused}");
                assert!(holds(&contents(&volume), &model), "reads go on");
                volume.commit(Change::Delete(vec![PointId::Num(0)])).expect("deletes are taken");
                volume.commit(Change::Delete(vec![PointId::Num(1)])).expect("deletes are taken");
                refused
            } else {
                // Points are refused before the disk is full; deletes go on until it really is.
                assert_eq!(refused.code(), 507, "{refused}");
                let absent: Vec<PointId> = (1_000_000..1_010_000).map(PointId::Num).collect();
                let error = loop {
                    if let Err(error) = volume.commit(Change::Delete(absent.clone())) {
                        break error;
                    }
                };
                assert_eq!(error.code(), 503, "{error}");
                assert_eq!(volume.commit(Change::Delete(vec![])).unwrap_err().code(), 503);
                assert!(holds(&contents(&volume), &model), "reads go on");
                error
            }
        };
        println!("FULL after {acked}: {refused}");
        if floor == 0 {
            // Somebody makes room: what was acknowledged is there, and writing goes on.
            std::fs::remove_file(dir.join("ballast")).unwrap();
            let store = Store::open(&at, options()).unwrap();
            let volume = volume(&store).unwrap();
            assert_eq!(volume.read_only_reason(), None);
            let found = contents(&volume);
            assert!(holds(&found, &workload::after(seed, acked).0));
            volume.commit(Change::Upsert(vec![point(PointId::Num(9999), 1)])).unwrap();
            drop((volume, store));
            std::fs::remove_dir_all(&at).unwrap();
        }
    }
    println!("FULL DISK HELD");
}

#[test]
fn a_really_full_disk_refuses_by_name_and_loses_nothing() {
    let dir = scratch();
    let child = std::env::current_exe().unwrap();
    // A file system of 12 MiB in a mount namespace of the process's own.
    let script = "mount -t tmpfs -o size=12m tmpfs \"$FULL_DIR\" && head -c 3000000 /dev/zero > \"$FULL_DIR/ballast\" && \
         exec \"$0\" --exact faults::fills_its_disk --ignored --nocapture";
    let output = Command::new("unshare")
        .args(["-r", "-m", "sh", "-c", script])
        .arg(&child)
        .env("FULL_DIR", dir.path())
        .output();
    let (out, errors) = match &output {
        Ok(output) => (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        Err(error) => (error.to_string().into(), "".into()),
    };
    if !out.contains("running 1 test") {
        println!("SKIPPED: no file system can be mounted here: {out}{errors}");
        return;
    }
    assert!(out.contains("FULL DISK HELD"), "{out}{errors}");
    row("a really full disk (12 MiB)", 2, "503 or 507 by name, deletes taken below the floor, nothing lost");
}
