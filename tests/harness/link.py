"""The frames between nginx and rolloutd, for a test that is one of the two."""

import contextlib
import json
import socket
import threading

from processes import DEADLINE_S


PROTOCOL = 4  # the newest of those that are spoken
OLDEST_PROTOCOL = 3
SPOKEN = f"versions {OLDEST_PROTOCOL} to {PROTOCOL}"


def frame(message, *lines):
    """A message, or bytes as they are, and the lines of the tasks that it brings."""
    texts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (message, *lines))
    text = b"\n".join(texts)
    return len(text).to_bytes(4, "big") + text


def message_of(text):
    """A frame's message, with what is behind it as `lines`."""
    message, *lines = text.split(b"\n")
    return {**json.loads(message), **({"lines": [line.decode() for line in lines]} if lines else {})}


def line_of(document, revision, kind="deploy", sequence=1):
    """A task's line."""
    words = (kind, sequence, revision, document["status"], document["task_id"], document["model_id"],
             json.dumps(document, separators=(",", ":")))
    return " ".join(map(str, words)).encode()


def submission(number, kind="deploy", task_id="t", model_id="m", parent_id=".", config={}, by=("", "", "")):
    """A frame's message and line, for `send`."""
    words = (number, kind, task_id, model_id, parent_id, json.dumps(config, separators=(",", ":")))
    return {"type": "submit"}, " ".join(map(str, words)).encode() + b"\t" + "\t".join(by).encode()


def submissions_in(message):
    """What a `submit` asks for, each with its number as `id`."""
    for line in message.get("lines", []):
        number, kind, task_id, model_id, _, rest = line.split(" ", 5)
        config, *by = rest.split("\t")
        yield {"id": int(number), "kind": kind, "task_id": task_id, "model_id": model_id, "config": json.loads(config), "by": by}


def answers_in(message):
    """What each line of an `accepted` says before the document."""
    for line in message["lines"]:
        number, word, kind, sequence, revision, status, _ = line.split(" ", 6)
        yield {"id": int(number), "word": word, "kind": kind, "sequence": int(sequence), "revision": int(revision), "status": status}


def words_of(message):
    """What the line of its only task says before the document."""
    kind, sequence, revision, status, _ = message["lines"][0].split(" ", 4)
    return {"kind": kind, "sequence": int(sequence), "revision": int(revision), "status": status}


class Frames:
    """A connection of the Unix socket, frame by frame."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(DEADLINE_S)
        self.buffer = b""
        self.sending = threading.Lock()
        self.closing = threading.Event()

    def send(self, *messages):
        """Messages, or each as a tuple with the lines behind it."""
        with self.sending:
            self.socket.sendall(b"".join(frame(*(message if isinstance(message, tuple) else (message,))) for message in messages))

    def receive(self):
        """The next message; None at the end."""
        while True:
            size = int.from_bytes(self.buffer[:4], "big")
            if len(self.buffer) >= 4 + size and len(self.buffer) >= 4:
                text, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                self.bytes = 4 + size  # of the last frame
                return message_of(text)
            try:
                part = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not part:
                return None
            self.buffer += part

    def receive_type(self, *types):
        """The next message of one of these types; what comes between is passed over."""
        while (message := self.receive()) is not None:
            if message["type"] in types:
                return message
        return None

    def close(self):
        self.closing.set()
        self.socket.close()


class Gateway(Frames):
    """What a worker process of nginx is to rolloutd."""

    def __init__(self, path, name="a-test", hello=True):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        super().__init__(connection)
        if hello:
            self.send({"type": "hello", "protocol": PROTOCOL, "pid": 1, "gateway": name, "journal": "", "revision": 0})

    def keep_alive(self):
        """Answers pings that nobody reads, until it is closed: a test may be longer at work than rolloutd waits for a silent link."""
        def ping():
            with contextlib.suppress(OSError):
                while not self.closing.wait(5):
                    self.send({"type": "pong"})
        threading.Thread(target=ping, daemon=True).start()

    def refusal(self):
        """Why rolloutd ends it."""
        message = self.receive_type("refuse")
        return message and message["reason"]


class SilentRolloutd:
    """Welcomes nginx's worker processes and never answers; keeps what they ask. `deaf`: it reads no more than their hello until it is
    told to listen."""

    def __init__(self, path, deaf=False):
        self.listens = threading.Event()
        if not deaf:
            self.listens.set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o666)
        self.listener.listen(16)
        self.asked = []
        self.links = []
        self.closed = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                link = Frames(self.listener.accept()[0])
                self.links.append(link)
                threading.Thread(target=self.listen, args=(link,), daemon=True).start()

    def listen(self, link):
        with contextlib.suppress(OSError):
            threading.Thread(target=self.ping, args=(link,), daemon=True).start()
            while (message := link.receive()) is not None:
                if message["type"] == "hello":
                    link.send({"type": "welcome", "protocol": PROTOCOL, "journal": "j" * 32, "revision": 0, "stream": True},
                              {"type": "routes", "routes": [], "revision": 0, "begin": True, "end": True},
                              {"type": "update", "revision": 0, "complete": True})
                    self.listens.wait()
                elif message["type"] not in ("pong", "applied"):
                    self.asked.append(message)

    def ping(self, link):
        with contextlib.suppress(OSError):
            while not self.closed.wait(2):
                link.send({"type": "ping"})

    def close(self):
        self.closed.set()
        self.listens.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_RDWR)
            link.close()
