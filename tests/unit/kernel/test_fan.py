"""Many namespaces by a few processes: which commands run together, and whose error it was."""

import os
from pathlib import Path

import pytest

from mydockernet.dialects.fact import Step, inside
from mydockernet.errors import CommandFailed
from mydockernet.kernel import fan
from mydockernet.kernel.door import Kernel
from mydockernet.kernel.spawn import Command, Completed

NAMES = [f"/run/netns/c{number}" for number in range(10)]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("mydockernet.kernel.door.where", lambda program: f"/usr/bin/{program}")


def errands(stdin=""):
    batch = ("-batch", "-") if stdin else ()
    return [Command(inside(name, ("ip", *batch)), stdin and f"{stdin} {name}\n") for name in NAMES]


def test_those_of_one_namespace_keep_their_order_and_none_meets_itself():
    assert fan.rounds(["a", "a", "b", "a", "c", "b"]) == [[0, 2, 4], [1, 5], [3]]
    most = fan.rounds([str(number) for number in range(fan.AT_ONCE + 1)])
    assert [len(some) for some in most] == [fan.AT_ONCE, 1]


def test_only_commands_in_namespaces_without_other_input_run_together():
    assert fan.possible(Command(("nsenter", "--net=/x", "ip", "-batch", "-"), "link show\n"))
    assert fan.possible(Command(("nsenter", "--net=/x", "sysctl", "-w", "a=1")))
    assert not fan.possible(Command(("ip", "-batch", "-"), "link show\n"))
    assert not fan.possible(Command(("nsenter", "--net=/x", "iptables-restore"), "COMMIT\n"))


def test_one_xargs_per_processor_has_the_words_and_each_input_is_a_file():
    with fan.commands(errands("link set lo up")) as commands:
        assert [places for _, places in commands] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
        (first, _), _ = commands
        assert first.argv == ("xargs", "-0", "-n", "4", "nsenter")
        words = first.stdin.split("\0")
        assert words[:3] == ["--net=/run/netns/c0", "ip", "-batch"]
        assert Path(words[3]).read_text() == "link set lo up /run/netns/c0\n"
    assert not Path(words[3]).exists()


def test_commands_of_another_length_have_an_xargs_of_their_own():
    longer = Command(inside("/run/netns/x", ("sysctl", "-w", "a=1", "b=2")))
    with fan.commands([*errands(), longer]) as commands:
        assert [places for _, places in commands][-1] == [10]
        assert commands[-1][0].argv[3] == "5"


def test_the_message_of_ip_tells_whose_line_it_was():
    with fan.commands(errands("x")) as commands:
        command, _ = commands[0]
        file = command.stdin.split("\0")[2 * 4 + 3]
        said = f"RTNETLINK answers: File exists\nCommand failed {file}:3\n"
        assert fan.culprit(command, said) == (2, "RTNETLINK answers: File exists\nCommand failed -:3")
        assert fan.culprit(command, "nsenter: no such file\n") is None


def steps(*argv):
    return [Step("", inside(name, argv)) for name in NAMES]


def kernel(ran, status=lambda command: 0, stderr=""):
    def run(command):
        ran.append(command)
        return Completed(status(command), "", stderr)

    return Kernel(run, together=lambda commands: [run(command) for command in commands])


def test_the_door_runs_many_together_and_a_few_one_by_one():
    ran = []
    kernel(ran).apply([*steps("sysctl", "-w", "a=1"), *steps("ip", "link", "set", "lo", "up")])
    assert [command.argv[0] for command in ran] == ["xargs"] * 4
    ran.clear()
    kernel(ran).apply(steps("ip", "link", "set", "lo", "up")[:3])
    assert [command.argv[0] for command in ran] == ["nsenter"] * 3


def test_without_xargs_each_command_runs_by_itself(monkeypatch):
    monkeypatch.setattr("mydockernet.kernel.door.where", lambda program: "")
    ran = []
    kernel(ran).apply(steps("ip", "link", "set", "lo", "up"))
    assert [command.argv[0] for command in ran] == ["nsenter"] * 10


def test_which_sysctl_failed_shows_when_they_run_again():
    ran = []
    bad = kernel(
        ran, lambda command: command.argv[0] == "xargs" or "--net=/run/netns/c7" in command.argv, "no such key"
    )
    with pytest.raises(CommandFailed) as failed:
        bad.apply(steps("sysctl", "-w", "a=1"))
    assert failed.value.argv == inside("/run/netns/c7", ("sysctl", "-w", "a=1"))
    assert "no such key" in str(failed.value)


def test_nothing_runs_if_one_namespace_is_another_one_now():
    ran = []
    door = kernel(ran)
    door._handles._refused[NAMES[4]] = CommandFailed(("ip",), 1, "it is another one")
    with pytest.raises(CommandFailed):
        door.apply(steps("ip", "link", "set", "lo", "up"))
    assert ran == []
