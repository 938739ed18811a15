"""rolloutd dies, as by kill -9, before and after each step's work; after the next start the task ends as if nothing had been,
nothing is done twice and nothing is left behind."""

import signal

import pytest

from ending import finish
from gateway import FINAL, Gateway, Traffic
from processes import LOCATIONS, wait_until

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


# A rollout in full: parts, weights with holds and a gate, the watch after the promotion; what it takes back, and what a client says.

FULL = {"steps": [{"weight": 30, "hold_s": 1}, {"weight": 100, "hold_s": 1}], "gate": {"min_requests": 5, "max_error_rate": 0.05},
        "watch_s": 1, "progress_deadline_s": 600}
PARTS = ("query", "items")


@pytest.fixture(scope="module")
def parted(request):
    """A gateway whose model is of two parts, each with a route of its own."""
    made = Gateway(nginx={"locations": LOCATIONS.replace("rollout_route $model", "rollout_route $model part=$arg_part")})
    made.rolloutd.config["backends"]["default"]["model_name"] = "{model_id}_{part}__r{revision}"
    yield made.start()
    finish(request, made)


def deploy_parts(gateway, model, answer, **rollout):
    sources = {part: {"source": gateway.make_model(f"{model}-{part}", f"{part} {answer}")} for part in PARTS}
    return gateway.post("/deploy", {"model_id": model, "config": {"parts": sources, "rollout": rollout}}).task()


@pytest.mark.parametrize("point", points("deploy", ["stage", "load", "shift", "promote", "retire"], "completed"))
def test_a_rollout_in_full_survives_a_crash(parted, point):
    model = "full-" + point.replace(":", "-")
    parted.wait(deploy_parts(parted, model, "before"), status="completed")
    restart_with(parted, point)
    with Traffic(parted, model, clients=2, query="?part=query") as queries, Traffic(parted, model, clients=2, query="?part=items") as items:
        task = deploy_parts(parted, model, "after", **FULL)
        come_back(parted)
        task = parted.wait(task, status="completed")
        queries.await_answers("query after", more=5)
        items.await_answers("items after", more=5)
    assert queries.failures == items.failures == []
    assert [step["state"] for step in task["metadata"]["steps"] if step["name"] != "smoke"] == ["done"] * 7
    assert [name for name in parted.loaded() if name.startswith(model)] == [f"{model}_items__r2", f"{model}_query__r2"]
    parted.delete(model)
    assert not any(name.startswith(model) for name in parted.loaded() + parted.files())
    assert parted.violations() == []


@pytest.mark.parametrize("point", ["deploy:promote:written", "deploy:promote:worked", "deploy:rollback:written",
                                   "deploy:rollback:worked", "deploy:failed:written"])
def test_a_watch_that_takes_the_promotion_back_survives_a_crash(gateway, point):
    """Where the watch had not ended before the crash, it begins anew."""
    model = "watch-" + point.replace(":", "-")
    gateway.serve_blue(model)
    restart_with(gateway, point)
    with Traffic(gateway, model) as traffic:
        task = gateway.start_deployment(model, gate={"min_requests": 1, "max_error_rate": 0.05}, watch_s=600)
        if point == "deploy:promote:written":
            gateway.rolloutd.wait()
        else:
            wait_until(lambda: gateway.task(task)["metadata"]["step"] == "promote", "the promotion")
        traffic.await_answers("green", 20)
        gateway.set_faults({"kind": "failed_infer", "model": f"{model}__r2"})
        come_back(gateway)
        task = gateway.wait(task, status="failed")
        gateway.set_faults()
        traffic.await_answers("blue")
    assert "Revision 1 serves as before" in task["detail"]
    assert [name for name in gateway.loaded() if name.startswith(model)] == [f"{model}__r1"]
    assert gateway.violations() == []


@pytest.mark.parametrize("point", points("deploy", ["load", "ready", "shift", "promote", "retire"], "completed"))
def test_a_rollback_survives_a_crash(gateway, point):
    model = "back-" + point.replace(":", "-")
    gateway.make_model(model, "first")
    gateway.deploy(model)
    gateway.make_model(model, "second")
    second = gateway.deploy(model, rollout={"old": "archive"})
    restart_with(gateway, point)
    with Traffic(gateway, model, clients=2) as traffic:
        task = gateway.post(f"/deploy/{second['task_id']}/rollback", {}).task()
        come_back(gateway)
        gateway.wait(task, status="completed")
        traffic.await_answers("first", 5)
    assert traffic.failures == [] and set(traffic.answers) == {"first", "second"}
    assert [name for name in gateway.loaded() if name.startswith(model)] == [f"{model}__r1"]
    assert gateway.violations() == []


@pytest.mark.parametrize("verb, point", [
    ("cancel", "deploy:shift:worked"), ("cancel", "deploy:rollback:written"), ("cancel", "deploy:rollback:worked"),
    ("cancel", "deploy:canceled:written"),
    ("promote", "deploy:shift:worked"), ("promote", "deploy:promote:written"), ("promote", "deploy:completed:written")])
def test_a_word_in_a_hold_survives_a_crash(gateway, verb, point):
    """Cancel, and the promotion for which a rollout waits."""
    model = f"word-{verb}-" + point.replace(":", "-")
    gateway.serve_blue(model)
    restart_with(gateway, point)
    with Traffic(gateway, model, clients=2) as traffic:
        task = gateway.start_deployment(model, steps=[{"weight": 50}], promote="manual")
        wait_until(lambda: "/promote" in gateway.task(task)["detail"], "the wait for a person")

        def taken():
            return gateway.request("POST", f"/deploy/{task['task_id']}/{verb}").status == 200

        answered = taken()
        come_back(gateway)
        # Who got no answer asks again, until the task has taken it or is over.
        wait_until(lambda: answered or gateway.task(task)["status"] in FINAL or taken(), "the word")
        task = gateway.wait(task, status="completed" if verb == "promote" else "canceled")
        traffic.await_answers("green" if verb == "promote" else "blue", 5)
    assert traffic.failures == []
    assert [name for name in gateway.loaded() if name.startswith(model)] == [f"{model}__r{2 if verb == 'promote' else 1}"]
    assert gateway.violations() == []


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
