"""The clients of a storm, and what they have in common. Each is a thread that does one kind of thing until it is told to end, keeps what it was promised, and
notes whatever no client may see. They know which processes were killed, and allow those nothing but a broken connection."""

import collections
import http.client
import json
import random
import socket
import threading

import grpc

from gateway import FINAL, Client, answer_of
from grpc_servers import GrpcClient
from invariants import document_faults
from processes import DEADLINE_S, wait_until

#: A read takes no longer, on a machine that has nothing else to do.
READ_DEADLINE_S = 2

#: How far a task with that status has come.
RANKS = {"pending": 0, "in_progress": 1, **dict.fromkeys(FINAL, 2)}

BROKEN = (OSError, http.client.HTTPException)

#: Tells a client which worker process is at the other end of its connection.
LOCATION_OF_PID = """
        location = /pid { return 200 $pid; }
"""


def with_worker_named(locations):
    """The same, where answers of the API too say which worker process gave them."""
    return locations.replace("rollout_api;", "rollout_api; add_header X-Worker $pid always;") + LOCATION_OF_PID


class Metronome:
    """A clock that goes as fast as the machine serves anybody: each beat is a short sleep and two turns of a connection to
    another thread, as a request is. Where others take the machine away, the beats come late, and a deadline in beats with them."""

    BEAT_S = 0.02

    def __init__(self):
        self.beats = 0
        self._ending = threading.Event()
        self._here, self._there = socket.socketpair()
        for work in (self._beat, self._echo):
            threading.Thread(target=work, daemon=True).start()

    def _beat(self):
        while not self._ending.is_set():
            self._ending.wait(self.BEAT_S)
            for _ in range(2):
                self._here.send(b"?")
                self._here.recv(1)
            self.beats += 1

    def _echo(self):
        try:
            while self._there.recv(1):
                self._there.send(b"!")
        except OSError:
            pass

    def seconds(self):
        return self.beats * self.BEAT_S

    def end(self):
        self._ending.set()


class Casualties:
    """What the storm has done to whom; noted before it is done."""

    def __init__(self):
        self.killed = set()  #: process ids of nginx's worker processes
        self.down = 0        #: how often nginx as a whole was taken away
        self.up = 0          #: and was there again

    def nginx_was_away(self, since):
        """Somewhen since that moment, as `moment` gave it."""
        return self.down != since or self.down != self.up

    def moment(self):
        return self.up


class StormClient(threading.Thread):
    def __init__(self, gateway, casualties, seed):
        super().__init__(daemon=True)
        self.gateway = gateway
        self.casualties = casualties
        self.chance = random.Random(seed)
        self.faults = []
        self.done = 0
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                self.turn()
        except Exception as error:  # noqa: BLE001: what a client did not expect is a finding
            self.faults.append(f"{type(self).__name__}: {error!r}")

    def end(self):
        self.ending.set()
        self.join(2 * DEADLINE_S)
        assert not self.is_alive(), f"{type(self).__name__} hangs"


class Inferring(StormClient):
    """Inferences over connections that are kept; each connection knows the worker process at its other end."""

    def __init__(self, gateway, casualties, seed, models):
        super().__init__(gateway, casualties, seed)
        self.models = models
        self.broken = 0   #: by a kill
        self.closed = []  #: without a byte of an answer, so perhaps when it was idle, as a worker process on its way out does

    def settle(self, leaving):
        """Whoever was told to end may have closed an idle connection; nobody else."""
        self.faults += [fault for pid, fault in self.closed if pid not in leaving]

    def turn(self):
        client = Client(self.gateway.nginx.port, keep=True)
        try:
            answer = client.get("/pid")
            pid = int(answer.body)
        except (*BROKEN, ValueError):
            self.ending.wait(0.01)
            return  # no inference yet
        try:
            for number in range(self.chance.randint(1, 30)):
                if self.ending.is_set() or not self.infer(client, pid, number):
                    return
        finally:
            client.connection.close()

    def infer(self, client, pid, number):
        """Says whether the connection stands."""
        model = self.chance.choice(self.models)
        try:
            answer = client.post(f"/v2/models/{model}/infer", {"inputs": []}, X_User=str(self.chance.random()))
        except BROKEN as error:
            if pid in self.casualties.killed:
                self.broken += 1
            else:
                fault = f"an inference of {model}, request {number} of a connection whose worker process {pid} was not killed: {error!r}"
                idle = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
                (self.closed if idle else self.faults).append((pid, fault) if idle else fault)
            return False
        text = answer_of(answer)
        if text is None or not text.startswith(f"{model} "):
            self.faults.append(f"an inference of {model} by worker process {pid}: {answer}")
        self.done += 1
        return True


