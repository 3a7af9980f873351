"""The keys of options of `docker network` and `podman network`: what each sets. A key with no counterpart is unknown.

`words` are the words of `create`: an object that has the attributes named here.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The keys of --opt KEY=VALUE: the attribute of the option that they set. A key that disables something sets a flag.
KEYS = {
    "com.docker.network.bridge.name": "bridge_name",
    "com.docker.network.driver.mtu": "mtu",
    "mtu": "mtu",
    "parent": "parent",
    "macvlan_mode": "mode",
    "ipvlan_mode": "mode",
    "mode": "mode",
    "metric": "metric",
    "com.docker.network.bridge.gateway_mode_ipv4": "gateway_mode",
    "com.docker.network.bridge.gateway_mode_ipv6": "gateway_mode6",
    "com.docker.network.bridge.enable_icc": "no_icc",
    "icc": "no_icc",
    "com.docker.network.bridge.enable_ip_masquerade": "no_masquerade",
    "ip-masq": "no_masquerade",
}
# Keys that enable something, and the attribute of the flag that they set.
FLAGS = {"no_default_route": "no_default_route"}
# Keys that ask for what every network here is: the values that do, and why there is no other.
GRANTED_KEYS = {
    "isolate": (("true", "1", "strict"), "networks are always isolated from each other, as with strict"),
}
# Keys for which there is another way.
ADVICE = {
    "com.docker.network.bridge.host_binding_ipv4": "use an address in --publish IP:PORT:PORT of connect",
    "com.docker.network.container_iface_prefix": "use --ifname of connect",
    "com.docker.network.bridge.inhibit_ipv4": "use --no-gateway, which also leaves out the default route",
}
_SWITCH = {"true": False, "1": False, "false": True, "0": True}


def apply_keys(words: Any) -> list[str]:
    """Set the attributes that the keys of its --opt stand for; returns what is wrong with them."""
    problems = []
    if words.ipam_driver == "none":
        words.no_subnet = True
    for word in words.opt:
        key, equals, value = word.partition("=")
        if not equals:
            problems.append(f"--opt: {word!r} is not KEY=VALUE")
        elif key in ADVICE:
            problems.append(f"--opt: {key} is not supported: {ADVICE[key]}")
        elif key in GRANTED_KEYS:
            values, why = GRANTED_KEYS[key]
            if value.lower() not in values:
                problems.append(f"--opt: {key} can only be {' or '.join(values)}, not {value!r}: {why}")
        elif key in FLAGS:
            problems += _set(words, FLAGS[key], word, {text: not off for text, off in _SWITCH.items()})
        elif key not in KEYS:
            problems.append(f"--opt: there is no option with the key {key!r}{_near(key)}")
        else:
            problems += _set(words, KEYS[key], word)
    return problems


def _near(key: str) -> str:
    """Return the known keys that resemble one, as the end of a message; all of them if none does."""
    import difflib  # Only for an error.

    ends = {name: name.rpartition(".")[2] for name in (*KEYS, *FLAGS, *GRANTED_KEYS, *ADVICE)}
    like = difflib.get_close_matches(key.rpartition(".")[2], {*ends.values()}, cutoff=0.75)
    near = [name for end in like for name in ends if ends[name] == end]
    return f"; near: {', '.join(near)}" if near else f"; use {', '.join((*KEYS, *FLAGS))}"


def _set(words: Any, attribute: str, word: str, values: Mapping[str, bool] = _SWITCH) -> list[str]:
    key, _, text = word.partition("=")
    value: str | bool | None = text
    if attribute.startswith("no_"):
        value = values.get(text.lower())
        if value is None:
            return [f"--opt: {key} is true or false, not {text!r}"]
    given = getattr(words, attribute)
    if given not in (None, False, value):
        option = "--" + attribute.replace("_", "-")
        return [f"--opt: {word} contradicts {option}" + ("" if given is True else f" {given}")]
    setattr(words, attribute, value)
    return []
