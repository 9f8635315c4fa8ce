"""mitmproxy, as `mitmdump` that prints and keeps nothing; found in the path or installed into a directory of its own."""
import pathlib
import shutil
import subprocess
import sys
import time

from .squid import free_port, started

NAME = "mitmproxy"
CACHE = pathlib.Path.home() / ".cache" / "creel-bench"


def target(bench):
    """What to ask for through it: it dials what CONNECT says."""
    return "api.test", ["--addr", f"127.0.0.1:{bench.ports['https']}"]


def installed(bench, package, program):
    """A Python program, installed once with pip if that works within ten minutes."""
    found = shutil.which(program) or CACHE / package / "bin" / program
    if pathlib.Path(found).exists():
        return str(found)
    try:
        bench.say(f"installing {package}")
        subprocess.run([sys.executable, "-m", "venv", CACHE / package], check=True, capture_output=True)
        pip = CACHE / package / "bin" / "pip"
        subprocess.run([pip, "install", "--quiet", package], check=True, capture_output=True, text=True, timeout=600)
        return str(found)
    except (OSError, subprocess.SubprocessError) as failure:
        shutil.rmtree(CACHE / package, ignore_errors=True)
        bench.skip(package, f"could not be installed with pip: {str(failure)[:120]}")
        return None


def serve(bench, stack):
    """Starts mitmdump; gives its address and the authority that clients must trust, or None."""
    program = installed(bench, "mitmproxy", "mitmdump")
    if not program:
        return None
    port, keys = free_port(), bench.directory("mitmproxy")
    words = [program, "--quiet", "--listen-host", "127.0.0.1", "--listen-port", str(port), "--set", f"confdir={keys}",
             "--set", f"ssl_verify_upstream_trusted_ca={bench.ca}", "--set", "stream_large_bodies=1m",
             "--set", "connection_strategy=lazy", "--set", "flow_detail=0", "--set", "validate_inbound_headers=false"]
    found = started(bench, stack, words, port, keys / "mitmproxy-ca-cert.pem", "mitmproxy")
    while found and not found[1].exists():
        time.sleep(0.1)
    return found
