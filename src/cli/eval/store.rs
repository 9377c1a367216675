//! Writes the chosen templates into a collection's metadata, from where the server puts text
//! queries into them. Invariant: only templates that were measured with the server's own model
//! are stored.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::report::Report;
use super::templates::TemplateSet;
use crate::cli::client::Client;
use crate::types::{CollectionName, TextTemplates};

/// A call on the server ends after this time.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct StoreArgs {
    /// Store the chosen templates in this collection's metadata; its text queries then use them
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The server of the collection
    #[arg(long, default_value = "http://127.0.0.1:6333", value_name = "URL")]
    url: String,
    /// Key for the server
    #[arg(long, env = "LOOKALIKE_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

/// Where the templates go.
pub struct Target {
    collection: CollectionName,
    client: Client,
    /// The fingerprint and the name of the server's model.
    model: (String, String),
}

impl Target {
    /// The collection of the flags, which must be there; `None` where none is named. Asked
    /// before anything is measured for nothing.
    ///
    /// # Errors
    /// Where the server cannot be reached or has no such collection.
    pub fn parse(args: &StoreArgs) -> anyhow::Result<Option<Self>> {
        let Some(name) = &args.collection else { return Ok(None) };
        let collection = CollectionName::parse(name).context("--collection")?;
        let client = Client::new(&args.url, args.api_key.clone(), TIMEOUT);
        client.call("GET", &format!("/collections/{collection}"), None)?;
        let models = client.call("GET", "/models", None)?;
        let text = |key: &str| models["models"][0][key].as_str().unwrap_or_default().to_owned();
        Ok(Some(Self { model: (text("fingerprint"), text("name")), collection, client }))
    }

    /// Stores the best set that is the same for all classes, of the server's model; says what
    /// was stored.
    ///
    /// # Errors
    /// Where no such set was measured, and what the server says.
    pub fn store(&self, report: &Report, sets: &[TemplateSet]) -> anyhow::Result<String> {
        let (fingerprint, name) = &self.model;
        let own = |(model, set): &(&str, &str)| {
            report.models.iter().any(|m| m.model == *model && m.fingerprint == *fingerprint)
                && sets.iter().any(|s| s.name == *set && s.per_class.is_empty())
        };
        let best = report
            .deciding
            .iter()
            .filter_map(|(model, set, figure)| Some(((model.as_str(), set.as_str()), (*figure)?.value)))
            .filter(|(candidate, _)| own(candidate))
            .rev() // of equal ones the first, as in the recommendation
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some(((_, chosen), value)) = best else {
            bail!(
                "nothing is stored: the server runs the model {name}, which was not measured with templates for all classes"
            );
        };
        let templates =
            sets.iter().find(|set| set.name == chosen).map(|set| set.shared.clone()).unwrap_or_default();
        let body = json!({"metadata": {TextTemplates::KEY: templates}});
        self.client.call("PATCH", &format!("/collections/{}", self.collection), Some(&body))?;
        Ok(format!(
            "Stored `{chosen}` ({} {value:.3} with {name}) in collection `{}`: its text queries use it from now on.",
            report.recommendation.metric, self.collection
        ))
    }
}
