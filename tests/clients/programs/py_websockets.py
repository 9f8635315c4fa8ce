"""The websockets library, its threading client."""

import hashlib

from frame import run
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


def perform(_op, url, payload):
    try:
        with connect(url, max_size=16 << 20, open_timeout=20) as ws:
            ws.send("héllo")
            text = ws.recv(timeout=20)
            ws.send(payload)
            body = ws.recv(timeout=20)
    except InvalidStatus as refusal:
        said = (refusal.response.body or b"").decode("utf-8", "replace")
        return {"status": refusal.response.status_code, "said": said, "error": str(refusal)}
    return {"status": 101, "text": text, "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


run(perform)
