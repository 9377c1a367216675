//! `lookalike search`: finds by words, by a picture, by both and without others, and shows the hits as
//! a table, as JSON, or as pictures in a terminal that can show them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use super::client::ServerArgs;
use super::import::read_picture;
use super::pictures;
use crate::types::CollectionName;

/// Longest value that the table shows of a payload field, characters.
const MAX_CELL: usize = 60;

/// When pictures are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Where stdout is a terminal that shows pictures (kitty, iTerm2 and their like)
    Auto,
    /// In other terminals too, in half blocks
    Always,
    Never,
}

#[derive(Args)]
pub struct SearchArgs {
    /// The collection
    collection: String,
    /// Words to search for
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// A picture to search for; with words, both count
    #[arg(long, short, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Words that lead away; may be repeated
    #[arg(long = "not", value_name = "TEXT")]
    not: Vec<String>,
    /// How much the picture counts beside the words
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0, requires = "image")]
    image_weight: f32,
    /// A stored point to search for the like of, instead
    #[arg(long, value_name = "ID", conflicts_with_all = ["text", "image", "not"])]
    like: Option<String>,
    /// Only points whose payload has this value; may be repeated
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = super::import::parse_pair)]
    conditions: Vec<(String, Value)>,
    /// A filter as Qdrant has it, as JSON
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Only hits that are right with this probability, 0 to 1
    #[arg(long, value_name = "P")]
    min_relevance: Option<f64>,
    /// Most hits
    #[arg(long, short = 'n', default_value_t = 10)]
    limit: usize,
    /// Name of the vector [default: the unnamed one]
    #[arg(long, value_name = "NAME")]
    using: Option<String>,
    /// Payload fields that the table shows [default: all]
    #[arg(long, value_name = "KEY,..", value_delimiter = ',')]
    fields: Vec<String>,
    /// Print the hits as JSON
    #[arg(long)]
    json: bool,
    /// Show the pictures
    #[arg(long, value_enum, default_value = "auto")]
    pictures: Show,
    /// The folder that the pictures were imported from
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub fn run(args: &SearchArgs) -> anyhow::Result<()> {
    let name = CollectionName::parse(&args.collection)?;
    let path = format!("/collections/{name}/points/query");
    let answer = args.server.client().call("POST", &path, Some(&args.body()?))?;
    let hits = answer["points"].as_array().map_or(&[][..], Vec::as_slice);
    if args.json {
        println!("{}", serde_json::to_string_pretty(hits)?);
        return Ok(());
    }
    if hits.is_empty() {
        println!("nothing is found");
        return Ok(());
    }
    let is_shown = match args.pictures {
        Show::Auto => std::io::stdout().is_terminal() && pictures::can_be_shown(),
        Show::Always => true,
        Show::Never => false,
    };
    if is_shown {
        for (i, hit) in hits.iter().enumerate() {
            println!("{}", line(i + 1, hit));
            show(&args.root, hit);
        }
    } else {
        println!("{}", table(hits, &args.fields));
    }
    Ok(())
}

impl SearchArgs {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = json!({"query": self.query()?, "limit": self.limit, "with_payload": true, "with_relevance": true});
        let mut filter = match &self.filter {
            Some(text) => serde_json::from_str::<Map<String, Value>>(text)
                .context("--filter: expected an object as JSON, as {\"must\": [..]}")?,
            None => Map::new(),
        };
        if !self.conditions.is_empty() {
            let conditions =
                self.conditions.iter().map(|(key, value)| json!({"key": key, "match": {"value": value}}));
            match filter.entry("must").or_insert_with(|| json!([])) {
                Value::Array(must) => must.extend(conditions),
                // A single condition stands for a list of one.
                one => *one = std::iter::once(one.take()).chain(conditions).collect(),
            }
        }
        if !filter.is_empty() {
            body["filter"] = filter.into();
        }
        if let Some(least) = self.min_relevance {
            body["min_relevance"] = json!(least);
        }
        if let Some(using) = &self.using {
            body["using"] = json!(using);
        }
        Ok(body)
    }

    fn query(&self) -> anyhow::Result<Value> {
        if let Some(id) = &self.like {
            let id = crate::types::PointId::parse(id).map_err(|why| anyhow::anyhow!("--like: {why}"))?;
            return Ok(json!(id));
        }
        let text = self.text.join(" ");
        let image = self.image.as_deref().map(|file| {
            let bytes = read_picture(file).with_context(|| file.display().to_string())?;
            anyhow::Ok(STANDARD.encode(bytes))
        });
        let image = image.transpose()?;
        match (text.as_str(), &image, self.not.is_empty()) {
            ("", None, _) => bail!("give words to search for, --image FILE, or --like ID"),
            (text, None, true) => Ok(json!({"text": text})),
            ("", Some(image), true) => Ok(json!({"image": image})),
            (text, image, _) => {
                let words = (!text.is_empty()).then(|| json!({"text": text}));
                let picture =
                    image.as_ref().map(|image| json!({"image": image, "weight": self.image_weight}));
                // Half as strong as what is wanted: stronger ones lead out of the collection's own part of the space.
                let away = self.not.iter().map(|text| json!({"text": text, "weight": -0.5}));
                Ok(json!({"object": words.into_iter().chain(picture).chain(away).collect::<Vec<_>>()}))
            }
        }
    }
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn id(hit: &Value) -> String {
    hit["id"].as_str().map_or_else(|| hit["id"].to_string(), ToOwned::to_owned)
}

