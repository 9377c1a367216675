//! `query`: what hits should be like, in all its forms.

use serde_json::Value;

use super::object::{Object, expected};
use super::query::{MAX_LIMIT, bounded};
use super::{inference, vector};
use crate::collection::{Direction, MAX_EXAMPLES, Mmr, OrderBy, StartFrom};
use crate::engine::{DEFAULT_RRF_K, Example, Fusion, Lookup, Strategy, Wanted};
use crate::error::{Error, Result};
use crate::types::{CollectionName, JsonPath, PointId, parse_datetime};

/// Candidates that mmr chooses from where the query names no number.
const MMR_CANDIDATES: usize = 100;
/// Largest `k` of a reciprocal rank fusion.
const MAX_RRF_K: usize = 1_000_000;
/// Most lists of a fusion.
const MAX_WEIGHTS: usize = 32;

/// Reads what stands under one key of a query, at its place.
type Reader = fn(Value, &str) -> Result<Wanted>;

/// Reads a query at `place`; `follows` where others come before it.
///
/// # Errors
/// An error that names the field.
pub fn parse(value: Option<Value>, place: &str, follows: bool) -> Result<(Wanted, Option<Mmr>)> {
    let Some(value) = value.filter(|v| !v.is_null()) else {
        if follows {
            return Err(Error::InvalidInput(format!(
                "{place} is needed to merge or to rescore what prefetch finds"
            )));
        }
        return Ok((Wanted::InOrder, None));
    };
    let Value::Object(map) = &value else { return Ok((Wanted::Like(example(value, place)?), None)) };
    if inference::is_inference(map) {
        return Ok((Wanted::Like(example(value, place)?), None));
    }
    let mut object = Object::new(value, place)?;
    if let Some(nearest) = object.take("nearest") {
        let wanted = Wanted::Like(example(nearest, &format!("{place}.nearest"))?);
        let mmr = object.take("mmr").map(|value| mmr(value, &format!("{place}.mmr"))).transpose()?;
        object.finish()?;
        return Ok((wanted, mmr));
    }
    let readers: [(&'static str, Reader); 7] = [
        ("recommend", recommend),
        ("discover", discover),
        ("context", |value, place| Ok(Wanted::Discover { target: None, context: pairs(value, place)? })),
        ("order_by", |value, place| order_by(value, place).map(Wanted::OrderBy)),
        ("sample", sample),
        ("fusion", fusion),
        ("rrf", rrf),
    ];
    for (key, read) in readers {
        if let Some(value) = object.take(key) {
            let at = object.at(key);
            let wanted = read(value, &at)?;
            if matches!(wanted, Wanted::Fuse(_)) && !follows {
                return Err(Error::InvalidInput(format!("{at} needs a prefetch: lists that it makes one")));
            }
            object.finish()?;
            return Ok((wanted, None));
        }
    }
    for key in ["formula", "relevance_feedback", "indices"] {
        if object.take(key).is_some() {
            return Err(Error::InvalidInput(format!(
                "{place}.{key} is not supported by this server; send a vector, a point id, or an object with `text` or `image`"
            )));
        }
    }
    object.finish()?;
    Err(Error::MalformedBody(format!(
        "{place}: expected a vector, a point id, an object with `text` or `image`, or `nearest`"
    )))
}

/// A vector, a point id, or something for the model.
pub fn example(value: Value, place: &str) -> Result<Example> {
    match value {
        Value::Number(_) | Value::String(_) => match serde_json::from_value::<PointId>(value) {
            Ok(id) => Ok(Example::Point(id)),
            Err(error) => Err(Error::MalformedBody(format!("{place}: {error}"))),
        },
        Value::Array(_) | Value::Object(_) => vector::parse_one(value, place).map(Example::Source),
        other => Err(expected(place, "a vector, a point id, or an object with `text` or `image`", &other)),
    }
}

/// A list of them; one alone counts as a list unless it could be a vector.
fn examples(value: Option<Value>, place: &str) -> Result<Vec<Example>> {
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(expected(place, "a list of vectors, ids, texts or pictures", &other)),
    };
    if items.len() > MAX_EXAMPLES {
        return Err(Error::Validation(format!("{place} holds {}, at most {MAX_EXAMPLES}", items.len())));
    }
    items.into_iter().enumerate().map(|(i, item)| example(item, &format!("{place}[{i}]"))).collect()
}

/// `positive`, `negative`, `strategy`.
pub fn recommend(value: Value, place: &str) -> Result<Wanted> {
    let mut object = Object::new(value, place)?;
    let positive = examples(object.take("positive"), &object.at("positive"))?;
    let negative = examples(object.take("negative"), &object.at("negative"))?;
    let at = object.at("strategy");
    let strategy = match object.string("strategy")?.as_deref() {
        None | Some("average_vector") => Strategy::AverageVector,
        Some("best_score") => Strategy::BestScore,
        Some("sum_scores") => Strategy::SumScores,
        Some(other) => {
            return Err(Error::Validation(format!(
                "{at} is `{other}`, it must be `average_vector`, `best_score` or `sum_scores`"
            )));
        }
    };
    object.finish()?;
    if positive.is_empty() && (strategy == Strategy::AverageVector || negative.is_empty()) {
        return Err(Error::Validation(format!(
            "{place}.positive is empty, it must hold at least one example (the other strategies also take negatives alone)"
        )));
    }
    if positive.len() + negative.len() > MAX_EXAMPLES {
        let count = positive.len() + negative.len();
        return Err(Error::Validation(format!("{place} holds {count} examples, at most {MAX_EXAMPLES}")));
    }
    Ok(Wanted::Recommend { positive, negative, strategy })
}

