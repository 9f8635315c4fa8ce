"""Start to end of `/bin/true`: Creel with all layers on, beside bubblewrap and podman.

bubblewrap gets the same kind of mounts and all namespaces; it has no proxy, record, seccomp filter, Landlock domain or
limits to set up, so it is the floor and not an equal.
"""
import os
import pwd
import subprocess
import time

from .figures import Section, median, spread, times
from .peers import bwrap, podman

BUDGET = 2.0


def measure(bench):
    section = Section("Start: `/bin/true` in a sandbox, start to end", ["user", "program", "warm ms", "p90 ms", "cold ms"])
    me = "root" if os.getuid() == 0 else "ordinary user"
    for who, identity in [(me, None), *others(bench)]:
        measure_as(bench, section, who, identity)
    section.notes += [
        "warm: rounds interleaved after one that is not counted. cold: the program's own file was put out of the page cache before (`posix_fadvise`).",
        "cold leaves libraries and directories cached, because other work on the machine needs them.",
        "Creel writes and syncs its record, compiles a policy and makes a certificate authority in this time.",
    ]
    return [section]


def others(bench):
    """The ordinary user, when this is root."""
    if os.getuid() != 0:
        bench.skip("start as root", "not run by root")
        return []
    for name in ("creel-test", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return [(f"ordinary user ({name})", {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []})]
    bench.skip("start as an ordinary user", "no user `creel-test` or `nobody`")
    return []


def measure_as(bench, section, who, identity):
    home = bench.directory(f"home-{identity['user'] if identity else 'own'}")
    place = home / "project"
    place.mkdir(exist_ok=True)
    if identity:
        for path in (home, place):
            os.chown(path, identity["user"], identity["group"])
    runs = commands(bench, place, identity)
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home)}
    warm = {name: [] for name in runs}
    cold = {name: [] for name in runs}
    for turn in range(bench.rounds(60, 10) + 1):
        for name, (words, _) in runs.items():
            took = once(words, place, environment, identity)
            if turn:
                warm[name].append(took)
    for _ in range(bench.rounds(7, 2)):
        for name, (words, file) in runs.items():
            evict(file)
            cold[name].append(once(words, place, environment, identity))
    for name in runs:
        tail = sorted(warm[name])[int(len(warm[name]) * 0.9)]
        section.row(who, name, spread(warm[name]), f"{tail:.1f}", spread(cold[name]))
    judge(section, who, warm)


def judge(section, who, warm):
    ours = median(warm["creel"])
    if "bwrap" in warm:
        ratio = times(ours, median(warm["bwrap"]))
        section.budget(f"start, {who}", "at most 2 x bwrap", f"{ratio:.1f} x", ratio <= BUDGET)
    else:
        section.budget(f"start, {who}", "at most 2 x bwrap", "", None)
    section.budget(f"start, {who}", "at most 25 ms on a quiet machine", f"{ours:.1f} ms", ours <= 25)


def commands(bench, place, identity):
    runs = {"creel": ([bench.creel, "run", "-q", "--", "/bin/true"], bench.creel)}
    for peer in (bwrap, podman):
        found = peer.true(bench, place, identity)
        if found:
            name, words, file = found
            runs[name] = (words, file)
    return runs


def once(words, place, environment, identity):
    start = time.perf_counter()
    done = subprocess.run(words, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, **(identity or {}))
    took = (time.perf_counter() - start) * 1e3
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]}: {done.stderr.decode().strip()}")
    return took


def evict(path):
    """Puts one file out of the page cache, as far as nobody else has it mapped."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
