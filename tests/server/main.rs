//! The real binary on a port, used as a client would.

mod api;
mod bad_input;
mod demo;
mod durability;
mod guard;
mod images;
mod model;
mod process;
mod recall;
