//! The real binary on a port, used as a client would.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapt;
mod api;
mod bad_input;
mod datatype;
mod demo;
mod docs;
mod duplicates;
mod durability;
mod eval;
mod guard;
mod hub;
mod images;
mod import;
mod map;
mod metrics;
mod model;
#[path = "../parity/models.rs"]
#[allow(dead_code)] // some of it is for `parity` alone
mod models;
mod pictures;
mod process;
mod queries;
mod recall;
mod relevance;
mod several;
mod signatures;
mod snapshots;
mod tasks;
