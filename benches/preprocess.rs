//! From the bytes of a JPEG to the input of a tower, one photo at a time, beside Pillow: times, difference of pixels, and
//! the cosine of the vectors of both. The sample photos are enlarged to 0.5 and 12 megapixels.
//!
//! `cargo bench --bench preprocess`, with and without `--features libjpeg`; without it what scales a photo down while it is
//! decoded has a thread for each colour, so that only `taskset -c 1 PROGRAM` compares one thread with one thread.
//! PILLOW_PYTHON names a Python with Pillow (python3); without one the columns of Pillow stay empty.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};
use lookalike::embed::{EmbedOptions, Embedder, ModelSpec};
use lookalike::preprocess::{Limits, Transform, decode, decode_reduced};

/// Photos at each size.
const PHOTOS: usize = 8;

/// The best of several runs, milliseconds.
fn best<T>(times: usize, mut run: impl FnMut() -> T) -> f64 {
    let one = |_| {
        let began = Instant::now();
        std::hint::black_box(run());
        began.elapsed().as_secs_f64() * 1000.0
    };
    (0..times).map(one).fold(f64::INFINITY, f64::min)
}

/// Sample photos as JPEGs of about so many pixels, with a grain that scaling up would not leave.
fn photos(megapixels: f64) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clothing");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let step = files.len() / PHOTOS;
    let mut seed = 7u32;
    let mut make = |file: &std::path::PathBuf| {
        let small = decode(&std::fs::read(file).unwrap(), &Limits::default()).unwrap();
        let factor = (megapixels * 1e6 / f64::from(small.width() * small.height())).sqrt();
        let side = |side: u32| (f64::from(side) * factor) as u32;
        let mut large = image::imageops::resize(
            &small,
            side(small.width()),
            side(small.height()),
            FilterType::CatmullRom,
        );
        for value in large.iter_mut() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = value.saturating_add_signed((seed >> 29) as i8 - 4);
        }
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&large).unwrap();
        bytes
    };
    files.iter().step_by(step).take(PHOTOS).map(&mut make).collect()
}

/// The size that Pillow is asked for: the shorter side to the tower's, the longer in proportion.
fn resized(picture: &RgbImage, side: usize) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    let long = |long: u32, short: u32| (side as f64 * f64::from(long) / f64::from(short)) as u32;
    let side = side as u32;
    if width <= height { (side, long(height, width)) } else { (long(width, height), side) }
}

/// Pillow's milliseconds and pixels for each file; `None` where there is no Pillow.
fn pillow(dir: &Path, files: &[Vec<u8>], sizes: &[(u32, u32)], times: usize) -> Option<Vec<(f64, Vec<u8>)>> {
    let path = |at: usize, ending: &str| dir.join(format!("{at}.{ending}")).display().to_string();
    let mut list = String::new();
    for (at, (file, (width, height))) in files.iter().zip(sizes).enumerate() {
        std::fs::write(path(at, "jpg"), file).unwrap();
        list += &format!("{}\t{width}\t{height}\t{times}\t{}\n", path(at, "jpg"), path(at, "rgb"));
    }
    std::fs::write(dir.join("list"), list).unwrap();
    let python = std::env::var("PILLOW_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pillow.py");
    let output = Command::new(python).arg(script).arg(dir.join("list")).output().ok()?;
    if !output.status.success() {
        eprintln!("no Pillow: {}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let one = |(at, line): (usize, &str)| (line.parse().unwrap(), std::fs::read(path(at, "rgb")).unwrap());
    Some(text.lines().enumerate().map(one).collect())
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// The middle square of resized pixels, as the tower takes it.
fn middle(pixels: &[u8], (width, height): (u32, u32), side: usize) -> RgbImage {
    let whole = RgbImage::from_raw(width, height, pixels.to_vec()).unwrap();
    let side = side as u32;
    image::imageops::crop_imm(&whole, (width - side) / 2, (height - side) / 2, side, side).to_image()
}

fn main() {
    // `cargo test --benches` runs this too: it is a bench, not a test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let transform = Transform::parse(include_bytes!("../models/bundled/preprocessor_config.json")).unwrap();
    let (limits, side) = (Limits::default(), transform.side());
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let embed = |crops: Vec<RgbImage>| -> Vec<Vec<f32>> {
        let files = crops.iter().map(png).collect();
        runtime.block_on(embedder.embed_images(files)).unwrap().into_iter().map(|one| one.unwrap()).collect()
    };
    let scaled = if cfg!(feature = "libjpeg") {
        "libjpeg-turbo"
    } else {
        "jpeg-decoder and image (no feature libjpeg)"
    };
    println!("Decoder: {scaled}; side {side}; the median of {PHOTOS} photos, best of several runs.\n");
    println!(
        "| megapixels | Pillow ms | whole ms | as ingested ms | times Pillow | pixels unlike Pillow's, whole | least cosine to Pillow, whole | as ingested |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (megapixels, times) in [(0.5, 20), (12.0, 5)] {
        let files = photos(megapixels);
        let sizes: Vec<_> = files.iter().map(|file| resized(&decode(file, &limits).unwrap(), side)).collect();
        let reduced =
            |file: &[u8]| transform.crop_decoded(&decode_reduced(file, &limits, transform.enough()).unwrap());
        let whole = |file: &[u8]| transform.crop_decoded(&decode(file, &limits).unwrap());
        let time = |run: &dyn Fn(&[u8])| median(files.iter().map(|file| best(times, || run(file))).collect());
        let whole_ms = time(&|file| drop(whole(file)));
        let reduced_ms = time(&|file| drop(reduced(file)));
        let square = |bytes: &[u8]| RgbImage::from_raw(side as u32, side as u32, bytes.to_vec()).unwrap();
        let ours: Vec<_> = files.iter().map(|file| square(whole(file).bytes())).collect();
        let ingested: Vec<_> = files.iter().map(|file| square(reduced(file).bytes())).collect();
        let dir = tempfile::tempdir().unwrap();
        let Some(theirs) = pillow(dir.path(), &files, &sizes, times) else {
            let least = least_cosine(&embed(ours), &embed(ingested));
            println!(
                "| {megapixels} | - | {whole_ms:.1} | {reduced_ms:.1} | - | - | - | {least:.6} (to whole) |"
            );
            continue;
        };
        let pillow_ms = median(theirs.iter().map(|(ms, _)| *ms).collect());
        let theirs: Vec<_> =
            theirs.iter().zip(&sizes).map(|((_, pixels), size)| middle(pixels, *size, side)).collect();
        let values = ours.iter().zip(&theirs).flat_map(|(a, b)| a.iter().zip(b.iter()));
        let (unlike, largest) = values.clone().fold((0, 0), |(unlike, largest), (a, b)| {
            (unlike + usize::from(a != b), a.abs_diff(*b).max(largest))
        });
        let unlike = 100.0 * unlike as f64 / values.count() as f64;
        let reference = embed(theirs);
        let (of_whole, of_ingested) =
            (least_cosine(&reference, &embed(ours)), least_cosine(&reference, &embed(ingested)));
        println!(
            "| {megapixels} | {pillow_ms:.1} | {whole_ms:.1} | {reduced_ms:.1} | {:.1} | {unlike:.2} %, by at most {largest} | {of_whole:.6} | {of_ingested:.6} |",
            pillow_ms / reduced_ms
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The least cosine of unit vectors in pairs.
fn least_cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(x, y)| x * y).sum();
    a.iter().zip(b).map(cosine).fold(1.0, f32::min)
}