fn cell(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let is_long = text.chars().count() > MAX_CELL;
    if is_long { text.chars().take(MAX_CELL - 1).chain(['…']).collect() } else { text }
}

fn line(place: usize, hit: &Value) -> String {
    let payload = hit["payload"].as_object().into_iter().flatten();
    let payload: Vec<_> = payload.map(|(key, value)| format!("{key}: {}", cell(value))).collect();
    format!(
        "{place}. {}  relevance {}  {}",
        number(&hit["score"]),
        number(&hit["relevance"]),
        payload.join(", ")
    )
}

fn table(hits: &[Value], fields: &[String]) -> Table {
    let mut keys: Vec<&str> = fields.iter().map(String::as_str).collect();
    if keys.is_empty() {
        let found = hits.iter().filter_map(|hit| hit["payload"].as_object()).flat_map(Map::keys);
        found.for_each(|key| {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        });
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "score", "relevance", "id"].into_iter().chain(keys.iter().copied()));
    for (i, hit) in hits.iter().enumerate() {
        let start = [(i + 1).to_string(), number(&hit["score"]), number(&hit["relevance"]), id(hit)];
        let payload = keys.iter().map(|key| match &hit["payload"][*key] {
            Value::Null => String::new(),
            value => cell(value),
        });
        table.add_row(start.into_iter().chain(payload).map(Cell::new));
    }
    table
}

/// A picture that is not there is only not shown.
fn show(root: &Path, hit: &Value) {
    let Some(file) = hit["payload"]["file"].as_str() else { return };
    let path = root.join(file);
    if let Err(error) = read_picture(&path).and_then(|bytes| pictures::show(&bytes)) {
        println!("   ({}: {error:#}; --root names the folder of the import)", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SearchArgs,
    }

    fn body(args: &[&str]) -> anyhow::Result<Value> {
        Line::parse_from(["search", "c"].iter().chain(args)).args.body()
    }

    #[test]
    fn words_pictures_both_and_what_leads_away_become_one_query() {
        assert_eq!(body(&["red", "shoe"]).unwrap()["query"], json!({"text": "red shoe"}));
        assert_eq!(body(&["--like", "7"]).unwrap()["query"], json!(7));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.png").display().to_string();
        std::fs::write(&file, [1, 2]).unwrap();
        assert_eq!(body(&["--image", &file]).unwrap()["query"], json!({"image": "AQI="}));
        let mixed = body(&["shoe", "--image", &file, "--image-weight", "0.5", "--not", "logo"]).unwrap();
        assert_eq!(
            mixed["query"],
            json!({"object": [{"text": "shoe"}, {"image": "AQI=", "weight": 0.5}, {"text": "logo", "weight": -0.5}]})
        );
        assert!(format!("{:#}", body(&[]).unwrap_err()).contains("--image"));
    }

    #[test]
    fn conditions_join_the_filter_and_a_wrong_filter_is_refused() {
        let both = body(&[
            "x",
            "--where",
            "price=3",
            "--where",
            "kind=cup",
            "--filter",
            "{\"must\": {\"key\": \"a\"}}",
        ])
        .unwrap();
        let expected = json!({"must": [{"key": "a"}, {"key": "price", "match": {"value": 3}}, {"key": "kind", "match": {"value": "cup"}}]});
        assert_eq!(both["filter"], expected);
        assert!(format!("{:#}", body(&["x", "--filter", "[]"]).unwrap_err()).contains("--filter"));
        assert_eq!(body(&["x"]).unwrap().get("filter"), None);
    }

    #[test]
    fn the_table_shows_all_fields_or_those_that_were_named() {
        let long = "x".repeat(100);
        let hits = [
            json!({"id": 1, "score": 0.25, "relevance": 0.5, "payload": {"a": "cup", "b": [1]}}),
            json!({"id": "u", "score": 0.1, "payload": {"c": long}}),
        ];
        let all = table(&hits, &[]).to_string();
        assert!(
            ["0.250", "0.500", "cup", "[1]", "…", " a ", " c "].iter().all(|text| all.contains(text)),
            "{all}"
        );
        let some = table(&hits, &["a".to_owned()]).to_string();
        assert!(some.contains("cup") && !some.contains("[1]"), "{some}");
    }
}
