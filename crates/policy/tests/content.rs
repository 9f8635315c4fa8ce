//! What the policy says to what is in requests: MCP and JSON-RPC.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{
    Call, Connect, Contents, Family, Handling, Head, Message, Policy, Reading, Refusal, Request, canonical,
};
use creel_types::{Caller, RuleId};
use serde_json::{Value, json};
use support::{caller, connect, rules};

fn ask<T>(line: &str, program: &Caller, question: impl FnOnce(&Request<'_>) -> T) -> T {
    let host = canonical::host("tools.test").unwrap();
    let (method, path) = line.split_once(' ').unwrap();
    let path = canonical::path(path).unwrap();
    question(&Request { connect: Connect { host: &host, port: 443, caller: program }, method, path: &path })
}

fn call(method: &str, params: Value) -> Message {
    Message::Call(Call { method: method.to_owned(), params })
}

fn tool(name: &str, arguments: Value) -> Message {
    call("tools/call", json!({ "name": name, "arguments": arguments }))
}

fn rpc(rpc: Reading<Vec<Message>>) -> Contents {
    Contents { rpc, ..Contents::default() }
}

fn says(policy: &Policy, line: &str, messages: Vec<Message>) -> Result<RuleId, Refusal> {
    let agent = caller(&["/usr/bin/agent"]);
    ask(line, &agent, |ask| policy.content(ask, &rpc(Reading::Is(messages))))
}

#[track_caller]
fn check(policy: &Policy, line: &str, message: Message, want: Result<&str, &str>) {
    let got = says(policy, line, vec![message.clone()]);
    let got = got.as_ref().map(RuleId::as_str).map_err(|refusal| refusal.reason.to_string());
    match (&got, want) {
        (Ok(rule), Ok(wanted)) => assert_eq!(*rule, wanted, "{message:?}"),
        (Err(why), Err(part)) => assert!(why.contains(part), "{message:?}: {why}"),
        _ => panic!("{message:?}: {got:?}, not {want:?}"),
    }
}

const MCP: &str = "- name: tools
  to: [tools.test]
  http: { allow: [\"* /mcp\"] }
  mcp:
    call: [search, \"read_*\", { tool: fetch, arguments: { url: [\"https://docs.test/*\"] } }]
    deny: [\"*.admin\", { tool: read_file, arguments: { path: [\"*/.ssh/*\"] } }]
    methods: [\"resources/*\"]
    server: [elicitation/create]";

#[test]
fn a_tool_is_called_when_its_name_and_its_arguments_are_allowed() {
    let policy = rules(MCP);
    for (message, want) in [
        (tool("search", json!({})), Ok("tools")),
        (tool("read_file", json!({ "path": "/srv/a" })), Ok("tools")),
        (tool("fetch", json!({ "url": "https://docs.test/a" })), Ok("tools")),
        (tool("fetch", json!({ "url": "https://evil.test/a" })), Err("no rule allows")),
        (tool("fetch", json!({})), Err("no rule allows")),
        (tool("Search", json!({})), Err("no rule allows")),
        (tool("delete", json!({})), Err("no rule allows")),
        (tool("read_x.ADMIN", json!({})), Err("`deny: *.admin`")),
        (tool("read_file", json!({ "path": "/home/u/.SSH/id" })), Err("`deny: read_file`")),
        (
            tool("read_file", json!({ "more": { "path": "x" }, "path": ["a", "/u/.ssh/id"] })),
            Err("`deny: read_file`"),
        ),
        (call("initialize", Value::Null), Ok("tools")),
        (call("tools/list", Value::Null), Ok("tools")),
        (call("resources/read", json!({ "uri": "file:///x" })), Ok("tools")),
        (call("prompts/get", Value::Null), Err("no rule allows")),
        (Message::Reply, Ok("tools")),
    ] {
        check(&policy, "POST /mcp", message, want);
    }
    check(&policy, "POST /other", tool("search", json!({})), Err("no rule allows this request"));
    check(&policy, "PUT /mcp", tool("search", json!({})), Err("no rule allows this request"));
}

#[test]
fn a_batch_goes_when_each_of_its_messages_may() {
    let policy = rules(MCP);
    let two = |second| says(&policy, "POST /mcp", vec![tool("search", json!({})), second]);
    assert!(two(tool("read_x", json!({}))).is_ok());
    assert!(
        two(tool("delete", json!({}))).unwrap_err().compared.starts_with("tools/call delete at tools.test")
    );
}

#[test]
fn a_request_whose_content_nobody_read_is_refused() {
    let policy = rules(MCP);
    let agent = caller(&["/usr/bin/agent"]);
    let head = ask("POST /mcp", &agent, |ask| policy.head(ask)).unwrap();
    assert!(matches!(head, Head::Reads(reads) if reads.rpc && reads.answers && !reads.only_denies));
    assert!(ask("POST /mcp", &agent, |ask| policy.request(ask)).is_err());
    for reading in [Reading::Unread, Reading::Not("x".into()), Reading::Untold("x".into())] {
        assert!(ask("POST /mcp", &agent, |ask| policy.content(ask, &rpc(reading))).is_err());
    }
    let handling = connect(&policy, "tools.test", 443, &agent).unwrap().handling();
    assert_eq!(handling, Handling::Inspect);
}

#[test]
fn a_deny_of_calls_beats_a_rule_that_looks_at_nothing() {
    let policy = rules(
        "- { name: all, to: [tools.test] }
- { name: guard, to: [tools.test], mcp: { deny: [\"admin.*\"] } }",
    );
    let agent = caller(&["/usr/bin/agent"]);
    assert_eq!(connect(&policy, "tools.test", 443, &agent).unwrap().handling(), Handling::Inspect);
    check(&policy, "POST /x", tool("admin.x", json!({})), Err("`deny: admin.*`"));
    check(&policy, "POST /x", tool("other", json!({})), Ok("all"));
    let said = |reading| ask("POST /x", &agent, |ask| policy.content(ask, &rpc(reading)));
    assert_eq!(said(Reading::Not("not JSON".into())).unwrap().as_str(), "all");
    assert!(said(Reading::Untold("two readings".into())).is_err());
    assert!(said(Reading::Unread).is_err());
}

#[test]
fn methods_of_json_rpc_are_allowed_and_denied() {
    let policy = rules(
        "- name: node
  to: [tools.test]
  jsonrpc:
    allow: [\"eth_*\", { method: transfer, params: { to: [alice], \"0\": [\"7\"] } }, { method: send, params: { \"0\": [bob] } }]
    deny: [eth_sendTransaction]",
    );
    for (message, want) in [
        (call("eth_call", json!([1])), Ok("node")),
        (call("ETH_SENDTRANSACTION", Value::Null), Err("`deny: eth_sendTransaction`")),
        (call("eth_sendTransaction", Value::Null), Err("`deny: eth_sendTransaction`")),
        (call("transfer", json!({ "to": "alice", "0": 7 })), Ok("node")),
        (call("transfer", json!({ "to": "mallory", "0": 7 })), Err("no rule allows")),
        (call("send", json!(["bob", 1])), Ok("node")),
        (call("send", json!(["eve", "bob"])), Err("no rule allows")),
        (call("tools/list", Value::Null), Err("no rule allows")),
        (Message::Reply, Err("no rule allows")),
    ] {
        check(&policy, "POST /", message, want);
    }
    let agent = caller(&["/usr/bin/agent"]);
    assert!(ask("GET /", &agent, |ask| policy.head(ask)).is_err());
}

#[test]
fn a_tool_is_offered_when_it_may_be_called_somehow() {
    let policy = rules(MCP);
    let agent = caller(&["/usr/bin/agent"]);
    for (name, want) in
        [("search", true), ("fetch", true), ("read_file", true), ("read_x.admin", false), ("delete", false)]
    {
        assert_eq!(ask("POST /mcp", &agent, |ask| policy.offers(ask, name)), want, "{name}");
    }
}

#[test]
fn a_server_asks_only_what_a_rule_lets_it_ask() {
    let policy = rules(MCP);
    let agent = caller(&["/usr/bin/agent"]);
    for (method, want) in [
        ("ping", true),
        ("notifications/message", true),
        ("elicitation/create", true),
        ("sampling/createMessage", false),
        ("roots/list", false),
    ] {
        let call = Call { method: method.to_owned(), params: Value::Null };
        assert_eq!(ask("GET /mcp", &agent, |ask| policy.asked_back(ask, &call)).is_ok(), want, "{method}");
    }
}

#[test]
fn a_rule_for_one_program_says_nothing_about_another() {
    let policy = rules(
        "- { name: a, to: [tools.test], from: [/usr/bin/a], mcp: { call: [x, y] } }
- { name: b, to: [tools.test], from: [/usr/bin/b], mcp: { call: [x], deny: [y] } }",
    );
    for (program, name, want) in [
        ("/usr/bin/a", "y", true),
        ("/usr/bin/b", "y", false),
        ("/usr/bin/b", "x", true),
        ("/usr/bin/c", "x", false),
    ] {
        let said = rpc(Reading::Is(vec![tool(name, json!({}))]));
        let got = ask("POST /", &caller(&[program]), |ask| policy.content(ask, &said));
        assert_eq!(got.is_ok(), want, "{program} {name}");
    }
}

#[test]
fn each_refusal_of_content_says_what_would_allow_it() {
    let policy = rules(MCP);
    let agent = caller(&["/usr/bin/agent"]);
    let refused = |message| says(&policy, "POST /mcp", vec![message]).unwrap_err().to_string();
    let asked = Call { method: "sampling/createMessage".into(), params: Value::Null };
    let shown = [
        ("a tool", refused(tool("delete", json!({ "id": "secret" })))),
        ("an argument", refused(tool("fetch", json!({ "url": "https://evil.test/secret" })))),
        ("a denied tool", refused(tool("x.admin", json!({})))),
        ("a method", refused(call("prompts/get", Value::Null))),
        (
            "a server's request",
            ask("POST /mcp", &agent, |ask| policy.asked_back(ask, &asked)).unwrap_err().to_string(),
        ),
        (
            "no reading",
            ask("POST /mcp", &agent, |ask| {
                policy.content(ask, &rpc(Reading::Untold("a key is given twice".into())))
            })
            .unwrap_err()
            .to_string(),
        ),
        ("another request", ask("PUT /mcp", &agent, |ask| policy.head(ask)).unwrap_err().to_string()),
    ];
    assert!(!shown.iter().any(|(_, text)| text.contains("secret")), "values are not repeated");
    let shown: Vec<String> = shown.iter().map(|(name, text)| format!("== {name}\n{text}\n")).collect();
    insta::assert_snapshot!("content_refusals", shown.join("\n"));
}

#[test]
fn texts_over_a_websocket_are_allowed_and_denied_by_pattern() {
    let policy = rules(
        "- { name: chat, to: [tools.test], websocket: { allow: [\"{\\\"type\\\":\\\"say\\\"*\", ping], deny: [\"*secret*\"] } }",
    );
    let agent = caller(&["/usr/bin/agent"]);
    let head = ask("GET /ws", &agent, |ask| policy.head(ask)).unwrap();
    assert!(matches!(head, Head::Reads(reads) if reads.socket && !reads.rpc));
    let opened = Contents { socket: Reading::Is(Vec::new()), ..Contents::default() };
    assert_eq!(ask("GET /ws", &agent, |ask| policy.content(ask, &opened)).unwrap().as_str(), "chat");
    let other = Contents { socket: Reading::Not("no upgrade".into()), ..Contents::default() };
    assert!(ask("GET /ws", &agent, |ask| policy.content(ask, &other)).is_err());
    for (text, want) in [
        ("ping", true),
        (r#"{"type":"say","text":"hello"}"#, true),
        (r#"{"type":"say","text":"the SECRET"}"#, false),
        ("pings", false),
        ("", false),
    ] {
        let said = Message::Text(text.to_owned());
        let got = ask("GET /ws", &agent, |ask| policy.message(ask, Family::Socket, &said));
        assert_eq!(got.is_ok(), want, "{text}");
        assert!(!got.is_err_and(|refusal| refusal.to_string().contains("SECRET")), "texts are not repeated");
    }
    assert!(ask("GET /ws", &agent, |ask| policy.message(ask, Family::Socket, &Message::Binary)).is_err());
}

#[test]
fn a_deny_of_texts_beats_a_rule_that_looks_at_nothing_and_takes_what_it_cannot_read() {
    let policy = rules(
        "- { name: all, to: [tools.test], http: { allow: [\"* /**\"] } }
- { name: guard, to: [tools.test], websocket: { deny: [\"*secret*\"] } }",
    );
    let agent = caller(&["/usr/bin/agent"]);
    for (said, want) in [
        (Message::Text("hello".into()), true),
        (Message::Text("Secret".into()), false),
        (Message::Binary, false),
    ] {
        let got = ask("GET /ws", &agent, |ask| policy.message(ask, Family::Socket, &said));
        assert_eq!(got.is_ok(), want, "{said}");
    }
}

#[test]
fn root_fields_of_graphql_are_allowed_and_denied() {
    let policy = rules(
        "- name: api
  to: [tools.test]
  http: { allow: [\"POST /graphql\"] }
  graphql: { allow: [\"query *\", \"mutation create*\", { run: \"mutation closeIssue\", name: [\"Close*\"] }], deny: [\"* createToken\"] }",
    );
    let agent = caller(&["/usr/bin/agent"]);
    for (field, name, want) in [
        ("query viewer", None, true),
        ("mutation createIssue", None, true),
        ("mutation createToken", None, false),
        ("query CreateToken", None, false),
        ("mutation deleteRepo", None, false),
        ("mutation closeIssue", Some("CloseIt"), true),
        ("mutation closeIssue", None, false),
        ("subscription viewer", None, false),
    ] {
        let call = Call { method: field.to_owned(), params: json!({ "name": name }) };
        let said = Contents { graphql: Reading::Is(vec![Message::Field(call)]), ..Contents::default() };
        let got = ask("POST /graphql", &agent, |ask| policy.content(ask, &said));
        assert_eq!(got.is_ok(), want, "{field} {got:?}");
    }
}

const GIT: &str = "- name: forge
  to: [tools.test]
  git: { fetch: [\"acme/*\"], push: [acme/site, { repository: acme/app, refs: [\"refs/heads/agent/*\"] }] }";

#[test]
fn git_is_decided_by_repository_and_service() {
    let policy = rules(GIT);
    let agent = caller(&["/usr/bin/agent"]);
    for (line, want) in [
        ("GET /acme/x.git/info/refs?service=git-upload-pack", "allowed"),
        ("POST /acme/x/git-upload-pack", "allowed"),
        ("GET /acme/x.git/info/refs?service=git-receive-pack", "refused"),
        ("GET /acme/site.git/info/refs?service=git-receive-pack", "allowed"),
        ("POST /acme/site.git/git-receive-pack", "allowed"),
        ("GET /acme/app.git/info/refs?service=git-receive-pack", "allowed"),
        ("POST /acme/app.git/git-receive-pack", "reads"),
        ("GET /other/x.git/info/refs?service=git-upload-pack", "refused"),
        ("GET /acme/a/b.git/info/refs?service=git-upload-pack", "refused"),
        ("GET /acme/x.git/info/refs?service=git-upload-pack&service=git-receive-pack", "refused"),
        ("GET /acme/x.git/info/refs", "refused"),
        ("GET /acme/x.git/HEAD", "refused"),
        ("PUT /acme/site.git/git-receive-pack", "refused"),
        ("GET /acme/%2e%2e/evil/x.git/info/refs?service=git-upload-pack", "refused"),
    ] {
        let got = match ask(line, &agent, |ask| policy.head(ask)) {
            Ok(Head::Allowed(_)) => "allowed",
            Ok(Head::Reads(reads)) if reads.git => "reads",
            Ok(Head::Reads(_)) => "reads else",
            Err(_) => "refused",
        };
        assert_eq!(got, want, "{line}");
    }
}

#[test]
fn a_push_goes_when_each_of_its_references_may() {
    let policy = rules(GIT);
    let agent = caller(&["/usr/bin/agent"]);
    let push = |refs: &[&str]| {
        let updates = refs.iter().map(|r| Message::Update((*r).to_owned())).collect();
        let said = Contents { git: Reading::Is(updates), ..Contents::default() };
        ask("POST /acme/app.git/git-receive-pack", &agent, |ask| policy.content(ask, &said))
    };
    assert!(push(&["refs/heads/agent/1", "refs/heads/agent/2"]).is_ok());
    assert!(push(&[]).is_ok(), "git asks with nothing first");
    let refused = push(&["refs/heads/agent/1", "refs/heads/main"]).unwrap_err();
    assert!(refused.compared.starts_with("push refs/heads/main at tools.test"), "{refused}");
    assert!(refused.to_string().contains("it allows refs/heads/agent/*"), "{refused}");
}
