//! Points whose vectors may still be for the model, and the embedding of all of them in one go.

use std::collections::BTreeMap;

use super::Engine;
use super::choices::Choices;
use super::pictures::pictured;
use crate::collection::Collection;
use crate::embed::{Embedded, Embedder, Lane, Thumbnails};
use crate::error::{Error, Result};
use crate::types::{CollectionName, Payload, PicturePolicy, Pictures, Point, PointId, VectorName};

/// What the model is asked to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// The bytes of a picture file.
    Image(Vec<u8>),
    /// The weighted sum of several, normalised.
    Mix(Vec<Part>),
}

/// One part of a mixed content.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// A text or a picture.
    pub content: Content,
    /// Its weight; negative to move away from it.
    pub weight: f32,
}

/// A content, the model it is meant for, and where it stands in the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// The model's name; that of the vector it is for if absent.
    pub model: Option<String>,
    /// What to embed.
    pub content: Content,
    /// What the request says of it beside.
    pub choices: Choices,
    /// Its place in the request, for errors.
    pub place: String,
}

/// A vector, or what the model makes one of.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorSource {
    /// The numbers themselves.
    Dense(Vec<f32>),
    /// For the model.
    Inference(Inference),
}

/// A point on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its id.
    pub id: PointId,
    /// Its vectors by name.
    pub vectors: BTreeMap<VectorName, VectorSource>,
    /// Its payload.
    pub payload: Payload,
}

/// What happens to a request in which one item cannot be embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing is written.
    RefuseAll,
    /// The others are written.
    SkipItem,
}

/// An item that was skipped.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its index in the request.
    pub index: usize,
    /// Its id.
    pub id: PointId,
    /// Why.
    pub error: Error,
}

/// What an upsert did.
#[derive(Debug, Clone)]
pub struct Upserted {
    /// Sequence number of the write; 0 where nothing was left to write.
    pub version: u64,
    /// Items that were skipped; empty unless asked for.
    pub failures: Vec<Failure>,
}

impl Engine {
    /// Embeds what is for the model, checks everything, then writes all of it as one change.
    ///
    /// # Errors
    /// The first item's error, which names its place; nothing is written then.
    pub async fn upsert(
        &self,
        name: &CollectionName,
        mut drafts: Vec<Draft>,
        on_failure: OnFailure,
    ) -> Result<Upserted> {
        // A missing collection or a wrong name is known before the model works for nothing.
        self.bind_drafts(name, &mut drafts)?;
        let policy = self.picture_policy(name)?;
        let (points, failures) = self.embed_drafts(drafts, on_failure, policy).await?;
        let write = move |collection: &Collection| match points {
            points if points.is_empty() => Ok(0),
            points => {
                let (points, pictures) = points.into_iter().unzip();
                collection.upsert_pictured(points, pictures)
            }
        };
        let version = self.on(name, write).await?;
        Ok(Upserted { version, failures })
    }

    /// Checks the names of vectors, and gives what is for a model that of its vector.
    fn bind_drafts(&self, name: &CollectionName, drafts: &mut [Draft]) -> Result<()> {
        let config = self.collection(name)?.config();
        for (i, draft) in drafts.iter_mut().enumerate() {
            for (vector, source) in &mut draft.vectors {
                let Some(params) = config.vectors.get(vector) else {
                    return Err(Error::InvalidInput(format!(
                        "points[{i}]: Not existing vector name error: {vector}"
                    )));
                };
                if let VectorSource::Inference(inference) = source {
                    self.bind(inference, name, vector, params)?;
                    self.check_model_of(name, vector, params)
                        .map_err(|error| error.at(format!("points[{i}]")))?;
                }
            }
        }
        Ok(())
    }

