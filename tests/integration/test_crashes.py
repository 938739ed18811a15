"""rolloutd dies, as by kill -9, before and after each step's work; after the next start the task ends as if nothing had been,
nothing is done twice and nothing is left behind."""

import signal

import pytest

from gateway import Traffic
from processes import wait_until

NGINX = {"workers": 2}

DEPLOY = ["fetch", "stage", "load", "ready", "smoke", "shift", "promote", "retire"]
DELETE = ["unroute", "drain", "unload", "remove"]

SMOKE = {"smoke": {"request": {"inputs": []}}}
STEPS = [{"weight": 50, "hold_s": 0}]


def points(kind, steps, final):
    return [f"{kind}:{step}:{when}" for step in steps for when in ("written", "worked")] + [f"{kind}:{final}:written"]


def restart_with(gateway, failpoint):
    gateway.rolloutd.stop()
    gateway.rolloutd.start(env={"ROLLOUT_FAILPOINT": failpoint})
    gateway.await_link()


def come_back(gateway):
    """rolloutd has died at its failpoint; it is started again, without one."""
    assert gateway.rolloutd.wait() == -signal.SIGKILL
    gateway.rolloutd.start()


def loads_of(gateway, name):
    return gateway.server.get("/test/models").json[name]["loads"]


@pytest.mark.parametrize("point", points("deploy", DEPLOY, "completed"))
def test_a_deployment_survives_a_crash(gateway, point):
    gateway.make_model("m", "before")
    old = gateway.deploy("m")["metadata"]["revision"]
    gateway.make_model("m", "after")
    restart_with(gateway, point)
    with Traffic(gateway, "m", clients=2) as traffic:
        traffic.await_answers("before", more=5)
        task = gateway.post("/deploy", {"model_id": "m", "config": {"rollout": {**SMOKE, "steps": STEPS}}}).task()
        come_back(gateway)
        task = gateway.wait(task, status="completed")
        traffic.await_answers("after", more=5)
    assert traffic.failures == [] and set(traffic.answers) == {"before", "after"}
    new = task["metadata"]["revision"]
    assert new == old + 1
    assert [step["state"] for step in task["metadata"]["steps"]] == ["done"] * 8
    assert gateway.loaded() == gateway.files() == [f"m__r{new}"]
    # A load whose answer the journal has not seen is asked for again; the server finds it loaded.
    assert loads_of(gateway, f"m__r{new}") == 1
    assert gateway.violations() == []


@pytest.mark.parametrize("point", points("delete", DELETE, "completed"))
def test_a_deletion_survives_a_crash(gateway, point):
    gateway.make_model("d", "here")
    gateway.deploy("d")
    restart_with(gateway, point)
    task = gateway.post("/delete", {"model_id": "d"}).task()
    come_back(gateway)
    task = gateway.wait(task, "delete", "completed")
    assert [step["state"] for step in task["metadata"]["steps"]] == ["done"] * 4
    assert not any(name.startswith("d__") for name in gateway.loaded() + gateway.files())
    gateway.get("/v2/models/d/ready").problem(404)
    assert gateway.violations() == []


@pytest.mark.parametrize("point", ["deploy:rollback:written", "deploy:rollback:worked", "deploy:failed:written"])
def test_a_way_back_survives_a_crash(gateway, point):
    gateway.make_model("b", "blue")
    blue = gateway.deploy("b")["metadata"]["revision"]
    gateway.make_model("b", "green")
    gateway.set_faults({"kind": "failed_infer", "model": f"b__r{blue + 1}"})
    restart_with(gateway, point)
    with Traffic(gateway, "b", clients=2) as traffic:
        traffic.await_answers("blue", more=5)
        task = gateway.post("/deploy", {"model_id": "b", "config": {"rollout": SMOKE}}).task()
        come_back(gateway)
        task = gateway.wait(task, status="failed")
    gateway.set_faults()
    assert traffic.failures == [] and set(traffic.answers) == {"blue"}
    assert "smoke" in task["detail"] and "serves as before" in task["detail"]
    names = [name for name in gateway.loaded() + gateway.files() if name.startswith("b__")]
    assert names == [f"b__r{blue}"] * 2


def test_what_waits_and_what_runs_goes_on_after_a_crash(gateway):
    """Without failpoints: killed at any moment, again and again, with tasks of several models."""
    models = [f"crowd-{n}" for n in range(6)]
    for model in models:
        gateway.make_model(model, model)
    tasks = [gateway.post("/deploy", {"model_id": model, "task_id": f"crowd-task-{model}-{turn}"}).task()
             for turn in range(3) for model in models]
    for _ in range(5):
        seen = sum(gateway.get(f"/deploy/{task['task_id']}").task()["status"] == "completed" for task in tasks)
        gateway.rolloutd.kill()
        gateway.rolloutd.start()
        wait_until(lambda: sum(gateway.get(f"/deploy/{task['task_id']}").task()["status"] == "completed" for task in tasks)
                   > min(seen, len(tasks) - 1), "progress after a crash")
    for task in tasks:
        gateway.wait(task, status="completed")
    for model in models:
        assert gateway.infer(model) == model
        gateway.delete(model)
    assert not any(name.startswith("crowd") for name in gateway.loaded() + gateway.files())
    assert gateway.violations() == []
