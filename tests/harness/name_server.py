"""A name server of a test's own, for nginx's `resolver`: answers with the addresses and services that the test says."""

import contextlib
import socket
import struct
import threading

A, AAAA, SRV, IN = 1, 28, 33, 1
NO_SUCH_NAME = 3


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class NameServer:
    """`addresses`: name -> IPv4 addresses; `services`: name -> (host, port) of SRV records."""

    def __init__(self):
        self.addresses, self.services = {}, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                asked, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(asked), peer)

    def _answer(self, asked):
        labels, at = [], 12
        while asked[at]:
            labels.append(asked[at + 1:at + 1 + asked[at]].decode())
            at += 1 + asked[at]
        kind, = struct.unpack("!H", asked[at + 1:at + 3])
        name = ".".join(labels)
        found = []
        if kind == A:
            found = [socket.inet_aton(address) for address in self.addresses.get(name, [])]
        elif kind == SRV:
            found = [struct.pack("!HHH", 0, 1, port) + wire(host) for host, port in self.services.get(name, [])]
        code = 0 if name in self.addresses or name in self.services else NO_SUCH_NAME
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, IN, 1, len(data)) + data for data in found)
        return asked[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0) + asked[12:at + 5] + records

    def close(self):
        self.socket.close()
