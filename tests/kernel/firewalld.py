"""A real firewalld and its D-Bus in a test's host: on PATH, or what `scripts/setup beside` unpacks. No test is here."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

BESIDE = ROOT / ".venv/beside"
FOLDERS = [BESIDE / "usr/bin", BESIDE / "usr/sbin"]
LIBRARIES = [BESIDE / "usr/lib/x86_64-linux-gnu", BESIDE / "lib/x86_64-linux-gnu", BESIDE / "lib/systemd"]
BACKENDS = ("nftables", "iptables")
SHIPPED = ROOT / "contrib/firewalld"
OURS = "run/firewalld"  # Its folder on the host; lib stands for /usr/lib/firewalld, etc for /etc/firewalld.


def found(program):
    """Where a program is: unpacked, or else on PATH."""
    return shutil.which(program, path=os.pathsep.join([*map(str, FOLDERS), os.environ["PATH"], "/usr/sbin"]))


needs_firewalld = pytest.mark.skipif(found("firewalld") is None, reason="`scripts/setup beside` unpacks firewalld")

BUS = """
<busconfig>
  <type>system</type><auth>EXTERNAL</auth><listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow own="*"/><allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
# Debian's modules need Debian's own Python.
WRAPPER = """#!/bin/sh
export LD_LIBRARY_PATH={libraries} PYTHONPATH={modules} GI_TYPELIB_PATH={typelibs}
exec {program} "$@"
"""


class Firewalld:
    """A bus and firewalld on a host, with the files of contrib/firewalld unless they are not `installed`."""

    def __init__(self, host, backend, installed=True):
        self.host, self.process = host, None
        self.folder = host.root / OURS
        shutil.copytree(self._of("usr/lib/firewalld"), self.folder / "lib")
        shutil.copytree(self._of("etc/firewalld"), self.folder / "etc")
        conf = self.folder / "etc/firewalld.conf"
        conf.write_text(conf.read_text().replace("FirewallBackend=nftables", f"FirewallBackend={backend}"))
        assert f"\nFirewallBackend={backend}\n" in conf.read_text()
        if installed:
            self.install()
        (self.folder / "bin").mkdir()
        for program in ("firewall-cmd", "firewalld", "dbus-daemon", "dbus-monitor", "busctl"):
            self._wrap(self.folder / "bin" / program, found(program))
        host.env["PATH"] = f"/{OURS}/bin:{host.env['PATH']}"
        (host.root / "run/dbus").mkdir()
        (self.folder / "bus.conf").write_text(BUS)
        self.bus = self._start("dbus-daemon", f"--config-file=/{OURS}/bus.conf", "--nofork", "--nopidfile")
        host.sh("until [ -S /run/dbus/system_bus_socket ]; do sleep 0.02; done")
        self.start()

    def _of(self, path):
        return BESIDE / path if (BESIDE / path).exists() else f"/{path}"

    def _wrap(self, path, program):
        python = "/usr/bin/python3 " if Path(program).read_bytes().startswith(b"#!/usr/bin/python3") else ""
        path.write_text(
            WRAPPER.format(
                libraries=":".join(map(str, LIBRARIES)),
                modules=BESIDE / "usr/lib/python3/dist-packages",
                typelibs=BESIDE / "usr/lib/x86_64-linux-gnu/girepository-1.0",
                program=f"{python}{program}",
            )
        )
        path.chmod(0o755)

    def _start(self, *command):
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([*self.host.enter, *command], env=self.host.env, stdout=log, stderr=log)

    def install(self):
        """Install the files of contrib/firewalld. firewalld reads them when it starts or reloads."""
        for folder in ("zones", "policies"):
            shutil.copytree(SHIPPED / folder, self.folder / "lib" / folder, dirs_exist_ok=True)

    def start(self):
        folders = (f"--default-config=/{OURS}/lib", f"--system-config=/{OURS}/etc")
        self.process = self._start("firewalld", "--nofork", "--nopid", "--log-target=console", *folders)
        self.host.sh("until firewall-cmd --state >/dev/null 2>&1; do sleep 0.05; done")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.cmd("--reload")

    def complete_reload(self):
        self.cmd("--complete-reload")

    def hup(self):
        """As `systemctl reload` does, which does not wait; the next command of firewall-cmd does."""
        self.process.send_signal(signal.SIGHUP)
        self.cmd("--state")

    def cmd(self, words, **options):
        """What firewall-cmd prints."""
        return self.host.run("firewall-cmd", *words.split(), **options).stdout.strip()

    def zones(self):
        """The members of each zone that has any."""
        zones, zone = {}, ""
        for line in self.cmd("--get-active-zones").splitlines():
            if line.startswith(" "):
                zones[zone] += line.partition(": ")[2].split()
            else:
                zones[zone := line.split()[0]] = []
        return {zone: members for zone, members in zones.items() if members}

    def close(self):
        for process in (self.process, self.bus):
            process.terminate()
            process.wait()
