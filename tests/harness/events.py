"""A client that follows events, as a browser's EventSource does."""

import collections
import contextlib
import http.client
import json
import queue
import socket
import threading
import time

from processes import DEADLINE_S


class Event:
    def __init__(self, kind, identifier, data):
        self.kind = kind
        self.id = identifier
        self.data = data

    def __repr__(self):
        return f"{self.kind} {self.id} {self.data}"


class EventStream:
    """Reads events from a connection of its own until that ends; `closed` then gives why: None for an end that is one."""

    def __init__(self, port, path, after=None, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if after is not None:
            given["Last-Event-ID"] = after
        self.connection.request("GET", path, headers=given)
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.headers = self.answer.headers
        self.events = queue.Queue()
        self.last_id = None
        self.retry = None
        if self.status == 200:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        why = None
        fields = {}
        try:
            while line := self.answer.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "retry":
                    self.retry = int(value)
                elif name:
                    assert name not in fields, f"{name} twice in {fields}"
                    fields[name] = value
                elif fields:
                    self.events.put(Event(fields["event"], fields["id"], json.loads(fields["data"])))
                    fields = {}
            if fields:
                why = f"the end came within an event: {fields}"
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            why = repr(error)
        self.events.put(why)

    def next(self, *kinds, seconds=DEADLINE_S):
        """The next event, of one of these kinds if there are any; pings are left out if they are not asked for. None is the stream's end."""
        deadline = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(deadline - time.monotonic(), 0))
            if not isinstance(event, Event):
                self.events.put(event)
                assert event is None, event
                return None
            self.last_id = event.id
            if event.kind in kinds or (not kinds and event.kind != "ping"):
                return event

    def until(self, holds, *kinds):
        """The next event for which that holds. Others do not put off the deadline, pings among them."""
        deadline = time.monotonic() + DEADLINE_S
        others = collections.Counter()
        with contextlib.suppress(queue.Empty):
            while (left := deadline - time.monotonic()) > 0:
                event = self.next(*kinds, seconds=left)
                assert event is not None, "the stream has ended"
                if holds(event):
                    return event
                others[event.kind] += 1
        raise AssertionError(f"the event did not come within {DEADLINE_S} s; others did: {dict(others)}")

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the reader
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Follower:
    """A client that connects again whenever its stream ends, and goes on where it was. `ids`: of the last event; `rows`: the last one of
    each task; `models`: of each model."""

    def __init__(self, port, path="/events"):
        self.port, self.path = port, path
        self.rows, self.models = {}, {}
        self.after = None
        self.connections = self.resets = 0
        self.faults = []
        self.pings = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ending.is_set():
            try:
                with EventStream(self.port, self.path, after=self.after) as stream:
                    assert stream.status == 200, stream.status
                    self.connections += 1
                    self._follow(stream)
            except (OSError, http.client.HTTPException):
                self._ending.wait(0.02)
            except AssertionError as fault:
                self.faults.append(fault)
                self._ending.wait(0.02)

    def _follow(self, stream):
        while not self._ending.is_set():
            try:
                event = stream.next("ping", "task", "model", "reset", seconds=0.5)
            except queue.Empty:
                continue
            if event is None:
                return
            self.after = event.id
            if event.kind == "task":
                self.rows[event.data["task_id"]] = event.data
            elif event.kind == "model":
                self.models[event.data["model_id"]] = event.data
            elif event.kind == "ping":
                self.pings.append(event.data)
            else:
                self.resets += 1

    def end(self):
        self._ending.set()
        self._thread.join(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