fn discover(value: Value, place: &str) -> Result<Wanted> {
    let mut object = Object::new(value, place)?;
    let target = example(object.require("target")?, &object.at("target"))?;
    let context = match object.take("context") {
        None => Vec::new(),
        Some(value) => pairs(value, &object.at("context"))?,
    };
    object.finish()?;
    Ok(Wanted::Discover { target: Some(target), context })
}

fn pairs(value: Value, place: &str) -> Result<Vec<(Example, Example)>> {
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if !(1..=MAX_EXAMPLES / 2).contains(&items.len()) {
        let (count, most) = (items.len(), MAX_EXAMPLES / 2);
        return Err(Error::Validation(format!("{place} holds {count} pairs, it must hold 1 to {most}")));
    }
    let one = |(i, item): (usize, Value)| {
        let mut object = Object::new(item, format!("{place}[{i}]"))?;
        let positive = example(object.require("positive")?, &object.at("positive"))?;
        let negative = example(object.require("negative")?, &object.at("negative"))?;
        object.finish()?;
        Ok((positive, negative))
    };
    items.into_iter().enumerate().map(one).collect()
}

/// A field's name, or `key`, `direction`, `start_from`.
pub fn order_by(value: Value, place: &str) -> Result<OrderBy> {
    let named = |text: &str, at: &str| {
        JsonPath::parse(text)
            .map_err(|why| Error::Validation(format!("{at}: {why}")))
            .map(|_| text.to_owned())
    };
    if let Value::String(key) = &value {
        return Ok(OrderBy { key: named(key, place)?, direction: Direction::Ascending, start_from: None });
    }
    let mut object = Object::new(value, place)?;
    let at = object.at("key");
    let key = object.string("key")?.ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
    let key = named(&key, &at)?;
    let at = object.at("direction");
    let direction = match object.string("direction")?.as_deref() {
        None | Some("asc") => Direction::Ascending,
        Some("desc") => Direction::Descending,
        Some(other) => {
            return Err(Error::Validation(format!("{at} is `{other}`, it must be `asc` or `desc`")));
        }
    };
    let at = object.at("start_from");
    let start_from = match object.take("start_from") {
        None => None,
        Some(Value::String(text)) => Some(StartFrom::Moment(parse_datetime(&text).ok_or_else(|| {
            Error::Validation(format!("{at} is `{text}`, it must be a number or a datetime (RFC 3339)"))
        })?)),
        Some(value) => match value.as_f64() {
            Some(number) => Some(StartFrom::Number(number)),
            None => return Err(expected(&at, "a number or a datetime", &value)),
        },
    };
    object.finish()?;
    Ok(OrderBy { key, direction, start_from })
}

fn sample(value: Value, place: &str) -> Result<Wanted> {
    match value.as_str() {
        Some("random") => Ok(Wanted::Sample),
        _ => Err(Error::Validation(format!("{place} is {value}, it must be `random`"))),
    }
}

fn fusion(value: Value, place: &str) -> Result<Wanted> {
    match value.as_str() {
        Some("rrf") => Ok(Wanted::Fuse(Fusion::Rrf { k: DEFAULT_RRF_K, weights: Vec::new() })),
        Some("dbsf") => Ok(Wanted::Fuse(Fusion::Dbsf)),
        Some(other) => Err(Error::Validation(format!("{place} is {other}, it must be `rrf` or `dbsf`"))),
        None => Err(expected(place, "`rrf` or `dbsf`", &value)),
    }
}

fn rrf(value: Value, place: &str) -> Result<Wanted> {
    let mut object = Object::new(value, place)?;
    let at = object.at("k");
    let k = bounded(object.take("k"), &at, DEFAULT_RRF_K as usize, 1, MAX_RRF_K)?;
    let at = object.at("weights");
    let mut weights = Vec::new();
    let given = object.list("weights")?.unwrap_or_default();
    if given.len() > MAX_WEIGHTS {
        return Err(Error::Validation(format!("{at} holds {}, at most {MAX_WEIGHTS}", given.len())));
    }
    for (i, value) in given.iter().enumerate() {
        match value.as_f64() {
            #[allow(clippy::cast_possible_truncation)]
            Some(weight) if (0.0..=1e6).contains(&weight) => weights.push(weight as f32),
            _ => {
                return Err(Error::Validation(format!(
                    "{at}[{i}] is {value}, it must be a number from 0 to 1000000"
                )));
            }
        }
    }
    object.finish()?;
    let k = u32::try_from(k).unwrap_or(DEFAULT_RRF_K);
    Ok(Wanted::Fuse(Fusion::Rrf { k, weights }))
}

fn mmr(value: Value, place: &str) -> Result<Mmr> {
    let mut object = Object::new(value, place)?;
    let diversity = object.number("diversity")?.unwrap_or(0.5);
    if !(0.0..=1.0).contains(&diversity) {
        return Err(Error::Validation(format!("{place}.diversity is {diversity}, it must be from 0 to 1")));
    }
    let at = object.at("candidates_limit");
    let candidates = bounded(object.take("candidates_limit"), &at, MMR_CANDIDATES, 1, MAX_LIMIT)?;
    object.finish()?;
    #[allow(clippy::cast_possible_truncation)]
    Ok(Mmr { diversity: diversity as f32, candidates })
}

/// `{"collection", "vector"}`: where ids are looked up.
pub fn lookup(value: Option<Value>, place: &str) -> Result<Option<Lookup>> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(None) };
    let mut object = Object::new(value, place)?;
    let at = object.at("collection");
    let name = object
        .string("collection")?
        .ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
    let using = object.string("vector")?;
    let _ = object.take("shard_key");
    object.finish()?;
    Ok(Some(Lookup { collection: CollectionName::parse(&name)?, using }))
}
