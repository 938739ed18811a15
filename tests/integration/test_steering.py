"""A client steers tasks that exist: cancel, retry, promote, pause, resume, rollback; and sees lists of tasks and models."""
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import Traffic
from processes import wait_until

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 64}}
HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 100}]}
VERBS = ("cancel", "retry", "promote", "pause", "resume", "rollback")


@pytest.fixture
def m(request):
    """A model of the test's own."""
    return request.node.name.partition("[")[0][5:60]


def steer(gateway, task, verb, kind="deploy"):
    return gateway.request("POST", f"/{kind}/{task['task_id']}/{verb}")


def held(gateway, m, **rollout):
    gateway.serve_blue(m)
    task = gateway.start_deployment(m, **(rollout or HELD))
    gateway.await_weight(task, (rollout or HELD)["steps"][0]["weight"])
    return task


def loaded(gateway, model):
    return [name for name in gateway.loaded() if name.startswith(model + "__r")]


def test_a_running_deployment_that_is_canceled_rolls_back(gateway, m):
    task = held(gateway, m)
    with Traffic(gateway, m) as traffic:
        answer = steer(gateway, task, "cancel")
        assert answer.status == 200 and answer.json["task_id"] == task["task_id"]
        task = gateway.wait(task, status="canceled")
    assert "canceled by a client in step shift" in task["detail"] and "Revision 1 serves as before" in task["detail"]
    assert traffic.failures == [] and loaded(gateway, m) == [f"{m}__r1"]
    assert "is over: it is canceled" in steer(gateway, task, "cancel").problem(409)["detail"]


def test_a_canceled_task_is_rolled_back_after_a_crash_too(make_gateway):
    gateway = make_gateway().start()
    task = held(gateway, "m")
    gateway.set_faults({"kind": "slow_unload", "ms": 600000})
    assert steer(gateway, task, "cancel").status == 200
    gateway.rolloutd.kill()
    gateway.set_faults()
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.wait(task, status="canceled")
    assert gateway.loaded() == ["m__r1"]


def test_a_waiting_task_that_is_canceled_never_runs(gateway, m):
    first = held(gateway, m)
    second, third = gateway.start_deployment(m), gateway.start_deployment(m)
    for verb in ("promote", "pause", "resume"):
        assert "waits for its turn" in steer(gateway, second, verb).problem(409)["detail"]
    assert steer(gateway, second, "cancel").task()["status"] == "canceled"
    assert gateway.task(second)["status"] == "canceled"
    steer(gateway, first, "promote")
    gateway.wait(first, status="completed")
    gateway.wait(third, status="completed")
    assert gateway.task(second)["metadata"]["steps"] == []
    assert loaded(gateway, m) == [f"{m}__r3"]


def test_pause_holds_the_weight_and_resume_goes_on(gateway, m):
    task = held(gateway, m, steps=[{"weight": 30, "hold_s": 1}, {"weight": 100, "hold_s": 1}], gate={"min_requests": 1000000},
                progress_deadline_s=600)
    assert steer(gateway, task, "pause").status == 200
    wait_until(lambda: "waits for POST" in gateway.task(task)["detail"], "the pause")
    assert gateway.task(task)["metadata"]["paused"] is True
    assert "paused already" in steer(gateway, task, "pause").problem(409)["detail"]
    assert steer(gateway, task, "resume").status == 200
    assert "is not paused" in steer(gateway, task, "resume").problem(409)["detail"]
    assert steer(gateway, task, "promote").status == 200
    gateway.await_weight(task, 100)
    assert steer(gateway, task, "promote").status == 200
    gateway.wait(task, status="completed")


