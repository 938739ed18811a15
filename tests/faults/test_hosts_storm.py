"""Hosts of a cluster are killed in the middle of a rollout, one after the other, with kill -9: a rolloutd, an nginx, a whole host, a member
of etcd. After each, the rollout goes on. No task that was answered is missing at any gateway, none goes back, every one ends once, those
of a model run in their order, no model is used between its unload and its next load, and no client of a gateway that lives on sees an
error; in the end the inference server and its repository hold what is deployed, and nothing else."""

import collections
import random
import statistics
import time

import pytest

from clients import (BROKEN, Casualties, ComingAndGoing, Crowd, Deploying, Inferring, Metronome, Posting, Reading, WritingToTheEnd, await_all_ended,
                     with_worker_named)
from gateway import FINAL, Client
from hosts import UnloadWatch
from invariants import Journal, document_faults, ends_faults, numbers_faults, world_faults
from processes import DEADLINE_S, LOCATIONS, wait_until

KILLS, LONG_KILLS = 6, 200

#: From a kill to the next thing that a rollout does: the leader's lease, another one's start, and a step that was under way. It is judged
#: in the long setting, which has the machine for itself.
GOES_ON_S = 10

#: A read that has to ask etcd may have to wait until etcd's members have a leader again; nginx waits for 5 s.
READ_S = 8

STEADY = ("steady-0", "steady-1")
PASSING = ("passing-0", "passing-1", "passing-2")
STEPS = ("fetch", "stage", "load", "ready", "smoke", "shift", "promote", "retire")

READY = "        location ~ ^/(readyz|metrics)$ { rollout_api; }\n"


class WritingAndLooking(WritingToTheEnd):
    """What is posted at one host is looked at at the others as soon as it is answered."""

    def __init__(self, host, casualties, seed, others):
        super().__init__(host, casualties, seed, f"writing-{host.name}")
        self.others = others  #: the other hosts, each with what has become of it
        self.looks = 0

    def post_once(self, kind, task_id, body):
        is_answered = super().post_once(kind, task_id, body)
        if is_answered:
            for host, casualties in self.others:
                self.look(host, casualties, f"/{kind}/{task_id}", task_id, body)
        return is_answered

    def look(self, host, casualties, path, task_id, body):
        while not self.ending.is_set():
            moment = casualties.moment()
            try:
                answer = Client(host.nginx.port).get(path)
            except BROKEN as error:
                if not casualties.nginx_was_away(moment):
                    self.faults.append(f"GET {path} at host {host.name}, which is there: {error!r}")
                    return
            else:
                if answer.status == 200:
                    self.looks += 1
                    faults = document_faults(answer.json, task_id, body["model_id"])
                    if faults:
                        self.faults.append(f"task {task_id} at host {host.name} has {faults}: {answer}")
                    return
                if answer.status != 503:
                    self.faults.append(f"task {task_id}, which was answered, at host {host.name}: {answer}")
                    return
            self.ending.wait(0.02)


