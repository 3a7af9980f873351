"""What README and docs show is what happens: each console block is run, and its output compared."""

import re
import runpy

import pytest

from mydockernet.cli import main as cli
from tests.conftest import ROOT

PAGES = ["README.md", "docs/recipes.md", "docs/record.md", "docs/names.md", "docs/tutorial.md", "docs/ci.md"]
END = "@@"


def session(page, words=""):
    """The commands of a page's console blocks, each with its output; `> ` goes on with a command.

    Those with these words behind `console`, which name what the block needs, or without any.
    """
    found = []
    for block in re.findall(rf"```console{words}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> "):
                command, output = found.pop()
                found.append((f"{command}\n{line[2:]}", output))
            else:
                found[-1][1].append(line)
    return found


def matches(said, shown):
    """Whether that was said; `...` stands for anything."""
    pattern = "\n".join(re.escape(line).replace(re.escape("..."), ".*") for line in shown)
    return re.fullmatch(pattern, said.strip("\n"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_happens(bare_host, page):
    commands = session(page)
    assert len(commands) > 8
    shown(bare_host, commands)


def shown(host, commands):
    """Run the commands of a session; each must print what is shown."""
    agrees(commands, host.run("bash", "-c", script_of(commands), stdin="", check=False).stdout)


def script_of(commands):
    """A script of the commands of a session, which prints END after each."""
    lines = [f"{command}\necho {END}" for command, _ in commands]
    return "\n".join(["exec 2>&1", *lines, "kill $(jobs -p) 2>/dev/null; wait"])


def agrees(commands, printed):
    """What the script of a session printed is what the session shows."""
    said = printed.split(f"{END}\n")
    assert len(said) > len(commands) > 0, printed
    for (command, wanted), output in zip(commands, said, strict=False):
        assert matches(output, wanted), (command, output)
    assert len(said) == len(commands) + 1


def test_the_picture_is_what_the_demo_draws(bare_host):
    drawn = bare_host.run(ROOT / "scripts/demo", "picture").stdout
    assert (ROOT / "docs/topology.svg").read_text() == drawn, "run scripts/demo --picture"


def test_each_page_is_linked_from_the_readme_and_no_link_leads_nowhere():
    linked = {*re.findall(r"\]\((docs/\w+\.md)\)", (ROOT / "README.md").read_text())}
    assert linked == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_a_page_ends_with_a_removal():
    for page in PAGES:
        last = session(page)[-1][0]
        assert "remove" in last, page


def test_the_units_of_contrib_run_what_there_is_and_are_told_of():
    told = "".join((ROOT / f"docs/{page}.md").read_text() for page in ("upkeep", "engines", "apply"))
    for unit in (path for path in (ROOT / "contrib").rglob("*") if path.is_file()):
        if unit.relative_to(ROOT / "contrib").parts[0] in ("completion", "man", "schemas", "debian"):
            continue  # test_completion.py, test_schemas.py, test_packages.py.
        if unit.suffix == ".xml":
            continue  # Zones and policies of firewalld: test_firewalld.py.
        assert str(unit.relative_to(ROOT)) in told
        if unit.parent.name in ("networkd", "NetworkManager"):
            continue  # They start nothing: test_upkeep.py.
        if unit.suffix in ("", ".json", ".conflist"):
            continue  # Files of engines: test_engines.py. The schema: test_manifest_schema.py.
        commands = re.findall(r"^Exec\w+=-?+(?!/bin/sleep 2$)(.*)$", unit.read_text(), re.MULTILINE)
        if unit.suffix == ".timer":
            continue  # It starts the service of its name.
        if unit.stem == "mydockernet-firewalld":
            assert commands == ["/usr/local/libexec/mydockernet-firewalld"]
            continue  # The script of that name, which test_firewalld.py runs.
        assert {command.split()[0] for command in commands} == {"/usr/local/bin/mydockernet"}
        assert {command.split()[1] for command in commands} <= set(cli.VERBS)


def test_the_page_of_benchmarks_has_every_ratio_that_is_measured():
    page = (ROOT / "docs/benchmarks.md").read_text()
    for what, over, _ in runpy.run_path(str(ROOT / "scripts/bench"))["RATIOS"]:
        assert f"\n| {what} | {over} |" in page
