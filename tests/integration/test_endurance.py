"""Eight clients over many deployments in steps, with reloads of nginx in between: they never see an error. ROLLOUT_DEPLOYMENTS=100
is the long setting."""
import os

from gateway import Traffic

DEPLOYMENTS = int(os.environ.get("ROLLOUT_DEPLOYMENTS", "6"))


def test_clients_see_no_error_over_many_deployments(make_gateway):
    gateway = make_gateway().start()
    gateway.make_model("m", "0")
    gateway.deploy("m")
    rollout = {"steps": [{"weight": 10, "hold_s": 1}, {"weight": 50, "hold_s": 1}, {"weight": 100, "hold_s": 1}],
               "gate": {"min_requests": 5, "max_error_rate": 0.01}}
    with Traffic(gateway, "m", clients=8) as traffic:
        for number in range(1, DEPLOYMENTS + 1):
            gateway.make_model("m", str(number))
            task = gateway.post("/deploy", {"model_id": "m", "config": {"rollout": rollout}}).task()
            if number % 3 == 0:
                gateway.nginx.reload()
            gateway.wait(task, status="completed")
            traffic.await_answers(str(number), 5)
    assert traffic.failures == []
    assert gateway.loaded() == [f"m__r{DEPLOYMENTS + 1}"] and gateway.violations() == []
