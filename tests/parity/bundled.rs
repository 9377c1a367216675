//! The bundled model, whatever its layout: vectors, tokens, queue.

use std::path::Path;

use lookalike::embed::{
    DeviceChoice, EmbedOptions, Embedder, Lane, ModelConfig, ModelSpec, TextCleaning, TextEncoder, Thumbnails,
};
use lookalike::error::Error;
use lookalike::metrics::Levels;
use lookalike::preprocess::Transform;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::models::{load, options};
use crate::{GOLDEN, block_on, cosine, golden, is_lossy, largest_difference, pictures, rows};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/bundled");

fn bundled() -> Embedder {
    Embedder::load(&ModelSpec::Bundled, &options()).unwrap()
}

#[test]
fn the_bundled_model_gives_the_vectors_of_transformers() {
    let record: Value = serde_json::from_slice(&golden("bundled.json")).unwrap();
    let bytes = golden("bundled.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedder = bundled();

    let texts: Vec<String> = serde_json::from_value(record["texts"].clone()).unwrap();
    let got = block_on(embedder.embed_texts(texts.clone())).unwrap();
    for ((text, got), expected) in texts.iter().zip(&got).zip(rows(&file, "text")) {
        let difference = largest_difference(got, &expected);
        assert!(
            difference < 1e-4,
            "{text:?}: {difference}; if the weights are new, make the golden values again"
        );
    }

    let names: Vec<String> = serde_json::from_value(record["pictures"].clone()).unwrap();
    let files = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let got = block_on(embedder.embed_images(files)).unwrap();
    for ((name, got), expected) in names.iter().zip(got).zip(rows(&file, "image")) {
        let got = got.unwrap();
        let (difference, cosine) = (largest_difference(&got, &expected), cosine(&got, &expected));
        println!("{name}: difference {difference:.2e}, cosine {cosine:.6}");
        if is_lossy(name) {
            assert!(cosine > 0.999, "{name}: {cosine}");
        } else {
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn texts_are_cut_into_the_tokens_of_transformers() {
    let record: Value = serde_json::from_slice(&golden("bundled.json")).unwrap();
    let file = |name: &str| std::fs::read(Path::new(BUNDLED).join(name)).unwrap();
    let side = Transform::parse(&file("preprocessor_config.json")).unwrap().side();
    let config = ModelConfig::parse(&file("config.json"), side).unwrap();
    let encoder = TextEncoder::parse(&file("tokenizer.json"), &config, TextCleaning::Off).unwrap();
    let texts: Vec<String> = serde_json::from_value(record["texts"].clone()).unwrap();
    let tokens: Vec<Vec<u32>> = serde_json::from_value(record["tokens"].clone()).unwrap();
    for (text, expected) in texts.iter().zip(tokens) {
        assert_eq!(encoder.encode(text).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn an_item_has_the_same_vector_alone_and_in_a_batch() {
    let embedder = bundled();
    let files: Vec<Vec<u8>> = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let texts: Vec<String> =
        (0..40).map(|i| format!("item {i} {}", "and more words ".repeat(i % 6))).collect();
    block_on(async {
        let together = embedder.embed_images(files.clone()).await.unwrap();
        for (file, together) in files.iter().zip(together) {
            let alone = embedder.embed_images(vec![file.clone()]).await.unwrap().remove(0).unwrap();
            assert!(largest_difference(&alone, &together.unwrap()) < 1e-5);
        }
        let together = embedder.embed_texts(texts.clone()).await.unwrap();
        for (text, together) in texts.iter().zip(together) {
            let alone = embedder.embed_texts(vec![text.clone()]).await.unwrap().remove(0);
            assert!((cosine(&alone, &alone) - 1.0).abs() < 1e-5, "not a unit vector");
            assert!(largest_difference(&alone, &together) < 1e-5, "{text}");
        }
    });
}

#[test]
fn a_request_larger_than_the_queue_is_worked_off_in_pieces_and_bad_items_fail_alone() {
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions { queue: 3, ..options() }).unwrap();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    let mut files = vec![png.clone(); 30];
    files[7] = b"not a picture".to_vec();
    files[20] = png[..60].to_vec();
    block_on(async {
        let vectors = embedder.embed_images(files).await.unwrap();
        assert_eq!(vectors.len(), 30);
        for (at, vector) in vectors.iter().enumerate() {
            match (at, vector) {
                (7, Err(Error::InvalidInput(text))) => assert!(text.contains("allowed formats"), "{text}"),
                (20, Err(Error::InvalidInput(text))) => assert!(text.contains("cut short"), "{text}"),
                (_, Ok(vector)) => assert_eq!(vector.len(), embedder.info().dimension),
                (at, Err(error)) => panic!("{at}: {error}"),
            }
        }
        let texts: Vec<String> = (0..50).map(|i| format!("text {i}")).collect();
        assert_eq!(embedder.embed_texts(texts).await.unwrap().len(), 50);
        assert_eq!(embedder.queue_depth(), 0);
    });
}

#[test]
fn a_full_queue_is_overload_with_a_hint_and_empties_again() {
    let embedder = Embedder::load(&ModelSpec::Bundled, &EmbedOptions { queue: 4, ..options() }).unwrap();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    block_on(async {
        let many = embedder.embed_images(vec![png.clone(); 20]);
        let one_more = embedder.embed_images(vec![png.clone()]);
        // `join!` polls in order: the first has taken the whole queue when the second asks.
        let (many, one_more) = tokio::join!(many, one_more);
        assert_eq!(many.unwrap().len(), 20);
        let error = one_more.unwrap_err();
        assert!(matches!(error, Error::Overloaded { retry_after_secs: 1..=60, .. }), "{error}");
        assert!(embedder.embed_images(vec![png]).await.unwrap()[0].is_ok());
    });
}

#[test]
fn a_dropped_request_leaves_the_queue() {
    let embedder = bundled();
    let png = std::fs::read(Path::new(GOLDEN).join("pictures/tiny.png")).unwrap();
    block_on(async {
        let request = embedder.embed_images(vec![png.clone(); 200]);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), request).await;
        assert_eq!(embedder.queue_depth(), 0);
        assert!(embedder.embed_images(vec![png]).await.unwrap()[0].is_ok());
    });
}

#[test]
fn the_embedder_says_what_is_loaded() {
    let embedder = bundled();
    let info = embedder.info();
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(Path::new(BUNDLED).join(name)).unwrap()).unwrap()
    };
    let (config, preprocessor) = (json("config.json"), json("preprocessor_config.json"));
    assert_eq!(info.name, "bundled");
    assert_eq!(config["projection_dim"], info.dimension);
    assert_eq!(config["text_config"]["max_position_embeddings"], info.context_length);
    assert_eq!(preprocessor["crop_size"]["height"], info.image_size);
    assert_eq!((info.device, info.precision), ("cpu", "f32"));
    assert_eq!(info.fingerprint.len(), 16);
    // The same files elsewhere are the same model.
    assert_eq!(load(Path::new(BUNDLED)).unwrap().info().fingerprint, info.fingerprint);
}

#[test]
fn a_device_that_is_not_there_falls_back_to_the_cpu() {
    let embedder = Embedder::load(
        &ModelSpec::Bundled,
        &EmbedOptions {
            device: if cfg!(feature = "cuda") { DeviceChoice::Metal } else { DeviceChoice::Cuda },
            ..options()
        },
    );
    assert_eq!(embedder.unwrap().info().device, "cpu");
}

#[test]
fn a_cached_vector_is_the_computed_one_and_equal_inputs_are_computed_once() {
    let (plain, cached) = (
        bundled(),
        Embedder::load(&ModelSpec::Bundled, &EmbedOptions { cache_bytes: 4 << 20, ..options() }).unwrap(),
    );
    let count = |series: &str| -> f64 {
        let text = cached.metrics().text(&Levels::default()).unwrap();
        let line = text.lines().find(|line| line.starts_with(series)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let files: Vec<Vec<u8>> = pictures().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let texts: Vec<String> = ["a dog", "a cat", "a dog", "", "a cat"].map(str::to_owned).into();
    block_on(async {
        let expected = plain.embed_texts(texts.clone()).await.unwrap();
        for _ in 0..2 {
            let got = cached.embed_texts_in(Lane::Ingest, texts.clone()).await.unwrap();
            for (got, expected) in got.iter().zip(&expected) {
                assert!(largest_difference(got, expected) < 1e-5);
            }
        }
        assert_eq!(count("lookalike_embed_batch_items_sum{kind=\"text\""), 3.0);
        let expected = plain.embed_images(files.clone()).await.unwrap();
        let all: Vec<Vec<u8>> = files.iter().chain(&files).cloned().collect();
        let made = cached.embed_pictures(Lane::Ingest, all, Thumbnails::Make).await.unwrap();
        let again = cached.embed_images(files.clone()).await.unwrap();
        for (at, expected) in expected.iter().enumerate() {
            let expected = expected.as_ref().unwrap();
            for made in [&made[at], &made[at + files.len()]] {
                let made = made.as_ref().unwrap();
                assert!(largest_difference(&made.vector, expected) < 1e-5 && made.thumbnail.is_some());
            }
            assert!(largest_difference(again[at].as_ref().unwrap(), expected) < 1e-5);
        }
        assert_eq!(count("lookalike_embed_batch_items_sum{kind=\"picture\""), files.len() as f64);
    });
}