def test_a_word_is_answered_only_when_it_is_durable(make_gateway):
    gateway = make_gateway(nginx={"worker_arguments": "ack_timeout=1s"}).start()
    task = held(gateway, "m")
    journal = sqlite3.connect(gateway.rolloutd.journal, isolation_level=None)
    journal.execute("BEGIN IMMEDIATE")  # nothing of rolloutd's is written meanwhile
    steer(gateway, task, "pause").problem(500)
    gateway.rolloutd.kill()
    journal.close()
    gateway.rolloutd.start()
    gateway.await_link()
    assert steer(gateway, task, "pause").task()["metadata"]["paused"] is True
    gateway.rolloutd.kill()
    gateway.rolloutd.start()
    gateway.await_link()
    assert "paused already" in steer(gateway, task, "pause").problem(409)["detail"]


def test_a_manual_promotion_waits_for_its_client(gateway, m):
    task = held(gateway, m, steps=[{"weight": 50}], promote="manual")
    wait_until(lambda: "/promote" in gateway.task(task)["detail"], "the wait")
    assert steer(gateway, task, "promote").status == 200
    gateway.wait(task, status="completed")
    assert gateway.infer(m) == "green"


def test_a_final_task_is_tried_again_as_a_new_one(gateway, m):
    failed = gateway.wait(gateway.post("/deploy", {"model_id": m, "config": {"note": "n"}}).task(), status="failed")
    gateway.make_model(m, "there")
    answer = steer(gateway, failed, "retry")
    task = answer.task()
    assert task["task_id"] != failed["task_id"] and task["parent_id"] == failed["task_id"]
    assert task["metadata"]["config"] == {"note": "n"} and answer.headers["Location"] == f"/deploy/{task['task_id']}"
    gateway.wait(task, status="completed")
    deleted = gateway.wait(gateway.post("/delete", {"model_id": m}).task(), "delete", "completed")
    again = steer(gateway, deleted, "retry", "delete").task()
    assert gateway.wait(again, "delete", "refused")["parent_id"] == deleted["task_id"]


def test_a_key_makes_one_task_of_a_retry_and_of_a_rollback(gateway, m):
    gateway.make_model(m, "first")
    gateway.deploy(m)
    second = gateway.deploy(m, rollout={"old": "keep"})
    for verb in ("retry", "rollback"):
        key = f"{m}-{verb}"[-60:]

        def again(task=second, verb=verb, key=key):
            return gateway.post(f"/deploy/{task['task_id']}/{verb}", {}, Idempotency_Key=key)

        made = again().task()
        assert made["task_id"] == key and made["parent_id"] == second["task_id"]
        gateway.wait(made, status="completed")
        answer = again()
        assert answer.task()["task_id"] == key and answer.headers["Location"] == f"/deploy/{key}"
        assert "another task with the id" in again(task=made).problem(409)["detail"]
        assert "another task with the id" in again(key=second["task_id"]).problem(409)["detail"]
        if verb == "retry":
            assert "another task with the id" in again(verb="rollback").problem(409)["detail"]
            second = gateway.wait(gateway.post(f"/deploy/{second['task_id']}/retry", {}).task(), status="completed")
        assert "Idempotency-Key" in again(key="no key").problem(422)["detail"]


@pytest.mark.parametrize("old", ["archive", "keep"])
def test_a_completed_deployment_goes_back_to_the_revision_before(gateway, m, old):
    m = f"{m}_{old}"
    gateway.make_model(m, "first")
    gateway.deploy(m)
    gateway.make_model(m, "second")
    second = gateway.deploy(m, rollout={"old": old})
    with Traffic(gateway, m) as traffic:
        task = steer(gateway, second, "rollback").task()
        assert task["parent_id"] == second["task_id"]
        task = gateway.wait(task, status="completed")
        traffic.await_answers("first")
    assert traffic.failures == []
    assert task["metadata"]["revision"] == 1 and task["metadata"]["rollback_to"] == 1
    assert gateway.infer(m) == "first"
    assert "serves now" in steer(gateway, second, "rollback").problem(409)["detail"]


def test_without_a_kept_revision_there_is_no_way_back(gateway, m):
    gateway.make_model(m, "first")
    gateway.deploy(m)
    task = gateway.deploy(m)
    assert "is kept" in steer(gateway, task, "rollback").problem(409)["detail"]


