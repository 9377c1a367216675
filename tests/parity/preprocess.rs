//! Pictures as Pillow and transformers' `CLIPImageProcessor` prepare them.

use std::path::Path;

use lookalike::preprocess::{Limits, Transform};
use safetensors::SafeTensors;

use crate::{GOLDEN, file_name, golden, is_lossy, largest_difference, pictures, rows};

#[test]
fn pictures_are_prepared_as_by_pillow_and_the_clip_image_processor() {
    let bytes = golden("preprocess.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let transform = Transform::parse(br#"{"size": 64, "crop_size": 64}"#).unwrap();
    assert_eq!(pictures().len(), 14);
    for path in pictures() {
        let name = file_name(&path);
        let crop = transform.crop(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
        let planes = file.tensor(name).unwrap().data(); // [3, 64, 64]
        let expected = (0..64 * 64 * 3).map(|i| planes[i % 3 * 64 * 64 + i / 3]);
        let mut differences: Vec<u8> =
            crop.bytes().iter().zip(expected).map(|(a, b)| a.abs_diff(b)).collect();
        differences.sort_unstable();
        let (count, most) = (differences.len(), differences[differences.len() - 1]);
        let exact = differences.iter().filter(|d| **d == 0).count() as f32 / count as f32;
        let mean = differences.iter().map(|d| f32::from(*d)).sum::<f32>() / count as f32;
        println!("{name}: {:.1} % exact, mean {mean:.3}, most {most}", exact * 100.0);
        if is_lossy(name) {
            assert!(mean < 1.0 && differences[count * 99 / 100] <= 4, "{name}: mean {mean}, most {most}");
        } else {
            assert!(most <= 1 && exact > 0.999, "{name}: most {most}, exact {exact}");
        }
    }
}

#[test]
fn crops_smaller_than_the_resize_are_normalised_as_by_the_clip_image_processor() {
    let bytes = golden("preprocess.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let json = r#"{"size": {"shortest_edge": 72}, "crop_size": {"height": 48, "width": 48}}"#;
    let transform = Transform::parse(json.as_bytes()).unwrap();
    let picture = std::fs::read(Path::new(GOLDEN).join("pictures/wide.png")).unwrap();
    let got = transform.prepare(&picture, &Limits::default()).unwrap();
    let expected = rows(&file, "wide.normalised").concat();
    // One level is 0.0146 after normalising.
    let difference = largest_difference(&got, &expected);
    assert!(difference < 0.016, "{difference}");
    let exact = got.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() < 1e-5).count();
    assert!(exact as f32 > 0.999 * got.len() as f32, "{exact} of {}", got.len());
}
