"""A CNI configuration, or a list of plugins → a file for `apply`. The containers are not in it.

CNI specification 1.1.0, section 1: a network configuration list (.conflist), or one plugin (.conf). Pure.
"""

from __future__ import annotations

from mydockernet import documents, validation
from mydockernet.documents import Fields
from mydockernet.errors import quoted
from mydockernet.fronts import cni_config
from mydockernet.fronts.manifest_draft import Draft
from mydockernet.fronts.manifest_format import Document

OURS = "mydockernet"
# Plugins that do what mydockernet does for every network or container anyway.
BUILT_IN = ("portmap", "firewall", "bandwidth", "loopback", "sbr")


def read(raw: bytes) -> Document:
    """Return the networks that it describes. Raises Invalid if it is not JSON, or not of this shape."""
    draft = Draft()
    for fields in documents.parse_all(raw):
        name = fields.text("name")
        plugins = fields.objects("plugins") if "plugins" in fields else [fields]
        for plugin in plugins:
            _plugin(plugin, name, draft)
        for problem in dict.fromkeys(fields.problems):
            draft.note(f"network {quoted(name)}", f"left out: {problem}")
    return draft.document()


def _plugin(fields: Fields, name: str, draft: Draft) -> None:
    kind, what = fields.text("type"), f"network {quoted(name)}"
    if kind in BUILT_IN:
        return
    if kind not in (*validation.DRIVERS, OURS):
        draft.note(what, f"left out: the plugin {quoted(kind)} has no equivalent")
        return
    values = {**fields.values, "name": name, **({"driver": kind} if kind != OURS else {})}
    words, problems = cni_config.survey(Fields(values, fields.path, fields.problems))
    for problem in problems:
        draft.note(what, f"left out: {problem}")
    draft.network(words)
