//! Protocols within HTTP through the binary: what a rule allows is done, what it does not is refused in the protocol's words.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Upstream};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn scene(rule: &str) -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy(&format!("network:\n  rules:\n    - {rule}"))
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    (scene, upstream)
}

/// POSTs JSON with curl and shows the answer.
fn post(json: &str) -> String {
    format!("curl -sS -H 'Content-Type: application/json' -d '{json}' https://api.test/mcp; echo")
}

#[test]
fn a_tool_that_is_not_allowed_is_refused_in_json_rpc_and_never_reaches_the_server() {
    let (scene, upstream) =
        scene("{ name: tools, to: [api.test], jsonrpc: { allow: [\"read_*\"], deny: [read_secret] } }");
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    let script = ["read_file", "delete", "read_secret"].map(|method| post(&call(method))).join("\n");
    let shown = scene.sh(&script).ok();
    let lines: Vec<&str> = shown.stdout.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines[0].contains("upstream saw"), "{}", shown.stdout);
    for line in &lines[1..] {
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&said["id"], &said["error"]["code"]), (&1.into(), &(-32003).into()));
    }
    assert_eq!(upstream.lines(), ["POST /mcp"]);
    let events = scene.events();
    let said = |event: &serde_json::Value| event["unmapped"]["creel"]["request"]["said"] == "read_file";
    assert!(events.iter().any(said), "the record says what was called");
}

#[test]
fn a_mutation_that_is_not_allowed_is_refused_in_graphql() {
    let (scene, upstream) = scene("{ name: api, to: [api.test], graphql: { allow: [\"query *\"] } }");
    let query = |text: &str| post(&format!(r#"{{"query":"{text}"}}"#));
    let shown = scene
        .sh(&[query("{ viewer { login } }"), query("mutation { a: deleteRepo { id } }")].join("\n"))
        .ok();
    let lines: Vec<&str> = shown.stdout.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines[0].contains("upstream saw"), "{}", shown.stdout);
    assert!(
        lines[1].starts_with("{\"errors\":[{") && lines[1].contains("mutation deleteRepo"),
        "{}",
        shown.stdout
    );
    assert_eq!(upstream.lines(), ["POST /mcp"]);
}

/// `git http-backend` behind a small HTTP server on loopback.
struct Forge {
    server: Child,
    port: u16,
}

impl Drop for Forge {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

const FORGE: &str = r#"
import os, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do(self):
        path, _, query = self.path.partition('?')
        if self.headers.get('Transfer-Encoding') == 'chunked':
            body = b''
            while (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[1], GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path, QUERY_STRING=query,
            REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get('Content-Type') or '', REMOTE_USER='agent',
            CONTENT_LENGTH=str(len(body)), HTTP_CONTENT_ENCODING=self.headers.get('Content-Encoding') or '',
            GIT_PROTOCOL=self.headers.get('Git-Protocol') or '')
        out = subprocess.run(['git', 'http-backend'], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        fields = [line.split(': ', 1) for line in head.decode().split('\r\n')]
        status = [value for name, value in fields if name == 'Status']
        self.send_response(int(status[0].split()[0]) if status else 200)
        for name, value in fields:
            if name != 'Status': self.send_header(name, value)
        self.send_header('Content-Length', str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)
    do_GET = do_POST = do
    def log_message(self, *_): pass
server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "safe.directory=*"]);
    let output = command.arg("-C").arg(dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A forge with the repositories `acme/app` and `other/secret`, each with one commit on `main`.
fn forge(root: &Path) -> Forge {
    for name in ["acme/app.git", "other/secret.git"] {
        let bare = root.join(name);
        std::fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "--bare", "-q", "-b", "main"]);
        git(&bare, &["config", "http.receivepack", "true"]);
        let tree = git(&bare, &["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let commit = git(&bare, &["commit-tree", "-m", "first", tree.trim()]);
        git(&bare, &["update-ref", "refs/heads/main", commit.trim()]);
    }
    let mut server = Command::new("python3")
        .args(["-c", FORGE])
        .arg(root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Forge { server, port: line.trim().parse().unwrap() }
}

#[test]
fn git_fetches_and_pushes_what_a_rule_names_and_prints_why_not() {
    let scene = Scene::new();
    let root = scene.outside().join("forge");
    let forge = forge(&root);
    let rules = r#"network:
  rules:
    - { name: forge, to: ["forge.test:80"], git: { fetch: ["acme/*"], push: [{ repository: acme/app, refs: ["refs/heads/agent/*"] }] } }"#;
    let scene = scene.policy(rules).with("--resolve", format!("forge.test=127.0.0.1:{}", forge.port));
    let script = r#"
        export HOME=$PWD GIT_TERMINAL_PROMPT=0
        git config --global user.name t; git config --global user.email t@t.test
        git clone -q http://forge.test/acme/app.git app || exit 1
        git clone http://forge.test/other/secret.git secret; echo "other: $?"
        cd app; echo x > x; git add x; git commit -qm x
        head -c 3000000 /dev/urandom > large; git add large; git commit -qm large
        git push -q origin HEAD:refs/heads/agent/1; echo "agent: $?"
        git push origin HEAD:refs/heads/main; echo "main: $?"
        git push origin HEAD:refs/heads/agent/2 HEAD:refs/tags/v1; echo "both: $?"
        git push -q origin :refs/heads/agent/1; echo "delete: $?"
    "#;
    let shown = scene.sh(&format!("exec 2>&1; {script}")).ok();
    for part in [
        "other: 128",
        "agent: 0",
        "main: 1",
        "both: 1",
        "delete: 0",
        "remote: refused by network policy: no rule allows what the request says",
        "! [remote rejected] HEAD -> main (refused by network policy: no rule allows what the request says)",
    ] {
        assert!(shown.stdout.contains(part), "{part} in {}", shown.stdout);
    }
    let refs = git(&root.join("acme/app.git"), &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, "refs/heads/main\n", "nothing that was refused is there");
}
