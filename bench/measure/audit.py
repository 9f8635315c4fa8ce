"""The record: how fast it is verified, by its size, beside one SHA-256 over the same bytes."""
import subprocess
import time

from .figures import Section, median, spread
from .scene import Scene, grants

RULES = """network:
  rules:
    - { name: plain, to: ["api.test:80"], http: { allow: ["GET /**"] } }
"""


def measure(bench):
    section = Section("The record, by its size", ["lines", "MiB", "verify s", "lines/s", "sha256sum s"])
    with Scene(bench, "audit", grants(bench) + RULES, [("api.test", bench.ports["http"])]) as scene:
        filled, lines = fill(bench, scene)
    sizes = [share for share in (10_000, 30_000, 100_000, 300_000) if share < len(lines)] + [len(lines)]
    for size in sizes:
        point(bench, section, scene, lines[:size], size == len(lines))
    first, last = (float(section.rows[at][3].replace(",", "")) for at in (0, -1))
    section.budget("verify as the record grows", "linear: lines/s keep within a third", f"{last / first:.2f} of the smallest record's", last / first > 0.67)
    section.notes.append(f"Filled by requests of 32 connections at {filled:,.0f} lines a second, all of which were served: that is what appending allows at least, with the proxy's own work in it.")
    section.notes.append("Shorter records are the beginning of the longest; they end without their last checkpoint, which verification says and does not fail for." )
    return [section]


def fill(bench, scene):
    start = time.monotonic()
    scene.ask("requests", "--url", "http://api.test/small", "--seconds", bench.rounds(20, 1))
    took = time.monotonic() - start
    lines = scene.record.read_bytes().splitlines(keepends=True)
    return len(lines) / took, lines


def point(bench, section, scene, lines, whole):
    path = scene.dir / "prefix.jsonl"
    path.write_bytes(b"".join(lines))
    size = path.stat().st_size / (1 << 20)
    verified, summed = [], []
    for _ in range(bench.rounds(3, 1)):
        verified.append(timed([bench.creel, "audit", "verify", path]))
        summed.append(timed(["sha256sum", path]))
    section.row(f"{len(lines):,}", f"{size:.1f}", spread(verified), f"{len(lines) / median(verified):,.0f}", spread(summed))


def timed(words):
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode not in (0, 2):
        raise RuntimeError(f"{words[1]}: {done.stdout} {done.stderr}")
    return time.perf_counter() - start
