"""nginx and rolloutd are killed over and over while clients post, read and infer. No task that was answered is missing, every one
ends, no read hangs, no document is torn, no inference fails but one whose own worker process was killed; and in the end the server
and its repository hold what is deployed, and nothing else."""

import random
import re
import signal

import pytest

from clients import Casualties, ComingAndGoing, Deploying, Inferring, InferringByGrpc, Metronome, Reading, Writing
from gateway import FINAL, Client
from invariants import Journal, world_faults
from processes import LOCATIONS, free_port, wait_until
from several import GRPC_LOCATION
from storm import Storm

KILLS, LONG_KILLS = 60, 500
#: What nginx says when it takes the mutex of a zone from a process that has died with it.
LOCKED = 'shared memory zone "rollout" was locked by'

STEADY = ("steady-0", "steady-1")

LOCATION_OF_PID = """
        location = /pid { return 200 $pid; }
"""
GRPC_BLOCK = "upstream inference_grpc {{ server 127.0.0.1:{port}; keepalive 16; }}"


@pytest.fixture
def gateway(make_gateway):
    port = free_port()
    made = make_gateway(daemon=True, rolloutd={"limits": {"max_concurrent_rollouts": 4}, "rollout": {"drain_s": 10}},
                        nginx={"workers": 3, "worker_arguments": "reconnect=50ms",
                               "http": GRPC_BLOCK.format(port=port),
                               "locations": LOCATIONS.replace("rollout_api;", "rollout_api; add_header X-Worker $pid always;") + LOCATION_OF_PID + GRPC_LOCATION})
    made.inference.grpc_port = port
    state = made.home / "state"
    state.mkdir()
    state.chmod(0o777)
    made.nginx.write(zone=f"8m state={state}/routes.json")
    made.expected_alerts = ["exited on signal 9", LOCKED]
    return made.start()


def test_nothing_is_lost_in_a_storm(request, gateway, seed, tell):
    kills = request.config.getoption("--kills") or (LONG_KILLS if request.config.getoption("--long") else KILLS)
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
    posting = [*(made(Deploying, model) for model in STEADY), made(ComingAndGoing, passing),
               *(made(Writing, f"writing-{number}") for number in range(2))]
    reading = [made(Reading, posting, clock) for _ in range(2)]
    inferring = [made(Inferring, STEADY) for _ in range(3)]
    calling = [made(InferringByGrpc, STEADY) for _ in range(2)]
    clients = [*posting, *reading, *inferring, *calling]

    storm = Storm(gateway, casualties, chance, lambda: sum(client.done for client in clients),
                  lambda: sum(len(client.ended) for client in posting if isinstance(client, Deploying)))
    for client in clients:
        client.start()
    try:
        storm.run(kills)
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.end()
        clock.end()
    leaving = {int(pid) for pid in re.findall(r"\] (\d+)#\d+: gracefully shutting down", gateway.nginx.errors())}
    for client in inferring:
        client.settle(leaving)
    longest = max(one.longest for one in reading)
    tell(f"{dict(storm.counts)}; {sum(one.done for one in posting)} posts, {sum(one.done for one in reading)} reads "
         f"(the longest {longest[0]:.2f} s: {longest[1]}), {sum(one.done for one in inferring)} inferences "
         f"({sum(one.broken for one in inferring)} broken off), {sum(one.done for one in calling)} by gRPC "
         f"({sum(one.broken for one in calling)} broken off), {sum(len(one.ended) for one in posting[:2])} deployments; "
         f"{gateway.nginx.errors().count(LOCKED)} killed while they held the zone's mutex")
    faults = [fault for client in clients for fault in client.faults]
    for fault in faults:
        tell(fault)
    assert faults == []
    assert all(client.done for client in clients)

    gateway.rolloutd.must_run()
    gateway.await_link()
    answered = {task_id: (kind, body) for client in posting for task_id, kind, body in client.answered}
    missing, unfinished = look_for(gateway, answered)
    assert missing == []
    wait_until(lambda: not look_for(gateway, unfinished)[1], "the end of all tasks", seconds=300)

    in_journal = {task[2]: task for task in Journal(gateway.rolloutd.journal).tasks}
    assert [task_id for task_id in answered if task_id not in in_journal] == []
    assert world_faults(gateway) == []
    for model in STEADY:
        assert gateway.infer(model).startswith(f"{model} ")


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


class Sure(random.Random):
    """Whatever may come comes."""

    def random(self):
        return 0.0


def test_a_master_process_that_dies_without_worker_processes_leaves_nobody_to_wait_for(gateway):
    storm = Storm(gateway, Casualties(), Sure(), lambda: 0, lambda: 0)
    gateway.nginx.send_signal(signal.SIGSTOP)  # so that it starts no others
    for pid in storm.workers():
        storm.kill(pid)
    storm.kill_master()
    gateway.await_link()
