"""How long a change of policy takes to be enforced while a hundred connections are open, and whether others notice."""
import json
import queue
import subprocess
import threading
import time
import urllib.request

from .figures import Section, quantile
from .scene import Scene, grants

CONNECTIONS = 100
BUDGET = 10.0


def measure(bench):
    section = Section(f"Live change of policy, {CONNECTIONS} connections open", ["change", "asked through", "changes", "answered p50 ms", "answered p99 ms", "cut seen p50 ms", "cut seen p99 ms"])
    for title, extra in (("network", ""), ("network and files", str(bench.directory("granted")))):
        change(bench, section, title, extra)
    section.notes.append("answered: from the question to the answer that all layers enforce it. cut seen: until the client inside has read the end of a connection that is no longer allowed. Both on one clock.")
    section.notes.append("`creel policy set` starts a process and reads and compiles the document; the control socket is what it asks.")
    return [section]


def policies(bench, scene, extra):
    def text(rules, *granted):
        return grants(bench, *granted) + "network:\n  rules:\n" + "".join(
            f"    - {{ name: {name}, to: [\"{name}.test:9\"], raw: true }}\n" for name in rules)
    wide = scene.write("wide.yaml", text(["keep", "cut"], *([extra] if extra else [])))
    return wide, scene.write("narrow.yaml", text(["keep"]))


def change(bench, section, title, extra):
    port = bench.ports["drip"]
    before = dripped(bench)
    holding = [bench.load, "drip", "--keep", "keep.test:9", "--cut", "cut.test:9", "--connections", str(CONNECTIONS)]
    empty = grants(bench)
    with Scene(bench, "live-" + title.split()[-1], empty, [("keep.test", port), ("cut.test", port)]) as scene:
        wide, narrow = policies(bench, scene, extra)
        scene.set_policy(wide)
        with subprocess.Popen([*scene.inside, *holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            lines = queue.Queue()
            threading.Thread(target=lambda: [lines.put(line.split()) for line in client.stdout], daemon=True).start()
            wait_for(lines, "open")
            opened(scene)
            for through, rounds in (("control socket", bench.rounds(100, 15)), ("creel policy set", bench.rounds(25, 5))):
                apply = scene.set_policy if through == "control socket" else lambda path: command(bench, scene, path)
                found = [once(apply, narrow, wide, lines) for _ in range(rounds)]
                row(section, title, through, found)
            client.stdin.write("stop\n")
            client.stdin.close()
            said = wait_for(lines, "{")
    lost(section, title, said, dripped(bench) - before)


def once(apply, narrow, wide, lines):
    """Narrows, waits for the cut, widens, waits for the next connection: the two times in milliseconds."""
    start = time.monotonic_ns()
    apply(narrow)
    answered = time.monotonic_ns()
    cut = int(wait_for(lines, "cut")[1])
    apply(wide)
    wait_for(lines, "open")
    time.sleep(0.01)
    return (answered - start) / 1e6, (cut - start) / 1e6


def command(bench, scene, path):
    subprocess.run([bench.creel, "policy", "set", scene.name, path], check=True, capture_output=True)


def opened(scene):
    """Waits until all connections are there."""
    for _ in range(500):
        if scene.say({"do": "status"})["connections"] >= CONNECTIONS:
            return
        time.sleep(0.01)
    raise RuntimeError("the connections did not all open")


def wait_for(lines, word):
    while True:
        words = lines.get(timeout=20)
        if words[0].startswith(word):
            return words


def row(section, title, through, found):
    answered, cut = [a for a, _ in found], [c for _, c in found]
    figures = [f"{quantile(values, share):.1f}" for values in (answered, cut) for share in (0.5, 0.99)]
    section.row(title, through, len(found), *figures)
    if through == "control socket":
        worst = max(quantile(answered, 0.99), quantile(cut, 0.99))
        section.budget(f"change of {title}, p99", "at most 10 ms", f"{worst:.1f} ms", worst <= BUDGET)


def lost(section, title, said, sent):
    seen = json.loads(" ".join(said))
    difference, broken = sent - seen["kept_bytes"], seen["broken"]
    section.notes.append(f"{title}: untouched streams received {seen['kept_bytes']:,} bytes of {sent:,} sent; {broken} broken.")
    section.budget(f"untouched streams, change of {title}", "lose no byte", f"{difference} bytes lost, {broken} streams broken", difference == 0 and broken == 0)


def dripped(bench):
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.ports['http']}/dripped") as answer:
        return int(answer.read())
