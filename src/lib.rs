//! lookalike: a vector-search database for images and text with the CLIP model inside.
//!
//! The modules stand in levels; a module uses only modules of lower levels (`tests/tidy.rs`).

pub mod adapt;
pub mod allocator;
pub mod cli;
pub mod collection;
pub mod config;
pub mod distance;
pub mod embed;
pub mod engine;
pub mod error;
pub mod http;
pub mod index;
pub mod kernels;
pub mod measure;
pub mod metrics;
pub mod preprocess;
pub mod report;
pub mod storage;
pub mod types;
pub mod verify;

#[path = "../migrations/mod.rs"]
pub mod migrations;
