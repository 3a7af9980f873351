"""sh is loaded without what is slow to load, and works as ever; where it does not take that, it is loaded plainly."""

import subprocess
import sys

import pytest

from mydockernet.kernel import load_sh


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOAD = "import sys; from mydockernet.kernel.load_sh import load_sh; sh = load_sh()\n"
# What sh itself sees.
OWN = "own = sh.Command.__init__.__globals__\n"


def test_what_is_slow_to_load_is_not_loaded():
    run = LOAD + "print(sh.Command('echo')('hi', _return_cmd=True).stdout)\n"
    assert (
        python(run + "from mydockernet.kernel.load_sh import LATE; print({*LATE} & {*sys.modules})")
        == "b'hi\\n'\nset()\n"
    )


@pytest.mark.parametrize("name", load_sh.LATE)
def test_what_is_asked_for_afterwards_is_the_real_module(name):
    assert python(LOAD + f"import {name}; print({name}.__name__, {name}.__file__ != '')") == f"{name} True\n"


def test_sh_reaches_the_real_modules_when_it_needs_them():
    code = OWN + "print(own['asyncio'].sleep.__name__, own['inspect'].ismethod(1), own['getpass'].getuser.__name__)"
    assert python(LOAD + code) == "sleep False getuser\n"


def test_asyncio_that_is_loaded_already_stays():
    assert python("import asyncio\n" + LOAD + OWN + "print(own['asyncio'] is asyncio)") == "True\n"


def test_an_sh_that_does_not_take_stand_ins_is_loaded_plainly(tmp_path):
    (tmp_path / "sh.py").write_text("import asyncio\nclass Queue(asyncio.Queue): pass\nasyncio.timeout\nx = 1\n")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    assert python(path + LOAD + "print(sh.x, sh.asyncio.__file__ != '')") == "1 True\n"
