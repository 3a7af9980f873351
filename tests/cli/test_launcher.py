"""The installed program imports nothing from the caller's PYTHONPATH or current folder."""

import pytest

# Each would be imported by a python that listens: by site, by mydockernet itself, by the door.
PLANTED = ("sitecustomize", "sh", "rich", "argparse", "mydockernet")


@pytest.fixture
def planted(tmp_path):
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"print('the planted {name} ran'); raise SystemExit(9)\n")
    return tmp_path


def test_modules_on_pythonpath_are_not_imported(host, planted):
    env = {"PYTHONPATH": str(planted), "PYTHONSTARTUP": str(planted / "sh.py")}
    assert host.run("mydockernet", "create", "web", env=env).stdout == "web\n"
    assert host.run("mydockernet", "list", "--format", "{{.Name}}", env=env).stdout == "web\n"


def test_modules_in_the_current_folder_are_not_imported(host, planted):
    assert host.sh(f"cd {planted}; mydockernet create web").stdout == "web\n"
    assert host.sh(f"cd {planted}; mydockernet list --format '{{{{.Name}}}}'").stdout == "web\n"


def test_a_link_to_the_program_works_as_the_program_does(host, tmp_path):
    program = host.sh("command -v mydockernet").stdout.strip()
    (tmp_path / "net").symlink_to(program)
    assert host.run(tmp_path / "net", "--version").stdout == host.mydockernet("--version").stdout


def test_words_and_exit_codes_pass_through(host):
    done = host.run("mydockernet", "create", "a b", "$(id)", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "$(id)" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        ("ls -q", 0, "a\nb\n", ""),
        ("rm b nosuch", 3, "b\n", 'mydockernet: error: network "nosuch" not found\n'),
        ("ls -q >&-", 0, "", ""),
        ("rm nosuch 2>&-", 3, "", ""),
        ("ls -q <&- 2>&-", 0, "a\nb\n", ""),
        ("ls -q >/dev/full", 1, "", "mydockernet: error: [Errno 28] No space left on device\n"),
        ("ls -q | true", 0, "", ""),
    ],
)
def test_all_that_is_printed_arrives_whatever_is_closed(host, words, code, out, err):
    host.sh("mydockernet create a; mydockernet create b")
    done = host.run("bash", "-c", f"mydockernet {words}", check=False)
    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr.startswith(err)
    assert bool(done.stderr) == bool(err)
