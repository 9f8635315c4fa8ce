"""The grpcio library: all four kinds of call, a failing one, and one on a service that the policy denies.

`--case NAME` goes along as metadata so that the upstream's log tells whose call it was.
"""

import hashlib
import sys
import time

import grpc
from frame import run

CASE = sys.argv[sys.argv.index("--case") + 1] if "--case" in sys.argv else "none"
METADATA = (("x-case", CASE),)
LIMITS = [("grpc.max_receive_message_length", 16 << 20)]
CHANNELS = {}


def channel(target):
    if target not in CHANNELS:
        CHANNELS[target] = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=LIMITS)
    return CHANNELS[target]


def digest(body):
    return {"code": 0, "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def unary(target, payload, service="Echo"):
    call = channel(target).unary_unary(f"/creel.test.{service}/Unary")
    body, state = call.with_call(payload, timeout=20, metadata=METADATA)
    return {**digest(body), "trailer": dict(state.trailing_metadata()).get("x-trailer")}


def server_stream(target, payload):
    arrived, body = [], b""
    for part in channel(target).unary_stream("/creel.test.Echo/ServerStream")(payload, timeout=20, metadata=METADATA):
        arrived.append(time.time() * 1000)
        body += part
    return {**digest(body), "parts": len(arrived), "spread": round(arrived[-1] - arrived[0])}


def client_stream(target, payload):
    parts = (payload[at : at + 65536] for at in range(0, len(payload), 65536))
    return digest(channel(target).stream_unary("/creel.test.Echo/ClientStream")(parts, timeout=20, metadata=METADATA))


def bidi(target, _payload):
    turns = [b"one", b"two", b"three"]
    got = list(channel(target).stream_stream("/creel.test.Echo/Bidi")(iter(turns), timeout=20, metadata=METADATA))
    return {"code": 0, "got": [part.decode() for part in got]}


OPS = {
    "UNARY": unary,
    "SERVER": server_stream,
    "CLIENT": client_stream,
    "BIDI": bidi,
    "FAIL": lambda target, _payload: unary(target, b"fail"),
    "DENIED": lambda target, payload: unary(target, payload, "Denied"),
}


def perform(op, target, payload):
    try:
        return OPS[op](target, payload)
    except grpc.RpcError as error:
        return {"code": error.code().value[0], "name": error.code().name, "said": error.details()}


run(perform)
