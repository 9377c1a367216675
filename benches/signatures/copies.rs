//! How far apart copies of a signature and other signatures of the same hand are: what the bound above which a
//! probe counts as a copy of a reference rests on. Calibration writers of BHSig-Hindi only.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat};
use lookalike::verify::cosine;
use rayon::prelude::*;

use crate::backbone::{Backbone, Recipe};
use crate::pack::Pack;

const BOUNDS: [f64; 6] = [0.97, 0.98, 0.985, 0.99, 0.995, 0.999];
/// Every so many pictures one is copied.
const EVERY: usize = 10;

pub type Change = fn(&GrayImage) -> Vec<u8>;

pub fn png(picture: GrayImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(picture).write_to(&mut bytes, ImageFormat::Png).expect("a picture is written");
    bytes.into_inner()
}

pub fn jpeg(picture: &GrayImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    DynamicImage::ImageLuma8(picture.clone()).write_with_encoder(encoder).expect("a picture is written");
    bytes
}

pub fn scaled(picture: &GrayImage, percent: u32) -> Vec<u8> {
    let side = |pixels: u32| (pixels * percent / 100).max(1);
    let (width, height) = (side(picture.width()), side(picture.height()));
    png(imageops::resize(picture, width, height, FilterType::CatmullRom))
}

/// Paper is added or cut off at the left and above.
pub fn framed(picture: &GrayImage, percent: u32) -> Vec<u8> {
    let (x, y) = (picture.width() * percent / 100, picture.height() * percent / 100);
    let mut paper = GrayImage::from_pixel(picture.width() + x, picture.height() + y, image::Luma([255]));
    imageops::overlay(&mut paper, picture, i64::from(x), i64::from(y));
    png(paper)
}

/// As a printer and a scanner would leave it: paler, blurred, compressed, a little smaller.
pub fn printed(picture: &GrayImage) -> Vec<u8> {
    let mut pale = imageops::blur(picture, 0.8);
    pale.pixels_mut().for_each(|pixel| pixel.0[0] = 40 + (u32::from(pixel.0[0]) * 200 / 255) as u8);
    let (width, height) = (picture.width() * 93 / 100, picture.height() * 93 / 100);
    jpeg(&imageops::resize(&pale, width.max(1), height.max(1), FilterType::Triangle), 75)
}

/// The shares above each bound, and the largest or smallest, as a row.
fn row(what: &str, mut found: Vec<f64>, last: &str) {
    found.sort_by(f64::total_cmp);
    let shares = BOUNDS.map(|bound| {
        let above = found.len() - found.partition_point(|value| *value <= bound);
        format!("{:.2}", 100.0 * above as f64 / found.len().max(1) as f64)
    });
    let end = if last == "most" { found.last() } else { found.first() };
    println!(
        "| {what} | {} | {} | {:.4} |",
        found.len(),
        shares.join(" | "),
        end.copied().unwrap_or(f64::NAN)
    );
}

/// Prints the table.
pub fn table(backbone: &Backbone, pack: &Pack, recipe: &Recipe) {
    let features: BTreeMap<usize, Vec<f32>> =
        backbone.part(pack, recipe, "calibration", true).into_iter().collect();
    println!(
        "| {}: share of cosines (%) above | pairs | {} | extreme |",
        backbone.name(),
        BOUNDS.map(|b| b.to_string()).join(" | ")
    );
    println!("|{}", "---|".repeat(BOUNDS.len() + 3));
    let usable: Vec<usize> = features
        .iter()
        .filter(|(i, f)| !f.is_empty() && !pack.pictures[**i].duplicate)
        .map(|(&i, _)| i)
        .collect();
    let pairs: Vec<f64> = usable
        .par_iter()
        .flat_map_iter(|&a| {
            let same =
                usable.iter().filter(move |&&b| b > a && pack.pictures[b].writer == pack.pictures[a].writer);
            same.map(|b| cosine(&features[&a], &features[b])).collect::<Vec<_>>()
        })
        .collect();
    row("two signatures of one hand", pairs, "most");
    let copied: Vec<usize> = usable.iter().copied().step_by(EVERY).collect();
    let changes: [(&str, Change); 10] = [
        ("JPEG, quality 90", |p| jpeg(p, 90)),
        ("JPEG, quality 50", |p| jpeg(p, 50)),
        ("scaled to 50 %", |p| scaled(p, 50)),
        ("scaled to 75 %", |p| scaled(p, 75)),
        ("scaled to 150 %", |p| scaled(p, 150)),
        ("paper added, 10 %", |p| framed(p, 10)),
        ("darker by 40", |p| {
            png(GrayImage::from_fn(p.width(), p.height(), |x, y| {
                image::Luma([p.get_pixel(x, y).0[0].saturating_sub(40)])
            }))
        }),
        ("blurred", |p| png(imageops::blur(p, 1.0))),
        ("printed and scanned (paler, blurred, 93 %, JPEG 75)", printed),
        ("turned upside down (another picture)", |p| png(imageops::rotate180(p))),
    ];
    for (what, change) in changes {
        let found: Vec<f64> = copied
            .par_iter()
            .filter_map(|&i| {
                let bytes = fs::read(&pack.pictures[i].path).expect("a picture of the pack is read");
                let picture = image::load_from_memory(&bytes).expect("it is a picture").to_luma8();
                let copy = backbone.features(&change(&picture), recipe);
                (!copy.is_empty()).then(|| cosine(&features[&i], &copy))
            })
            .collect();
        row(what, found, "least");
    }
}
