"""What processes hold and use, from /proc."""
import os
import pathlib

TICK = os.sysconf("SC_CLK_TCK")


def pss_mib(pid):
    """The proportional set size in MiB; None where it may not be read."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return None


def private_mib(pid):
    """What only this process holds, in MiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def cpu_seconds(pids):
    """CPU time that these processes have used, all threads."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def lives(pid):
    """Whether a process runs."""
    return pathlib.Path(f"/proc/{pid}/exe").is_symlink()


def family(status):
    """All processes of Creel's own for one sandbox, by their names: what the warden keeps beside itself is named by its role."""
    found = {"warden": status["warden"], "init": status["init"]}
    for pid in children(status["warden"]):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if len(words) > 1 and words[1].startswith(b"internal-"):
            found[words[1].decode().removeprefix("internal-")] = pid
    return found


def children(pid):
    """The children of every thread of a process."""
    lists = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]
