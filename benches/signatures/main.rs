//! How well signatures are verified: the protocols of the data packs, and what each step of the pipeline does.
//! `SIGNATURES=<folder of packs> LITE0=<folder made by lite0.py> cargo bench --profile dev --bench signatures`
//!
//! Nothing is fitted on test writers: the whitening is that of BHSig-Hindi's calibration writers. Without
//! `SIGNATURES` nothing is measured. `STEPS=1` switches the steps off one by one. `BACKBONES` names those to run
//! (`bundled,lite0,hog`). `LEAK=0` leaves out the leak probe, and a quarter of the time with it. `COPIES=1` says
//! how alike the features of copies are instead, `PRINTS=1` the same of prints of the ink, `WHITENING=<file>`
//! writes the whitening that comes with the bundled model.

#![allow(missing_docs, clippy::expect_used, clippy::panic)] // a bench that cannot go on says why and ends

mod backbone;
mod copies;
mod pack;
mod prints;
mod protocol;

use std::path::Path;
use std::time::Instant;

use lookalike::embed::{EmbedOptions, Embedder, ModelSpec, Pooling};
use lookalike::preprocess::Cleaning;
use lookalike::verify::{Whitening, cosine};

use backbone::{Backbone, Mirror, Recipe};
use pack::{Kind, Pack};
use protocol::{Run, Scoring, leak};

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
    Recipe { cleaning: Cleaning::default(), pooling: Pooling::default(), mirror: Mirror::No }
}

/// What a whitening is fitted on.
#[derive(Default)]
struct Cohort {
    genuine: Vec<(String, Vec<f32>)>,
    mirrored: Vec<(String, Vec<f32>)>,
}

impl Cohort {
    /// Of the calibration writers.
    fn of(backbone: &Backbone, hindi: &Pack, recipe: &Recipe) -> Cohort {
        let rows = |mirror: Mirror| {
            let recipe = Recipe { mirror, ..recipe.clone() };
            let found = backbone.part(hindi, &recipe, "calibration", true);
            let usable =
                found.into_iter().filter(|(i, row)| !hindi.pictures[*i].duplicate && !row.is_empty());
            usable.map(|(i, row)| (format!("{} {mirror:?}", hindi.pictures[i].writer), row)).collect()
        };
        let ways: [Vec<_>; 3] = [Mirror::Across, Mirror::Along, Mirror::Both].map(rows);
        Cohort { genuine: rows(Mirror::No), mirrored: ways.concat() }
    }

    fn fit(&self, recipe: &str) -> Whitening {
        Whitening::fit_mirrored(recipe, &self.genuine, &self.mirrored).expect("a whitening is fitted")
    }

    fn cut(&self, cut: &Cut) -> Cohort {
        let rows = |all: &[(String, Vec<f32>)]| {
            all.iter().map(|(writer, row)| (writer.clone(), cut.of(row))).collect()
        };
        Cohort { genuine: rows(&self.genuine), mirrored: rows(&self.mirrored) }
    }
}

/// Of features from two blocks those of one, or of a coarser grid: what the tower would have made.
struct Cut {
    what: &'static str,
    /// Channels of the blocks, and whether each is kept.
    blocks: [(usize, bool); 2],
    /// Rows and columns that are left of 2 and 4.
    grid: (usize, usize),
}

const CUTS: [Cut; 4] = [
    Cut { what: "block 10 alone", blocks: [(80, false), (112, true)], grid: (2, 4) },
    Cut { what: "block 7 alone", blocks: [(80, true), (112, false)], grid: (2, 4) },
    Cut { what: "grid 2 x 2", blocks: [(80, true), (112, true)], grid: (2, 2) },
    Cut { what: "no grid", blocks: [(80, true), (112, true)], grid: (1, 1) },
];

