"""Many interfaces are deleted as a group, where no rule guards anything by their group."""

from mydockernet import plan
from mydockernet.dialects.fact import GROUP_LEAVING, Link
from mydockernet.value import replace
from tests.unit.values import Machine, containers, endpoint, intent, network

NAMES = [f"c{number}" for number in range(6)]


def lab(driver="bridge", count=6):
    ends = [endpoint(name, f"10.1.0.{number + 2}") for number, name in enumerate(NAMES[:count])]
    return intent(network("web", "10.1.0.0/24", *ends, driver=driver))


def facts(of):
    return plan.facts(of, plan.concern_of(of.values()))


def removal(of, change=lambda seen: seen):
    seen = change(Machine(containers(*NAMES)).run(plan.plan((), facts(of), containers(*NAMES))))
    return [step.do for step in plan.plan(facts(of), (), seen)], seen


def test_many_ports_go_together_and_one_bridge_by_itself():
    steps, seen = removal(lab())
    group = ("ip", "link", "delete", "group", GROUP_LEAVING)
    at = steps.index(group)
    assert all(step[5:] == ("group", GROUP_LEAVING) for step in steps[at - 6 : at])
    assert ("ip", "link", "delete", "dev", "web", "type", "bridge") in steps
    machine = Machine(seen)
    machine.run(plan.plan(facts(lab()), (), seen))
    assert {*machine.seen.links} == set()


def test_a_few_go_one_by_one():
    steps, _ = removal(lab(count=3))
    assert not any("group" in step for step in steps if step[:3] == ("ip", "link", "delete"))


def test_without_a_bridge_the_group_is_what_rules_match_so_it_stays():
    steps, _ = removal(lab("ptp"))
    assert not any(GROUP_LEAVING in step for step in steps)


def test_a_bridge_with_a_port_of_somebody_else_keeps_its_group():
    def bridges(port=None):
        return intent(*(network(f"n{number}", f"10.{number}.0.0/24") for number in range(5)))

    steps, _ = removal(bridges())
    assert ("ip", "link", "set", "dev", "n0", "group", GROUP_LEAVING) in steps

    def with_port(seen):
        return replace(seen, links={**seen.links, "tap0": Link("tap0", master="n0")})

    steps, _ = removal(bridges(), with_port)
    assert ("ip", "link", "set", "dev", "n0", "group", GROUP_LEAVING) not in steps
    assert ("ip", "link", "set", "dev", "n1", "group", GROUP_LEAVING) in steps


def test_a_group_that_somebody_else_uses_is_not_touched():
    steps, _ = removal(lab(), lambda seen: replace(seen, links={**seen.links, "x": Link("x", group=GROUP_LEAVING)}))
    assert not any(GROUP_LEAVING in step for step in steps)
