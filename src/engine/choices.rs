//! What a request may say of a text or a picture beside its content: the templates it is put
//! into, and whether a head of the collection is applied to its vector.

use super::draft::{Content, Part};
use crate::types::TextTemplates;

/// The choices of one text or picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choices {
    /// For a text.
    pub templates: Templates,
}

/// The templates of a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Templates {
    /// The collection's own where it is a query, none where it is stored.
    #[default]
    Collection,
    /// The text as it is.
    None,
    /// These, wherever it stands.
    These(TextTemplates),
}

impl Templates {
    /// A query's templates in a collection that has `own`.
    pub fn in_query(self, own: Option<TextTemplates>) -> Self {
        match (self, own) {
            (Templates::Collection, Some(own)) => Templates::These(own),
            (chosen, _) => chosen,
        }
    }

    /// The content to embed: a text in several templates becomes the mean of their vectors. A
    /// mix of weighted parts stays as it is.
    pub fn apply(&self, content: Content) -> Content {
        match (self, content) {
            (Templates::These(templates), Content::Text(text)) => {
                let part = |text| Part { content: Content::Text(text), weight: 1.0 };
                Content::Mix(templates.fill(&text).into_iter().map(part).collect())
            }
            (_, content) => content,
        }
    }
}