    async fn embed_drafts(
        &self,
        drafts: Vec<Draft>,
        on_failure: OnFailure,
        policy: PicturePolicy,
    ) -> Result<(Vec<(Point, Pictures)>, Vec<Failure>)> {
        let mut inferences = Vec::new();
        let mut dense = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let mut vectors = BTreeMap::new();
            let mut wanted = Vec::new();
            let picture = pictured(&draft);
            let shown = picture.map(|(name, _)| name.to_owned());
            let original = picture.filter(|_| policy.originals).map(|(_, bytes)| bytes.clone());
            for (name, source) in draft.vectors {
                match source {
                    VectorSource::Dense(vector) => {
                        vectors.insert(name, vector);
                    }
                    VectorSource::Inference(inference) => {
                        wanted.push((shown.as_ref() == Some(&name), name));
                        inferences.push(inference);
                    }
                }
            }
            let pictures = Pictures { thumbnail: None, original };
            dense.push((Point { id: draft.id, vectors, payload: draft.payload }, pictures, wanted));
        }
        let mut embedded = self.embed_pictured(Lane::Ingest, inferences, policy.into()).await?.into_iter();
        let (mut points, mut failures) = (Vec::with_capacity(dense.len()), Vec::new());
        for (index, (mut point, mut pictures, wanted)) in dense.into_iter().enumerate() {
            let mut failed = None;
            for (is_shown, name) in wanted {
                match embedded.next() {
                    Some(Ok(Embedded { vector, thumbnail })) => {
                        point.vectors.insert(name, vector);
                        if is_shown {
                            pictures.thumbnail = thumbnail;
                        }
                    }
                    Some(Err(error)) => failed = Some(error),
                    None => failed = Some(Error::Internal("the model answered too few vectors".into())),
                }
            }
            match (failed, on_failure) {
                (None, _) => points.push((point, pictures)),
                (Some(error), OnFailure::RefuseAll) => return Err(error),
                (Some(error), OnFailure::SkipItem) => failures.push(Failure { index, id: point.id, error }),
            }
        }
        Ok((points, failures))
    }

    /// One vector per inference, in order; an item that cannot be embedded is an error of its
    /// own. The outer error is the model's: unknown, without room, overloaded, stopping.
    pub async fn embed_each(&self, lane: Lane, inferences: Vec<Inference>) -> Result<Vec<Result<Vec<f32>>>> {
        let embedded = self.embed_pictured(lane, inferences, Thumbnails::Skip).await?;
        Ok(embedded.into_iter().map(|one| one.map(|one| one.vector)).collect())
    }

    /// The same with a small copy of each picture that is alone in its inference.
    async fn embed_pictured(
        &self,
        lane: Lane,
        inferences: Vec<Inference>,
        thumbnails: Thumbnails,
    ) -> Result<Vec<Result<Embedded>>> {
        let mut groups: Vec<(Option<String>, Vec<usize>, Vec<Inference>)> = Vec::new();
        let count = inferences.len();
        for (at, inference) in inferences.into_iter().enumerate() {
            match groups.iter_mut().find(|(model, ..)| *model == inference.model) {
                Some((_, places, group)) => {
                    places.push(at);
                    group.push(inference);
                }
                None => groups.push((inference.model.clone(), vec![at], vec![inference])),
            }
        }
        let mut answers: Vec<Option<Result<Embedded>>> =
            std::iter::repeat_with(|| None).take(count).collect();
        // One after the other: where memory is short, one model may have to go for the next.
        for (model, places, group) in groups {
            let place = group.first().map(|inference| inference.place.clone()).unwrap_or_default();
            let embedder = self.shared.models.get(model.as_deref()).await.map_err(|error| error.at(place))?;
            let embedded = embed_with(&embedder, lane, group, thumbnails).await?;
            places.into_iter().zip(embedded).for_each(|(at, one)| answers[at] = Some(one));
        }
        let missing = || Err(Error::Internal("the model answered too few vectors".into()));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect())
    }
}

