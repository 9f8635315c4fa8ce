"""Memory and CPU of idle sandboxes: one beside podman's conmon, and the curve up to five hundred."""
import contextlib
import resource
import time

from . import processes
from .figures import Section
from .peers import podman
from .scene import Scene


def measure(bench):
    one = Section("Idle memory of one sandbox", ["what", "PSS MiB", "of it private MiB"])
    curve = Section("Many idle sandboxes", ["sandboxes", "PSS of all MiB", "PSS of each MiB", "CPU of all, % of a core", "started one after another, /s"])
    # Each sandbox has three pipes to this program.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        running, alone = [], None
        for count in bench.rounds([1, 10, 100, 500], [1, 5, 10]):
            began, before = time.monotonic(), len(running)
            while len(running) < count:
                scene = stack.enter_context(Scene(bench, f"idle{len(running)}", None, bare=True))
                running.append(processes.family(scene.status))
            rate = (count - before) / (time.monotonic() - began)
            time.sleep(bench.rounds(5, 1))
            alone = alone or single(bench, one, running[0])
            if alone is None:
                return [one]
            share, each = point(bench, curve, running, rate)
    judge(curve, len(running), share, each)
    beside(bench, one)
    one.notes.append("PSS shares what several processes map; with one sandbox running that is all of Creel: warden, init, and the sweeper that removes control groups after a warden that was killed. The command itself (`sleep`) is not counted.")
    one.notes.append("podman keeps nothing but conmon running for an idle container; it serves no policy, proxy or record.")
    curve.notes.append("What the kernel holds for namespaces, mounts and sockets is not in it. CPU is counted in ticks of 10 ms.")
    return [one, curve]


def single(bench, section, family):
    found = {name: processes.pss_mib(pid) for name, pid in family.items()}
    if None in found.values():
        bench.skip("idle memory", "the kernel does not show this user the memory of its own sandbox's init")
        section.row("creel", "not readable by this user", "-")
        section.budget("memory of one idle sandbox", "at most 8 MiB PSS", "", None)
        return None
    for name, pss in found.items():
        section.row(f"creel: {name}", f"{pss:.1f}", f"{processes.private_mib(family[name]):.1f}")
    total = sum(found.values())
    section.row("creel, all", f"{total:.1f}", "")
    section.budget("memory of one idle sandbox", "at most 8 MiB PSS", f"{total:.1f} MiB", total <= 8)
    return total


def point(bench, section, running, rate):
    """What all take now; the CPU as a share of one core, the memory of each."""
    alive = [family for family in running if all(processes.lives(pid) for pid in family.values())]
    if len(alive) < len(running):
        bench.skip("idle sandboxes", f"{len(running) - len(alive)} of {len(running)} had ended")
    pids = [pid for family in alive for pid in family.values()]
    used, lasting = processes.cpu_seconds(pids), bench.rounds(20, 2)
    time.sleep(lasting)
    share = (processes.cpu_seconds(pids) - used) / lasting * 100
    pss = sum(processes.pss_mib(pid) or 0 for pid in pids)
    section.row(len(alive), f"{pss:.0f}", f"{pss / len(alive):.1f}", f"{share:.2f}", f"{rate:.0f}")
    return share / len(alive), pss / len(alive)


def judge(section, count, share, each):
    """The budget is for five hundred; where fewer were run, what they take is taken by proportion."""
    gib, cpu = each * 500 / 1024, share * 500
    what = "500 idle sandboxes" if count == 500 else f"500 idle sandboxes, by proportion from {count}"
    section.budget(what, "at most 5 GiB", f"{gib:.1f} GiB", gib <= 5)
    section.budget(what, "under 2 % of a core", f"{cpu:.2f} %", cpu < 2)


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
