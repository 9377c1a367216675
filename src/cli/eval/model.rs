//! One model over all pictures and texts of an evaluation, with its speed. The model is dropped
//! afterwards: only one is in memory at a time.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::classes::Classes;
use super::dataset::Dataset;
use super::templates::TemplateSet;
use crate::distance;
use crate::embed::{EmbedOptions, Embedder, ModelInfo, ModelSpec};

/// Pictures that are read and embedded together.
const PICTURES_AT_ONCE: usize = 64;
/// Texts that are embedded together.
const TEXTS_AT_ONCE: usize = 1024;
/// Most different texts of one evaluation.
const MAX_TEXTS: usize = 500_000;

/// The vectors of one set of templates.
pub struct SetVectors {
    /// One a class.
    pub classes: Vec<Vec<f32>>,
    /// One a caption.
    pub captions: Vec<Vec<f32>>,
}

/// What a model made of the data.
pub struct Run {
    pub info: ModelInfo,
    /// One a picture; empty where the picture could not be read.
    pub pictures: Vec<Vec<f32>>,
    /// In the order of the sets.
    pub sets: Vec<SetVectors>,
    pub pictures_per_sec: f64,
    pub texts_per_sec: f64,
}

impl Run {
    /// Loads the model and embeds everything. Pictures that cannot be read are added to the
    /// problems of `data`.
    ///
    /// # Errors
    /// Where the model cannot be loaded or fails.
    pub fn new(
        name: &str,
        options: &EmbedOptions,
        data: &mut Dataset,
        classes: &Classes,
        sets: &[TemplateSet],
    ) -> anyhow::Result<Self> {
        let embedder = Embedder::load(&ModelSpec::parse(name)?, options)?;
        anyhow::ensure!(
            embedder.info().modalities.contains(&"text"),
            "model `{name}` embeds pictures only; eval compares pictures with texts"
        );
        let runtime = actix_web::rt::System::new();
        let began = Instant::now();
        let pictures = runtime.block_on(pictures(&embedder, data))?;
        let pictures_per_sec = pictures.len() as f64 / began.elapsed().as_secs_f64().max(1e-9);
        let texts = texts(data, classes, sets)?;
        let count = texts.len();
        let began = Instant::now();
        let vectors = runtime.block_on(embed_texts(&embedder, texts))?;
        let texts_per_sec = count as f64 / began.elapsed().as_secs_f64().max(1e-9);
        let set = |set: &TemplateSet| -> anyhow::Result<SetVectors> {
            let of_class =
                |class: &super::classes::Class| mean(&vectors, set.texts(&class.label, &class.words));
            Ok(SetVectors {
                classes: classes.all.iter().map(of_class).collect::<anyhow::Result<_>>()?,
                captions: data
                    .captions
                    .iter()
                    .map(|c| mean(&vectors, set.fill(&c.text)))
                    .collect::<anyhow::Result<_>>()?,
            })
        };
        let sets = sets.iter().map(set).collect::<anyhow::Result<_>>()?;
        let mut info = embedder.info().clone();
        name.clone_into(&mut info.name);
        Ok(Self { info, pictures, sets, pictures_per_sec, texts_per_sec })
    }
}

async fn pictures(embedder: &Embedder, data: &mut Dataset) -> anyhow::Result<Vec<Vec<f32>>> {
    let bar = ProgressBar::new(data.pictures.len() as u64).with_style(ProgressStyle::with_template(
        "{msg} {bar:40} {pos}/{len} pictures, {per_sec}, {eta} left",
    )?);
    bar.set_message(embedder.info().name.clone());
    let mut vectors = Vec::with_capacity(data.pictures.len());
    for part in data.pictures.chunks(PICTURES_AT_ONCE) {
        let mut files = Vec::with_capacity(part.len());
        let mut bytes = Vec::with_capacity(part.len());
        for picture in part {
            match std::fs::read(&picture.path) {
                Ok(content) => {
                    files.push((&picture.file, None));
                    bytes.push(content);
                }
                Err(error) => files.push((&picture.file, Some(error.to_string()))),
            }
        }
        let mut embedded = embedder.embed_images(bytes).await?.into_iter();
        for (file, unread) in files {
            let outcome = match unread {
                Some(error) => Err(error),
                None => {
                    embedded.next().context("the model lost a picture")?.map_err(|error| error.to_string())
                }
            };
            vectors.push(outcome.unwrap_or_else(|error| {
                let problem = format!("{file}: {error}");
                // Every model meets the same broken file.
                if !data.problems.contains(&problem) {
                    data.problems.push(problem);
                }
                Vec::new()
            }));
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(vectors)
}

/// Every text once.
fn texts(data: &Dataset, classes: &Classes, sets: &[TemplateSet]) -> anyhow::Result<Vec<String>> {
    let mut texts = std::collections::BTreeSet::new();
    for set in sets {
        texts.extend(classes.all.iter().flat_map(|class| set.texts(&class.label, &class.words)));
        texts.extend(data.captions.iter().flat_map(|caption| set.fill(&caption.text)));
        if texts.len() > MAX_TEXTS {
            bail!(
                "the words, captions and templates make more than {MAX_TEXTS} texts; use fewer, or --max-captions"
            );
        }
    }
    Ok(texts.into_iter().collect())
}

async fn embed_texts(embedder: &Embedder, texts: Vec<String>) -> anyhow::Result<BTreeMap<String, Vec<f32>>> {
    let bar = ProgressBar::new(texts.len() as u64)
        .with_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} texts, {per_sec}, {eta} left")?);
    bar.set_message(embedder.info().name.clone());
    let mut vectors = BTreeMap::new();
    for part in texts.chunks(TEXTS_AT_ONCE) {
        let embedded = embedder.embed_texts(part.to_vec()).await?;
        vectors.extend(part.iter().cloned().zip(embedded));
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(vectors)
}

/// The mean of the texts' unit vectors, of unit length again.
fn mean(vectors: &BTreeMap<String, Vec<f32>>, texts: Vec<String>) -> anyhow::Result<Vec<f32>> {
    let mut sum: Vec<f32> = Vec::new();
    for text in &texts {
        let vector = vectors.get(text).context("the model lost a text")?;
        if sum.is_empty() {
            sum.clone_from(vector);
        } else {
            sum.iter_mut().zip(vector).for_each(|(s, x)| *s += x);
        }
    }
    distance::normalise(&mut sum);
    Ok(sum)
}
