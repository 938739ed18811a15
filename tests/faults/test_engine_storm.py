"""The engine is stopped and started over and over inside of a rolloutd that goes on, while clients post, steer, read and infer, and
nginx's worker processes are killed. No task that was answered is missing, every one ends once, those of a model run in their order
and one at a time, no inference fails, and in the end the server and its repository hold what is deployed, and nothing else.

SIGUSR1 stops the engine and SIGUSR2 starts it, in builds that have failpoints."""

import collections
import os
import random
import signal

import pytest

from clients import BROKEN, Casualties, ComingAndGoing, Deploying, Inferring, Metronome, Reading, StormClient, Writing
from gateway import FINAL, Client
from invariants import Journal, world_faults
from processes import LOCATIONS, command_line, wait_until

STOPS, LONG_STOPS = 30, 1000

STOPPED, STARTED = "rolloutd carries out no tasks", "rolloutd carries out tasks"

STEADY = ("steady-0", "steady-1")

LOCATION_OF_PID = """
        location = /pid { return 200 $pid; }
"""


@pytest.fixture
def gateway(make_gateway):
    made = make_gateway(daemon=True, rolloutd={"limits": {"max_concurrent_rollouts": 4}, "rollout": {"drain_s": 10}},
                        nginx={"workers": 2, "worker_arguments": "reconnect=50ms",
                               "locations": LOCATIONS.replace("rollout_api;", "rollout_api; add_header X-Worker $pid always;") + LOCATION_OF_PID})
    made.expected_alerts = ["exited on signal 9", 'shared memory zone "rollout" was locked by']
    return made.start()


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


class WritingToTheEnd(Writing):
    """One task after the other, or they would pile up while no engine runs."""

    def turn(self):
        task_id = self.post("delete", f"nobody-{self.chance.randrange(50)}", note="x" * self.chance.randrange(2000))
        if task_id:
            self.await_end("delete", task_id)


class EngineStorm:
    def __init__(self, gateway, casualties, chance, clients):
        self.rolloutd, self.nginx = gateway.rolloutd, gateway.nginx
        self.casualties = casualties
        self.chance = chance
        self.clients = clients
        self.log = open(self.rolloutd.log, errors="replace")  #: read up to what it has said last
        self.said = ""
        self.killed = 0

    def run(self, stops):
        for _ in range(stops):
            self.switch(signal.SIGUSR1, STOPPED)
            if self.chance.random() < 0.5:
                self.let_go_on(self.chance.randint(1, 15))
            if self.chance.random() < 0.2:
                self.kill_worker()
            self.switch(signal.SIGUSR2, STARTED)
            breath = self.chance.random()
            if breath < 0.1:
                ended = self.ended()
                wait_until(lambda before=ended: self.ended() > before, "the end of a deployment")
            elif breath < 0.9:
                self.let_go_on(self.chance.randint(1, 40))

    def switch(self, number, words):
        """Sends the signal, and waits until rolloutd says that it has done what it is for."""
        self.rolloutd.send_signal(number)

        def said():
            self.rolloutd.must_run()
            self.said += self.log.read()
            before, found, after = self.said.rpartition(words)
            self.said = after if found else before[-len(words):] + after[-len(words):]
            return bool(found)
        wait_until(said, f'"{words}" in rolloutd\'s log')

    def let_go_on(self, steps):
        target = sum(client.done for client in self.clients) + steps
        wait_until(lambda: sum(client.done for client in self.clients) >= target, f"{steps} more answers for the clients")

    def ended(self):
        """How many deployments have come to their end."""
        return sum(len(client.ended) for client in self.clients if isinstance(client, Deploying))

    def kill_worker(self):
        pid = self.chance.choice(wait_until(self.workers, "worker processes"))
        self.casualties.killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        self.killed += 1

    def workers(self):
        return [pid for pid in self.nginx.pids() if command_line(pid) == "nginx: worker process" and pid not in self.casualties.killed]


def test_the_engine_stops_and_starts_and_nothing_is_lost(request, gateway, seed, tell):
    stops = request.config.getoption("--kills") or (LONG_STOPS if request.config.getoption("--long") else STOPS)
    chance = random.Random(seed)
    casualties, clock = Casualties(), Metronome()
    for model in STEADY:
        gateway.make_model(model, f"{model} 1")
        gateway.deploy(model)
    passing = [f"passing-{number}" for number in range(4)]
    for model in passing:
        gateway.make_model(model, model)

    def made(kind, *arguments):
        return kind(gateway, casualties, chance.random(), *arguments)
    coming = made(ComingAndGoing, passing)
    posting = [*(made(Deploying, model) for model in STEADY), coming, *(made(WritingToTheEnd, f"writing-{number}") for number in range(2))]
    reading = [made(Reading, posting, clock) for _ in range(2)]
    inferring = [made(Inferring, STEADY) for _ in range(2)]
    steering = made(Steering, coming)
    clients = [*posting, *reading, *inferring, steering]

    storm = EngineStorm(gateway, casualties, chance, clients)
    for client in clients:
        client.start()
    try:
        storm.run(stops)
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.end()
        clock.end()
    for client in inferring:
        client.settle(set())
    tell(f"{stops} stops, {storm.killed} worker processes killed; {sum(one.done for one in posting)} posts, "
         f"{sum(one.done for one in reading)} reads, {sum(one.done for one in inferring)} inferences "
         f"({sum(one.broken for one in inferring)} broken off), verbs {dict(steering.statuses)}, "
         f"{sum(len(one.ended) for one in posting[:2])} deployments")
    faults = [fault for client in clients for fault in client.faults]
    for fault in faults:
        tell(fault)
    assert faults == []
    assert all(client.done for client in clients)

    gateway.rolloutd.must_run()
    gateway.await_link()
    answered = {task_id: (kind, body) for client in posting for task_id, kind, body in client.answered}
    client = Client(gateway.nginx.port, keep=True)
    for task_id, (kind, _) in answered.items():
        wait_until(lambda path=f"/{kind}/{task_id}": client.get(path).json["status"] in FINAL, f"the end of task {task_id}", seconds=300)

    def is_all_over():
        return all(task[5] in FINAL for task in Journal(gateway.rolloutd.journal).tasks)
    wait_until(is_all_over, "the end of the tasks that retries have made", seconds=300)

    journal = Journal(gateway.rolloutd.journal)
    in_journal = {task[2]: task for task in journal.tasks}
    assert [task_id for task_id in answered if task_id not in in_journal] == []
    assert ends_faults(gateway, journal) == []
    assert world_faults(gateway) == []
    for model in STEADY:
        assert gateway.infer(model).startswith(f"{model} ")


def ends_faults(gateway, journal):
    """Tasks that have run to their end twice, or before an earlier one of their model."""
    faults = []
    sequences = {task[2]: task[0] for task in journal.tasks}
    ends = [line for line in gateway.rolloutd.lines() if line["message"].startswith("The task is ")]
    for task_id, count in collections.Counter(line["task_id"] for line in ends).items():
        if count > 1:
            faults.append(f"task {task_id} has ended {count} times")
    last = {}
    for line in ends:
        model, sequence = line["model_id"], sequences[line["task_id"]]
        if sequence < last.get(model, 0):
            faults.append(f"task {line['task_id']} of model {model} has run after a later one")
        last[model] = sequence
    return faults
