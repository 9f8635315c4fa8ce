"""Installs and builds what the clients need into a cache directory, and says what could not be had.

Each part is stamped with a digest of its sources, so a second run does nothing. A part that cannot be made is a
reason, and every client that needs it is reported as skipped with that reason: never left out silently.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SYSTEM_PYTHON = "/usr/bin/python3"


class Missing(Exception):
    """A part that cannot be had here; the message says why."""


@dataclass
class Prepared:
    """Where things are, and what is missing: part -> reason."""

    cache: Path
    node: str = "node"
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def python(self):
        return str(self.cache / "python" / "bin" / "python3")

    @property
    def node_path(self):
        return str(self.cache / "packages" / "node_modules")


def called(command, cwd=None, env=None):
    """Runs an installer; a failure carries the last of what it said."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Missing(f"`{' '.join(map(str, command[:4]))}` failed: {' | '.join(said)[:300]}")


def found(tool):
    """The tool's path, outside anybody's home: the sandbox does not show homes."""
    path = shutil.which(tool, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/bin")
    if not path:
        raise Missing(f"{tool} is not installed in a system directory")
    return path


def packaged(tool, package):
    """The tool, from the distribution's packages if need be and if we may."""
    try:
        return found(tool)
    except Missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"{tool} is not installed and only root can install {package}") from None
        called(["apt-get", "install", "-y", "-q", "--no-install-recommends", package])
        return found(tool)


def digest(*paths):
    """One digest over sources."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def stamped(directory, stamp, make):
    """Calls `make(directory)` unless it was done already from the same sources."""
    mark = directory / ".made-from"
    if mark.is_file() and mark.read_text(encoding="utf-8") == stamp:
        return
    directory.mkdir(parents=True, exist_ok=True)
    make(directory)
    mark.write_text(stamp, encoding="utf-8")


def python(cache):
    wanted = HERE / "requirements.txt"

    def make(directory):
        called([SYSTEM_PYTHON, "-m", "venv", "--clear", directory])
        called([directory / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", wanted])

    stamped(cache / "python", digest(wanted), make)


def packages(cache):
    found("node")
    wanted = HERE / "package.json"

    def make(directory):
        shutil.copy(wanted, directory)
        called(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory)

    stamped(cache / "packages", digest(wanted), make)


def java(cache):
    found("java")
    source = HERE / "programs/JavaClient.java"
    stamped(cache / "java", digest(source), lambda directory: called([found("javac"), "-d", directory, source]))


def go(cache):
    source = HERE / "programs/go_client.go"

    def make(directory):
        compiler = packaged("go", "golang-go")
        env = {"GOCACHE": str(directory / "cache"), "GOFLAGS": "-p=2", "GO111MODULE": "off", "CGO_ENABLED": "0"}
        called([compiler, "build", "-o", directory / "client", source], env=env)

    stamped(cache / "go", digest(source), make)


def rust(cache):
    root = HERE / "rust"
    sources = [root / "Cargo.toml", root / "Cargo.lock", *sorted((root / "src").glob("*.rs"))]

    def make(directory):
        env = {"CARGO_TARGET_DIR": str(directory)}
        called(["cargo", "build", "--release", "--locked", "-j2"], cwd=root, env=env)

    stamped(cache / "rust", digest(*sources), make)


PARTS = {"python": python, "packages": packages, "java": java, "go": go, "rust": rust}
TOOLS = {"curl": "curl", "wget": "wget", "git": "git", "node": "nodejs", "openssl": "openssl"}


def prepare(cache, say):
    """Makes every part; what is missing is in the answer."""
    cache.mkdir(parents=True, exist_ok=True)
    prepared = Prepared(cache)
    for tool, package in TOOLS.items():
        attempt(prepared, tool, lambda tool=tool, package=package: packaged(tool, package), say)
    prepared.node = shutil.which("node", path="/usr/local/bin:/usr/bin") or "node"
    for part, make in PARTS.items():
        attempt(prepared, part, lambda make=make: make(cache), say)
    return prepared


def attempt(prepared, part, make, say):
    try:
        make()
    except Missing as reason:
        prepared.missing[part] = str(reason)
        say(f"cannot have {part}: {reason}")
    except OSError as error:
        prepared.missing[part] = f"cannot write the cache: {error}"
        say(f"cannot have {part}: {error}")