class InferringByGrpc(StormClient):
    """Calls over connections that are kept; each answer says which worker process is at the other end. The client's library makes new
    connections by itself, so a call may be cut off too if a worker process was killed, or nginx was away, since the last answer."""

    def __init__(self, gateway, casualties, seed, models):
        super().__init__(gateway, casualties, seed)
        self.models = models
        self.broken = 0  #: by a kill

    def turn(self):
        client = GrpcClient(self.gateway.nginx.http2_port)
        killed, moment, worker = len(self.casualties.killed), self.casualties.moment(), None
        try:
            for _ in range(self.chance.randint(1, 60)):
                if self.ending.is_set():
                    return
                model = self.chance.choice(self.models)
                try:
                    text, headers = client.answer_and_headers(model, timeout=DEADLINE_S, metadata=(("x-user", str(self.chance.random())),))
                except grpc.RpcError as error:
                    if (worker is not None and worker not in self.casualties.killed and len(self.casualties.killed) == killed and
                            not self.casualties.nginx_was_away(moment)):
                        self.faults.append(f"a call of {model}, and worker process {worker} was not killed: {error.code()}, {error.details()}")
                    self.broken += 1
                    return
                killed, moment, worker = len(self.casualties.killed), self.casualties.moment(), int(headers["x-worker"])
                if not text.startswith(f"{model} "):
                    self.faults.append(f"a call of {model}: {text}")
                self.done += 1
        finally:
            client.close()


class Posting(StormClient):
    """Tasks, each posted until it is answered. `answered` holds what was promised; it only grows at its end, so others may read it."""

    def __init__(self, gateway, casualties, seed, name):
        super().__init__(gateway, casualties, seed)
        self.name = name
        self.answered = []  #: task id, kind and body of each
        self.count = 0

    def post(self, kind, model, **members):
        """Returns the task's id; None when the storm is over and nobody has answered."""
        self.count += 1
        task_id = f"{self.name}-{self.count}"
        body = {"model_id": model, "task_id": task_id, **members}
        while True:
            if self.post_once(kind, task_id, body):
                return task_id
            if self.ending.wait(0.01 * self.chance.random()):
                return None

    def post_once(self, kind, task_id, body):
        client = Client(self.gateway.nginx.port)
        try:
            answer = client.post(f"/{kind}", body)
        except BROKEN:
            return False
        if answer.status == 200:
            self.answered.append((task_id, kind, body))
            self.done += 1
            faults = document_faults(answer.json, task_id, body["model_id"])
            if faults:
                self.faults.append(f"the answer to a post has {faults}: {answer}")
            return True
        if answer.status not in (429, 500, 503):
            self.faults.append(f"a post of task {task_id}: {answer}")
        return False

    def await_end(self, kind, task_id):
        """Its status, or None when the storm is over."""
        while not self.ending.is_set():
            try:
                answer = Client(self.gateway.nginx.port).get(f"/{kind}/{task_id}?wait=2")
            except BROKEN:
                self.ending.wait(0.01)
                continue
            if answer.status == 200 and answer.json["status"] in FINAL:
                return answer.json["status"]
            if answer.status not in (200, 503):
                self.faults.append(f"task {task_id}, which was answered: {answer}")
                return None
        return None


class Writing(Posting):
    """Deletions of models that nobody has: over at once, each a few writes to the journal and to the zone."""

    def turn(self):
        self.post("delete", f"nobody-{self.chance.randrange(50)}", note="x" * self.chance.randrange(2000))


