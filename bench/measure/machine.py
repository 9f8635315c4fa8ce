"""What the figures were taken on."""
import os
import pathlib
import platform
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gib():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            return round(int(line.split()[1]) / (1 << 20))
    return 0


def commit():
    """The commit, and whether what was measured may differ from it."""
    def git(*words):
        return subprocess.run(["git", "-c", "safe.directory=*", "-C", str(TOP), *words], capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.toml", "Cargo.lock")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")


def load():
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def describe():
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory_gib()} GiB",
        "kernel": platform.release(),
        "user": "root" if os.getuid() == 0 else "an ordinary user",
        "commit": commit(),
        "load before": load(),
    }
