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
use objects::{
    Actor, Answer, Api, App, ConnectionInfo, Device, Endpoint, FindingInfo, HttpRequest, HttpResponse,
    Metadata, Process, Query, Rule, Traffic,
};

use crate::event::Event;
use serde::Serialize;

/// Who reports.
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) version: &'a str,
}

/// Which line, and when (milliseconds since 1970 UTC).
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) time: i64,
}

/// One OCSF event of any of our classes: what a class does not have is absent.
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
    metadata: Metadata<'a>,
    device: Device<'a>,
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
