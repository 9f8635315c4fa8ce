//! The shapes, against the attributes that OCSF 1.6 requires (schema.ocsf.io/1.6.0), copied here by hand.

use super::{Frame, Source, Stamp, event};
use crate::event::*;
use crate::redact::{Argv, Target};
use creel_types::Digest;
use serde_json::{Value, json};
use std::time::Duration;

/// Required in every class.
const BASE: &[&str] = &[
    "/activity_id",
    "/category_uid",
    "/class_uid",
    "/severity_id",
    "/time",
    "/type_uid",
    "/metadata/version",
    "/metadata/product/name",
    "/metadata/product/vendor_name",
    "/metadata/sequence",
    "/device/type_id",
    "/unmapped/creel",
];

/// Class, its category, and what it requires beyond [`BASE`]. Of each inner list at least one must be there.
const CLASSES: &[(u64, u64, &[&[&str]])] = &[
    (
        1007,
        1,
        &[
            &["/actor/process", "/actor/app_name"],
            &["/process/pid"],
            &["/process/file/name"],
            &["/process/file/type_id"],
            &["/process/file/hashes/0/algorithm_id"],
            &["/process/file/hashes/0/value"],
        ],
    ),
    (2004, 2, &[&["/finding_info/uid"], &["/finding_info/title"]]),
    (
        4001,
        4,
        &[
            &["/dst_endpoint", "/src_endpoint"],
            &["/dst_endpoint/hostname", "/dst_endpoint/ip"],
            &["/connection_info/direction_id"],
        ],
    ),
    (
        4002,
        4,
        &[
            &["/dst_endpoint", "/src_endpoint"],
            &["/http_request", "/http_response"],
            &["/http_request/url/path"],
            &["/http_request/url/hostname"],
        ],
    ),
    (4003, 4, &[&["/dst_endpoint", "/src_endpoint"], &["/query/hostname"]]),
    (6002, 6, &[&["/app/name"], &["/app/vendor_name"]]),
    (
        6003,
        6,
        &[
            &["/actor/process", "/actor/app_name"],
            &["/api/operation"],
            &["/src_endpoint/name", "/src_endpoint/uid"],
        ],
    ),
];

fn program() -> Program {
    let digest = Some(Digest([7; 32]));
    Program {
        pid: 41,
        path: "/usr/bin/curl".to_owned(),
        digest,
        foreign_code: None,
        parents: vec![Parent { pid: 40, path: "/bin/sh".to_owned(), digest }],
    }
}

/// One event of each kind, and of each disposition.
pub(crate) fn samples() -> Vec<Event> {
    let refused = Disposition::Refused(json!({"reason": "no rule admits evil.example"}));
    let connection = Connection {
        phase: Phase::Closed,
        id: 1,
        program: Some(program().into()),
        host: "api.github.com".to_owned(),
        port: 443,
        dialled: Some("140.82.121.6:443".parse().unwrap()),
        handling: Some(Handling::Inspect),
        rule: Some("github-read".to_owned()),
        generation: 1,
        disposition: Disposition::Allowed,
        failure: None,
        bytes_up: 10,
        bytes_down: 2000,
        duration: Duration::from_millis(1500),
        sni: Some("api.github.com".to_owned()),
    };
    let request = Request {
        connection: 1,
        phase: Phase::Closed,
        program: Some(program().into()),
        method: "GET".to_owned(),
        tls: true,
        host: "api.github.com".to_owned(),
        port: 443,
        target: Target::new("/repos/a/b?page=2"),
        said: None,
        status: Some(200),
        rule: Some("github-read".to_owned()),
        generation: 1,
        disposition: Disposition::Allowed,
        failure: None,
        bytes_up: 0,
        bytes_down: 2000,
        duration: Duration::from_millis(120),
    };
    let mut events = vec![
        Event::Connection(Connection {
            program: None,
            host: "[2001:db8::1]".to_owned(),
            dialled: None,
            handling: None,
            rule: None,
            disposition: refused.clone(),
            ..connection.clone()
        }),
        Event::Connection(Connection { failure: Some("cut by policy 2".to_owned()), ..connection.clone() }),
        Event::Connection(connection),
        Event::Request(Request { method: "PROPFIND".to_owned(), status: None, ..request.clone() }),
        Event::Request(Request {
            said: Some("tools/call search".to_owned()),
            disposition: Disposition::Observed(json!({"reason": "x"})),
            ..request.clone()
        }),
        Event::Request(request),
    ];
    events.extend(more_samples(refused));
    events
}

