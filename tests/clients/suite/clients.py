"""The clients and the cases, as data.

A client names the tool it needs, its command, and how its refusals can be read (`sees`):
`body` the 403 and its JSON body, `status` only the number 403, `rpc` a gRPC status, `nothing` only a failure.
"""

from dataclasses import dataclass, field

SIZE = 1 << 20

CASES = ("inspected", "through", "denied name", "denied path")


@dataclass(frozen=True)
class Client:
    """One client: `command` is completed with `OP=URL` arguments."""

    name: str
    kind: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    protocol: str | None = None
    sees: str = "body"
    cases: tuple[str, ...] = field(default=CASES)


def http(name, needs, command, protocol=None, sees="body"):
    return Client(name, "http", needs, tuple(command), protocol, sees)


def web_turns(case):
    """`OP=URL` for a plain HTTP client."""
    return {
        "inspected": [f"GET=https://allowed.test/bytes/{SIZE}", "POST=https://allowed.test/echo"],
        "through": [f"GET=https://through.test/bytes/{SIZE}", "POST=https://through.test/echo"],
        "denied name": ["GET=https://denied.test/bytes/64"],
        "denied path": ["GET=https://allowed.test/denied/x", "GET=https://allowed.test/bytes/64"],
    }[case]


def event_turns(case):
    host = {"inspected": "allowed.test", "through": "through.test"}[case]
    return [f"SSE=https://{host}/events?n=3&gap=300"]


def socket_turns(case):
    return {
        "inspected": ["WS=wss://allowed.test/ws"],
        "through": ["WS=wss://through.test/ws"],
        "denied name": ["WS=wss://denied.test/ws"],
        "denied path": ["WS=wss://allowed.test/denied/ws"],
    }[case]


def git_turns(case):
    base = {
        "inspected": "https://allowed.test/git",
        "through": "https://through.test/git",
        "denied name": "https://denied.test/git",
        "denied path": "https://allowed.test/denied/git",
    }[case]
    ops = ("CLONE",) if case.startswith("denied") else ("CLONE", "FETCH", "PUSH")
    return [f"{op}={base}/repo.git" for op in ops]


def rpc_turns(case):
    return {
        "inspected": [f"{op}=grpc.test:443" for op in ("UNARY", "SERVER", "CLIENT", "BIDI", "FAIL")],
        "through": [f"{op}=grpc-through.test:443" for op in ("UNARY", "SERVER", "CLIENT", "BIDI", "FAIL")],
        "denied name": ["UNARY=grpc-denied.test:443"],
        "denied path": ["DENIED=grpc.test:443", "UNARY=grpc.test:443"],
    }[case]


def tls_turns(case):
    host = {"inspected": "allowed.test", "through": "through.test"}[case]
    return [f"ISSUER={host}"]


TURNS = {
    "http": web_turns,
    "sse": event_turns,
    "ws": socket_turns,
    "git": git_turns,
    "grpc": rpc_turns,
    "tls": tls_turns,
}

PYTHON = ("{python}", "-B")
CLI = ("/usr/bin/python3", "-B", "{programs}/cli.py")
OPEN = ("inspected", "through")


def python(program):
    return (*PYTHON, "{programs}/" + program)


def node(program):
    return ("{node}", "{programs}/" + program)


CLIENTS = (
    Client("openssl s_client", "tls", ("openssl",), (*CLI, "openssl"), cases=OPEN),
    http("curl, HTTP/1.1", ("curl",), (*CLI, "curl", "--http1.1"), "HTTP/1.1"),
    http("curl, HTTP/2", ("curl",), (*CLI, "curl", "--http2"), "HTTP/2"),
    http("wget", ("wget",), (*CLI, "wget")),
    http("python urllib", ("python",), python("py_urllib.py")),
    http("python requests", ("python",), python("py_requests.py")),
    http("python httpx, HTTP/1.1", ("python",), python("py_httpx.py"), "HTTP/1.1"),
    http("python httpx, HTTP/2", ("python",), (*python("py_httpx.py"), "--http2"), "HTTP/2"),
    http("python aiohttp", ("python",), python("py_aiohttp.py")),
    http("node fetch", ("node",), node("node_fetch.cjs")),
    http("node https", ("node",), node("node_https.cjs")),
    http("node http2", ("node",), node("node_http2.cjs"), "HTTP/2"),
    http("node undici, HTTP/1.1", ("packages",), node("node_undici.cjs"), "HTTP/1.1"),
    http("node undici, HTTP/2", ("packages",), (*node("node_undici.cjs"), "--http2"), "HTTP/2"),
    http("java HttpClient, HTTP/1.1", ("java",), ("java", "-cp", "{cache}/java", "JavaClient", "--http1"), "HTTP/1.1"),
    http("java HttpClient, HTTP/2", ("java",), ("java", "-cp", "{cache}/java", "JavaClient", "--http2"), "HTTP/2"),
    http("rust rustls, HTTP/1.1", ("rust",), ("{cache}/rust/release/rustls-client", "--http1"), "HTTP/1.1"),
    http("rust rustls, HTTP/2", ("rust",), ("{cache}/rust/release/rustls-client",), "HTTP/2"),
    http("rust native-tls", ("rust",), ("{cache}/rust/release/native-tls-client",), "HTTP/2"),
    http("go net/http, HTTP/1.1", ("go",), ("{cache}/go/client", "--http1"), "HTTP/1.1"),
    http("go net/http, HTTP/2", ("go",), ("{cache}/go/client",), "HTTP/2"),
    Client("git, HTTP/1.1", "git", ("git",), (*CLI, "git", "--http1"), "HTTP/1.1", sees="status"),
    Client("git, HTTP/2", "git", ("git",), (*CLI, "git"), "HTTP/2", sees="status"),
    Client("events: curl", "sse", ("curl",), (*CLI, "curl"), cases=OPEN),
    Client("events: python httpx", "sse", ("python",), (*python("py_httpx.py"), "--http2"), cases=OPEN),
    Client("events: node fetch", "sse", ("node",), node("node_fetch.cjs"), cases=OPEN),
    Client("websocket: node ws", "ws", ("packages",), node("node_ws.cjs")),
    Client("websocket: python websockets", "ws", ("python",), python("py_websockets.py")),
    Client("websocket: python aiohttp", "ws", ("python",), python("py_aiohttp.py"), sees="status"),
    Client("grpc: python grpcio", "grpc", ("python",), (*python("py_grpc.py"), "--case", "{case}"), sees="rpc"),
    Client("grpc: node grpc-js", "grpc", ("packages",), (*node("node_grpc.cjs"), "--case", "{case}"), sees="rpc"),
)
