"""What talks in the namespaces of a test: `peer.py listen PLACES`, and `peer.py probe`, all in JSON.

A listener has places [NETNS, NAME, ADDRESS, PORT], and answers NAME CALLER there, over tcp and udp. A probe asks many
questions [NETNS, PROTOCOL, ADDRESS, PORT] at once, so that all that is dropped is waited for once, and says for each
what it was answered, or refused, or dropped: no answer in time, or no way there. A fifth word is the address to ask
from. Each NETNS is a named namespace or, if it is empty, the one that this process is in.
"""

import ctypes
import json
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

PATIENCE = 1.0
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@contextmanager
def inside(netns):
    """Sockets made here are in a named namespace or, if that is empty, in this one."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if netns:
            enter(os.open(f"/run/netns/{netns}", os.O_RDONLY))
        yield
    finally:
        enter(here)


def enter(netns):
    # os.setns came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).setns(netns, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(netns)


def make_socket(netns, protocol, address=""):
    with inside(netns):
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[protocol])
        if ":" in address:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


def serve_tcp(name, server):
    while True:
        connection, caller = server.accept()
        with connection:
            connection.sendall(f"{name} {caller[0]}".encode())


def serve_udp(name, server):
    while True:
        _, caller = server.recvfrom(100)
        server.sendto(f"{name} {caller[0]}".encode(), caller)


def listen(places):
    for netns, name, address, port in json.loads(places):
        for protocol, serve in (("tcp", serve_tcp), ("udp", serve_udp)):
            server = make_socket(netns, protocol, address)
            if protocol == "tcp":
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if protocol == "tcp":
                server.listen(100)
            threading.Thread(target=serve, args=(name, server)).start()
    print("ready", flush=True)


def ask(question):
    client, protocol, address, port, *source = question
    with client:
        client.settimeout(PATIENCE)
        try:
            if source:
                client.bind((source[0], 0))
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(100).decode() or "nothing"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "dropped"


def probe():
    questions = [(make_socket(netns, rest[0], rest[1]), *rest) for netns, *rest in json.load(sys.stdin)]
    with ThreadPoolExecutor(max_workers=len(questions)) as pool:
        print(json.dumps(list(pool.map(ask, questions))))


if __name__ == "__main__":
    {"listen": listen, "probe": probe}[sys.argv[1]](*sys.argv[2:])
