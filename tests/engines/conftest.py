"""Hosts on which real container engines run, and the parts that their tests share.

`scripts/debian13 python3 -m pytest tests/engines` has the engines, and `scripts/setup beside` unpacks older ones;
elsewhere the tests are skipped, or fail if MYDOCKERNET_TEST_ENGINES is 1, as .ci/run sets it.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import CANARY, ROOT, Host

HAVE = "`scripts/debian13 python3 -m pytest tests/engines` has it, or `scripts/setup beside` unpacks it"
BESIDE = ROOT / ".venv/beside"
PATHS = ("/usr/sbin", "/sbin", "/usr/lib/podman", f"{BESIDE}/usr/bin", f"{BESIDE}/usr/sbin")
LIBRARIES = f"{BESIDE}/usr/lib/x86_64-linux-gnu:{BESIDE}/lib/x86_64-linux-gnu"

# What an engine writes to lies in a tmpfs, or in an overlay that keeps what is installed there: /etc/containers and
# /etc/cni, /opt/cni, /usr/local/libexec, /usr/share/containers. podman's locks are in /dev/shm.
SET_UP = """
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 engines /run && mkdir /run/netns /run/lock /run/cgroup
mount -t tmpfs -o mode=0755 engines /var/lib
mount -t tmpfs -o mode=1777 engines /dev/shm
for place in /etc /opt /usr/local /usr/share; do
    mkdir -p /run/over$place/upper /run/over$place/work
    mount -t overlay -o lowerdir=$place,upperdir=/run/over$place/upper,workdir=/run/over$place/work engines $place
done
mount --rbind /sys/fs/cgroup /run/cgroup && mount -t sysfs sysfs /sys && mount --move /run/cgroup /sys/fs/cgroup
rmdir /run/cgroup
ip link set dev lo up
mkdir -p /etc/containers /run/rootfs/{bin,dev,etc,proc,sys,tmp}
cp "$(command -v busybox)" /run/rootfs/bin/busybox
chroot /run/rootfs /bin/busybox --install -s /bin
echo hello >/run/rootfs/hello
echo 127.0.0.1 localhost >/run/rootfs/etc/hosts
cat >/etc/containers/containers.conf <<'END'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
END
echo ready
# As the first process, bash collects those that have lost their parent.
while :; do sleep 1000 & wait $! || :; done
"""


def pytest_runtest_setup(item):
    """Skip or fail a test that is marked with what is not here: engine("runc", "podman>=5")."""
    wanted = {need for marker in item.iter_markers("engine") for need in marker.args}
    if missing := sorted(need for need in wanted if not _is_here(need)):
        reason = f"needs {', '.join(missing)}: {HAVE}"
    elif wanted and os.geteuid() != 0:
        reason = "needs root, as `sudo scripts/debian13 python3 -m pytest tests/engines` has it"
    else:
        return
    if os.environ.get("MYDOCKERNET_TEST_ENGINES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def _is_here(need):
    program, sign, bound = re.fullmatch(r"([\w-]+)(?:(<|>=)(\d+))?", need).groups()
    found = shutil.which(program, path=os.pathsep.join((os.environ["PATH"], *PATHS)))
    if found is None or sign is None:
        return found is not None
    env = {**os.environ, "LD_LIBRARY_PATH": LIBRARIES}
    said = subprocess.run([found, "--version"], capture_output=True, text=True, env=env).stdout
    version = int(re.search(r"\d+", said).group())
    return version < int(bound) if sign == "<" else version >= int(bound)


class EngineHost(Host):
    """A host in whose namespaces an engine can run: of root, and with PIDs of its own, so that all of it ends with it.

    /run/rootfs is a root file system, of busybox. `httpd -f -h /` in it serves /hello.
    """

    rootfs = "/run/rootfs"

    def __init__(self):
        flags = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MYDOCKERNET_")}
        self.env["MYDOCKERNET_CONFIG"] = os.environ["MYDOCKERNET_CONFIG"]
        self.env["PATH"] = os.pathsep.join((f"{ROOT / '.venv/bin'}", self.env["PATH"], *PATHS))
        self.env["LD_LIBRARY_PATH"] = LIBRARIES
        # podman warns at each start where the machine has the first version of cgroups.
        self.env["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
        self.holder = subprocess.Popen(
            ["unshare", *flags, "bash", "-euc", SET_UP],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "ready\n":
            pytest.fail(f"this machine can't make a host for engines: {self.holder.stderr.read()}")
        self.first = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()[0]
        # nsenter forks because of the PIDs: the child ends with it all the same.
        ends = ("setpriv", "--pdeathsig", "KILL")
        self.enter = ("nsenter", "-t", self.first, "-m", "-n", "-p", "--", *ends, "--")
        self.root = Path(f"/proc/{self.first}/root")
        self.sh(CANARY)

    def close(self):
        if self.holder.poll() is not None:
            return
        cgroups = self._cgroups_of_containers()
        self.holder.kill()
        self.holder.communicate()
        for _ in range(500):
            if not Path(f"/proc/{self.first}").exists():
                break
            time.sleep(0.02)
        for path in sorted(cgroups, key=lambda path: len(path.parts), reverse=True):
            # Others may have processes in it as well: all conmons on the machine are in one.
            with contextlib.suppress(OSError):
                path.rmdir()

    def _cgroups_of_containers(self):
        """The cgroups of what still runs, other than those of the host itself."""
        own = (self.root / "proc/1/cgroup").read_text().splitlines()
        found = set()
        for file in (self.root / "proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                found.update({*file.read_text().splitlines()}.difference(own))
        # Beside the first version's controllers, the second version has a place of its own.
        second = "unified" if Path("/sys/fs/cgroup/unified").exists() else "."
        places = (line.split(":", 2)[1:] for line in found)
        return {
            Path("/sys/fs/cgroup", names.removeprefix("name=") or second, path.lstrip("/")) for names, path in places
        }

    def mydockernet(self, words="", env=None, check=True):
        """Run the installed program: the loaded one of Host has no /proc in the PID namespace of this host."""
        options = {"env": env, "check": False}
        done = (
            self.sh(f"mydockernet {words}", **options)
            if isinstance(words, str)
            else self.run("mydockernet", *words, **options)
        )
        assert not check or done.returncode == 0, done
        return done

    def start(self, name, command, ready):
        """Start a daemon, and return when the script `ready` succeeds. Its output is in /run/NAME.log."""
        self.sh(
            f"mkdir -p /run/daemons; {{ {command}; }} >/run/daemons/{name}.log 2>&1 & echo $! >/run/daemons/{name}.pid"
        )
        for _ in range(200):
            if self.sh(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        pytest.fail(f"{name} did not start: {self.run('cat', f'/run/daemons/{name}.log').stdout}")

    def stop(self, name, sign="TERM"):
        """End a daemon that start() started, and wait until it is gone."""
        self.sh(
            f"pid=$(cat /run/daemons/{name}.pid); kill -{sign} $pid;"
            "for i in $(seq 200); do test -e /proc/$pid || exit 0; sleep 0.1; done; exit 1"
        )


@pytest.fixture
def new_engine_host():
    hosts = []

    def make():
        hosts.append(EngineHost())
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def engine_host(new_engine_host):
    return new_engine_host()
