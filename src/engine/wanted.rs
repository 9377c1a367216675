//! A search as a request states it: what hits should be like, and what is searched first. Examples may be
//! texts, pictures and stored points; before a search runs all of them have become vectors.

use super::choices::HeadUse;
use super::draft::{Content, Inference, VectorSource};
use super::fusion::Fusion;
use crate::adapt::Modality;
use crate::collection::{Fields, Mmr, OrderBy, Relevance};
use crate::index::{Mode, Rescore};
use crate::measure::Relation;
use crate::types::{CollectionName, Filter, PointId, VectorName};

/// Something that hits are compared with.
#[derive(Debug, Clone)]
pub enum Example {
    /// A vector, a text or a picture.
    Source(VectorSource),
    /// A stored point; it is not itself a hit.
    Point(PointId),
    /// What one of the others became.
    Ready(Vec<f32>, Option<Modality>),
}

/// How several examples count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Twice the mean of the positives less that of the negatives, as one vector.
    #[default]
    AverageVector,
    /// The best score to a positive, if it is better than that to any negative.
    BestScore,
    /// The sum of scores.
    SumScores,
}

/// What hits should be like.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Near this.
    Like(Example),
    /// Near some, not near others.
    Recommend {
        /// To be like.
        positive: Vec<Example>,
        /// Not to be like.
        negative: Vec<Example>,
        /// How they count.
        strategy: Strategy,
    },
    /// On the positive sides of pairs, and near the target.
    Discover {
        /// To be like; without one only the sides count.
        target: Option<Example>,
        /// (positive, negative)
        context: Vec<(Example, Example)>,
    },
    /// What was searched first, made one list.
    Fuse(Fusion),
    /// Points in the order of a payload field.
    OrderBy(OrderBy),
    /// Points drawn at random.
    Sample,
    /// Points in the order of their ids.
    InOrder,
}

/// Another collection in which the ids of examples are looked up.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The collection.
    pub collection: CollectionName,
    /// The vector's name there; the query's own if absent.
    pub using: Option<VectorName>,
}

/// One search; limits are checked where it is parsed.
#[derive(Debug, Clone)]
pub struct Search {
    /// Searches whose hits this one makes one list of, or chooses from.
    pub prefetch: Vec<Search>,
    /// What hits should be like.
    pub wanted: Wanted,
    /// The vector's name.
    pub using: VectorName,
    /// Which points may be answered; also by the searches that come first.
    pub filter: Option<Filter>,
    /// Points that are no hits; those that are examples are added.
    pub exclude: Vec<PointId>,
    /// Most hits.
    pub limit: usize,
    /// Hits to skip.
    pub offset: usize,
    /// Hits must be at least as good.
    pub score_threshold: Option<f32>,
    /// Candidates of the graph walk; the default if absent.
    pub ef: Option<usize>,
    /// Exact or as planned.
    pub mode: Mode,
    /// How far hits by bytes are compared exactly.
    pub rescore: Rescore,
    /// Diversity among the hits.
    pub mmr: Option<Mmr>,
    /// Says how relevant the hits are; only where [`Wanted::is_one_vector`].
    pub relevance: Option<Relevance>,
    /// Which head the query goes through, where the request says so beside the query.
    pub head: HeadUse,
    /// Where ids are looked up, if not in the collection itself.
    pub lookup: Option<Lookup>,
    /// What the hits hold.
    pub fields: Fields,
}

impl Wanted {
    /// True where hits are scored by one vector, so that there is a background to judge them by.
    pub fn is_one_vector(&self) -> bool {
        match self {
            Wanted::Like(_) => true,
            Wanted::Recommend { strategy, .. } => *strategy == Strategy::AverageVector,
            Wanted::Discover { .. }
            | Wanted::Fuse(_)
            | Wanted::OrderBy(_)
            | Wanted::Sample
            | Wanted::InOrder => false,
        }
    }

    /// What is wanted is texts and nothing else.
    fn is_text(&self) -> bool {
        match self {
            Wanted::Like(example) => example.is_text(),
            Wanted::Recommend { positive, .. } => positive.iter().all(Example::is_text),
            Wanted::Discover { .. }
            | Wanted::Fuse(_)
            | Wanted::OrderBy(_)
            | Wanted::Sample
            | Wanted::InOrder => false,
        }
    }

    /// Every example, in the order of the request.
    pub(super) fn examples_mut(&mut self) -> Vec<&mut Example> {
        match self {
            Wanted::Like(example) => vec![example],
            Wanted::Recommend { positive, negative, .. } => positive.iter_mut().chain(negative).collect(),
            Wanted::Discover { target, context } => {
                target.iter_mut().chain(context.iter_mut().flat_map(|(a, b)| [a, b])).collect()
            }
            Wanted::Fuse(_) | Wanted::OrderBy(_) | Wanted::Sample | Wanted::InOrder => Vec::new(),
        }
    }
}

impl Search {
    /// Notes for the relevance of the hits what they are compared with; while texts are still texts.
    pub(super) fn relate(&mut self) {
        let Search { wanted, relevance: Some(relevance), head, .. } = self else { return };
        let own = wanted.is_text().then_some(Modality::Text);
        let kind = if *head == HeadUse::None { own } else { head.resolve_ready(own) };
        relevance.relation = match kind {
            Some(Modality::Text) => Relation::Across,
            Some(Modality::Picture) | None => Relation::Within,
        };
    }

    /// This and all that come first, the innermost last.
    pub(super) fn each_mut(&mut self, visit: &mut impl FnMut(&mut Search)) {
        visit(self);
        self.prefetch.iter_mut().for_each(|search| search.each_mut(visit));
    }

    /// What is for the model, this search's own and that of all that come first.
    pub(super) fn inferences_mut<'a>(&'a mut self, into: &mut Vec<&'a mut Example>) {
        let Search { wanted, prefetch, .. } = self;
        let own = wanted.examples_mut().into_iter();
        into.extend(own.filter(|example| example.inference().is_some()));
        prefetch.iter_mut().for_each(|search| search.inferences_mut(into));
    }
}

impl Example {
    fn is_text(&self) -> bool {
        fn is_text(content: &Content) -> bool {
            match content {
                Content::Text(_) => true,
                Content::Image(_) => false,
                Content::Mix(parts) => parts.iter().all(|part| is_text(&part.content)),
            }
        }
        self.inference().is_some_and(|inference| is_text(&inference.content))
    }

    /// What the text or picture itself asks of the relevance of hits.
    pub fn relevance(&self) -> Option<Relevance> {
        self.inference()?.choices.relevance
    }

    pub(super) fn inference(&self) -> Option<&Inference> {
        match self {
            Example::Source(VectorSource::Inference(inference)) => Some(inference),
            Example::Source(VectorSource::Dense(_)) | Example::Point(_) | Example::Ready(..) => None,
        }
    }
}