def test_what_makes_no_sense_is_refused_with_a_reason(gateway, m):
    task = held(gateway, m)
    for verb in ("retry", "rollback"):
        assert "is in_progress" in steer(gateway, task, verb).problem(409)["detail"]
    steer(gateway, task, "cancel")
    task = gateway.wait(task)
    for verb in ("promote", "pause", "resume", "cancel", "rollback"):
        steer(gateway, task, verb).problem(409)
    for verb in VERBS:
        gateway.request("POST", f"/deploy/nobody/{verb}").problem(404)
        answer = gateway.get(f"/deploy/nobody/{verb}")
        answer.problem(405)
        assert answer.headers["Allow"] == "POST"
    gateway.request("POST", f"/deploy/{task['task_id']}/explode").problem(404)
    gateway.request("POST", f"/delete/{task['task_id']}/promote").problem(404)
    gateway.request("POST", f"/delete/{task['task_id']}/cancel").problem(404)
    gateway.post(f"/deploy/{task['task_id']}/retry", {"a": 1}).problem(422)


def test_a_deletion_that_is_canceled_gives_the_model_back(gateway, m):
    gateway.make_model(m, "blue")
    gateway.deploy(m)
    gateway.set_faults({"kind": "slow_unload", "ms": 3000, "model": f"{m}__r1"})
    task = gateway.post("/delete", {"model_id": m}).task()
    wait_until(lambda: gateway.task(task, "delete")["metadata"]["step"] == "unload", "the unload")
    assert steer(gateway, task, "cancel", "delete").status == 200
    gateway.set_faults()
    gateway.wait(task, "delete", "canceled")
    assert gateway.infer(m) == "blue"


# Lists.

def pages(gateway, path):
    found, token = [], None
    while True:
        answer = gateway.get(path + (f"&page_token={token}" if token else ""))
        assert answer.status == 200, answer
        page = answer.json
        found.append(page["tasks"] if "tasks" in page else page["models"])
        token = page["next_page_token"]
        if token is None:
            return found


def test_lists_are_newest_first_and_stable_while_tasks_come_in(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}).start()
    ids = [gateway.post("/deploy", {"model_id": f"m{i % 3}"}).task()["task_id"] for i in range(25)]
    first = gateway.get("/deploy?limit=10").json
    assert [task["task_id"] for task in first["tasks"]] == ids[:14:-1]
    gateway.post("/deploy", {"model_id": "later"}).task()
    rest = gateway.get(f"/deploy?limit=10&page_token={first['next_page_token']}").json["tasks"]
    assert [task["task_id"] for task in rest] == ids[14:4:-1]
    assert len(pages(gateway, "/deploy?limit=7")) == 4
    assert {task["model_id"] for task in gateway.get("/deploy?model_id=m1").json["tasks"]} == {"m1"}
    assert len(gateway.get("/deploy?status=pending").json["tasks"]) == 26
    assert gateway.get("/deploy?status=completed").json == {"tasks": [], "next_page_token": None}
    assert gateway.get("/delete").json == {"tasks": [], "next_page_token": None}
    head = gateway.request("HEAD", "/deploy")
    assert head.status == 200 and int(head.headers["Content-Length"]) > 0
    gateway.rolloutd.stop()
    assert "Retry-After" in gateway.get("/deploy").headers
    gateway.get("/models").problem(503)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "page_token=x", "page_token=0", "status=done", "status=",
                                   "model_id=a/b", "model_id="])
def test_a_wrong_argument_is_named(gateway, query):
    assert query.partition("=")[0] in gateway.get(f"/deploy?{query}").problem(422)["detail"]


def test_large_documents_end_a_page_early(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}).start()
    note = "x" * 30000
    for _ in range(60):
        gateway.post("/deploy", {"model_id": "m", "config": {"note": note}}).task()
    found = pages(gateway, "/deploy?limit=1000")
    assert sum(len(page) for page in found) == 60 and len(found) > 1


