//! The life of one connection out of a sandbox, a file for each phase: accept, identify, decide, resolve, intercept,
//! forward, record.
//!
//! Nothing leaves except through here, and nothing here decides: the policy is asked for each connection and for
//! each request on it, every dial spends a permit that only the policy can make, and what the record cannot hold is
//! not admitted.

mod accept;
mod answer;
mod backend;
mod cell;
mod credentials;
mod decide;
mod dns;
mod exchange;
mod exit;
mod explicit;
mod forward;
mod headers;
mod identify;
pub mod inspect;
mod intercept;
mod limits;
mod line;
mod lines;
mod live;
mod models;
mod outcome;
mod paced;
mod pool;
mod record;
mod refusal;
mod resolve;
mod target;
mod tunnel;
mod watched;
mod workers;

pub use accept::Listener;
pub use backend::{BackendError, Outward};
pub use cell::{InForce, PolicyCell};
pub use credentials::{Credentials, Held, Unfit, fits, placeholder};
pub use exit::{Exit, Setting};
pub use identify::Witness;
pub use limits::Limits;
pub use live::{Cut, Rejudged};
pub use models::{CallContext, Called, Models, NoModels};
pub use record::{
    Alarm, ConnectionAdmitted, ConnectionEnded, DnsAsked, Journal, JournalError, Refused, RefusedRequest,
    RequestAdmitted, RequestEnded, Who,
};
