//! The life of one model call: read, route, call, stream, meter.
//!
//! A request for a model API arrives, from a program that was told to use `inference.local` or from one that was not
//! and whose provider's host is captured. It goes to the operator's backend with the operator's key instead of the
//! caller's, and the answer comes back byte for byte while its token counts are read from it. The sandbox never holds
//! a key, and a key in a caller's hand is worth nothing here.
//!
//! Each step has a file: `api` says what is a model call, `named` which model it asks for where the policy says that,
//! `headers` what may travel, `meter` what is counted.
//! [`Models::call`] reads as the story. Not here yet, and with a place for each in that story: choosing among
//! backends (`routes`), translating between APIs, budgets, redaction.
//!
//! Known limits: compressed requests pass where the policy names no model, and theirs is not known; a backend's key is
//! found in what it answers (headers, trailers, bodies of errors) only as it is, not in another spelling, and not in the
//! body of a success; usage is what the backend states, and one that lies is believed.
//!
//! This crate opens no connection: [`Upstream`] is the integrator's, and goes through the one dial.

mod account;
mod api;
mod backend;
mod headers;
mod meter;
mod models;
mod named;
mod pick;
mod refuse;
mod routes;
mod signs;
mod sse;
mod target;
mod usage;
mod walk;

pub use account::Call;
pub use api::{Api, Family};
pub use backend::{Backend, BackendError, BackendRef, BaseUrl, Speaks};
pub use meter::{Meter, Reading};
pub use models::{Models, Upstream, UpstreamError};
pub use refuse::Refused;
pub use routes::Routes;

pub use creel_net::{Body, BoxError};
