"""bubblewrap: namespaces and mounts, nothing else."""
import os
import shutil


def true(bench, place, identity):
    """The name, the words that run /bin/true with Creel's kind of mounts, and the program's file."""
    program = shutil.which("bwrap")
    if not program:
        bench.skip("start: bwrap", "not installed (apt-get install bubblewrap)")
        return None
    words = [program, "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev",
             "--tmpfs", "/tmp", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt"):
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    return "bwrap", [*words, "--bind", place, place, "--chdir", place, "/bin/true"], program
