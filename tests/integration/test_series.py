"""The series of a deployment, GET /deploy/{id}/series: what the gate has seen, look by look. It is there during the rollout, after it, and after
rolloutd's restart; a crash costs a gap."""

import itertools

import pytest

from gateway import AT_ONCE, Traffic
from pretended_rolloutd import PretendedRolloutd
from processes import wait_until

NGINX = {"locations": """
    location ~ ^/((deploy|delete)(-status)?|models|readyz)(/|$) { rollout_api; }
    location /es/ { rollout_api base=/es dialect=embedding_studio; }
    location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
        rollout_route $model;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
    }
"""}

GATE = {"min_requests": 5, "max_error_rate": 0.5, "max_p99_ms": 20000}
HELD = {"steps": [{"weight": 20, "hold_s": 600}, {"weight": 60, "hold_s": 600}, {"weight": 100, "hold_s": 1}], "gate": GATE}


def series_of(gateway, task):
    answer = gateway.get(f"/deploy/{task['task_id']}/series")
    assert answer.status == 200, answer
    series = answer.json
    columns = [series["second"], series["weight"], *series["blue"].values(), *series["green"].values()]
    assert len({len(column) for column in columns}) == 1, series
    assert series["second"] == sorted(series["second"]) and (series["from"] is None) == (series["second"] == [])
    return series


def marks(series):
    return [mark["what"] for mark in series["marks"]]


def await_points(gateway, task, weight, count=2):
    """Until that many looks at this weight have seen requests of green."""
    def seen():
        series = series_of(gateway, task)
        points = [requests for at, requests in zip(series["weight"], series["green"]["requests"]) if at == weight and requests]
        return series if len(points) >= count else None
    return wait_until(seen, f"{count} points at {weight} %")


def post(gateway, task, verb):
    assert gateway.post(f"/deploy/{task['task_id']}/{verb}", {}).status == 200


def test_the_series_grows_during_the_rollout_and_stays(make_gateway):
    gateway = make_gateway(nginx=NGINX).start()
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", **HELD)
    with Traffic(gateway, "m"):
        series = await_points(gateway, task, 20)
        assert (series["task_id"], series["model_id"]) == (task["task_id"], "m")
        assert series["limits"] == GATE and series["period_s"] == 1
        assert series["marks"][0]["what"] == "weight" and series["marks"][0]["detail"] == "20 %"
        assert sum(series["blue"]["requests"]) > sum(series["green"]["requests"]) > 0
        assert sum(series["green"]["failures"]) == 0
        for slot in (series["blue"], series["green"]):
            for requests, p50, p99 in zip(slot["requests"], slot["p50_ms"], slot["p99_ms"]):
                assert (p50 is None) == (p99 is None) == (requests == 0)
                assert requests == 0 or 0 <= p50 <= p99

        post(gateway, task, "pause")
        post(gateway, task, "resume")
        post(gateway, task, "promote")
        await_points(gateway, task, 60)
        post(gateway, task, "promote")
        gateway.wait(task, status="completed")

    series = series_of(gateway, task)
    assert [weight for weight, _ in itertools.groupby(series["weight"])] == [20, 60, 100]
    assert marks(series) == ["weight", "pause", "resume", "promote", "verdict", "weight", "promote", "verdict", "weight", "verdict", "promoted", "end"]
    assert "serves all traffic" in series["marks"][-1]["detail"]
    assert all(mark["at"] >= series["marks"][0]["at"] for mark in series["marks"])

    gateway.rolloutd.stop()
    gateway.get(f"/deploy/{task['task_id']}/series").problem(503)
    gateway.rolloutd.start()
    gateway.await_link()
    assert series_of(gateway, task) == series


