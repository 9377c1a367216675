//! A payload: the JSON object that travels with a point, and the paths that reach into it.

use serde_json::{Map, Value};

/// A JSON object of the user's.
pub type Payload = Map<String, Value>;

/// Which payload fields a reader wants.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadSelector {
    /// The whole payload.
    All,
    /// None of it: the answer holds no payload.
    None,
    /// Only these fields.
    Include(Vec<JsonPath>),
    /// All but these fields.
    Exclude(Vec<JsonPath>),
}

/// A path into a payload: `a.b`, `a[].b` (every element), `a[0].b`, `"quoted.key".b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
    Every,
}

impl JsonPath {
    /// Parses a path.
    ///
    /// # Errors
    /// A sentence that says where the path is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not a payload path: {why}");
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').ok_or_else(|| wrong("a quote is not closed"))?;
                steps.push(Step::Key(quoted[..end].to_owned()));
                rest = &quoted[end + 1..];
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(wrong("a key is empty"));
                }
                if rest[..end].contains([']', '"']) {
                    return Err(wrong("`]` and `\"` belong into quotes"));
                }
                steps.push(Step::Key(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            while let Some(bracket) = rest.strip_prefix('[') {
                let end = bracket.find(']').ok_or_else(|| wrong("a `[` is not closed"))?;
                steps.push(match &bracket[..end] {
                    "" => Step::Every,
                    digits => Step::Index(digits.parse().map_err(|_| wrong("an index is a number"))?),
                });
                rest = &bracket[end + 1..];
            }
            if rest.is_empty() {
                return Ok(Self { text: text.to_owned(), steps });
            }
            rest = rest.strip_prefix('.').ok_or_else(|| wrong("a `.` is missing between two keys"))?;
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The field of the payload that the path begins with.
    pub fn field(&self) -> &str {
        match self.steps.first() {
            Some(Step::Key(key)) => key,
            _ => "", // a path begins with a key
        }
    }

    /// Every value that the path reaches in `payload`, in document order.
    pub fn values<'a>(&self, payload: &'a Payload) -> Vec<&'a Value> {
        let Some((Step::Key(first), rest)) = self.steps.split_first() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if let Some(value) = payload.get(first) {
            walk(value, rest, &mut found);
        }
        found
    }

    /// `payload` with only what the path reaches, merged into `into`.
    pub fn copy_into(&self, payload: &Payload, into: &mut Payload) {
        if let Some((Step::Key(first), rest)) = self.steps.split_first()
            && let Some(value) = payload.get(first)
            && let Some(kept) = keep(value, rest)
        {
            match into.get_mut(first) {
                Some(there) => merge(there, kept),
                None => {
                    into.insert(first.clone(), kept);
                }
            }
        }
    }

    /// The path of the array itself, where this one ends in `[]`.
    #[must_use]
    pub fn without_every(&self) -> Self {
        let mut path = self.clone();
        if path.steps.last() == Some(&Step::Every) {
            path.steps.pop();
            path.text.truncate(path.text.len() - 2);
        }
        path
    }

    /// Merges `more` into the object at the path, as [`merge_payload`] does. What stands in the
    /// way and is no object is replaced; indexes that are not there are passed over.
    pub fn merge_into(&self, payload: &mut Payload, more: &Payload) {
        if let Some((Step::Key(first), rest)) = self.steps.split_first() {
            merge_at(payload.entry(first.clone()).or_insert(Value::Null), rest, more);
        }
    }

    /// Removes what the path reaches from `payload`.
    pub fn remove_from(&self, payload: &mut Payload) {
        if let Some((Step::Key(first), rest)) = self.steps.split_first() {
            if rest.is_empty() {
                payload.remove(first);
            } else if let Some(value) = payload.get_mut(first) {
                remove(value, rest);
            }
        }
    }
}

/// Sets the keys of `more` in `payload`, each whole; a null removes its key.
pub fn merge_payload(payload: &mut Payload, more: &Payload) {
    for (key, value) in more {
        if value.is_null() {
            payload.remove(key);
        } else {
            payload.insert(key.clone(), value.clone());
        }
    }
}

fn merge_at(value: &mut Value, steps: &[Step], more: &Payload) {
    match steps.split_first() {
        None => {
            let mut map = take_object(value);
            merge_payload(&mut map, more);
            *value = Value::Object(map);
        }
        Some((Step::Key(key), rest)) => {
            let mut map = take_object(value);
            merge_at(map.entry(key.clone()).or_insert(Value::Null), rest, more);
            *value = Value::Object(map);
        }
        Some((step, rest)) => {
            let Value::Array(items) = value else {
                *value = Value::Array(Vec::new());
                return;
            };
            match step {
                Step::Index(i) => {
                    if let Some(item) = items.get_mut(*i) {
                        merge_at(item, rest, more);
                    }
                }
                _ => items.iter_mut().for_each(|item| merge_at(item, rest, more)),
            }
        }
    }
}

/// Takes the object out; anything else counts as an empty one.
fn take_object(value: &mut Value) -> Payload {
    match value.take() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn walk<'a>(value: &'a Value, steps: &[Step], found: &mut Vec<&'a Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => {
            if let Some(inner) = map.get(key) {
                walk(inner, rest, found);
            }
        }
        (Step::Every, Value::Array(items)) => items.iter().for_each(|item| walk(item, rest, found)),
        (Step::Index(i), Value::Array(items)) => {
            if let Some(item) = items.get(*i) {
                walk(item, rest, found);
            }
        }
        _ => {}
    }
}

