"""The frame of each Python client program: reads `OP=URL` arguments, times each turn, prints one JSON line for it.

A program gives `perform(op, url, payload) -> dict`; what it raises becomes the line's `error`, in the words that a
person using that library would see. Every program here uses its library as its manual's first page does: no
certificate option, no proxy option.
"""

import hashlib
import json
import os
import sys
import time


def answered(status, body, protocol=None, kind=None):
    """What an HTTP answer looked like."""
    told = {
        "status": status,
        "protocol": protocol,
        "type": kind,
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    if status >= 400:
        told["said"] = body[:4000].decode("utf-8", "replace")
    return told


def payload():
    """The bytes that a `POST` sends."""
    with open(os.environ["PAYLOAD"], "rb") as file:
        return file.read()


def why(error):
    """The error and its causes, as a traceback's last lines would show them."""
    words = []
    while error is not None and len(words) < 6:
        words.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return " <- ".join(words)[:2000]


def line(op, url, started, told):
    """Prints one turn."""
    told = {"op": op, "url": url, "ms": round((time.monotonic() - started) * 1000, 1), **told}
    print(json.dumps(told), flush=True)


def turns():
    """The `OP=URL` arguments."""
    return [argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument]


def run(perform):
    """Performs every turn."""
    body = payload()
    for op, url in turns():
        started = time.monotonic()
        try:
            told = perform(op, url, body)
        except Exception as error:  # whatever the library throws is the result
            told = {"error": why(error)}
        line(op, url, started, told)


async def run_async(perform):
    """Performs every turn of a coroutine."""
    body = payload()
    for op, url in turns():
        started = time.monotonic()
        try:
            told = await perform(op, url, body)
        except Exception as error:
            told = {"error": why(error), "status": getattr(error, "status", None)}
        line(op, url, started, told)
