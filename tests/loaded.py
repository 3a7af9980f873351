"""The program, loaded once and forked for each call; loading its modules is half of what a short verb takes.

Else a call is one of the installed program: its process, namespaces, environment and streams are its own.
Scripts of the tests, and whatever starts or kills a process by itself, run the installed program.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


class Program:
    """A process that has loaded the program as its launcher does, and waits for calls."""

    def __init__(self):
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-E", "-P", __file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(self.close)

    def close(self):
        self.channel.close()
        self.process.wait()

    def call(self, words, host, kinds, env):
        """Run it in the namespaces of these kinds, such as net, that the process `host` has."""
        namespaces = [os.open(f"/proc/{host}/ns/{kind}", os.O_RDONLY) for kind in kinds]
        out, errors, status = os.pipe(), os.pipe(), os.pipe()
        given = [0, out[1], errors[1], status[1], *namespaces]
        socket.send_fds(self.channel, [json.dumps([words, env]).encode()], given)
        for handle in given[1:]:
            os.close(handle)
        with ThreadPoolExecutor(3) as pool:
            stdout, stderr, code = pool.map(read, (out[0], errors[0], status[0]))
        return subprocess.CompletedProcess(["mydockernet", *words], int(code), stdout, stderr)


def read(handle):
    with os.fdopen(handle) as stream:
        return stream.read()


def serve(channel):
    """Answer each call with the exit status of a fork that has become the program."""
    import mydockernet
    from mydockernet.cli.main import main
    from mydockernet.kernel.load_sh import load_sh

    load_sh()
    for module in pkgutil.walk_packages(mydockernet.__path__, "mydockernet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # Else each fork copies what is collected in it.
    running = {}  # The pidfd of each fork, with its PID and where to tell its status.
    while True:
        for ready in select.select([channel, *running], [], [])[0]:
            if ready in running:
                fork, status = running.pop(ready)
                with os.fdopen(status, "w") as told:
                    told.write(f"{os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])}")
                os.close(ready)
                continue
            message, given, _, _ = socket.recv_fds(channel, 2**18, 7)
            if not message:
                return 0
            fork = os.fork()
            if fork == 0:
                words, env = json.loads(message)
                channel.close()
                become(given, env)
                code = main(words)
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)  # Tidying the memory first would cost a fifth of a short verb.
            running[os.pidfd_open(fork)] = fork, given.pop(3)
            for handle in given:
                os.close(handle)


def become(given, env):
    """Take these streams, these namespaces, and this environment."""
    for namespace in given[4:]:
        # os.setns came with Python 3.12.
        if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
            raise OSError(ctypes.get_errno(), "setns")
    for number, stream in enumerate(given[:3]):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(env)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
