"""Traffic in weighted steps, the gate on what the gateway counts, the watch after the promotion."""
import socket

import pytest

from gateway import Client, Traffic, answer_of
from processes import wait_until

# Rollouts that a test leaves in a hold do not take the others' places.
ROLLOUTD = {"limits": {"max_concurrent_rollouts": 64}}

HALF_FAIL = [{"kind": "failed_infer", "share": 0.5}]


@pytest.fixture
def m(request):
    """A model of the test's own."""
    return request.node.name[5:60]


def loaded(gateway, model):
    return [name for name in gateway.loaded() if name.startswith(model + "__r")]


def answers(gateway, model, count, **headers):
    """How often each text answered; every request must succeed."""
    client = Client(gateway.nginx.port, keep=True)
    found = {}
    for _ in range(count):
        text = answer_of(client.post(f"/v2/models/{model}/infer", {"inputs": []}, **headers))
        assert text is not None
        found[text] = found.get(text, 0) + 1
    return found


def blue_and_green(gateway, m, **rollout):
    gateway.serve_blue(m)
    return gateway.start_deployment(m, **rollout)


def test_20_percent_are_20_percent(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 20, "hold_s": 600}])
    gateway.await_weight(task, 20)
    found = answers(gateway, m, 3000)
    # Of 3,000 by chance, 20 % are 600, with a standard deviation of 22: six of them.
    assert 468 <= found["green"] <= 732, found
    by_key = {key: set(answers(gateway, m, 3, X_User=f"user-{key}")) for key in range(300)}
    assert all(len(texts) == 1 for texts in by_key.values())
    assert 20 <= sum(texts == {"green"} for texts in by_key.values()) <= 100


def test_20_percent_are_20_percent_in_each_worker_process_and_over_all(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 20, "hold_s": 600}])
    gateway.await_weight(task, 20)
    clients = {}  # one for each worker process, on a connection of its own

    def connect():
        client = Client(gateway.nginx.port, keep=True)
        answer = client.post(f"/v2/models/{m}/infer", {"inputs": []})
        clients.setdefault(answer.headers["X-Worker"], client)
        return len(clients) == len(gateway.nginx.worker_pids())

    wait_until(connect, "a connection to each worker process")
    greens = {pid: sum(answer_of(client.post(f"/v2/models/{m}/infer", {"inputs": []})) == "green" for _ in range(2000))
              for pid, client in clients.items()}
    # Of 2,000 by chance, 20 % are 400, with a standard deviation of 18: six of them.
    assert all(292 <= green <= 508 for green in greens.values()), greens
    requests = 2000 * len(greens)
    assert abs(sum(greens.values()) - 0.2 * requests) <= 6 * (requests * 0.2 * 0.8) ** 0.5, greens


def test_a_growing_weight_moves_keys_from_blue_to_green_only(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 20, "hold_s": 600}, {"weight": 60, "hold_s": 600}])
    gateway.await_weight(task, 20)

    def greens():
        return {key for key in range(200) if "green" in answers(gateway, m, 1, X_User=f"user-{key}")}

    first = greens()
    gateway.post(f"/deploy/{task['task_id']}/promote", {})
    gateway.await_weight(task, 60)
    second = greens()
    assert first < second


def test_preview_reaches_green_before_any_traffic(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 0, "hold_s": 600}, {"weight": 100}])
    wait_until(lambda: gateway.task(task)["metadata"]["step"] == "shift", "the shift")
    assert answers(gateway, m, 20) == {"blue": 20}
    wait_until(lambda: answers(gateway, m, 1, X_Rollout_Preview="green") == {"green": 1}, "the preview")


