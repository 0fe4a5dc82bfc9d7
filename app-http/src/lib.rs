//! The HTTP server of chatcore: a composition root with routes around it.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | what it is told |
//! | [`compose`] | the only place that names adapters |
//! | [`doctor`] | looks at all that it needs |
//! | [`Application`] | built from settings, bound to a port, run until told to stop |
//! | [`startup`], [`around`], [`connection`] | the HTTP server, what is done around every request, and how long clients are waited for |
//! | [`state`] | what every request may use |
//! | [`routes`], [`dto`], [`body`], [`members`], [`idempotency`], [`auth`] | the contract: who calls, what comes in, what goes out |
//! | [`address`], [`rate_limit`], [`places`] | where a request comes from, what is left of quotas, and what one may hold at once |
//! | `one_by_one`, `framing` | what is read of a connection and when, and where a request ends |
//! | `open_files` | how many the system allows |
//! | `access`, `measured` | what is told of a request once it is over, and numbers for Prometheus |
//! | [`sse`] | streams of events |
//! | `protect` | headers that every answer has |
//! | [`problem`] | every error, in one shape |
//! | [`openapi`] | the document of all this |

mod access;
pub mod address;
mod application;
pub mod around;
pub mod auth;
pub mod body;
pub mod cli;
pub mod compose;
pub mod connection;
pub mod doctor;
pub mod dto;
mod framing;
pub mod idempotency;
mod measured;
pub mod members;
mod one_by_one;
mod open_files;
pub mod openapi;
pub mod places;
pub mod problem;
mod protect;
pub mod rate_limit;
pub mod routes;
mod secret_file;
pub mod settings;
pub mod sse;
pub mod startup;
pub mod state;
mod upgrade;

pub use application::Application;
