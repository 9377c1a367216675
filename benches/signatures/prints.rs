//! Whether the print of the ink tells copies from other signatures of the same hand: what `DUPLICATE_PRINT`
//! rests on. Pictures are copied as printers, scanners and phones do it; pairs of one writer are what must not
//! be taken for copies. BHSig-Hindi holds some sheets twice, scanned anew: those pairs are named, for the eye.

use std::collections::BTreeMap;
use std::fs;

use image::imageops;
use image::{GrayImage, Luma};
use lookalike::preprocess::{Cleaning, DUPLICATE_PRINT, InkPrint, Limits, Signature, decode};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

use crate::copies::{Change, framed, jpeg, png, printed, scaled};
use crate::pack::Pack;

const BOUNDS: [f32; 7] = [0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98];
/// Every so many genuine pictures of BHSig-Hindi one is copied; all of smaller packs.
const EVERY: usize = 10;
const SMALL: usize = 500;

/// Turned about its middle, on paper as light as its lightest.
fn turned(picture: &GrayImage, degrees: f32) -> GrayImage {
    let paper = picture.pixels().map(|pixel| pixel.0[0]).max().unwrap_or(255);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let side = |a: f32, b: f32| (a * cos + b * sin.abs()).ceil() as u32;
    let (wide, high) = (side(width, height), side(height, width));
    let level = |x: f32, y: f32| {
        let inside = (0.0..width).contains(&x) && (0.0..height).contains(&y);
        f32::from(if inside { picture.get_pixel(x as u32, y as u32).0[0] } else { paper })
    };
    GrayImage::from_fn(wide, high, |x, y| {
        let (x, y) = (x as f32 - (wide - 1) as f32 / 2.0, y as f32 - (high - 1) as f32 / 2.0);
        let (x, y) = (x * cos + y * sin + (width - 1.0) / 2.0, y * cos - x * sin + (height - 1.0) / 2.0);
        let (left, top) = (x.floor(), y.floor());
        let (right, low) = (x - left, y - top);
        let upper = level(left, top) * (1.0 - right) + level(left + 1.0, top) * right;
        let lower = level(left, top + 1.0) * (1.0 - right) + level(left + 1.0, top + 1.0) * right;
        Luma([(upper * (1.0 - low) + lower * low).round() as u8])
    })
}

fn levels(picture: &GrayImage, change: impl Fn(f32) -> f32) -> GrayImage {
    let mut changed = picture.clone();
    changed.pixels_mut().for_each(|pixel| pixel.0[0] = change(f32::from(pixel.0[0])).clamp(0.0, 255.0) as u8);
    changed
}

/// About normal, by the sum of four even ones.
fn noisy(picture: &GrayImage, deviation: f32) -> GrayImage {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut noisy = picture.clone();
    for pixel in noisy.pixels_mut() {
        let sum: f32 = (0..4).map(|_| rng.random_range(-0.5f32..0.5)).sum();
        pixel.0[0] = (f32::from(pixel.0[0]) + sum * deviation * 3f32.sqrt()).clamp(0.0, 255.0) as u8;
    }
    noisy
}

/// Black and white only, by the middle between the ink and the paper.
fn photocopy(picture: &GrayImage) -> GrayImage {
    let mut threshold = 128.0;
    for _ in 0..8 {
        let mean = |dark: bool| {
            let of: Vec<f32> =
                picture.pixels().map(|p| f32::from(p.0[0])).filter(|v| (*v < threshold) == dark).collect();
            of.iter().sum::<f32>() / of.len().max(1) as f32
        };
        threshold = f32::midpoint(mean(true), mean(false));
    }
    levels(picture, |level| if level < threshold { 0.0 } else { 255.0 })
}

/// All of it at once: photocopied, turned, blurred, made smaller, noisy, compressed.
fn all_at_once(picture: &GrayImage) -> Vec<u8> {
    let copy = imageops::blur(&turned(&photocopy(picture), 1.5), 1.0);
    let (width, height) = (copy.width() * 4 / 5, copy.height() * 4 / 5);
    let small = imageops::resize(&copy, width.max(1), height.max(1), imageops::FilterType::Triangle);
    jpeg(&noisy(&small, 6.0), 50)
}