/// One vector per inference by one model, in order, with a small copy of each picture that is alone in its inference.
async fn embed_with(
    embedder: &Embedder,
    lane: Lane,
    inferences: Vec<Inference>,
    thumbnails: Thumbnails,
) -> Result<Vec<Result<Embedded>>> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    let mut plans = Vec::with_capacity(inferences.len());
    for inference in inferences {
        let mut parts = Vec::new();
        let content = inference.choices.templates.apply(inference.content);
        collect(content, 1.0, &mut parts, &mut texts, &mut images);
        plans.push((inference.place, parts));
    }
    let described = embedder.info().modalities.contains(&"text");
    let text_vectors = async {
        if texts.is_empty() || !described {
            return Ok(Vec::new());
        }
        embedder.embed_texts_in(lane, texts).await
    };
    let pictures = embedder.embed_pictures(lane, images, thumbnails);
    let (texts, mut images) = futures_util::future::try_join(text_vectors, pictures).await?;
    let mut resolve = |(place, parts): (String, Vec<(Place, f32)>)| {
        let mut vectors = Vec::with_capacity(parts.len());
        for (lane, weight) in &parts {
            let vector = match *lane {
                Place::Text(i) => texts.get(i).ok_or_else(|| no_texts(&embedder.info().name).at(&place))?,
                Place::Image(i) => &images[i].as_ref().map_err(|error| error.clone().at(&place))?.vector,
            };
            vectors.push((vector, *weight));
        }
        let vector = mix(&vectors, &place)?;
        let thumbnail = match parts[..] {
            [(Place::Image(i), _)] => images[i].as_mut().ok().and_then(|one| one.thumbnail.take()),
            _ => None,
        };
        Ok(Embedded { vector, thumbnail })
    };
    Ok(plans.into_iter().map(&mut resolve).collect())
}

fn no_texts(model: &str) -> Error {
    Error::InvalidInput(format!(
        "a text, but model `{model}` embeds pictures only (modalities: image); give `image`, or serve a model with a \
         text tower"
    ))
}

/// Where a part's vector will be found.
enum Place {
    Text(usize),
    Image(usize),
}

fn collect(
    content: Content,
    weight: f32,
    parts: &mut Vec<(Place, f32)>,
    texts: &mut Vec<String>,
    images: &mut Vec<Vec<u8>>,
) {
    match content {
        Content::Text(text) => {
            parts.push((Place::Text(texts.len()), weight));
            texts.push(text);
        }
        Content::Image(bytes) => {
            parts.push((Place::Image(images.len()), weight));
            images.push(bytes);
        }
        Content::Mix(inner) => {
            inner
                .into_iter()
                .for_each(|part| collect(part.content, weight * part.weight, parts, texts, images));
        }
    }
}

/// The normalised weighted sum of unit vectors; one alone stays as it is.
fn mix(vectors: &[(&Vec<f32>, f32)], place: &str) -> Result<Vec<f32>> {
    if let [(vector, weight)] = vectors
        && *weight == 1.0
    {
        return Ok((*vector).clone());
    }
    let mut sum = vec![0.0; vectors.first().map_or(0, |(v, _)| v.len())];
    for (vector, weight) in vectors {
        sum.iter_mut().zip(vector.iter()).for_each(|(s, x)| *s += weight * x);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm.is_nan() || norm <= 1e-6 {
        return Err(Error::InvalidInput(format!(
            "{place}: the weighted parts cancel each other out; change the weights"
        )));
    }
    sum.iter_mut().for_each(|x| *x /= norm);
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_a_sum_of_nothing_is_refused() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let half = mix(&[(&x, 1.0), (&y, 1.0)], "q").unwrap();
        assert!((half[0] - half[1]).abs() < 1e-6 && (half[0] - 0.707).abs() < 1e-3);
        assert_eq!(mix(&[(&x, -2.0)], "q").unwrap(), [-1.0, 0.0]);
        assert!(mix(&[(&x, 1.0), (&x, -1.0)], "query").unwrap_err().to_string().contains("query"));
    }
}
