"""The httpx library, one client; `--http2` lets it negotiate HTTP/2. `SSE` notes when each event arrived."""

import json
import sys
import time

import httpx
from frame import answered, run

CLIENT = httpx.Client(http2="--http2" in sys.argv, timeout=30)


def events(url):
    arrived = []
    with CLIENT.stream("GET", url) as answer:
        for text in answer.iter_lines():
            if text.startswith("data:"):
                arrived.append({**json.loads(text[5:]), "arrived": time.time() * 1000})
        return {"status": answer.status_code, "protocol": answer.http_version, "events": arrived}


def perform(op, url, payload):
    if op == "SSE":
        return events(url)
    answer = CLIENT.request(op, url, content=payload if op == "POST" else None)
    return answered(answer.status_code, answer.content, answer.http_version, answer.headers.get("content-type"))


run(perform)
