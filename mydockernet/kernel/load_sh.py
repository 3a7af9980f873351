"""Load `sh` without the modules that mydockernet does not need from it: in 19 ms instead of 64.

During the import, stand-ins take the place of these modules. A stand-in that is asked for anything else loads the real
module. If a version of sh does not accept the stand-ins, it is imported without them.
"""

import os
import sys
from types import ModuleType

# The modules to replace: for the asynchronous interface of sh, its log, its version, and for reports of its own errors.
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

# What sh uses of them during its import and at each command. Without asyncio loaded, no event loop is running.
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
