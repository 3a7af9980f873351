"""The hosts of these tests themselves: an engine with its own network works there, and leaves nothing."""

from pathlib import Path

import pytest

from tests.engines.conftest import EngineHost

RUN = "podman run -d --name c1 --network plain -p 8080:80 --rootfs /run/rootfs httpd -f -h /"

FETCH = "curl -sS --retry 9 --retry-connrefused --retry-delay 1 --max-time 9"


@pytest.mark.engine("podman>=5", "netavark", "runc", "busybox")
def test_podman_with_its_own_bridge(engine_host):
    engine_host.sh(f"podman network create plain; {RUN}")
    assert engine_host.sh(f"{FETCH} http://127.0.0.1:8080/hello").stdout == "hello\n"
    engine_host.sh("podman rm -f -t 0 c1; podman network rm plain")


@pytest.mark.engine("podman>=5", "netavark", "runc", "busybox")
def test_a_host_leaves_no_process_and_no_cgroup():
    host = EngineHost()
    host.sh(f"podman network create plain; {RUN}")
    container = host.sh("podman ps -q --no-trunc").stdout.strip()
    assert any(container in str(path) for path in Path("/sys/fs/cgroup").rglob("libpod-*"))
    host.close()
    assert not any(container in str(path) for path in Path("/sys/fs/cgroup").rglob("libpod-*"))
    assert not any(container in path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline"))
