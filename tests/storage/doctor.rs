//! `lookalike doctor`: examining changes nothing, says what a repair will come to, and a repair
//! never makes anything worse.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lookalike::error::Error;
use lookalike::storage::{Outlook, Store, examine, repair};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::corruption::{KINDS, Sources, files};
use super::workload::{
    after, contents, copy_dir, holds, is_payload, is_vector, options, scratch, sent, volume,
};
use super::{rounds, row, seed};

const CHANGES: usize = 240;

/// Every file with its bytes, but for the lock that an examiner takes.
fn bytes(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix(dir).unwrap().display().to_string();
    files(dir).into_iter().map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_repair_comes_to_what_the_examination_said_and_never_makes_it_worse() {
    let seed = seed("doctor");
    let rounds = rounds("REPAIRS", 60, 2_000);
    let sources = Sources::new(seed);
    let (model, history) = (after(seed, CHANGES).0, sent(seed, CHANGES));
    let mut random = SmallRng::seed_from_u64(seed);
    let work = scratch();
    let mut outlooks = BTreeMap::<String, u64>::new();
    for round in 0..rounds {
        let image = work.path().join("image");
        copy_dir(if round % 2 == 0 { &sources.clean } else { &sources.killed }, &image);
        let newest =
            files(&image).into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).max();
        let newest = newest.unwrap().display().to_string();
        // Up to four damages: more than can always heal.
        let damages = random.random_range(0..=4);
        let what: Vec<String> = (0..damages)
            .map(|_| {
                let kind = KINDS[random.random_range(0..KINDS.len())];
                format!("{kind:?} of {}", sources.damage(&image, kind, &mut random))
            })
            .collect();
        // The end of the log and both that tell where it was: what is left is whole, of an earlier time.
        let is_blind =
            [newest.as_str(), "/LAST ", "/view/"].iter().all(|hit| what.iter().any(|w| w.contains(hit)));
        let what = format!("seed {seed}, round {round}: {}", what.join(", "));
        let before = bytes(&image);
        let diagnosis = examine(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(bytes(&image), before, "{what}: examining changed something");
        match repair(&image, options()) {
            Ok(()) => {}
            Err(Error::Corrupted(text) | Error::Unavailable(text)) => {
                // Not even a name is left, or the schema is not known: then it was said before.
                let is_said = diagnosis.schema.is_err()
                    || diagnosis.collections.iter().any(|examined| examined.outlook == Outlook::Loses);
                assert!(is_said, "{what}: {text}: {diagnosis:?}");
                *outlooks.entry("refused".to_owned()).or_default() += 1;
                fs::remove_dir_all(&image).unwrap();
                continue;
            }
            Err(error) => panic!("{what}: {error}"),
        }
        let [examined] = diagnosis.collections.as_slice() else { panic!("{what}: {diagnosis:?}") };
        *outlooks.entry(format!("{:?}", examined.outlook)).or_default() += 1;
        let again = examine(&image).unwrap();
        let store = Store::open(&image, options()).unwrap();
        let volume = volume(&store).unwrap_or_else(|| panic!("{what}: the collection is gone"));
        let found = contents(&volume);
        for (id, point) in &found {
            // Where changes are lost between, its vectors and its payload may be of different times,
            // and a payload may stand that was sent for a point which had been deleted.
            let ever = history.get(id).map(Vec::as_slice).unwrap_or_default();
            let vectors = ever.iter().any(|(vector, _)| is_vector(point, *vector));
            let payload = ever.iter().any(|(_, payload)| is_payload(point, *payload));
            assert!(vectors && payload, "{what}: {id} was never that");
        }
        match examined.outlook {
            Outlook::Whole | Outlook::Heals => {
                assert!(is_blind || holds(&found, &model), "{what}: said to heal, {examined:?}");
                assert_eq!(volume.read_only_reason(), None, "{what}");
                assert!(again.is_whole(), "{what}: {again:?}");
            }
            Outlook::Loses => {
                assert!(volume.read_only_reason().is_some(), "{what}: said to lose, {examined:?}");
                // Whatever is not named is there.
                let gone = examined.lost.len();
                assert!(found.len() + gone >= examined.points, "{what}: {} of {examined:?}", found.len());
                drop((volume, store));
                repair(&image, options()).unwrap();
                let store = Store::open(&image, options()).unwrap();
                assert_eq!(
                    contents(&super::workload::volume(&store).unwrap()),
                    found,
                    "{what}: repaired twice"
                );
            }
        }
        fs::remove_dir_all(&image).unwrap();
    }
    row("doctor: up to four damages, then repair", rounds, &format!("never worse than said: {outlooks:?}"));
}

/// The segments of the log, each with its bytes.
fn segments(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let all = files(dir).into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    all.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_segment_that_is_put_back_takes_the_place_of_one_that_nobody_can_read_and_not_its_bytes() {
    let seed = seed("doctor, in the way");
    let (sources, model) = (Sources::new(seed), after(seed, CHANGES).0);
    let work = scratch();
    // (power went between the renames, with the view)
    for (cut, with_view) in [(false, true), (false, false), (true, true), (true, false)] {
        let image = work.path().join(format!("{cut} {with_view}"));
        copy_dir(&sources.killed, &image);
        let all = segments(&image);
        let ((first, one), (second, two)) = (&all[0], &all[2]);
        let mut headless = one.clone();
        headless[..32].fill(0);
        // The third stands as the first, and the first, of which nothing says what it is, as the third.
        fs::write(if cut { first.with_extension("moved") } else { first.clone() }, two).unwrap();
        fs::write(second, &headless).unwrap();
        if !with_view {
            fs::remove_dir_all(image.join("view")).unwrap();
        }
        if cut {
            fs::rename(second, second.with_extension("moved")).unwrap();
        }
        repair(&image, options()).unwrap();
        // Its header comes back from the parity.
        assert!(examine(&image).unwrap().is_whole(), "{cut} {with_view}");
        let store = Store::open(&image, options()).unwrap();
        assert!(holds(&contents(&volume(&store).unwrap()), &model), "{cut} {with_view}");
    }
    // Where nothing is left to heal it by, its records are still there and are read without a header.
    let image = work.path().join("no parity");
    copy_dir(&sources.killed, &image);
    let all = segments(&image);
    let ((first, one), (second, two)) = (&all[0], &all[2]);
    let mut headless = one.clone();
    headless[..32].fill(0);
    fs::write(first, two).unwrap();
    fs::write(second, &headless).unwrap();
    for path in files(&image).into_iter().filter(|path| path.extension().is_some_and(|e| e == "par")) {
        fs::remove_file(path).unwrap();
    }
    fs::remove_dir_all(image.join("view")).unwrap();
    repair(&image, options()).unwrap();
    let store = Store::open(&image, options()).unwrap();
    assert!(holds(&contents(&volume(&store).unwrap()), &model));
}

#[test]
fn segments_that_were_being_renamed_when_the_power_went_are_no_loss_and_the_doctor_says_so() {
    let seed = seed("doctor, on the way");
    let (sources, model) = (Sources::new(seed), after(seed, CHANGES).0);
    let image = scratch();
    copy_dir(&sources.killed, image.path());
    let all = segments(image.path());
    let ((first, one), (second, two)) = (&all[0], &all[2]);
    // They stood under each other's numbers, both are on their way, and nothing but they knows what they hold.
    fs::write(first.with_extension("moved"), two).unwrap();
    fs::write(second.with_extension("moved"), one).unwrap();
    [first, second].into_iter().for_each(|path| fs::remove_file(path).unwrap());
    for path in files(image.path()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "par")) {
        fs::remove_file(path).unwrap();
    }
    fs::remove_dir_all(image.path().join("view")).unwrap();
    let diagnosis = examine(image.path()).unwrap();
    let examined = &diagnosis.collections[0];
    assert_eq!((examined.outlook, examined.segments), (Outlook::Heals, all.len()), "{examined:?}");
    let said = examined.findings.join("; ");
    assert!(said.contains("being renamed") && examined.lost.is_empty(), "{examined:?}");
    repair(image.path(), options()).unwrap();
    assert!(examine(image.path()).unwrap().is_whole());
    let store = Store::open(image.path(), options()).unwrap();
    assert!(holds(&contents(&volume(&store).unwrap()), &model));
}

#[test]
fn what_a_repair_could_not_heal_still_heals_when_one_damaged_file_is_brought_back() {
    let seed = seed("doctor, brought back");
    let sources = Sources::new(seed);
    let image = scratch();
    copy_dir(&sources.killed, image.path());
    let segments: Vec<_> =
        files(image.path()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    // The same place in two segments, and no view to heal from.
    let (first, second) = (&segments[0], &segments[1]);
    let saved = fs::read(first).unwrap();
    for path in [first, second] {
        let mut bytes = fs::read(path).unwrap();
        bytes[2000..2400].fill(0xaa);
        fs::write(path, bytes).unwrap();
    }
    fs::remove_dir_all(image.path().join("view")).unwrap();
    repair(image.path(), options()).unwrap();
    let diagnosis = examine(image.path()).unwrap();
    assert_eq!(diagnosis.collections[0].outlook, Outlook::Loses, "{diagnosis:?}");
    // From a backup, say.
    fs::write(first, saved).unwrap();
    repair(image.path(), options()).unwrap();
    let diagnosis = examine(image.path()).unwrap();
    assert!(diagnosis.is_whole(), "{diagnosis:?}");
    let store = Store::open(image.path(), options()).unwrap();
    assert!(holds(&contents(&volume(&store).unwrap()), &after(seed, CHANGES).0));
}
