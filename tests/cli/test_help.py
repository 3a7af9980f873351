"""What --help and docs/verbs.md say of the verbs."""

import contextlib
import re

import pytest

from mydockernet import __version__
from mydockernet.cli import main as cli
from tests.conftest import ROOT

CONTRACT = {
    "create": "--driver --subnet --no-subnet --gateway --no-gateway --no-default-route "
    "--ip-range --reserve --ipv6 --internal --no-icc --no-masquerade "
    "--no-masquerade4 --no-masquerade6 --gateway-mode --gateway-mode6 --mtu --bridge-name --parent --mode --host-ip "
    "--firewall --route --metric --dns --dhcp --label --ignore --opt "
    "--dry-run --format --exit-code --state-dir --verbose --lock-timeout --save-plan",
    "list": "--quiet --filter --format --no-trunc",
    "ps": "--quiet --all --filter --format --no-trunc",
    "inspect": "--format",
    "remove": "--force --ignore --dry-run --save-plan",
    "prune": "--filter --dry-run --save-plan",
    "connect": "--ip --ip6 --mac --ifname --publish --from --label --no-default-route --gw-priority --name "
    "--alias --dns --hostname --ingress-rate --rate-in --egress-rate --rate-out --dry-run",
    "disconnect": "--force --dry-run --save-plan",
    "publish": "--from --dry-run --save-plan",
    "unpublish": "--dry-run --save-plan",
    "port": "",
    "run": "--ip --ip6 --mac --ifname --publish --from --label --no-default-route --gw-priority --name "
    "--alias --dns --hostname --ingress-rate --rate-in --egress-rate --rate-out --dry-run",
    "set": "--dry-run --save-plan",
    "migrate": "--firewall --dry-run --save-plan",
    "apply": "--prune --wait --confirm --schema --project-name --project-prefix --container --dry-run --save-plan",
    "confirm": "--lock-timeout",
    "down": "--prune --force --project-name --project-prefix --container --dry-run --save-plan",
    "check": "--format",
    "repair": "--dry-run --save-plan",
    "history": "--network --since --format --no-trunc",
    "undo": "--dry-run --save-plan",
    "apply-plan": "--dry-run --lock-timeout",
    "batch": "--dry-run --save-plan --lock-timeout",
    "user-rules": "--dry-run --save-plan --lock-timeout",
    "stats": "--no-stream --interval --format",
    "topology": "--format",
    "capture": "--host --dry-run",
    "metrics": "--check --output --lock-timeout",
    "events": "--since --format",
    "rules": "--format",
    "who": "",
    "explain": "--format",
    "doctor": "--format",
    "export": "--format",
    "import": "--format",
    "engines": "--root --dry-run",
    "cni": "",
    "netavark": "",
    "oci-hook": "",
}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_has_help_with_all_its_options(capsys, verb):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: mydockernet {verb} ")
    assert "exit codes:" in text
    for option in CONTRACT[cli.ALIASES.get(verb, verb)].split():
        assert option in text


