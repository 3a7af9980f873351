"""Hosts with neighbours and containers, for the tests of who reaches whom."""

import pytest

from tests.conftest import half
from tests.kernel.lab import DRIVERS, Lab


@pytest.fixture
def make_lab(new_host):
    labs = []

    def make(*options, firewall="", **more):
        labs.append(Lab(new_host(firewall=firewall), *options, **more))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture(params=half([*((driver, "iptables") for driver in DRIVERS), ("bridge", "nftables")]), ids="-".join)
def each_lab(make_lab, request):
    """A lab for each driver, and one with the other firewall."""
    driver, firewall = request.param
    return make_lab(driver=driver, firewall=firewall)