const CHANGES: [(&str, Change); 20] = [
    ("JPEG, quality 90", |p| jpeg(p, 90)),
    ("JPEG, quality 60", |p| jpeg(p, 60)),
    ("JPEG, quality 30", |p| jpeg(p, 30)),
    ("scaled to 50 %", |p| scaled(p, 50)),
    ("scaled to 75 %", |p| scaled(p, 75)),
    ("scaled to 150 %", |p| scaled(p, 150)),
    ("scaled to 200 %", |p| scaled(p, 200)),
    ("turned by 1°", |p| png(turned(p, 1.0))),
    ("turned by 2°", |p| png(turned(p, 2.0))),
    ("turned by -2°", |p| png(turned(p, -2.0))),
    ("paper added, 10 %", |p| framed(p, 10)),
    ("blurred, 1 pixel", |p| png(imageops::blur(p, 1.0))),
    ("blurred, 2 pixels", |p| png(imageops::blur(p, 2.0))),
    ("darker by 40", |p| png(levels(p, |v| v - 40.0))),
    ("brighter by 40, half the contrast", |p| png(levels(p, |v| 167.5 + (v - 127.5) / 2.0))),
    ("noise, 10 levels", |p| png(noisy(p, 10.0))),
    ("noise, 20 levels", |p| png(noisy(p, 20.0))),
    ("photocopied (black and white)", |p| png(photocopy(p))),
    ("printed and scanned (paler, blurred, 93 %, JPEG 75)", printed),
    ("all at once", all_at_once),
];

fn print_of(picture: &[u8]) -> Option<InkPrint> {
    let picture = decode(picture, &Limits::default()).expect("it is a picture");
    Some(Signature::find(&picture, Cleaning::default()).ok()?.print())
}

fn row(what: &str, found: &[f32]) {
    let least = found.iter().copied().fold(f32::INFINITY, f32::min);
    let most = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = BOUNDS.map(|bound| found.iter().filter(|value| **value >= bound).count());
    let cells = above.map(|above| match above * 100 {
        part if found.len() > 2000 => format!("{}", part / 100),
        part => format!("{:.1} %", part as f64 / found.len().max(1) as f64),
    });
    println!("| {what} | {} | {} | {least:.3} | {most:.3} |", found.len(), cells.join(" | "));
}

/// Prints the table of one pack, and the pairs of genuine signatures that are taken for copies.
pub fn table(pack: &Pack) {
    let read = |i: usize| fs::read(&pack.pictures[i].path).expect("a picture of the pack is read");
    let prints: BTreeMap<usize, InkPrint> = (0..pack.pictures.len())
        .into_par_iter()
        .filter(|&i| !pack.pictures[i].duplicate)
        .filter_map(|i| Some((i, print_of(&read(i))?)))
        .collect();
    let length = prints.values().map(|print| print.to_text().len()).sum::<usize>() / prints.len().max(1);
    println!("\n{}: {} prints of {length} bytes on average", pack.name, prints.len());
    println!("| | pairs | {} | least | most |", BOUNDS.map(|b| format!("from {b}")).join(" | "));
    println!("|{}", "---|".repeat(BOUNDS.len() + 4));
    let genuine: Vec<usize> = prints.keys().copied().filter(|&i| pack.pictures[i].genuine).collect();
    let every = if genuine.len() > SMALL { EVERY } else { 1 };
    let copied: Vec<usize> = genuine.iter().copied().step_by(every).collect();
    let mut all = Vec::new();
    for (what, change) in CHANGES {
        let likeness = |&i: &usize| {
            let picture = image::load_from_memory(&read(i)).expect("it is a picture").to_luma8();
            print_of(&change(&picture)).map_or(-1.0, |copy| prints[&i].likeness(&copy))
        };
        let found: Vec<f32> = copied.par_iter().map(likeness).collect();
        row(what, &found);
        all.extend(found);
    }
    row("all copies", &all);
    let mates = |&a: &usize| {
        let own = &pack.pictures[a].writer;
        prints.keys().copied().filter(move |&b| pack.pictures[b].writer == *own).map(move |b| (a, b))
    };
    let pairs: Vec<(usize, usize)> = genuine.iter().flat_map(mates).collect();
    let liken = |kind: bool| -> Vec<(f32, usize, usize)> {
        let wanted = pairs.par_iter().filter(|(a, b)| pack.pictures[*b].genuine == kind && (!kind || a < b));
        wanted.map(|&(a, b)| (prints[&a].likeness(&prints[&b]), a, b)).collect()
    };
    let (same_hand, forged) = (liken(true), liken(false));
    row("two genuine signatures of one writer", &same_hand.iter().map(|pair| pair.0).collect::<Vec<_>>());
    row("a genuine and a forged one", &forged.iter().map(|pair| pair.0).collect::<Vec<_>>());
    for pair in same_hand.iter().filter(|pair| pair.0 >= DUPLICATE_PRINT - 0.02) {
        let name = |i: usize| pack.pictures[i].path.display();
        eprintln!("{:.4} {} {}", pair.0, name(pair.1), name(pair.2));
    }
}
