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
        (Step::Index(i), Value::Array(items)) if rest.is_empty() => {
            if *i < items.len() {
                items.remove(*i);
            }
        }
        (Step::Index(i), Value::Array(items)) => {
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
    fn include_and_exclude_are_each_other_s_complement() {
        let path = || vec![JsonPath::parse("deep.x").unwrap(), JsonPath::parse("deep.z").unwrap()];
        let kept = PayloadSelector::Include(path()).apply(payload()).unwrap();
        assert_eq!(Value::Object(kept), json!({"deep": {"x": {"y": 3}, "z": 4}}));
        let rest = PayloadSelector::Exclude(path()).apply(payload()).unwrap();
        assert_eq!(rest["deep"], json!({}));
        assert_eq!(rest["city"], json!("Bern"));
    }
}
