//! Text to token ids. Invariant: every sequence is begin, content, end; at most the context length;
//! begin and end stand nowhere else. Of CLIP's byte-pair tokenizer the end token is the largest id,
//! because the tower pools there; BERT's WordPiece tokenizer has it anywhere and pools at the begin.

use tokenizers::{Tokenizer, TruncationParams};

use super::clean::{TextCleaning, clean};
use super::config::ModelConfig;
use crate::error::{Error, Result};

/// A text beyond this is cut before tokenizing: the longest context accepted, 1,024 tokens, ends
/// far earlier in any natural text, and the work for one text stays bounded.
const MAX_TEXT_BYTES: usize = 32 << 10;

/// The model's tokenizer with its truncation.
pub struct TextEncoder {
    tokenizer: Tokenizer,
    cleaning: TextCleaning,
    begin: u32,
    end: u32,
}

fn refuse(text: String) -> Error {
    Error::Model(format!("tokenizer.json: {text}"))
}

impl TextEncoder {
    /// Read `tokenizer.json` and check it against the text tower.
    ///
    /// # Errors
    /// `Model` if it does not parse, does not frame a text by a begin and an end token, has ids
    /// beyond the tower's table, or, for CLIP, its end token is not its largest id or not the config's.
    pub fn parse(json: &[u8], config: &ModelConfig, cleaning: TextCleaning) -> Result<TextEncoder> {
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
                return Err(refuse(format!(
                    "its end token is {end}, config.json has eos_token_id {expected}"
                )));
            }
        } else if begin == end {
            return Err(refuse(format!("its begin and its end token are both {begin}")));
        }
        Ok(TextEncoder { tokenizer, cleaning, begin, end })
    }

    /// The ids of one text: begin, content, end. An empty text is begin, end.
    ///
    /// # Errors
    /// `Internal` if the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let end = (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let text = &text[..end];
        let encoding = match self.cleaning {
            TextCleaning::Off => self.tokenizer.encode_fast(text, true),
            TextCleaning::On => self.tokenizer.encode_fast(clean(text), true),
        };
        let encoding = encoding.map_err(|e| Error::Internal(format!("the tokenizer failed: {e}")))?;
        let ids = encoding.get_ids();
        // CLIP's unknown token is the end token: in the middle it would hide the rest of the text.
        let content = ids.iter().copied().filter(|id| *id != self.begin && *id != self.end);
        let mut out = Vec::with_capacity(ids.len());
        out.push(self.begin);
        out.extend(content);
        out.push(self.end);
        Ok(out)
    }
}
