//! Text to token ids, each kind of tower its own way. CLIP's and BERT's: begin, content, end; at most the
//! context length; begin and end stand nowhere else. Of CLIP's byte-pair tokenizer the end token is the largest
//! id, because the tower pools there; BERT's WordPiece tokenizer has it anywhere and pools at the begin.
//! SigLIP's: content and end, filled up to the whole context, because the tower sees and pools what fills it.

use tokenizers::models::ModelWrapper;
use tokenizers::{Tokenizer, TruncationParams};

use super::clean::{TextCleaning, clean};
use super::config::ModelConfig;
use crate::error::{Error, Result};

/// A text beyond this is cut before tokenizing: the longest context accepted, 1,024 tokens, ends
/// far earlier in any natural text, and the work for one text stays bounded.
const MAX_TEXT_BYTES: usize = 32 << 10;
/// What SentencePiece has in place of a space.
const SPACE: char = '\u{2581}';

/// The model's tokenizer with its truncation.
pub struct TextEncoder {
    /// `None` where the model embeds pictures only.
    tokenizer: Option<(Tokenizer, Scheme)>,
    cleaning: TextCleaning,
}

/// What becomes of a text before and of its ids behind the tokenizer.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    Framed { begin: u32, end: u32 },
    Filled { before: Before, filler: u32, length: usize },
}

/// What SigLIP was trained to see of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// SigLIP: small letters, no ASCII punctuation, single spaces.
    Canonical,
    /// SigLIP 2: small letters.
    Lowercase,
}

fn refuse(text: String) -> Error {
    Error::Model(format!("tokenizer.json: {text}"))
}

impl TextEncoder {
    /// Read `tokenizer.json` and check it against the text tower; without one nothing is read.
    ///
    /// # Errors
    /// `Model` if it does not parse, does not frame a text by a begin and an end token, has ids
    /// beyond the tower's table, or, for CLIP, its end token is not its largest id or not the config's; for
    /// SigLIP, if it is neither SentencePiece's Unigram nor Gemma's BPE, or has no token to fill up with.
    pub fn parse(json: &[u8], config: &ModelConfig, cleaning: TextCleaning) -> Result<TextEncoder> {
        if matches!(config, ModelConfig::Dino(_)) {
            return Ok(TextEncoder { tokenizer: None, cleaning });
        }
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| refuse(e.to_string()))?;
        tokenizer.set_encode_special_tokens(true); // "<|endoftext|>" or "[SEP]" typed by a user is text
        tokenizer.with_padding(None);
        let truncation =
            TruncationParams { max_length: config.context_length(), ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| refuse(e.to_string()))?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= config.vocabulary() {
            return Err(refuse(format!(
                "its largest id is {largest}, config.json has {} tokens",
                config.vocabulary()
            )));
        }
        let scheme = match config {
            ModelConfig::Siglip(_) => filled(&tokenizer, config.context_length())?,
            _ => framed(&tokenizer, config, largest)?,
        };
        Ok(TextEncoder { tokenizer: Some((tokenizer, scheme)), cleaning })
    }

    /// Whether the model embeds texts.
    pub fn takes_texts(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// The ids of one text: begin, content, end, and an empty text is begin, end; or of a SigLIP content, end
    /// and what fills up the context.
    ///
    /// # Errors
    /// `InvalidInput` if the model embeds no texts; `Internal` if the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let Some((tokenizer, scheme)) = &self.tokenizer else {
            return Err(Error::InvalidInput(
                "a text, but this model embeds pictures only (modalities: image); give `image`, or serve a model \
                 with a text tower"
                    .into(),
            ));
        };
        let end = (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let text = &text[..end];
        let cleaned = match self.cleaning {
            TextCleaning::Off => text.into(),
            TextCleaning::On => clean(text),
        };
        let encode = |text: &str| {
            let encoding = tokenizer.encode_fast(text, true);
            encoding.map_err(|e| Error::Internal(format!("the tokenizer failed: {e}")))
        };
        match *scheme {
            Scheme::Framed { begin, end } => {
                let encoding = encode(&cleaned)?;
                let ids = encoding.get_ids();
                // CLIP's unknown token is the end token: in the middle it would hide the rest of the text.
                let content = ids.iter().copied().filter(|id| *id != begin && *id != end);
                let mut out = Vec::with_capacity(ids.len());
                out.push(begin);
                out.extend(content);
                out.push(end);
                Ok(out)
            }
            Scheme::Filled { before, filler, length } => {
                let text = match before {
                    Before::Canonical => canonical(&cleaned),
                    Before::Lowercase => cleaned.to_lowercase(),
                };
                let mut ids = encode(&text)?.get_ids().to_vec();
                ids.resize(length, filler);
                Ok(ids)
            }
        }
    }
}

