"""Which namespace a word means, and whether it is still the same one."""

import os

import pytest

from mydockernet.errors import Invalid, NotFound
from mydockernet.kernel import namespaces
from mydockernet.model import Namespace


@pytest.fixture
def elsewhere(monkeypatch):
    """As if each file were a namespace of its own, by its inode."""

    def inode(path):
        if not path.exists():
            raise NotFound(f"no network namespace at {path}")
        return f"1:{path.stat().st_ino}"

    monkeypatch.setattr(namespaces, "_inode", inode)


def test_a_name_comes_before_a_pid(monkeypatch, tmp_path, elsewhere):
    monkeypatch.setattr(namespaces, "NAMED", tmp_path)
    (tmp_path / "1").touch()
    assert namespaces.find("1") == ("1", Namespace(f"{tmp_path}/1", f"1:{(tmp_path / '1').stat().st_ino}"))


@pytest.mark.parametrize("word", ["nobody", "..", "", "-1", "٣", "1.5"])
def test_what_is_neither_is_not_found(monkeypatch, tmp_path, elsewhere, word):
    monkeypatch.setattr(namespaces, "NAMED", tmp_path)
    with pytest.raises(NotFound):
        namespaces.find(word)


def test_a_path_is_called_by_its_last_part_or_its_pid(tmp_path, elsewhere):
    (tmp_path / "box").touch()
    assert namespaces.find(f"{tmp_path}/box")[0] == "box"


def test_the_hosts_own_namespace_is_no_container():
    for word in (str(os.getpid()), f"/proc/{os.getpid()}/ns/net", "/proc/self/ns/net"):
        with pytest.raises(Invalid, match="in the host's own network namespace"):
            namespaces.find(word)


def test_a_file_is_no_namespace_and_not_every_namespace_is_a_networks(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="is not a network namespace"):
        namespaces.find(f"{tmp_path}/file")
    with pytest.raises(Invalid, match="is a namespace of another type"):
        namespaces.find("/proc/self/ns/uts")


def test_a_process_is_told_from_another_of_its_number():
    pid = os.getpid()
    inode = namespaces._inode(namespaces.PROC / "self/ns/net")
    mine = Namespace(f"/proc/{pid}/ns/net", inode, pid, namespaces.started(pid))
    assert namespaces.alive(mine)
    assert not namespaces.alive(Namespace(mine.path, inode, pid, mine.started + 1))
    assert not namespaces.alive(Namespace(mine.path, "1:1", pid, mine.started))
    assert not namespaces.alive(Namespace("/nowhere", inode))
    assert namespaces.started(2**22 + 1) is None
