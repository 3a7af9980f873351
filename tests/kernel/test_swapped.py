"""A container's path is re-pointed between the look and the use: the host, and other containers, stay untouched."""

import contextlib
import time
from pathlib import Path

import pytest


def locked(host):
    """Hold the lock; returns the process, which gives it back when its stdin is closed."""
    lock = host.sh("ls /run/mydockernet/*.lock").stdout.strip()
    holder = host.popen("flock", lock, "sh", "-c", "echo held; read -r end")
    assert holder.stdout.readline() == "held\n"
    return holder


def waits(process):
    """Come back when the verb has opened the lock that it waits for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if any(str(link.readlink()).endswith(".lock") for link in Path(f"/proc/{process.pid}/fd").iterdir()):
                return
        time.sleep(0.02)
    raise AssertionError("it never came to its lock")


@pytest.mark.parametrize(
    ("swap", "text"),
    [
        ("ln -sfn /proc/self/ns/net /run/u/ns", "is in the host's own network namespace"),
        ("rm /run/u/ns", "no network namespace at /run/u/ns"),
        ("ln -sfn /proc/self/ns/uts /run/u/ns", "is a namespace of another type"),
    ],
)
def test_a_path_that_leads_elsewhere_once_the_lock_is_free_is_refused(host, swap, text):
    host.sh("mydockernet create web; ip netns add c1; mkdir /run/u; ln -s /run/netns/c1 /run/u/ns")
    before = host.everything()
    holder = locked(host)
    verb = host.popen("mydockernet", "connect", "web", "/run/u/ns", "--name", "c1")
    waits(verb)
    host.sh(swap)
    holder.communicate()
    out, errors = verb.communicate()
    assert (verb.returncode, out) != (0, ""), errors
    assert text in errors
    assert host.everything() == before
    host.mydockernet("check")


@pytest.mark.parametrize("at", range(6, 18, 4))
def test_the_namespace_that_was_checked_is_the_one_that_is_used(host, at):
    """The link is re-pointed to the host's namespace at any of the commands."""
    host.sh("mydockernet create web; ip netns add c1; mkdir /run/u; ln -s /run/netns/c1 /run/u/ns")
    before = host.snapshot()["host"]
    env = host.break_programs("ln -sfn /proc/self/ns/net /run/u/ns", at)
    done = host.mydockernet("connect web /run/u/ns --name c1 -v", env=env, check=False)
    after = host.snapshot()["host"]
    for part in ("links", "routes"):
        assert not [one for one in after[part] if "eth0" in str(one)], done
    if done.returncode == 0:
        assert "eth0" in host.sh("ip -n c1 link").stdout
        assert "/proc/" not in done.stderr
        assert "/run/u/ns" in done.stderr
        host.sh("ln -sfn /run/netns/c1 /run/u/ns; mydockernet check")
        host.mydockernet("disconnect web c1")
    assert host.snapshot()["host"] == before
