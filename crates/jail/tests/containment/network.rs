//! The one exit: what leaves the sandbox by which way.

use crate::support::{Case, plan, start, start_with};
use creel_api::plan::Plan;
use creel_jail::NetOptions;

pub const CASES: &[Case] = &[
    ("every_tcp_connection_reaches_the_proxy_with_its_destination", by_tproxy),
    ("so_it_does_where_only_redirection_works", by_redirect),
    ("servers_of_the_agents_own_on_loopback_are_left_alone", own_servers),
    ("datagrams_reach_the_name_server_and_nothing_else", datagrams),
    ("data_cannot_leave_with_the_first_packet", fast_open),
    ("resolvers_see_both_families_configured", families),
    ("the_rules_and_routes_cannot_be_changed_from_inside", rules),
    ("many_connections_use_up_no_ports", many),
];

fn python(code: &str) -> Plan {
    let mut plan = plan("");
    plan.command = ["python3", "-c", code].map(Into::into).to_vec();
    plan
}

const DESTINATIONS: &str = r#"
import socket
for host, port in [('93.184.216.34', 80), ('10.0.0.1', 65535), ('169.254.169.254', 80), ('2606:2800:220:1::1', 443),
                   ('::ffff:1.2.3.4', 25), ('8.8.8.8', 53)]:
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    s.settimeout(5)
    s.connect((host, port))
    print(s.makefile().read(), flush=True)
"#;

fn reached(redirect: bool) {
    let mut sandbox = start_with(&python(DESTINATIONS), NetOptions { redirect });
    assert_eq!(sandbox.started.redirect, redirect, "{:?}", sandbox.started.enforced);
    let done = sandbox.go();
    let expected = "93.184.216.34:80\n10.0.0.1:65535\n169.254.169.254:80\n[2606:2800:220:1::1]:443\n1.2.3.4:25\n8.8.8.8:53\n";
    assert_eq!(done.output, expected, "{done:?}");
}

fn by_tproxy() {
    reached(false);
}

fn by_redirect() {
    reached(true);
}

fn own_servers() {
    let mut sandbox = start(&python(
        r#"
import socket
for family, host, port in [(socket.AF_INET, '127.0.0.1', 80), (socket.AF_INET6, '::1', 8080), (socket.AF_INET, '127.9.9.9', 1)]:
    l = socket.socket(family); l.bind((host, port)); l.listen()
    c = socket.socket(family); c.connect((host, port)); a, _ = l.accept(); a.sendall(b'mine'); print(c.recv(9))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 9999))
u.sendto(b'self', ('127.0.0.1', 9999)); print(u.recv(9))
"#,
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "b'mine'\nb'mine'\nb'mine'\nb'self'\n", "{done:?}");
}

fn datagrams() {
    let mut sandbox = start(&python(
        r#"
import socket
for family, host in [(socket.AF_INET, '8.8.8.8'), (socket.AF_INET6, '2001:4860:4860::8888'), (socket.AF_INET, '127.0.0.53')]:
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    s.sendto(b'question', (host, 53)); print(s.recv(99), flush=True)
for family, host, port in [(socket.AF_INET, '1.1.1.1', 443), (socket.AF_INET, '1.1.1.1', 123), (socket.AF_INET6, '2606:4700::1', 443)]:
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(1)
    try: s.connect((host, port)); s.send(b'x'); s.recv(1); print('SENT')
    except (PermissionError, ConnectionRefusedError, OSError) as e: print('timeout' if isinstance(e, TimeoutError) else 'refused')
"#,
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "b'answer'\n".repeat(3) + &"refused\n".repeat(3), "{done:?}");
}

fn fast_open() {
    let mut sandbox = start(&python(
        "import socket, errno\ns = socket.socket()\ntry: s.sendto(b'x', 0x20000000, ('1.2.3.4', 80)); print('SENT')\n\
         except OSError as e: print(errno.errorcode[e.errno])",
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "ENOTSUP\n", "{done:?}");
}

fn families() {
    let mut sandbox = start(&python(
        "import socket\n\
         print(sorted(i[4][0] for i in socket.getaddrinfo('1.2.3.4', 1, type=1, flags=socket.AI_ADDRCONFIG)))\n\
         print(sorted(i[4][0] for i in socket.getaddrinfo('2001:db8::1', 1, type=1, flags=socket.AI_ADDRCONFIG)))",
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "['1.2.3.4']\n['2001:db8::1']\n", "{done:?}");
}

fn rules() {
    let mut sandbox = start(&python(
        r#"
import socket, struct, errno
def ask(kind, body):
    s = socket.socket(16, 3, 0)
    s.send(struct.pack('IHHII', 16 + len(body), kind, 5, 1, 0) + body)
    code = -struct.unpack('i', s.recv(4096)[16:20])[0]
    return errno.errorcode.get(code, code)
print(ask(25, struct.pack('8BI', 2, 0, 0, 0, 255, 4, 254, 2, 0)))
print(ask(16, struct.pack('BxHiII', 0, 0, 1, 0, 1)))
"#,
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "EPERM\nEPERM\n", "{done:?}");
}

fn many() {
    let mut sandbox = start(&python(
        "import socket\nfor i in range(300):\n    s = socket.create_connection(('1.2.3.4', 80)); s.makefile().read(); s.close()\n\
         print(sum(l.split()[3] == '06' for l in open('/proc/net/tcp').readlines()[1:]))",
    ));
    let done = sandbox.go();
    assert_eq!(done.output, "0\n", "no connection stays in TIME_WAIT: {done:?}");
}
