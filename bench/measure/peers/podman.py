"""podman with crun, or with runc where crun refuses, on a root directory that holds one static program: no image to unpack, no network to set up."""
import os
import shutil
import subprocess


def base(bench):
    """The words up to the command, or None where containers cannot be run here."""
    program = shutil.which("podman")
    if not program:
        return None
    if not hasattr(bench, "podman"):
        bench.podman = prepare(bench, program)
    return bench.podman


def prepare(bench, program):
    root = bench.directory("podman-root")
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    source = bench.dir / "idle.c"
    source.write_text("#include <unistd.h>\nint main(int n, char **a) { if (n > 1) pause(); return 0; }\n")
    compiled = subprocess.run(["cc", "-static", "-Os", "-o", root / "bin/idle", source], capture_output=True)
    if compiled.returncode != 0:
        bench.skip("podman", "no static C library to build its one program with")
        return None
    for runtime in filter(shutil.which, ("crun", "runc")):
        words = [program, "--runtime", runtime, "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "run",
                 "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--log-driver", "none"]
        tried = subprocess.run([*words, "--rm", "--rootfs", root, "/bin/idle"], capture_output=True, text=True)
        if tried.returncode == 0:
            return words, str(root), program, f"podman+{runtime}"
        bench.skip(f"podman+{runtime}", f"runs no container here: {tried.stderr.strip()[:160]}")
    return None


def true(bench, place, identity):
    """The words that run a program that ends at once, and podman's own file; its name says the runtime."""
    if identity or os.getuid() != 0:
        bench.skip("start: podman as an ordinary user", "needs subordinate ids, newuidmap and a network helper")
        return None
    found = base(bench)
    if not found:
        if not shutil.which("podman"):
            bench.skip("start: podman", "not installed (apt-get install podman crun)")
        return None
    words, root, program, name = found
    return name, [*words, "--rm", "--rootfs", root, "/bin/idle"], program


def idle(bench):
    """Starts an idle container; gives the process ids of conmon and of the program, or None."""
    found = base(bench) if os.getuid() == 0 else None
    if not found:
        return None
    words, root, program, _ = found
    made = subprocess.run([*words, "-d", "--rootfs", root, "/bin/idle", "stay"], capture_output=True, text=True, check=True)
    name = made.stdout.strip()
    shown = subprocess.run([program, "--storage-driver", "vfs", "inspect", "-f", "{{.State.ConmonPid}} {{.State.Pid}}", name],
                           capture_output=True, text=True, check=True)
    return name, [int(word) for word in shown.stdout.split()]


def remove(name):
    subprocess.run(["podman", "--storage-driver", "vfs", "rm", "-f", "-t", "0", name], capture_output=True)