/// The frame of CLIP's and BERT's texts.
fn framed(tokenizer: &Tokenizer, config: &ModelConfig, largest: u32) -> Result<Scheme> {
    let empty = tokenizer.encode("", true).map_err(|e| refuse(e.to_string()))?;
    let &[begin, end] = empty.get_ids() else {
        return Err(refuse(format!(
            "an empty text becomes the ids {:?}; the text tower expects a begin and an end token",
            empty.get_ids()
        )));
    };
    if let ModelConfig::Clip(config) = config {
        if end != largest {
            return Err(refuse(format!(
                "its end token is {end} but its largest id is {largest}; the text tower pools at the largest id"
            )));
        }
        if let Some(expected) = config.end_token
            && expected != end
        {
            return Err(refuse(format!("its end token is {end}, config.json has eos_token_id {expected}")));
        }
    } else if begin == end {
        return Err(refuse(format!("its begin and its end token are both {begin}")));
    }
    Ok(Scheme::Framed { begin, end })
}

/// How SigLIP's texts are filled up: with the end token; SigLIP 2's with the padding token of Gemma's tokenizer.
fn filled(tokenizer: &Tokenizer, length: usize) -> Result<Scheme> {
    let (before, word) = match tokenizer.get_model() {
        ModelWrapper::Unigram(_) => (Before::Canonical, "</s>"),
        ModelWrapper::BPE(_) => (Before::Lowercase, "<pad>"),
        _ => {
            return Err(refuse(
                "its model is neither Unigram (SentencePiece, SigLIP) nor BPE (Gemma, SigLIP 2)".into(),
            ));
        }
    };
    let id = |word: &str| {
        tokenizer.token_to_id(word).ok_or_else(|| {
            refuse(format!("it has no token {word}, which the texts of this model end or are filled up with"))
        })
    };
    let (filler, end) = (id(word)?, id(if before == Before::Canonical { "</s>" } else { "<eos>" })?);
    let text = tokenizer.encode("a", true).map_err(|e| refuse(e.to_string()))?;
    if text.get_ids().last() != Some(&end) {
        return Err(refuse(format!(
            "the text \"a\" becomes the ids {:?}; the text tower expects the end token {end} behind it",
            text.get_ids()
        )));
    }
    Ok(Scheme::Filled { before, filler, length })
}

/// A text as transformers' `SiglipTokenizer` hands it to SentencePiece: behind the mark of a space, in small
/// letters, without ASCII punctuation, each run of white space one space.
fn canonical(text: &str) -> String {
    // Python's \s has the four separators of ASCII as well.
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let mut out = String::with_capacity(text.len() + SPACE.len_utf8());
    out.push(SPACE);
    let mut gap = false;
    for c in text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()) {
        if is_space(c) || c == SPACE {
            gap = true;
        } else {
            if std::mem::take(&mut gap) {
                out.push(' ');
            }
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_text_has_small_letters_single_spaces_and_no_punctuation() {
        for (text, expected) in [
            ("A  photo of,\ta (red) SHOE!\n", "\u{2581}a photo of a red shoe"),
            ("", "\u{2581}"),
            (" - ", "\u{2581}"),
            ("it's \u{201c}10 %\u{201d}", "\u{2581}its \u{201c}10 \u{201d}"),
            ("\u{2581}x\u{1d}y", "\u{2581} x y"),
        ] {
            assert_eq!(canonical(text), expected);
        }
    }
}
