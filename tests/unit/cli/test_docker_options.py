"""The options of docker and podman: the same as ours, or one clear line."""

import argparse

import pytest

from mydockernet import option_keys
from mydockernet.cli import docker_options, networks


def parsed(*words):
    parser = argparse.ArgumentParser()
    networks.create_arguments(parser)
    return parser.parse_args(["web", *words])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--aux-address router=10.9.0.5 --aux-address 10.9.0.6", "--reserve router=10.9.0.5 --reserve 10.9.0.6"),
        ("--reserve 10.9.0.5 --aux-address 10.9.0.6", "--reserve 10.9.0.5 --reserve 10.9.0.6"),
        ("--interface-name br9", "--bridge-name br9"),
        ("--opt com.docker.network.bridge.name=br9", "--bridge-name br9"),
        ("-o com.docker.network.driver.mtu=1400", "--mtu 1400"),
        ("-o mtu=1400", "--mtu 1400"),
        ("-o mtu=1400 --mtu 1400", "--mtu 1400"),
        ("-o com.docker.network.bridge.enable_icc=false", "--no-icc"),
        ("-o com.docker.network.bridge.enable_icc=true", ""),
        ("-o com.docker.network.bridge.enable_icc=false --no-icc", "--no-icc"),
        ("-o com.docker.network.bridge.enable_ip_masquerade=0", "--no-masquerade"),
        ("-o com.docker.network.bridge.enable_ip_masquerade=True", ""),
        ("-o com.docker.network.bridge.gateway_mode_ipv4=nat -o isolate=true", "--gateway-mode nat"),
        ("-o com.docker.network.bridge.gateway_mode_ipv6=routed", "--gateway-mode6 routed"),
        ("-d bridge", "--driver bridge"),
        ("-o metric=50", "--metric 50"),
        ("-o icc=false -o ip-masq=false -o isolate=strict", "--no-icc --no-masquerade"),
        ("-o no_default_route=1", "--no-default-route"),
        ("-o no_default_route=true --no-default-route", "--no-default-route"),
        ("-o no_default_route=false", ""),
        ("--ipam-driver none", "--no-subnet"),
    ],
)
def test_an_option_of_docker_or_podman_is_the_same_as_one_of_ours(theirs, ours):
    args = parsed(*theirs.split())
    assert option_keys.apply_keys(args) == []
    args.opt, args.ipam_driver = [], None
    assert args == parsed(*ours.split())


def test_what_every_network_is_may_be_asked_for():
    args = parsed("--attachable", "--scope", "local", "--ipam-driver", "host-local", "--disable-dns", "--ipv4")
    assert option_keys.apply_keys(args) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("-o mtu", "--opt: 'mtu' is not KEY=VALUE"),
        (
            "-o isolate=false",
            "--opt: isolate can only be true or 1 or strict, not 'false': networks are always isolated from each "
            "other, as with strict",
        ),
        (
            "-o enable_icc=1",
            "--opt: there is no option with the key 'enable_icc'; near: com.docker.network.bridge.enable_icc",
        ),
        (
            "-o com.docker.network.bridge.mtu=1400",
            "--opt: there is no option with the key 'com.docker.network.bridge.mtu'; near: "
            "com.docker.network.driver.mtu, mtu",
        ),
        ("-o metrics=1", "--opt: there is no option with the key 'metrics'; near: metric"),
        (
            "-o com.docker.network.bridge.enable_icc=maybe",
            "--opt: com.docker.network.bridge.enable_icc is true or false, not 'maybe'",
        ),
        (
            "-o no_default_route=false --no-default-route",
            "--opt: no_default_route=false contradicts --no-default-route",
        ),
        ("-o no_default_route=x", "--opt: no_default_route is true or false, not 'x'"),
        (
            "-o com.docker.network.bridge.inhibit_ipv4=true",
            "--opt: com.docker.network.bridge.inhibit_ipv4 is not supported: use --no-gateway, which also leaves out "
            "the default route",
        ),
        ("-o mtu=1400 --mtu 1300", "--opt: mtu=1400 contradicts --mtu 1300"),
        (
            "-o com.docker.network.bridge.enable_icc=true --no-icc",
            "--opt: com.docker.network.bridge.enable_icc=true contradicts --no-icc",
        ),
        (
            "-o com.docker.network.container_iface_prefix=net",
            "--opt: com.docker.network.container_iface_prefix is not supported: use --ifname of connect",
        ),
    ],
)
def test_what_can_not_be_done_is_one_clear_line(words, problem):
    assert option_keys.apply_keys(parsed(*words.split())) == [problem]


def test_an_unknown_key_that_is_near_none_lists_all():
    (problem,) = option_keys.apply_keys(parsed("-o", "com.example=1"))
    assert problem.startswith(
        "--opt: there is no option with the key 'com.example'; use com.docker.network.bridge.name,"
    )
    assert problem.endswith(", no_default_route")


def test_each_key_sets_an_option_that_there_is():
    assert {*option_keys.KEYS.values(), *docker_options.CREATE.values()} <= vars(parsed()).keys()
