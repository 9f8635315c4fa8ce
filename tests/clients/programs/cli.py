"""Runs a command-line client (curl, wget, git, openssl) as a person would and says what came of it.

cli.py TOOL [OPTION...] OP=URL...
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

from frame import payload, run

TOOL = sys.argv[1]
OPTIONS = [argument for argument in sys.argv[2:] if argument.startswith("-")]
OUT = "out.bin"


def called(command):
    """Runs a command; its exit code and what it said."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, start_new_session=True) as process:
        try:
            out, said = process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, said = process.communicate()
            said += b"(killed after 40 s)"
    return process.returncode, out.decode("utf-8", "replace"), said.decode("utf-8", "replace").strip()


def fetched():
    """What the tool left in its output file."""
    with open(OUT, "rb") as file:
        body = file.read()
    os.unlink(OUT)
    return {
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "said": body[:4000].decode("utf-8", "replace"),
    }


def curl(op, url):
    if op == "SSE":
        return curl_events(url)
    command = ["curl", "-sS", *OPTIONS, "-o", OUT, "-w", "%{http_code} %{http_version} %{content_type}"]
    if op == "POST":
        command += ["--data-binary", "@" + os.environ["PAYLOAD"]]
    code, out, said = called([*command, url])
    status, protocol, kind = (out.split(" ", 2) + ["", "", ""])[:3]
    told = {"status": int(status or 0), "protocol": "HTTP/" + protocol, "type": kind, "exit": code}
    if os.path.exists(OUT):
        told |= fetched()
    return told | ({"error": said} if code else {})


def curl_events(url):
    command = ["curl", "-sSN", *OPTIONS, url]
    arrived = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout:
            if text.startswith("data:"):
                arrived.append({**json.loads(text[5:]), "arrived": time.time() * 1000})
    return {"status": 200, "exit": process.returncode, "events": arrived}


def wget(op, url):
    command = ["wget", "-nv", "--tries=1", "--content-on-error", "-O", OUT]
    if op == "POST":
        command += ["--post-file=" + os.environ["PAYLOAD"]]
    code, _, said = called([*command, url])
    told = {"status": 200 if code == 0 else None, "exit": code} | (fetched() if os.path.exists(OUT) else {})
    if code:
        told["error"] = said
        told["status"] = next((int(word) for word in said.replace(":", " ").split() if word in ("403", "404")), None)
    return told


def git(op, url):
    """`CLONE`, then `FETCH` and `PUSH` in the clone; git refuses to ask for a password here."""
    os.environ["GIT_TERMINAL_PROMPT"] = "0"
    told = []
    for command in GIT[op](url):
        code, out, said = called(["git", "-c", "http.version=" + VERSION, *command])
        told.append(said)
        if code:
            return {"exit": code, "error": said, "status": 403 if "403" in said else None}
    return {"exit": 0, "status": 200, "out": out.strip()}


def openssl(_op, host):
    """Who signed the certificate that `host` shows, and whether it verifies."""
    command = ["openssl", "s_client", "-connect", f"{host}:443", "-servername", host]
    _, out, said = called(command)
    lines = {key.strip(): value.strip() for key, _, value in (text.partition(":") for text in out.splitlines())}
    issuer = next((text for text in out.splitlines() if text.startswith("issuer=")), "")
    told = {"issuer": issuer, "verify": lines.get("Verify return code")}
    return told if issuer else told | {"error": said}


VERSION = "HTTP/1.1" if "--http1" in OPTIONS else "HTTP/2"
NAMED = ["-c", "user.name=Tester", "-c", "user.email=tester@example.test"]
GIT = {
    "CLONE": lambda url: [["clone", "-q", url, "clone"], ["-C", "clone", "rev-parse", "HEAD"]],
    "FETCH": lambda url: [["-C", "clone", "fetch", "-q", url, "later"], ["-C", "clone", "rev-parse", "FETCH_HEAD"]],
    "PUSH": lambda url: [
        ["-C", "clone", "checkout", "-q", "-b", "pushed"],
        ["-C", "clone", "add", "."],
        [*NAMED, "-C", "clone", "commit", "-q", "-m", "pushed"],
        ["-C", "clone", "push", "-q", url, "pushed"],
        ["-C", "clone", "rev-parse", "HEAD"],
    ],
}


def to_push():
    """Random bytes. Over HTTP/1.1 so many that git sends them in chunks, over HTTP/2 fewer than its `http.postBuffer`:

    git 2.47 with curl 7.88 hangs now and then in a chunked push over HTTP/2, with no proxy on the way, because its read
    callback is called again after the end.
    """
    return os.urandom(len(payload()) * 3 if VERSION == "HTTP/1.1" else len(payload()) // 2)


def perform(op, url, _payload):
    if op == "PUSH":
        with open("clone/big.bin", "wb") as file:
            file.write(to_push())
    return {"curl": curl, "wget": wget, "git": git, "openssl": openssl}[TOOL](op, url)


run(perform)
