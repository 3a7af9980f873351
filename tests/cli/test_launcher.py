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
