"""What each client does when a proxy says 403, resets the connection, or nobody listens.

No sandbox takes part: an upstream imitates the refusals. The table tells whoever words a refusal which clients
can pass the words on, and how long each one tries again before it gives up.
"""

from suite.clients import CLIENTS
from suite.matrix import Outcome

WAYS = {"403": "refused.test", "adapted": "adapted.test", "reset": "reset.test", "closed": "closed.test"}
HEADING = (
    "# What clients do when they are refused\n\n"
    "Made by `tests/clients/run --refusals --write-results`, without a sandbox: `403` is an HTTP 403 with a JSON body\n"
    "over TLS, `adapted` the same in the client's own dialect (gRPC status 7 in trailers, plain text for git, a reason\n"
    "phrase in HTTP/1.1), `reset` a TCP reset after the first bytes, `closed` a port nobody listens on.\n"
    "Milliseconds are the client's own.\n"
)


def turns(client, host):
    """One turn of the client's kind against `host`."""
    return {
        "http": [f"GET=https://{host}/x"],
        "ws": [f"WS=wss://{host}/x"],
        "git": [f"CLONE=https://{host}/git/repo.git"],
        "grpc": [f"UNARY={host}:443"],
    }[client.kind]


def words(turn):
    """What a person would read."""
    said = turn.get("error") or turn.get("said") or ""
    status = turn.get("status") if turn.get("status") is not None else turn.get("code", "")
    return f"{status} {said}".strip().replace("\n", " ").replace("|", "/")[:260]


def observe(matrix, options, here):
    """Runs every client against every way; prints, and with `--write-results` keeps, the table."""
    lines = ["| client | refusal | ms | what it says |", "|---|---|---|---|"]
    outcomes = []
    for client in CLIENTS:
        if client.kind not in ("http", "ws", "git", "grpc") or options.only.lower() not in client.name.lower():
            continue
        if any(need in matrix.prepared.missing for need in client.needs):
            outcomes.append(Outcome(client.name, "refusals", "skipped"))
            continue
        for way, host in WAYS.items():
            printed, _, err, code, _ = matrix.perform(matrix.filled(client, way) + turns(client, host))
            turn = printed[0] if printed else {"error": f"exit {code}: {err[-200:]}", "ms": "-"}
            lines.append(f"| {client.name} | {way} | {turn['ms']} | {words(turn)} |")
            print(lines[-1], flush=True)
    if options.write_results:
        (here / "REFUSALS.md").write_text(HEADING + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 2} observed, {len(outcomes)} skipped")
    return 0
