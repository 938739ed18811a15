"""`routes_until`: nginx routes no more when its rolloutd has had no news of the cluster for too long, whether rolloutd lives or not."""

import json
import signal
import time

import pytest

from model_servers import ModelServer
from pretended_rolloutd import PretendedRolloutd
from processes import LOCATIONS, wait_until

MORE = """
        location = /readyz { rollout_api; }
        location = /by-body/infer {
            rollout_json_model;
            rollout_route $rollout_json_model;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/infer;
        }
"""
OUTDATED = "what this gateway routes to may be unloaded by now"
FAR_S = 3600


def until(seconds):
    return int((time.clock_gettime(time.CLOCK_MONOTONIC) + seconds) * 1000)


class World:
    """nginx with two worker processes and a state file, and a rolloutd that says what the test says."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.folder = gateway.home / "state"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.file = self.folder / "routes.json"
        gateway.nginx.write(zone=f"8m state={self.file}", locations=LOCATIONS + MORE, worker_arguments=" ack_timeout=500ms reconnect=50ms")
        self.server = ModelServer()

    def link(self, **said):
        """rolloutd starts, and welcomes both worker processes."""
        self.rolloutd = PretendedRolloutd(self.gateway.rolloutd.socket)
        if not self.gateway.nginx.running():
            self.gateway.nginx.start()
        self.links = [self.rolloutd.accept() for _ in range(2)]
        for number, link in enumerate(self.links):
            link.receive("hello")
            link.send(type="welcome", protocol=4, journal="j" * 32, revision=0, routes=1, stream=number == 0, **said)
        blue = {"revision": 1, "upstream": self.server.address, "model": "m"}
        self.links[0].send(type="routes", revision=1, begin=True, end=True,
                           routes=[{"model_id": "m", "part": "", "weight": 0, "watched": False, "blue": blue}])
        self.links[0].send(type="update", revision=0, filled=True, complete=True)
        self.links[0].receive("applied")

    def say(self, number=0, **said):
        self.links[number].send(type="ping", **said)
        self.links[number].receive("pong")

    def part(self):
        for link in self.links:
            link.close()
        self.rolloutd.__exit__()

    def by_each_way(self):
        return [self.gateway.post("/v2/models/m/infer", {"inputs": []}), self.gateway.post("/by-body/infer", {"model": "m", "inputs": []})]

    def is_routed(self):
        """Each way to a model: both are routed, or neither, with the reason."""
        answers = self.by_each_way()
        statuses = {answer.status for answer in answers}
        assert len(statuses) == 1, answers
        if statuses == {200}:
            return True
        for answer in answers:
            assert OUTDATED in answer.problem(503)["detail"], answer
            assert answer.headers["Retry-After"] == "1"
        return False

    def kept(self):
        return json.loads(self.file.read_text())


@pytest.fixture
def world(make_gateway):
    made = World(make_gateway())
    yield made
    if made.gateway.nginx.running():
        made.gateway.nginx.stop()
    if made.gateway.rolloutd.socket.exists():
        made.part()
    made.server.close()


def test_one_that_says_nothing_of_it_is_followed_for_ever(world):
    world.link()
    assert world.is_routed()
    world.say()
    assert world.is_routed()
    assert "routes_until" not in world.kept()
    world.part()
    assert world.is_routed()


def test_past_the_time_nothing_is_routed_until_a_later_one_is_said(world):
    world.link(routes_until=until(FAR_S))
    assert world.is_routed()
    wait_until(lambda: world.gateway.get("/readyz").status == 200, "readiness")
    world.say(routes_until=until(-1))
    assert not world.is_routed()
    assert OUTDATED in world.gateway.get("/readyz").problem(503)["detail"]
    assert world.gateway.get("/deploy/nobody").status == 404  # what it knows, it answers
    world.say(1, routes_until=until(FAR_S))  # by the other process's link
    assert world.is_routed()
    assert world.gateway.get("/readyz").status == 200
    world.say(routes_until=until(-1))
    assert not world.is_routed()
    world.say()
    assert world.is_routed()


def test_the_time_passes_also_without_rolloutd(world):
    world.link(routes_until=until(1))
    world.part()
    wait_until(lambda: world.by_each_way()[0].status == 503, "the end of the time")
    assert not world.is_routed()
    world.gateway.nginx.reload()
    assert not world.is_routed()
    world.link(routes_until=until(FAR_S))
    assert world.is_routed()


def test_an_nginx_that_starts_knows_the_time_from_its_state_file(world):
    world.link(routes_until=until(FAR_S))
    world.part()
    world.gateway.nginx.stop(signal.SIGQUIT)
    world.gateway.nginx.start()
    assert world.is_routed()
    world.gateway.nginx.stop(signal.SIGQUIT)

    kept = world.kept()
    assert abs(kept["routes_until"] / 1000 - time.time() - FAR_S) < 60
    world.file.write_text(json.dumps({**kept, "routes_until": int(time.time() * 1000) - 1000}))
    world.gateway.nginx.start()
    assert "are too old to be used" in world.gateway.nginx.errors()
    assert not world.is_routed()
    world.link(routes_until=until(FAR_S))
    assert world.is_routed()


def test_the_state_file_is_written_again_when_much_time_was_won_and_not_each_time(world):
    world.link(routes_until=until(FAR_S))
    first = world.file.stat().st_ino
    for seconds in range(5):
        world.say(routes_until=until(FAR_S + seconds))
        world.say(1, routes_until=until(FAR_S + seconds))
    assert world.file.stat().st_ino == first
    world.say(routes_until=until(2 * FAR_S))
    world.say(1, routes_until=until(2 * FAR_S))
    wait_until(lambda: world.kept()["routes_until"] / 1000 > time.time() + 1.5 * FAR_S, "the new time in the state file")
    world.say()
    wait_until(lambda: "routes_until" not in world.kept(), "the end of the time's bound in the state file")
    assert [route["model_id"] for route in world.kept()["routes"]] == ["m"]
