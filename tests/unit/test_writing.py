"""A file that an admin names is written whole or not at all, and replaces nothing but a file."""

import os
from pathlib import Path

import pytest

from mydockernet.errors import Failed, Invalid
from mydockernet.writing import write


def test_a_file_is_written_whole_and_replaces_only_a_file(tmp_path):
    path = tmp_path / "web.plan"
    write(path, "one", "--save-plan")
    write(path, "two", "--save-plan")
    assert path.read_text() == "two"
    assert [each.name for each in tmp_path.iterdir()] == ["web.plan"]


def test_a_symbolic_link_is_not_followed_and_a_device_not_replaced(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", ".", "/"):
        with pytest.raises(Invalid, match=r"^--save-plan: .* is not a regular file"):
            write(tmp_path / name, "x", "--save-plan")
    with pytest.raises(Invalid, match=r"^--save-plan: .* is not a regular file"):
        write(Path(), "x", "--save-plan")
    assert victim.read_text() == "precious"
    with pytest.raises(Failed, match=r"cannot write .*: No such file or directory"):
        write(tmp_path / "nope" / "x", "x", "--save-plan")


def test_a_link_that_appears_while_the_file_is_written_is_replaced(tmp_path, monkeypatch):
    victim, path = tmp_path / "victim", tmp_path / "web.plan"
    victim.write_text("precious")
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (path.symlink_to(victim), real(handle)))
    write(path, "plan", "--save-plan")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("precious", "plan", False)


def test_on_a_full_disk_nothing_is_left(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failed, match="No space left on device"):
        write(tmp_path / "web.plan", "plan", "--save-plan")
    assert [*tmp_path.iterdir()] == []


def test_its_permissions_are_those_that_are_given_whatever_the_umask(tmp_path):
    path = tmp_path / "web.prom"
    before = os.umask(0o077)
    try:
        write(path, "x", "--output", 0o644)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
