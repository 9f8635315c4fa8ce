"""What each case must show. Every function answers a list of complaints; none means passed."""

import hashlib
import json

from suite.clients import SIZE

#: A refusal must be known within this many milliseconds.
QUICK = 2000


def pattern(length):
    """The body of `/bytes/N`, as `upstream/web.cjs` makes it."""
    return bytes((index * 31 + (index >> 8) * 17) & 255 for index in range(length))


def sha256(body):
    return hashlib.sha256(body).hexdigest()


PATTERN = {size: sha256(pattern(size)) for size in (64, SIZE)}


class Evidence:
    """What one case left behind: the client's turns, what reached the upstream, and the payload."""

    def __init__(self, client, case, turns, news, payload, upstreams):
        self.client = client
        self.case = case
        self.turns = turns
        self.news = news
        self.payload = payload
        self.upstreams = upstreams

    def requests(self):
        return [event for event in self.news if event["event"] == "request"]


def same_bytes(turn, wanted):
    if turn.get("sha256") != wanted:
        return [f"the body differs: {turn.get('length')} bytes, sha256 {turn.get('sha256')}"]
    return []


def answered_well(evidence, turn):
    """An HTTP turn that had to work."""
    if turn.get("error") or turn.get("status") != 200:
        return [f"{turn['op']} {turn['url']}: {turn.get('status')} {turn.get('error') or turn.get('said', '')}"[:700]]
    wanted = sha256(evidence.payload) if turn["op"] == "POST" else PATTERN[int(turn["url"].rsplit("/", 1)[1])]
    complaints = same_bytes(turn, wanted)
    protocol = evidence.client.protocol
    if protocol and turn.get("protocol") not in (protocol, None):
        complaints.append(f"spoke {turn.get('protocol')} where {protocol} was wanted")
    return complaints


def arrived(evidence):
    """Each HTTP turn must be in the upstream's log, once."""
    wanted = sorted("/" + turn["url"].split("/", 3)[3] for turn in evidence.turns)
    got = sorted(event["path"] for event in evidence.requests())
    complaints = [] if wanted == got else [f"the upstream saw {got}, not {wanted}"]
    return complaints + spoken(evidence)


def spoken(evidence):
    """Where nothing stands between, the upstream sees the client's own HTTP version."""
    if evidence.case != "through" or not evidence.client.protocol:
        return []
    versions = {event["protocol"].removesuffix(".0") for event in evidence.requests()}
    return [] if versions == {evidence.client.protocol} else [f"the upstream was spoken to in {versions}"]


def http(evidence):
    return [word for turn in evidence.turns for word in answered_well(evidence, turn)] + arrived(evidence)


def sse(evidence):
    turn = evidence.turns[0]
    events = turn.get("events") or []
    if turn.get("error") or [event["n"] for event in events] != [1, 2, 3]:
        return [f"events {events} {turn.get('error', '')}"]
    late = [round(event["arrived"] - event["sent"]) for event in events]
    return [f"events were held back by {late} ms"] if max(late) > 200 else []


def ws(evidence):
    turn = evidence.turns[0]
    if turn.get("error") or turn.get("status") != 101:
        return [f"websocket: {turn.get('status')} {turn.get('error')}"]
    complaints = same_bytes(turn, sha256(evidence.payload))
    return complaints + ([] if turn.get("text") == "héllo" else [f"text came back as {turn.get('text')!r}"])


def git(evidence):
    by_op = {turn["op"]: turn for turn in evidence.turns}
    complaints = [f"{turn['op']}: {turn['error']}"[:700] for turn in evidence.turns if turn.get("error")]
    for op, branch in (("CLONE", "main"), ("FETCH", "later"), ("PUSH", "pushed")):
        if op in by_op and not by_op[op].get("error"):
            got, wanted = by_op[op].get("out"), evidence.upstreams.commit(branch)
            complaints += [] if got == wanted and got else [f"{op}: commit {got}, upstream has {wanted}"]
    return complaints + spoken(evidence)


