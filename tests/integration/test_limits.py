"""The rules of limits and of names: what is refused, held or bounded in time, and how the task says so."""

import concurrent.futures

from gateway import Client
from processes import LOCATIONS, wait_until


def test_one_model_too_many_is_refused_with_the_number(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_deployed_models": 2}})
    gateway.start()
    for model in ("a", "b", "c"):
        gateway.make_model(model, model)
    gateway.deploy("a")
    gateway.deploy("b")
    task = gateway.deploy("c", "refused")
    assert "2 models deployed" in task["detail"] and "max_deployed_models is 2" in task["detail"]
    gateway.get("/v2/models/c/ready").problem(404)
    gateway.deploy("a")  # another revision of one that is there is no further model
    gateway.delete("b")
    gateway.deploy("c")


def test_without_a_revision_in_its_name_a_model_is_deployed_once(make_gateway):
    gateway = make_gateway(rolloutd={"backends": {"default": {"model_name": "{config.plugin}_{model_id}"}}})
    gateway.start()
    gateway.make_model("m", "x")
    gateway.deploy("m", plugin="encoder")
    assert gateway.loaded() == ["encoder_m"]
    task = gateway.deploy("m", "refused", plugin="encoder")
    assert "is deployed already" in task["detail"] and "delete the model first" in task["detail"]
    gateway.delete("m")
    gateway.deploy("m", plugin="encoder")
    problem = gateway.post("/deploy", {"model_id": "m"}).problem(422)
    assert "plugin" in problem["detail"]
    gateway.post("/deploy", {"model_id": "m", "config": {"plugin": "../x"}}).problem(422)


def test_a_full_queue_is_429_and_finds_what_is_there(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_queue": 3, "max_concurrent_rollouts": 0}})
    gateway.start()
    bodies = [{"model_id": "m", "task_id": f"t{n}"} for n in range(4)]
    for body in bodies[:3]:
        gateway.post("/deploy", body).task()
    answer = gateway.post("/deploy", bodies[3])
    problem = answer.problem(429)
    assert int(answer.headers["Retry-After"]) > 0 and "max_queue" in problem["detail"]
    assert gateway.post("/deploy", bodies[0]).task()["task_id"] == "t0"
    gateway.get("/deploy/t3").problem(404)


def test_a_task_over_its_time_limit_fails_and_is_rolled_back(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"time_limit_s": 2}})
    gateway.start()
    gateway.make_model("m", "old")
    gateway.deploy("m")
    gateway.make_model("m", "new", faults=[{"kind": "slow_load", "ms": 60000}])
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: gateway.get(f"/deploy/{task['task_id']}").json["metadata"]["step"] == "rollback", "the way back")
    gateway.server.request("DELETE", "/test/faults")  # the server ends its load
    task = gateway.wait(task, status="failed")
    assert "time limit of 2 s" in task["detail"] and "load" in task["detail"]
    assert gateway.infer("m") == "old"
    assert gateway.loaded() == gateway.files() == ["m__r1"]


def test_no_more_rollouts_than_allowed_run_side_by_side(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 2}})
    gateway.start()
    for n in range(4):
        gateway.make_model(f"m{n}", "x")
    gateway.set_faults({"kind": "slow_load", "ms": 60000})
    tasks = [gateway.post("/deploy", {"model_id": f"m{n}"}).task() for n in range(4)]

    def states():
        return [gateway.get(f"/deploy/{task['task_id']}").json["status"] for task in tasks]
    wait_until(lambda: states() == ["in_progress", "in_progress", "pending", "pending"], "two at work")
    gateway.server.request("DELETE", "/test/faults")
    for task in tasks:
        gateway.wait(task, status="completed")