def test_a_green_that_fails_goes_back_and_says_why(gateway, m):
    gateway.serve_blue(m, faults=HALF_FAIL)
    with Traffic(gateway, m) as traffic:
        task = gateway.start_deployment(m, steps=[{"weight": 5, "hold_s": 600}, {"weight": 100}],
                                gate={"min_requests": 20, "max_error_rate": 0.05})
        task = gateway.wait(task, status="failed")
    assert task["metadata"]["step"] == "rollback"
    assert "max_error_rate is 5 %" in task["detail"] and "5 % of the traffic" in task["detail"], task["detail"]
    gate = task["metadata"]["gate"]
    assert gate["verdict"] == "bad" and gate["green"]["failures"] >= 1 and gate["limits"]["max_error_rate"] == 0.05
    assert gate["weight"] == 5 and gate["blue"]["failures"] == 0
    met_green = traffic.answers.get("green", 0) + len(traffic.failures)
    total = sum(traffic.answers.values()) + len(traffic.failures)
    assert 0 < met_green <= total * 0.1, (met_green, total)
    assert answers(gateway, m, 20) == {"blue": 20}
    assert loaded(gateway, m) == [f"{m}__r1"] and gateway.violations() == []


def test_a_good_green_passes_the_gate_step_by_step(gateway, m):
    gateway.serve_blue(m)
    with Traffic(gateway, m) as traffic:
        task = gateway.start_deployment(m, steps=[{"weight": 20, "hold_s": 1}, {"weight": 100, "hold_s": 1}],
                                gate={"min_requests": 20, "max_error_rate": 0.01, "max_p99_ms": 60000, "max_error_ratio_to_blue": 2})
        task = gateway.wait(task, status="completed")
        traffic.await_answers("green")
    assert traffic.failures == []
    shift = next(step for step in task["metadata"]["steps"] if step["name"] == "shift")
    assert "20 %: " in shift["detail"] and "100 %: " in shift["detail"]
    assert task["metadata"]["gate"]["verdict"] == "good"


def test_a_slow_green_goes_back(gateway, m):
    gateway.serve_blue(m, faults=[{"kind": "slow_infer", "ms": 400}])
    with Traffic(gateway, m) as traffic:
        # A mean is judged once, at the end of the hold's time.
        task = gateway.start_deployment(m, steps=[{"weight": 50, "hold_s": 5}], gate={"min_requests": 10, "max_mean_ms": 300})
        task = gateway.wait(task, status="failed")
    assert "max_mean_ms" in task["detail"]
    assert traffic.failures == []


def judged(gateway, task):
    """The gate's last look at a rollout that is held: what it counted of green and of blue."""
    assert gateway.post(f"/deploy/{task['task_id']}/promote", {}).status == 200
    return gateway.wait(task, status="completed")["metadata"]["gate"]


def test_a_client_that_errs_is_not_held_against_green_and_a_preview_is_not_counted(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 50, "hold_s": 600}], gate={"min_requests": 20, "max_error_rate": 0.01},
                          progress_deadline_s=600)
    gateway.await_weight(task, 50)
    client = Client(gateway.nginx.port, keep=True)
    for _ in range(100):
        assert client.request("POST", f"/v2/models/{m}/infer", b"no json", {"Content-Type": "application/json"}).status == 400
    answers(gateway, m, 200)
    assert answers(gateway, m, 500, X_Rollout_Preview="green") == {"green": 500}
    gate = judged(gateway, task)
    assert gate["green"]["client_errors"] > 0 and gate["green"]["failures"] == 0
    assert 0 < gate["green"]["requests"] and gate["green"]["requests"] + gate["blue"]["requests"] <= 300


