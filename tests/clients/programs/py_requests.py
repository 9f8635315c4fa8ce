"""The requests library, one session."""

import requests
from frame import answered, run

SESSION = requests.Session()


def perform(op, url, payload):
    answer = SESSION.request(op, url, data=payload if op == "POST" else None, timeout=30)
    return answered(answer.status_code, answer.content, "HTTP/1.1", answer.headers.get("content-type"))


run(perform)
