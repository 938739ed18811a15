"""docs/configuration.md's recipe: nginx's own mirror sends a copy of the traffic to green, whose answers nobody sees."""
import re

from gateway import Traffic
from processes import wait_until

NGINX = {"locations": """
        location ~ ^/(deploy|delete)(-status)?(/|$) { rollout_api; }
        location = /metrics { rollout_metrics; }

        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
            mirror /shadow;
            set $shadowed $model;
            set $shadowed_rest $rest;
            rollout_route $model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
        }
        location = /shadow {
            internal;
            rollout_route $shadowed preview=green;
            if ($rollout_slot != green) { return 204; }
            proxy_connect_timeout 1s;
            proxy_send_timeout 1s;
            proxy_read_timeout 1s;
            proxy_next_upstream off;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$shadowed_rest;
        }
"""}


def inferences(gateway, model):
    return gateway.server.get("/test/models").json.get(model, {}).get("infers", 0)


def test_green_gets_a_copy_of_the_traffic_and_clients_do_not_notice(gateway):
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    for _ in range(10):
        assert gateway.infer("m") == "blue"
    assert inferences(gateway, "m__r1") == 10

    gateway.make_model("m", "green", faults=[{"kind": "failed_infer"}])
    rollout = {"steps": [{"weight": 0, "hold_s": 600}, {"weight": 100}]}
    task = gateway.post("/deploy", {"model_id": "m", "config": {"rollout": rollout}}).task()
    with Traffic(gateway, "m") as traffic:
        wait_until(lambda: gateway.server.get("/test/models").json.get("m__r2", {}).get("failed_infers", 0) >= 20, "the shadow")
    assert set(traffic.answers) == {"blue"} and traffic.failures == []
    assert gateway.get(f"/deploy/{task['task_id']}").json["status"] == "in_progress"


def test_the_gate_counts_the_traffic_and_not_its_shadow(gateway):
    gateway.serve_blue("counted")
    rollout = {"steps": [{"weight": 50, "hold_s": 600}], "gate": {"min_requests": 20, "max_error_rate": 0.01}, "progress_deadline_s": 600}
    task = gateway.start_deployment("counted", **rollout)
    gateway.await_weight(task, 50)
    answers = [gateway.infer("counted") for _ in range(200)]
    assert set(answers) == {"blue", "green"}
    # Each is counted once nginx is done with it, a moment after its answer: with its shadow, which is one of green's.
    expected = {"blue": answers.count("blue"), "green": answers.count("green") + 200}
    wait_until(lambda: metered(gateway, "counted") == expected, f"{expected} in the metrics")

    assert gateway.post(f"/deploy/{task['task_id']}/promote", {}).status == 200
    gate = gateway.wait(task, status="completed")["metadata"]["gate"]
    assert gate["verdict"] == "good"
    assert {slot: gate[slot]["requests"] for slot in ("blue", "green")} == {slot: answers.count(slot) for slot in ("blue", "green")}


def metered(gateway, model):
    """The good answers of each slot, as /metrics has them."""
    text = gateway.get("/metrics").body.decode()
    found = re.findall(rf'^rollout_route_requests_total{{model="{model}",slot="(.+)",code_class="2xx"}} (\d+)$', text, re.M)
    return {slot: int(number) for slot, number in found}
