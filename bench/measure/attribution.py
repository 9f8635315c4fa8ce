"""What it costs to know which program connects, and whether the answer is right under stress."""
import json
import subprocess
import urllib.request

from .figures import Section, median, spread
from .scene import Scene, grants

PROGRAMS = 8
EACH = 200


def measure(bench):
    return [cost(bench), stress(bench)]


def policy(bench, admitted):
    programs = ", ".join(str(bench.bin / name) for name in admitted)
    return grants(bench) + f"""network:
  rules:
    - {{ name: some, to: ["api.test:80"], from: [{programs}], http: {{ allow: ["GET /**"] }} }}
"""


def cost(bench):
    section = Section("Attribution: what `connect` costs its caller", ["where", "p50 us", "p99 us"])
    port, count = bench.ports["http"], bench.rounds(3000, 500)
    bare, caught, scans = [], [], []
    with Scene(bench, "connects", policy(bench, ["load"]), [("api.test", port)]) as scene:
        for _ in range(bench.rounds(5, 2)):
            bare.append(bench.ask("connects", "--to", f"127.0.0.1:{port}", "--count", count))
            caught.append(scene.ask("connects", "--to", "api.test:80", "--count", count))
            scans.append(bench.ask("scan", "--to", f"127.0.0.1:{port}", "--count", count // 20))
    for name, found in (("outside, bare loopback", bare), ("inside, captured and attributed", caught),
                        ("finding the same out of /proc", scans)):
        section.row(name, spread([f["p50_us"] for f in found]), spread([f["p99_us"] for f in found]))
    added = median([f["p50_us"] for f in caught]) - median([f["p50_us"] for f in bare])
    section.budget("added to a connect, p50", "at most 30 us", f"{added:.0f} us", added <= 30)
    return section


def stress(bench):
    section = Section(f"Attribution: {PROGRAMS} programs, {EACH} connections each, at once", ["round", "answered as the rules say", "seen upstream as the rules say", "as the record says"])
    names = [f"p{number}" for number in range(1, PROGRAMS + 1)]
    for name in names:
        bench.copy(bench.load, name)
    admitted, total, worst = names[: PROGRAMS // 2], PROGRAMS * EACH, PROGRAMS * EACH
    for turn in range(bench.rounds(3, 1)):
        with Scene(bench, f"stress{turn}", policy(bench, admitted), [("api.test", bench.ports["http"])]) as scene:
            before = seen_upstream(bench)
            answers = burst(scene, bench, names)
            arrived = {name: count - before.get(name, 0) for name, count in seen_upstream(bench).items()}
        counts = [right(answers, admitted), upstream_right(arrived, names, admitted), in_record(scene, names, admitted)]
        section.row(turn + 1, *[f"{count} of {total}" for count in counts])
        worst = min(worst, *counts)
    section.budget("right under stress", f"{total} of {total}", f"{worst} of {total}", worst == total)
    section.notes.append("Half of the programs are admitted by `from:`, all are copies of one file under other names, four threads each. Right means: answered as the rule says, and the record names the program that the request itself names.")
    return section


def burst(scene, bench, names):
    words = [f"{bench.bin / name} burst --host api.test --count {EACH} --threads 4 &" for name in names]
    done = subprocess.run([*scene.inside, "sh", "-c", "\n".join([*words, "wait"])], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def right(answers, admitted):
    return sum(a["admitted" if a["program"] in admitted else "refused"] for a in answers)


def seen_upstream(bench):
    """How many requests of each program have arrived so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.ports['http']}/seen") as answer:
        return json.loads(answer.read())


def upstream_right(arrived, names, admitted):
    """Requests that arrived and should, and requests that should not and did not."""
    return sum(EACH - abs(arrived.get(name, 0) - (EACH if name in admitted else 0)) for name in names)


def in_record(scene, names, admitted):
    """Requests that the record holds once, under the program that their path names, with the right verdict."""
    right, seen = 0, set()
    for line in scene.record.read_text().splitlines():
        request = json.loads(line).get("event", {}).get("unmapped", {}).get("creel", {}).get("request")
        if not request or request["phase"] != "opened":
            continue
        path = request["target"].get("path", "")
        name = path.split("/")[2] if path.startswith("/who/") else None
        if name in names and path not in seen:
            seen.add(path)
            right += program(request) == name and (request["disposition"] == "allowed") == (name in admitted)
    return right


def program(event):
    return ((event.get("program") or {}).get("path") or "").rsplit("/", 1)[-1]
