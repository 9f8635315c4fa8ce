//! Other ways out than a captured connection, with the same decisions: the explicit proxy and the host's own services.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, Upstream};

const RULES: &str = r#"
network:
  rules:
    - { name: read, to: [api.test, "api.test:80"], http: { allow: ["GET /repos/**"] } }
    - { name: through, to: [through.test] }
    - { name: raw, to: ["raw.test:7000"], raw: true }
    - { name: curl, to: [curl.test], from: [/usr/bin/curl] }
"#;

fn scene(rules: &str) -> (Scene, Upstream) {
    let names = ["api.test", "through.test", "curl.test", "other.test"];
    let upstream = Upstream::start(&names);
    let scene = Scene::new();
    let ca = upstream.ca_file(scene.outside());
    let mut scene = scene.policy(rules).with("--trust", ca);
    for name in &names[1..] {
        scene = scene.with("--resolve", format!("{name}={}", upstream.tls));
    }
    let scene = scene.with("--resolve", format!("raw.test={}", upstream.raw));
    (scene, upstream)
}

fn secure(rules: &str) -> (Scene, Upstream) {
    let (scene, upstream) = scene(rules);
    let api = format!("api.test={}", upstream.tls);
    (scene.with("--resolve", api), upstream)
}

#[test]
fn a_client_that_insists_on_a_proxy_meets_the_same_decisions() {
    let (scene, upstream) = secure(RULES);
    let shown = scene.sh("for proxy in http://proxy.internal:3128 socks5h://proxy.internal:1080; do
  for url in https://api.test/repos/a https://through.test/b https://api.test/other https://other.test/c; do
    curl -sS -o /dev/null -w '%{http_code}\\n' -x $proxy $url
  done
done");
    assert_eq!(shown.stdout, "200\n200\n403\n403\n".repeat(2), "{shown:?}");
    assert_eq!(upstream.lines(), ["GET /repos/a", "GET /b"].repeat(2));
    let record = std::fs::read_to_string(scene.record()).unwrap();
    assert!(record.contains("/usr/bin/curl") && record.contains("other.test"));
}

#[test]
fn who_connects_is_known_behind_the_proxy_too() {
    let (scene, upstream) = secure(RULES);
    let python = "import ssl, urllib.request as u
u.install_opener(u.build_opener(u.ProxyHandler({'https': 'http://proxy.internal:8080'})))
try: print(u.urlopen('https://curl.test/python').status)
except Exception as e: print(e)";
    std::fs::write(scene.workspace().join("ask.py"), python).unwrap();
    let shown = scene
        .sh("curl -sS -o /dev/null -w '%{http_code}\n' -x http://proxy.internal:8080 https://curl.test/curl; python3 ask.py")
        .ok();
    assert!(shown.stdout.starts_with("200\n") && shown.stdout.contains("403"), "{}", shown.stdout);
    assert_eq!(upstream.lines(), ["GET /curl"]);
}

#[test]
fn plain_requests_in_absolute_form_are_decided_each_for_its_own_host() {
    let (scene, upstream) = scene(RULES);
    let plain = format!("api.test={}", upstream.plain);
    let scene = scene.with("--resolve", plain);
    let shown = scene
        .sh("curl -sS -w '\n%{http_code}\n' -x http://proxy.internal:3128 http://api.test/repos/a http://other.test/b http://api.test/repos/c")
        .ok();
    let codes: Vec<&str> = shown
        .stdout
        .lines()
        .filter(|line| line.ends_with(|c: char| c.is_ascii_digit()) && line.len() == 3)
        .collect();
    assert_eq!(codes, ["200", "403", "200"], "{}", shown.stdout);
    assert_eq!(upstream.lines(), ["GET /repos/a", "GET /repos/c"]);
}

#[test]
fn an_address_and_a_tunnel_in_a_tunnel_lead_nowhere_through_the_proxy() {
    let (scene, upstream) = secure(RULES);
    let script = format!(
        "import socket
def proxy(*sent):
    s = socket.create_connection(('proxy.internal', 3128)); s.settimeout(3); got = b''
    for piece in sent:
        s.sendall(piece)
        try: got += s.recv(4096)
        except OSError as e: got += b'<' + type(e).__name__.encode() + b'>'
    return got
port = {port}
for host in ('127.0.0.1', '[::ffff:127.0.0.1]', '2130706433', 'localhost', '169.254.169.254', '[::1]'):
    print(host, proxy(b'CONNECT %s:%d HTTP/1.1\\r\\n\\r\\n' % (host.encode(), port), b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')[-60:])
inner = b'CONNECT raw.test:7000 HTTP/1.1\\r\\nHost: api.test\\r\\n\\r\\n'
print('inner', proxy(b'CONNECT api.test:80 HTTP/1.1\\r\\n\\r\\n', inner)[:300])
print('smuggled', proxy(b'GET http://api.test/repos/a HTTP/1.1\\r\\nHost: other.test\\r\\n\\r\\n')[:40])
for odd in (b'CONNECT u@api.test:443 HTTP/1.1\\r\\n\\r\\n', b'GET https://api.test/repos/a HTTP/1.1\\r\\nHost: api.test\\r\\n\\r\\n', b'\\x05\\x01\\x02', b'\\x04\\x01'+b'x'*20000):
    print('odd', proxy(odd)[:24])
",
        port = upstream.plain.port()
    );
    let shown = scene.python(&script).ok();
    assert!(!shown.stdout.contains("upstream saw"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("CONNECT would open a tunnel") || shown.stdout.contains("403"),
        "{}",
        shown.stdout
    );
    assert_eq!(shown.stdout.matches("odd b'HTTP/1.1 400").count(), 3, "{}", shown.stdout);
    assert!(shown.stdout.contains("odd b'\\x05\\xff'"), "{}", shown.stdout);
    assert_eq!(upstream.seen(), []);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn bytes_of_any_kind_go_through_the_proxy_where_a_rule_says_raw() {
    let (scene, _upstream) = secure(RULES);
    let shown = scene
        .python(
            "import socket, struct
s = socket.create_connection(('proxy.internal', 1080)); s.sendall(b'\\x05\\x01\\x00'); assert s.recv(2) == b'\\x05\\x00'
s.sendall(b'\\x05\\x01\\x00\\x03\\x08raw.test' + struct.pack('>H', 7000)); assert s.recv(10)[1] == 0
print(s.recv(100)); s.sendall(b'echo'); print(s.recv(100))",
        )
        .ok();
    assert_eq!(shown.stdout, "b'220 hello\\r\\n'\nb'echo'\n");
}

#[test]
fn a_service_of_the_host_is_reached_by_name_and_port_and_no_other() {
    let (scene, upstream) = scene("");
    let other = Upstream::start(&["x.test"]);
    let rules = format!(
        "network:\n  rules:\n    - {{ name: local, to: [\"host.internal:{}\"] }}\n    - {{ name: wide, to: [\"**.internal:{}\"] }}",
        upstream.plain.port(),
        other.plain.port()
    );
    let scene = scene.policy(&rules);
    let script =
        |url: String| format!("curl -sS -m 5 -o body -w '%{{http_code}}\\n' {url}; cat body; rm -f body;");
    let (mine, others) = (upstream.plain.port(), other.plain.port());
    let all: String = [
        script(format!("http://host.internal:{mine}/mine")),
        script(format!("http://host.internal:{others}/others")),
        script(format!("http://127.0.0.1:{mine}/direct")),
        script(format!("http://localhost:{mine}/direct")),
    ]
    .concat();
    let shown = scene.sh(&all);
    assert!(shown.stdout.starts_with("200\nupstream saw HTTP/1.1 GET /mine\n403\n"), "{shown:?}");
    assert_eq!(upstream.lines(), ["GET /mine"]);
    assert_eq!(other.lines(), Vec::<String>::new());
}
