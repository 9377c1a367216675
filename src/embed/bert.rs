//! BERT as the text tower of a dual encoder: candle's encoder, and on it the pooler that candle's
//! `BertModel` lacks (the first token through a dense layer and tanh).
//!
//! Invariant: a text has the same vector alone and padded in a batch: what pads is masked.

use std::collections::HashMap;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Linear, VarBuilder, linear};
use candle_transformers::models::bert::{BertModel, Config as CandleConfig};

use super::config::{MAX_VOCABULARY, Section, TowerDefaults, TowerShape, refuse};
use crate::error::Result;
use crate::kernels::Activation;

/// The shapes of the tower.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// The encoder.
    pub shape: TowerShape,
    /// Rows of the token table.
    pub vocabulary: usize,
    /// Rows of the position table: tokens a text may have, with begin and end.
    pub context_length: usize,
    /// Rows of the segment table; only the first is used.
    pub segments: usize,
}

impl BertConfig {
    /// Read `text_config`. Absent fields have the defaults of transformers' `BertConfig`.
    pub(super) fn parse(section: &Section) -> Result<BertConfig> {
        let defaults = TowerDefaults {
            width: 768,
            mlp_width: 3072,
            heads: 12,
            activations: &[("gelu", Activation::Gelu)],
            epsilon: 1e-12,
            any_epsilon: false,
        };
        section.only("position_embedding_type", &"absolute".into())?;
        section.only("is_decoder", &false.into())?;
        section.only("add_cross_attention", &false.into())?;
        if section.get("pruned_heads").and_then(|v| v.as_object()).is_some_and(|heads| !heads.is_empty()) {
            return Err(refuse(format!("{}.pruned_heads: pruned attention is not supported", section.name)));
        }
        Ok(BertConfig {
            shape: section.tower(&defaults)?,
            vocabulary: section.number("vocab_size", 30_522, 1..=MAX_VOCABULARY)?,
            context_length: section.number("max_position_embeddings", 512, 3..=1024)?,
            segments: section.number("type_vocab_size", 2, 1..=16)?,
        })
    }

    /// Every tensor that is read, with its shape.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (w, m) = (self.shape.width, self.shape.mlp_width);
        let mut all = vec![
            ("embeddings.word_embeddings.weight".to_string(), vec![self.vocabulary, w]),
            ("embeddings.position_embeddings.weight".into(), vec![self.context_length, w]),
            ("embeddings.token_type_embeddings.weight".into(), vec![self.segments, w]),
        ];
        let mut add = |name: String, weight: Vec<usize>, bias: usize| {
            all.push((format!("{name}.weight"), weight));
            all.push((format!("{name}.bias"), vec![bias]));
        };
        add("embeddings.LayerNorm".into(), vec![w], w);
        add("pooler.dense".into(), vec![w, w], w);
        for layer in 0..self.shape.layers {
            for (name, weight, bias) in [
                ("attention.self.query", vec![w, w], w),
                ("attention.self.key", vec![w, w], w),
                ("attention.self.value", vec![w, w], w),
                ("attention.output.dense", vec![w, w], w),
                ("attention.output.LayerNorm", vec![w], w),
                ("intermediate.dense", vec![m, w], m),
                ("output.dense", vec![w, m], w),
                ("output.LayerNorm", vec![w], w),
            ] {
                add(format!("encoder.layer.{layer}.{name}"), weight, bias);
            }
        }
        all
    }

    fn to_candle(&self) -> CandleConfig {
        CandleConfig {
            vocab_size: self.vocabulary,
            hidden_size: self.shape.width,
            num_hidden_layers: self.shape.layers,
            num_attention_heads: self.shape.heads,
            intermediate_size: self.shape.mlp_width,
            max_position_embeddings: self.context_length,
            type_vocab_size: self.segments,
            model_type: None,
            ..CandleConfig::default() // gelu by erf, epsilon 1e-12, absolute positions
        }
    }
}

/// The tower on one device.
pub(super) struct Bert {
    encoder: BertModel,
    pooler: Linear,
}

impl Bert {
    /// `tensors` holds what [`BertConfig::tensors`] names, on `device`.
    pub fn new(
        config: &BertConfig,
        device: &Device,
        tensors: HashMap<String, Tensor>,
    ) -> candle_core::Result<Bert> {
        let builder = VarBuilder::from_tensors(tensors, DType::F32, device);
        let width = config.shape.width;
        let pooler = linear(width, width, builder.pp("pooler.dense"))?;
        Ok(Bert { encoder: BertModel::load(builder, &config.to_candle())?, pooler })
    }

    /// Ids u32 [n, longest], of which text i has `lengths[i]`, to [n, width].
    pub fn pooled(&self, ids: &Tensor, lengths: &[usize]) -> candle_core::Result<Tensor> {
        let (n, longest) = ids.dims2()?;
        let mask: Vec<u32> =
            lengths.iter().flat_map(|length| (0..longest).map(move |at| u32::from(at < *length))).collect();
        let mask = Tensor::from_vec(mask, (n, longest), ids.device())?;
        let hidden = self.encoder.forward(ids, &ids.zeros_like()?, Some(&mask))?;
        self.pooler.forward(&hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?.tanh()
    }
}
