//! The real binary on a port, used as a client would.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapt;
mod api;
mod bad_input;
mod datatype;
mod demo;
mod duplicates;
mod durability;
mod eval;
mod guard;
mod images;
mod import;
mod map;
mod model;
mod pictures;
mod process;
mod queries;
mod recall;
mod relevance;
mod signatures;
mod snapshots;
