"""Memory and CPU of idle sandboxes: one beside podman's conmon, and the curve up to fifty."""
import contextlib
import time

from . import processes
from .figures import Section
from .peers import podman
from .scene import Scene


def measure(bench):
    one = Section("Idle memory of one sandbox", ["what", "PSS MiB", "of it private MiB"])
    curve = Section("Many idle sandboxes", ["sandboxes", "PSS of all MiB", "PSS of each MiB", "CPU of all, % of a core"])
    with contextlib.ExitStack() as stack:
        running, alone = [], None
        for count in bench.rounds([1, 10, 25, 50], [1, 5, 10]):
            while len(running) < count:
                scene = stack.enter_context(Scene(bench, f"idle{len(running)}", None, bare=True))
                running.append((scene.status["warden"], scene.status["init"]))
            time.sleep(bench.rounds(5, 1))
            alone = alone or single(bench, one, running[0])
            if alone is None:
                return [one]
            share, each = point(bench, curve, running)
    judge(curve, len(running), share, each)
    beside(bench, one)
    one.notes.append("PSS shares what several processes map; with one sandbox running that is all of Creel, warden and init. The command itself (`sleep`) is not counted.")
    one.notes.append("podman keeps nothing but conmon running for an idle container; it serves no policy, proxy or record.")
    curve.notes.append("What the kernel holds for namespaces, mounts and sockets is not in it. CPU is counted in ticks of 10 ms.")
    return [one, curve]


def single(bench, section, pair):
    found = [processes.pss_mib(pid) for pid in pair]
    if None in found:
        bench.skip("idle memory", "the kernel does not show this user the memory of its own sandbox's init")
        section.row("creel", "not readable by this user", "-")
        section.budget("memory of one idle sandbox", "at most 8 MiB PSS", "", None)
        return None
    for name, pid, pss in zip(("creel: warden", "creel: init"), pair, found):
        section.row(name, f"{pss:.1f}", f"{processes.private_mib(pid):.1f}")
    section.row("creel, all", f"{sum(found):.1f}", "")
    section.budget("memory of one idle sandbox", "at most 8 MiB PSS", f"{sum(found):.1f} MiB", sum(found) <= 8)
    return sum(found)


def point(bench, section, running):
    pids = [pid for pair in running for pid in pair]
    used, lasting = processes.cpu_seconds(pids), bench.rounds(10, 2)
    time.sleep(lasting)
    share = (processes.cpu_seconds(pids) - used) / lasting * 100
    pss = sum(processes.pss_mib(pid) or 0 for pid in pids)
    section.row(len(running), f"{pss:.0f}", f"{pss / len(running):.1f}", f"{share:.2f}")
    return share / len(running), pss / len(running)


def judge(section, count, share, each):
    """The budget is for five hundred; fewer are run, and what they take is taken by proportion."""
    gib, cpu = each * 500 / 1024, share * 500
    section.budget(f"500 idle sandboxes, by proportion from {count}", "at most 5 GiB", f"{gib:.1f} GiB", gib <= 5)
    section.budget(f"500 idle sandboxes, by proportion from {count}", "under 2 % of a core", f"{cpu:.2f} %", cpu < 2)


def beside(bench, section):
    found = podman.idle(bench)
    if not found:
        bench.skip("idle memory: podman + conmon", "no container can be run here")
        return
    name, (conmon, _) = found
    time.sleep(1)
    pss = processes.pss_mib(conmon)
    section.row("podman: conmon", f"{pss:.1f}", f"{processes.private_mib(conmon):.1f}")
    podman.remove(name)
