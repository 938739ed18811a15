"""A zone that is too small for all tasks: what its table has forgotten, and must not get wrong."""

from events import EventStream
from gateway import Client
from processes import LOCATIONS, wait_until


def test_an_older_task_that_comes_back_into_the_table_is_not_the_latest(make_gateway):
    """Both tasks of a model are driven out of the table, and the older one comes back by a change."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"zone": "256k"})
    gateway.start()
    older, latest = (gateway.post("/deploy", {"model_id": "m", "task_id": task_id}).task() for task_id in ("older", "latest"))
    client = Client(gateway.nginx.port, keep=True)
    for n in range(600):
        client.post("/deploy", {"model_id": f"other-{n}"}).task()
    assert "is full; its oldest tasks are answered by rolloutd" in gateway.nginx.errors()
    assert gateway.get("/deploy-status/m").task()["task_id"] == "latest"

    assert gateway.request("POST", "/deploy/older/cancel").task()["status"] == "canceled"
    assert gateway.get("/deploy-status/m").task()["task_id"] == "latest"


def test_after_a_restart_of_nginx_the_latest_task_is_the_latest(make_gateway):
    """The stream brings the tasks in the order of their last changes: the older one last."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}},
                           nginx={"zone": "256k", "locations": LOCATIONS + "location = /readyz { rollout_api; }"})
    gateway.start()
    for task_id in ("older", "latest"):
        gateway.post("/deploy", {"model_id": "m", "task_id": task_id}).task()
    gateway.request("POST", "/deploy/latest/cancel").task()
    client = Client(gateway.nginx.port, keep=True)
    for n in range(600):
        client.post("/deploy", {"model_id": f"other-{n}"}).task()
    gateway.request("POST", "/deploy/older/cancel").task()
    gateway.nginx.stop()
    gateway.nginx.start()
    wait_until(lambda: gateway.get("/readyz").status == 200, "all tasks")
    assert gateway.get("/deploy-status/m").task()["task_id"] == "latest"


def test_a_verb_with_the_etag_of_a_task_that_is_not_in_the_table_is_taken(make_gateway):
    """rolloutd has that task, and so has to compare the ETag that the client has got with its document."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"zone": "256k"})
    gateway.start()
    gateway.post("/deploy", {"model_id": "m", "task_id": "evicted"}).task()
    client = Client(gateway.nginx.port, keep=True)
    for n in range(600):
        client.post("/deploy", {"model_id": f"other-{n}"}).task()
    assert "is full; its oldest tasks are answered by rolloutd" in gateway.nginx.errors()

    etag = gateway.get("/deploy/evicted").headers["ETag"]
    assert gateway.get("/deploy/evicted", If_Match=etag).status == 200
    for other in ('"x"', f"W/{etag}", etag.replace("-", "-1")):
        gateway.request("POST", "/deploy/evicted/cancel", headers={"If-Match": other}).problem(412)
    gateway.request("POST", "/deploy/no-such-task/cancel", headers={"If-Match": etag}).problem(404)
    assert gateway.request("POST", "/deploy/evicted/cancel", headers={"If-Match": f'"x", {etag}'}).task()["status"] == "canceled"
    gateway.request("POST", "/deploy/evicted/retry", headers={"If-Match": etag}).problem(412)


def test_who_follows_a_task_that_ends_and_is_evicted_at_once_is_told_its_end(make_gateway):
    """A table full of waiting tasks: a final one is the first to go, before its events are sent."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"zone": "256k"})
    gateway.start()
    client = Client(gateway.nginx.port, keep=True)
    for n in range(600):
        client.post("/deploy", {"model_id": f"other-{n}"}).task()
    assert "is full; its oldest tasks are answered by rolloutd" in gateway.nginx.errors()
    for n in range(10):
        client.post("/deploy", {"model_id": f"followed-{n}", "task_id": f"followed-{n}"}).task()
        path = f"/deploy/followed-{n}/events"
        with EventStream(gateway.port, path) as stream:
            assert stream.next("task").data["status"] == "pending"
            client.request("POST", f"/deploy/followed-{n}/cancel").task()
            client.post("/deploy", {"model_id": f"another-{n}"}).task()
            seen = list(iter(stream.next, None))
        if not any(event.kind == "end" for event in seen):  # as EventSource does
            with EventStream(gateway.port, path, after=stream.last_id) as stream:
                seen += iter(stream.next, None)
        assert [event.data["status"] for event in seen if event.kind in ("task", "end")] == ["canceled", "canceled"]


def test_who_goes_on_following_a_task_that_is_not_in_the_table_gets_it_as_it_is(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"zone": "256k"})
    gateway.start()
    gateway.post("/deploy", {"model_id": "m", "task_id": "evicted"}).task()
    with EventStream(gateway.port, "/deploy/evicted/events") as stream:
        assert stream.next("task").data["status"] == "pending"
    client = Client(gateway.nginx.port, keep=True)
    for n in range(600):
        client.post("/deploy", {"model_id": f"other-{n}"}).task()
    head = EventStream(gateway.port, "/events")
    after = head.next("ping").id
    head.close()
    for which in (stream.last_id, after):  # which the ring does not have any more, and which it has
        with EventStream(gateway.port, "/deploy/evicted/events", after=which) as again:
            assert again.next("task").data["status"] == "pending"
