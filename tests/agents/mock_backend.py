"""A model server that speaks three APIs, demands a key, and makes an agent run scripted shell commands.

    mock_backend.py --port 0 --key KEY --log FILE --run COMMAND... [--say TEXT]

The n-th turn of a conversation calls the agent's own shell tool with the n-th command; when all have been answered
(or the request offers no shell) the final text follows. Every request is written to the log as one JSON line with all
of its headers and its body: which key arrived is what the tests ask about. Prints {"port": N} when it listens.
"""

import argparse
import json
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dialects import DIALECTS, arguments, shell

LOCK = threading.Lock()


class Script:
    """What the model will do, and where its log is."""

    def __init__(self, options):
        self.key = options.key
        self.commands = options.run
        self.text = options.say
        self.log = open(options.log, "a", buffering=1, encoding="utf-8")

    def turn(self, dialect, body):
        """The call of the shell for this request, or None for the final text."""
        tools, done = dialect.tools(body), dialect.results(body)
        name = shell(tools)
        if name is None or done >= len(self.commands):
            return None
        command = self.commands[done]
        return {"name": name, "arguments": arguments(tools[name], command), "command": command}

    def note(self, entry):
        with LOCK:
            self.log.write(json.dumps({"t": time.time(), **entry}) + "\n")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, *_):
        """The log is a file of its own."""

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def body(self):
        """The request's body as JSON; chunked and compressed bodies too."""
        if "chunked" in (self.headers.get("transfer-encoding") or "").lower():
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(parts)
        else:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if (self.headers.get("content-encoding") or "") in ("gzip", "deflate"):
            raw = zlib.decompress(raw, wbits=zlib.MAX_WBITS | 32)
        try:
            return json.loads(raw or b"{}")
        except ValueError:
            return {"unreadable": raw[:2000].decode("latin-1")}

    def presented(self):
        """Every key the caller showed."""
        bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        return [key for key in (bearer, self.headers.get("x-api-key")) if key]

    def json(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def events(self, events):
        """A stream of server-sent events in chunks."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for kind, value in events:
            text = value if isinstance(value, str) else json.dumps(value)
            self.chunk(((f"event: {kind}\n" if kind else "") + f"data: {text}\n\n").encode())
        self.chunk(b"")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def noted(self, body, call, status):
        entry = {"method": self.command, "path": self.path, "keys": self.presented(), "status": status}
        kept = {"headers": dict(self.headers.items()), "body": body}
        self.script.note({**entry, "call": call and call["command"], "model": (body or {}).get("model"), **kept})

    def refused(self, body, status, words):
        self.noted(body, None, status)
        error = {"type": "authentication_error" if status == 401 else "not_found_error", "message": words}
        self.json(status, {"type": "error", "error": error})

    def do_POST(self):
        body, path = self.body(), self.path.split("?")[0]
        if self.script.key not in self.presented():
            return self.refused(body, 401, "invalid api key")
        if path.endswith("/count_tokens"):
            self.noted(body, None, 200)
            return self.json(200, {"input_tokens": 100})
        dialect = next((each for each in DIALECTS if path.endswith(each.path)), None)
        if dialect is None:
            return self.refused(body, 404, f"no such endpoint: {path}")
        call = self.script.turn(dialect, body)
        self.noted(body, call, 200)
        if body.get("stream"):
            return self.events(dialect.stream(body, call, self.script.text))
        self.json(200, dialect.answer(body, call, self.script.text))

    def do_GET(self):
        if (self.headers.get("upgrade") or "").lower() == "websocket":
            return self.refused(None, 426, "no websockets here")
        if self.path.split("?")[0].endswith("/models"):
            self.noted(None, None, 200)
            return self.json(200, {"object": "list", "data": [{"id": "mock-model", "object": "model"}]})
        self.refused(None, 404, "not here")

    def do_HEAD(self):
        self.noted(None, None, 200)
        self.json(200, {})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--run", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--say", default="ALL DONE")
    Handler.script = Script(parser.parse_args())
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    server.daemon_threads = True
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
