"""Model calls through `inference.local`, beside direct calls and a gateway."""
import contextlib
import json

from .figures import Section, median, spread
from .peers import litellm
from .scene import Scene, grants

CALL = {"model": "mock-model", "messages": [{"role": "user", "content": "a question " * 40}]}
STREAM = {**CALL, "stream": True}
BULK = {**STREAM, "model": "bulk-model"}
PATH = "/v1/chat/completions"


class Way:
    def __init__(self, ask, url, *options):
        self.ask, self.url, self.options = ask, url, options

    def __call__(self, body, seconds, connections):
        return self.ask("requests", "--url", self.url + PATH, *self.options, "--body", json.dumps(body, separators=(",", ":")),
                        "--seconds", seconds, "--connections", connections)


def policy(bench):
    return grants(bench) + f"""inference:
  backends: [{{ name: mock, base_url: "http://127.0.0.1:{bench.ports['http']}/v1", key: none, api: openai }}]
  models: {{ default: ["mock/*"] }}
"""


def measure(bench):
    section = Section("Model calls", ["way", "p50 us, one caller", "first byte of a stream p50 us", "calls/s at 32", "long streams MiB/s"])
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(Scene(bench, "models", policy(bench)))
        ways = {"direct": Way(bench.ask, "http://mock.test", "--addr", f"127.0.0.1:{bench.ports['http']}"),
                "creel": Way(scene.ask, "http://inference.local"),
                "creel, TLS": Way(scene.ask, "https://inference.local")}
        gateway = litellm.serve(bench, stack)
        if gateway:
            addr, key = gateway
            ways[litellm.NAME] = Way(bench.ask, "http://gateway.test", "--addr", addr, "--token", key)
        for way in ways.values():
            way(CALL, bench.rounds(5, 2), 32)  # not counted: a gateway's workers load their code at the first calls
        found = {name: {} for name in ways}
        for _ in range(bench.rounds(3, 1)):
            for name, way in ways.items():
                for what, value in questions(bench, way):
                    found[name].setdefault(what, []).append(value)
    for name, seen in found.items():
        section.row(name, *[spread(values) for values in seen.values()])
    judge(section, {name: {what: median(v) for what, v in seen.items()} for name, seen in found.items()})
    section.notes.append("Calls have about 500 bytes, answers 250; streams have 20 events, long ones 20,000 (4 MiB). Upstream and client as under HTTPS, without TLS but where said.")
    return [section]


def questions(bench, way):
    seconds = bench.rounds(3, 1)
    yield "p50", way(CALL, seconds, 1)["p50_us"]
    yield "first", way(STREAM, seconds, 1)["first_p50_us"]
    yield "rate", way(CALL, seconds, 32)["per_second"]
    yield "bulk", way(BULK, seconds, 4)["mib_per_second"]


def judge(section, found):
    ours, direct = found["creel"], found["direct"]
    for what, named, most in (("p50", "a call, p50", 150), ("first", "the first byte of a stream, p50", 300)):
        added = ours[what] - direct[what]
        section.budget(f"added to {named}", f"at most {most} us", f"{added:.0f} us", added <= most)
    section.budget("calls at 32", "at least 20,000/s", f"{ours['rate']:,.0f}/s", ours["rate"] >= 20_000)
    share = ours["bulk"] / direct["bulk"] * 100
    section.budget("long streams", "at least 70 % of direct", f"{share:.0f} %", share >= 70)