def rpc_turn(turn, payload):
    """One gRPC turn that had to work (or fail with the upstream's own status)."""
    op = turn["op"]
    if op == "FAIL":
        well = turn.get("code") == 5 and turn.get("said") == "no such thing upstream"
        return [] if well else [f"FAIL: the upstream's own status was lost: {turn}"]
    if turn.get("code") != 0:
        return [f"{op}: status {turn.get('code')} {turn.get('said') or turn.get('error')}"[:700]]
    if op == "BIDI":
        return [] if turn["got"] == ["eno", "owt", "eerht"] else [f"BIDI: {turn['got']}"]
    if op == "SERVER":
        parts = b"".join(b"%d:" % index + payload for index in range(5))
        held = [] if turn["spread"] >= 200 else [f"SERVER: five parts within {turn['spread']} ms: held back"]
        return same_bytes(turn, sha256(parts)) + held
    lost = [] if op != "UNARY" or turn.get("trailer") == "kept" else ["UNARY: the trailer was lost"]
    return same_bytes(turn, sha256(payload)) + lost


def grpc(evidence):
    return [word for turn in evidence.turns for word in rpc_turn(turn, evidence.payload)]


def tls(evidence):
    """Who signed: the upstream's own authority when passed through, another when inspected."""
    issuer = evidence.turns[0].get("issuer", "")
    own = "Creel test upstream authority" in issuer
    if not issuer or evidence.turns[0].get("verify") != "0 (ok)":
        return [f"no verified certificate: {evidence.turns[0]}"]
    if evidence.case == "through":
        return [] if own else [f"passed-through TLS was opened: issuer {issuer}"]
    return ["inspected TLS shows the upstream's own certificate"] if own else []


WORKS = {"http": http, "sse": sse, "ws": ws, "git": git, "grpc": grpc, "tls": tls}


def works(evidence):
    """A destination that is allowed."""
    return WORKS[evidence.client.kind](evidence)


def leaked(evidence):
    """Whether anything of a denied turn reached the upstream."""
    for event in evidence.news:
        if "denied.test" in (event.get("sni") or ""):
            return [f"a TLS handshake for {event['sni']} reached the upstream"]
        if "denied" in (event.get("path") or "").lower() or "denied" in (event.get("host") or ""):
            return [f"the upstream saw {event.get('host')} {event['path']}"]
        if event["event"] == "rpc" and evidence.case == "denied name":
            return [f"the upstream saw a call of {event['path']}"]
    return []


def readable(turn, host):
    """Whether a 403's body is JSON that names the host and a reason."""
    try:
        body = json.loads(turn.get("said") or "")
    except ValueError:
        return [f"the 403's body is not JSON: {(turn.get('said') or '')[:200]!r}"]
    text = json.dumps(body)
    complaints = [] if host in text else [f"the 403 does not name {host}: {text[:300]}"]
    return complaints + ([] if "reason" in text else [f"the 403 gives no reason: {text[:300]}"])


def refused(evidence):
    """A destination that is denied: quick, in words, and nothing upstream."""
    turn, sees = evidence.turns[0], evidence.client.sees
    host = turn["url"].split("://")[-1].split("/")[0].split(":")[0]
    complaints = leaked(evidence)
    if turn["ms"] > QUICK:
        complaints.append(f"the refusal took {turn['ms']} ms")
    if sees == "rpc":
        if turn.get("code") != 7:
            complaints.append(f"gRPC status {turn.get('code')}, not 7: {turn.get('said') or turn.get('error')}")
        elif host not in (turn.get("said") or ""):
            complaints.append(f"the status message does not name {host}: {turn.get('said')}")
    elif turn.get("status") != 403:
        complaints.append(f"no 403: {turn.get('status')} {turn.get('error', '')}"[:400])
    elif sees == "body":
        complaints += readable(turn, host)
    for later in evidence.turns[1:]:
        ok = later.get("status") == 200 or later.get("code") == 0
        complaints += [] if ok else [f"after the refusal, {later['op']} {later['url']} failed: {later.get('error')}"]
    return complaints


def would_have_worked(evidence):
    """Without a sandbox a denied turn must reach the upstream: else its denial would prove nothing."""
    turn = evidence.turns[0]
    ok = turn.get("status") in (200, 101) or turn.get("code") == 0
    return [] if ok else [f"even without a sandbox: {turn.get('status')} {turn.get('code')} {turn.get('error')}"]


def judge(evidence, denies):
    """The complaints about one case."""
    if not evidence.turns:
        return ["the client printed nothing"]
    if not evidence.case.startswith("denied"):
        if evidence.client.kind == "tls" and not denies:
            return []
        return works(evidence)
    return refused(evidence) if denies else would_have_worked(evidence)
