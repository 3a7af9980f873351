"""What talks in the namespaces of a test: `peer.py listen NAME`, and `peer.py probe`, JSON in and out.

A listener answers NAME CALLER on its ports, over tcp and udp. A probe asks many targets [PROTOCOL, ADDRESS, PORT] at
once and says for each what it was answered, or refused, or dropped: no answer in time, or no way there. A fourth word
is the address to ask from.
"""

import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 1.0


def serve_tcp(name, address, port):
    with socket.create_server((address, port), backlog=100) as server:
        while True:
            connection, caller = server.accept()
            with connection:
                connection.sendall(f"{name} {caller[0]}".encode())


def serve_udp(name, address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        while True:
            _, caller = server.recvfrom(100)
            server.sendto(f"{name} {caller[0]}".encode(), caller)


def listen(name, *places):
    for place in places:
        address, port = place.rsplit(":", 1)
        for serve in (serve_tcp, serve_udp):
            threading.Thread(target=serve, args=(name, address, int(port))).start()
    print("ready", flush=True)


def ask(target):
    protocol, address, port, *source = target
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as client:
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
    targets = json.load(sys.stdin)
    with ThreadPoolExecutor(max_workers=len(targets)) as pool:
        print(json.dumps(list(pool.map(ask, targets))))


if __name__ == "__main__":
    {"listen": listen, "probe": probe}[sys.argv[1]](*sys.argv[2:])
