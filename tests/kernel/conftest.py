"""Hosts with neighbours and containers, for the tests of who reaches whom."""

import pytest

from tests.kernel.lab import DRIVERS, Lab


@pytest.fixture
def make_lab(new_host):
    labs = []

    def make(*options, **more):
        labs.append(Lab(new_host(), *options, **more))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture(params=DRIVERS)
def each_lab(make_lab, request):
    """A lab per driver."""
    return make_lab(driver=request.param)
