"""What must be true after an agent ran. Each check answers a complaint, or None."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from dialects import INPUT_TOKENS, OUTPUT_TOKENS

WORDS = "written by the agent's own tool"
COMMANDS = (f'printf "{WORDS}" > proof.txt', "sh ./search.sh")


@dataclass
class Evidence:
    """What one run left behind."""

    agent: object
    code: int
    out: str
    err: str
    workspace: Path
    state: Path
    log: list[dict]
    record: list[dict]
    record_directory: Path
    real: str
    worthless: str

    def calls(self):
        """Model calls that the backend answered."""
        return [entry for entry in self.log if entry["method"] == "POST" and entry["status"] == 200]


def ended_well(evidence):
    if evidence.code != 0:
        return f"exit status {evidence.code}: {(evidence.err + evidence.out).strip()[-900:]}"
    if evidence.agent.says not in evidence.out:
        return f"the model's last words are missing from its output: {evidence.out.strip()[-300:]!r}"
    return None


def wrote_the_file(evidence):
    proof = evidence.workspace / "proof.txt"
    if not proof.is_file():
        return "its shell tool wrote no file"
    if proof.read_text(encoding="utf-8") != WORDS:
        return f"the file holds {proof.read_text(encoding='utf-8')!r}"
    owner = proof.stat().st_uid
    return None if owner == os.getuid() else f"the file belongs to uid {owner}, not {os.getuid()}"


def backend_saw_the_real_key(evidence):
    calls = evidence.calls()
    if len(calls) < len(COMMANDS) + 1:
        return f"{len(calls)} model calls were answered, not at least {len(COMMANDS) + 1}"
    others = {key for call in calls for key in call["keys"] if key != evidence.real}
    return f"model calls carried other keys: {others}" if others else None


def backend_never_saw_the_worthless_key(evidence):
    seen = [entry["path"] for entry in evidence.log if evidence.worthless in json.dumps(entry)]
    return f"the worthless key left the sandbox, in {seen[:3]}" if seen else None


def backend_was_asked_for_its_model(evidence):
    models = {call["model"] for call in evidence.calls() if call["model"]}
    return None if models == {"mock-model"} else f"the backend was asked for {models}"


def found(evidence):
    """What search.sh counted inside."""
    path = evidence.workspace / "found.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def no_key_inside(evidence):
    counted = found(evidence)
    if not counted:
        return "the search inside wrote nothing"
    if counted["worthless"] < 1:
        return "the search inside did not even find the worthless key: it proves nothing"
    return f"the real key was found inside {counted['real']} times" if counted["real"] else None


def search_can_find(evidence):
    """Without a sandbox the agent holds the real key, and the search must find it."""
    counted = found(evidence)
    return None if counted.get("real") else f"the search found nothing where the key is in plain sight: {counted}"


def no_key_left_behind(evidence):
    real = evidence.real.encode()
    for root in (evidence.workspace, evidence.state, evidence.record_directory):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink() and real in path.read_bytes():
                return f"the real key is in {path}"
    return "the real key is in the output" if evidence.real in evidence.out + evidence.err else None


def recorded(evidence):
    calls = [event["model_call"] for event in evidence.record if "model_call" in event]
    answered = [call for call in calls if call["status"] == 200 and call["backend"]]
    wanted = [call for call in evidence.calls() if not call["path"].split("?")[0].endswith("/count_tokens")]
    if len(answered) != len(wanted):
        return f"{len(answered)} answered model calls in the record, the backend answered {len(wanted)}"
    for call in answered:
        tokens = (call["tokens"]["input"], call["tokens"]["output"])
        if tokens == (None, None) and call["api"] == "openai chat completions" and call["streamed"]:
            continue  # Without `stream_options.include_usage` the backend states none, and a call passes unchanged.
        if tokens != (INPUT_TOKENS, OUTPUT_TOKENS) or not call["complete"]:
            return f"a model call was recorded with tokens {tokens}, complete {call['complete']}"
    return None


ALWAYS = (ended_well, wrote_the_file, backend_saw_the_real_key)
DIRECTLY = (search_can_find,)
INSIDE = (
    backend_never_saw_the_worthless_key,
    backend_was_asked_for_its_model,
    no_key_inside,
    no_key_left_behind,
    recorded,
)