def test_a_client_that_goes_away_is_not_held_against_green(gateway, m):
    gateway.serve_blue(m, faults=[{"kind": "slow_infer", "ms": 500}])
    task = gateway.start_deployment(m, steps=[{"weight": 99, "hold_s": 600}], gate={"min_requests": 1, "max_error_rate": 0.01})
    gateway.await_weight(task, 99)
    body = b'{"inputs": []}'
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", gateway.nginx.port)) as client:
            client.sendall(b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s" % (m.encode(), len(body), body))
    log = gateway.home / "access.log"
    wait_until(lambda: sum(f"/{m}/infer 499 green" in line for line in log.read_text().splitlines()) >= 20, "clients that went away")
    answers(gateway, m, 5)
    gate = judged(gateway, task)
    assert gate["green"]["failures"] == 0 and gate["green"]["requests"] + gate["blue"]["requests"] <= 5


def test_a_green_that_refuses_what_blue_takes_goes_back(gateway, m):
    gateway.serve_blue(m, faults=[{"kind": "failed_infer", "status": 400}])
    with Traffic(gateway, m):
        task = gateway.start_deployment(m, steps=[{"weight": 20, "hold_s": 600}], gate={"min_requests": 20, "max_error_rate": 0.05})
        task = gateway.wait(task, status="failed")
    assert "4xx" in task["detail"]


def test_too_little_traffic_ends_as_configured(gateway, m):
    gateway.serve_blue(m)
    gate, steps = {"min_requests": 1000, "max_error_rate": 0.5}, [{"weight": 100, "hold_s": 1}]
    task = gateway.wait(gateway.start_deployment(m, steps=steps, gate=gate, progress_deadline_s=1), status="failed")
    assert "of the 1000 requests of min_requests" in task["detail"]
    assert gateway.infer(m) == "blue"
    task = gateway.wait(gateway.start_deployment(m, steps=steps, gate=gate, progress_deadline_s=1, on_no_traffic="promote"),
                        status="completed")
    assert gateway.infer(m) == "green"


def test_a_step_without_a_hold_is_not_judged(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 20, "hold_s": 1}, {"weight": 100, "hold_s": 0}],
                          gate={"min_requests": 5, "max_error_rate": 0.5}, progress_deadline_s=600)
    gateway.await_weight(task, 20)
    answers(gateway, m, 200)  # enough for the hold; nothing comes at 100 %
    assert gateway.wait(task, status="completed")["metadata"]["gate"]["weight"] == 20
    assert gateway.infer(m) == "green"


def test_a_gate_without_a_hold_is_warned_of(gateway, m):
    gateway.serve_blue(m)
    task = gateway.wait(gateway.start_deployment(m, gate={"max_error_rate": 0.5}), status="completed")
    assert "The gate judges nothing" in task["metadata"]["plan"]["warnings"][0]
    task = gateway.wait(gateway.start_deployment(m, gate={"max_error_rate": 0.5}, watch_s=1), status="completed")
    assert not any("judges nothing" in warning for warning in task["metadata"]["plan"]["warnings"])


def waits_for(gateway, task, what):
    """The task's document, once it says that it waits for that."""
    wait_until(lambda: gateway.task(task)["metadata"].get("waits_for") == what, f"a task that waits for {what}")
    return gateway.task(task)


def test_a_hold_says_what_it_waits_for_and_until_when(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 20, "hold_s": 6}, {"weight": 100, "hold_s": 0}],
                          gate={"min_requests": 1000000, "max_error_rate": 0.5}, progress_deadline_s=600)
    held = waits_for(gateway, task, "time")
    assert held["detail"].startswith(f"Revision 2 has 20 % of the traffic of model {m} until ")
    assert held["metadata"]["hold_ends_at"][11:19] in held["detail"]
    plan = held["metadata"]["plan"]
    assert plan["steps"] == [{"weight": 20, "hold_s": 6}, {"weight": 100, "hold_s": 0}]
    assert plan["progress_deadline_s"] == 600 and plan["on_no_traffic"] == "fail" and plan["promote"] == "auto"
    assert plan["servers"][0]["url"].startswith("http://")
    assert any("min_requests of 1000000 extends it" in warning for warning in plan["warnings"]), plan["warnings"]
    few = waits_for(gateway, task, "requests")
    assert "it has had at least 0 of 1000000 requests. It waits until " in few["detail"]
    assert gateway.post(f"/deploy/{task['task_id']}/pause", {}).task()["metadata"]["waits_for"] == "person"
    paused = gateway.task(task)
    assert f"waits for POST /deploy/{task['task_id']}/resume" in paused["detail"]
    second = waits_for(gateway, gateway.start_deployment(m), "turn")
    wait_until(lambda: "which waits for a person; it is its turn next" in gateway.task(second)["detail"], "the next one's words")
    assert task["task_id"] in gateway.task(second)["detail"]
    listed = {entry["model_id"]: entry for entry in gateway.get("/models?limit=1000").json["models"]}
    assert listed[m]["task_ids"] == [task["task_id"], second["task_id"]]
    gateway.post(f"/deploy/{second['task_id']}/cancel", {})
    gateway.post(f"/deploy/{task['task_id']}/resume", {})
    gateway.post(f"/deploy/{task['task_id']}/promote", {})
    done = gateway.wait(task, status="completed")["metadata"]
    assert "waits_for" not in done and "hold_ends_at" not in done


