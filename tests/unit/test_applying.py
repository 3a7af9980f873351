"""What a file declares, as values: the file alone decides, whatever was there before."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mydockernet import applying, plan
from mydockernet.dialects.fact import Observed
from mydockernet.fronts import manifest
from mydockernet.kernel import namespaces
from mydockernet.model import Namespace
from mydockernet.value import replace
from tests.files import NAMES, files
from tests.unit.values import Machine, containers, endpoint, intent, network


@pytest.fixture(autouse=True)
def named(monkeypatch):
    """Each name is that of a namespace."""
    spaces = {name: Namespace(f"/run/netns/{name}", f"4:{number}") for number, name in enumerate(NAMES)}
    monkeypatch.setattr(namespaces, "find", lambda word: (word, spaces[word]))
    monkeypatch.setattr(namespaces, "alive", lambda namespace: True)


def applied(text, intent, machine, prune=True):
    """Apply a file; returns the new intent, and what the plan was."""
    transition = applying.apply(manifest.read([("lab.yaml", text)], ""), prune)
    after = transition.move(intent, machine.seen)
    steps = steps_between(intent, after, machine)
    machine.run(steps)
    return after, steps


def steps_between(before, after, machine):
    concern = plan.difference(before, after).concern
    had, want = (plan.facts(side, concern) for side in (before, after))
    shared = plan.every_shared(machine.seen) if before and not after else ()
    return plan.plan((*had, *shared), want, machine.seen)


def without_last(intent):
    return {
        name: replace(network, subnets=tuple(replace(subnet, last=None) for subnet in network.subnets))
        for name, network in intent.items()
    }


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=files(), second=files())
def test_a_file_after_another_is_as_that_file_alone(first, second):
    alone, machine = Machine(containers(*NAMES)), Machine(containers(*NAMES))
    wanted, _ = applied(second, {}, alone)
    before, _ = applied(first, {}, machine)
    after, _ = applied(second, before, machine)
    assert without_last(after) == without_last(wanted)
    assert applied(second, after, machine) == (after, ())
    assert looks(machine) == looks(alone)
    machine.run(steps_between(after, {}, machine))
    assert {*machine.seen.links} == set()
    assert not any(machine.seen.chains.values())
    assert [{*there.links} for there in machine.seen.inside.values()] == [{"lo"}] * len(NAMES)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=files(), second=files(), chance=st.floats(0, 1))
def test_wherever_it_fails_it_can_be_rolled_back(first, second, chance):
    machine = Machine(containers(*NAMES))
    before, _ = applied(first, {}, machine)
    was = looks(machine)
    after = applying.apply(manifest.read([("lab.yaml", second)], ""), True).move(before, machine.seen)
    steps = steps_between(before, after, machine)
    machine.run(steps[: int(chance * len(steps))])
    concern = plan.difference(before, after).concern
    had = (*plan.facts(before, concern), *plan.facts(after, concern))
    machine.run(plan.plan(had, plan.facts(before, concern), machine.seen))
    assert looks(machine) == was


def test_the_order_of_the_containers_alone_changes_nothing():
    text = "name: a\nnetworks: {n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}\ncontainers:\n"
    one, other = "  web: {networks: [n], ports: [80]}\n", "  db: {networks: [n]}\n"
    machine = Machine(containers(*NAMES))
    before, _ = applied(text + one + other, {}, machine)
    assert applied(text + other + one, before, machine) == (before, ())


def looks(machine):
    """What the kernel shows, without empty chains, and without an order of what has none."""
    seen = machine.seen

    def links(of):
        # Loopback stays as it is once it is up. Only the ports of a bridge have flags. Numbers are chosen.
        every = (
            replace(link, index=0, lower="", flags=link.flags if link.master else frozenset())
            for link in of.links.values()
        )
        return {link.name: link for link in every if link.name != "lo"}

    return (
        links(seen),
        {frozenset(seen.routes)},
        {chain: sorted(str(rule.spec) for rule in rules) for chain, rules in seen.chains.items() if rules},
        {path: (links(of), frozenset(of.routes), of.lookups) for path, of in seen.inside.items()},
    )


@pytest.mark.parametrize("driver", ["bridge", "ptp"])
def test_a_network_takes_over_the_subnet_of_another_one(driver):
    machine, intent_now = Machine(containers(*NAMES)), {}
    for name in ("a", "b"):
        text = f"name: p\nnetworks: {{{name}: {{driver: {driver}, ipam: {{config: [{{subnet: 10.1.0.0/24}}]}}}}}}"
        intent_now, _ = applied(text, intent_now, machine)
        every = plan.facts(intent_now, plan.concern_of(intent_now.values()))
        assert [fact.what for fact in every if not fact.holds(machine.seen)] == []


def test_down_takes_a_container_off_no_network_that_the_file_does_not_put_it_on():
    text = "networks: {web: , lan: {external: true}}\ncontainers: {c1: {networks: [web, lan]}}\n"
    other, lan = network("other", "10.1.0.0/24", endpoint()), network("lan", "10.2.0.0/24", endpoint())
    down = applying.down(manifest.read([("lab.yaml", text)], ""))
    assert down.move(intent(other, lan), Observed()) == intent(other, replace(lan, endpoints=()))
