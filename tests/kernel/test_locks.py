"""Locks that only root can take: no ordinary user delays a verb, and readers without rights go on without one."""

import os
import subprocess
import sys

import pytest

ORDINARY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")

# Not the launcher: it looks for its python as the user, who may not look everywhere on a developer's machine.
PROGRAM = (sys.executable, "-P", "-m", "mydockernet")


@pytest.fixture
def user(host):
    """Runs a command on the host as an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("a sandbox made without root has no second user")
    enter = ("nsenter", "-t", str(host.holder.pid), "-m", "-n", "--", *ORDINARY)

    def start(*argv):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*enter, *argv], env=host.env, text=True, **pipes)

    return start


def run(process):
    out, errors = process.communicate()
    assert "Traceback" not in errors
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


@pytest.mark.parametrize("how", ["--exclusive", "--shared"])
def test_an_ordinary_user_cannot_hold_the_lock(host, user, how):
    host.mydockernet("create web")
    holder = user("flock", "--no-fork", how, "/proc/self/ns/net", "sh", "-c", "echo held; exec sleep 600")
    assert holder.stdout.readline() == "held\n"
    for words in ("create new", "check", "repair", "rm new"):
        host.mydockernet(f"{words} --lock-timeout 0")
    lock = host.sh("ls /run/mydockernet/*.lock").stdout.strip()
    assert "Permission denied" in run(user("flock", "--nonblock", lock, "true")).stderr
    holder.kill()
    holder.communicate()


def test_the_lock_of_the_host_is_shared_by_all_state_folders(host):
    host.mydockernet("create web")
    lock = host.sh("ls /run/mydockernet/*.lock").stdout.strip()
    assert host.sh(f"stat -c '%a %u' /run/mydockernet {lock}").stdout.split() == ["700", "0", "600", "0"]
    assert lock == host.sh("stat -Lc '/run/mydockernet/%d-%i.lock' /proc/self/ns/net").stdout.strip()
    for words in ("create new", "check", "create new --state-dir /run/other"):
        done = host.run("flock", lock, "mydockernet", *words.split(), "--lock-timeout", "0", check=False)
        assert (done.returncode, done.stdout) == (6, "")
        assert "holds the lock of this network namespace" in done.stderr
    host.run("flock", "--shared", lock, "mydockernet", "check", "--lock-timeout", "0")


def test_a_user_without_rights_checks_without_the_lock(host, user):
    host.mydockernet("create web")
    host.sh("chmod -R go+rX /var/lib/mydockernet")
    for locks in ("", "rm -r /run/mydockernet"):
        host.sh(locks)
        done = run(user(*PROGRAM, "check"))
        assert "note: checked without the lock" in done.stderr, done
        assert "error" not in done.stderr
        plan = run(user(*PROGRAM, "create", "new", "--dry-run", "--subnet", "10.9.0.0/24"))
        # There are networks, whose rules this user may not read: no plan is better than a guess.
        assert (plan.stdout, "hint: sudo mydockernet" in plan.stderr) == ("", True)


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        ("mkdir -m 0777 /run/mydockernet", "chmod 0700 /run/mydockernet"),
        ("mkdir -m 0700 /run/elsewhere; ln -s elsewhere /run/mydockernet", "cannot open the lock in /run/mydockernet"),
        ("touch /run/mydockernet", "cannot open the lock in /run/mydockernet"),
    ],
)
def test_a_lock_folder_that_others_could_use_is_refused(host, planted, text):
    host.sh(planted)
    host.fails("create web", 1, text)
    assert host.state() == {}


def test_a_link_in_the_place_of_the_lock_is_not_followed(host):
    host.mydockernet("create web")
    host.sh("cd /run/mydockernet; touch /run/victim; ln -sf /run/victim $(ls)")
    host.fails("create new", 1, "cannot open the lock in /run/mydockernet")
