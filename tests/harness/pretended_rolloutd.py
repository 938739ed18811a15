"""A rolloutd of a test's own, which says what the test wants it to say, and when."""

import queue
import socket
import threading

from link import PROTOCOL, frame, message_of
from processes import DEADLINE_S

JOURNAL = "j" * 32


class Link:
    """One worker process's connection: `receive` gives its frames in their order."""

    def __init__(self, peer):
        self.peer = peer
        self.frames = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        received = b""
        try:
            while part := self.peer.recv(65536):
                received += part
                while len(received) >= 4 and len(received) >= 4 + (size := int.from_bytes(received[:4], "big")):
                    self.frames.put(message_of(received[4:4 + size]))
                    received = received[4 + size:]
        except OSError:
            pass

    def send(self, *lines, **message):
        self.peer.sendall(frame(message, *lines))

    def receive(self, kind):
        """The next frame of that type; others are dropped."""
        while True:
            message = self.frames.get(timeout=DEADLINE_S)
            if message["type"] == kind:
                return message

    def welcome(self, stream, revision=0):
        """Answers a hello, which it gives back."""
        hello = self.receive("hello")
        self.greet(stream, revision)
        return hello

    def greet(self, stream, revision=0):
        self.send(type="welcome", protocol=PROTOCOL, journal=JOURNAL, revision=revision, stream=stream, suspects=True)

    def settle(self, nothing_of=None):
        """Until all that was sent is taken. `nothing_of`: a type of frame that must not come meanwhile."""
        self.send(type="ping")
        while (kind := self.frames.get(timeout=DEADLINE_S)["type"]) != "pong":
            assert kind != nothing_of

    def close(self):
        self.peer.shutdown(socket.SHUT_RDWR)
        self.peer.close()


class PretendedRolloutd:
    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(DEADLINE_S)
        self.listener.bind(str(path))
        path.chmod(0o666)
        self.listener.listen(16)

    def accept(self):
        return Link(self.listener.accept()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.path.unlink()
