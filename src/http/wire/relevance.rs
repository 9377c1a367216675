//! `with_relevance` and `min_relevance` of a query: hits with the probability that they are right answers.
//! They stand beside the query, or in the `options` of its text or picture.

use serde_json::Value;

use super::object::expected;
use crate::collection::Relevance;
use crate::engine::{Example, Wanted};
use crate::error::{Error, Result};

/// Reads both; `place` is what stands before their names, with its dot.
///
/// # Errors
/// An error that names the field and its range.
pub fn parse(with: Option<Value>, min: Option<Value>, place: &str) -> Result<Option<Relevance>> {
    let with = match with {
        None | Some(Value::Null) => None,
        Some(Value::Bool(with)) => Some(with),
        Some(other) => return Err(expected(&format!("{place}with_relevance"), "true or false", &other)),
    };
    let Some(min) = min.filter(|value| !value.is_null()) else {
        return Ok((with == Some(true)).then(Relevance::default));
    };
    match min.as_f64() {
        #[allow(clippy::cast_possible_truncation)]
        Some(min) if (0.0..=1.0).contains(&min) => {
            Ok(Some(Relevance { min: Some(min as f32), ..Relevance::default() }))
        }
        Some(min) => Err(Error::Validation(format!("{place}min_relevance is {min}, it must be from 0 to 1"))),
        None => Err(expected(&format!("{place}min_relevance"), "a number from 0 to 1", &min)),
    }
}

/// What stands beside the query, or else in its text or picture.
///
/// # Errors
/// `InvalidInput` where hits are not scored by one vector.
pub fn of(beside: Option<Relevance>, wanted: &Wanted, place: &str) -> Result<Option<Relevance>> {
    let own = || match wanted {
        Wanted::Like(example) => example.relevance(),
        Wanted::Recommend { positive, negative, .. } => {
            positive.iter().chain(negative).find_map(Example::relevance)
        }
        Wanted::Discover { target, context } => {
            let pairs = context.iter().flat_map(|(a, b)| [a, b]);
            target.iter().chain(pairs).find_map(Example::relevance)
        }
        Wanted::Fuse(_) | Wanted::OrderBy(_) | Wanted::Sample | Wanted::InOrder => None,
    };
    let asked = beside.or_else(own);
    if asked.is_some() && !wanted.is_one_vector() {
        return Err(Error::InvalidInput(format!(
            "{place}with_relevance and min_relevance need a query by one vector: a vector, a text, a picture, a \
             point or recommend with average_vector; fusions, orders, samples and scores by several examples have \
             no background to judge by"
        )));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn min_alone_asks_for_relevance_and_what_is_out_of_range_names_its_field() {
        assert_eq!(parse(None, None, "").unwrap(), None);
        assert_eq!(parse(Some(json!(false)), None, "").unwrap(), None);
        assert_eq!(parse(Some(json!(true)), None, "").unwrap(), Some(Relevance::default()));
        assert_eq!(parse(None, Some(json!(0.5)), "").unwrap().unwrap().min, Some(0.5));
        for (with, min, named) in [
            (json!("yes"), json!(null), "options.with_relevance: expected true or false"),
            (json!(null), json!(1.5), "options.min_relevance is 1.5, it must be from 0 to 1"),
            (json!(null), json!(-0.1), "options.min_relevance is -0.1"),
            (json!(null), json!("high"), "options.min_relevance: expected a number from 0 to 1"),
        ] {
            let error = parse(Some(with), Some(min), "options.").unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
