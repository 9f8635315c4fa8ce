"""A running sandbox with a policy, in which measurements are started."""
import json
import os
import socket
import subprocess
import time


class Silence(RuntimeError):
    """The sandbox did not answer."""


class Scene:
    """`with Scene(bench, name, rules) as scene:` runs an idle sandbox until the block ends."""

    def __init__(self, bench, name, policy, resolve=(), command=("sleep", "100000"), bare=False):
        self.bench, self.name = bench, f"{name}-{os.getpid()}"
        self.dir = bench.directory(self.name)
        self.workspace = bench.directory(f"{self.name}/workspace")
        self.policy = self.write("policy.yaml", policy) if policy is not None else None
        self.options, self.command, self.bare = [], list(command), bare
        for host, port in resolve:
            self.options += ["--resolve", f"{host}=127.0.0.1:{port}"]

    def write(self, name, policy):
        path = self.dir / name
        path.write_text("version: 1\nname: bench\n" + policy)
        return path

    @property
    def record(self):
        return self.dir / "record" / "record.jsonl"

    @property
    def environment(self):
        return {**os.environ, "XDG_STATE_HOME": str(self.dir / "state")}

    def words(self):
        words = [self.bench.creel, "run", "-q", "-T", "-n", self.name, "-w", self.workspace,
                 "--record", self.dir / "record"]
        words += ["-p", self.policy] if self.policy else []
        words += [] if self.bare else ["--trust", self.bench.ca]
        return [*words, *self.options, "--", *self.command]

    def __enter__(self):
        self.process = subprocess.Popen(self.words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=self.environment)
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.status = self.say({"do": "status"})
                return self
            except OSError:
                time.sleep(0.005)
        self.process.kill()
        raise RuntimeError(f"the sandbox did not start: {self.process.stderr.read().strip()}")

    def __exit__(self, *_):
        try:
            self.say({"do": "stop", "grace_seconds": 0})
        except (OSError, Silence):
            pass  # it ends before it answers, or has ended already
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def say(self, request):
        """One question to the control socket, as `creel` itself asks it."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(f"\0creel/{os.getuid()}/{self.name}")
            link.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = link.recv(1 << 16)
                if not more:
                    raise Silence(f"{self.name} hung up on {request['do']}")
                answer += more
        said = json.loads(answer)
        if said["is"] == "refused":
            raise RuntimeError(f"{said['why']}: {' '.join(said['details'])}")
        return said

    def set_policy(self, path):
        document = {"name": path.name, "text": path.read_text(), "base": str(path.parent)}
        return self.say({"do": "policy-set", "documents": [document], "force": False})

    @property
    def inside(self):
        """The words that run a command inside."""
        return [self.bench.creel, "exec", self.name, "--"]

    def ask(self, verb, *words):
        return self.bench.ask(verb, *words, through=self.inside)


def grants(bench, *more):
    """The `filesystem` part of a policy that lets the load generator run inside."""
    paths = ", ".join(str(path) for path in (bench.bin, *more))
    return f"filesystem: {{ read: [{paths}] }}\n"
