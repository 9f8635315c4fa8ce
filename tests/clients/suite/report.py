"""Prints outcomes as a table and keeps them in a Markdown file, one section for each way of running."""

import datetime
import os
import platform
import pwd
import re
import subprocess
from pathlib import Path

from suite.clients import CASES as RUN
from suite.prepare import HERE

#: Columns of the table: the cases, and what the record says of them.
CASES = (*RUN, "record")
MARK = {"passed": "pass", "failed": "FAIL", "skipped": "skip"}


def table(outcomes):
    """{client: {case: outcome}} in order."""
    rows = {}
    for outcome in outcomes:
        rows.setdefault(outcome.client, {})[outcome.case] = outcome
    return rows


def counts(outcomes):
    """The last line of a run."""
    number = {result: sum(outcome.result == result for outcome in outcomes) for result in MARK}
    text = f"{number['passed']} passed, {number['failed']} failed"
    return text + (f", {number['skipped']} skipped" if number["skipped"] else "")


def cell(outcome):
    return MARK[outcome.result] if outcome else "-"


def printed(outcomes):
    """The table as text."""
    lines = [f"{'client':32}" + "".join(f"{case:14}" for case in CASES)]
    for client, row in table(outcomes).items():
        lines.append(f"{client:32}" + "".join(f"{cell(row.get(case)):14}" for case in CASES))
    skipped = [
        f"skipped: {outcome.client}, {outcome.case}: {outcome.complaints[0]}"
        for outcome in outcomes
        if outcome.result == "skipped"
    ]
    return "\n".join([*lines, "", *skipped])


def version(*command):
    """The first line that a tool says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "absent"
    return ((done.stdout or done.stderr).strip().splitlines() or ["?"])[0][:90]


def versions(prepared, creel):
    """What took part."""
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "user": f"{'root' if os.geteuid() == 0 else 'ordinary user'}",
        "creel": version(creel, "--version") if creel else "not used",
        "curl": version("curl", "--version").split(" (")[0],
        "wget": version("wget", "--version").split(" built")[0],
        "git": version("git", "--version"),
        "python": version(prepared.python, "--version"),
        "packages": ", ".join((HERE / "requirements.txt").read_text(encoding="utf-8").split()),
        "node": version(prepared.node, "--version"),
        "java": version("java", "-version"),
        "go": version("go", "version"),
    }


def section(title, outcomes, facts):
    """One Markdown section."""
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    lines = [f"## {title}", "", f"{today}: **{counts(outcomes)}**", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += ["", "| client | " + " | ".join(CASES) + " |", "|---" * (len(CASES) + 1) + "|"]
    for client, row in table(outcomes).items():
        lines.append(f"| {client} | " + " | ".join(cell(row.get(case)) for case in CASES) + " |")
    lines.append("")
    for outcome in outcomes:
        if outcome.result != "passed":
            words = "; ".join(outcome.complaints).replace("\n", " ")[:500]
            lines.append(f"* {MARK[outcome.result]} {outcome.client}, {outcome.case}: {words}")
    return "\n".join(lines).rstrip() + "\n"


def written(path: Path, heading, title, text):
    """Puts a section into the file, in the place of one with the same title."""
    old = path.read_text(encoding="utf-8") if path.exists() else heading
    pattern = re.compile(rf"^## {re.escape(title)}$.*?(?=^## |\Z)", re.M | re.S)
    kept = pattern.sub("", old).rstrip()
    path.write_text(kept + "\n\n" + text, encoding="utf-8")


def whoami():
    """`as root` or `as an ordinary user`."""
    return "as root" if os.geteuid() == 0 or pwd.getpwuid(os.getuid()).pw_name == "root" else "as an ordinary user"
