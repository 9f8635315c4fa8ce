"""What it costs to try, before each start, what must be impossible inside."""
import json
import os
import subprocess

from .figures import Section, median, spread
from .start import others

BUDGET = 5000


def measure(bench):
    section = Section("Posture: trying to break each promise, before the command runs", ["user", "promises", "attempts", "us"])
    for who, identity in [("this user", None), *others(bench)]:
        found = [once(bench, identity) for _ in range(bench.rounds(40, 5))]
        took = [one["tried_us"] for one in found]
        attempts = sum(promise["tried"] for promise in found[0]["promises"])
        section.row(who, len(found[0]["promises"]), attempts, spread(took))
        section.budget(f"posture, {who}", "at most 5 ms", f"{median(took) / 1000:.2f} ms", median(took) <= BUDGET)
    section.notes.append("Wall time from the jail's answer to the last verdict, as `creel doctor --posture --json` states it; part of each start above.")
    return [section]


def once(bench, identity):
    home = bench.directory(f"posture-{identity['user'] if identity else 'own'}")
    place = home / "project"
    place.mkdir(exist_ok=True)
    if identity:
        for path in (home, place):
            os.chown(path, identity["user"], identity["group"])
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home)}
    words = [bench.creel, "doctor", "--posture", "--json"]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, check=True, **(identity or {}))
    found = json.loads(done.stdout)
    if not found["holds"]:
        raise RuntimeError("a promise does not hold")
    return found
