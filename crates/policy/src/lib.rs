//! What is allowed and why: the policy language, its compiler, and the one place where decisions are made.
//!
//! Pure: no clock, file, socket or thread. [`compile`] turns documents into a [`Policy`], which is immutable and is
//! asked three questions in the life of a connection: [`Policy::connect`] (may this program go there by name?),
//! [`Policy::permit`] (may that name be this address?) and [`Policy::request`] (may this request be made?); and of each program
//! [`Policy::execute`] (may it be executed?). Every
//! refusal says what was compared, which rule came nearest, and the smallest change that would allow it.
//!
//! A document that cannot be read gives [`Errors`], never half a policy; [`Policy::refuse_all`] stands in for it.

pub mod canonical;
pub mod pattern;

mod ask;
mod cases;
mod claim;
mod compile;
mod content;
mod credential;
mod devices;
mod difference;
mod explain;
mod filesystem;
mod format;
mod inference;
mod language;
mod network;
mod operator;
mod overview;
mod places;
mod policy;
mod preset;
mod problem;
mod problems;
mod process;
mod question;
mod read;
mod refusal;
mod shape;
mod suggest;
mod yaml;

pub use ask::{Admission, Connect, Handling, Permit, Request};
pub use cases::{Case, Cases, Outcome, Report};
pub use claim::{Claim, ClaimError, Proof};
pub use compile::{compile, compile_with_places};
pub use content::{Call, Contents, Family, Head, Message, Reading, Reads};
pub use credential::Credential;
pub use devices::{Devices, Gpus};
pub use difference::{Difference, Differences, Kind, Placed, compare};
pub use explain::{Explanation, Nearest, Said, Verdict};
pub use filesystem::{Access, Filesystem, Grant, HidePattern, Home, Workspace};
pub use format::{FormatError, format};
pub use inference::{Api, Backend, BaseUrl, Inference, Key, ModelRef, Route};
pub use language::TooLarge;
pub use operator::{Document, Links, Operator, Resolution};
pub use overview::{Group, Overview, Risk, Row};
pub use places::{Place, Places, Statement};
pub use policy::{Mode, Policy};
pub use preset::{preset, presets};
pub use problem::{Errors, Problem};
pub use process::{Execute, Limits, Process};
pub use question::{Question, QuestionError};
pub use refusal::{Layer, NearMiss, Reason, Refusal};
pub use shape::schema;
