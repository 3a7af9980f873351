"""The namespaces that are held open: the one that was checked is the one that a command enters."""

import os
import subprocess
from pathlib import Path

import pytest

from mydockernet.dialects.fact import Observed, Step
from mydockernet.errors import CommandFailed, NotFound
from mydockernet.kernel import namespaces
from mydockernet.kernel.door import Kernel
from mydockernet.kernel.handles import Handles
from mydockernet.value import replace


@pytest.fixture
def child():
    """A process in a network namespace of its own."""
    process = subprocess.Popen(
        ["unshare", "-rn", "sh", "-c", "echo up; exec sleep 600"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def namespace(child):
    return namespaces.find(str(child.pid))[1]


@pytest.fixture
def held(namespace):
    handles = Handles()
    handles.hold([namespace])
    yield handles
    handles.release()


def test_a_command_enters_by_the_handle_and_never_by_the_path(held, namespace):
    path = namespace.path
    _, entered, program = held.through(("nsenter", f"--net={path}", "ip"))
    assert entered.startswith(f"--net=/proc/{os.getpid()}/fd/")
    assert program == "ip"
    assert Path(entered.removeprefix("--net=")).stat().st_ino == int(namespace.inode.split(":")[1])
    added = held.through(("ip", "link", "add", "dev", "x", "type", "veth", "peer", "name", "y", "netns", path))
    assert added[-2:] == ("netns", entered.removeprefix("--net="))
    lines = f"link add dev x type veth peer name y netns {path}\nlink set dev x up\n"
    assert held.through_lines(lines) == lines.replace(path, entered.removeprefix("--net="))


def test_the_handle_outlives_what_the_path_leads_to(held, namespace, child):
    before = held.through(("nsenter", f"--net={namespace.path}", "true"))[1]
    child.kill()
    child.wait()
    assert Path(before.removeprefix("--net=")).stat().st_ino == int(namespace.inode.split(":")[1])


@pytest.mark.parametrize(
    "change",
    [
        {"inode": "1:1"},
        {"started": 1},
        {"path": "/proc/self/ns/net"},
        {"path": "/proc/self/ns/uts"},
        {"path": "/nowhere", "pid": None, "started": None},
    ],
)
def test_another_namespace_at_the_path_or_another_process_of_the_number_is_not_held(namespace, change):
    with pytest.raises(NotFound):
        namespaces.open_same(replace(namespace, **change))


def test_the_hosts_own_namespace_is_not_held_even_where_the_record_has_it(namespace):
    inode = namespaces._inode(Path("/proc/self/ns/net"))
    with pytest.raises(NotFound, match="now leads to another namespace"):
        namespaces.open_same(replace(namespace, path="/proc/self/ns/net", inode=inode, pid=None, started=None))


def test_a_path_that_was_refused_is_not_entered_by_any_command(namespace):
    ran = []
    kernel = Kernel(ran.append)
    kernel.hold([replace(namespace, inode="1:1")])
    path = namespace.path
    assert kernel.observe_inside(Observed(), [path]).inside == {}
    for do in (
        ("nsenter", f"--net={path}", "ip", "link"),
        ("ip", "link", "add", "dev", "x", "type", "veth", "peer", "name", "y", "netns", path),
    ):
        for steps in ([Step("", do)], [Step("", do)] * 2):
            with pytest.raises(CommandFailed, match="now leads to another namespace"):
                kernel.apply(steps)
    assert ran == []


def test_the_right_one_is_held_where_the_record_has_an_older_one_of_that_path_too(namespace):
    for order in ((namespace, replace(namespace, inode="1:1")), (replace(namespace, inode="1:1"), namespace)):
        handles = Handles()
        handles.hold(order)
        assert handles.refused(namespace.path) is None
        assert "/fd/" in handles.through(("nsenter", f"--net={namespace.path}", "true"))[1]
        handles.release()
