"""The client that the tests of the CNI plugin use is a runtime to the plugins that everybody uses."""

import os
import shutil

import pytest

from tests.conftest import ROOT
from tests.kernel.cni_client import Refused, Runtime

PLUGINS = os.pathsep.join([str(ROOT / ".venv/beside/usr/lib/cni"), "/usr/lib/cni"])
pytestmark = pytest.mark.skipif(
    shutil.which("bridge", path=PLUGINS) is None, reason="needs the CNI plugins: `scripts/setup beside` unpacks them"
)
CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "theirs",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "theirs0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.77.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/theirs",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def test_the_usual_plugins_attach_check_and_detach(host):
    host.sh("ip netns add c1; ip netns add c2")
    before = host.snapshot()
    runtime = Runtime(host, CONFLIST, PLUGINS)
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    result = runtime.add("id1", "c1", portMappings=ports)
    assert result["ips"] == [{"address": "10.77.0.2/24", "gateway": "10.77.0.1", "interface": 2}]
    assert "10.77.0.2:80" in str(host.rules()["nat"])
    runtime.add("id2", "c2", args="IgnoreUnknown=1;K8S_POD_NAME=two")
    # portmap 1.1 looks for rules of IPv6 as well, if there are ports.
    runtime.check("id2")
    host.sh("ip -n c2 addr flush dev eth0")
    with pytest.raises(Refused, match=r"999: .*10\.77\.0\.3"):
        runtime.check("id2")
    with pytest.raises(Refused):
        runtime.add("id1", "c1", portMappings=ports)
    runtime.delete("id1", netns="")
    runtime.delete("id1")
    runtime.delete("id2")
    after = host.snapshot()
    assert {*after["inside"]["c2"]["links"]} == {*before["inside"]["c2"]["links"]}
    assert "8080" not in str(after["rules"])
