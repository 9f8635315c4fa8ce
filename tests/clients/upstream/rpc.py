"""A real gRPC server over TLS: unary, client-streaming, server-streaming and bidirectional methods, raw bytes.

    rpc.py '{"host","port","dir","log"}'      prints {"port": N} when it listens

No generated code: messages are bytes, so that a test compares exactly what it sent. Each call that arrives is
written to the log as one JSON line.
"""

import json
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc

OPTIONS = json.loads(sys.argv[1])
LOG = open(OPTIONS["log"], "a", buffering=1, encoding="utf-8")
LOCK = threading.Lock()


def note(method, context, received):
    """Writes down one call; `case` is metadata by which a test recognises its own."""
    case = dict(context.invocation_metadata()).get("x-case")
    line = {"t": time.time() * 1000, "event": "rpc", "path": method, "case": case, "received": received}
    with LOCK:
        LOG.write(json.dumps(line) + "\n")


def unary(method):
    def call(request, context):
        note(method, context, len(request))
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing upstream")
        context.set_trailing_metadata((("x-trailer", "kept"),))
        return request

    return grpc.unary_unary_rpc_method_handler(call)


def server_stream(request, context):
    note("/creel.test.Echo/ServerStream", context, len(request))
    for index in range(5):
        yield b"%d:" % index + request
        time.sleep(0.1)


def client_stream(requests, context):
    total = b"".join(requests)
    note("/creel.test.Echo/ClientStream", context, len(total))
    return total


def bidi(requests, context):
    note("/creel.test.Echo/Bidi", context, None)
    for request in requests:
        yield request[::-1]


ECHO = {
    "Unary": unary("/creel.test.Echo/Unary"),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
}
DENIED = {"Unary": unary("/creel.test.Denied/Unary")}


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=8),
        options=[("grpc.max_receive_message_length", 16 << 20), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("creel.test.Echo", ECHO),
            grpc.method_handlers_generic_handler("creel.test.Denied", DENIED),
        )
    )
    directory = Path(OPTIONS["dir"])
    pair = ((directory / "server.key").read_bytes(), (directory / "server.pem").read_bytes())
    port = server.add_secure_port(f"{OPTIONS['host']}:{OPTIONS['port']}", grpc.ssl_server_credentials([pair]))
    server.start()
    print(json.dumps({"port": port}), flush=True)
    server.wait_for_termination()


main()
