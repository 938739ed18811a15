"""Many clients that follow many events: each gets the latest of all, and the memory stays as it was. The long setting has 10,000 clients and
1,000,000 events."""

import contextlib
import json
import pathlib
import re
import resource
import selectors
import socket
import threading

from events import EventStream
from failing_calls import MINUTE_NS, failing, failing_library  # noqa: F401
from link import line_of
from pretended_rolloutd import PretendedRolloutd, kept_alive
from processes import DEADLINE_S, MODULE, wait_until

CLIENTS, EVENTS = 300, 5000
LONG_CLIENTS, LONG_EVENTS = 10_000, 1_000_000
MODELS, TASKS = 10, 50
ROUND, LONG_ROUND = 500, 2000  # events, of which a client gets the last one of each task: fewer than the ring of this zone holds
WARM_ROUNDS = 3


class Crowd:
    """Clients that read all that comes, and keep the end of it."""

    def __init__(self, port, count):
        self.selector = selectors.DefaultSelector()
        self.tails = {}
        self.received = self.ended = self.resets = 0
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
            client.sendall(f"GET /events?model_id=m{number % MODELS} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            client.setblocking(False)
            self.tails[client] = b""
            self.selector.register(client, selectors.EVENT_READ)
            if number % 200 == 199:  # more at once would not fit into the listening socket's queue
                self.await_all()

    def await_all(self):
        wait_until(lambda: self.all_have(lambda _: b"event: ping"), "the streams")

    def read(self):
        while not self.closed.is_set():
            for key, _ in self.selector.select(0.1):
                try:
                    part = key.fileobj.recv(1 << 16)
                except ConnectionResetError:
                    part = b""
                if not part:
                    self.ended += 1
                    self.selector.unregister(key.fileobj)
                self.received += len(part)
                self.resets += part.count(b"event: reset")
                self.tails[key.fileobj] = (self.tails[key.fileobj] + part)[-4096:]

    def all_have(self, text):
        """Whether each client of each model has that of it last."""
        return all(text(number % MODELS) in tail for number, tail in enumerate(list(self.tails.values())))

    def close(self):
        self.closed.set()
        self.thread.join(DEADLINE_S)
        for client in self.tails:
            client.close()


def documents(first, count):
    for number in range(first, first + count):
        task = number % TASKS
        document = {"task_id": f"t{task}", "id": f"t{task}", "model_id": f"m{task % MODELS}", "status": "in_progress", "detail": f"change {number}.",
                    "updated_at": "2026-11-24T16:35:12.946412Z", "metadata": {"step": "load", "pad": "x" * (number % 2000)}}
        yield line_of(document, number + 1, sequence=task + 1)


def memory_kib(pid):
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


@contextlib.contextmanager
def descriptors(count):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], count), max(before)))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_clients_and_many_events_take_constant_memory(make_gateway, request, tell):
    clients, events, at_once = (LONG_CLIENTS, LONG_EVENTS, LONG_ROUND) if request.config.getoption("--long") else (CLIENTS, EVENTS, ROUND)
    gateway = make_gateway(nginx={"workers": 1, "zone": "32m", "connections": clients * 5 // 4 + 500})
    with contextlib.ExitStack() as stack:
        stack.enter_context(descriptors(clients * 5 // 4 + 1000))
        rolloutd = stack.enter_context(PretendedRolloutd(gateway.rolloutd.socket))
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        link.send(type="update", revision=0, filled=True, complete=True)
        link.settle()
        say = stack.enter_context(kept_alive(link))
        crowd = Crowd(gateway.port, clients)
        stack.callback(crowd.close)
        quick = stack.enter_context(EventStream(gateway.port, "/events"))
        crowd.await_all()
        pid, = gateway.nginx.worker_pids()
        before = None
        for number in range(events // at_once):
            first = number * at_once
            for batch in range(first, first + at_once, 100):
                say(*documents(batch, 100), type="update", revision=batch + 100)
            quick.until(lambda event, last=first + at_once - 1: event.kind == "task" and event.data["detail"] == f"change {last}.")
            # The last change of the model's tasks in this round.
            wait_until(lambda first=first: crowd.all_have(lambda model: json.dumps(f"change {first + at_once - MODELS + model}.").encode()), "the latest of all")
            if number == WARM_ROUNDS:
                before = memory_kib(pid)
        tell(f"{clients} clients, {events} events, {crowd.received >> 10} KiB; nginx had {before} KiB, and has {memory_kib(pid)}")
        assert memory_kib(pid) - before < 4096
        assert not crowd.ended and not crowd.resets


def test_a_stream_ends_after_an_hour(make_gateway, failing):  # noqa: F811
    """With an end that is one, after which its client goes on at the next."""
    gateway = make_gateway()
    gateway.nginx.environment = failing.environment(MODULE, "detect_leaks=0")
    gateway.start()
    with EventStream(gateway.port, "/events") as stream:
        stream.next("ping")
        failing.uptime_ns = 50 * MINUTE_NS
        stream.next("ping")
        task = gateway.post("/delete", {"model_id": "absent"}).task()
        stream.until(lambda event: event.data["task_id"] == task["task_id"] and event.data["status"] == "refused", "task")
        failing.uptime_ns = 70 * MINUTE_NS
        while stream.next("ping", "task", "model", "reset", "end") is not None:
            pass
        after = stream.last_id
    with EventStream(gateway.port, "/events", after=after) as stream:
        task = gateway.post("/delete", {"model_id": "absent"}).task()
        assert stream.until(lambda event: event.data["status"] == "refused").data["task_id"] == task["task_id"]
