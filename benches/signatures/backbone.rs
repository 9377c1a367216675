//! What makes features of a picture: a tower, or histograms of gradients. Features are kept between runs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use image::imageops::{flip_horizontal_in_place, flip_vertical_in_place};
use lookalike::embed::{DeviceChoice, EfficientNet, EmbedOptions, ModelSpec, Pooling};
use lookalike::preprocess::{Cleaning, Levels, Limits, Signature, Transform, decode};
use rayon::prelude::*;

use crate::pack::Pack;

/// Orientations and side of a cell of the histograms, pixels.
const ORIENTATIONS: usize = 9;
const CELL: usize = 20;

pub enum Backbone {
    Tower { name: &'static str, tower: Box<EfficientNet>, levels: Levels },
    Hog,
}

/// Every so many genuine signatures of a writer one is mirrored.
const MIRRORED_EVERY: usize = 3;

/// How a picture is turned over first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mirror {
    No,
    Across,
    Along,
    Both,
}

/// How pictures become features.
#[derive(Clone)]
pub struct Recipe {
    pub cleaning: Cleaning,
    pub pooling: Pooling,
    pub mirror: Mirror,
}

impl Backbone {
    /// The image tower of the model in the repository.
    pub fn bundled() -> Backbone {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/bundled");
        let device = candle_core::Device::Cpu;
        let tensors = candle_core::safetensors::load(directory.join("model.safetensors"), &device);
        let tensors: HashMap<_, _> = tensors.expect("the bundled model is read");
        let tower = EfficientNet::new(&device, |name, _| {
            let tensor = &tensors[&format!("vision_model.timm_model.{name}")];
            Ok(tensor.to_dtype(candle_core::DType::F32).expect("weights become f32"))
        });
        let json = fs::read(directory.join("preprocessor_config.json")).expect("its preprocessor is read");
        let levels = Transform::parse(&json).expect("its preprocessor is understood").levels();
        let tower = Box::new(tower.expect("the bundled tower is built"));
        Backbone::Tower { name: "bundled", tower, levels }
    }

    /// EfficientNet-Lite0 from a directory that `lite0.py` made.
    pub fn lite0(directory: &str) -> Backbone {
        let options = EmbedOptions { device: DeviceChoice::Cpu, ..EmbedOptions::default() };
        let spec = ModelSpec::Directory(directory.into());
        let tower = Box::new(EfficientNet::load(&spec, &options).expect("LITE0 holds a checkpoint"));
        Backbone::Tower { name: "EfficientNet-Lite0", tower, levels: Levels::new([0.5; 3], [0.5; 3]) }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Backbone::Tower { name, .. } => name,
            Backbone::Hog => "HOG",
        }
    }

    /// Of one picture; empty where it holds no signature.
    pub fn features(&self, picture: &[u8], recipe: &Recipe) -> Vec<f32> {
        let mut picture = decode(picture, &Limits::default()).expect("the pack holds pictures");
        if matches!(recipe.mirror, Mirror::Across | Mirror::Both) {
            flip_horizontal_in_place(&mut picture);
        }
        if matches!(recipe.mirror, Mirror::Along | Mirror::Both) {
            flip_vertical_in_place(&mut picture);
        }
        let Ok(signature) = Signature::find(&picture, recipe.cleaning) else { return Vec::new() };
        match self {
            Backbone::Tower { tower, levels, .. } => {
                tower.signature(&signature, *levels, &recipe.pooling).expect("the tower runs")
            }
            Backbone::Hog => {
                let (width, height) = recipe.pooling.canvas;
                gradients(&signature.canvas(width, height), width as usize)
            }
        }
    }

    /// Features of the pictures of a pack, in order; empty for what holds no signature, and, unless `forged`, for
    /// the forgeries of calibration writers, which only the leak probe needs.
    pub fn all(&self, pack: &Pack, recipe: &Recipe, forged: bool) -> Vec<Vec<f32>> {
        let mut all = vec![Vec::new(); pack.pictures.len()];
        let parts = [("calibration", true), ("test", true), ("test", false), ("calibration", false)];
        for (fold, genuine) in parts.into_iter().take(if forged { 4 } else { 3 }) {
            for (i, features) in self.part(pack, recipe, fold, genuine) {
                all[i] = features;
            }
        }
        all
    }

    /// Features of a fold's genuine or forged pictures, with their numbers; of mirrored ones every third.
    pub fn part(&self, pack: &Pack, recipe: &Recipe, fold: &str, genuine: bool) -> Vec<(usize, Vec<f32>)> {
        let kind = if genuine { "genuine" } else { "forged" };
        let numbers = format!("{:?} {:?} {:?}", recipe.cleaning, recipe.pooling, recipe.mirror);
        let every = if recipe.mirror == Mirror::No { 1 } else { MIRRORED_EVERY };
        let key: String = format!("{} {} {fold} {kind} {numbers}", self.name(), pack.name)
            .chars()
            .filter_map(|c| if c.is_ascii_alphanumeric() { Some(c) } else { (c == ' ').then_some('-') })
            .collect();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("signatures-{key}.json"));
        let wanted: Vec<usize> = (0..pack.pictures.len())
            .filter(|&i| pack.pictures[i].genuine == genuine && pack.folds[&pack.pictures[i].writer] == fold)
            .step_by(every)
            .collect();
        if let Ok(bytes) = fs::read(&path)
            && let Ok(kept) = serde_json::from_slice::<Vec<(usize, Vec<f32>)>>(&bytes)
            && kept.len() == wanted.len()
        {
            return kept;
        }
        let started = Instant::now();
        let read = |path: &Path| fs::read(path).expect("a picture of the pack is read");
        let found: Vec<(usize, Vec<f32>)> = wanted
            .into_par_iter()
            .map(|i| (i, self.features(&read(&pack.pictures[i].path), recipe)))
            .collect();
        eprintln!("{key}: {} pictures in {:.0} s", found.len(), started.elapsed().as_secs_f64());
        fs::write(&path, serde_json::to_vec(&found).expect("features are numbers"))
            .expect("features are kept");
        found
    }
}

/// Histograms of gradients over cells, each of norm 1 with its neighbours below and to the right.
fn gradients(canvas: &[u8], width: usize) -> Vec<f32> {
    let height = canvas.len() / width;
    let (columns, rows) = (width / CELL, height / CELL);
    let mut cells = vec![[0.0f32; ORIENTATIONS]; columns * rows];
    let level = |x: usize, y: usize| f32::from(canvas[y * width + x]);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let (dx, dy) = (level(x + 1, y) - level(x - 1, y), level(x, y + 1) - level(x, y - 1));
            let turn = dy.atan2(dx).rem_euclid(std::f32::consts::PI) / std::f32::consts::PI;
            let (column, row) = (x / CELL, y / CELL);
            if column < columns && row < rows {
                let bin = ((turn * ORIENTATIONS as f32) as usize).min(ORIENTATIONS - 1);
                cells[row * columns + column][bin] += dx.hypot(dy);
            }
        }
    }
    let energy = |x: usize, y: usize| -> f32 {
        cells[y.min(rows - 1) * columns + x.min(columns - 1)].iter().map(|value| value * value).sum()
    };
    let mut found = Vec::with_capacity(cells.len() * ORIENTATIONS);
    for y in 0..rows {
        for x in 0..columns {
            let norm = energy(x, y) + energy(x + 1, y) + energy(x, y + 1) + energy(x + 1, y + 1);
            let norm = (norm + 1.0).sqrt();
            found.extend(cells[y * columns + x].iter().map(|value| value / norm));
        }
    }
    found
}
