"""A real program in a container that a real runtime made, asked by a host outside."""

import json
import sys

from tests.cli.test_readme import session
from tests.kernel.lab import PEER

OUTSIDE = """
ip netns add outside
ip link add dev up1 type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev up1; ip link set dev up1 up
ip -n outside address add 192.0.2.2/24 dev eth0; ip -n outside link set dev eth0 up
"""


def test_a_web_server_in_a_container_of_runc_is_reached_from_outside(bare_host):
    before = bare_host.snapshot()
    bare_host.sh(OUTSIDE)
    commands = [command for command, _ in session("docs/recipes.md")]
    start = next(number for number, command in enumerate(commands) if "rootfs" in command)
    connect = next(number for number, command in enumerate(commands) if "--name box" in command)
    bare_host.sh("\n".join([commands[0], *commands[start : connect + 1]]))
    ask = ["nsenter", "--net=/run/netns/outside", "curl", "-s", "--retry", "9", "--retry-connrefused"]
    page = bare_host.run(*ask, "-o", "/run/got", "-w", "%{http_code}", "http://192.0.2.1:8081/busybox")
    assert page.stdout == "200"
    assert bare_host.sh("cmp /run/got $(command -v busybox)").returncode == 0
    refused = bare_host.run(sys.executable, str(PEER), "probe", stdin='[["outside", "tcp", "192.0.2.1", 8082]]')
    assert json.loads(refused.stdout) == ["refused"]
    bare_host.sh("runc --root /run/runc delete --force box")
    done = bare_host.mydockernet("rm web")
    assert 'the namespace of container "box" was already gone' in done.stderr
    bare_host.sh("ip link del dev up1; ip netns del outside")
    assert bare_host.snapshot() == before