class HostsStorm:
    """Kills one thing in the middle of a rollout, waits until that goes on, and brings back what it has killed."""

    def __init__(self, hosts, casualties, chance, crowd, watch, goes_on_s):
        self.hosts, self.casualties, self.chance, self.crowd, self.watch = hosts, casualties, chance, crowd, watch
        self.goes_on_s = goes_on_s
        self.blows = {"the leader's rolloutd": lambda: self.kill_rolloutd(self.leader()),
                      "another rolloutd": lambda: self.kill_rolloutd(self.other()),
                      "an nginx": lambda: self.kill_nginx(self.chance.choice(hosts.hosts)),
                      "the leader's host": lambda: self.kill_host(self.leader()),
                      "another host": lambda: self.kill_host(self.other()),
                      "a member of etcd": self.kill_member}
        self.took = collections.defaultdict(list)  #: seconds until the rollout went on, by what was killed
        self.slow = []

    def run(self, kills):
        left = []
        for number in range(kills):
            left = left or self.chance.sample(list(self.blows), len(self.blows))
            self.round(number, left.pop())
            if self.chance.random() < 0.5:
                self.crowd.let_go_on(self.chance.randint(1, 40))

    def round(self, number, what):
        task, step = self.rollout_in_the_middle(number)
        moment = time.monotonic()
        down, revive = self.blows[what]()
        known = self.known(task)
        is_back = self.chance.random() < 0.3
        if is_back:
            revive()
        took = self.await_progress(task, known, what, step) - moment
        self.took[what].append(took)
        if took > self.goes_on_s:
            self.slow.append(f"kill {number}, {what}, at step {step} of {task['task_id']}: {took:.1f} s")
        if not is_back:
            revive()
        alive = self.chance.choice([host for host in self.hosts if host is not down])
        alive.wait(task, status="completed", seconds=2 * DEADLINE_S)
        self.look()
        for host in self.hosts:
            host.await_link()
        for member in self.hosts.etcd.members:
            member.await_health()

    def rollout_in_the_middle(self, number):
        """A task, and the step that it has come to."""
        for attempt in range(100):
            step = self.chance.choice(STEPS)
            host = self.chance.choice(self.hosts.hosts)
            host.make_model("measured", f"measured {number}", [{"kind": "slow_load", "ms": 300}])
            steps = [{"weight": 30, "hold_s": self.chance.randint(0, 1)}, {"weight": 60, "hold_s": 0}, {"weight": 100, "hold_s": 0}]
            task = self.post(host, {"model_id": "measured", "task_id": f"measured-{number}-{attempt}", "config": {"rollout": {"steps": steps}}})

            def has_come_to(step=step, task=task, host=host):
                now = host.get(f"/deploy/{task['task_id']}")
                if now.status != 200:
                    return None
                is_there = any(one["name"] == step and one["state"] != "pending" for one in now.json["metadata"]["steps"])
                return now.json if is_there or now.json["status"] in FINAL else None
            if wait_until(has_come_to, f"step {step}")["status"] not in FINAL:
                return task, step
        raise AssertionError("of a hundred rollouts none could be met in the middle")

    @staticmethod
    def post(host, body):
        """Repeated while there is no answer: etcd's members may be without a leader."""
        def accepted():
            answer = host.post("/deploy", body)
            assert answer.status in (200, 429, 500, 503), answer
            return answer.json if answer.status == 200 else None
        return wait_until(accepted, "an accepted post")

    def known(self, task):
        """The revision that the task has in etcd."""
        return wait_until(lambda: self.hosts.entry(f"s/tasks/{task['task_id']}"), "the task in etcd")["mod_revision"]

    def await_progress(self, task, known, what, step):
        """Until somebody has written what the rollout does next, or it has ended; the moment."""
        def goes_on():
            entry = self.hosts.entry(f"s/tasks/{task['task_id']}")
            return entry and (entry["mod_revision"] > known or any(f'"status":"{status}"' in entry["value"] for status in FINAL))
        wait_until(goes_on, f"what comes after step {step} of {task['task_id']}, with {what} killed")
        return time.monotonic()

    def look(self):
        assert self.watch.look() == []

    def leader(self):
        return wait_until(self.hosts.elected, "a leader")

    def other(self):
        leader = self.leader()
        return self.chance.choice([host for host in self.hosts if host is not leader])

    # Blows: each returns the host that is down, and what brings it back.

    def kill_rolloutd(self, host):
        host.rolloutd.kill()
        return host, lambda: host.rolloutd.start(wait=False)

    def kill_nginx(self, host):
        self.take_down(host)
        host.kill_nginx()
        return host, lambda: self.bring_up(host)

    def kill_host(self, host):
        self.take_down(host)
        host.kill()

        def revive():
            host.rolloutd.start(wait=False)
            self.bring_up(host)
        return host, revive

    def kill_member(self):
        member = self.chance.choice(self.hosts.etcd.members)
        member.kill()
        return None, lambda: member.start(wait=False)

    def take_down(self, host):
        casualties = self.casualties[host.name]
        casualties.killed.update(host.nginx.worker_pids())
        casualties.down += 1

    def bring_up(self, host):
        host.nginx.start()
        self.casualties[host.name].up += 1


