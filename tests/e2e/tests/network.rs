//! The network layer through the binary: what is allowed reaches the upstream, what is not never does.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Upstream};
use std::time::{Duration, Instant};

/// A scene with an upstream behind `api.test`, `other.test` and `through.test`.
fn scene(rules: &str) -> (Scene, Upstream) {
    let upstream = Upstream::start(&["api.test", "other.test", "through.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let mut scene = scene.policy(&format!("network:\n  rules:\n{rules}")).with("--trust", ca);
    for name in ["api.test", "other.test", "through.test"] {
        scene = scene.with("--resolve", format!("{name}={}", upstream.tls));
    }
    (scene, upstream)
}

const READ_ONLY: &str = "    - { name: read, to: [api.test], http: { allow: [\"GET /repos/**\"], deny: [\"* /repos/secret/**\"] } }";

#[test]
fn an_allowed_request_reaches_the_upstream_and_a_denied_one_does_not() {
    let (scene, upstream) = scene(READ_ONLY);
    let shown = scene.sh("curl -sS https://api.test/repos/a; curl -sS -o body -w '%{http_code}\n' -X DELETE https://api.test/repos/a; cat body").ok();
    assert!(shown.stdout.starts_with("upstream saw HTTP/2.0 GET /repos/a\n403\n"), "{}", shown.stdout);
    assert!(shown.stdout.contains("DELETE"), "the body says what was compared: {}", shown.stdout);
    assert_eq!(upstream.lines(), ["GET /repos/a"]);
}

#[test]
fn a_name_that_no_rule_admits_is_refused_with_a_reason_and_never_dialled() {
    let (scene, upstream) = scene(READ_ONLY);
    let shown = scene.sh("curl -sS -w '%{http_code}\n' https://other.test/").ok();
    assert!(shown.stdout.ends_with("403\n") && shown.stdout.contains("other.test"), "{}", shown.stdout);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_rule_without_http_passes_tls_through_unopened() {
    let (scene, upstream) = scene("    - { name: through, to: [through.test] }");
    let script = "curl -sS -v https://through.test/x 2>&1 | grep -E 'issuer|upstream saw'";
    let shown = scene.sh(script).ok();
    assert!(
        shown.stdout.contains("upstream test authority") && shown.stdout.contains("GET /x"),
        "{}",
        shown.stdout
    );
    assert_eq!(upstream.lines(), ["GET /x"]);
}

#[test]
fn a_server_name_that_is_not_the_admitted_name_is_refused() {
    let (scene, upstream) = scene("    - { name: through, to: [through.test] }");
    let shown = scene
        .sh("curl -sS -k --connect-to other.test:443:through.test:443 https://other.test/ ; echo code $?");
    assert!(!shown.stdout.contains("upstream saw"), "{}", shown.stdout);
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[test]
fn a_host_header_that_is_not_the_admitted_name_is_refused() {
    let (scene, upstream) = scene(READ_ONLY);
    let shown = scene.sh("curl -sS --http1.1 -o /dev/null -w '%{http_code}' -H 'Host: other.test' https://api.test/repos/a").ok();
    assert!(["403", "421"].contains(&shown.stdout.as_str()), "{}", shown.stdout);
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[test]
fn an_address_of_its_own_choice_leads_nowhere() {
    let (scene, upstream) = scene(READ_ONLY);
    let ip = upstream.plain;
    for target in [
        format!("http://{ip}/"),
        format!("http://[::ffff:{}]:{}/", ip.ip(), ip.port()),
        format!("http://{}:{}/", u32::from_be_bytes([127, 0, 0, 1]), ip.port()),
        format!("http://0177.0.0.1:{}/", ip.port()),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[fd00:ec2::254]/".into(),
        "https://1.1.1.1/".into(),
        "https://[2606:4700:4700::1111]/".into(),
    ] {
        let start = Instant::now();
        let shown = scene.sh(&format!("curl -sS -k -m 5 -w '%{{http_code}}' '{target}'"));
        assert!(shown.code != 0 || shown.stdout.ends_with("403"), "{target}: {shown:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{target} took {:?}", start.elapsed());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_allowed_name_that_resolves_to_loopback_is_denied() {
    let scene = Scene::new().policy("network:\n  rules:\n    - { name: l, to: [\"localtest.test:80\"] }");
    let shown = scene.sh("curl -sS -m 5 -w '%{http_code}' http://localhost.localtest.test/");
    assert!(shown.code != 0 || shown.stdout.ends_with("403"), "{shown:?}");
}

#[test]
fn datagrams_icmp_and_raw_sockets_are_refused_at_once() {
    let script = r#"
import socket, time, errno
def attempt(what, action):
    start = time.time()
    try:
        action()
        print(what, "went out")
    except OSError as e:
        print(what, errno.errorcode.get(e.errno, e.errno), "fast" if time.time() - start < 1 else "slow")
def udp(addr, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(2); s.connect(addr); s.send(b"x"); s.send(b"x"); s.recv(1)
attempt("quic", lambda: udp(("1.1.1.1", 443)))
attempt("quic6", lambda: udp(("2606:4700:4700::1111", 443), socket.AF_INET6))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("icmp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt("alg", lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
"#;
    let shown = Scene::new().python(script).ok();
    assert_eq!(shown.stdout.lines().count(), 7);
    for line in shown.stdout.lines() {
        assert!(line.ends_with("fast") && !line.contains("went out"), "{}", shown.stdout);
    }
}

#[test]
fn the_agents_own_servers_on_loopback_work() {
    let script = "python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 & \
                  for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; curl -sf http://localhost:8123/ >/dev/null && echo reached && exit 0; done; exit 1";
    assert_eq!(Scene::new().sh(script).ok().stdout, "reached\n");
}

#[test]
fn raw_bytes_pass_only_where_a_rule_says_raw() {
    let upstream = Upstream::start(&["raw.test"]);
    let python = |port: u16| {
        format!(
            "
import socket
s = socket.create_connection(('raw.test', {port}), timeout=5)
try:
    print(s.recv(64).decode().strip()); s.sendall(b'ping'); print(s.recv(64).decode())
except OSError as e:
    print('refused')
"
        )
    };
    let resolve = format!("raw.test={}", upstream.raw);
    let allowed = Scene::new()
        .policy("network:\n  rules:\n    - { name: db, to: [\"raw.test:5432\"], raw: true }")
        .with("--resolve", &resolve);
    assert_eq!(allowed.python(&python(5432)).ok().stdout, "220 hello\nping\n");
    let before = upstream.connections();
    let plain = Scene::new()
        .policy("network:\n  rules:\n    - { name: db, to: [\"raw.test:5432\"] }")
        .with("--resolve", &resolve);
    assert!(!plain.python(&python(5432)).stdout.contains("220"));
    assert_eq!(upstream.connections(), before);
}

#[test]
fn dns_answers_from_itself_and_carries_nothing_out() {
    let script = "
import socket
print(socket.gethostbyname('anything.at.all.example') != '')
for family in (socket.AF_INET, socket.AF_INET6):
    print(len(socket.getaddrinfo('x.example', 443, family, socket.SOCK_STREAM)))
q = bytes.fromhex('beef01000001000000000000') + b'\\x07example\\x03com\\x00' + bytes.fromhex('00100001')
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3); s.sendto(q, ('8.8.8.8', 53))
r = s.recv(512); print('answers', int.from_bytes(r[6:8], 'big'))
";
    let scene = Scene::new();
    assert_eq!(scene.python(script).ok().stdout, "True\n1\n1\nanswers 0\n");
    let dns = scene.events().iter().filter(|e| e["class_uid"] == 4003).count();
    assert!(dns >= 3, "{dns} DNS events recorded");
}

#[test]
fn who_connected_decides() {
    let rules =
        "    - { name: only-curl, to: [api.test], from: [/usr/bin/curl], http: { allow: [\"GET /**\"] } }";
    let (scene, upstream) = scene(rules);
    let shown = scene.sh("curl -sS https://api.test/by-curl; cp /usr/bin/curl ./curl2; ./curl2 -sS -w '%{http_code}' -o /dev/null https://api.test/by-copy; echo; \
        python3 -c 'import urllib.request as u; u.urlopen(\"https://api.test/by-python\")' 2>&1 | grep -o 'HTTP Error 403'");
    assert!(
        shown.stdout.contains("GET /by-curl") && shown.stdout.contains("\n403\nHTTP Error 403"),
        "{shown:?}"
    );
    assert_eq!(upstream.lines(), ["GET /by-curl"]);
}

#[test]
fn a_program_with_foreign_code_in_it_is_not_that_program() {
    let rules =
        "    - { name: only-curl, to: [api.test], from: [/usr/bin/curl], http: { allow: [\"GET /**\"] } }";
    let (scene, upstream) = scene(rules);
    // A copy of a system library in the workspace, loaded in front: any code the agent can write would do.
    let script = "cp $(ldconfig -p | grep -m1 -o '/.*libz.so.1$') ./evil.so; \
        LD_PRELOAD=$PWD/evil.so curl -sS -o /dev/null -w '%{http_code}\n' https://api.test/preloaded; \
        /lib64/ld-linux-x86-64.so.2 /usr/bin/curl -sS -o /dev/null -w '%{http_code}\n' https://api.test/by-loader; \
        bash -c 'exec -a /usr/bin/curl python3 -c \"import urllib.request as u; u.urlopen(\\\"https://api.test/argv0\\\")\"' 2>&1 | grep -o 'HTTP Error 403'";
    let shown = scene.sh(script);
    assert_eq!(shown.stdout, "403\n403\nHTTP Error 403\n", "{shown:?}");
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[test]
fn the_observer_in_observe_mode_sees_and_does_not_block() {
    let upstream = Upstream::start(&["api.test"]);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let scene = scene
        .policy("mode: observe")
        .with("--trust", ca)
        .with("--resolve", format!("api.test={}", upstream.tls));
    let shown = scene.sh("curl -sS https://api.test/seen");
    assert!(shown.stdout.contains("GET /seen"), "{shown:?}");
}
