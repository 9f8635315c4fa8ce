"""What all measurements share: the binaries, a directory, the upstream, and what had to be left out."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from .machine import TOP

NAMES = ["api.test", "pass.test"]


class Bench:
    def __init__(self, chosen):
        self.quick, self.all = chosen.quick, chosen.all
        self.sections, self.skipped, self.failed = [], [], []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="creel-bench-"))
        self.dir.chmod(0o755)
        self.bin = self.dir / "bin"
        self.bin.mkdir()
        # Copies: what is measured must be readable for the ordinary user too, and must not change under the run.
        self.creel = self.copy(chosen.creel, "creel")
        self.load = self.copy(chosen.load or build_load(), "load")
        self.upstream = None

    def __enter__(self):
        words = [self.load, "certificates", "--dir", self.dir]
        for name in NAMES:
            words += ["--name", name]
        subprocess.run(words, check=True)
        self.upstream = subprocess.Popen([self.load, "serve", "--dir", self.dir], stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.upstream.stdout.readline())
        return self

    def __exit__(self, *_):
        self.upstream.kill()
        self.upstream.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def copy(self, path, name):
        to = self.bin / name
        shutil.copyfile(path, to)
        to.chmod(0o755)
        return to

    def directory(self, name):
        made = self.dir / name
        made.mkdir(exist_ok=True)
        return made

    def say(self, text):
        print(f"==> {text}", file=sys.stderr, flush=True)

    def skip(self, name, why):
        self.say(f"not measured: {name}: {why}")
        self.skipped.append((name, why))

    def fail(self, name, failure):
        said = getattr(failure, "stderr", None) or str(failure) or type(failure).__name__
        why = " ".join(str(said).split())[:300].replace(str(self.dir), "DIR")
        self.say(f"failed: {name}: {why}")
        self.failed.append((name, why))

    def rounds(self, full, quick):
        return quick if self.quick else full

    @property
    def ca(self):
        return self.dir / "ca.pem"

    def ask(self, verb, *words, through=()):
        """One measurement by the load generator; `through` is a prefix that runs it somewhere else."""
        done = subprocess.run([*through, self.load, verb, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"load {verb}: {done.stderr.strip() or done.returncode}")
        found = json.loads(done.stdout.splitlines()[-1])
        if found.get("errors") and not found.get("count"):
            raise RuntimeError(f"load {verb}: {found.get('error', 'errors only')}")
        return found


def build_load():
    """Builds the load generator, beside the main build's results."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "bench"
    words = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", TOP / "bench/load/Cargo.toml"]
    subprocess.run([*words, "--target-dir", target], check=True)
    return target / "release" / "load"
