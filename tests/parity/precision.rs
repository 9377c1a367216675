//! Towers in bf16 and in bytes, behind the gate at loading.

use std::path::Path;

use candle_core::{Device, Tensor};
use lookalike::embed::{EmbedOptions, Embedder, ModelSpec, PrecisionChoice};
use lookalike::error::Result;

use crate::models::{clip_config, clip_tokenizer, directory, generated, options};
use crate::{block_on, cosine};

fn load(directory: &Path, precision: PrecisionChoice) -> Result<Embedder> {
    let spec = ModelSpec::Directory(directory.to_path_buf());
    Embedder::load(&spec, &EmbedOptions { precision, ..options() })
}

#[test]
fn what_is_loaded_in_another_precision_gives_the_vectors_of_f32_within_the_gate() {
    let directory = directory(&clip_config(), 32, &clip_tokenizer(), generated);
    let load = |precision| load(directory.path(), precision).unwrap();
    let vectors = |model: &Embedder| {
        let texts = ["a dog", "two red shoes on a table", ""].map(String::from).to_vec();
        block_on(model.embed_texts(texts)).unwrap()
    };
    let reference = load(PrecisionChoice::F32);
    assert_eq!(reference.info().precision, "f32");
    let expected = vectors(&reference);
    for choice in [PrecisionChoice::Bf16, PrecisionChoice::Auto] {
        let model = load(choice);
        if choice == PrecisionChoice::Bf16 {
            assert_eq!(model.info().precision, "bf16");
        }
        assert_eq!(model.info().fingerprint, reference.info().fingerprint);
        for (got, expected) in vectors(&model).iter().zip(&expected) {
            let cosine = cosine(got, expected);
            assert!(cosine > 0.998, "{choice:?} {}: {cosine}", model.info().precision);
        }
    }
}

/// One channel is a thousand times as large behind the norm, and its weights so much smaller: the same
/// function, but bytes with one step for the whole row lose all other channels.
fn with_an_outlier(name: &str, shape: &[usize]) -> Tensor {
    let mut values = generated(name, shape).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    if name.ends_with("layer_norm2.weight") || name.ends_with("layer_norm2.bias") {
        values[0] *= 1000.0;
    }
    if name.ends_with("fc1.weight") {
        values.chunks_mut(shape[1]).for_each(|row| row[0] /= 1000.0);
    }
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn a_precision_that_does_not_pass_the_gate_is_refused_by_name_and_never_chosen() {
    let directory = directory(&clip_config(), 32, &clip_tokenizer(), with_an_outlier);
    let error = load(directory.path(), PrecisionChoice::Int8).unwrap_err().to_string();
    assert!(error.contains("int8") && error.contains("0.999"), "{error}");
    assert_ne!(load(directory.path(), PrecisionChoice::Auto).unwrap().info().precision, "int8");
}
