"""Hosts with neighbours and containers, for the tests of who reaches whom."""

import pytest

from tests.kernel.lab import Lab


@pytest.fixture
def make_lab(new_host):
    labs = []

    def make(*options):
        labs.append(Lab(new_host(), *options))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()
