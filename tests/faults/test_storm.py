"""nginx and rolloutd are killed over and over while clients post, read and infer. No task that was answered is missing, every one
ends, no read hangs, no document is torn, no inference fails but one whose own worker process was killed; and in the end the server
and its repository hold what is deployed, and nothing else."""

import random
import re
import signal

import pytest

from clients import (Casualties, ComingAndGoing, Crowd, Deploying, Inferring, InferringByGrpc, Metronome, Posting, Reading, Writing,
                     await_all_ended, with_worker_named)
from invariants import Journal, world_faults
from processes import LOCATIONS, free_port
from several import GRPC_LOCATION
from storm import Storm

KILLS, LONG_KILLS = 60, 500
#: What nginx says when it takes the mutex of a zone from a process that has died with it.
LOCKED = 'shared memory zone "rollout" was locked by'

STEADY = ("steady-0", "steady-1")

GRPC_BLOCK = "upstream inference_grpc {{ server 127.0.0.1:{port}; keepalive 16; }}"


@pytest.fixture
def gateway(make_gateway):
    port = free_port()
    made = make_gateway(daemon=True, rolloutd={"limits": {"max_concurrent_rollouts": 4}, "rollout": {"drain_s": 10}},
                        nginx={"workers": 3, "worker_arguments": "reconnect=50ms",
                               "http": GRPC_BLOCK.format(port=port),
                               "locations": with_worker_named(LOCATIONS) + GRPC_LOCATION})
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

    crowd = Crowd(chance)

    def add(kind, *arguments):
        return crowd.add(kind, gateway, casualties, *arguments)
    for model in STEADY:
        add(Deploying, model)
    add(ComingAndGoing, passing)
    for number in range(2):
        add(Writing, f"writing-{number}")
    posting = crowd.of(Posting)
    reading = [add(Reading, posting, clock) for _ in range(2)]
    for kind, count in ((Inferring, 3), (InferringByGrpc, 2)):
        for _ in range(count):
            add(kind, STEADY)

    storm = Storm(gateway, casualties, chance, crowd)
    try:
        with crowd:
            storm.run(kills)
    finally:
        clock.end()
    leaving = {int(pid) for pid in re.findall(r"\] (\d+)#\d+: gracefully shutting down", gateway.nginx.errors())}
    crowd.settle(leaving)
    longest = max(one.longest for one in reading)
    tell(f"{dict(storm.counts)}; {crowd.done(Posting)} posts, {crowd.done(Reading)} reads "
         f"(the longest {longest[0]:.2f} s: {longest[1]}), {crowd.done(Inferring)} inferences "
         f"({crowd.broken(Inferring)} broken off), {crowd.done(InferringByGrpc)} by gRPC "
         f"({crowd.broken(InferringByGrpc)} broken off), {crowd.ended()} deployments; "
         f"{gateway.nginx.errors().count(LOCKED)} killed while they held the zone's mutex")
    assert crowd.faults(tell) == []
    assert all(client.done for client in crowd.clients)

    gateway.rolloutd.must_run()
    gateway.await_link()
    answered = crowd.answered()
    await_all_ended(gateway, answered)

    in_journal = {task[2]: task for task in Journal(gateway.rolloutd.journal).tasks}
    assert [task_id for task_id in answered if task_id not in in_journal] == []
    assert world_faults(gateway) == []
    for model in STEADY:
        assert gateway.infer(model).startswith(f"{model} ")


class Sure(random.Random):
    """Whatever may come comes."""

    def random(self):
        return 0.0


def test_a_master_process_that_dies_without_worker_processes_leaves_nobody_to_wait_for(gateway):
    storm = Storm(gateway, Casualties(), Sure(), Crowd(Sure()))
    gateway.nginx.send_signal(signal.SIGSTOP)  # so that it starts no others
    for pid in storm.workers():
        storm.kill(pid)
    storm.kill_master()
    gateway.await_link()
