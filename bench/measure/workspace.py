"""What developer work is done on: a repository, sources, crates, packages and tests, made here or fetched once before anything is measured."""
import json
import os
import shutil
import subprocess
import sys

# Packages that make about 160 directories below node_modules.
PACKAGES = {"express": "4.21.2", "typescript": "5.7.3", "eslint": "9.18.0"}


def prepare(template, environment, quick, parts):
    """Makes these parts of it below `template`; gives what could not be made, and why."""
    lacking = {}
    for name in parts:
        make, place = PARTS[name], template / name
        place.mkdir()
        try:
            make(place, environment, quick)
        except (OSError, subprocess.SubprocessError) as failure:
            said = getattr(failure, "stderr", None) or failure
            said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            lacking[name] = " ".join(said.split())[-160:]
    return lacking


def call(environment, place, *words):
    subprocess.run(words, cwd=place, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600)


def files(place, many=3000):
    for number in range(many):
        path = place / f"d{number % 60}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line of file {number}\n" * 40)


def git(place, environment, quick):
    """A repository with many files, a branch to rebase, and a bare copy of it to clone."""
    repository = place / "repository"
    files(repository, 3000 if quick else 12000)
    run = lambda *words: call(environment, repository, "git", *words)
    run("init", "-q", "-b", "main")
    run("add", ".")
    run("commit", "-qm", "begin")
    run("branch", "base")
    run("checkout", "-qb", "side")
    for number in range(60):
        (repository / f"d{number}" / f"f{number}.txt").write_text(f"changed {number}\n")
        run("commit", "-qam", f"side {number}")
    run("checkout", "-q", "main")
    for number in range(60):
        (repository / f"d{number}" / f"f{number + 60}.txt").write_text(f"main {number}\n")
    run("commit", "-qam", "main")
    run("gc", "-q")
    call(environment, place, "git", "clone", "-q", "--bare", "repository", "origin")


def modules(place, environment, quick):
    for number in range(1000):
        (place / f"m{number}.py").write_text("".join(f"def f{i}(a, b={i}):\n    return [a * b + {i} for _ in range(b)]\n" for i in range(12)))


def tests(place, environment, quick):
    """pytest below `site`, and a suite of 600 tests, some of which start a process."""
    call(environment, place, sys.executable, "-m", "pip", "install", "-q", "--target", "site", "pytest==8.3.4")
    for number in range(60):
        (place / f"test_{number}.py").write_text(
            "import json, pathlib, subprocess\nimport pytest\n\n"
            "@pytest.mark.parametrize('n', range(9))\ndef test_file(n, tmp_path):\n"
            "    path = tmp_path / 'x.json'\n    path.write_text(json.dumps({'n': n}))\n    assert json.loads(path.read_text())['n'] == n\n\n"
            "def test_process():\n    assert subprocess.run(['true']).returncode == 0\n")


def c(place, environment, quick):
    for number in range(60):
        (place / f"s{number}.c").write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + "".join(
            f"int f{number}_{i}(int a, char *b) {{ int s = {i}; for (int j = 0; j < a; j++) s = s * 31 + b[j]; return s; }}\n" for i in range(40)))


def crate(place, environment, quick):
    """A crate that uses serde_json, as this repository does: it and what it uses are in cargo's cache."""
    (place / "src").mkdir()
    (place / "Cargo.toml").write_text(
        '[package]\nname = "bench"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n\n'
        '[dependencies]\nserde_json = "1"\n')
    (place / "src" / "main.rs").write_text(
        'fn main() {\n    let numbers: Vec<u64> = (0..9).collect();\n    println!("{}", serde_json::to_string(&numbers).unwrap());\n}\n')
    call(environment, place, "cargo", "generate-lockfile", "--offline")


def npm(place, environment, quick):
    """A project with its lock file, and npm's cache with all that it names."""
    (place / "package.json").write_text(json.dumps({"name": "bench", "version": "1.0.0", "private": True, "dependencies": PACKAGES}))
    call(environment, place, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", "cache")
    shutil.rmtree(place / "node_modules")


def js(place, environment, quick):
    (place / "files.js").write_text(
        "const fs = require('fs');\nfs.mkdirSync('js');\n"
        "for (let i = 0; i < 3000; i++) fs.writeFileSync(`js/${i}`, 'x'.repeat(500));\n"
        "for (let i = 0; i < 3000; i++) fs.readFileSync(`js/${i}`);\n"
        "for (let i = 0; i < 3000; i++) fs.unlinkSync(`js/${i}`);\n")


def java(place, environment, quick):
    for number in range(40):
        (place / f"C{number}.java").write_text(f"class C{number} {{ " + " ".join(
            f"static int f{i}(int a) {{ int s = {i}; for (int j = 0; j < a; j++) s = s * 31 + j; return s; }}" for i in range(40)) + " }\n")
    (place / "Main.java").write_text("class Main { public static void main(String[] a) { int s = 0; "
                                     + " ".join(f"s += C{n}.f{n}(100000);" for n in range(40)) + " System.out.println(s); } }\n")


def page(place, environment, quick):
    (place / "page.html").write_text("<!doctype html><p id=a></p><script>let s = 0; for (let i = 0; i < 1e6; i++) s += i;"
                                     "document.getElementById('a').textContent = 'made by ' + s</script>\n")


def nothing(place, environment, quick):
    """For work that needs no files."""


def tree(place, environment, quick):
    files(place)


PARTS = {"git": git, "tree": tree, "modules": modules, "tests": tests, "c": c, "crate": crate, "npm": npm, "js": js, "java": java,
         "page": page, "nothing": nothing}
