//! From each event to its class.

use super::objects::*;
use super::{Shape, Source, Stamp, Unmapped};
use crate::event::{
    Connection, Disposition, Dns, Event, Exec, Finding, ModelCall, Phase, PolicyChange, Request, Severity,
};
use std::time::Duration;

const SUCCESS: u8 = 1;
const FAILURE: u8 = 2;

const INFORMATIONAL: u8 = 1;
const LOW: u8 = 2;

/// A class and what happened in it.
struct Class {
    category: u32,
    class: u32,
    activity: u32,
}

/// `event` as OCSF has it.
pub(crate) fn event<'a>(event: &'a Event, source: &Source<'a>, stamp: &Stamp) -> Shape<'a> {
    let base = |class: Class| base(class, event, stamp);
    match event {
        Event::Start(_) => lifecycle(base(Class { category: 6, class: 6002, activity: 3 }), source),
        Event::Exit(_) => lifecycle(base(Class { category: 6, class: 6002, activity: 4 }), source),
        Event::Connection(e) => {
            connection(base(Class { category: 4, class: 4001, activity: connection_activity(e) }), e)
        }
        Event::Request(e) => {
            request(base(Class { category: 4, class: 4002, activity: method_activity(&e.method) }), e)
        }
        Event::Dns(e) => dns(base(Class { category: 4, class: 4003, activity: 6 }), e),
        Event::Exec(e) => exec(base(Class { category: 1, class: 1007, activity: 1 }), e),
        Event::ModelCall(e) => {
            let shape = base(Class { category: 6, class: 6003, activity: 1 });
            model_call(Shape { actor: Some(Actor::of(event)), ..shape }, e, source)
        }
        Event::PolicyChange(e) => {
            policy_change(base(Class { category: 6, class: 6003, activity: 3 }), e, source)
        }
        Event::Finding(e) => finding(base(Class { category: 2, class: 2004, activity: 1 }), e, source, stamp),
    }
}

/// What all classes have.
fn base<'a>(class: Class, event: &'a Event, stamp: &Stamp) -> Shape<'a> {
    let (action_id, disposition_id) = event.disposition().map(control).unzip();
    Shape {
        time: stamp.time,
        category_uid: class.category,
        class_uid: class.class,
        activity_id: class.activity,
        type_uid: class.class * 100 + class.activity,
        severity_id: if event.disposition().is_some_and(|d| d.refusal().is_some()) {
            LOW
        } else {
            INFORMATIONAL
        },
        status_id: if event.is_refused() { FAILURE } else { SUCCESS },
        activity_name: None,
        action_id,
        disposition_id,
        duration: None,
        actor: event.program().map(|_| Actor::of(event)),
        process: None,
        app: None,
        api: None,
        src_endpoint: None,
        dst_endpoint: None,
        connection_info: None,
        traffic: None,
        http_request: None,
        http_response: None,
        query: None,
        answers: None,
        rcode_id: None,
        finding_info: None,
        firewall_rule: event.rule().map(|name| Rule { name }),
        unmapped: Unmapped { creel: event },
    }
}

/// `action_id` and `disposition_id`: allowed and allowed, denied and blocked, allowed and logged.
fn control(disposition: &Disposition) -> (u8, u8) {
    match disposition {
        Disposition::Allowed => (1, 1),
        Disposition::Refused(_) => (2, 2),
        Disposition::Observed(_) => (1, 17),
    }
}

fn lifecycle<'a>(shape: Shape<'a>, source: &Source<'a>) -> Shape<'a> {
    let app = App { name: "creel sandbox", vendor_name: PRODUCT, version: source.version, uid: source.id };
    Shape { app: Some(app), ..shape }
}

/// Open, close, fail or refuse.
fn connection_activity(e: &Connection) -> u32 {
    match (&e.disposition, &e.failure, e.phase) {
        (Disposition::Refused(_), _, _) => 5,
        (_, Some(_), _) => 4,
        (_, None, Phase::Opened) => 1,
        (_, None, Phase::Closed) => 2,
    }
}