impl Cut {
    fn of(&self, features: &[f32]) -> Vec<f32> {
        if features.is_empty() {
            return Vec::new();
        }
        let unit = |values: &mut Vec<f32>| {
            let norm = cosine(values, values).sqrt() as f32;
            values.iter_mut().for_each(|value| *value /= norm);
        };
        let (rows, columns) = self.grid;
        let (mut all, mut start) = (Vec::new(), 0);
        for (channels, kept) in self.blocks {
            let part = &features[start..start + 8 * channels];
            start += 8 * channels;
            if !kept {
                continue;
            }
            let mut block = vec![0.0; rows * columns * channels];
            for (cell, values) in part.chunks_exact(channels).enumerate() {
                let to = (cell / 4 * rows / 2 * columns + cell % 4 * columns / 4) * channels;
                block[to..to + channels].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            unit(&mut block);
            all.extend(block);
        }
        unit(&mut all);
        all
    }
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
    cells.push(leaks.map_or("-".into(), |leaks| format!("{leaks:.2}")));
    // Of forgeries, or where half of a pack has too few to say, of other people's signatures.
    let far = |impostors| run(most.min(5)).far_over_stated(scoring, 0.05, impostors);
    let skilled = far(Kind::Skilled).map(|far| format!("{far:.2}"));
    let random = || far(Kind::Random).map(|far| format!("{far:.2} (random)"));
    cells.push(skilled.or_else(random).unwrap_or_else(|| "-".into()));
    println!("| {what} | {} |", cells.join(" | "));
}

/// The steps, each switched off alone.
fn steps(name: &str, backbone: &Backbone, hindi: &Pack, nfi: Option<&Pack>, features: &[Vec<f32>]) {
    let test = Some("test");
    let cohort = Cohort::of(backbone, hindi, &standard());
    let whitening = cohort.fit("bench");
    let line = |what: &str, features: &[Vec<f32>], scoring: Scoring<'_>, duplicates: bool| {
        row(&format!("{name}, {what}"), hindi, features, test, scoring, duplicates);
    };
    line("no whitening", features, Scoring::Raw, false);
    line("no normalisation", features, Scoring::Plain(&whitening), false);
    let plain = Whitening::fit("bench", &cohort.genuine).expect("a whitening is fitted");
    line("no mirrored signatures in the whitening", features, Scoring::Steady(&plain), false);
    line("duplicates kept", features, Scoring::Steady(&whitening), true);
    let own = protocol::cohort(hindi, features, &hindi.writers(test));
    let own = Whitening::fit("bench", &own).expect("a whitening is fitted");
    line("whitened on the test writers (not valid)", features, Scoring::Steady(&own), false);
    // BHSig-Hindi's ink is black already; NFI's pens are of all kinds.
    if let Some(nfi) = nfi {
        let pale = Cleaning { darken: false, ..Cleaning::default() };
        let features = backbone.all(nfi, &Recipe { cleaning: pale, ..standard() }, true);
        let what = format!("{name}, NFI, pale ink kept");
        row(&what, nfi, &features, None, Scoring::Steady(&whitening), false);
        let features = backbone.all(nfi, &standard(), true);
        let what = format!("{name}, NFI, no mirrored signatures in the whitening");
        row(&what, nfi, &features, None, Scoring::Steady(&plain), false);
    }
    if matches!(backbone, Backbone::Hog) {
        return;
    }
    for cut in CUTS {
        let features: Vec<Vec<f32>> = features.iter().map(|row| cut.of(row)).collect();
        let whitening = cohort.cut(&cut).fit("bench");
        line(cut.what, &features, Scoring::Steady(&whitening), false);
    }
    let paper = Cleaning { remove_paper: false, ..Cleaning::default() };
    let cut = Cleaning { letterbox: false, ..Cleaning::default() };
    let last = Pooling { blocks: vec![15], ..Pooling::default() };
    for (what, recipe) in [
        ("paper kept", Recipe { cleaning: paper, ..standard() }),
        ("middle cut out", Recipe { cleaning: cut, ..standard() }),
        ("last block", Recipe { pooling: last, ..standard() }),
    ] {
        // No forgeries of calibration writers, and with them no leak probe: they take a third of the time.
        let features = backbone.all(hindi, &recipe, false);
        let whitening = Cohort::of(backbone, hindi, &recipe).fit("bench");
        line(what, &features, Scoring::Steady(&whitening), false);
    }
}

/// Writes the whitening that comes with the bundled model.
fn ship(backbone: &Backbone, hindi: &Pack, path: &str) {
    let cohort = Cohort::of(backbone, hindi, &standard());
    let model = Embedder::load(&ModelSpec::Bundled, &EmbedOptions::default()).expect("the model is loaded");
    let info = model.info().signature.clone().expect("the bundled model makes features of signatures");
    let started = Instant::now();
    let whitening = cohort.fit(&info.recipe);
    std::fs::write(path, whitening.to_bytes()).expect("the whitening is written");
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{path}: {} signatures of {} people, {seconds:.0} s",
        cohort.genuine.len() + cohort.mirrored.len(),
        whitening.subjects()
    );
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
        let forged = setting("LEAK").is_none_or(|leak| leak != "0");
        let features = backbone.all(&hindi, &standard(), forged);
        let whitening = Cohort::of(&backbone, &hindi, &standard()).fit("bench");
        let scoring = Scoring::Steady(&whitening);
        row(&format!("{name}, BHSig-Hindi test"), &hindi, &features, Some("test"), scoring, false);
        if let Some(nfi) = &nfi {
            let features = backbone.all(nfi, &standard(), true);
            row(&format!("{name}, NFI, all writers"), nfi, &features, None, scoring, false);
        }
        if setting("STEPS").is_some() {
            steps(name, &backbone, &hindi, nfi.as_ref(), &features);
        }
    }
    println!("{ANCHORS}");
}