fn keep(value: &Value, steps: &[Step]) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value.clone());
    };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => {
            let kept = keep(map.get(key)?, rest)?;
            Some(Value::Object(Map::from_iter([(key.clone(), kept)])))
        }
        (Step::Every, Value::Array(items)) => {
            Some(Value::Array(items.iter().filter_map(|item| keep(item, rest)).collect()))
        }
        (Step::Index(i), Value::Array(items)) => Some(Value::Array(vec![keep(items.get(*i)?, rest)?])),
        _ => None,
    }
}

fn merge(there: &mut Value, more: Value) {
    match (there, more) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                match a.get_mut(&key) {
                    Some(inner) => merge(inner, value),
                    None => {
                        a.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter_mut().zip(b).for_each(|(x, y)| merge(x, y));
        }
        (there, more) => *there = more,
    }
}

fn remove(value: &mut Value, steps: &[Step]) {
    let Some((step, rest)) = steps.split_first() else { return };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) if rest.is_empty() => {
            map.remove(key);
        }
        (Step::Key(key), Value::Object(map)) => {
            if let Some(inner) = map.get_mut(key) {
                remove(inner, rest);
            }
        }
        (Step::Every, Value::Array(items)) if rest.is_empty() => items.clear(),
        (Step::Every, Value::Array(items)) => items.iter_mut().for_each(|item| remove(item, rest)),
        // A path that ends in an index removes nothing: sent twice it would remove two.
        (Step::Index(i), Value::Array(items)) if !rest.is_empty() => {
            if let Some(item) = items.get_mut(*i) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

impl PayloadSelector {
    /// The part of `payload` that was asked for; `None` where none was.
    pub fn apply(&self, payload: Payload) -> Option<Payload> {
        match self {
            PayloadSelector::All => Some(payload),
            PayloadSelector::None => None,
            PayloadSelector::Include(paths) => {
                let mut kept = Payload::new();
                paths.iter().for_each(|path| path.copy_into(&payload, &mut kept));
                Some(kept)
            }
            PayloadSelector::Exclude(paths) => {
                let mut payload = payload;
                paths.iter().for_each(|path| path.remove_from(&mut payload));
                Some(payload)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payload() -> Payload {
        let Value::Object(map) = json!({
            "city": "Bern", "a.b": 1,
            "tags": [{"n": 1}, {"n": 2}], "deep": {"x": {"y": 3}, "z": 4}
        }) else {
            unreachable!()
        };
        map
    }

    fn values(path: &str) -> Value {
        JsonPath::parse(path).unwrap().values(&payload()).into_iter().cloned().collect::<Vec<_>>().into()
    }

    #[test]
    fn a_path_reaches_keys_elements_and_quoted_keys() {
        assert_eq!(values("city"), json!(["Bern"]));
        assert_eq!(values("tags[].n"), json!([1, 2]));
        assert_eq!(values("tags[1].n"), json!([2]));
        assert_eq!(values("deep.x.y"), json!([3]));
        assert_eq!(values("\"a.b\""), json!([1]));
        assert_eq!(values("deep.nothing"), json!([]));
    }

    #[test]
    fn a_broken_path_says_where() {
        for path in ["", ".", "a..b", "a[", "a[x]", "a]b", "\"a", "a[0]b"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn merging_at_a_path_creates_objects_replaces_values_and_removes_nulls() {
        let merged = |path: &str, more: Value| {
            let (mut payload, Value::Object(more)) = (payload(), more) else { unreachable!() };
            JsonPath::parse(path).unwrap().merge_into(&mut payload, &more);
            Value::Object(payload)
        };
        assert_eq!(merged("deep.x", json!({"y": null, "w": 1}))["deep"], json!({"x": {"w": 1}, "z": 4}));
        assert_eq!(merged("new.far", json!({"a": 1}))["new"], json!({"far": {"a": 1}}));
        assert_eq!(merged("city.x", json!({"a": 1}))["city"], json!({"x": {"a": 1}}));
        assert_eq!(merged("tags[]", json!({"k": 0}))["tags"], json!([{"n": 1, "k": 0}, {"n": 2, "k": 0}]));
        assert_eq!(merged("tags[1].m", json!({"k": 0}))["tags"], json!([{"n": 1}, {"n": 2, "m": {"k": 0}}]));
        assert_eq!(merged("tags[7]", json!({"k": 0}))["tags"], json!([{"n": 1}, {"n": 2}]));
        assert_eq!(merged("city[]", json!({"k": 0}))["city"], json!([]));
    }

    #[test]
    fn include_and_exclude_are_each_other_s_complement() {
        let path = || vec![JsonPath::parse("deep.x").unwrap(), JsonPath::parse("deep.z").unwrap()];
        let kept = PayloadSelector::Include(path()).apply(payload()).unwrap();
        assert_eq!(Value::Object(kept), json!({"deep": {"x": {"y": 3}, "z": 4}}));
        let rest = PayloadSelector::Exclude(path()).apply(payload()).unwrap();
        assert_eq!(rest["deep"], json!({}));
        assert_eq!(rest["city"], json!("Bern"));
    }
}
