"""No kernel here: what would run is seen by pytest-subprocess, and sh, which that can't see, may not be called."""

import os
import subprocess

import pytest
import sh
from hypothesis import settings

from mydockernet.kernel.door import Kernel
from mydockernet.kernel.spawn import NOT_FOUND, Completed, environment

# The machine may be busy. On the second system of .ci/run, fewer examples tell whether the laws hold there, too.
settings.register_profile(
    "unit", deadline=None, max_examples=25 if os.environ.get("MYDOCKERNET_TEST_HALF") == "2" else 100
)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_sh(request, monkeypatch):
    """Let only the contract test of the door reach sh."""
    if request.path.name != "test_spawn.py":
        for way_in in (sh.Command, sh.RunningCommand):
            monkeypatch.setattr(way_in, "__init__", lambda *words, **options: pytest.fail(f"sh was called: {words}"))


@pytest.fixture(autouse=True)
def one_variant(monkeypatch):
    """Hide the other variant of iptables, which the machine that runs the tests may have rules of."""
    monkeypatch.setattr("mydockernet.kernel.door.legacy_tables", lambda: "")
    monkeypatch.setattr("mydockernet.kernel.door._real_path", lambda program: "")


@pytest.fixture
def spawn():
    """Does what kernel.spawn does, over subprocess; test_spawn.py holds it to that."""

    def run(command):
        env = environment()
        try:
            done = subprocess.run(
                command.argv, input=command.stdin.encode(), capture_output=True, env=env, start_new_session=True
            )
        except FileNotFoundError:
            return Completed(NOT_FOUND, "", f"{command.argv[0]}: command not found")
        return Completed(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    return run


@pytest.fixture
def kernel(spawn):
    return Kernel(spawn)


@pytest.fixture
def calls(fp):
    """Registers a command with what it prints and reads; the list has (argv, stdin) of those that ran, in order."""
    ran = []

    def expect(*argv, stdout="", stderr="", returncode=0):
        def read(stdin):  # Called only where there is something to read.
            ran[-1] = (argv, stdin.decode())

        fp.register(
            list(argv),
            stdout=stdout,
            stderr=stderr,
            returncode=returncode,
            callback=lambda process: ran.append((argv, "")),
            stdin_callable=read,
        )

    expect.ran = ran
    return expect
