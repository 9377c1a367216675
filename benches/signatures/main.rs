//! How well signatures are verified: the protocols of the data packs, and what each step of the pipeline does.
//! `SIGNATURES=<folder of packs> LITE0=<folder made by lite0.py> cargo bench --profile dev --bench signatures`
//!
//! Nothing is fitted on test writers: the whitening is that of BHSig-Hindi's calibration writers. Without
//! `SIGNATURES` nothing is measured. `STEPS=1` switches the steps off one by one. `BACKBONES` names those to run
//! (`bundled,lite0,hog`). `COPIES=1` says how alike the features of copies are instead, `PRINTS=1` the same of
//! prints of the ink, `WHITENING=<file>` writes the whitening that comes with the bundled model.

#![allow(missing_docs, clippy::expect_used, clippy::panic)] // a bench that cannot go on says why and ends

mod backbone;
mod copies;
mod pack;
mod prints;
mod protocol;

use std::path::Path;

use lookalike::embed::{EmbedOptions, Embedder, ModelSpec, Pooling};
use lookalike::preprocess::Cleaning;
use lookalike::verify::Whitening;

use backbone::{Backbone, Recipe};
use pack::{Kind, Pack};
use protocol::{Run, Scoring, cohort, leak};

const REFERENCES: [usize; 4] = [1, 3, 5, 10];

/// Errors of others and how far they can be compared with those above.
const ANCHORS: &str = "
| anchor | skilled EER % | comparable |
|---|---|---|
| MS-SigNet, purpose-trained, BHSig-Hindi | 6.68 | in part: same data, pairs in place of R references, other split |
| frozen VGG-16, the same table | 17.52 | in part, likewise |
| SigNet-F, GPDS-160, user thresholds | 1.72 | no: other data, fitted to each writer, thresholds by an oracle |
| small network trained on this fold's writers, R = 5 | 7.8 | yes |";

fn standard() -> Recipe {
    Recipe { cleaning: Cleaning::default(), pooling: Pooling::default() }
}

fn figure(found: Option<(f64, f64)>) -> String {
    found.map_or("-".into(), |(mean, deviation)| format!("{mean:.2} ± {deviation:.2}"))
}

/// One row of the table: skilled errors by references, random at 5, the leak probe, FAR over stated.
fn row(
    what: &str,
    pack: &Pack,
    features: &[Vec<f32>],
    fold: Option<&str>,
    scoring: Scoring<'_>,
    duplicates: bool,
) {
    let writers = pack.writers(fold);
    let run = |references| Run { pack, features, writers: &writers, references, duplicates };
    let most = pack.claims.values().map(|claim| claim.references.len()).max().unwrap_or(0);
    let mut cells = Vec::new();
    for references in REFERENCES {
        let found = (references <= most).then(|| run(references).eer(scoring, Kind::Skilled));
        cells.push(figure(found.flatten()));
    }
    cells.push(figure(run(most.min(5)).eer(scoring, Kind::Random)));
    let leaks = leak(pack, features, &pack.writers(Some("calibration")), &pack.writers(Some("test")));
    cells.push(format!("{leaks:.2}"));
    let far = run(most.min(5)).far_over_stated(scoring, 0.05);
    cells.push(far.map_or("-".into(), |far| format!("{far:.2}")));
    println!("| {what} | {} |", cells.join(" | "));
}

