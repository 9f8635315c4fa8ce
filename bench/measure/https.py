"""HTTPS through the sandbox's exit, opened and passed through, beside direct and beside inspecting proxies."""
import contextlib

from .figures import Section, median, spread
from .peers import mitmproxy, squid
from .scene import Scene, grants

RULES = """network:
  rules:
    - { name: inspected, to: [api.test], http: { allow: ["GET /**"] } }
    - { name: passed, to: [pass.test] }
"""
BODY = 10 << 20
OPENED, PASSED = "creel, opened", "creel, passed through"


class Way:
    """One way to the upstream: how to ask, and what to add to the question."""

    def __init__(self, ask, *options, origin="api.test"):
        self.ask, self.options, self.origin = ask, options, origin

    def url(self, path):
        return ["--url", f"https://{self.origin}{path}", *self.options]


def measure(bench):
    section = Section("HTTPS", ["way", "requests/s at 32", "p50 us on one connection", "new connections/s", "10 MiB bodies MiB/s"])
    resolve = [(host, bench.ports["https"]) for host in ("api.test", "pass.test")]
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(Scene(bench, "https", grants(bench, bench.ca) + RULES, resolve))
        addr = f"127.0.0.1:{bench.ports['https']}"
        ways = {"direct": Way(bench.ask, "--addr", addr, "--ca", bench.ca),
                OPENED: Way(scene.ask),
                PASSED: Way(scene.ask, "--ca", bench.ca, origin="pass.test")}
        for peer in (squid, mitmproxy):
            found = peer.serve(bench, stack)
            if found:
                proxy, ca = found
                origin, options = peer.target(bench)
                ways[peer.NAME] = Way(bench.ask, *options, "--proxy", proxy, "--ca", ca, origin=origin)
        found = {name: {what: [] for what in QUESTIONS} for name in ways}
        for _ in range(bench.rounds(3, 1)):
            for name, way in ways.items():
                for what, question in QUESTIONS.items():
                    found[name][what].append(question(bench, way))
    for name, seen in found.items():
        section.row(name, *[spread(seen[what]) for what in QUESTIONS])
    judge(section, {name: {what: median(v) for what, v in seen.items()} for name, seen in found.items()})
    section.notes.append("One client and one upstream program for all, both on this machine; two threads each. TLS sessions are never resumed. Proxies are asked with CONNECT from outside; Creel's client runs inside the sandbox and knows of no proxy.")
    section.notes.append("Creel writes every connection and request into its record; squid and mitmproxy run with their logs off.")
    return [section]


def kept(bench, way):
    return way.ask("requests", *way.url("/small"), "--seconds", bench.rounds(3, 1))["per_second"]


def latency(bench, way):
    return way.ask("requests", *way.url("/small"), "--seconds", bench.rounds(2, 1), "--connections", 1)["p50_us"]


def fresh(bench, way):
    return way.ask("fresh", *way.url("/small"), "--seconds", bench.rounds(3, 1))["per_second"]


def bodies(bench, way):
    return way.ask("bodies", *way.url(f"/bytes/{BODY}"), "--count", bench.rounds(60, 15))["mib_per_second"]


QUESTIONS = {"kept": kept, "p50": latency, "fresh": fresh, "bodies": bodies}


def judge(section, found):
    ours, direct, peer = found[OPENED], found["direct"], found.get(squid.NAME)
    for what, least, named in (("fresh", 8, "new inspected connections"), ("kept", 3, "inspected requests at 32")):
        if peer:
            ratio = ours[what] / peer[what]
            section.budget(named, f"at least {least} x squid", f"{ratio:.1f} x", ratio >= least)
        else:
            section.budget(named, f"at least {least} x squid", "", None)
    added = ours["p50"] - direct["p50"]
    section.budget("added to a request on a warm connection, p50", "at most 100 us", f"{added:.0f} us", added <= 100)
    for name, least in ((OPENED, 60), (PASSED, 85)):
        share = found[name]["bodies"] / direct["bodies"] * 100
        section.budget(f"10 MiB bodies: {name}", f"at least {least} % of direct", f"{share:.0f} %", share >= least)
