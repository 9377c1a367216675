//! Heads on the wire: the request for a fit, what is applied to which queries, and versions on
//! their way out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::adapt::{Kind, Modality, Plan};
use crate::collection::{HeadList, HeadVersion};
use crate::engine::{AdaptRequest, Apply, HeadUse};
use crate::error::{Error, Result};
use crate::types::JsonPath;

/// Most words of all labels together.
const MAX_WORDS: usize = 2000;
/// Longest word, bytes.
const MAX_WORD_BYTES: usize = 1000;

/// `POST /collections/{c}/adapt`
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptBody {
    /// Path of the payload field with the labels: at least 3 labels with 4 different points each.
    #[serde(default)]
    label: Option<String>,
    /// Name of the vector; the unnamed one if absent. Its distance must be Cosine or Dot.
    #[serde(default)]
    vector: Option<String>,
    /// Some of `none`, `centre`, `whiten`, `within`, `ridge`; all if absent.
    #[serde(default)]
    candidates: Option<Vec<String>>,
    /// The share of points that is held out, 0.1 to 0.5; 0.3 if absent.
    #[serde(default)]
    holdout: Option<f64>,
    /// Seed of the split; 1 if absent.
    #[serde(default)]
    seed: Option<u64>,
    /// Words of labels, a text or a list by label; a label without is its own word.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    words: Option<BTreeMap<String, Value>>,
    /// `if_better` (default) or `never`.
    #[serde(default)]
    apply: Option<String>,
}

impl AdaptBody {
    /// # Errors
    /// An error that names the field.
    pub fn request(self) -> Result<AdaptRequest> {
        let label = self.label.ok_or_else(|| {
            Error::MalformedBody("label: field is missing (the payload field that holds the labels)".into())
        })?;
        let usual = Plan::default();
        let holdout = self.holdout.unwrap_or(usual.holdout);
        if !(0.1..=0.5).contains(&holdout) {
            return Err(Error::Validation(format!("holdout is {holdout}, it must be from 0.1 to 0.5")));
        }
        let candidates = match self.candidates {
            None => usual.candidates,
            Some(names) => names.iter().map(|name| kind(name)).collect::<Result<_>>()?,
        };
        let apply = match self.apply.as_deref() {
            None | Some("if_better") => Apply::IfBetter,
            Some("never") => Apply::Never,
            Some(other) => {
                return Err(Error::Validation(format!(
                    "apply is `{other}`, it must be `if_better` or `never`"
                )));
            }
        };
        Ok(AdaptRequest {
            label: JsonPath::parse(&label).map_err(|why| Error::InvalidInput(format!("label: {why}")))?,
            vector: self.vector.unwrap_or_default(),
            plan: Plan { candidates, holdout, seed: self.seed.unwrap_or(usual.seed) },
            words: words(self.words.unwrap_or_default())?,
            apply,
        })
    }
}

fn kind(name: &str) -> Result<Kind> {
    serde_json::from_value(name.into()).map_err(|_| {
        Error::Validation(format!(
            "candidates: `{name:.40}` is unknown, use none, centre, whiten, within or ridge"
        ))
    })
}

fn words(given: BTreeMap<String, Value>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    let mut count = 0;
    for (label, value) in given {
        let own: Option<Vec<String>> = match value {
            Value::String(word) => Some(vec![word]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect(),
            _ => None,
        };
        let own = own.filter(|own| {
            !own.is_empty() && own.iter().all(|word| !word.trim().is_empty() && word.len() <= MAX_WORD_BYTES)
        });
        let own = own.ok_or_else(|| {
            Error::Validation(format!(
                "words.{label}: expected a text or a list of texts, none empty or longer than {MAX_WORD_BYTES} bytes"
            ))
        })?;
        count += own.len();
        all.insert(label, own);
    }
    if count > MAX_WORDS {
        return Err(Error::Validation(format!("words holds {count} words, at most {MAX_WORDS}")));
    }
    Ok(all)
}

/// `PUT /collections/{c}/adapt/applied`
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppliedBody {
    /// The version to apply; null to apply none.
    #[serde(default)]
    pub version: Option<u32>,
    /// With `version: null`: name of the vector; the unnamed one if absent.
    #[serde(default)]
    pub vector: Option<String>,
    /// `["picture"]`, `["text"]` or both; where absent: those for which the version won, or with
    /// `version: null` both.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub queries: Option<Vec<Modality>>,
}

/// Reads `adapt` of `params` or `options`.
///
/// # Errors
/// `Validation` that names the place.
pub fn head_use(value: Option<Value>, place: &str) -> Result<HeadUse> {
    match value.as_ref() {
        None | Some(Value::Null) => Ok(HeadUse::ByKind),
        Some(Value::String(word)) if word == "none" => Ok(HeadUse::None),
        Some(Value::String(word)) if word == "picture" => Ok(HeadUse::As(Modality::Picture)),
        Some(Value::String(word)) if word == "text" => Ok(HeadUse::As(Modality::Text)),
        Some(other) => Err(Error::Validation(format!(
            "{place}.adapt is {other}, it must be \"none\", \"picture\" or \"text\""
        ))),
    }
}

/// One version with what it is applied to; `fits` where its model is one of the server's.
pub fn version_out(version: &HeadVersion, list: &HeadList, fits: bool) -> Value {
    let applied: Vec<Modality> =
        list.applied.iter().filter(|a| a.version == version.version).map(|a| a.modality).collect();
    let mut out = json!(version);
    out["applied_to"] = json!(applied);
    out["model_is_loaded"] = json!(fits);
    if !fits && !applied.is_empty() {
        out["not_applied_because"] = json!(format!(
            "it was fitted for the model {} ({}), which is none that this server runs",
            version.model, version.fingerprint
        ));
    }
    out
}
