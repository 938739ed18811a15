"""nginx without memory: each allocation of each kind of request fails once, and then all after it do, n upward until none fails."""

import http.client
import itertools
import json

import pytest

import description
from failing_calls import failing, failing_library  # noqa: F401
from gateway import Answer, Client
from processes import DEADLINE_S, MODULE, wait_until

ALERTS = ("malloc(", "posix_memalign(", "memalign(", "Cannot allocate memory")


def first_event(client, path):
    """The answer up to its first event; the stream goes on until this client goes."""
    connection = client.connect(DEADLINE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read() if answer.status != 200 else b""
        while answer.status == 200 and not body.endswith(b"\n\n"):
            line = answer.readline()
            if not line:
                raise http.client.IncompleteRead(body)
            body += line
        return Answer(answer.status, answer.headers, body)
    finally:
        connection.close()


# Each is made once and must go well, then again and again with one allocation less.
REQUESTS = {
    "a body that is wrong": lambda client, n: client.post("/deploy", {"model_id": 5, "config": []}),
    "a task": lambda client, n: client.get("/deploy/there"),
    "a task that rolloutd is asked for": lambda client, n: client.get("/deploy/there?wait=0"),
    "a model's latest task": lambda client, n: client.get("/deploy-status/m"),
    "no such task": lambda client, n: client.get("/deploy/nothing"),
    "a list": lambda client, n: client.get("/deploy?limit=3"),
    "the models": lambda client, n: client.get("/models"),
    "the events of a task": lambda client, n: client.get("/deploy/there/events"),
    "the events of all": lambda client, n: first_event(client, "/events?model_id=m&samples=1"),
    "a word to a task": lambda client, n: client.request("POST", "/deploy/there/cancel"),
    "an inference": lambda client, n: client.post("/v2/models/m/infer", {"inputs": []}, X_User="somebody"),
    "an unknown model": lambda client, n: client.get("/v2/models/nobody/ready"),
    "a deployment": lambda client, n: client.post("/deploy", {"model_id": "held", "task_id": f"d{n}", "config": {"a": ["b", {"c": "d"}]}}),
    "a deletion": lambda client, n: client.post("/delete", {"model_id": "held", "task_id": f"x{n}"}),
}
MOST = 2000


@pytest.fixture
def starved(make_gateway, failing):  # noqa: F811
    """A gateway with one worker process, whose allocations can fail. A request's pool is so small that most of what is taken from it
    is an allocation."""
    gateway = make_gateway(nginx={"workers": 1, "http": "request_pool_size 256;"}, rolloutd={"backends": {"default": {"check_s": 0}}})
    gateway.expected_alerts = ALERTS
    gateway.nginx.environment = failing.environment(MODULE, "detect_leaks=0:quarantine_size_mb=1")
    gateway.start()
    description.forget(gateway.nginx)  # without memory, nginx answers by itself
    gateway.make_model("m", "first")
    gateway.deploy("m")
    gateway.post("/deploy", {"model_id": "m", "task_id": "there"}).task()
    gateway.wait({"task_id": "there"})
    return gateway


def steps(all_after):
    """How many allocations succeed: each number, or, where each attempt ends the link as well, ever larger ones."""
    left = 0
    while left < MOST:
        yield left
        left += 1 + (left // 8 if all_after else 0)


def attempt(client, request, number):
    """The answer, or None where the connection ended without one: a client can tell that nothing was confirmed."""
    try:
        return request(client, number)
    except (http.client.HTTPException, OSError):
        return None


def well_formed(answer, nginx):
    """JSON, unless it is nginx's own page for its own failure: a 502 if its memory was out while it passed the request on."""
    if answer.headers.get("Content-Type", "").endswith("json"):
        try:
            json.loads(answer.body)
        except ValueError:
            pytest.fail(f"a torn document: {answer}")
    elif answer.headers.get("Content-Type") == "text/event-stream":
        assert answer.status == 200 and answer.body.endswith(b"\n\n"), answer
    elif answer.status == 502:
        last = [line for line in nginx.errors().splitlines() if "failed (12: Cannot allocate memory)" in line][-1]
        assert "while sending request to upstream" in last, (answer, last)
    else:
        assert answer.status in (500, 503), answer


@pytest.mark.parametrize("all_after", [False, True], ids=["one fails", "all after it fail"])
def test_no_allocation_that_fails_hurts_more_than_its_request(starved, failing, all_after):  # noqa: F811
    starved.rolloutd.stop()
    starved.rolloutd.config["limits"] = {"max_concurrent_rollouts": 0}  # what is posted stays as it is
    starved.rolloutd.start()
    starved.await_link()
    (worker,) = starved.nginx.worker_pids()
    client = Client(starved.nginx.port)
    failing.memory_pid, failing.memory_on = 0, int(all_after)
    numbers = itertools.count()
    confirmed, counts = [], {}
    for name, request in REQUESTS.items():
        good = request(client, next(numbers))
        for left in steps(all_after):
            failing.failed, failing.memory_left, failing.memory_pid = 0, left, worker
            number = next(numbers)
            answer = attempt(client, request, number)
            failing.memory_pid = 0
            if answer is None:
                assert starved.nginx.worker_pids() == [worker], f"{name}: the {left + 1}th allocation failed, and the process died"
            else:
                well_formed(answer, starved.nginx)
                assert answer.status != 404 or good.status == 404, f"{name}: what exists was not found: {answer}"
                if answer.status == 200 and name in ("a deployment", "a deletion"):
                    confirmed.append((answer.json["task_id"], "deploy" if name == "a deployment" else "delete"))
            if all_after and (answer is None or answer.status >= 500):  # the link may have ended: it is made and filled again
                wait_until(lambda: starved.get("/models").status == 200, "the link")
            if failing.failed == 0:
                assert answer.status == good.status, (name, answer)
                break
        else:
            pytest.fail(f"{name} takes more than {MOST} allocations")
        counts[name] = left
        assert starved.nginx.worker_pids() == [worker], name
        wait_until(lambda: starved.get("/models").status == 200, "the link")
        assert request(client, next(numbers)).status == good.status
    assert all(counts[name] > 0 for name in ("a deployment", "an inference", "a list")), counts
    for task_id, kind in confirmed:
        assert starved.get(f"/{kind}/{task_id}").task()["task_id"] == task_id
    assert starved.infer("m") == "first"


@pytest.mark.parametrize("all_after", [False, True], ids=["one fails", "all after it fail"])
def test_a_link_without_memory_is_made_again(starved, failing, all_after):  # noqa: F811
    """Updates, routes and the answers to rolloutd's questions: a deployment goes through whatever fails on the way."""
    (worker,) = starved.nginx.worker_pids()
    failing.memory_on = int(all_after)
    for left in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144):
        starved.make_model("m", f"answer {left}")
        failing.failed, failing.memory_left, failing.memory_pid = 0, left, 0
        task = starved.start_deployment("m")
        failing.memory_pid = worker
        wait_until(lambda: failing.failed > 0 or starved_is_done(starved, task), "an allocation to fail")
        failing.memory_pid = 0
        starved.wait(task, status="completed")
        assert starved.infer("m") == f"answer {left}"
        assert starved.nginx.worker_pids() == [worker]
    starved.await_link()


def starved_is_done(gateway, task):
    """As the inference server sees it: a read through nginx would take memory too."""
    return any(call["path"].endswith("/unload") for call in gateway.server.get("/test/calls").json[-4:])


def test_the_smallest_zone_holds_what_it_can_and_asks_rolloutd_for_the_rest(make_gateway):
    """128k: a few hundred tasks, and routes before tasks."""
    gateway = make_gateway(nginx={"zone": "128k", "workers": 1}, rolloutd={"limits": {"max_concurrent_rollouts": 4}}).start()
    gateway.expected_alerts = ("is too small",)
    for number in range(3):
        gateway.make_model(f"m{number}", f"answer {number}")
        gateway.deploy(f"m{number}")
    client = Client(gateway.nginx.port, keep=True)
    for number in range(300):
        client.post("/delete", {"model_id": f"no-{number}", "task_id": f"t{number}", "note": "x" * 2000}).task()
    for number in range(300):
        wait_until(lambda: client.get(f"/delete/t{number}").task()["status"] == "refused", "the end")
    for number in range(3):
        assert gateway.infer(f"m{number}") == f"answer {number}"
    gateway.get("/delete/nothing").problem(404)
    gateway.make_model("m0", "next")
    gateway.deploy("m0")
    assert gateway.infer("m0") == "next"
