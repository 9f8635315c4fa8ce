"""squid with ssl-bump: opens TLS, caches nothing, logs nothing, one worker for each core."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

NAME = "squid ssl-bump"
CONFIGURATION = """
http_port 127.0.0.1:{port} ssl-bump cert={dir}/bump.pem generate-host-certificates=on dynamic_cert_mem_cache_size=16MB
sslcrtd_program {helper} -s {dir}/certs -M 16MB
sslcrtd_children 5 startup=5
tls_outgoing_options cafile={ca}
acl first at_step SslBump1
ssl_bump peek first
ssl_bump bump all
hosts_file {dir}/hosts
acl all_ports port 1-65535
http_access allow all
cache deny all
access_log none
cache_log {dir}/cache.log
cache_store_log none
pid_filename none
coredump_dir {dir}
shutdown_lifetime 0 seconds
max_filedescriptors 8192
visible_hostname bench
{user}
"""


def target(bench):
    """What to ask for through it: it dials what `Host` says."""
    return f"api.test:{bench.ports['https']}", []


def serve(bench, stack):
    """Starts squid; gives its address and the authority that clients must trust, or None."""
    program = shutil.which("squid") or shutil.which("squid", path="/usr/sbin")
    helper = "/usr/lib/squid/security_file_certgen"
    if not program or not os.path.exists(helper):
        bench.skip("https: squid", "not installed (apt-get install squid-openssl)")
        return None
    where, port = bench.directory("squid"), free_port()
    # An authority of its own: if squid passed TLS through unopened, clients would refuse the upstream's certificate.
    subprocess.run([bench.load, "certificates", "--dir", where, "--name", "api.test"], check=True)
    (where / "bump.pem").write_text((where / "ca.pem").read_text() + (where / "ca-key.pem").read_text())
    (where / "hosts").write_text("127.0.0.1 api.test\n")
    subprocess.run([helper, "-c", "-s", where / "certs", "-M", "16MB"], check=True, capture_output=True)
    (where / "cache.log").touch()
    user = ""
    if os.getuid() == 0:  # squid refuses to run as root
        own(where)
        user = "cache_effective_user nobody"
    text = CONFIGURATION.format(port=port, dir=where, helper=helper, ca=bench.ca, user=user)
    (where / "squid.conf").write_text(text)
    service = f"bench{os.getpid()}"  # its shared memory has this name; killed, it leaves it behind
    stack.callback(lambda: [path.unlink() for path in pathlib.Path("/dev/shm").glob(f"{service}-*")])
    return started(bench, stack, [program, "-N", "-n", service, "-f", where / "squid.conf"], port, where / "ca.pem", "squid")


def own(where):
    """Gives a directory and all in it to `nobody`."""
    entry = pwd.getpwnam("nobody")
    for path in (where, *where.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid)


def started(bench, stack, words, port, ca, name, within=15, more=None):
    """Runs a proxy until the stack ends; gives its address and authority once it listens, or None."""
    log = open(bench.dir / f"{name}.log", "w+")
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(more or {})})
    stack.callback(log.close)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for _ in range(within * 20):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"127.0.0.1:{port}", ca
        if process.poll() is not None:
            break
        time.sleep(0.05)
    log.seek(0)
    bench.skip(name, f"did not start: {log.read().strip()[-200:]}")
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
