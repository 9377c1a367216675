//! Power cuts: a process works, every write and sync of it is recorded, and the disk is rebuilt
//! as it would be after a cut at any point. The store must hold what was acknowledged before.

use lookalike::storage::Store;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::image::{Disk, Unsynced, read_trace};
use super::workload::{Changes, contents, holds, options, point, scratch, volume};
use super::{process, rounds, row, seed, workload};
use lookalike::storage::Change;
use lookalike::types::PointId;

const CHANGES: usize = 130;
/// Images that are taken of one run of the process.
const IMAGES_A_RUN: u64 = 250;

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut_at_any_point() {
    let Some(shim) = process::shim() else { return };
    let seed = seed("power cut");
    let images = rounds("IMAGES", 500, 10_000);
    let (mut done, mut acknowledged, mut in_flight) = (0, 0, 0);
    for run in 0.. {
        let left = (images - done).min(IMAGES_A_RUN);
        if left == 0 {
            break;
        }
        let (more, there) = cut_one_run(shim, seed.wrapping_add(run), left);
        done += left;
        acknowledged += more;
        in_flight += there;
    }
    row(
        "power cuts (images)",
        done,
        &format!(
            "0 of {acknowledged} acknowledged changes lost, {in_flight} images held the change in flight"
        ),
    );
}

/// Takes images of one run; returns acknowledged changes that were looked for, and how often the
/// change in flight was there.
fn cut_one_run(shim: &std::path::Path, seed: u64, images: u64) -> (usize, u64) {
    let (root, work) = (scratch(), scratch());
    let trace = work.path().join("trace");
    let variables = [("SHIM_TRACE", trace.display().to_string())];
    let output = process::run(shim, root.path(), seed, CHANGES, &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ops = read_trace(&trace);
    assert!(ops.iter().filter(|op| op.code == b'S').count() > CHANGES, "the shim saw no syncs");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut cuts: Vec<usize> = (0..images).map(|_| random.random_range(0..=ops.len())).collect();
    cuts.sort_unstable();
    let mut models = vec![workload::Model::new()];
    for change in Changes::new(seed).take(CHANGES) {
        let mut model = models.last().unwrap().clone();
        workload::apply(&mut model, &change);
        models.push(model);
    }
    let mut disk = Disk::default();
    let (mut is_created, mut acks) = (false, 0);
    let (mut acknowledged, mut in_flight) = (0, 0);
    let mut cuts = cuts.into_iter().peekable();
    for (at, op) in ops.into_iter().map(Some).chain([None]).enumerate() {
        while cuts.next_if_eq(&at).is_some() {
            let unsynced = [Unsynced::Lost, Unsynced::There, Unsynced::Random, Unsynced::Random]
                [random.random_range(0..4)];
            let image = work.path().join("image");
            disk.cut("store", &image, unsynced, &mut random);
            let what = format!("seed {seed}, cut at {at}, {unsynced:?}, {acks} acknowledged");
            let store = Store::open(&image, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let volume = volume(&store);
            assert!(volume.is_some() || !is_created, "{what}: the collection is gone");
            if let Some(volume) = volume {
                assert_eq!(volume.read_only_reason(), None, "{what}");
                let found = contents(&volume);
                let next = (acks + 1).min(models.len() - 1);
                let is_next = holds(&found, &models[next]);
                assert!(is_next || holds(&found, &models[acks]), "{what}: {} points", found.len());
                in_flight += u64::from(is_next && next > acks);
                acknowledged += acks;
                if at % 4 == 0 {
                    volume.commit(Change::Upsert(vec![point(PointId::Num(9999), 1)])).unwrap();
                    drop((volume, store));
                    let store = Store::open(&image, options()).unwrap();
                    let volume = workload::volume(&store).unwrap();
                    assert_eq!(volume.read_only_reason(), None, "{what}: opened again");
                    assert_eq!(contents(&volume).len(), found.len() + 1, "{what}: opened again");
                }
            }
            std::fs::remove_dir_all(&image).unwrap();
        }
        let Some(op) = op else { break };
        if op.path == "acks" && op.code == b'W' {
            let text = String::from_utf8_lossy(&op.data).into_owned();
            is_created |= text == "created\n";
            acks += usize::from(text.starts_with("ack "));
            assert!(!text.starts_with("error") && !text.starts_with("refused"), "{text}");
        }
        disk.apply(op);
    }
    assert_eq!(acks, CHANGES);
    (acknowledged, in_flight)
}