class WritingToTheEnd(Writing):
    """One task after the other, or they would pile up while no engine runs."""

    def turn(self):
        task_id = self.post("delete", f"nobody-{self.chance.randrange(50)}", note="x" * self.chance.randrange(2000))
        if task_id:
            self.await_end("delete", task_id)


class Deploying(Posting):
    """Revision after revision of a model that serves all the time; some fail, some are archived."""

    def __init__(self, gateway, casualties, seed, model):
        super().__init__(gateway, casualties, seed, f"deploying-{model}")
        self.model = model
        self.ended = []  #: their ends

    def turn(self):
        fails = self.chance.random() < 0.25
        folder = f"{self.model}-{self.count % 4}"
        self.gateway.make_model(folder, f"{self.model} {self.count + 2}", [{"kind": "failed_infer"}] if fails else None)
        steps = self.chance.choice(([], [{"weight": 50, "hold_s": 0}], [{"weight": 10, "hold_s": 0}, {"weight": 60, "hold_s": 0}]))
        rollout = {"smoke": {"request": {"inputs": []}}, "steps": [*steps, {"weight": 100, "hold_s": 0}],
                   "old": self.chance.choice(("delete", "delete", "archive"))}
        task_id = self.post("deploy", self.model, config={"source": f"file://{self.gateway.home}/models/{folder}", "rollout": rollout})
        status = task_id and self.await_end("deploy", task_id)
        if status:
            self.ended.append(status)
            if status != ("failed" if fails else "completed"):
                self.faults.append(f"deployment {task_id} of {self.model}, which {'must fail' if fails else 'is a good one'}, is {status}")


class ComingAndGoing(Posting):
    """Models that are deployed and deleted, without a look at what became of it."""

    def __init__(self, gateway, casualties, seed, models):
        super().__init__(gateway, casualties, seed, "coming-and-going")
        self.models = models

    def turn(self):
        model = self.chance.choice(self.models)
        if self.chance.random() < 0.5:
            self.post("deploy", model, config={"rollout": {"old": self.chance.choice(("delete", "archive", "keep"))}})
        else:
            task_id = self.post("delete", model)
            if task_id:
                self.await_end("delete", task_id)


class Steering(StormClient):
    """Verbs for tasks of the models that come and go. Whatever the answer, it is one that says what is the matter."""

    def __init__(self, gateway, casualties, seed, source):
        super().__init__(gateway, casualties, seed)
        self.source = source
        self.statuses = collections.Counter()

    def turn(self):
        known = [task for task in self.source.answered[-20:] if task[1] == "deploy"]
        if not known:
            self.ending.wait(0.01)
            return
        task_id, kind, _ = self.chance.choice(known)
        verb = self.chance.choice(("cancel", "cancel", "pause", "resume", "promote", "retry"))
        try:
            answer = Client(self.gateway.nginx.port).post(f"/{kind}/{task_id}/{verb}", {})
        except BROKEN:
            return  # by a killed worker process
        self.statuses[answer.status] += 1
        if answer.status not in (200, 409, 429, 503) or (answer.status == 503 and "Retry-After" not in answer.headers):
            self.faults.append(f"{verb} of task {task_id}: {answer}")
        self.done += 1


