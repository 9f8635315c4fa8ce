"""What the sandbox's record must say about each case: every turn once, with its program, its rule and its outcome."""

import json
from urllib.parse import urlsplit

RPC = {"UNARY": "Unary", "SERVER": "ServerStream", "CLIENT": "ClientStream", "BIDI": "Bidi", "FAIL": "Unary"}


def read(directory):
    """The events of the record in a directory, in Creel's own words."""
    path = next(iter(directory.rglob("record.jsonl")), None)
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    return [line["event"]["unmapped"]["creel"] for line in map(json.loads, lines) if "event" in line]


def of_kind(events, kind):
    return [event[kind] for event in events if kind in event]


def place(turn):
    """(host, path) that a turn asks for; the path is None where the turn is not one request."""
    op, url = turn["op"], turn["url"]
    if op in RPC or op == "DENIED":
        service = "Denied/Unary" if op == "DENIED" else "Echo/" + RPC[op]
        return url.split(":")[0], "/creel.test." + service
    if op == "ISSUER":
        return url, None
    parts = urlsplit(url)
    git = {"CLONE": "/info/refs", "FETCH": "/info/refs", "PUSH": "/git-receive-pack"}.get(op, "")
    return parts.hostname, parts.path + git


def answered(turn, status, complaints):
    """Whether the recorded status is the one that the client saw."""
    seen = turn.get("status") or (200 if "code" in turn or "events" in turn else None)
    if seen and status != seen:
        complaints.append(f"status {status} is recorded where the client saw {seen}")


def request(events, turn):
    """The turn's request event: allowed, by a rule, of a known program."""
    host, path = place(turn)
    found = [each for each in of_kind(events, "request") if (each["host"], each["target"]["path"]) == (host, path)]
    if not found:
        targets = [each["target"]["path"] for each in of_kind(events, "request")]
        return [f"no request {path} at {host} in the record, only {targets[:4]}"]
    event, complaints = found[-1], []
    if event["disposition"] != "allowed" or not event["rule"]:
        complaints.append(f"{path} is recorded as {str(event['disposition'])[:80]} by rule {event['rule']}")
    if not event["program"]:
        complaints.append(f"no program is recorded for {path}")
    answered(turn, event["status"], complaints)
    return complaints


def connection(events, turn):
    """The turn's connection, where nothing inside it is seen: allowed, by a rule, of a known program."""
    host, _ = place(turn)
    found = [each for each in of_kind(events, "connection") if each["host"] == host and each["rule"]]
    if not found or found[-1]["disposition"] != "allowed":
        return [f"no connection to {host} allowed by a rule in the record"]
    return [] if found[-1]["program"] else [f"no program is recorded for the connection to {host}"]


def refusal(events, turn):
    """The refused turn: refused, with the path that was asked for."""
    host, path = place(turn)
    refused = [each for each in events if "refused" in str(each) and host in str(each)]
    if not refused:
        return [f"no refusal of {host} in the record"]
    requests = [each for each in of_kind(refused, "request") if "refused" in each["disposition"]]
    paths = [each["target"]["path"] for each in requests]
    return [] if not paths or path in paths else [f"the refused path is recorded as {paths[0]}, not {path}"]


def never_allowed(events, turn):
    """A name that no rule admits: nothing of it may stand in the record as allowed."""
    host, _ = place(turn)
    found = [each for each in of_kind(events, "connection") if (each["host"], each["disposition"]) == (host, "allowed")]
    return [f"a connection to {host} is recorded as allowed ({found[0]['phase']})"] if found else []


def complaints(evidence, events):
    """What is wrong with the record of one case."""
    if not events:
        return ["there is no record"]
    first = evidence.turns[0]
    if evidence.case.startswith("denied"):
        return refusal(events, first) + (never_allowed(events, first) if evidence.case == "denied name" else [])
    if evidence.case == "through" or evidence.client.kind == "tls":
        return connection(events, first)
    return [word for turn in evidence.turns for word in request(events, turn)]
