//! `prefetch`: queries that come before the one that they are for, nested.

use serde_json::Value;

use super::object::{Object, expected};
use super::query::{DEFAULT_LIMIT, MAX_LIMIT, Params, bounded, params};
use super::{filter, relevance, wanted};
use crate::collection::Fields;
use crate::engine::Search;
use crate::error::{Error, Result};

/// A prefetch within a prefetch, so deep.
const MAX_DEPTH: usize = 4;
/// Prefetches of one query, all together: each is a search.
const MAX_PREFETCHES: usize = 32;

/// Reads one or a list.
///
/// # Errors
/// An error that names the field, or the bound.
pub fn parse(value: Option<Value>) -> Result<Vec<Search>> {
    let mut left = MAX_PREFETCHES;
    parse_at(value, "prefetch", 1, &mut left)
}

fn parse_at(value: Option<Value>, place: &str, depth: usize, left: &mut usize) -> Result<Vec<Search>> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one @ Value::Object(_)) => vec![one],
        Some(other) => return Err(expected(place, "an object or a list of objects", &other)),
    };
    if items.is_empty() {
        return Ok(Vec::new());
    }
    if depth > MAX_DEPTH {
        return Err(Error::Validation(format!("{place} is nested too deeply, at most {MAX_DEPTH} deep")));
    }
    if items.len() > *left {
        return Err(Error::Validation(format!(
            "{place}: a query has too many prefetches, at most {MAX_PREFETCHES} in all"
        )));
    }
    *left -= items.len();
    let one = |(i, item)| search(item, &format!("{place}[{i}]"), depth, left);
    items.into_iter().enumerate().map(one).collect()
}

fn search(value: Value, place: &str, depth: usize, left: &mut usize) -> Result<Search> {
    let mut object = Object::new(value, place)?;
    let at = |key: &str| format!("{place}.{key}");
    let prefetch = parse_at(object.take("prefetch"), &at("prefetch"), depth + 1, left)?;
    let (wanted, mmr) = wanted::parse(object.take("query"), &at("query"), !prefetch.is_empty())?;
    let relevance = relevance::parse(None, object.take("min_relevance"), &format!("{place}."))?;
    let relevance = relevance::of(relevance, &wanted, &format!("{place}."))?;
    let Params { mode, ef, rescore, head } = params(object.take("params"), &at("params"))?;
    let limit = bounded(object.take("limit"), &at("limit"), DEFAULT_LIMIT, 1, MAX_LIMIT)?;
    #[allow(clippy::cast_possible_truncation)]
    let score_threshold = object.number("score_threshold")?.map(|number| number as f32);
    if score_threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return Err(Error::Validation(format!("{}: must be a finite 32-bit number", at("score_threshold"))));
    }
    let search = Search {
        prefetch,
        wanted,
        using: object.string("using")?.unwrap_or_default(),
        filter: filter::parse_optional(object.take("filter"), &at("filter"))?,
        exclude: Vec::new(),
        limit,
        offset: 0,
        score_threshold,
        ef,
        mode,
        rescore,
        mmr,
        relevance,
        head,
        lookup: wanted::lookup(object.take("lookup_from"), &at("lookup_from"))?,
        fields: Fields::NONE,
    };
    object.finish()?;
    Ok(search)
}
