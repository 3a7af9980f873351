"""A plan file says all that a plan depends on; what is broken, hostile or out of date in it is refused by name."""

import json
from pathlib import Path

import pytest

from mydockernet import plan_files
from mydockernet.actions import Preview
from mydockernet.context import Context
from mydockernet.dialects.fact import Link, Observed, Route, Socket, Step
from mydockernet.errors import Conflict, Invalid
from mydockernet.model import Namespace
from mydockernet.plan import Scope
from mydockernet.record.store import JsonStore
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network

NOTHING = Observed()
STEPS = (
    Step("Create it.", ("ip", "link", "add", "dev", "web's")),
    Step("End flows.", ("conntrack", "-D"), optional=True),
    Step("Restore.", ("nft", "-f", "-"), stdin="one\ntwo\n"),
)
WEB, DB = network(), network("db", "10.2.0.0/24")


@pytest.fixture
def context(tmp_path):
    return Context(JsonStore(tmp_path / "state"), None, words=("create", "web"))


@pytest.fixture(autouse=True)
def alive(monkeypatch):
    monkeypatch.setattr("mydockernet.kernel.namespaces.alive", lambda namespace: True)


def plan_of(context, before, after, steps=STEPS, mends=None):
    realm = context.store.realm
    sides = tuple({n: replace(net, realm=realm) for n, net in side.items()} for side in (before, after))
    return plan_files.of(Preview(steps, (), (), sides=sides, mends=mends), context)


def read(plan):
    return plan_files.read(plan_files.text(plan).encode())


def edited(plan, **changes):
    return json.dumps({**json.loads(plan_files.text(plan)), **changes}).encode()


def move(plan, context, now, seen=NOTHING):
    realm = context.store.realm
    now = {name: replace(net, realm=realm) for name, net in now.items()}
    return plan_files.transition(plan, context).move(now, seen)


def refusal(plan, context, now, seen=NOTHING):
    with pytest.raises(Conflict) as refused:
        move(plan, context, now, seen)
    return [*refused.value.messages]


def test_a_plan_is_read_as_it_was_written(context):
    before = intent(network("web", "10.1.0.0/24", endpoint()), DB)
    plan = plan_of(context, before, intent(network("web", "10.1.0.0/24"), network("x", "10.3.0.0/24"), DB))
    assert read(plan) == plan
    assert {*plan.before} == {*plan.after} == {"web", "x"}
    assert {*plan.record} == {"web", "db"}
    assert read(replace(plan, mends=())).mends == ()


def test_it_has_a_line_for_each_command_and_network(context):
    lines = plan_files.text(plan_of(context, {}, intent(WEB, DB))).splitlines()
    assert """    {"command": "ip link add dev 'web'\\"'\\"'s'", "why": "Create it."},""" in lines
    assert '    {"command": "conntrack -D || :", "why": "End flows."},' in lines
    assert '    {"command": "nft -f -", "stdin": "one\\ntwo\\n", "why": "Restore."}' in lines
    assert sum(line.startswith('    "web": {"name": "web", ') for line in lines) == 1


def test_the_change_is_made_to_the_record_it_was_made_for(context):
    plan = plan_of(context, intent(DB), intent(WEB, DB))
    assert {*move(plan, context, intent(DB))} == {"web", "db"}


def test_each_network_that_changed_since_is_named(context):
    other = network("other", "10.4.0.0/24")
    plan = plan_of(context, intent(DB, other), intent(WEB, DB, other))
    new = network("new", "10.5.0.0/24")
    assert refusal(plan, context, intent(replace(DB, mtu=1400), new)) == [
        'network "db" has changed on the record since the plan was made',
        'network "new" has appeared on the record since the plan was made',
        'network "other" has disappeared from the record since the plan was made',
    ]


def test_a_value_before_that_someone_edited_is_refused(context):
    plan = plan_of(context, intent(DB), {})
    lie = replace(plan, before={"db": replace(DB, mtu=1400, realm=context.store.realm)})
    assert refusal(lie, context, intent(DB)) == ['network "db" is not on record as the plan says']
    lie = replace(plan, before={"db": None}, after={"db": None})
    assert refusal(lie, context, intent(DB)) == ['network "db" is not on record as the plan says']


def test_what_is_taken_since_is_named(context):
    plan = plan_of(context, {}, intent(network("web", "10.1.0.0/24", endpoint(ports=(mapping(),)))))
    route = Route(DB.subnets[0].network.supernet(new_prefix=8), "", "up1", "10.0.0.0/8 dev up1")
    seen = Observed(
        routes=(route,),
        links={"up1": Link("up1", addresses=frozenset({"10.1.0.2/8"}))},
        sockets=(Socket("tcp", None, 8080, "nginx"),),
    )
    assert refusal(plan, context, {}, seen) == [
        '10.1.0.0/24 of network "web" overlaps 10.0.0.0/8 of the host\'s route `10.0.0.0/8 dev up1`',
        '10.1.0.2 of container "c1" on network "web" is now in use by the host',
        "8080:80/tcp: port 8080/tcp is already in use by nginx, listening on *:8080",
    ]


