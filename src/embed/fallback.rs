//! The towers once more, on the CPU, for when their device fails.

use candle_core::Device;

use super::config::ModelConfig;
use super::files;
use super::options::EmbedOptions;
use super::runner::Again;
use super::spec::ModelSpec;
use super::towers::Towers;
use super::weights;
use crate::error::{Error, Result};
use crate::preprocess::Transform;

/// Reads the model's files again when it is called, and builds the towers in f32.
///
/// Its error is `Model` where a file is gone or they are no longer those of `fingerprint`: vectors of two models
/// never meet.
pub(super) fn on_the_cpu(spec: &ModelSpec, options: &EmbedOptions, fingerprint: &str) -> Again<Towers> {
    let (spec, cache, fingerprint) = (spec.clone(), options.cache_dir.clone(), fingerprint.to_owned());
    Box::new(move || build(&spec, cache.as_deref(), &fingerprint))
}

fn build(spec: &ModelSpec, cache: Option<&std::path::Path>, fingerprint: &str) -> Result<Towers> {
    let files = files::open(spec, true, cache)?; // it is in the cache
    let config = ModelConfig::parse(&files.config, Transform::parse(&files.preprocessor)?.side())?;
    let mut weights = files.checkpoint.check(&config.layout())?;
    let found =
        weights::fingerprint(weights.digest(), &[&files.config, &files.tokenizer, &files.preprocessor]);
    if found != fingerprint {
        return Err(Error::Model(format!(
            "the files of model `{}` have changed since it was loaded; start the server again",
            spec.name()
        )));
    }
    Towers::new(&config, &Device::Cpu, |name, _shape| weights.read(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_gets_the_same_model_or_none() {
        let options = EmbedOptions::default();
        let spec = ModelSpec::Bundled;
        let files = files::open(&spec, true, None).unwrap();
        let config =
            ModelConfig::parse(&files.config, Transform::parse(&files.preprocessor).unwrap().side()).unwrap();
        let weights = files.checkpoint.check(&config.layout()).unwrap();
        let own =
            weights::fingerprint(weights.digest(), &[&files.config, &files.tokenizer, &files.preprocessor]);
        let towers = on_the_cpu(&spec, &options, &own)().unwrap();
        assert_eq!(towers.config(), &config);
        let error = on_the_cpu(&spec, &options, "another")().err().unwrap();
        assert!(matches!(&error, Error::Model(text) if text.contains("changed")), "{error}");
    }
}