def test_a_promotion_that_the_watch_regrets_is_taken_back_at_once(gateway, m):
    gateway.serve_blue(m)
    with Traffic(gateway, m) as traffic:
        task = gateway.start_deployment(m, gate={"min_requests": 1, "max_error_rate": 0.05}, watch_s=600)
        wait_until(lambda: gateway.task(task)["metadata"]["step"] == "promote", "the promotion")
        traffic.await_answers("green")
        assert loaded(gateway, m) == [f"{m}__r1", f"{m}__r2"]
        gateway.set_faults({"kind": "failed_infer", "model": f"{m}__r2"})
        task = gateway.wait(task, status="failed")
        gateway.set_faults()
        traffic.await_answers("blue")
    assert "Revision 1 serves as before" in task["detail"]
    assert loaded(gateway, m) == [f"{m}__r1"] and gateway.violations() == []


def test_a_watched_promotion_that_goes_well_retires_the_old_one(gateway, m):
    gateway.serve_blue(m)
    with Traffic(gateway, m) as traffic:
        task = gateway.wait(gateway.start_deployment(m, gate={"min_requests": 1, "max_error_rate": 0.05}, watch_s=1), status="completed")
    assert traffic.failures == [] and loaded(gateway, m) == [f"{m}__r2"]


def test_a_rollout_goes_on_at_its_weight_after_a_crash(gateway, m):
    task = blue_and_green(gateway, m, steps=[{"weight": 30, "hold_s": 600}, {"weight": 100}])
    gateway.await_weight(task, 30)
    with Traffic(gateway, m) as traffic:
        gateway.rolloutd.kill()
        traffic.await_answers("green", 20)
        gateway.rolloutd.start()
        gateway.await_link()
        assert gateway.task(task)["metadata"]["traffic_weight"] == 30
        traffic.await_answers("green", 20)
        traffic.await_answers("blue", 20)
    assert traffic.failures == []


def test_the_404_of_a_model_that_was_deleted_names_the_deletion(gateway):
    gateway.make_model("gone", "blue")
    gateway.deploy("gone")
    deletion = gateway.delete("gone")
    answer = gateway.get("/v2/models/gone/ready")
    assert answer.problem(404)["detail"] == f'Model "gone" was deleted by task "{deletion["task_id"]}"; see GET /delete-status/gone.'
    assert "/deploy-status/never" in gateway.get("/v2/models/never/ready").problem(404)["detail"]

    failed = gateway.deploy("gone", "failed", source=f"file://{gateway.home}/models/nowhere")
    detail = gateway.get("/v2/models/gone/ready").problem(404)["detail"]
    assert "/deploy-status/gone" in detail and gateway.get("/deploy-status/gone").json["task_id"] == failed["task_id"]
    gateway.deploy("gone")
    assert gateway.infer("gone") == "blue"