fn more_samples(refused: Disposition) -> Vec<Event> {
    let digest = Digest([9; 32]);
    vec![
        Event::Start(Start {
            name: "claude".to_owned(),
            id: "ab".repeat(16),
            command: Argv::new(["claude", "-p", "hello"]),
            policy_digest: digest,
            mode: "enforce".to_owned(),
            plan: vec!["read /usr".to_owned()],
            layers: Vec::new(),
            promises: Vec::new(),
            version: "0.1.0".to_owned(),
        }),
        Event::Dns(Dns {
            program: None,
            name: "api.github.com".to_owned(),
            query_type: "A".to_owned(),
            code: 0,
            answers: vec!["198.18.0.1".parse().unwrap()],
        }),
        Event::Exec(Exec {
            program: program(),
            argv: Argv::new(["curl", "--token", "hunter2"]),
            cwd: "/work".to_owned(),
            rule: None,
            generation: 1,
            disposition: refused,
        }),
        Event::ModelCall(ModelCall {
            program: Some(program().into()),
            host: "inference.local".to_owned(),
            api: "openai chat completions".to_owned(),
            backend: Some("local".to_owned()),
            model: Some("llama-3".to_owned()),
            tokens: Tokens { input: Some(100), output: Some(20), cached: None },
            status: Some(200),
            streamed: true,
            complete: true,
            rule: None,
            generation: 1,
            disposition: Disposition::Allowed,
            failure: None,
            bytes_up: 400,
            bytes_down: 900,
            first_byte: Some(Duration::from_millis(30)),
            duration: Duration::from_millis(800),
        }),
        Event::PolicyChange(PolicyChange {
            from: 1,
            to: 2,
            digest,
            by: "operator uid 1000".to_owned(),
            applied: Vec::new(),
            refused: None,
        }),
        Event::Finding(Finding {
            title: "x".to_owned(),
            detail: "y".to_owned(),
            severity: Severity::High,
            layer: "record".to_owned(),
            program: None,
        }),
        Event::Exit(Exit { code: Some(0), signal: None, reason: "command exited".to_owned() }),
    ]
}

fn shaped(e: &Event) -> Value {
    let source = Source { name: "claude", id: "abab", version: "0.1.0" };
    let shape = event(e, &source, &Stamp { number: 3, time: 1_795_365_000_123 });
    let mut text = Vec::new();
    Frame::of(&source).unwrap().put(&mut text, 7, &serde_json::to_vec(&shape).unwrap());
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn every_event_has_what_its_class_requires() {
    for event in samples() {
        let shape = shaped(&event);
        let class = shape["class_uid"].as_u64().unwrap();
        let (_, category, required) = CLASSES
            .iter()
            .find(|(uid, ..)| *uid == class)
            .unwrap_or_else(|| panic!("class {class} is in no table"));
        assert_eq!(shape["category_uid"].as_u64(), Some(*category), "{shape:#}");
        assert_eq!(
            shape["type_uid"].as_u64(),
            Some(class * 100 + shape["activity_id"].as_u64().unwrap()),
            "{shape:#}"
        );
        for path in BASE {
            assert!(shape.pointer(path).is_some_and(|v| !v.is_null()), "{path} is missing in {shape:#}");
        }
        for any in *required {
            let has = |path: &&str| shape.pointer(path).is_some_and(|v| !v.is_null());
            assert!(any.iter().any(has), "none of {any:?} is in {shape:#}");
        }
        if shape["activity_id"] == 99 {
            assert!(shape["activity_name"].is_string(), "{shape:#}");
        }
    }
}

#[test]
fn every_kind_of_event_is_among_the_samples_and_every_class_is_used() {
    let samples = samples();
    for kind in Kind::ALL {
        assert!(samples.iter().any(|event| event.kind() == kind), "{kind:?}");
    }
    for (class, ..) in CLASSES {
        assert!(samples.iter().any(|event| shaped(event)["class_uid"] == *class), "{class}");
    }
}

#[test]
fn a_verdict_is_an_action_and_a_disposition() {
    for event in samples() {
        let shape = shaped(&event);
        let expected = match event.disposition() {
            None => (Value::Null, Value::Null),
            Some(Disposition::Allowed) => (json!(1), json!(1)),
            Some(Disposition::Refused(_)) => (json!(2), json!(2)),
            Some(Disposition::Observed(_)) => (json!(1), json!(17)),
        };
        assert_eq!((shape["action_id"].clone(), shape["disposition_id"].clone()), expected, "{shape:#}");
    }
}

#[test]
fn the_whole_event_comes_back_out_of_the_unmapped_part() {
    for event in samples() {
        let back: Event = serde_json::from_value(shaped(&event)["unmapped"]["creel"].clone()).unwrap();
        assert_eq!(back, event);
    }
}
