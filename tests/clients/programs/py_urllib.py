"""Python's own urllib."""

import urllib.error
import urllib.request

from frame import answered, run


def perform(op, url, payload):
    request = urllib.request.Request(url, data=payload if op == "POST" else None, method=op)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answered(answer.status, answer.read(), "HTTP/1.1", answer.headers.get("content-type"))
    except urllib.error.HTTPError as refusal:
        return answered(refusal.code, refusal.read(), "HTTP/1.1", refusal.headers.get("content-type"))


run(perform)
