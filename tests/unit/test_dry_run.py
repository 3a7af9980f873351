"""Plans as shell scripts: quoting, reasons, what they write."""

import shlex

import pytest

from mydockernet import dry_run
from mydockernet.dialects.fact import Step

ODD = ["a b", "$(id)", "`id`", "'", '"', "\\", "*", ";", "&", "#x", "ü", "", "-n", "!x", "a\nb"]


@pytest.mark.parametrize("word", ODD)
def test_whatever_a_word_is_sh_reads_it_as_that_word(word):
    text = dry_run.text([Step("Say why.", ("echo", word))], None)
    assert text.startswith("#!/bin/sh\nset -e\n\n# Say why.\necho ")
    assert shlex.split(text.split("\n", 4)[4]) == ["echo", word]


def test_a_lone_bang_needs_no_quotes():
    assert "iptables ! -o web" in dry_run.text([Step("Why.", ("iptables", "!", "-o", "web"))], None)


def test_a_step_that_may_fail_does_not_end_the_script():
    step = Step("Why.", ("conntrack", "-D"), optional=True)
    assert dry_run.text([step], None).endswith("\nconntrack -D || :\n")
    assert '"optional": true' in dry_run.as_json([step], None)
    assert '"optional"' not in dry_run.as_json([Step("Why.", ("ip", "link"))], None)
