//! How a text is taken apart into words, for text conditions and text indexes. The rules are those
//! of Qdrant's tokenizers; the defaults are what a field without an index is asked by.

/// Where a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tokenizer {
    /// At everything that is no letter and no digit.
    #[default]
    Word,
    /// At white space.
    Whitespace,
    /// As `Word`, and a word is found by its beginnings.
    Prefix,
}

/// How a text field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Where it is cut.
    pub tokenizer: Tokenizer,
    /// Upper and lower case are the same.
    pub lowercase: bool,
    /// Shorter words are left out (in characters).
    pub min_token_len: Option<usize>,
    /// Longer words are left out, or cut by `Prefix` (in characters).
    pub max_token_len: Option<usize>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { tokenizer: Tokenizer::Word, lowercase: true, min_token_len: None, max_token_len: None }
    }
}

impl TextOptions {
    /// The words of a text in their order, as a question holds them: by `Prefix` each as far as
    /// beginnings are known.
    pub fn asked(&self, text: &str) -> Vec<String> {
        let pieces: Vec<&str> = match self.tokenizer {
            Tokenizer::Word | Tokenizer::Prefix => text.split(|c: char| !c.is_alphanumeric()).collect(),
            Tokenizer::Whitespace => text.split_whitespace().collect(),
        };
        let least = self.min_token_len.unwrap_or(1).max(1);
        let most = self.max_token_len.unwrap_or(usize::MAX);
        let word = |piece: &str| {
            let word = if self.lowercase { piece.to_lowercase() } else { piece.to_owned() };
            let length = word.chars().count();
            match self.tokenizer {
                _ if length < least => None,
                Tokenizer::Prefix if length > most => Some(word.chars().take(most).collect()),
                _ if length > most => None,
                _ => Some(word),
            }
        };
        pieces.into_iter().filter_map(word).collect()
    }

    /// Everything that a text is found by: its words, by `Prefix` their beginnings.
    pub fn known(&self, text: &str) -> Vec<String> {
        let words = self.asked(text);
        if self.tokenizer != Tokenizer::Prefix {
            return words;
        }
        let least = self.min_token_len.unwrap_or(1).max(1);
        let beginnings = |word: String| {
            let ends: Vec<usize> = word.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
            ends.into_iter().skip(least - 1).map(move |end| word[..end].to_owned())
        };
        words.into_iter().flat_map(beginnings).collect()
    }

    /// True where every word asked for is in the text; never where none is asked for.
    pub fn has_all(&self, text: &str, asked: &str) -> bool {
        let (known, asked) = (self.known(text), self.asked(asked));
        !asked.is_empty() && asked.iter().all(|word| known.contains(word))
    }

    /// True where a word asked for is in the text.
    pub fn has_any(&self, text: &str, asked: &str) -> bool {
        let known = self.known(text);
        self.asked(asked).iter().any(|word| known.contains(word))
    }

    /// True where the words asked for stand in the text one after the other; by `Prefix` each as
    /// the beginning of a word.
    pub fn has_phrase(&self, text: &str, asked: &str) -> bool {
        let (words, asked) = (self.asked(text), self.asked(asked));
        let same = |(word, asked): (&String, &String)| match self.tokenizer {
            Tokenizer::Prefix => word.starts_with(asked.as_str()),
            Tokenizer::Word | Tokenizer::Whitespace => word == asked,
        };
        !asked.is_empty() && words.windows(asked.len()).any(|part| part.iter().zip(&asked).all(same))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(tokenizer: Tokenizer) -> TextOptions {
        TextOptions { tokenizer, ..TextOptions::default() }
    }

    #[test]
    fn words_are_cut_as_the_tokenizer_says() {
        let text = "A Red-brick house";
        assert_eq!(by(Tokenizer::Word).asked(text), ["a", "red", "brick", "house"]);
        assert_eq!(by(Tokenizer::Whitespace).asked(text), ["a", "red-brick", "house"]);
        let cut = TextOptions {
            min_token_len: Some(2),
            max_token_len: Some(4),
            lowercase: false,
            ..by(Tokenizer::Word)
        };
        assert_eq!(cut.asked(text), ["Red"]);
        let prefix = TextOptions { tokenizer: Tokenizer::Prefix, lowercase: true, ..cut };
        assert_eq!(prefix.known("Red houses"), ["re", "red", "ho", "hou", "hous"]);
        assert_eq!(prefix.asked("houses"), ["hous"]);
    }

    #[test]
    fn a_phrase_is_words_in_a_row() {
        let word = TextOptions::default();
        assert!(word.has_phrase("a red brick house", "Red, BRICK"));
        assert!(!word.has_phrase("a red brick house", "red house"));
        assert!(!word.has_phrase("a red brick house", " - "));
        assert!(by(Tokenizer::Prefix).has_phrase("a red brick house", "bri hou"));
        assert!(word.has_any("red house", "blue red") && !word.has_any("red house", "blue"));
        assert!(word.has_all("red house", "house red") && !word.has_all("red house", "red blue"));
    }
}
