"""The engine is stopped and started over and over inside of a rolloutd that goes on, while clients post, steer, read and infer, and
nginx's worker processes are killed. No task that was answered is missing, every one ends once, those of a model run in their order
and one at a time, no inference fails, and in the end the server and its repository hold what is deployed, and nothing else.

SIGUSR1 stops the engine and SIGUSR2 starts it, in builds that have failpoints."""

import os
import random
import signal

import pytest

from clients import (Casualties, ComingAndGoing, Crowd, Deploying, Inferring, Metronome, Posting, Reading, Steering, WritingToTheEnd,
                     await_all_ended, with_worker_named)
from gateway import FINAL
from invariants import Journal, ends_faults, world_faults
from processes import LOCATIONS, command_line, wait_until

STOPS, LONG_STOPS = 30, 1000

STOPPED, STARTED = "rolloutd carries out no tasks", "rolloutd carries out tasks"

STEADY = ("steady-0", "steady-1")


@pytest.fixture
def gateway(make_gateway):
    made = make_gateway(daemon=True, rolloutd={"limits": {"max_concurrent_rollouts": 4}, "rollout": {"drain_s": 10}},
                        nginx={"workers": 2, "worker_arguments": "reconnect=50ms",
                               "locations": with_worker_named(LOCATIONS)})
    made.expected_alerts = ["exited on signal 9", 'shared memory zone "rollout" was locked by']
    return made.start()


class EngineStorm:
    def __init__(self, gateway, casualties, chance, crowd):
        self.rolloutd, self.nginx = gateway.rolloutd, gateway.nginx
        self.casualties = casualties
        self.chance = chance
        self.crowd = crowd
        self.log = open(self.rolloutd.log, errors="replace")  #: read up to what it has said last
        self.said = ""
        self.killed = 0

    def run(self, stops):
        for _ in range(stops):
            self.switch(signal.SIGUSR1, STOPPED)
            if self.chance.random() < 0.5:
                self.crowd.let_go_on(self.chance.randint(1, 15))
            if self.chance.random() < 0.2:
                self.kill_worker()
            self.switch(signal.SIGUSR2, STARTED)
            breath = self.chance.random()
            if breath < 0.1:
                ended = self.crowd.ended()
                wait_until(lambda before=ended: self.crowd.ended() > before, "the end of a deployment")
            elif breath < 0.9:
                self.crowd.let_go_on(self.chance.randint(1, 40))

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

    crowd = Crowd(chance)

    def add(kind, *arguments):
        return crowd.add(kind, gateway, casualties, *arguments)
    for model in STEADY:
        add(Deploying, model)
    steering = add(Steering, add(ComingAndGoing, passing))
    for number in range(2):
        add(WritingToTheEnd, f"writing-{number}")
    posting = crowd.of(Posting)
    for _ in range(2):
        add(Reading, posting, clock)
        add(Inferring, STEADY)

    storm = EngineStorm(gateway, casualties, chance, crowd)
    try:
        with crowd:
            storm.run(stops)
    finally:
        clock.end()
    crowd.settle()
    tell(f"{stops} stops, {storm.killed} worker processes killed; {crowd.done(Posting)} posts, "
         f"{crowd.done(Reading)} reads, {crowd.done(Inferring)} inferences "
         f"({crowd.broken(Inferring)} broken off), verbs {dict(steering.statuses)}, {crowd.ended()} deployments")
    assert crowd.faults(tell) == []
    assert all(client.done for client in crowd.clients)

    gateway.rolloutd.must_run()
    gateway.await_link()
    answered = crowd.answered()
    await_all_ended(gateway, answered)

    def is_all_over():
        return all(task[5] in FINAL for task in Journal(gateway.rolloutd.journal).tasks)
    wait_until(is_all_over, "the end of the tasks that retries have made", seconds=300)

    journal = Journal(gateway.rolloutd.journal)
    in_journal = {task[2]: task for task in journal.tasks}
    assert [task_id for task_id in answered if task_id not in in_journal] == []
    assert ends_faults(gateway.rolloutd.lines(), journal) == []
    assert world_faults(gateway) == []
    for model in STEADY:
        assert gateway.infer(model).startswith(f"{model} ")
