"""Clients that post at one host and read at the others at once, many at a time: a process of their own, with none of the harness's checks
of each answer, which would be slower than what is tested."""

import dataclasses
import http.client
import json
import threading
import time

DEADLINE_S = 60
MODELS = 20  # of each client


@dataclasses.dataclass
class Posts:
    """What one process does."""
    first: int    #: the port of the host where is posted
    others: list  #: and those where is read
    name: str     #: what its tasks' ids begin with
    count: int
    clients: int  #: threads


@dataclasses.dataclass
class Seen:
    posted: int = 0
    read: int = 0
    repeated: int = 0  #: requests, after a 503
    faults: list = dataclasses.field(default_factory=list)
    seconds: float = 0


class Connection:
    def __init__(self, port, seen):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        self.seen = seen

    def ask(self, method, path, body=None):
        """The status and the document, once it is neither a 429 nor a 503."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.status not in (429, 503) or time.monotonic() > deadline:
                return answer.status, json.loads(text)
            self.seen.repeated += 1
            time.sleep(0.05)


class Poster(threading.Thread):
    def __init__(self, work, number, count):
        super().__init__(daemon=True)
        self.work, self.number, self.count = work, number, count
        self.seen = Seen()

    def run(self):
        try:
            first = Connection(self.work.first, self.seen)
            others = [Connection(port, self.seen) for port in self.work.others]
            for number in range(self.count):
                self.one(first, others, number)
        except Exception as error:  # noqa: BLE001: what a client did not expect is a finding
            self.seen.faults.append(repr(error))

    def one(self, first, others, number):
        own_id = number % 2 == 0
        model = f"{self.work.name}-{self.number}-{number % MODELS}"  # nobody else posts for it
        body = {"model_id": model, "config": {"note": "x" * (number % 500)}}
        if own_id:
            body["task_id"] = f"{self.work.name}-{self.number}-{number}"
        status, task = first.ask("POST", "/deploy", json.dumps(body))
        if status != 200 or (own_id and task["task_id"] != body["task_id"]):
            self.seen.faults.append(f"a post: {status} {task}")
            return
        self.seen.posted += 1
        for place, other in enumerate(others):
            status, found = other.ask("GET", f"/deploy/{task['task_id']}")
            if status != 200 or found["task_id"] != task["task_id"] or found["model_id"] != model:
                self.seen.faults.append(f"task {task['task_id']} at host {place + 1}: {status} {found}")
            self.seen.read += 1
            if number % 5 == 0:
                status, latest = other.ask("GET", f"/deploy-status/{model}")
                if status != 200 or latest["task_id"] != task["task_id"]:
                    self.seen.faults.append(f"the latest task of model {model} at host {place + 1}: {status} {latest}")


def post_and_read(work):
    began = time.monotonic()
    share, rest = divmod(work.count, work.clients)
    posters = [Poster(work, number, share + (number < rest)) for number in range(work.clients)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    seen = [poster.seen for poster in posters]
    return Seen(*(sum(getattr(one, name) for one in seen) for name in ("posted", "read", "repeated")),
                [fault for one in seen for fault in one.faults][:100], time.monotonic() - began)