def test_the_help_lists_each_verb_once(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for verb in CONTRACT:
        assert re.search(rf"^  {verb} +\S", text, re.MULTILINE), verb


@pytest.mark.parametrize(
    "words", ["network", "network --help", "-h", "help", "help network", "network help", "network -v -h"]
)
def test_the_help_is_found_by_the_words_of_docker(capsys, words):
    with contextlib.suppress(SystemExit):
        assert cli.main(words.split()) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: mydockernet [network] VERB [options] …\n")
    assert "'mydockernet VERB --help'" in text
    assert not re.search(r"\brest\b|REMAINDER", text)


@pytest.mark.parametrize("verb", CONTRACT)
def test_the_example_of_a_verb_works_as_it_stands(bare_host, verb):
    text = bare_host.mydockernet(f"{verb} --help").stdout
    (block,) = re.findall(r"^example:\n((?:  .+\n)+)", text, re.MULTILINE)
    lines = [line.strip() for line in block.splitlines()]
    assert f"mydockernet {verb}" in lines[-1]
    # Whether the host has problems is not up to the example.
    done = bare_host.sh("\n".join(lines), check=verb != "doctor")
    assert done.returncode in (0, 5)


@pytest.mark.parametrize("verb", CONTRACT)
def test_the_help_is_sentences(capsys, verb):
    with pytest.raises(SystemExit):
        cli.main([verb, "--help"])
    text = capsys.readouterr().out.partition("\nexample:")[0]
    helps = re.findall(r"^  (?:-|[A-Z]).*?(?:  +|\n {10,})(\S.*)$", text, re.MULTILINE)
    assert len(helps) >= 3
    assert all(words[0].isupper() or words[0] in "[-" for words in helps), helps


def test_help_and_a_verb_are_the_help_of_the_verb(capsys):
    with pytest.raises(SystemExit):
        cli.main(["help", "connect"])
    assert capsys.readouterr().out.startswith("usage: mydockernet connect ")


@pytest.mark.parametrize("words", ["version", "-V", "--version", "network version", "network --version"])
def test_the_version_is_found_by_the_words_of_docker(capsys, words):
    with contextlib.suppress(SystemExit):
        assert cli.main(words.split()) == 0
    assert capsys.readouterr().out == f"mydockernet {__version__}\n"


def test_run_says_what_its_command_must_follow(capsys):
    assert cli.main(["run", "web", "sh", "-c", "id"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "mydockernet: error: -- is missing: the command must follow --"
    assert hint == "hint: mydockernet run NETWORK [options] -- COMMAND…"


def test_a_wrong_word_gets_one_line_and_a_hint(capsys):
    for words in (["frobnicate"], ["create", "--nope", "x"], ["create"], ["--nope"], ["list", "x", "y"]):
        assert cli.main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        error, hint = captured.err.splitlines()
        assert error.startswith("mydockernet: error: ")
        assert hint.startswith("hint: mydockernet")
    assert cli.main([]) == 2


@pytest.mark.parametrize(
    ("words", "errors"),
    [
        ("create --nope value foo", "unknown option: --nope"),
        ("create foo --nope=value --gone -x", "unknown option: --nope; unknown option: --gone; unknown option: -x"),
        ("create --ipam-opt a=b --reserve 10.0.0.1 foo", "unknown option: --ipam-opt"),
        ("--nope ls", "unknown option: --nope"),
        ("--nope", "unknown option: --nope"),
        ("-v", "no verb is given"),
        ("network -v", "no verb is given"),
        ("network --nope ls", "unknown option: --nope"),
        ("network frobnicate", "there is no verb 'frobnicate'"),
        ("help frobnicate", "there is no verb 'frobnicate'"),
        ("ls a b", "unexpected argument: a b"),
        ("create foo --scope swarm", "argument --scope: invalid choice: 'swarm' (choose from local)"),
    ],
)
def test_an_error_blames_the_wrong_word_only(capsys, words, errors):
    assert cli.main(words.split()) == 2
    printed = capsys.readouterr().err.replace("from 'local'", "from local")  # Before Python 3.12, argparse quotes it.
    *found, hint = printed.splitlines()
    assert found == [f"mydockernet: error: {error}" for error in errors.split("; ")]
    assert hint.startswith("hint: mydockernet ")


def test_a_verb_that_is_nearly_one_is_guessed(capsys):
    cli.main(["creat", "web"])
    assert capsys.readouterr().err.endswith("hint: mydockernet create\n")
    cli.main(["inspct", "web"])
    assert capsys.readouterr().err.endswith("hint: mydockernet inspect\n")


@pytest.mark.parametrize("word", ["rename", "remov", "rmm", "prun", "disconect", "unpublsh", "rmdir"])
def test_a_verb_that_destroys_something_is_never_guessed(capsys, word):
    assert cli.main([word, "foo", "bar"]) == 2
    (hint,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hint: ")]
    assert not {*hint.split()} & {"remove", "rm", "prune", "disconnect", "unpublish"}


def test_the_page_of_verbs_has_each_and_no_option_that_there_is_not(capsys):
    table = re.findall(r"^\| `(.+?) *\|", (ROOT / "docs/verbs.md").read_text(), re.MULTILINE)
    rows = [line for line in (ROOT / "docs/verbs.md").read_text().splitlines() if line.startswith("| `")]
    verbs = {word for cell in table for word in re.findall(r"[a-z-]+", cell) if word in cli.VERBS}
    assert verbs == set(cli.VERBS)
    for row in rows:
        first = next(word for word in re.findall(r"[a-z-]+", row) if word in cli.VERBS)
        with pytest.raises(SystemExit):
            cli.main([first, "--help"])
        text = capsys.readouterr().out
        for option in re.findall(r"`(--?[\w-]+)", row):
            assert option in text, (first, option)


def test_an_error_that_nobody_thought_of_is_one_line_too(capsys, monkeypatch):
    def surprise(*_):
        raise RuntimeError("oh")

    monkeypatch.setattr(cli, "_run", surprise)
    assert cli.main(["list"]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "mydockernet: error: internal error: RuntimeError: oh"
    assert "MYDOCKERNET_TRACEBACK=1" in hint