def test_a_green_that_fails_is_seen_in_its_series(gateway):
    gateway.serve_blue("failing", faults=[{"kind": "failed_infer"}])
    task = gateway.start_deployment("failing", **HELD)
    with Traffic(gateway, "failing"):
        gateway.wait(task, status="failed")
    series = series_of(gateway, task)
    assert sum(series["green"]["failures"]) > 0 and sum(series["blue"]["failures"]) == 0
    assert marks(series)[-2:] == ["verdict", "end"]
    assert series["marks"][-2]["detail"] and "serves as before" in series["marks"][-1]["detail"]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_rollout_continues_its_series_after_a_restart(make_gateway, how):
    gateway = make_gateway(nginx=NGINX).start()
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", **HELD)
    with Traffic(gateway, "m"):
        await_points(gateway, task, 20)
        post(gateway, task, "promote")
        before = await_points(gateway, task, 60)
        getattr(gateway.rolloutd, how)()
        gateway.rolloutd.start()
        gateway.await_link()
        # With a crash, the points since the last weight's end are lost.
        kept = {20} if how == "kill" else {20, 60}
        old = [point for point in zip(before["second"], before["weight"], before["green"]["requests"]) if point[1] in kept]
        series = await_points(gateway, task, 60, count=4)
        now = list(zip(series["second"], series["weight"], series["green"]["requests"]))
        assert series["from"] == before["from"]
        assert now[:len(old) - 1] == old[:-1]
        assert now[-1][0] > before["second"][-1] and now[-1][1] == 60
        post(gateway, task, "cancel")
        gateway.wait(task, status="canceled")
    series = series_of(gateway, task)
    assert marks(series)[-1] == "end" and series["weight"][:len(old)] == [weight for _, weight, _ in old]


def test_before_the_gate_looks_the_columns_are_empty(gateway):
    gateway.make_model("first", "blue")
    first = gateway.deploy("first", rollout=AT_ONCE)
    series = series_of(gateway, first)
    assert series["from"] is None and series["second"] == [] and series["limits"] is None and series["marks"] == []
    assert series["green"] == {"requests": [], "failures": [], "client_errors": [], "p50_ms": [], "p99_ms": []}


def test_a_hold_that_nothing_judges_has_marks_alone(gateway):
    gateway.serve_blue("unjudged")
    task = gateway.start_deployment("unjudged", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100, "hold_s": 0}])
    gateway.await_weight(task, 50)
    wait_until(lambda: marks(series_of(gateway, task)) == ["weight"], "the mark")
    post(gateway, task, "promote")
    gateway.wait(task, status="completed")
    series = series_of(gateway, task)
    assert marks(series) == ["weight", "promote", "promoted", "end"] and series["second"] == [] and series["limits"] is None


def test_who_asks_wrongly_is_told(gateway):
    gateway.make_model("there", "blue")
    task = gateway.deploy("there")
    path = f"/deploy/{task['task_id']}/series"
    assert "no deployment task" in gateway.get("/deploy/nobody/series").problem(404)["detail"]
    gateway.get("/deploy/no.body/series").problem(404)
    gateway.get(f"/delete/{task['task_id']}/series").problem(404)
    deletion = gateway.delete("there")
    gateway.get(f"/deploy/{deletion['task_id']}/series").problem(404)
    gateway.get(path + "?from=1").problem(422)
    refused = gateway.post(path, {})
    refused.problem(405)
    assert refused.headers["Allow"] == "GET, HEAD"
    head = gateway.request("HEAD", path)
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 100
    assert gateway.get("/es" + path).json == gateway.get(path).json


def test_without_rolloutd_there_is_none(make_gateway):
    gateway = make_gateway(nginx=NGINX)
    gateway.nginx.start()
    refused = gateway.get("/deploy/t/series")
    assert "rolloutd is down" in refused.problem(503)["detail"] and refused.headers["Retry-After"] == "1"


def test_an_older_rolloutd_is_not_asked(make_gateway):
    gateway = make_gateway(nginx={**NGINX, "workers": 1})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        link.settle()
        assert "upgrade it" in gateway.get("/deploy/t/series").problem(503)["detail"]
        link.settle(nothing_of="series")
