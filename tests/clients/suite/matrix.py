"""Runs the matrix: every client, every case, one command each."""

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field

from suite import judge, records
from suite.clients import CLIENTS, SIZE, TURNS
from suite.prepare import HERE

LIMIT = 60


@dataclass
class Outcome:
    """What one case came to: `passed`, `failed` or `skipped`."""

    client: str
    case: str
    result: str
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0
    turns: list[dict] = field(default_factory=list)
    command: str = ""
    stderr: str = ""


def lines(text):
    """The JSON lines that a client program printed."""
    found = []
    for line in text.splitlines():
        if line.startswith('{"') and '"url"' in line:
            found.append(json.loads(line))
    return found


def verdict(complaints):
    """The word for a list of complaints."""
    return "failed" if complaints else "passed"


class Matrix:
    """One run of the suite in one place."""

    def __init__(self, place, prepared, upstreams, directory):
        self.place = place
        self.prepared = prepared
        self.upstreams = upstreams
        self.workspaces = directory / "workspaces"
        self.workspaces.mkdir()
        self.payload = os.urandom(SIZE)
        self.wrong_in_record = []

    def filled(self, client, case):
        """The client's command with its turns."""
        names = {
            "python": self.prepared.python,
            "node": self.prepared.node,
            "cache": self.prepared.cache,
            "programs": HERE / "programs",
            "case": case.replace(" ", "-"),
        }
        return [word.format(**names) for word in client.command]

    def perform(self, argv):
        """Runs one command in a fresh workspace: (printed turns, command line, stderr, exit code, seconds)."""
        workspace = self.workspaces / str(len(list(self.workspaces.iterdir())))
        workspace.mkdir()
        (workspace / "payload.bin").write_bytes(self.payload)
        env = {"PAYLOAD": "payload.bin", "NODE_PATH": self.prepared.node_path}
        command = self.place.command(argv, env, workspace)
        started = time.monotonic()
        out, err, code = self.ended(command, workspace)
        seconds = time.monotonic() - started
        shutil.rmtree(workspace, ignore_errors=True)
        return lines(out.decode("utf-8", "replace")), command, err.decode("utf-8", "replace"), code, seconds

    def ended(self, command, workspace):
        """Runs a command to its end, or kills it and all it started: (output, errors, exit code)."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        where = {"cwd": workspace, "env": self.place.environment(), "start_new_session": True}
        with subprocess.Popen(command, **pipes, **where) as process:
            try:
                return *process.communicate(timeout=LIMIT), process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                time.sleep(1)
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                return out, err + f"\n(killed after {LIMIT} s)".encode(), -1

    def case(self, client, case):
        """Runs and judges one case."""
        lacking = [self.prepared.missing[need] for need in client.needs if need in self.prepared.missing]
        if lacking:
            return Outcome(client.name, case, "skipped", lacking)
        self.upstreams.forget("pushed")
        self.upstreams.news()
        turns, command, err, code, seconds = self.perform(self.filled(client, case) + TURNS[client.kind](case))
        evidence = judge.Evidence(client, case, turns, self.upstreams.news(), self.payload, self.upstreams)
        try:
            complaints = judge.judge(evidence, self.place.denies)
        except (KeyError, TypeError, ValueError) as error:
            complaints = [f"cannot be judged: {error!r}"]
        if not turns:
            complaints.append(f"exit code {code}: {err.strip()[-600:]}")
        self.wrong_in_record += self.record(evidence)
        words = " ".join(map(str, command))
        return Outcome(client.name, case, verdict(complaints), complaints, seconds, turns, words, err[-4000:])

    def record(self, evidence):
        """What is wrong with the record of a case; nothing where there is none to be had."""
        directory = self.place.record
        if directory is None or not evidence.turns:
            return []
        said = self.place.verified()
        try:
            found = records.complaints(evidence, records.read(directory))
        except (KeyError, TypeError, ValueError) as error:
            found = [f"the record cannot be judged: {error!r}"]
        return [f"{evidence.case}: {complaint}" for complaint in [*said, *found]]

    def run(self, only, say):
        """Every case whose client's name holds `only`."""
        outcomes = []
        for client in CLIENTS:
            if only and only.lower() not in client.name.lower():
                continue
            self.wrong_in_record = []
            for case in client.cases:
                outcomes.append(self.case(client, case))
                say(outcomes[-1])
            if self.place.denies:
                skipped = outcomes[-1].result == "skipped"
                found = outcomes[-1].complaints if skipped else self.wrong_in_record
                outcomes.append(Outcome(client.name, "record", "skipped" if skipped else verdict(found), found))
                say(outcomes[-1])
        return outcomes
