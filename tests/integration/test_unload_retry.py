"""What a task could not unload or remove: tried again by itself, until it is gone."""

import re

import pytest

from processes import LOCATIONS, wait_until

REFUSES = {"kind": "failed_unload", "model": "m__r1"}


@pytest.fixture
def gateway(make_gateway):
    """Tries again every second at first."""
    return make_gateway(nginx={"locations": LOCATIONS + "location = /metrics { rollout_metrics; }"},
                        rolloutd={"backends": {"default": {"unload_retry_s": 1}}, "limits": {"retries": 0}}).start()


def pending(gateway):
    """What the metric says is left behind."""
    return float(re.search(r'^rollout_unload_pending{backend="default"} (.*)$', gateway.get("/metrics").body.decode(), re.M)[1])


def leave_behind(gateway, **rollout):
    """Revision 2 serves, and revision 1 could not be unloaded."""
    gateway.make_model("m", "1")
    gateway.deploy("m")
    assert pending(gateway) == 0
    gateway.set_faults(REFUSES)
    gateway.make_model("m", "2")
    task = gateway.deploy("m", rollout=rollout)
    assert "It is tried again later, at the latest with the model's next task." in task["detail"]
    assert gateway.loaded() == ["m__r1", "m__r2"] and "m__r1" in gateway.files()


def lines(gateway, message):
    return [line for line in gateway.rolloutd.lines() if message in line.get("message", "")]


def await_gone(gateway):
    wait_until(lambda: pending(gateway) == 0, "nothing left behind")
    assert lines(gateway, "Revision 1 of model m is off backend default now")[0]["level"] == "info"
    assert gateway.infer("m") == "2"
    assert gateway.violations() == []


def test_what_the_server_refuses_to_unload_goes_when_it_does_not_any_more(gateway):
    leave_behind(gateway)
    trouble = "Revision 1 of model m could not be taken off backend default"
    wait_until(lambda: lines(gateway, trouble), "the first attempt")
    assert pending(gateway) == 1
    taken = gateway.server.get("/test/faults").json["faults"][0]["taken"]
    wait_until(lambda: gateway.server.get("/test/faults").json["faults"][0]["taken"] > taken, "another attempt")
    assert gateway.loaded() == ["m__r1", "m__r2"] and gateway.infer("m") == "2"
    gateway.set_faults()
    await_gone(gateway)
    assert gateway.loaded() == gateway.files() == ["m__r2"]
    warning, = lines(gateway, trouble)  # once for the one cause
    assert warning["level"] == "warning" and "still available" in warning["message"]


def test_what_is_to_be_archived_is_unloaded_and_can_be_gone_back_to(gateway):
    leave_behind(gateway, old="archive")
    gateway.set_faults()
    await_gone(gateway)
    assert gateway.loaded() == ["m__r2"] and gateway.files() == ["m__r1", "m__r2"]


def test_a_restart_of_rolloutd_goes_on_with_it(gateway):
    leave_behind(gateway)
    gateway.rolloutd.stop()
    gateway.set_faults()
    gateway.rolloutd.start()
    gateway.await_link()
    await_gone(gateway)
    assert gateway.loaded() == gateway.files() == ["m__r2"]


def test_a_server_that_was_away_is_tidied_up_when_it_is_back(gateway):
    gateway.make_model("m", "1")
    gateway.deploy("m")
    gateway.make_model("m", "2")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100, "hold_s": 0}], promote="manual")
    gateway.await_weight(task, 50)
    gateway.inference.stop()
    assert gateway.post(f"/deploy/{task['task_id']}/cancel", {}).status == 200
    assert "The rollback is not complete either" in gateway.wait(task, status="canceled")["detail"]
    wait_until(lambda: lines(gateway, "Revision 2 of model m could not be taken off backend default"), "an attempt")
    assert pending(gateway) == 1
    gateway.inference.start()
    wait_until(lambda: pending(gateway) == 0, "nothing left behind")
    wait_until(lambda: gateway.loaded() == ["m__r1"], "what serves loaded again, and nothing else")
    assert gateway.files() == ["m__r1"]
    assert gateway.infer("m") == "1"


def test_a_task_that_comes_meanwhile_takes_over(gateway):
    leave_behind(gateway)
    gateway.set_faults({"kind": "slow_unload", "ms": 600000, "model": "m__r1"})
    wait_until(lambda: gateway.server.get("/test/faults").json["faults"][0]["taken"] > 0, "an attempt")
    task = gateway.post("/delete", {"model_id": "m"}).task()
    wait_until(lambda: gateway.task(task, "delete")["metadata"]["step"] == "unload", "the deletion at its unload")
    gateway.server.request("DELETE", "/test/faults")  # which ends what is slow
    gateway.wait(task, "delete", "completed")
    assert gateway.loaded() == gateway.files() == []
    assert pending(gateway) == 0


def test_a_name_that_an_earlier_task_left_on_the_server_is_taken_off_before_it_is_made_again(make_gateway):
    """Without {revision} in its name, a model's next deployment makes the same one: what a rollback could not remove is this model's own."""
    gateway = make_gateway(rolloutd={"backends": {"default": {"model_name": "{model_id}", "unload_retry_s": 3600}},
                                     "limits": {"retries": 0}}).start()
    gateway.make_model("m", "1")
    gateway.set_faults({"kind": "slow_load", "ms": 600000, "model": "m"})
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: gateway.server.get("/test/faults").json["faults"][0]["taken"] > 0, "the load")
    gateway.inference.kill()
    task = gateway.wait(task, status="failed")
    assert "The rollback is not complete either" in task["detail"] and gateway.files() == ["m"]
    gateway.inference.start()
    again = gateway.wait(gateway.post(f"/deploy/{task['task_id']}/retry", {}).task(), status="completed")
    assert again["metadata"]["revision"] == 2 and gateway.infer("m") == "1"
    assert gateway.loaded() == gateway.files() == ["m"]
    assert gateway.violations() == []
