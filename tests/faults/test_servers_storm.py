"""A backend of three servers: deployments one after another while one server is killed, starts empty, is stopped, loads slowly or refuses to
load. No client, by HTTP or gRPC, sees an error but that of a connection which a kill cut, no server is asked for a model that it has not got, and in the end every server has
what is deployed, and nothing else."""

import random
import sys
import pathlib

import grpc
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "harness"))

from ending import finish  # noqa: E402
from gateway import DEADLINE_S, FINAL, Traffic  # noqa: E402
from grpc_servers import GrpcTraffic  # noqa: E402
from processes import wait_until  # noqa: E402
from several import Several  # noqa: E402

ROUNDS, LONG_ROUNDS = 8, 80
UNLOAD_S = 120  # for an unload that a server has begun and does not answer, as it is stopped
STEPS = ("fetch", "stage", "load", "ready", "smoke", "shift", "promote", "retire")


@pytest.fixture
def gateway(request):
    made = Several(grpc=True, backend={"min_servers": 2}, rolloutd={"rollout": {"smoke": {"request": {"inputs": []}}, "drain_s": 10}})
    yield made.start()
    finish(request, made)


def killed(gateway, number):
    gateway.servers[number].kill()
    return lambda: gateway.servers[number].start()


def restarted_empty(gateway, number):
    gateway.servers[number].kill()
    gateway.servers[number].start()
    return lambda: None


def stopped(gateway, number):
    gateway.hold(number)
    return lambda: gateway.go_on(number)


def with_fault(*faults):
    def begin(gateway, number):
        gateway.set_faults_on(number, *faults)
        return lambda: gateway.set_faults_on(number)
    return begin


TROUBLES = {"killed": killed, "restarted": restarted_empty, "stopped": stopped, "slow": with_fault({"kind": "slow_load", "ms": 700}),
            "refusing": with_fault({"kind": "failed_load", "error": "out of memory"})}


def test_servers_come_and_go_and_no_client_notices(request, gateway, seed, tell):
    chance = random.Random(seed)
    rounds = LONG_ROUNDS if request.config.getoption("--long") else ROUNDS
    gateway.make_model("m", "m")
    gateway.deploy("m")
    came_to = []
    with Traffic(gateway, "m", clients=6) as traffic, GrpcTraffic(gateway.nginx.http2_port, "m") as calls:
        traffic.await_answers("m")
        for number in range(rounds):
            name, victim, when = chance.choice(list(TROUBLES)), chance.randrange(3), chance.choice(STEPS)
            task = gateway.post("/deploy", {"model_id": "m"}).task()

            def has_come_to(step=when):
                now = gateway.task(task)
                return now["status"] in FINAL or any(one["name"] == step and one["state"] != "pending" for one in now["metadata"]["steps"])
            wait_until(has_come_to, when)
            mend = TROUBLES[name](gateway, victim)
            ended = gateway.wait(task, seconds=DEADLINE_S + UNLOAD_S)
            came_to.append(f"{number}: {name} {victim} at {when}: {ended['status']}")
            mend()
            revision = gateway.serving()["m"]
            gateway.await_servers("m", 0, 1, 2)
            gateway.await_loaded(f"m__r{revision}")
            wait_until(lambda: gateway.files() == [f"m__r{revision}"], f"the files after {came_to[-1]}")
    tell("\n".join([*came_to, f"{traffic.count('m')} answers, {len(traffic.failures)} cut off; by gRPC {len(calls.answers)} answers, {len(calls.failures)} cut off"]))
    # A server that a kill has cut off is a 502, as nginx asks no other one for what is no idempotent request.
    assert all(failure.startswith("502") or "RemoteDisconnected" in failure for failure in traffic.failures), traffic.failures[:3]
    # A call whose answer has begun is cut off with a RST_STREAM, which a gRPC client calls an internal error.
    assert all(code == grpc.StatusCode.UNAVAILABLE or "RST_STREAM" in words for code, words in calls.failures), calls.failures[:3]
    assert set(calls.answers) == {"m"}
    for number in range(3):
        assert set(gateway.grpc_inferences_on(number)) <= {200, None}
        assert gateway.violations_on(number) == []
        assert set(gateway.inferences_on(number)) <= {200, None}
