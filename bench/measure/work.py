"""Common developer work: the same commands natively, in Creel, in bubblewrap and in podman.

All ways have the same files on the same file system, the same search path and no variables of the operator's. What
Creel needs to start is part of its time, as it is of the others'. What a machine lacks is named and left out.
"""
import os
import pathlib
import shutil
import subprocess
import time

from .figures import Section, median, spread, times
from .peers import podman
from .workspace import prepare

# Each piece of work: which part of the workspace it is done on, what it needs, and what a shell does there.
WORK = {
    "git clone": ("git", ["git"], "git clone -q --no-local origin clone"),
    "git rebase of 60 commits": ("git", ["git"], "cd repository && git rebase -q --onto main base side"),
    "gcc -O2 of 60 files": ("c", ["gcc"], "for f in *.c; do gcc -O2 -c $f; done"),
    "cargo build of serde_json": ("crate", ["cargo"], "cargo build -q --offline --locked"),
    "npm ci of 160 packages": ("npm", ["npm", "node"], "npm ci -s --offline --ignore-scripts --no-audit --no-fund --cache cache"),
    "pytest, 600 tests": ("tests", ["python3"], "PYTHONPATH=site python3 -m pytest -q -p no:cacheprovider --basetemp=t ."),
    "javac and java, 41 classes": ("java", ["javac", "java"], "javac *.java && java Main"),
    "chromium: a page with a script": ("page", ["chromium"], "chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/p "
                                       "--dump-dom file://$PWD/page.html | grep -q 'made by 499999500000'"),
    "python: compile 1,000 modules": ("modules", ["python3"], "python3 -m compileall -q -f ."),
    "node: 3,000 files written, read, removed": ("js", ["node"], "node files.js"),
    "tar and gzip of 3,000 files, 20 times": ("tree", ["tar", "gzip"], "i=0; while [ $i -lt 20 ]; do tar cf - d* | gzip -1 > tree.tar.gz; i=$((i+1)); done"),
    "shell: 1,000 processes": ("nothing", ["sh"], "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done"),
}
WAYS = ("native", "creel", "bwrap", "podman")
SYSTEM = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", **{f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}


def measure(bench):
    section = Section("Developer work inside", ["work", *(f"{way} s" for way in WAYS), *(f"{way} / native" for way in WAYS[1:])])
    template = bench.directory("work-template")
    lacking = prepare(template, environment(template), bench.quick, {part for part, _, _ in WORK.values()})
    bench.directory("work-home")
    found = ways(bench)
    for name, (part, needs, script) in WORK.items():
        missing = [tool for tool in needs if not shutil.which(tool, path=environment(template)["PATH"])]
        if missing or part in lacking:
            bench.skip(f"work: {name}", f"no {', '.join(missing)}" if missing else lacking[part])
            continue
        row(bench, section, name, rounds(bench, found, (name, template / part, script)))
    section.notes.append("Each run has a fresh copy of its files, on the same file system; one round that is not counted, then interleaved. "
                         "Creel's time has its start in it, and its record of every program that was started.")
    section.notes.append("bwrap shows the whole host read-only and the workspace writable; podman mounts the host's directories of programs and the workspace. "
                         "Neither writes down what runs, and neither has a network.")
    section.notes.append("gVisor is not measured: no package of Debian 12 or PyPI has it.")
    return [section]


def rounds(bench, found, work):
    """Seconds by way. A way in which the work fails is named, and left out of that row."""
    took = {way: [] for way in found}
    for turn in range(bench.rounds(5, 1) + 1):
        for way in list(took):
            try:
                seconds = once(bench, way, work)
            except RuntimeError as failure:
                if way == "native":
                    raise
                bench.fail(f"work: {work[0]}: {way}", failure)
                del took[way]
                continue
            if turn:
                took[way].append(seconds)
    return took


