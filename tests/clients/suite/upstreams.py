"""Starts and stops the upstream servers, and reads what reached them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / "upstream"

WEB = ("allowed.test", "through.test", "denied.test")
RPC = ("grpc.test", "grpc-through.test", "grpc-denied.test")
IMITATED = ("refused.test", "adapted.test")


@dataclass
class Server:
    """A server process and where it listens."""

    process: subprocess.Popen
    host: str
    port: int


def started(command, options, env=None):
    """Starts a server and waits for its `{"port": N}` line."""
    process = subprocess.Popen(
        [*map(str, command), json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        text=True,
    )
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{command[-1]} did not start; exit code {process.wait()}")
    return Server(process, options["host"], json.loads(line)["port"])


def repository(repos):
    """A bare repository with two branches; `main` is the default one, `later` is what a fetch brings."""
    work = repos.parent / "seed"
    env = {**os.environ, "HOME": str(repos.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    author = ["-c", "user.name=Seed", "-c", "user.email=seed@example.test", "-c", "init.defaultBranch=main"]

    def git(*arguments, cwd=None):
        subprocess.run(["git", *author, *arguments], cwd=cwd, env=env, check=True, capture_output=True)

    git("init", "-q", str(work))
    for index in range(50):
        (work / f"file{index}.txt").write_text(f"line {index}\n" * 400, encoding="utf-8")
    (work / "blob.bin").write_bytes(os.urandom(1 << 20))
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("branch", "-q", "later", cwd=work)
    git("clone", "-q", "--bare", str(work), str(repos / "repo.git"))
    bare = repos / "repo.git"
    git("config", "http.receivepack", "true", cwd=bare)
    git("checkout", "-q", "later", cwd=work)
    (work / "later.txt").write_text("later\n", encoding="utf-8")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "later", cwd=work)
    git("push", "-q", str(bare), "later", cwd=work)


class Upstreams:
    """All upstream servers of a run, in one directory with their certificates, repositories and log."""

    def __init__(self, directory, prepared, addresses=("127.0.0.1", "127.0.0.1", "127.0.0.1"), port=0):
        self.directory = directory
        self.log = directory / "upstream.log"
        self.log.touch()
        self.read = 0
        self.servers = []
        keys = directory / "keys"
        subprocess.run([HERE / "authority.sh", keys, *WEB, *RPC, *IMITATED], check=True, capture_output=True)
        self.authority = keys / "ca.pem"
        self.repos = directory / "repos"
        self.repos.mkdir()
        repository(self.repos)
        options = {"port": port, "dir": str(keys), "log": str(self.log), "repos": str(self.repos)}
        node_env = {"NODE_PATH": prepared.node_path}
        self.web = self.start([prepared.node, HERE / "web.cjs"], options | {"host": addresses[0]}, node_env)
        self.rpc = self.start([prepared.python, HERE / "rpc.py"], options | {"host": addresses[1]})
        self.resetting = self.start([prepared.node, HERE / "resetting.cjs"], options | {"host": addresses[2]})

    def start(self, command, options, env=None):
        server = started(command, options, env)
        self.servers.append(server)
        return server

    def resolutions(self):
        """HOST=ADDR:PORT for every name; denied names too, so that only the policy stands in the way."""
        web = [f"{name}={self.web.host}:{self.web.port}" for name in WEB]
        return web + [f"{name}={self.rpc.host}:{self.rpc.port}" for name in RPC]

    def news(self):
        """What reached the servers since the last question."""
        with open(self.log, encoding="utf-8") as file:
            file.seek(self.read)
            text = file.read()
            self.read = file.tell()
        return [json.loads(line) for line in text.splitlines()]

    def commit(self, branch):
        """The commit a branch of the repository is at, or nothing."""
        asked = ["git", f"--git-dir={self.repos}/repo.git", "rev-parse", "-q", "--verify", branch]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    def forget(self, branch):
        """Deletes a branch, so that the next push is a new one."""
        asked = ["git", f"--git-dir={self.repos}/repo.git", "branch", "-q", "-D", branch]
        subprocess.run(asked, capture_output=True, check=False)

    def stop(self):
        for server in self.servers:
            server.process.terminate()
        for server in self.servers:
            server.process.wait()
