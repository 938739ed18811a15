"""Two nginx on one rolloutd, and what becomes of the one that rolloutd does not hear: nothing that it may route to is unloaded."""

import os
import signal
import socket
import threading
import types

import pytest

from gateway import Client, Traffic, answer_of
from processes import LOCATIONS, Nginx, alive, wait_until

READY = LOCATIONS + "location = /readyz { rollout_api; }\n"
LONG = {"limits": {"gateway_lost_s": 3600}}


class Relay:
    """Stands where nginx looks for rolloutd, until it is cut."""

    def __init__(self, path, behind):
        self.path, self.behind = path, behind
        self.links = []
        self.open()

    def open(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.path.chmod(0o666)
        self.listener.listen(16)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        try:
            while True:
                one = listener.accept()[0]
                other = socket.socket(socket.AF_UNIX)
                other.connect(str(self.behind))
                self.links += [one, other]
                for come, go in ((one, other), (other, one)):
                    threading.Thread(target=self.pass_on, args=(come, go), daemon=True).start()
        except OSError:
            pass  # cut

    @staticmethod
    def pass_on(come, go):
        try:
            while data := come.recv(65536):
                go.sendall(data)
        except OSError:
            pass
        for link in (come, go):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.path.unlink()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.links.clear()


@pytest.fixture
def make_two(make_gateway, tmp_path_factory):
    """A gateway, and another nginx on its rolloutd, linked; `relayed`: through a relay."""
    made = []

    def make(rolloutd, relayed=False, **other_nginx):
        gateway = make_gateway(rolloutd=rolloutd, nginx={"locations": READY}).start()
        home = tmp_path_factory.mktemp("other")
        home.chmod(0o755)
        other = Nginx(home, gateway.inference.port, locations=READY, **other_nginx)
        relay = Relay(gateway.home / "relay.sock", gateway.rolloutd.socket) if relayed else None
        other.pieces["socket"] = relay.path if relayed else gateway.rolloutd.socket
        other.start()
        made.append(other)
        wait_until(lambda: other.linked(gateway.rolloutd), "the other gateway's links")
        return gateway, other, relay

    yield make
    for other in made:
        if other.running():
            other.stop()


def infer(nginx, model):
    return answer_of(Client(nginx.port).post(f"/v2/models/{model}/infer", {"inputs": []}))


def says(gateway, words):
    return any(words in line["message"] for line in gateway.rolloutd.lines())


def test_both_are_ready(make_two):
    gateway, other, _ = make_two(LONG)
    for nginx in (gateway.nginx, other):
        wait_until(lambda: Client(nginx.port).get("/readyz").status == 200, "readiness beside another gateway")
    gateway.make_model("m", "x")
    gateway.deploy("m")
    for nginx in (gateway.nginx, other):
        assert Client(nginx.port).get("/readyz").status == 200
        Client(nginx.port).get("/deploy/nobody").problem(404)


def test_an_nginx_that_starts_beside_another_becomes_ready(make_two):
    gateway, other, _ = make_two(LONG)
    gateway.make_model("m", "x")
    gateway.deploy("m")
    other.stop()
    other.start()
    wait_until(lambda: Client(other.port).get("/readyz").status == 200, "readiness of a fresh table")
    assert infer(other, "m") == "x"


def test_they_stay_ready_over_reloads_and_restarts_though_a_zone_is_too_small_for_all_tasks(make_two):
    gateway, other, _ = make_two(LONG, zone="512k")
    tasks = [gateway.post("/delete", {"model_id": f"m{number}", "filler": "x" * 3000}).task() for number in range(400)]
    last = gateway.wait(tasks[-1], "delete", "refused")

    def both_are_ready():
        for nginx in (gateway.nginx, other):
            client = Client(nginx.port)
            wait_until(lambda: nginx.linked(gateway.rolloutd), "the links of all worker processes, each of which answers for its own")
            wait_until(lambda: client.get("/readyz").status == 200, "readiness")
            client.get("/delete/nobody").problem(404)
            for task in (tasks[0], last):
                assert client.get(f"/delete/{task['task_id']}").task()["status"] == "refused"

    both_are_ready()
    assert "is full; its oldest tasks are answered by rolloutd" in other.errors()
    for nginx in (gateway.nginx, other):
        nginx.reload()
    both_are_ready()
    gateway.rolloutd.stop()
    assert all(Client(nginx.port).get("/readyz").status == 503 for nginx in (gateway.nginx, other))
    gateway.rolloutd.start()
    both_are_ready()
    other.stop()
    assert Client(gateway.nginx.port).get("/readyz").status == 200
    other.start()
    both_are_ready()


def cut_off(gateway, relay):
    """Cuts the other gateway's links, and waits until it counts as out of reach."""
    relay.cut()
    wait_until(lambda: says(gateway, "stay loaded until it is back"), "the warning")


def kill_all(nginx):
    pids = [nginx.master_pid(), *nginx.worker_pids()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in pids[1:]), "the end of the other nginx")


