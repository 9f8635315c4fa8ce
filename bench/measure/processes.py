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
