"""Load `sh` without what it needs only for its asynchronous interface and its own version: 40 of its 64 ms.

While it is imported, stand-ins are in the place of these modules. One that is asked for anything loads the real module.
Where sh does not take that, as a later version may not, it is imported the plain way.
"""

import os
import sys
from types import ModuleType

# asyncio: sh asks it for the running loop at each command; where nothing has loaded it, there is none.
LATE = (
    "asyncio",
    "importlib.metadata",
    "inspect",
    "getpass",
    "logging",
    "platform",
    "traceback",
    "textwrap",
    "typing",
)


# What sh asks for as it is loaded, or at each command.
ASKED: dict[str, dict[str, object]] = {
    "asyncio": {"Queue": None, "get_running_loop": lambda: _no_loop()},
    "importlib.metadata": {"version": lambda _: "", "PackageNotFoundError": LookupError},
    "logging": {"getLogger": lambda _: _Silent()},
    "platform": {"system": lambda: os.uname().sysname},
    "typing": {"Any": object, "Dict": dict, "Type": type, "Union": dict},
}


class _Silent:
    """A logger of a program that has not set up logging: none of sh's messages is an error."""

    def debug(self, *_: object) -> None:
        """Say nothing."""

    info = error = exception = debug


class _Late(ModuleType):
    """Stands for a module until something else of it is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        module = sys.modules.get(self.__name__)
        if module in (None, self):
            asked = ASKED.get(self.__name__, {})
            if name in asked:
                return asked[name]
            sys.modules.pop(self.__name__, None)
            __import__(self.__name__)
        return getattr(sys.modules[self.__name__], name)


def _no_loop() -> object:
    raise RuntimeError("no running event loop")


def load_sh() -> ModuleType:
    """The module sh. Raises ImportError where it is not installed."""
    if "sh" in sys.modules:
        return sys.modules["sh"]
    late = {name: _Late(name) for name in LATE if name not in sys.modules}
    sys.modules.update(late)
    try:
        import sh
    except ImportError:
        raise
    except Exception:
        for name in late:
            sys.modules.pop(name, None)
        sys.modules.pop("sh", None)
        import sh
    finally:
        for name, module in late.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
    return sh
