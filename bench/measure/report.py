"""The results as Markdown."""
from . import machine

OUT = machine.TOP / "bench" / "RESULTS.md"
INTRODUCTION = """# Results

Written by `bench/run --write`. A budget is a ratio to a peer measured in the same run; absolute figures are for orientation on this machine only.
Runs are interleaved; a figure is the median of its rounds, in brackets the lowest and highest.
"""


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def word(met):
    return {True: "met", False: "**not met**", None: "not measured"}[met]


def budgets(sections):
    rows = [[s.title, what, bound, found, word(met)] for s in sections for what, bound, found, met in s.budgets]
    verdicts = [met for s in sections for *_, met in s.budgets]
    summary = (f"{verdicts.count(True)} met, {verdicts.count(False)} not met, "
               f"{verdicts.count(None)} without their peer.")
    return "## Budgets\n\n" + summary + "\n\n" + table(["measurement", "what", "budget", "found", ""], rows)


def section(of):
    parts = [f"## {of.title}", table(of.columns, of.rows)]
    if of.notes:
        parts.append("\n".join(f"* {note}" for note in of.notes))
    return "\n\n".join(parts)


def render(about, bench):
    about = {**about, "load after": machine.load(), "rounds": "quick" if bench.quick else "full"}
    parts = [INTRODUCTION, table(["", ""], [[key, str(value)] for key, value in about.items()]),
             budgets(bench.sections)]
    parts += [section(of) for of in bench.sections]
    left_out = [f"* {name}: {why}" for name, why in bench.skipped]
    if left_out:
        parts.append(f"## Not measured ({len(left_out)})\n\n" + "\n".join(left_out))
    failed = [f"* {name}: {why}" for name, why in bench.failed]
    if failed:
        parts.append(f"## Failed ({len(failed)})\n\n" + "\n".join(failed))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write(text):
    OUT.write_text(text)