@pytest.mark.parametrize("rolloutd_restarts", [False, True], ids=["", "restart"])
def test_what_a_living_gateway_without_a_link_routes_to_stays_loaded(make_two, rolloutd_restarts):
    gateway, other, relay = make_two(LONG, relayed=True)
    gateway.serve_blue("m")
    wait_until(lambda: infer(other, "m") == "blue", "the route on the other gateway")
    cut_off(gateway, relay)
    warning, = [line for line in gateway.rolloutd.lines() if "stay loaded until it is back" in line["message"]]
    assert warning["level"] == "warning" and "gateway_lost_s" in warning["message"]
    with Traffic(types.SimpleNamespace(nginx=other), "m") as traffic:
        task = gateway.deploy("m")
        assert "Revision 2 serves all traffic of model m. Revision 1 stays loaded until no gateway can route to it: " in task["detail"]
        assert "has had no link since" in task["detail"]
        if rolloutd_restarts:
            gateway.rolloutd.stop()
            gateway.rolloutd.start()
            gateway.await_link()
            wait_until(lambda: gateway.get("/readyz").status == 200, "readiness")
        assert gateway.infer("m") == "green" and infer(other, "m") == "blue"
        assert gateway.loaded() == ["m__r1", "m__r2"]
        relay.open()
        traffic.await_answers("green")
        wait_until(lambda: gateway.loaded() == ["m__r2"], "the unload, now that it is back")
    assert traffic.failures == []
    assert rolloutd_restarts or says(gateway, "A gateway is back")
    assert gateway.violations() == []


def test_what_only_a_gateway_kept_loaded_goes_when_that_is_killed(make_two):
    gateway, other, _ = make_two(LONG)
    gateway.serve_blue("m")
    for pid in other.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: says(gateway, "stay loaded until it is back"), "the warning")
    assert "stays loaded until" in gateway.deploy("m")["detail"]
    assert gateway.loaded() == ["m__r1", "m__r2"]
    kill_all(other)
    wait_until(lambda: gateway.loaded() == ["m__r2"], "the unload")
    assert says(gateway, "A gateway is gone: its processes have ended")


def test_what_stays_loaded_is_loaded_again_after_a_restart_of_the_server(make_two):
    gateway, other, relay = make_two({**LONG, "backends": {"default": {"check_s": 1}}}, relayed=True)
    gateway.serve_blue("m")
    wait_until(lambda: infer(other, "m") == "blue", "the route on the other gateway")
    cut_off(gateway, relay)
    gateway.deploy("m")
    gateway.inference.stop()
    gateway.inference.start()
    wait_until(lambda: gateway.loaded() == ["m__r1", "m__r2"], "both loaded again")
    assert infer(other, "m") == "blue" and gateway.infer("m") == "green"
    relay.open()
    wait_until(lambda: gateway.loaded() == ["m__r2"], "the unload")
    assert infer(other, "m") == "green"


def test_the_next_deployment_takes_what_an_earlier_one_left(make_two):
    gateway, other, relay = make_two({**LONG, "backends": {"default": {"unload_retry_s": 0}}}, relayed=True)
    gateway.serve_blue("m")
    cut_off(gateway, relay)
    assert "stays loaded until" in gateway.deploy("m")["detail"]
    relay.open()
    wait_until(lambda: infer(other, "m") == "green", "the new route on the other gateway")
    assert gateway.loaded() == ["m__r1", "m__r2"]
    assert "stays loaded" not in gateway.deploy("m")["detail"]
    assert gateway.loaded() == ["m__r3"]


