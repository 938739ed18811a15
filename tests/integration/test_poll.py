"""A Triton that polls its repository: models come and go with their folders, and no load or unload is ever asked for."""

import signal

import pytest

from gateway import Traffic
from processes import wait_until

INFERENCE = {"control": "poll", "poll_secs": 0.1}
ROLLOUTD = {"backends": {"default": {"control": "poll"}}, "limits": {"retries": 1}}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(gateway):
    yield
    gateway.set_faults()
    for name in gateway.loaded():
        gateway.wait(gateway.post("/delete", {"model_id": name.partition("__")[0]}).task(), "delete")
    assert gateway.loaded() == [] and gateway.files() == []
    assert gateway.violations() == []
    assert not [call for call in gateway.server.get("/test/calls").json if call["path"].endswith(("/load", "/unload"))]


def step(task, name):
    return next(step for step in task["metadata"]["steps"] if step["name"] == name)


def test_a_model_is_deployed_replaced_and_deleted_without_a_failed_request(gateway):
    gateway.make_model("m", "first")
    gateway.deploy("m")
    with Traffic(gateway, "m", clients=2) as traffic:
        traffic.await_answers("first", more=5)
        gateway.make_model("m", "second")
        gateway.deploy("m", rollout={"smoke": {"request": {"inputs": []}}})
        traffic.await_answers("second", more=5)
    assert traffic.failures == []
    assert gateway.loaded() == gateway.files() == ["m__r2"]
    gateway.delete("m")
    assert gateway.server.get("/v2/models/m__r2/ready").status == 400
    assert gateway.infer("m") is None


def test_a_model_that_fails_to_load_is_taken_out_again_and_blue_serves_on(gateway):
    gateway.make_model("bad", "good")
    blue = gateway.deploy("bad")["metadata"]["revision"]
    gateway.make_model("bad", "x", faults=[{"kind": "failed_load", "error": "Invalid argument: no such operator"}])
    task = gateway.deploy("bad", "failed")
    assert "Step load failed: server default could not load" in task["detail"]
    assert "no such operator" in task["detail"] and "serves as before" in task["detail"]
    assert gateway.infer("bad") == "good"
    assert gateway.loaded() == gateway.files() == [f"bad__r{blue}"]


def test_an_earlier_models_failure_by_the_same_name_is_not_this_ones(make_gateway):
    gateway = make_gateway(inference=INFERENCE, rolloutd={"backends": {"default": {"control": "poll", "model_name": "{model_id}_x"}}})
    gateway.start()
    gateway.make_model("again", "x", faults=[{"kind": "failed_load", "error": "Invalid argument: no such operator"}])
    gateway.deploy("again", "failed")
    gateway.make_model("again", "good now")
    gateway.deploy("again")
    assert gateway.infer("again") == "good now"
    gateway.delete("again")
    gateway.deploy("again")
    assert gateway.infer("again") == "good now"
    assert gateway.files() == ["again_x"] and gateway.violations() == []


def test_an_archived_revision_is_out_of_the_servers_sight_and_goes_with_the_model(gateway):
    gateway.make_model("kept", "first")
    gateway.deploy("kept")
    gateway.deploy("kept", rollout={"old": "archive"})
    assert gateway.loaded() == ["kept__r2"]
    assert gateway.files() == ["kept__r2", ".withdrawn"]
    gateway.delete("kept")
    assert gateway.files() == []


def test_a_load_is_waited_for_no_longer_than_the_ready_timeout(gateway):
    gateway.make_model("late", "x", faults=[{"kind": "slow_load", "ms": 4000}])
    task = gateway.deploy("late", "failed", rollout={"ready_timeout_s": 1})
    assert "server default has not loaded late__r1 within 1 s: the server's index has it as LOADING" in task["detail"]


def test_a_server_without_an_index_is_asked_for_readiness(gateway):
    gateway.set_faults({"kind": "no_index"})
    gateway.make_model("blind", "x")
    gateway.deploy("blind")
    assert gateway.infer("blind") == "x"
    gateway.delete("blind")
    assert gateway.server.get("/v2/models/blind__r1/ready").status == 400
    assert "has no repository index" in gateway.rolloutd.text()


def test_a_configuration_for_the_load_call_is_refused(gateway):
    gateway.make_model("c", "x")
    problem = gateway.post("/deploy", {"model_id": "c", "config": {"triton": {"max_batch_size": 1}}}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/config/triton"]


def test_a_deletion_that_fails_puts_the_files_back(gateway):
    gateway.make_model("back", "here")
    gateway.deploy("back")
    gateway.set_faults({"kind": "restricted", "route": "ready", "header": "x-key", "value": "secret"})
    task = gateway.wait(gateway.post("/delete", {"model_id": "back"}).task(), "delete", "failed")
    gateway.set_faults()
    assert "unload" in task["detail"] and gateway.files() == ["back__r1"], task
    wait_until(lambda: gateway.loaded() == ["back__r1"], "the model's return")


@pytest.mark.parametrize("point", [f"deploy:{step}:{when}" for step in ("stage", "load", "retire") for when in ("written", "worked")])
def test_a_deployment_survives_a_crash(gateway, point):
    gateway.make_model("crash", "before")
    gateway.deploy("crash")
    gateway.make_model("crash", "after")
    gateway.rolloutd.stop()
    gateway.rolloutd.start(env={"ROLLOUT_FAILPOINT": point})
    gateway.await_link()
    task = gateway.post("/deploy", {"model_id": "crash"}).task()
    assert gateway.rolloutd.wait() == -signal.SIGKILL
    gateway.rolloutd.start()
    task = gateway.wait(task, status="completed")
    wait_until(lambda: gateway.infer("crash") == "after", "the new revision")
    assert gateway.loaded() == gateway.files() == [f"crash__r{task['metadata']['revision']}"]


@pytest.mark.parametrize("point", ["delete:unload:written", "delete:unload:worked", "delete:remove:written", "delete:remove:worked"])
def test_a_deletion_survives_a_crash(gateway, point):
    gateway.make_model("gone", "here")
    gateway.deploy("gone")
    gateway.rolloutd.stop()
    gateway.rolloutd.start(env={"ROLLOUT_FAILPOINT": point})
    gateway.await_link()
    task = gateway.post("/delete", {"model_id": "gone"}).task()
    assert gateway.rolloutd.wait() == -signal.SIGKILL
    gateway.rolloutd.start()
    gateway.wait(task, "delete", "completed")
