//! Heads of a collection: fitted on its own labelled points, compared with no head on held-out
//! ones, stored with their figures, and applied where they win. Invariant: one fit at a time in
//! the whole server, on the bounded pool, never on the threads that answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::choices::{Choices, Templates};
use super::draft::{Content, Inference};
use super::{Cancel, Engine};
use crate::adapt::{self, Labelled, MAX_DIMENSION, MAX_POINTS, Modality, Plan};
use crate::collection::{HeadVersion, LabelledPoints};
use crate::embed::{Lane, ModelInfo};
use crate::error::{Error, Result};
use crate::types::{CollectionName, Distance, JsonPath, VectorName, VectorParams};

/// When the winner is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Apply {
    /// Where it beats no head on the held-out points.
    #[default]
    IfBetter,
    /// Never; it is only stored.
    Never,
}

/// A fit, as a request states it; ranges are checked where it is parsed.
#[derive(Debug, Clone)]
pub struct AdaptRequest {
    /// The payload field with the labels.
    pub label: JsonPath,
    /// The vector's name.
    pub vector: VectorName,
    /// What is compared, and how.
    pub plan: Plan,
    /// Words of labels where they differ from the label itself.
    pub words: BTreeMap<String, Vec<String>>,
    /// When the winner is applied.
    pub apply: Apply,
}

/// A finished fit.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// The stored version.
    pub version: HeadVersion,
    /// What it was applied to.
    pub applied: Vec<Modality>,
}

impl Engine {
    /// Fits, compares, stores, and applies what wins.
    ///
    /// # Errors
    /// `InvalidInput` where the collection has no such vector, another distance than cosine or
    /// dot, or too few labelled points; `Overloaded` while another fit runs; `Conflict` where it is cancelled,
    /// and nothing is stored then; those of storage.
    pub async fn adapt(
        &self,
        name: &CollectionName,
        request: AdaptRequest,
        cancel: Cancel,
    ) -> Result<Adapted> {
        let Ok(one) = Arc::clone(&self.shared.adapting).try_lock_owned() else {
            return Err(Error::Overloaded {
                what: "another head is being fitted".into(),
                retry_after_secs: 10,
            });
        };
        let params = self.check_adaptable(name, &request.vector)?;
        let model = self.model_of(&params).await.map_err(|error| error.at("vector"))?;
        let (label, using, seed) = (request.label.clone(), request.vector.clone(), request.plan.seed);
        let found = self
            .on(name, move |collection| collection.labelled_points(&label, &using, MAX_POINTS, seed))
            .await?;
        let mut notes = Vec::new();
        let words = self.words(name, (&params, &model), &request, &found, &mut notes).await?;
        let LabelledPoints { points, names } = found;
        let (labels, count) = (names.len(), points.labels.len());
        let (plan, asked) = (request.plan.clone(), cancel.clone());
        // The work holds the turn itself: a caller who goes away does not end it.
        let work = move || {
            let modalities = [Modality::Picture, Modality::Text];
            let able = |modality: &Modality| *modality == Modality::Picture || !words.vectors.is_empty();
            let compared = modalities.into_iter().filter(able);
            let outcomes = compared
                .map(|modality| {
                    asked.check()?;
                    adapt::compare(modality, &points, &words, &plan)
                })
                .collect::<Result<Vec<_>>>()?;
            Ok((one, outcomes))
        };
        let (_one, outcomes) = self.call(work).await?;
        cancel.check()?;
        let apply: Vec<Modality> = outcomes
            .iter()
            .map(|outcome| &outcome.comparison)
            .filter(|comparison| comparison.wins && request.apply == Apply::IfBetter)
            .map(|comparison| comparison.modality)
            .collect();
        let mut maps = BTreeMap::new();
        let mut comparisons = Vec::new();
        for outcome in outcomes {
            if let Some(head) = outcome.head {
                maps.insert(outcome.comparison.modality, head);
            }
            comparisons.push(outcome.comparison);
        }
        let mut version = HeadVersion {
            version: 0,
            created: jiff::Timestamp::now().as_second(),
            vector: request.vector,
            label: request.label.as_str().to_owned(),
            model: model.name,
            fingerprint: model.fingerprint,
            labels,
            points: count,
            holdout: request.plan.holdout,
            seed,
            comparisons,
            notes,
        };
        let (stored, applied) = (version.clone(), apply.clone());
        version.version =
            self.on(name, move |collection| collection.add_heads(stored, &maps, &applied)).await?;
        Ok(Adapted { version, applied: apply })
    }

    /// The vector's parameters.
    fn check_adaptable(&self, name: &CollectionName, using: &str) -> Result<VectorParams> {
        let config = self.collection(name)?.config();
        let params = config
            .vectors
            .get(using)
            .ok_or_else(|| Error::InvalidInput(format!("vector: Not existing vector name error: {using}")))?;
        if !matches!(params.distance, Distance::Cosine | Distance::Dot) {
            return Err(Error::InvalidInput(format!(
                "vector: a head needs the distance Cosine or Dot, this vector has {:?}",
                params.distance
            )));
        }
        if params.size > MAX_DIMENSION {
            return Err(Error::InvalidInput(format!(
                "vector: it has {} components, a head is fitted on at most {MAX_DIMENSION}",
                params.size
            )));
        }
        Ok(params.clone())
    }

    /// The vectors of the labels' words, as text queries would be embedded here; none where the
    /// model makes vectors of another length, or where no text candidate is left to compare.
    async fn words(
        &self,
        name: &CollectionName,
        (params, model): (&VectorParams, &ModelInfo),
        request: &AdaptRequest,
        found: &LabelledPoints,
        notes: &mut Vec<String>,
    ) -> Result<Labelled> {
        if let Some(unknown) = request.words.keys().find(|label| !found.names.contains(label)) {
            return Err(Error::InvalidInput(format!(
                "words: no point has the label `{unknown}` at `{}`",
                request.label.as_str()
            )));
        }
        if params.size != model.dimension {
            notes.push(format!(
                "texts are not compared: the model makes vectors of {} components, the collection holds {}",
                model.dimension, params.size
            ));
            return Ok(Labelled::default());
        }
        if !model.modalities.contains(&"text") {
            notes.push("texts are not compared: the model embeds pictures only".into());
            return Ok(Labelled::default());
        }
        let templates = self.collection(name)?.config().text_templates();
        let mut inferences = Vec::new();
        let mut labels = Vec::new();
        for (number, label) in (0_u32..).zip(&found.names) {
            let own = request.words.get(label).cloned().unwrap_or_else(|| vec![label.replace('_', " ")]);
            for word in own {
                labels.push(number);
                let choices = Choices {
                    templates: Templates::Collection.in_query(templates.clone()),
                    ..Choices::default()
                };
                let place = format!("words.{label}");
                let model = params.model.clone();
                inferences.push(Inference { model, content: Content::Text(word), choices, place });
            }
        }
        let vectors = self.embed_each(Lane::Ingest, inferences).await?.into_iter().collect::<Result<_>>()?;
        Ok(Labelled { vectors, labels })
    }
}