@pytest.mark.parametrize(("there", "fate"), [(None, "is gone"), (Namespace("/x", "4:9"), "is another one now")])
def test_a_container_that_is_not_the_same_is_named(context, monkeypatch, there, fate):
    plan = plan_of(context, intent(WEB), intent(network("web", "10.1.0.0/24", endpoint())))
    monkeypatch.setattr("mydockernet.kernel.namespaces.alive", lambda namespace: False)
    monkeypatch.setattr("mydockernet.kernel.namespaces.at", lambda path: there)
    assert refusal(plan, context, intent(WEB)) == [f'the namespace of container "c1" {fate}: /run/netns/c1']


def test_commands_are_compared_with_those_of_the_planner(context):
    plan = plan_of(context, {}, intent(WEB))
    approve = plan_files.transition(plan, context).approve
    approve(STEPS)
    approve((replace(STEPS[0], why="Another reason."), *STEPS[1:]))
    for steps, said in (
        (STEPS[:2], "a command of the plan is not what is needed now: nft -f -"),
        ((*STEPS, STEPS[1]), "a command is needed now that the plan does not have: conntrack -D || :"),
        ((STEPS[1], STEPS[0], STEPS[2]), "the commands are needed in another order now"),
    ):
        with pytest.raises(Conflict) as refused:
            approve(steps)
        assert refused.value.messages == (said,)
    for wrong in (replace(STEPS[2], stdin="one\n"), replace(STEPS[2], optional=True)):
        with pytest.raises(Conflict):
            approve((*STEPS[:2], wrong))


def test_only_some_of_many_commands_that_differ_are_named(context):
    plan = plan_of(context, {}, intent(WEB), steps=())
    with pytest.raises(Conflict) as refused:
        plan_files.transition(plan, context).approve(tuple(Step("", ("ip", str(n))) for n in range(100)))
    assert len(refused.value.messages) == plan_files.NAMED + 1
    assert refused.value.messages[-1].endswith(": 95 more")


def test_a_plan_for_another_state_directory_is_refused(context, tmp_path):
    plan = plan_of(context, {}, intent(WEB))
    other = Context(JsonStore(tmp_path / "other"), None)
    with pytest.raises(Conflict, match="made for the state directory"):
        plan_files.transition(plan, other)
    lie = replace(plan, folder=str(tmp_path / "other"))
    with pytest.raises(Invalid, match="belongs to another state directory"):
        plan_files.transition(lie, other)


def test_a_repair_has_its_scope(context):
    plan = read(plan_of(context, intent(WEB), intent(WEB), mends=Scope(("web",), "x")))
    assert plan_files.transition(plan, context).mends == Scope(("web",), context.store.realm)


def test_an_interrupted_change_is_refused(context):
    with pytest.raises(Conflict, match="interrupted"):
        plan_files.of(Preview((), (), ()), context)


RAW = {"name": "web"}
HOSTILE = {
    "not JSON": (b"{", "the document is not JSON"),
    "not UTF-8": (b"\xff", "not UTF-8"),
    "an array": (b"[]", "not a JSON object"),
    "nothing": (b"", "the document is not JSON"),
    "deep": (b'{"version": 1, "commands": ' + b"[" * 200_000, "nested too deeply|not JSON"),
    "another document": (b'{"version": 1}', "not a plan file"),
    "a newer version": ({"version": 2}, "not a plan file of version 1"),
    "no commands": ({"commands": None}, "not a plan file"),
    "commands of numbers": ({"commands": [7]}, r"commands\[0\]: it must be an object"),
    "a command that is no string": ({"commands": [{"command": ["ip"]}]}, "each must have a command"),
    "other networks": ({"before": {}}, "of the same networks"),
    "not a network": ({"after": {"web": RAW}}, r"after\.web: it is not a network: KeyError"),
    "a network of numbers": ({"after": {"web": 7}}, r"after\.web: it is not a network"),
    "networks that are an array": ({"after": []}, "after: it must be an object"),
    "digests that are numbers": ({"record": {"web": 7}}, r"record\.web: it must be a string"),
}


@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_broken_file_is_one_clear_line(context, content, said):
    plan = plan_of(context, {}, intent(WEB))
    with pytest.raises(Invalid, match=said) as refused:
        plan_files.read(content if isinstance(content, bytes) else edited(plan, **content))
    assert all("\n" not in message for message in refused.value.messages)


def values(plan, **changes):
    raw = json.loads(plan_files.text(plan))["after"]["web"]
    return {**raw, **changes}


def test_a_value_that_could_write_elsewhere_is_refused(context):
    plan = plan_of(context, {}, intent(WEB))
    for name, value in (
        ("../../etc/x", values(plan)),
        ("../x", values(plan, name="../x")),
        ("web", values(plan, bridge="-x y")),
        ("web", values(plan, mode="bridge\nlink delete lo")),
        ("web", values(plan, endpoints=[{"name": "c1\n"}])),
    ):
        with pytest.raises(Invalid, match="after"):
            plan_files.read(edited(plan, before={name: None}, after={name: value}))


def test_a_container_of_run_is_refused(context):
    own = endpoint(namespace=Namespace("/run/netns/x", "", 7, 7))
    plan = plan_of(context, {}, intent(network("web", "10.1.0.0/24", own)))
    with pytest.raises(Invalid, match="it has a container of `run`"):
        read(plan)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(plan_files, "SIZE_MAX", 10)
    with pytest.raises(Invalid, match="larger than 10 bytes"):
        plan_files.read(b" " * 11)


def test_the_state_directory_is_named_in_full():
    relative = Context(JsonStore(Path("state")), None)
    assert plan_of(relative, {}, {}).folder == f"{Path.cwd()}/state"