def test_models_are_listed_with_what_can_be_gone_back_to(make_gateway):
    gateway = make_gateway().start()
    assert gateway.get("/models").json == {"models": [], "next_page_token": None}
    for name in ("b", "a", "c"):
        gateway.make_model(name, name)
        gateway.deploy(name)
    gateway.deploy("b", rollout={"old": "archive"})
    task = gateway.start_deployment("c", **HELD)
    gateway.await_weight(task, 30)
    a, b, c = gateway.get("/models").json["models"]
    assert (a["model_id"], a["blue"]["revision"], a["blue"]["model"], a["green"], a["weight"]) == ("a", 1, "a__r1", None, 0)
    assert b["blue"]["revision"] == 2 and b["kept"] == [{"revision": 1, "loaded": False}]
    assert c["green"]["revision"] == 2 and c["weight"] == 30
    assert [[one["model_id"] for one in page] for page in pages(gateway, "/models?limit=2")] == [["a", "b"], ["c"]]


def test_lists_speak_the_locations_dialect(make_gateway):
    gateway = make_gateway(nginx={"locations": "location /es/ { rollout_api base=/es dialect=embedding_studio; }"})
    gateway.api = "/es"
    gateway.start()
    gateway.make_model("m", "m")
    gateway.post("/es/deploy", {"model_id": "m"}, Prefer="wait=60")
    assert [task["status"] for task in gateway.get("/es/deploy?status=done").json["tasks"]] == ["done"]
    gateway.get("/es/deploy?status=completed").problem(422)


def test_a_deletion_that_is_canceled_before_the_unload_loads_nothing_again(make_gateway):
    """The model is loaded still, and a server that has no room for it twice must not lose it: Triton loads a model anew with a configuration."""
    gateway = make_gateway(rolloutd={"limits": {"retries": 0}, "backends": {"default": {"unload_retry_s": 1}}, "rollout": {"drain_s": 600}}).start()
    gateway.make_model("m", "x")
    gateway.deploy("m", triton={"max_batch_size": 0})
    gateway.set_faults({"kind": "slow_infer", "ms": 600000, "times": 1}, {"kind": "failed_load", "error": "failed to allocate CUDA memory: out of memory"})
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.infer, "m")
        wait_until(lambda: gateway.server.get("/test/faults").json["faults"][0]["taken"], "the inference")
        task = gateway.post("/delete", {"model_id": "m"}).task()
        wait_until(lambda: gateway.task(task, "delete")["metadata"]["step"] == "drain", "the drain")
        assert steer(gateway, task, "cancel", "delete").status == 200
        task = gateway.wait(task, "delete", "canceled")
        served = gateway.infer("m")
        gateway.server.request("DELETE", "/test/faults")  # which ends what is slow
        assert answer.result() == "x"
    assert served == "x", (task["detail"], gateway.last)
    assert task["detail"].endswith("The model serves as before."), task["detail"]
    assert gateway.loaded() == gateway.files() == ["m__r1"]
    assert [call["path"] for call in gateway.server.get("/test/calls").json].count("/v2/repository/models/m__r1/load") == 1


def test_what_was_kept_loaded_is_not_loaded_again_to_go_back_to_it(make_gateway):
    """`old: keep` is for a quick way back, also on a server that has no room for a second copy of the same revision."""
    gateway = make_gateway(rolloutd={"limits": {"retries": 0}}).start()
    gateway.make_model("m", "first")
    gateway.deploy("m", triton={"max_batch_size": 0})
    gateway.make_model("m", "second")
    task = gateway.deploy("m", triton={"max_batch_size": 0}, rollout={"old": "keep"})
    assert gateway.loaded() == ["m__r1", "m__r2"]
    gateway.set_faults({"kind": "failed_load", "error": "failed to allocate CUDA memory: out of memory"})
    back = gateway.post(f"/deploy/{task['task_id']}/rollback", {}).task()
    gateway.wait(back, status="completed")
    assert gateway.infer("m") == "first" and gateway.loaded() == ["m__r1", "m__r2"]