@pytest.mark.parametrize("verb, status, kept", [("promote", "completed", "1"), ("cancel", "canceled", "2")])
@pytest.mark.parametrize("way", ["cut", "stopped"])
def test_a_gateway_that_falls_silent_in_the_middle_of_a_rollout_asks_no_unloaded_revision(make_two, way, verb, status, kept):
    gateway, other, relay = make_two(LONG, relayed=True)
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100, "hold_s": 0}])
    gateway.await_weight(task, 50)
    pids = other.worker_pids()
    with Traffic(types.SimpleNamespace(nginx=other), "m") as traffic:
        traffic.await_answers("green")
        traffic.await_answers("blue")
        if way == "cut":
            relay.cut()
        else:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
        assert gateway.post(f"/deploy/{task['task_id']}/{verb}", {}).status == 200
        ended = gateway.wait(task, status=status, seconds=90)
        assert f"Revision {kept} stays loaded until no gateway can route to it" in ended["detail"]
        assert gateway.loaded() == ["m__r1", "m__r2"]
        if way == "cut":
            relay.open()
        else:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        traffic.await_answers("green" if verb == "promote" else "blue")
        wait_until(lambda: len(gateway.loaded()) == 1, "the unload, now that it is back")
    assert traffic.failures == []
    assert gateway.violations() == []


def test_a_deletion_waits_for_a_living_gateway_without_a_link(make_two):
    gateway, other, relay = make_two(LONG, relayed=True)
    gateway.serve_blue("m")
    wait_until(lambda: infer(other, "m") == "blue", "the route on the other gateway")
    cut_off(gateway, relay)
    task = gateway.post("/delete", {"model_id": "m"}).task()
    wait_until(lambda: "has had no link since" in gateway.task(task, "delete")["detail"], "words in the task")
    assert infer(other, "m") == "blue" and gateway.loaded() == ["m__r1"]
    relay.open()
    gateway.wait(task, "delete", "completed")
    assert gateway.loaded() == []


@pytest.mark.parametrize("rolloutd_is_away", [False, True], ids=["at-once", "while-rolloutd-is-away"])
def test_a_gateway_whose_processes_were_killed_is_not_waited_for(make_two, rolloutd_is_away):
    gateway, other, _ = make_two(LONG)
    gateway.serve_blue("m")
    if rolloutd_is_away:
        gateway.rolloutd.stop()
    kill_all(other)
    if rolloutd_is_away:
        gateway.rolloutd.start()
        gateway.await_link()
    gateway.deploy("m")
    assert gateway.infer("m") == "green"
    assert says(gateway, "A gateway is gone: its processes have ended")


def test_a_gateway_that_stood_still_routes_by_the_routes_of_now_when_it_wakes(make_two):
    """It was given up meanwhile, and the model that it knew is gone."""
    gateway, other, _ = make_two({"limits": {"gateway_lost_s": 5}})
    gateway.serve_blue("m")
    wait_until(lambda: infer(other, "m") == "blue", "the route on the other gateway")
    pids = other.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    task = gateway.start_deployment("m")
    gateway.wait(task, status="completed", seconds=90)
    assert says(gateway, "is no longer waited for")
    assert gateway.loaded() == ["m__r2"]

    found = []
    clients = [threading.Thread(target=lambda: found.append(infer(other, "m"))) for _ in range(40)]
    for client in clients:
        client.start()  # the kernel takes their connections
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    for client in clients:
        client.join()
    assert found == ["green"] * len(clients)
    assert infer(other, "m") == "green"


def test_a_gateway_that_stood_still_and_finds_rolloutd_away_routes_by_what_it_knows(make_two):
    gateway, other, _ = make_two(LONG)
    gateway.serve_blue("m")
    wait_until(lambda: infer(other, "m") == "blue", "the route on the other gateway")
    pids = other.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: says(gateway, "it has sent nothing for"), "the end of the links")
    gateway.rolloutd.stop()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [infer(other, "m") for _ in range(10)] == ["blue"] * 10
