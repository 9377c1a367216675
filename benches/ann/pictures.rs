//! Picture embeddings for `benches/ann/run pictures`: every picture of some folders, changed at random
//! (crop, flip, rotation, colour, noise), through the bundled model.
//!
//! `cargo bench --bench ann-pictures -- OUT COUNT DIR ...` appends rows of little-endian floats to
//! OUT until there are COUNT, and goes on where it was stopped: row `i` depends on the folders and
//! on `i` alone, so a larger COUNT has a smaller one as its beginning. Without arguments it does
//! nothing, so that `cargo test` passes over it.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use lookalike::embed::{EmbedOptions, Embedder, ModelSpec};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

/// Rows of one picture at a time; the next visit to it comes after all others.
const VARIANTS: usize = 4;
/// Pictures in one piece of work, between two writes.
const PIECE: usize = 32;
/// Shorter side to which a picture is brought before it is changed, pixels: the model's and room to crop.
const SHORTER: u32 = 192;
/// Side of what is embedded, pixels: the model's own.
const SIDE: u32 = 128;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [out, count, folders @ ..] = arguments.as_slice() else { return };
    let count: usize = count.parse().unwrap();
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| pictures(Path::new(folder))).collect();
    assert!(!files.is_empty(), "no pictures in {folders:?}");
    files.shuffle(&mut SmallRng::seed_from_u64(3));

    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions::default()).unwrap();
    let (width, model) = (4 * embedder.info().dimension, embedder.info().fingerprint.clone());
    let source = format!("{} pictures, model {model}, {VARIANTS} rows a visit\n", files.len());
    let noted = PathBuf::from(format!("{out}.source"));
    match std::fs::read_to_string(&noted) {
        Ok(old) if old != source => {
            panic!("{out} was begun with {old}and would go on with {source}: remove it")
        }
        _ => std::fs::write(&noted, &source).unwrap(),
    }

    let mut file = OpenOptions::new().create(true).append(true).open(out).unwrap();
    let mut visit = file.metadata().unwrap().len() as usize / (width * VARIANTS);
    file.set_len((visit * width * VARIANTS) as u64).unwrap(); // a row that was cut short
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while visit * VARIANTS < count {
        let until = (visit + PIECE).min(count.div_ceil(VARIANTS));
        let changed: Vec<Vec<u8>> =
            (visit..until).into_par_iter().flat_map_iter(|visit| variants(&files, visit)).collect();
        let vectors = runtime.block_on(embedder.embed_images(changed)).unwrap();
        let bytes: Vec<u8> =
            vectors.into_iter().flat_map(Result::unwrap).flat_map(f32::to_le_bytes).collect();
        file.write_all(&bytes).unwrap();
        visit = until;
        if visit.is_multiple_of(PIECE * 64) {
            eprintln!("{} of {count} rows", visit * VARIANTS);
        }
    }
}

/// The picture files under a folder, in the order of their paths.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let is_picture = |path: &Path| {
        let kind = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        kind.is_some_and(|kind| ["jpg", "jpeg", "png", "webp"].contains(&kind.as_str()))
    };
    entries
        .into_iter()
        .flat_map(|path| if path.is_dir() { pictures(&path) } else { vec![path] })
        .filter(|path| is_picture(path))
        .collect()
}

/// The rows of one visit as PNG files. A picture that cannot be read is replaced by the next.
fn variants(files: &[PathBuf], visit: usize) -> Vec<Vec<u8>> {
    let picture = (visit..visit + 16).find_map(|i| small(&files[i % files.len()]));
    let picture = picture.unwrap_or_else(|| panic!("16 pictures in a row cannot be read, from {visit}"));
    let row = |variant| {
        let mut random = SmallRng::seed_from_u64((visit * VARIANTS + variant) as u64);
        let changed = change(&picture, &mut random);
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::NoFilter)
            .write_image(changed.as_raw(), SIDE, SIDE, ExtendedColorType::Rgb8)
            .unwrap();
        png
    };
    (0..VARIANTS).map(row).collect()
}

/// A picture over white, its shorter side [`SHORTER`] pixels at most.
fn small(path: &Path) -> Option<RgbImage> {
    let mut reader = image::ImageReader::new(std::io::BufReader::new(File::open(path).ok()?));
    reader.set_format(image::ImageFormat::from_path(path).ok()?);
    let picture = reader.decode().ok()?;
    let (width, height) = (picture.width(), picture.height());
    let scale = (f64::from(SHORTER) / f64::from(width.min(height))).min(1.0);
    let to = |side: u32| ((f64::from(side) * scale) as u32).max(1);
    let rgba = picture.thumbnail_exact(to(width), to(height)).into_rgba8();
    let over_white = |pixel: &image::Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        Rgb([red, green, blue].map(|value| ((value * alpha + 255 * (255 - alpha)) / 255) as u8))
    };
    let pixels = rgba.pixels().flat_map(|pixel| over_white(pixel).0).collect();
    RgbImage::from_raw(rgba.width(), rgba.height(), pixels)
}

/// One square of the picture: 50 to 100 % of the shorter side, turned by up to 15 degrees, mirrored half
/// of the time, in other colours and with noise. Edges are repeated where it looks beyond them.
fn change(picture: &RgbImage, random: &mut SmallRng) -> RgbImage {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let side = width.min(height) * random.random_range(0.5f32..=1.0);
    let centre = [width, height].map(|length| side / 2.0 + random.random::<f32>() * (length - side).max(0.0));
    let (sin, cos) = random.random_range(-15f32..15.0).to_radians().sin_cos();
    let mirror = if random.random() { -1.0 } else { 1.0 };
    let step = side / SIDE as f32;
    let contrast = random.random_range(0.7f32..1.3);
    let gain = [(); 3].map(|()| random.random_range(0.85f32..1.15));
    let brightness = random.random_range(-25f32..25.0);
    let grey = random.random_range(0f32..0.5);
    let noise = random.random_range(0f32..10.0);
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = ((x as f32 - SIDE as f32 / 2.0) * step * mirror, (y as f32 - SIDE as f32 / 2.0) * step);
        let pixel = sampled(picture, centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos);
        let mean = pixel.iter().sum::<f32>() / 3.0;
        let mut channel = 0;
        Rgb(pixel.map(|value| {
            let mixed = (value + grey * (mean - value)) * gain[channel];
            channel += 1;
            let value =
                (mixed - 128.0) * contrast + 128.0 + brightness + noise * random.random_range(-1f32..1.0);
            value.clamp(0.0, 255.0) as u8
        }))
    })
}

/// The picture at a place between pixels.
fn sampled(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (x, y) = (x.clamp(0.0, picture.width() as f32 - 1.0), y.clamp(0.0, picture.height() as f32 - 1.0));
    let (left, top) = (x as u32, y as u32);
    let (right, bottom) = ((left + 1).min(picture.width() - 1), (top + 1).min(picture.height() - 1));
    let at = |x, y| picture.get_pixel(x, y).0.map(f32::from);
    let (right_share, low_share) = (x.fract(), y.fract());
    let (upper, lower) = ([at(left, top), at(right, top)], [at(left, bottom), at(right, bottom)]);
    std::array::from_fn(|channel| {
        let between =
            |pair: &[[f32; 3]; 2]| pair[0][channel] + right_share * (pair[1][channel] - pair[0][channel]);
        between(&upper) + low_share * (between(&lower) - between(&upper))
    })
}