@pytest.fixture
def hosts(make_hosts):
    made = make_hosts(3, 3, rolloutd={"rollout": {"drain_s": 10, "smoke": {"request": {"inputs": []}}}},
                      nginx={"worker_arguments": "reconnect=50ms", "locations": with_worker_named(LOCATIONS + READY)})
    for host in made:
        state = host.own / "state"
        state.mkdir()
        state.chmod(0o777)
        host.nginx.pieces["zone"] = f"8m state={state}/routes.json"  # an nginx that is up before its rolloutd routes by that
    return made.start()


def test_hosts_are_killed_and_the_rollout_goes_on(request, hosts, seed, tell):
    is_long = request.config.getoption("--long")
    kills = request.config.getoption("--kills") or (LONG_KILLS if is_long else KILLS)
    chance = random.Random(seed)
    clock = Metronome()
    watch = UnloadWatch(hosts[0].server)
    casualties = {host.name: Casualties() for host in hosts}
    for model in STEADY:
        hosts[0].make_model(model, f"{model} 1")
        hosts[0].deploy(model)
    for model in PASSING:
        hosts[0].make_model(model, model)
    for host in hosts:
        wait_until(lambda host=host: set(host.serving()) == set(STEADY) and all(host.infer(model) for model in STEADY), "the routes")

    crowd = Crowd(chance)
    for number, host in enumerate(hosts):
        own = casualties[host.name]
        others = [(other, casualties[other.name]) for other in hosts if other is not host]
        crowd.add(WritingAndLooking, host, own, others)
        crowd.add(Inferring, host, own, STEADY)
        if number < len(STEADY):
            crowd.add(Deploying, host, own, STEADY[number])
        else:
            crowd.add(ComingAndGoing, host, own, PASSING)
    posting = crowd.of(Posting)
    for host in hosts:
        crowd.add(Reading, host, casualties[host.name], posting, clock, READ_S)

    storm = HostsStorm(hosts, casualties, chance, crowd, watch, GOES_ON_S if is_long else DEADLINE_S)
    try:
        with crowd:
            storm.run(kills)
    finally:
        clock.end()
    crowd.settle()
    of_leaders = storm.took["the leader's rolloutd"] + storm.took["the leader's host"]
    tell("seconds from a kill until the rollout went on:\n" + "\n".join(
        f"  {what}: median {statistics.median(took):.2f}, at most {max(took):.2f}, {len(took)} times"
        for what, took in [*sorted(storm.took.items()), ("of leaders alone", of_leaders)] if took))
    tell(f"{crowd.done(Posting)} posts, {sum(one.looks for one in crowd.of(WritingAndLooking))} looks at other hosts, {crowd.done(Reading)} reads, "
         f"{crowd.done(Inferring)} inferences ({crowd.broken(Inferring)} broken off), {crowd.ended()} deployments beside those that were hit")
    assert crowd.faults(tell) == []
    assert all(client.done for client in crowd.clients)
    assert storm.slow == []

    for host in hosts:
        host.rolloutd.must_run()
        host.await_link()
    answered = crowd.answered()
    for host in hosts:
        await_all_ended(host, answered)
    for host in hosts:
        wait_until(lambda host=host: world_faults(host) == [], f"what is deployed, at host {host.name}: {world_faults(host)}", seconds=2 * DEADLINE_S)
        journal = Journal(host.rolloutd.journal)
        in_journal = {task[2] for task in journal.tasks}
        assert [task_id for task_id in answered if task_id not in in_journal] == []
        assert numbers_faults(journal) == []
    log = sorted(({"host": host.name, **line} for host in hosts for line in host.rolloutd.lines()), key=lambda line: line["time"])
    assert ends_faults(log, journal) == []
    assert watch.look() == []
    for host in hosts:
        for model in STEADY:
            assert host.infer(model).startswith(f"{model} ")
