//! Events in the shapes of OCSF 1.6 (schema.ocsf.io), the subset that is used, with the whole event beside them.
//!
//! | event | class |
//! |---|---|
//! | connection | 4001 Network Activity |
//! | request | 4002 HTTP Activity |
//! | dns | 4003 DNS Activity |
//! | exec | 1007 Process Activity |
//! | model call, policy change | 6003 API Activity |
//! | start, exit | 6002 Application Lifecycle |
//! | finding | 2004 Detection Finding |
//!
//! OCSF has one name for most things and none for some; what it has no name for is only in `unmapped.creel`, which
//! holds all of our event, so that a reader of ours needs nothing of OCSF and no fact is lost in the mapping.

mod map;
mod objects;

pub(crate) use map::event;
pub(crate) use objects::Process;
use objects::{
    Actor, Answer, Api, App, ConnectionInfo, Device, Endpoint, FindingInfo, HttpRequest, HttpResponse,
    Metadata, Query, Rule, Traffic,
};

use crate::event::Event;
use serde::Serialize;

/// Who reports.
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) version: &'a str,
}

/// When (milliseconds since 1970 UTC), and a number that no other event of the record has.
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) time: i64,
}

/// What is the same in every event of a record, as text around the one number in it that is not.
///
/// The number is the line's, which is known only when the line's turn to be written has come; all else of an event is
/// written out before that, so that the turn is short.
pub(crate) struct Frame {
    before: String,
    after: String,
}

impl Frame {
    pub(crate) fn of(source: &Source<'_>) -> Result<Self, serde_json::Error> {
        let metadata = serde_json::to_string(&Metadata::of(source))?;
        let device = serde_json::to_string(&Device::of(source))?;
        let open = metadata.strip_suffix('}').unwrap_or(&metadata);
        Ok(Self {
            before: format!("{{\"metadata\":{open},\"sequence\":"),
            after: format!("}},\"device\":{device},"),
        })
    }

    /// Puts together the event of line `seq` whose [`Shape`] is written out in `shape`.
    pub(crate) fn put(&self, line: &mut Vec<u8>, seq: u64, shape: &[u8]) {
        line.extend_from_slice(self.before.as_bytes());
        line.extend_from_slice(seq.to_string().as_bytes());
        line.extend_from_slice(self.after.as_bytes());
        // The frame has opened the object already.
        line.extend_from_slice(shape.strip_prefix(b"{").unwrap_or(shape));
    }
}

/// One OCSF event of any of our classes, without its [`Frame`]: what a class does not have is absent.
#[derive(Serialize)]
pub(crate) struct Shape<'a> {
    time: i64,
    category_uid: u32,
    class_uid: u32,
    activity_id: u32,
    type_uid: u32,
    severity_id: u8,
    status_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition_id: Option<u8>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<App<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Api<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_info: Option<ConnectionInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_response: Option<HttpResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Query<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<Answer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding_info: Option<FindingInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    firewall_rule: Option<Rule<'a>>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    creel: &'a Event,
}

#[cfg(test)]
mod tests;
