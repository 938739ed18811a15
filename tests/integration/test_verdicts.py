"""Whole rollouts by the gate's verdict: what is good stays, what is bad goes, and the document says why."""

import http.client
import itertools
import json
import threading
import time

import pytest

from ending import finish
from gateway import Client, Gateway
from model_servers import OK, ModelServer, answer
from processes import wait_until

# Inferences go to a server of the test's own, everything else to the inference server.
LOCATIONS = """
        location ~ ^/((deploy|delete)(-status)?|models)(/|$) { rollout_api; }
        location ~ ^/v2/models/(?<model>[A-Za-z0-9._-]+)(?<rest>/.*)?$ {
            rollout_route $model key=$http_x_user;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {lines}
            proxy_pass http://{address}/v2/models/$rollout_backend_model$rest;
        }
        location @proxied { proxy_pass http://{address}; }
"""


@pytest.fixture(scope="module")
def server():
    made = ModelServer()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["", "proxy_intercept_errors on; error_page 500 502 503 504 =200 @proxied;", "proxy_buffering off;"],
                ids=["plain", "a fallback", "unbuffered"])
def gateway(request, server):
    locations = LOCATIONS.replace("{lines}", request.param).replace("{address}", server.address)
    made = Gateway(rolloutd={"limits": {"max_concurrent_rollouts": 64}}, nginx={"locations": locations})
    try:
        yield made.start()
    finally:
        finish(request, made)


@pytest.fixture
def m(request):
    return request.node.name.split("[")[0][5:60] + str(abs(hash(request.node.name)))[:6]


class Callers:
    """Clients that ask one after the other, each as a user of its own, and give up when they have waited for `patience_s`."""

    def __init__(self, port, model, count=8, patience_s=30):
        self.asked = 0
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(port, model, f"user-{i}", patience_s), daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, port, model, user, patience_s):
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
            try:
                connection.request("POST", f"/v2/models/{model}/infer", "{}", {"X-User": f"{user}-{self.asked}"})
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            self.asked += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ending.set()
        for thread in self._threads:
            thread.join(60)


def failing(every):
    """Fails each so-many-th request, beginning with the first."""
    number = itertools.count()
    return lambda question: question.send(answer("no", "500 Internal Server Error") if next(number) % every == 0 else answer("yes")) or True


def breaking_off(question):
    question.send(OK + b"Content-Length: 100\r\n\r\nhalf of it")


def hanging(every):
    number = itertools.count()
    lasting = threading.Event()

    def behave(question):
        if next(number) % every == 0:
            lasting.wait(20)  # far longer than any of these clients waits; nobody sets it
            return False
        question.send(answer("yes"))
        return True
    return behave


def rollout(gateway, server, model, blue, green, patience_s=30, status=None, **settings):
    """Blue serves, green comes under traffic; the task at its end."""
    gateway.serve_blue(model)
    server.behaviours[f"{model}__r1"] = blue
    server.behaviours[f"{model}__r2"] = green
    with Callers(gateway.nginx.port, model, patience_s=patience_s):
        return gateway.wait(gateway.start_deployment(model, **settings), status=status)


def good(question):
    question.send(answer("yes"))
    return True


LIMITS = {"min_requests": 50, "max_error_rate": 0.05, "max_error_ratio_to_blue": 2}


def test_two_equally_good_revisions_change_places(gateway, server, m):
    task = rollout(gateway, server, m, failing(200), failing(200), status="completed",
                   steps=[{"weight": 30, "hold_s": 3}, {"weight": 100, "hold_s": 2}], gate=LIMITS, watch_s=1)
    gate = task["metadata"]["gate"]
    assert gate["verdict"] == "good" and gate["green"]["requests"] >= 50
    assert "its error share is at most " in gate["reason"] and 0 < gate["error_rate_at_most"] < 1
    division = task["metadata"]["plan"]["gate"]["false_alarm_of_each_hold"]
    assert set(division) == {"max_error_rate", "max_error_ratio_to_blue", "client_errors", "abandoned"}
    assert 3 * sum(division.values()) <= 0.01


@pytest.mark.parametrize("green", [failing(2), breaking_off], ids=["fails", "breaks off"])
def test_a_bad_one_goes_back_and_the_document_says_why(gateway, server, m, green):
    task = rollout(gateway, server, m, good, green, status="failed", steps=[{"weight": 20, "hold_s": 600}, {"weight": 100}], gate=LIMITS)
    gate = task["metadata"]["gate"]
    assert gate["verdict"] == "bad" and gate["lost"] == gate["green"]["failures"] >= 2
    assert "chance of this with a good green: below 1 in " in task["detail"], task["detail"]
    decided = [name for name, test in gate["evidence"].items() if test["decided"]]
    assert decided and all(gate["evidence"][name]["evidence"] >= gate["evidence"][name]["decides_at"] for name in decided)
    assert gate["green"]["requests"] < 1000


@pytest.mark.parametrize("limits", [{"max_p99_ms": 400}, {"max_error_rate": 0.05}], ids=["a limit of latency", "no limit of latency"])
def test_one_that_hangs_on_every_second_request_goes_back(gateway, server, m, limits):
    task = rollout(gateway, server, m, good, hanging(2), patience_s=0.5, status="failed",
                   steps=[{"weight": 50, "hold_s": 600}], gate={"min_requests": 20, **limits})
    gate = task["metadata"]["gate"]
    assert gate["verdict"] == "bad" and gate["green"]["failures"] == 0 and gate["green"]["abandoned"] > 0
    assert ("take longer than 400 ms" if "max_p99_ms" in limits else "give up on green") in task["detail"], task["detail"]


def test_a_task_that_goes_on_after_a_restart_has_less_to_spend(gateway, server, m):
    gateway.serve_blue(m)
    server.behaviours[f"{m}__r1"] = server.behaviours[f"{m}__r2"] = good
    task = gateway.start_deployment(m, steps=[{"weight": 50, "hold_s": 600}], gate=LIMITS)
    gateway.await_weight(task, 50)
    gateway.rolloutd.kill()
    gateway.rolloutd.start()
    gateway.await_link()
    server.behaviours[f"{m}__r2"] = failing(1)
    with Callers(gateway.nginx.port, m):
        task = gateway.wait(task, status="failed")
    spent = task["metadata"]["gate"]["evidence"]["max_error_rate"]["decides_at"]
    assert spent > 5 / task["metadata"]["plan"]["gate"]["false_alarm_of_each_hold"]["max_error_rate"]