/// The steps, each switched off alone.
fn steps(name: &str, backbone: &Backbone, hindi: &Pack) {
    let calibration = hindi.writers(Some("calibration"));
    let test = Some("test");
    let features = backbone.all(hindi, &standard());
    let fit = |features: &[Vec<f32>], writers: &[&str]| {
        Whitening::fit("bench", &cohort(hindi, features, writers)).expect("a whitening is fitted")
    };
    let whitening = fit(&features, &calibration);
    row(&format!("{name}, no whitening"), hindi, &features, test, Scoring::Raw, false);
    row(&format!("{name}, no normalisation"), hindi, &features, test, Scoring::Plain(&whitening), false);
    row(&format!("{name}, duplicates kept"), hindi, &features, test, Scoring::Steady(&whitening), true);
    let own = fit(&features, &hindi.writers(test));
    row(
        &format!("{name}, whitened on the test writers (not valid)"),
        hindi,
        &features,
        test,
        Scoring::Steady(&own),
        false,
    );
    if matches!(backbone, Backbone::Hog) {
        return;
    }
    let paper = Cleaning { remove_paper: false, ..Cleaning::default() };
    let cut = Cleaning { letterbox: false, ..Cleaning::default() };
    let last = Pooling { blocks: vec![15], ..Pooling::default() };
    let square = Pooling { grid: (2, 2), ..Pooling::default() };
    let whole = Pooling { grid: (1, 1), ..Pooling::default() };
    for (what, recipe) in [
        ("paper kept", Recipe { cleaning: paper, ..standard() }),
        ("middle cut out", Recipe { cleaning: cut, ..standard() }),
        ("last block", Recipe { pooling: last, ..standard() }),
        ("grid 2 x 2", Recipe { pooling: square, ..standard() }),
        ("no grid", Recipe { pooling: whole, ..standard() }),
    ] {
        let features = backbone.all(hindi, &recipe);
        let whitening = fit(&features, &calibration);
        row(&format!("{name}, {what}"), hindi, &features, test, Scoring::Steady(&whitening), false);
    }
}

/// Writes the whitening that comes with the bundled model.
fn ship(backbone: &Backbone, hindi: &Pack, path: &str) {
    let mut features = vec![Vec::new(); hindi.pictures.len()];
    for (i, row) in backbone.part(hindi, &standard(), "calibration", true) {
        features[i] = row;
    }
    let model = Embedder::load(&ModelSpec::Bundled, &EmbedOptions::default()).expect("the model is loaded");
    let info = model.info().signature.clone().expect("the bundled model makes features of signatures");
    let cohort = cohort(hindi, &features, &hindi.writers(Some("calibration")));
    let whitening = Whitening::fit(&info.recipe, &cohort).expect("a whitening is fitted");
    std::fs::write(path, whitening.to_bytes()).expect("the whitening is written");
    eprintln!("{path}: {} signatures of {} people", cohort.len(), whitening.subjects());
}

fn main() {
    let setting = |name: &str| std::env::var(name).ok();
    let Some(root) = setting("SIGNATURES") else {
        println!("SIGNATURES names no folder of packs: nothing is measured");
        return;
    };
    let hindi = Pack::open(Path::new(&root), "signatures-bhsig-hindi")
        .expect("the folder holds signatures-bhsig-hindi");
    let nfi = Pack::open(Path::new(&root), "signatures-nfi-sigcomp2009");
    if setting("PRINTS").is_some() {
        [Some(&hindi), nfi.as_ref()].into_iter().flatten().for_each(prints::table);
        return;
    }
    let wanted = setting("BACKBONES").unwrap_or_else(|| "bundled,lite0,hog".into());
    println!(
        "| | R = 1 | R = 3 | R = 5 | R = 10 | random, R = 5 | leak AUC | FAR / 5 % |\n|---|---|---|---|---|---|---|---|"
    );
    for name in wanted.split(',') {
        let backbone = match (name, setting("LITE0")) {
            ("bundled", _) => Backbone::bundled(),
            ("hog", _) => Backbone::Hog,
            ("lite0", Some(directory)) => Backbone::lite0(&directory),
            _ => continue,
        };
        let name = backbone.name();
        if let (Backbone::Tower { name: "bundled", .. }, Some(path)) = (&backbone, setting("WHITENING")) {
            ship(&backbone, &hindi, &path);
            continue;
        }
        if setting("COPIES").is_some() {
            copies::table(&backbone, &hindi, &standard());
            continue;
        }
        let features = backbone.all(&hindi, &standard());
        let cohort = cohort(&hindi, &features, &hindi.writers(Some("calibration")));
        let whitening = Whitening::fit("bench", &cohort).expect("a whitening is fitted");
        let scoring = Scoring::Steady(&whitening);
        row(&format!("{name}, BHSig-Hindi test"), &hindi, &features, Some("test"), scoring, false);
        if let Some(nfi) = &nfi {
            let features = backbone.all(nfi, &standard());
            row(&format!("{name}, NFI, all writers"), nfi, &features, None, scoring, false);
        }
        if setting("STEPS").is_some() {
            steps(name, &backbone, &hindi);
        }
    }
    println!("{ANCHORS}");
}
