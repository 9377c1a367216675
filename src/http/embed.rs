//! The models by themselves: which there are, and vectors for texts and pictures.

use actix_web::{Responder, web};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::state::State;
use super::wire::answers;
use super::wire::inference;
use crate::embed::Lane;
use crate::engine::{Choices, Content, Inference, ModelState};
use crate::error::{Error, Result};

/// Most inputs of one call.
const MAX_INPUTS: usize = 1024;
/// Up to so many inputs go with the queries, more with what is ingested: they are not waited for by eye.
const INTERACTIVE: usize = 8;

/// `POST /embed`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbedBody {
    /// 1 to 1,024 texts (strings), `{"text"}`, `{"image": base64}` or `{"object"}`.
    #[schema(value_type = Vec<Value>)]
    inputs: Vec<Value>,
    /// The model's name, as `GET /models` has it; the default one if absent.
    #[serde(default)]
    model: Option<String>,
}

/// Vectors of texts and pictures, unit length, in the order of the inputs.
#[utoipa::path(post, path = "/embed", tag = "model", request_body = EmbedBody,
    responses((status = 200, description = "{embeddings, model, dimension}", body = Envelope<answers::EmbedOut>), (status = 400, body = ErrorEnvelope), (status = 429, body = ErrorEnvelope)))]
pub async fn embed(clock: Clock, state: web::Data<State>, body: JsonBody<EmbedBody>) -> impl Responder {
    clock
        .run(async {
            let EmbedBody { inputs, model } = body.0;
            if inputs.is_empty() || inputs.len() > MAX_INPUTS {
                return Err(Error::Validation(format!(
                    "inputs holds {}, it must hold 1 to {MAX_INPUTS} texts or pictures",
                    inputs.len()
                )));
            }
            let read = |(i, value): (usize, Value)| {
                let place = format!("inputs[{i}]");
                let mut inference = match value {
                    Value::String(text) => Inference {
                        model: None,
                        content: Content::Text(text),
                        choices: Choices::default(),
                        place,
                    },
                    other => inference::parse(other, &place)?,
                };
                inference.model = inference.model.or_else(|| model.clone());
                Ok(inference)
            };
            let inferences = inputs.into_iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
            let names = || inferences.iter().map(|inference| inference.model.as_deref());
            let model = names().next().flatten().map(ToOwned::to_owned);
            if let Some(other) = names().position(|name| name != model.as_deref()) {
                return Err(Error::InvalidInput(format!(
                    "inputs[{other}].model: all inputs of a call are for one model; send the others in a call of \
                     their own"
                )));
            }
            let lane = if inferences.len() <= INTERACTIVE { Lane::Queries } else { Lane::Ingest };
            let vectors = state.engine.embed_each(lane, inferences).await?;
            let vectors = vectors.into_iter().collect::<Result<Vec<_>>>()?;
            let model = model.unwrap_or_else(|| state.engine.model().name.clone());
            let dimension = vectors.first().map_or(0, Vec::len);
            Ok(json!({"embeddings": vectors, "model": model, "dimension": dimension}))
        })
        .await
}

/// The models of this server, the one that it started with first; the others are loaded when they are first used.
#[utoipa::path(get, path = "/models", tag = "model", responses((status = 200, description = "{models: [{name, dimension, modalities, device, precision, loaded, default, weight_mib}]}", body = Envelope<answers::ModelsOut>)))]
pub async fn models(clock: Clock, state: web::Data<State>) -> impl Responder {
    let describe = |model: ModelState| {
        let mut described = json!({
            "name": model.name, "dimension": model.dimension, "loaded": model.loaded, "default": model.default,
            "weight_mib": model.weight_bytes.div_ceil(1 << 20),
        });
        if let Some(info) = model.info {
            described["fingerprint"] = json!(info.fingerprint);
            described["modalities"] = json!(info.modalities);
            let (device, precision) = info.running_on();
            described["device"] = json!(device);
            described["precision"] = json!(precision);
            described["image_size"] = json!(info.image_size);
            described["context_length"] = json!(info.context_length);
        }
        described
    };
    let models: Vec<_> = state.engine.models().into_iter().map(describe).collect();
    clock.run(async { Ok(json!({"models": models})) }).await
}
