"""Common developer work: the same commands natively, in Creel and in bubblewrap.

Nothing is downloaded: repositories, sources and crates are made here or taken from cargo's cache. What a machine lacks
is named and left out.
"""
import os
import pathlib
import shutil
import subprocess
import time

from .figures import Section, median, spread, times

# Each piece of work: what it needs, and what a shell does for it in a fresh copy of the workspace.
GIT = "git -c user.name=bench -c user.email=bench@localhost"
WORK = {
    "git clone": (["git"], "git clone -q --no-hardlinks origin clone"),
    "git rebase of 60 commits": (["git"], f"cd repository && {GIT} rebase -q --onto main base side"),
    "gcc -O2 of 60 files": (["gcc"], "cd c && for f in *.c; do gcc -O2 -c $f || exit 1; done"),
    "cargo build, offline": (["cargo"], "cd crate && cargo build -q --offline --release"),
    "python: compile 1,000 modules": (["python3"], "python3 -m compileall -q -f modules"),
    "node: 3,000 files written, read, removed": (["node"], "node files.js"),
    "tar and gzip of 3,000 files": (["tar", "gzip"], "tar cf - tree | gzip -1 > tree.tar.gz"),
    "shell: 1,000 processes": (["sh"], "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done"),
}


def measure(bench):
    section = Section("Developer work inside", ["work", "natively s", "creel s", "bwrap s", "creel / native", "bwrap / native"])
    template = bench.directory("work-template")
    prepare(template)
    for name, (needs, script) in WORK.items():
        lacking = [tool for tool in needs if not shutil.which(tool)]
        if lacking:
            bench.skip(f"work: {name}", f"no {', '.join(lacking)}")
            continue
        took = {way: [] for way in ways(bench, template)}
        for turn in range(bench.rounds(5, 1) + 1):
            for way in took:
                found = once(bench, template, way, script)
                if turn:
                    took[way].append(found)
        row(bench, section, name, took)
    section.notes.append("Each run has a fresh copy of the workspace; one round that is not counted, then interleaved. bwrap shows the whole host read-only and the workspace writable.")
    section.notes.append("gVisor is not measured: neither Debian nor PyPI has it.")
    return [section]


def row(bench, section, name, took):
    native = median(took["native"])
    cells = [spread(took.get(way, [])) for way in ("native", "creel", "bwrap")]
    ratios = [f"{times(median(took[way]), native):.2f}" if took.get(way) else "-" for way in ("creel", "bwrap")]
    section.row(name, *cells, *ratios)


def ways(bench, template):
    found = ["native", "creel"]
    if shutil.which("bwrap"):
        found.append("bwrap")
    else:
        bench.skip("work: bwrap", "no bwrap")
    return found


def once(bench, template, way, script):
    place = bench.dir / f"work-{way}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place, symlinks=True)
    shell = ["/bin/sh", "-ec", script]
    environment = {**os.environ, "XDG_STATE_HOME": str(bench.dir / "state")}
    words = {"native": shell, "creel": creel(bench, place) + shell, "bwrap": bwrap(place) + shell}[way]
    start = time.perf_counter()
    done = subprocess.run(words, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    took = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{way}: {script}: {done.stderr.decode()[-400:].strip()}")
    return took


def creel(bench, place):
    """A policy that shows the tools where this machine keeps them, and the variables that lead there."""
    read = [str(path) for path in tools()]
    policy = bench.dir / "work.yaml"
    policy.write_text("version: 1\nname: work\nfilesystem:\n  workspace: { path: ., access: write }\n"
                      + (f"  read: {read}\n" if read else ""))
    words = [str(bench.creel), "run", "-q", "-T", "-p", str(policy)]
    for name in ("CARGO_HOME", "RUSTUP_HOME"):
        words += ["--env", f"{name}={home(name)}"]
    return [*words, "--env", f"PATH={os.environ['PATH']}", "--"]


def tools():
    """Directories of a person's own that hold a toolchain."""
    return [path for path in (home("CARGO_HOME"), home("RUSTUP_HOME")) if path.is_dir()]


def home(name):
    default = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}[name]
    return pathlib.Path(os.environ.get(name) or pathlib.Path.home() / default)


def bwrap(place):
    return ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", str(place), str(place),
            "--unshare-all", "--die-with-parent", "--chdir", str(place), "--"]


def prepare(template):
    """The workspace that all work begins in."""
    tree = template / "tree"
    for number in range(3000):
        path = tree / f"d{number % 60}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line of file {number}\n" * 40)
    modules = template / "modules"
    modules.mkdir()
    for number in range(1000):
        (modules / f"m{number}.py").write_text("".join(f"def f{i}(a, b={i}):\n    return [a * b + {i} for _ in range(b)]\n" for i in range(12)))
    sources = template / "c"
    sources.mkdir()
    for number in range(60):
        (sources / f"s{number}.c").write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + "".join(
            f"int f{number}_{i}(int a, char *b) {{ int s = {i}; for (int j = 0; j < a; j++) s = s * 31 + b[j]; return s; }}\n" for i in range(40)))
    crate = template / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "bench"\nversion = "0.1.0"\nedition = "2021"\n')
    (crate / "src" / "main.rs").write_text("".join(
        f"fn f{i}(words: &[String]) -> std::collections::HashMap<String, usize> {{\n    let mut m = std::collections::HashMap::new();\n"
        f"    for w in words {{ *m.entry(format!(\"{{w}}{i}\")).or_insert({i}) += w.len(); }}\n    m\n}}\n" for i in range(120))
        + "fn main() {\n    let words: Vec<String> = std::env::args().collect();\n    let mut n = 0;\n"
        + "".join(f"    n += f{i}(&words).len();\n" for i in range(120)) + "    println!(\"{n}\");\n}\n")
    (template / "files.js").write_text(
        "const fs = require('fs');\nfs.mkdirSync('js');\n"
        "for (let i = 0; i < 3000; i++) fs.writeFileSync(`js/${i}`, 'x'.repeat(500));\n"
        "for (let i = 0; i < 3000; i++) fs.readFileSync(`js/${i}`);\n"
        "for (let i = 0; i < 3000; i++) fs.unlinkSync(`js/${i}`);\n")
    if shutil.which("git"):
        repository(template)


def repository(template):
    """A repository with a branch to rebase, and a bare copy of it to clone."""
    place = template / "repository"
    shutil.copytree(template / "tree", place)
    git = lambda *words: subprocess.run(["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", *words],
                                        cwd=place, check=True, capture_output=True)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "begin")
    git("branch", "base")
    git("checkout", "-qb", "side")
    for number in range(60):
        (place / f"d{number}" / f"f{number}.txt").write_text(f"changed {number}\n")
        git("commit", "-qam", f"side {number}")
    git("checkout", "-q", "main")
    for number in range(60):
        (place / f"d{number}" / f"f{number + 60}.txt").write_text(f"main {number}\n")
    git("commit", "-qam", "main")
    subprocess.run(["git", "clone", "-q", "--bare", place, template / "origin"], check=True, capture_output=True)
