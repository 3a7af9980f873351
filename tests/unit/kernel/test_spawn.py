"""The contract of the spawn functions, production's over sh and the tests' over subprocess, with real programs."""

import os

import pytest

from mydockernet.kernel import spawn as production
from mydockernet.kernel.spawn import Command, Completed

BIG = "one line of many, äöü\n" * 100_000


@pytest.fixture(params=["of production", "of the tests"])
def run(request, spawn):
    chosen = production.spawn if request.param == "of production" else spawn
    return lambda *argv, stdin="": chosen(Command(argv, stdin))


@pytest.mark.parametrize("status", [0, 1, 2, 127, 255])
def test_the_status_and_both_streams_come_back_apart(run, status):
    done = run("sh", "-c", f"echo out; echo err >&2; exit {status}")
    assert done == Completed(status, "out\n", "err\n")


def test_words_reach_the_program_as_they_are(run):
    words = ("a b", "$HOME", "*", "it's", '"', "", "--", "-n", "ä\n", "\\", "!", "[x]", "1")
    assert run("printf", "<%s>", *words).stdout == "".join(f"<{word}>" for word in words)


def test_what_it_reads_is_what_was_given_and_ends(run):
    assert run("cat", stdin="äöü\n\n  no newline") == Completed(0, "äöü\n\n  no newline", "")
    assert run("cat") == Completed(0, "", "")


def test_more_than_a_pipe_holds_goes_both_ways_and_through_both_streams(run):
    assert len(BIG) > 64 * 1024
    done = run("tee", "/dev/stderr", stdin=BIG)
    assert (done.status, done.stdout == BIG, done.stderr == BIG) == (0, True, True)


def test_more_than_a_pipe_holds_may_be_left_unread(run):
    assert run("true", stdin=BIG) == Completed(0, "", "")
    assert run("false", stdin=BIG) == Completed(1, "", "")


def test_more_than_a_pipe_holds_without_a_line_end(run):
    assert run("cat", stdin="x" * 300_000).stdout == "x" * 300_000


def test_carriage_returns_and_zero_bytes_stay(run):
    assert run("printf", r"a\r\nb\0c\r").stdout == "a\r\nb\0c\r"


@pytest.mark.parametrize("signal", [1, 2, 6, 9, 15])
def test_death_by_a_signal_is_a_negative_status(run, signal):
    assert run("sh", "-c", f"echo out; echo err >&2; kill -{signal} $$") == Completed(-signal, "out\n", "err\n")


def test_a_missing_program_is_named(run):
    assert run("no-such-program", "-x") == Completed(127, "", "no-such-program: command not found")


@pytest.mark.parametrize("stream", ["", ">&2"])
@pytest.mark.parametrize("status", [0, 3])
def test_bad_utf_8_is_replaced(run, stream, status):
    done = run("sh", "-c", rf"printf 'a\377\303b' {stream}; exit {status}")
    assert (done.status, done.stdout + done.stderr) == (status, "a\ufffd\ufffdb")


def test_there_is_no_terminal_on_any_stream(run):
    assert run("sh", "-c", "test -t 0 || test -t 1 || test -t 2").status == 1


def test_it_runs_in_a_session_of_its_own(run):
    pid, session = run("sh", "-c", "echo $$; cut -d' ' -f6 /proc/$$/stat").stdout.split()
    assert session == pid


def test_messages_are_in_english_and_the_sbin_folders_are_on_the_path(run, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("MYDOCKERNET_CANARY", "kept")
    shown = run("sh", "-c", 'echo "$LC_ALL $PATH $MYDOCKERNET_CANARY"').stdout
    assert shown == "C /usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin kept\n"


def test_a_program_of_the_sbin_folders_is_found_without_them_on_the_path(run, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run("ip", "-Version").status == 0


def test_nothing_of_ours_is_left_open_for_it(run, tmp_path):
    with (tmp_path / "file").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        assert str(tmp_path) not in run("sh", "-c", "ls -l /proc/self/fd").stdout
