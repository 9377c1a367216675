//! Templates that a text is put into before the model embeds it, as "a photo of a {}". A
//! collection keeps its own under `text_templates` in its metadata.

use serde_json::Value;

use crate::error::{Error, Result};

/// 1 to 64 templates; each holds `{}` exactly once and has at most 1,000 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTemplates(Vec<String>);

impl TextTemplates {
    /// The key of a collection's metadata.
    pub const KEY: &'static str = "text_templates";
    /// Most templates: a query is as many texts for the model.
    pub const MAX: usize = 64;
    /// Longest template, bytes.
    pub const MAX_BYTES: usize = 1000;

    /// # Errors
    /// `InvalidInput` that names the template by its place in the list.
    pub fn new(templates: Vec<String>) -> Result<Self> {
        if templates.is_empty() || templates.len() > Self::MAX {
            return Err(Error::InvalidInput(format!(
                "{} templates are given, it must be 1 to {}",
                templates.len(),
                Self::MAX
            )));
        }
        for (i, template) in templates.iter().enumerate() {
            let shown: String = template.chars().take(60).collect();
            let holes = template.matches("{}").count();
            if holes != 1 {
                return Err(Error::InvalidInput(format!(
                    "template {i} `{shown}` holds {{}} {holes} times, it must hold it exactly once"
                )));
            }
            if template.len() > Self::MAX_BYTES {
                return Err(Error::InvalidInput(format!(
                    "template {i} `{shown}` has {} bytes, at most {}",
                    template.len(),
                    Self::MAX_BYTES
                )));
            }
        }
        Ok(Self(templates))
    }

    /// Reads a JSON list of strings.
    ///
    /// # Errors
    /// `InvalidInput` that says what is wrong.
    pub fn parse(value: &Value) -> Result<Self> {
        let list = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect::<Option<Vec<_>>>()
        });
        let wrong =
            || Error::InvalidInput(format!("expected a list of 1 to {} strings with {{}}", Self::MAX));
        Self::new(list.ok_or_else(wrong)?)
    }

    /// The text in every template.
    pub fn fill(&self, text: &str) -> Vec<String> {
        self.0.iter().map(|template| template.replacen("{}", text, 1)).collect()
    }

    /// The templates.
    pub fn into_list(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_has_one_hole_and_a_list_has_bounds() {
        for (value, says) in [
            (json!([]), "0 templates"),
            (json!(vec!["{}"; 65]), "65 templates"),
            (json!(["{}", "a photo"]), "template 1 `a photo` holds {} 0 times"),
            (json!(["{} and {}"]), "2 times"),
            (json!([format!("{{}}{}", "x".repeat(1000))]), "bytes"),
            (json!(["{}", 5]), "list"),
            (json!("{}"), "list"),
        ] {
            let error = TextTemplates::parse(&value).unwrap_err();
            assert_eq!(error.code(), 400);
            assert!(error.to_string().contains(says), "{value}: {error}");
        }
        let two = TextTemplates::parse(&json!(["{}", "a {} b"])).unwrap();
        assert_eq!(two.fill("{} c"), ["{} c", "a {} c b"]);
    }
}