def test_rollouts_that_hold_or_wait_for_a_person_leave_room_for_an_emergency(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 1}, "rollout": {"old": "archive"}},
                           nginx={"locations": LOCATIONS + "location = /metrics { rollout_metrics; }\n"})
    gateway.start()
    gateway.serve_blue("fifth")
    last = gateway.deploy("fifth")
    waiting = {}
    for model, rollout in {"held": {"steps": [{"weight": 10, "hold_s": 3600}, {"weight": 100}]},
                           "manual": {"promote": "manual"}, "watched": {"watch_s": 3600}}.items():
        gateway.serve_blue(model)
        waiting[model] = gateway.start_deployment(model, **rollout)
        step = "promote" if model == "watched" else "shift"
        wait_until(lambda: gateway.get(f"/deploy/{waiting[model]['task_id']}").json["metadata"]["step"] == step, f"{model} in {step}")
    back = gateway.post(f"/deploy/{last['task_id']}/rollback", {}).task()
    gateway.wait(back, status="completed")
    gateway.delete("fifth")
    for model, task in waiting.items():
        assert gateway.get(f"/deploy/{task['task_id']}").json["status"] == "in_progress"
    text = gateway.get("/metrics").body
    assert b"\nrollout_running_tasks 3\n" in text and b"\nrollout_oldest_waiting_task_seconds 0\n" in text
    wait_until(lambda: b"\nrollout_working_tasks 0\n" in gateway.get("/metrics").body, "all places free")
    for model in ("held", "manual"):
        gateway.post(f"/deploy/{waiting[model]['task_id']}/promote", {})
        gateway.wait(waiting[model], status="completed")


def test_with_none_allowed_tasks_are_held_until_the_next_start(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}})
    gateway.start()
    gateway.make_model("m", "x")
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    assert gateway.get(f"/deploy/{task['task_id']}?wait=1").task()["status"] == "pending"
    gateway.rolloutd.stop()
    gateway.rolloutd.config["limits"]["max_concurrent_rollouts"] = 1
    gateway.rolloutd.start()
    gateway.wait(task, status="completed")


def test_without_a_gateway_a_rollout_proves_its_model_and_waits_with_the_traffic(make_gateway):
    gateway = make_gateway()
    gateway.start()
    gateway.make_model("m", "x")
    gateway.set_faults({"kind": "slow_load", "ms": 60000})
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: gateway.get(f"/deploy/{task['task_id']}").json["metadata"]["step"] == "load", "the load")
    gateway.nginx.stop()
    gateway.server.request("DELETE", "/test/faults")
    wait_until(lambda: any(line["message"].startswith("Step ready is done") for line in gateway.rolloutd.lines()), "readiness")
    gateway.nginx.start()
    gateway.wait(task, status="completed")
    assert gateway.infer("m") == "x"


def test_sigterm_in_the_middle_leaves_a_task_that_goes_on(make_gateway):
    gateway = make_gateway()
    gateway.start()
    gateway.make_model("m", "x")
    gateway.set_faults({"kind": "slow_load", "ms": 60000})
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: gateway.get(f"/deploy/{task['task_id']}").json["metadata"]["step"] == "load", "the load")
    assert gateway.rolloutd.stop() == 0
    assert gateway.get(f"/deploy/{task['task_id']}").task()["status"] == "in_progress"
    gateway.server.request("DELETE", "/test/faults")
    gateway.rolloutd.start()
    assert gateway.wait(task, status="completed")["metadata"]["revision"] == 1
    assert gateway.loaded() == ["m__r1"]


def test_a_read_after_a_write_sees_it_from_any_connection(make_gateway):
    """10,000 posts, each followed by three reads on new connections to whichever worker process takes them."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"workers": 4, "zone": "64m"})
    gateway.start()
    posts, threads = 10_000, 8

    def run(part):
        misses = []
        client = Client(gateway.nginx.port, keep=True)
        for n in range(part, posts, threads):
            task = client.post("/delete", {"model_id": f"m-{n}", "task_id": f"t-{n}"}).task()
            for path in (f"/delete/t-{n}", f"/delete-status/m-{n}", f"/delete/t-{n}"):
                answer = gateway.get(path)
                if answer.status != 200 or answer.json != task:
                    misses.append((path, answer))
        return misses

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        misses = sum(pool.map(run, range(threads)), [])
    assert misses == []


def test_many_models_are_deployed_side_by_side(make_gateway):
    """Many models at once: nothing is lost between the queues and the journal."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 8}})
    gateway.start()
    models = [f"m{n}" for n in range(30)]
    for model in models:
        gateway.make_model(model, model)
    tasks = [gateway.post("/deploy", {"model_id": model}).task() for model in models]
    for task in tasks:
        gateway.wait(task, status="completed")
    assert [gateway.infer(model) for model in models] == models
