"""What a decision costs as rules grow, beside Cedar and Rego (regorus) on the same rules."""
import os
import pathlib
import subprocess

from .figures import Section
from .machine import TOP

COLUMNS = ["rules", "compile ms", "exact ns", "wild ns", "addr ns", "request ns"]


def measure(bench):
    section = Section("A decision, by the number of rules", ["program", *COLUMNS])
    ours = rows(["cargo", "bench", "--quiet", "--locked", "-p", "creel-policy", "--bench", "decide"], TOP)
    for row in ours:
        section.row("creel-policy", *row)
    worst = max(float(cell) for cell in ours[-1][2:])
    section.budget("decision at 10,000 rules", "at most 1 us", f"{worst / 1e3:.2f} us", worst <= 1000)
    section.budget("compile at 10,000 rules", "under 100 ms", f"{ours[-1][1]} ms", float(ours[-1][1]) < 100)
    peers(bench, section, float(ours[-1][2]))
    section.notes.append("Peers decide only the first of the questions (an exact host, from a program): the others have no direct counterpart. Each has its rules in the form that suits it: Cedar a policy a rule, Rego a set of data and one rule over it.")
    return [section]


def peers(bench, section, ours):
    manifest = TOP / "bench/peers/decide/Cargo.toml"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "bench"
    words = ["cargo", "run", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=900).stdout
    except (OSError, subprocess.SubprocessError) as failure:
        bench.skip("decide: Cedar and regorus", f"did not build or run: {str(failure)[:160]}")
        return
    for line in found.splitlines():
        name, count, compiled, exact = line.split("\t")
        section.row(name, count, compiled, exact, "", "", "")
        if count == "10000":
            section.budget(f"exact host at 10,000 rules, beside {name}", "less", f"{ours / float(exact):.6f} of it", ours < float(exact))


def rows(words, where):
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return [line for line in lines if len(line) == len(COLUMNS) and line[0].isdigit()]
