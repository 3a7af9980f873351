"""run: a command in a namespace of its own, with its own streams and exit code; all gone after, come what may."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.kernel.lab import PEER

WEB = "mydockernet create web --subnet 10.1.0.0/24"


@pytest.fixture
def web(host):
    host.sh(WEB)
    return host


def alive(pid):
    """Whether a process still runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def without_last(host):
    """All but the address given last, which a network remembers so as not to give it again at once."""
    host.sh('sed -i \'s/"last": "[0-9.]*"/"last": null/\' /var/lib/mydockernet/networks/web.json')
    return host.everything()


def test_the_command_has_its_own_streams_and_exit_code(web):
    before = web.everything()
    done = web.run("mydockernet", "run", "web", "--", "sh", "-c", "cat; echo oh >&2; exit 7", stdin="in\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "oh\n")
    assert web.mydockernet("run web -- true").stdout == ""
    assert without_last(web) == before


def test_it_is_connected_as_it_was_asked(web):
    before = web.everything()
    inside = "ip -json address show dev lan0; ip -json route show default; ip -json link show lo"
    words = ["run", "--ip", "10.1.0.77", "--ifname", "lan0", "web", "--", "sh", "-c", inside]
    address, route, lo = map(json.loads, web.mydockernet(words).stdout.splitlines())
    assert address[0]["addr_info"][0]["local"] == "10.1.0.77"
    assert (route[0]["gateway"], route[0]["dev"]) == ("10.1.0.1", "lan0")
    assert "UP" in lo[0]["flags"]
    assert web.everything() == before


def test_death_by_a_signal_is_told_as_a_shell_tells_it(web):
    assert web.mydockernet(["run", "web", "--", "sh", "-c", "kill -9 $$"], check=False).returncode == 128 + 9


def test_a_command_that_there_is_not(web):
    done = web.mydockernet("run web -- no-such-program", check=False)
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert "no-such-program" in done.stderr


def test_the_command_is_not_made_deaf_to_a_closed_pipe(web):
    done = web.mydockernet(["run", "web", "--", "sh", "-c", "yes | head -1; yes | head -1 >/dev/null"])
    assert (done.stdout, done.stderr) == ("y\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_when_it_is_told_to_end_all_is_taken_away(web, number):
    before = web.everything()
    words = ("run", "-p", "8080:80", "web", "--", "sh", "-c", "echo $$; exec sleep 1000")
    with web.popen("mydockernet", *words) as process:
        command = process.stdout.readline().strip()
        assert web.everything() != before
        process.send_signal(number)
    for _ in range(100):
        if without_last(web) == before and not alive(command):
            return
        time.sleep(0.1)
    assert web.everything() == before
    assert not alive(command)


def test_a_published_port_leads_to_it_while_it_runs(web):
    web.sh(
        "ip netns add outside; ip link add dev up1 type veth peer name eth0 netns outside;"
        "ip address add 192.0.2.1/24 dev up1; ip link set dev up1 up; ip -n outside link set dev eth0 up;"
        "ip -n outside address add 192.0.2.2/24 dev eth0"
    )
    listen = [sys.executable, str(PEER), "listen", '[["", "job", "0.0.0.0", 80]]']
    ask = [sys.executable, str(PEER), "probe"]
    with web.popen("mydockernet", "run", "-p", "8080:80", "web", "--", *listen) as process:
        assert process.stdout.readline() == "ready\n"
        assert json.loads(web.run(*ask, stdin='[["outside", "tcp", "192.0.2.1", 8080]]').stdout) == ["job 192.0.2.2"]
        process.terminate()
    assert json.loads(web.run(*ask, stdin='[["outside", "tcp", "192.0.2.1", 8080]]').stdout) == ["refused"]


def test_many_at_once_do_not_meet(web):
    before = web.everything()
    run = "mydockernet run web -- sh -c 'ip -br address show eth0; sleep 1'"
    out = web.sh(f"for i in 1 2 3 4; do {run} & done; for job in $(jobs -p); do wait $job; done").stdout
    assert len({line.split()[2] for line in out.splitlines()}) == 4
    assert without_last(web) == before


def test_a_run_that_can_not_be_connected_leaves_nothing(web):
    before = web.everything()
    web.fails("run --ip 10.9.0.1 web -- true", 2, "--ip: 10.9.0.1 is not in 10.1.0.0/24")
    web.fails("run nope -- true", 3, 'network "nope" not found')
    for at in range(1, 40):
        env = web.break_programs("echo 'no such luck' >&2; exit 9", at)
        done = web.mydockernet("run web --name job -- true", env=env, check=False)
        if web.calls() < at:
            break
        web.mydockernet("repair")
        assert web.sh("ls /run/netns").stdout == "", at
        assert without_last(web) == before, (at, done)
    assert at > 8


def test_an_odd_file_where_a_namespace_was_blocks_no_verb(host):
    """As a kill within `ip netns add` may leave it, with the journal open."""
    host.sh("mydockernet create web; mydockernet create other; ip netns add c1; mydockernet connect other c1")
    before = host.snapshot()
    host.sh(
        "mydockernet run web --name odd -- sh -c 'cp -r /var/lib/mydockernet/networks /run/kept' || :;"
        "cp /run/kept/web.json /var/lib/mydockernet/networks/; touch /run/netns/mydockernet-odd"
    )
    assert "odd" in host.mydockernet("inspect web").stdout
    host.sh("""python3 - <<'PYTHON'
import json, pathlib
folder = pathlib.Path("/var/lib/mydockernet")
after = json.loads((folder / "networks/web.json").read_text())["network"]
before = {**after, "endpoints": []}
(folder / "networks/web.json").write_text(json.dumps({"version": 1, "network": before}))
(folder / "journal.json").write_text(json.dumps({"version": 1, "before": {"web": before}, "after": {"web": after}}))
PYTHON""")
    host.mydockernet("create new")
    host.mydockernet("rm new")
    assert host.snapshot() == before
    # Foreign: the namespace of a container on record is a plain file now.
    host.sh("umount /run/netns/c1")
    host.mydockernet("create new")
    host.mydockernet("publish web odd 80", check=False)
    assert "other: container c1 is detached" in host.mydockernet("repair").stdout
    host.mydockernet("check")


def test_the_dry_run_of_a_run_leaves_nothing_where_frames_are_filtered(host):
    host.mydockernet("create web --no-icc")
    before = host.everything()
    script = host.mydockernet("run web -p 8080:80 --dry-run -- echo hello").stdout
    assert "hello\n" in host.run("sh", stdin=script).stdout
    assert host.everything() == before
