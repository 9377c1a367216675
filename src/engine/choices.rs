//! What a request may say of a text or a picture beside its content: the templates it is put
//! into, and whether a head of the collection is applied to its vector.

use super::draft::{Content, Part};
use crate::adapt::Modality;
use crate::collection::Relevance;
use crate::types::TextTemplates;

/// The choices of one text or picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choices {
    /// For a text.
    pub templates: Templates,
    /// In a query.
    pub head: HeadUse,
    /// In a query.
    pub relevance: Option<Relevance>,
}

/// Which of a collection's heads a query goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadUse {
    /// A text through that for texts, a picture through that for pictures, anything else through none.
    #[default]
    ByKind,
    /// None.
    None,
    /// That for this kind of query, whatever it is.
    As(Modality),
}

impl HeadUse {
    /// The kind of query that this one counts as; `self` is what its own object says, `all` what
    /// the request says beside, which goes first.
    pub fn resolve(self, all: HeadUse, content: Option<&Content>) -> Option<Modality> {
        let chosen = if all == HeadUse::ByKind { self } else { all };
        match (chosen, content) {
            (HeadUse::None, _) => None,
            (HeadUse::As(modality), _) => Some(modality),
            (HeadUse::ByKind, Some(Content::Text(_))) => Some(Modality::Text),
            (HeadUse::ByKind, Some(Content::Image(_))) => Some(Modality::Picture),
            (HeadUse::ByKind, _) => None,
        }
    }
}

impl HeadUse {
    /// As [`HeadUse::resolve`] where `own` is what a query's own object came to.
    pub(super) fn resolve_ready(self, own: Option<Modality>) -> Option<Modality> {
        match self {
            HeadUse::ByKind => own,
            HeadUse::None => None,
            HeadUse::As(modality) => Some(modality),
        }
    }
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
