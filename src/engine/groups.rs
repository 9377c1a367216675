//! Hits in groups by a payload field. The groups are those of the best hits; each is then filled by a search
//! of its own where the first ones did not fill it, so that a group is as full as it can be.

use serde_json::Value;

use super::Engine;
use super::search::{both, run};
use super::wanted::Search;
use crate::collection::{Collection, MAX_LIMIT};
use crate::error::Result;
use crate::types::{
    CollectionName, Condition, FieldCondition, Filter, JsonPath, Match, MatchValue, PayloadSelector,
    ScoredPoint,
};

/// How hits are grouped.
#[derive(Debug, Clone)]
pub struct Grouping {
    /// The payload field; strings and integers make groups, and a point with several is in several.
    pub by: JsonPath,
    /// Most groups.
    pub groups: usize,
    /// Most hits of a group.
    pub size: usize,
}

/// One group: what its points have in common, and the best of them.
#[derive(Debug, Clone)]
pub struct Group {
    /// A string or an integer.
    pub id: MatchValue,
    /// Best first.
    pub hits: Vec<ScoredPoint>,
}

impl Engine {
    /// The groups of the best hits, the group of the best hit first.
    ///
    /// # Errors
    /// As [`Engine::search_all`].
    pub async fn search_groups(
        &self,
        name: &CollectionName,
        search: Search,
        grouping: Grouping,
    ) -> Result<Vec<Group>> {
        let mut ready = self.ready(name, vec![search]).await?;
        let Some(search) = ready.pop() else { return Ok(Vec::new()) };
        self.on(name, move |collection| grouped(collection, &search, &grouping)).await
    }
}

fn grouped(collection: &Collection, search: &Search, grouping: &Grouping) -> Result<Vec<Group>> {
    let has_value = Filter { must_not: vec![Condition::IsEmpty(grouping.by.clone())], ..Filter::default() };
    let mut looking = search.clone();
    looking.filter = both(search.filter.clone(), Some(has_value));
    looking.fields.payload = PayloadSelector::All;
    looking.offset = 0;
    let mut limit = (grouping.groups * grouping.size).min(MAX_LIMIT);
    let mut groups: Vec<Group> = Vec::new();
    let mut all_seen;
    loop {
        looking.limit = limit;
        widen(&mut looking.prefetch, limit);
        let hits = run(collection, &looking)?;
        all_seen = hits.len() < limit;
        groups.clear();
        for hit in hits {
            for id in ids_of(&hit, &grouping.by) {
                match groups.iter().position(|group| group.id == id) {
                    Some(at) if groups[at].hits.len() < grouping.size => groups[at].hits.push(hit.clone()),
                    Some(_) => {}
                    None if groups.len() < grouping.groups => {
                        groups.push(Group { id, hits: vec![hit.clone()] });
                    }
                    None => {}
                }
            }
        }
        if all_seen || groups.len() == grouping.groups || limit == MAX_LIMIT {
            break;
        }
        limit = (limit * 4).min(MAX_LIMIT);
    }
    if !all_seen {
        for group in groups.iter_mut().filter(|group| group.hits.len() < grouping.size) {
            let own = Filter {
                must: vec![Condition::Field {
                    key: grouping.by.clone(),
                    condition: FieldCondition::Match(Match::Value(group.id.clone())),
                }],
                ..Filter::default()
            };
            let mut filling = looking.clone();
            filling.filter = both(looking.filter.clone(), Some(own));
            filling.limit = grouping.size;
            let hits = run(collection, &filling)?;
            if hits.len() > group.hits.len() {
                group.hits = hits;
            }
        }
    }
    for hit in groups.iter_mut().flat_map(|group| &mut group.hits) {
        hit.payload = hit.payload.take().and_then(|payload| search.fields.payload.apply(payload));
    }
    Ok(groups)
}

/// What comes first must find enough for all groups.
fn widen(prefetch: &mut [Search], limit: usize) {
    for search in prefetch {
        search.limit = search.limit.max(limit);
        widen(&mut search.prefetch, limit);
    }
}

/// The groups that a point is in; none where a value can be no group.
fn ids_of(hit: &ScoredPoint, by: &JsonPath) -> Vec<MatchValue> {
    let Some(payload) = &hit.payload else { return Vec::new() };
    let mut ids: Vec<MatchValue> = Vec::new();
    let values = by.values(payload).into_iter().flat_map(|value| match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    });
    for value in values {
        let id = match value {
            Value::String(text) => MatchValue::Keyword(text.clone()),
            Value::Number(number) => match number.as_i64() {
                Some(number) => MatchValue::Integer(number),
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
