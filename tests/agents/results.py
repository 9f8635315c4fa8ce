"""Keeps outcomes in a Markdown file, one section for each way of running."""

import datetime
import os
import platform
import re
import subprocess

from install import PACKAGES

HEADING = (
    "# Real agents: results\n\nMade by `tests/agents/run --write-results`; see README.md for what each check asserts.\n"
)


def counts(outcomes, skipped):
    """The last line of a run."""
    failed = sum(complaint is not None for *_, complaint in outcomes)
    text = f"{len(outcomes) - failed} passed, {failed} failed"
    return text + (f", {len(skipped)} skipped" if skipped else "")


def version(program):
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "absent"
    return (done.stdout or done.stderr).strip().splitlines()[0]


def section(title, options, outcomes, skipped):
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    installed = (
        f"{name} {number}" for package in PACKAGES.values() for name, number in package["dependencies"].items()
    )
    lines = [
        f"## {title}",
        "",
        f"{today}: **{counts(outcomes, skipped)}**",
        "",
        f"* kernel: {platform.system()} {platform.release()}",
        f"* creel: {'not used' if options.direct else version(options.creel)}",
        f"* agents: {', '.join(installed)}",
        "",
        "| agent | check | result |",
        "|---|---|---|",
    ]
    for agent, check, complaint in outcomes:
        words = "pass" if complaint is None else "FAIL: " + complaint.replace("\n", " ").replace("|", "/")[:300]
        lines.append(f"| {agent} | {check} | {words} |")
    lines += [f"| {agent} | all | skipped: {reason} |" for agent, reason in skipped]
    return "\n".join(lines) + "\n"


def write(path, options, outcomes, skipped):
    """Puts a section into the file, in the place of one with the same title."""
    who = "as root" if os.geteuid() == 0 else "as an ordinary user"
    title = ("Without a sandbox, " if options.direct else "Through creel run, ") + who
    old = path.read_text(encoding="utf-8") if path.exists() else HEADING
    kept = re.sub(rf"^## {re.escape(title)}$.*?(?=^## |\Z)", "", old, flags=re.M | re.S).rstrip()
    path.write_text(kept + "\n\n" + section(title, options, outcomes, skipped), encoding="utf-8")