fn connection<'a>(shape: Shape<'a>, e: &'a Connection) -> Shape<'a> {
    let mut to = Endpoint::of(&e.host, Some(e.port));
    to.ip = e.dialled.map(|addr| addr.ip().to_string()).or(to.ip);
    Shape {
        duration: Some(millis(e.duration)),
        dst_endpoint: Some(to),
        connection_info: Some(ConnectionInfo { direction_id: 2, protocol_num: 6, protocol_name: "tcp" }),
        traffic: Some(traffic(e.bytes_up, e.bytes_down)),
        status_id: if e.failure.is_some() { FAILURE } else { shape.status_id },
        ..shape
    }
}

fn method_activity(method: &str) -> u32 {
    match method {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        "PATCH" => 9,
        _ => 99,
    }
}

fn request<'a>(shape: Shape<'a>, e: &'a Request) -> Shape<'a> {
    let scheme = if e.tls { "https" } else { "http" };
    let url = Url { scheme, hostname: &e.host, port: e.port, path: e.target.path() };
    Shape {
        // OCSF wants the name of an activity that it has no number for.
        activity_name: (shape.activity_id == 99).then_some(e.method.as_str()),
        duration: Some(millis(e.duration)),
        dst_endpoint: Some(Endpoint::of(&e.host, Some(e.port))),
        traffic: Some(traffic(e.bytes_up, e.bytes_down)),
        http_request: Some(HttpRequest { http_method: &e.method, url }),
        http_response: e.status.map(|code| HttpResponse { code }),
        status_id: if e.failure.is_some() { FAILURE } else { shape.status_id },
        ..shape
    }
}

fn dns<'a>(shape: Shape<'a>, e: &'a Dns) -> Shape<'a> {
    Shape {
        query: Some(Query { hostname: &e.name, query_type: &e.query_type }),
        answers: Some(e.answers.iter().map(|addr| Answer { rdata: addr.to_string() }).collect()),
        rcode_id: Some(e.code),
        // The sandbox's own DNS is what was asked.
        dst_endpoint: Some(Endpoint { name: Some("creel dns"), port: Some(53), ..Endpoint::default() }),
        ..shape
    }
}

fn exec<'a>(shape: Shape<'a>, e: &'a Exec) -> Shape<'a> {
    let launched = Process {
        cmd_line: Some(e.argv.args().join(" ")),
        working_directory: Some(&e.cwd),
        ..Process::of(&e.program)
    };
    let by = e.program.parents.first().map(|parent| Doer::Process(Process::of_parent(parent)));
    let app_name = by.is_none().then_some("creel");
    Shape { process: Some(launched), actor: Some(Actor { process: by, app_name }), ..shape }
}

fn model_call<'a>(shape: Shape<'a>, e: &'a ModelCall, source: &Source<'a>) -> Shape<'a> {
    Shape {
        duration: Some(millis(e.duration)),
        api: Some(Api { operation: &e.api, service: e.backend.as_deref().map(|name| Named { name }) }),
        src_endpoint: Some(sandbox(source)),
        dst_endpoint: Some(Endpoint::of(&e.host, None)),
        http_response: e.status.map(|code| HttpResponse { code }),
        status_id: if e.failure.is_some() || !e.complete { FAILURE } else { shape.status_id },
        ..shape
    }
}

fn policy_change<'a>(shape: Shape<'a>, e: &'a PolicyChange, source: &Source<'a>) -> Shape<'a> {
    Shape {
        actor: Some(Actor { process: None, app_name: Some(&e.by) }),
        api: Some(Api { operation: "policy change", service: Some(Named { name: "creel" }) }),
        src_endpoint: Some(sandbox(source)),
        ..shape
    }
}

fn finding<'a>(shape: Shape<'a>, e: &'a Finding, source: &Source<'a>, stamp: &Stamp) -> Shape<'a> {
    let severity_id = match e.severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    let uid = format!("{}-{}", source.id, stamp.number);
    Shape { severity_id, finding_info: Some(FindingInfo { title: &e.title, uid, desc: &e.detail }), ..shape }
}

fn sandbox<'a>(source: &Source<'a>) -> Endpoint<'a> {
    Endpoint { name: Some(source.name), uid: Some(source.id), ..Endpoint::default() }
}

fn traffic(bytes_out: u64, bytes_in: u64) -> Traffic {
    Traffic { bytes_out, bytes_in, bytes: bytes_out.saturating_add(bytes_in) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