class Reading(StormClient):
    """Reads of what was answered, each within its deadline. A task's status never goes back, and one that is final stays as it is, for
    the same worker process."""

    def __init__(self, gateway, casualties, seed, posting, clock, deadline_s=READ_DEADLINE_S):
        super().__init__(gateway, casualties, seed)
        self.deadline_s = deadline_s
        self.posting = posting
        self.clock = clock
        self.longest = (0, "")
        self.final = {}
        self.ranks = {}  #: of the statuses that were seen last

    def turn(self):
        source = self.chance.choice(self.posting)
        known = source.answered
        if not known:
            self.ending.wait(0.01)
            return
        task_id, kind, body = self.chance.choice(known if self.chance.random() < 0.5 else known[-20:])
        which = self.chance.random()
        if which < 0.6:
            self.read(f"/{kind}/{task_id}", task_id, body)
        elif which < 0.8:
            self.read(f"/{kind}-status/{body['model_id']}")
        elif which < 0.9:
            self.read(f"/{kind}?limit=20")
        else:
            self.read("/models?limit=50")

    def read(self, path, task_id=None, body=None):
        moment = self.casualties.moment()
        began = self.clock.seconds()
        try:
            answer = Client(self.gateway.nginx.port).get(path)
        except TimeoutError as error:
            self.faults.append(f"GET {path} hangs: {error!r}")
            return
        except ConnectionRefusedError as error:
            if not self.casualties.nginx_was_away(moment):
                self.faults.append(f"GET {path}: {error!r}")
            return
        except BROKEN:
            return  # by a killed worker process: a new connection has no name yet to know it by
        took = self.clock.seconds() - began
        self.longest = max(self.longest, (took, f"GET {path}, {answer.status}"))
        self.done += 1
        if took > self.deadline_s:
            self.faults.append(f"GET {path} took {took:.1f} s: {answer}")
        if answer.status not in (200, 503):
            self.faults.append(f"GET {path}, of something that was answered: {answer}")
        elif answer.status == 200:
            document = json.loads(answer.body)
            if task_id:
                self.judge(document, task_id, body, int(answer.headers["X-Worker"]))

    def judge(self, document, task_id, body, pid):
        faults = document_faults(document, task_id, body["model_id"])
        given = body["config"] if "config" in body else {name: value for name, value in body.items() if name not in ("model_id", "task_id")}
        if document.get("metadata", {}).get("config") != given:
            faults.append("its config is another")
        rank = RANKS.get(document.get("status"), 0)
        if rank < self.ranks.get(task_id, 0):
            faults.append("its status has gone back")
        self.ranks[task_id] = rank
        before = self.final.get((pid, task_id))
        if before and document != before:
            faults.append(f"it was final as {before}")
        if document.get("status") in FINAL:
            self.final[pid, task_id] = document
        if faults:
            self.faults.append(f"task {task_id}: {faults}: {document}")


class Crowd:
    """All clients of a storm. As a context, they run inside of it."""

    def __init__(self, chance):
        self.chance = chance
        self.clients = []

    def add(self, kind, gateway, casualties, *arguments):
        self.clients.append(kind(gateway, casualties, self.chance.random(), *arguments))
        return self.clients[-1]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.ending.set()
        for client in self.clients:
            client.end()

    def of(self, kind):
        return [client for client in self.clients if isinstance(client, kind)]

    def done(self, kind=StormClient):
        return sum(client.done for client in self.of(kind))

    def broken(self, kind):
        return sum(client.broken for client in self.of(kind))

    def ended(self):
        """How many deployments have come to their end."""
        return sum(len(client.ended) for client in self.of(Deploying))

    def let_go_on(self, steps):
        target = self.done() + steps
        wait_until(lambda: self.done() >= target, f"{steps} more answers for the clients")

    def settle(self, leaving=frozenset()):
        """As Inferring does: those worker processes were told to end."""
        for client in self.of(Inferring):
            client.settle(leaving)

    def faults(self, tell):
        """What any of them has noted, which is also told."""
        found = [fault for client in self.clients for fault in client.faults]
        for fault in found:
            tell(fault)
        return found

    def answered(self):
        """What was promised: by task id, its kind and its body."""
        return {task_id: (kind, body) for client in self.of(Posting) for task_id, kind, body in client.answered}


def look_for(gateway, tasks):
    """Those that the gateway does not answer for, and those that have not ended."""
    missing, unfinished = [], {}
    client = Client(gateway.nginx.port, keep=True)
    for task_id, (kind, body) in tasks.items():
        answer = client.get(f"/{kind}/{task_id}")
        if answer.status != 200:
            missing.append((task_id, answer))
        elif answer.json["status"] not in FINAL:
            unfinished[task_id] = (kind, body)
    return missing, unfinished


def await_all_ended(gateway, answered):
    """None of them is missing, and all of them end."""
    left = answered

    def are_all_over():
        nonlocal left
        missing, left = look_for(gateway, left)
        assert missing == []
        return not left
    wait_until(are_all_over, "the end of all tasks", seconds=300)
