//! The HTTP server: Qdrant's protocol and our own endpoints over the engine. One file per
//! resource; wire types stay in `wire/`. The only user of actix.
//! Invariant: every answer is the same envelope, whatever went wrong and wherever.

mod adapt;
mod answer;
mod audit;
mod body;
mod calibrations;
mod collections;
mod dashboard;
mod duplicates;
mod embed;
mod facet;
mod guard;
mod images;
mod import;
mod map;
mod metrics;
mod openapi;
mod overview;
mod payload;
mod pictures;
mod points;
mod query;
mod server;
mod service;
mod signatures;
mod snapshots;
mod state;
mod tasks;
mod upload;
mod wire;

pub use openapi::document as openapi_document;
pub use server::{Bound, bind};
pub use state::ServerOptions;
