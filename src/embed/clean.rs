//! The text clean-up of OpenAI's own tokenizer (`ftfy.fix_text`, then `html.unescape` twice), as far
//! as it meets what people type and paste: HTML entities, curly quotes, full-width letters,
//! ligatures, control characters. transformers' tokenizer does none of it, so that it is off by default.

/// What happens to a text before it is cut into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextCleaning {
    /// Nothing: equal to transformers.
    #[default]
    Off,
    /// HTML entities, typographic quotes, full-width forms, ligatures, control characters: as
    /// OpenAI's code does.
    On,
}

/// Clean `text`; the meaning stays, the spelling becomes the common one.
pub(super) fn clean(text: &str) -> String {
    let once = unescape(&fix(text));
    unescape(&once).trim().to_string()
}

fn fix(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}' | '\u{02BC}' => out.push('\''),
            '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' => out.push('"'),
            // Full-width forms of the printable ASCII characters stand in the same order.
            '\u{FF01}'..='\u{FF5E}' => out.extend(char::from_u32(u32::from(c) - 0xFEE0)),
            '\u{3000}' => out.push(' '),
            '\u{FB00}' => out.push_str("ff"),
            '\u{FB01}' => out.push_str("fi"),
            '\u{FB02}' => out.push_str("fl"),
            '\u{FB03}' => out.push_str("ffi"),
            '\u{FB04}' => out.push_str("ffl"),
            '\u{FB05}' | '\u{FB06}' => out.push_str("st"),
            '\u{0132}' => out.push_str("IJ"),
            '\u{0133}' => out.push_str("ij"),
            '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
            '\u{FEFF}' => {}
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => out.push(c),
        }
    }
    out
}

/// The entities that appear in product texts and captions; numeric ones are all covered.
const ENTITIES: [(&str, &str); 26] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", "\u{A0}"),
    ("rsquo", "\u{2019}"),
    ("lsquo", "\u{2018}"),
    ("rdquo", "\u{201D}"),
    ("ldquo", "\u{201C}"),
    ("ndash", "\u{2013}"),
    ("mdash", "\u{2014}"),
    ("hellip", "\u{2026}"),
    ("copy", "\u{A9}"),
    ("reg", "\u{AE}"),
    ("trade", "\u{2122}"),
    ("deg", "\u{B0}"),
    ("times", "\u{D7}"),
    ("eacute", "\u{E9}"),
    ("egrave", "\u{E8}"),
    ("auml", "\u{E4}"),
    ("ouml", "\u{F6}"),
    ("uuml", "\u{FC}"),
    ("szlig", "\u{DF}"),
    ("euro", "\u{20AC}"),
    ("pound", "\u{A3}"),
];
/// The longest entity read, `&#x10FFFF;` less its ends.
const MAX_ENTITY_BYTES: usize = 10;

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((value, length)) => {
                out.push_str(&value);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The entity at the start of `text`, which begins with `&`, and its length in bytes.
fn entity(text: &str) -> Option<(String, usize)> {
    let end = text.bytes().take(MAX_ENTITY_BYTES + 2).position(|b| b == b';')?;
    let name = &text[1..end];
    let value = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?.to_string()
        }
        None => ENTITIES.iter().find(|(known, _)| *known == name)?.1.to_string(),
    };
    Some((value, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pasted_text_becomes_what_a_keyboard_writes() {
        for (text, expected) in [
            ("\u{201C}men\u{2019}s\u{201D} shoes", "\"men's\" shoes"),
            ("\u{FF32}\u{FF25}\u{FF24}\u{3000}car", "RED car"),
            ("salt &amp;amp; pepper", "salt & pepper"),
            ("caf&eacute; &#8364;5 &#x41;", "caf\u{E9} \u{20AC}5 A"),
            ("AT&T &unknown; &", "AT&T &unknown; &"),
            ("\u{FB01}sh\u{0}", "fish"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    proptest! {
        #[test]
        fn plain_words_pass_unchanged(text in "[a-zA-Z0-9,.!?'\"-]{1,20}( [a-z]{1,8}){0,4}") {
            prop_assert_eq!(clean(&text), text);
        }

        #[test]
        fn any_text_is_cleaned_without_panic(text in ".{0,40}") {
            let _ = clean(&text);
        }
    }
}
