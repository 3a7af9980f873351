"""The shipped units repair after whatever puts its rules first or deletes ours, and systemd accepts them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CONTRIB = ROOT / "contrib"
PROGRAM = "/usr/local/bin/mydockernet"
WATCHER = "/usr/local/libexec/mydockernet-firewalld"
DROP_INS = {"docker.service": "repair-after.conf", "firewalld.service": "firewalld/repair-after-stop.conf"}
OTHERS = ("docker.service", "firewalld.service", "ufw.service", "nftables.service")


def directives(name):
    """The values of each directive of a unit, in order."""
    found = {}
    for line in (CONTRIB / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_service_repairs_after_all_others_that_write_rules():
    unit = directives("mydockernet.service")
    assert {*OTHERS} <= {*unit["After"][0].split()}
    assert not {*OTHERS, "containerd.service"} & {*unit["Before"][0].split()}, "an order that has no first"
    assert unit["ExecStart"] == [f"{PROGRAM} repair"]


def test_the_service_can_be_started_again_by_the_timer():
    """A oneshot that remains after its exit is active: starting it does nothing."""
    assert "RemainAfterExit" not in directives("mydockernet.service")
    assert directives("mydockernet.timer")["OnUnitInactiveSec"] == ["1min"]


def test_the_drop_in_repairs_after_start_reload_and_stop_and_never_fails_the_other_service():
    unit = directives("repair-after.conf")
    for moment in ("ExecStartPost", "ExecReload", "ExecStopPost"):
        assert unit[moment][-1] == f"-{PROGRAM} repair"
    assert all(command.startswith("-") for commands in unit.values() for command in commands)


def test_the_watcher_comes_and_goes_with_firewalld_and_another_repair_follows_its_stop():
    unit = directives("firewalld/mydockernet-firewalld.service")
    for key in ("After", "PartOf", "WantedBy"):
        assert unit[key] == ["firewalld.service"]
    assert (unit["ExecStart"], unit["Restart"]) == ([WATCHER], ["on-failure"])
    assert directives("firewalld/repair-after-stop.conf")["ExecStopPost"] == [f"-{PROGRAM} repair"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_accepts_the_units(tmp_path):
    for name in ("mydockernet.service", "mydockernet.timer", "firewalld/mydockernet-firewalld.service"):
        text = (CONTRIB / name).read_text().replace(PROGRAM, "/bin/true").replace(WATCHER, "/bin/true")
        (tmp_path / Path(name).name).write_text(text)
    for other in ("docker.service", "firewalld.service"):
        (tmp_path / other).write_text("[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n")
        (tmp_path / f"{other}.d").mkdir()
        drop_in = (CONTRIB / DROP_INS[other]).read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / f"{other}.d/mydockernet.conf").write_text(drop_in)
    units = sorted(path for path in tmp_path.iterdir() if path.is_file())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    # It speaks of the machine's own units too.
    said = [
        line for line in (done.stdout + done.stderr).splitlines() if re.search("mydockernet|docker|firewalld", line)
    ]
    assert said == []
