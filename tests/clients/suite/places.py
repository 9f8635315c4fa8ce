"""Where a client runs: in a sandbox of Creel's, or directly.

`Direct` stands in for the sandbox as far as a client can see (names, port 443, the trusted authority) and denies
nothing. It exists to show that the matrix itself works, and that its denials can fail.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

POLICY = """\
version: 1
name: client-matrix
filesystem:
  workspace: {{ path: ., access: write }}
  read: [{read}]
network:
  rules:
    - name: web
      to: [allowed.test]
      http: {{ allow: ["GET /**", "POST /**"], deny: ["* /denied/**"] }}
    - {{ name: web-through, to: [through.test] }}
    - {{ name: rpc, to: [grpc.test], http: {{ allow: ["POST /creel.test.Echo/*"] }} }}
    - {{ name: rpc-through, to: [grpc-through.test] }}
"""

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Creel:
    """Runs each command in a fresh sandbox."""

    denies = True

    def __init__(self, creel, upstreams, directory, read):
        self.creel = creel
        self.upstreams = upstreams
        self.directory = directory
        self.policy = directory / "policy.yaml"
        self.policy.write_text(POLICY.format(read=", ".join(f'"{path}"' for path in read)), encoding="utf-8")
        self.count = 0
        self.record = None

    def command(self, argv, env, workspace):
        """The whole `creel run` command line."""
        self.count += 1
        resolve = [word for each in self.upstreams.resolutions() for word in ("--resolve", each)]
        given = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        record = self.record = self.directory / "records" / str(self.count)
        record.parent.mkdir(exist_ok=True)
        head = [self.creel, "run", "--policy", self.policy, "--trust", self.upstreams.authority]
        return [*map(str, head), *resolve, "--workspace", str(workspace), "--record", str(record), *given, "--", *argv]

    def verified(self):
        """What `creel audit verify` says against the last record."""
        command = [self.creel, "audit", "verify", *self.record.rglob("record.jsonl")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [f"audit verify: {(done.stdout + done.stderr).strip()[:300]}"] if done.returncode else []

    def environment(self):
        """The operator's own environment."""
        return dict(os.environ)


class Direct:
    """Runs each command in this process's namespaces, prepared by `arrange`."""

    denies = False
    record = None

    def __init__(self, directory):
        self.home = directory / "home"
        self.home.mkdir()
        self.bundle = directory / "bundle.pem"

    def command(self, argv, env, workspace):
        return [*["env", *(f"{name}={value}" for name, value in env.items())], *argv]

    def environment(self):
        """What a sandbox's environment would hold."""
        trust = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS")
        trust += ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",)
        plain = {"PATH": SEARCHED, "HOME": str(self.home), "LANG": "C.UTF-8"}
        return plain | {name: str(self.bundle) for name in trust}


ADDRESSES = {"web": "127.0.0.1", "rpc": "127.0.0.2", "resetting": "127.0.0.3", "closed": "127.0.0.4"}


def loopback_up():
    """Brings `lo` up in a new network namespace (SIOCGIFFLAGS and SIOCSIFFLAGS of netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, 0x8913, request))[1]
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", flags | 1))


def mounted(source, target):
    """Shows `source` at `target` in this mount namespace."""
    if Path(target).exists():
        subprocess.run(["mount", "--bind", str(source), target], check=True)


def arrange_names(directory, names):
    """Names by /etc/hosts: {address: [name]}."""
    loopback_up()
    hosts = directory / "hosts"
    lines = ["127.0.0.1 localhost", *(f"{address} {' '.join(all_of)}" for address, all_of in names.items())]
    hosts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    mounted(hosts, "/etc/hosts")


def arrange_trust(directory, authority):
    """The test's authority among the system's: the PEM bundle and Java's store."""
    bundle = directory / "bundle.pem"
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    bundle.write_bytes((system.read_bytes() if system.exists() else b"") + authority.read_bytes())
    mounted(bundle, str(system))
    store = Path("/etc/ssl/certs/java/cacerts")
    if store.exists() and shutil.which("keytool"):
        own = directory / "cacerts"
        shutil.copyfile(store, own)
        own.chmod(0o644)
        keytool = ["keytool", "-importcert", "-noprompt", "-alias", "creel-test", "-storepass", "changeit"]
        subprocess.run([*keytool, "-keystore", own, "-file", authority], check=True, capture_output=True)
        mounted(own, str(store))
