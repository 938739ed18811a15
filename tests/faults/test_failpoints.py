"""rolloutd dies, or something fails in it, at each journal write, rename, frame and backend call of a deployment, of one that is
rolled back, of one from a web server, of a deletion and of a rollback. Whatever it is: the task ends, what is deployed stands on the server and in the
repository and nothing else does, the journal is whole, and clients of the model see no error.

The program itself says which places it passes. `--long` takes all of them; otherwise it is a sample."""

import contextlib
import json
import random
import signal
import subprocess
import threading
import time

import pytest

from file_server import FileServer
from gateway import FINAL, Traffic
from invariants import world_faults
from points import Point, points_of, sample
from processes import DEADLINE_S, ROOT, merge, wait_until
from scenarios import ALL, RolledBack

SAMPLE = 48
ARGUMENTS = {"nginx": {"worker_arguments": "reconnect=10ms"}}


class Walk:
    """The gateway that all points are tried on, made anew after a failure."""

    def __init__(self, make_gateway, web):
        self.make_gateway = make_gateway
        self.web = web
        self.trials = 0
        self.fresh()

    def fresh(self):
        self.gateway = self.make_gateway(**ARGUMENTS)
        merge(self.gateway.rolloutd.config, {**RolledBack.configuration(self.gateway.home), "rollout": {"drain_s": 5}})
        self.gateway.rolloutd.config["artifacts"]["allow"].append(self.web.url())
        self.gateway.web = self.web
        self.gateway.start()
        self.scenarios = {kind.name: kind(self.gateway) for kind in ALL}
        self.trace = self.gateway.home / "failpoints"

    def reach(self, point):
        """Tries the point. How many frames there are, and reads, differs from run to run: where this one had fewer, its last is
        tried; False when no run went past the place."""
        while point and not self.run(point.scenario, point):
            point = point.earlier(self.trace)
        return point is not None

    def run(self, name, point=None):
        """One task, with what is to happen at the point; says whether the point was reached."""
        self.trials += 1
        gateway, scenario = self.gateway, self.scenarios[name]
        scenario.prepare()
        gateway.rolloutd.stop()
        self.trace.unlink(missing_ok=True)
        wanted = {"ROLLOUT_FAILPOINT_TRACE": str(self.trace)}
        if point:
            wanted["ROLLOUT_FAILPOINT"] = point.wanted()
        gateway.rolloutd.start(wait=False, env=wanted)
        with supervised(gateway.rolloutd, point, self.trace):
            self.take(scenario, point, f"{name}-{self.trials}")
        reached = point is None or point.passed(self.trace)
        if not reached:
            gateway.rolloutd.stop()  # or it would die later on
            gateway.rolloutd.start()
        return reached

    def take(self, scenario, point, task_id):
        gateway = self.gateway
        with Traffic(gateway, scenario.traffic(), clients=1) as traffic:
            task = await_end(gateway, scenario.post(task_id), scenario.kind)
            gateway.await_link()
        assert traffic.failures == [], traffic.failures[:3]

        lasts = point is not None and point.lasts() and point.passed(self.trace)
        assert task["status"] == scenario.ends or lasts and task["status"] in FINAL, json.dumps(task, indent=1)
        scenario.finish(task)
        faults = world_faults(gateway)
        if faults and lasts:  # it said so, and the model's next task takes it away
            assert any(words in task["detail"] for words in ("could not be taken off", "not all of it is gone", "not complete")), (faults, task)
            scenario.clear()
            faults = world_faults(gateway)
        assert faults == [], (faults, json.dumps(task, indent=1))


@contextlib.contextmanager
def supervised(rolloutd, point, trace):
    """Starts rolloutd again, without a failpoint, when it has died at its own, as a supervisor would."""
    over = threading.Event()
    deaths = []
    may_die = point is not None and point.action == "crash"

    def watch():
        while not over.wait(0.005):
            if not rolloutd.running():
                deaths.append(rolloutd.child.returncode)
                if not may_die or deaths != [-signal.SIGKILL]:
                    return
                rolloutd.start(wait=False)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
        if may_die and point.passed(trace):
            wait_until(lambda: deaths, "its death")
    finally:
        over.set()
        thread.join()
        assert deaths in ([], [-signal.SIGKILL]) and (may_die or not deaths), f"rolloutd ended with {deaths}"
        rolloutd.await_socket()


def await_end(gateway, task, kind):
    """Reads may be refused while rolloutd is away, but never fail; the task ends."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        answer = gateway.get(f"/{kind}/{task['task_id']}?wait=1")
        assert answer.status in (200, 503), answer
        if answer.status == 200 and answer.json["status"] in FINAL:
            return answer.json
        assert time.monotonic() < deadline, answer


@pytest.fixture
def web():
    server = FileServer()
    yield server
    server.close()


def test_what_happens_at_a_failpoint_is_survived(make_gateway, web, request, seed, tell):
    walk = Walk(make_gateway, web)
    points = []
    for name in walk.scenarios:
        walk.run(name)
        points += points_of(name, walk.trace)
    assert {point.name.partition(":")[0] for point in points} >= {"journal", "rename", "frame", "backend"}
    everything = len(points)
    if only := request.config.getoption("--point"):
        points = [point for text in only
                  for point in [known for known in points if str(known).startswith(text)] or [Point.read(text)]]
    elif not request.config.getoption("--long"):
        points = sample(points, SAMPLE, random.Random(seed))

    failures, missed = [], []
    began = time.monotonic()
    for number, point in enumerate(points, 1):
        try:
            if not walk.reach(point):
                missed.append(str(point))
        except Exception as error:  # noqa: BLE001: the walk goes on, and all that failed is told
            failures.append(f"--point '{point}': {type(error).__name__}: {error}")
            tell(failures[-1][:3000], walk.gateway.logs())
            walk.fresh()
        if number % 100 == 0 or number == len(points):
            tell(f"{number} of {everything} failpoints in {time.monotonic() - began:.0f} s: {len(failures)} failures, {len(missed)} not passed")
    assert failures == []
    assert missed == []


@pytest.mark.parametrize("file", ["base/failpoint.cpp", "backend/failing_backend.cpp"])
def test_a_build_for_production_has_no_failpoints(file, tmp_path):
    made = tmp_path / "made.o"
    subprocess.run(["g++", "-std=c++20", f"-I{ROOT}", "-c", ROOT / "worker" / file, "-o", made], check=True, timeout=DEADLINE_S)
    defined = subprocess.run(["nm", "--defined-only", made], capture_output=True, text=True, check=True).stdout
    assert "fail" not in defined and "ROLLOUT_FAILPOINT" not in made.read_bytes().decode("latin-1")
