"""A rolloutd of a test's own, which says what the test wants it to say, and when."""

import contextlib
import queue
import socket
import threading
import time

import description
from link import PROTOCOL, frame, message_of
from processes import DEADLINE_S, wait_until

JOURNAL = "j" * 32
BUCKETS = ("buckets", "first_byte", "abandoned", "waiting")


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

    def receive(self, kind, seconds=DEADLINE_S):
        """The next frame of that type; others are dropped. Raises queue.Empty if none comes."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.frames.get(timeout=max(deadline - time.monotonic(), 0))
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


@contextlib.contextmanager
def kept_alive(link):
    """What sends frames over the link, on which pings go meanwhile: without them, nginx would take it for dead."""
    sending = threading.Lock()
    ending = threading.Event()

    def say(*lines, **message):
        with sending:
            link.send(*lines, **message)

    def ping():
        while not ending.wait(1):
            say(type="ping")
    thread = threading.Thread(target=ping, daemon=True)
    thread.start()
    yield say
    ending.set()
    thread.join(DEADLINE_S)


class PretendedRolloutd:
    def __init__(self, path):
        self.path = path
        description.pretend(path)
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


class RoutesOfATest:
    """What a test's rolloutd sends to nginx's worker processes, and asks them: for a class that has `rolloutd`, a PretendedRolloutd, and
    runs that nginx."""

    def link_up(self, workers=1):
        """Welcomes the worker processes, the first with the stream, and pings them until `closed` is set."""
        self.revision = self.measured = 0
        self.routes = {}
        self.sending = threading.Lock()
        self.closed = threading.Event()
        self.workers = workers
        self.connect()
        threading.Thread(target=self.ping, daemon=True).start()

    def connect(self):
        self.links = [self.rolloutd.accept() for _ in range(self.workers)]
        self.hello = [link.welcome(number == 0) for number, link in enumerate(self.links)][0]

    @property
    def link(self):
        """To the process that holds the stream."""
        return self.links[0]

    def ping(self):
        """As rolloutd does, or nginx takes the link for dead."""
        while not self.closed.wait(1):
            for link in self.links:
                with contextlib.suppress(OSError), self.sending:
                    link.send(type="ping")

    def say(self, **message):
        with self.sending:
            self.link.send(**message)

    def await_suspect(self, upstream, peer, fail):
        """Has requests fail until that server is reported: each is once a second at most, and may just have been."""
        def is_reported():
            fail()
            with contextlib.suppress(queue.Empty):
                return self.link.receive("suspect", 0.5) == {"type": "suspect", "upstream": upstream, "peer": peer}
        wait_until(is_reported, f"the report of {peer}")

    def send_routes(self):
        self.revision += 1
        self.say(type="routes", routes=list(self.routes.values()), revision=self.revision, begin=True, end=True)
        while self.link.receive("applied")["revision"] < self.revision:
            pass

    def measure(self, model, revision=2):
        self.measured += 1
        self.say(type="measure", id=self.measured, model_id=model, parts=[""], revisions=[revision])
        return self.link.receive("measured")

    def counts(self, model, revision=2):
        counted, = self.measure(model, revision)["counters"]
        for name in BUCKETS:
            pairs = counted.get(name, [])
            counted[name] = dict(zip(pairs[::2], pairs[1::2]))
        return counted

    def await_counts(self, model, revision=2, **expected):
        """Until they are these, and no others: what is not named is 0. `abandoned` and `waiting` are the numbers of such requests."""
        expected = {"requests": 0, "failures": 0, "client_errors": 0, "left_out": 0, "abandoned": 0, "waiting": 0} | expected
        found = {}

        def are():
            counted = self.counts(model, revision)
            found.update({name: sum(counted[name].values()) if name in BUCKETS else counted[name] for name in expected})
            return found == expected

        with contextlib.suppress(AssertionError):
            wait_until(are, "the counts", 5)
        assert found == expected, (found, expected)
        return self.counts(model, revision)