def row(bench, section, name, took):
    native = median(took["native"])
    ratios = [f"{times(median(took[way]), native):.2f}" if took.get(way) else "-" for way in WAYS[1:]]
    section.row(name, *(spread(took.get(way, [])) for way in WAYS), *ratios)
    if took.get("creel") and not bench.quick:
        ours, peer = times(median(took["creel"]), native), times(median(took.get("bwrap") or [native]), native)
        section.budget(name, "at most 1.10 x native, or bwrap and a tenth", f"{ours:.2f} x", ours <= max(1.10, peer * 1.10))


def ways(bench):
    found = ["native", "creel"]
    if shutil.which("bwrap"):
        found.append("bwrap")
    else:
        bench.skip("work: bwrap", "no bwrap")
    if os.getuid() == 0 and podman.base(bench):
        found.append("podman")
    else:
        bench.skip("work: podman", "not root, or no podman that runs a container")
    return found


def environment(place):
    """What every way has: where programs are, and nothing of the operator's."""
    cargo = [str(home("CARGO_HOME") / "bin")] if home("CARGO_HOME").is_dir() else []
    toolchain = {name: str(home(name)) for name in ("CARGO_HOME", "RUSTUP_HOME") if home(name).is_dir()}
    return {"PATH": ":".join(SYSTEM + cargo), "HOME": str(place.parent / "work-home"), "LANG": "C.UTF-8", **GIT, **toolchain}


def once(bench, way, work):
    _, template, script = work
    place = bench.dir / f"work-{way}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place, symlinks=True)
    variables = {**environment(place), "XDG_STATE_HOME": str(bench.dir / "state")}
    words = {"native": native, "creel": creel, "bwrap": bwrap, "podman": contained}[way](bench, place)
    start = time.perf_counter()
    done = subprocess.run([*words, "/bin/sh", "-ec", script], cwd=place, env=variables, stdin=subprocess.DEVNULL, capture_output=True)
    took = time.perf_counter() - start
    shutil.rmtree(place, ignore_errors=True)
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {(done.stderr or done.stdout).decode(errors='replace')[-300:].strip()}")
    return took


def native(bench, place):
    return []


def creel(bench, place):
    """A policy that shows the tools where this machine keeps them, and the variables that lead there."""
    policy = bench.dir / "work.yaml"
    read = [str(home(name)) for name in ("CARGO_HOME", "RUSTUP_HOME") if home(name).is_dir()]
    policy.write_text("version: 1\nname: work\nfilesystem:\n  workspace: { path: ., access: write }\n" + (f"  read: {read}\n" if read else ""))
    words = [str(bench.creel), "run", "-q", "-T", "-p", str(policy)]
    for name, value in environment(place).items():
        if name != "HOME":
            words += ["--env", f"{name}={value}"]
    return [*words, "--"]


def bwrap(bench, place):
    return ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", str(place), str(place),
            "--unshare-all", "--die-with-parent", "--chdir", str(place), "--"]


def contained(bench, place):
    words, root, _, _ = podman.base(bench)
    shown = [path for path in ("/usr", "/etc", "/opt") if os.path.isdir(path)]
    shown += [str(home(name)) for name in ("CARGO_HOME", "RUSTUP_HOME") if home(name).is_dir()]
    words = [*words, "--rm", "--workdir", str(place), "--ulimit", "nofile=4096:4096", "--volume", f"{place}:{place}"]
    for path in shown:
        words += ["--volume", f"{path}:{path}:ro"]
    for name, value in environment(place).items():
        words += ["--env", f"{name}={value}"]
    return [*words, "--rootfs", linked(bench, root)]


def linked(bench, root):
    """podman's root with the links that make `/bin` and its like those of `/usr`."""
    place = pathlib.Path(root).with_name("podman-work")
    if not place.is_dir():
        for name in ("usr", "etc", "opt", "proc", "dev", "sys", "tmp", "run", "root"):
            (place / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                (place / name).symlink_to(f"usr/{name}")
    return str(place)


def home(name):
    default = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}[name]
    return pathlib.Path(os.environ.get(name) or pathlib.Path.home() / default)
