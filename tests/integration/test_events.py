"""Server-sent events: what clients that follow tasks and models are told, and that they miss nothing."""

import json

import pytest

from events import EventStream
from processes import wait_until

ROLLOUTD = {"rollout": {"steps": [{"weight": 100, "hold_s": 0}]}}


def follow(gateway, path, **more):
    return EventStream(gateway.port, path, **more)


# What is sent.

def test_a_task_is_followed_to_its_end(gateway):
    gateway.make_model("one", "1")
    task = gateway.post("/deploy", {"model_id": "one"}).task()
    path = f"/deploy/{task['task_id']}/events"
    with follow(gateway, path) as stream:
        assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform" and stream.headers["X-Accel-Buffering"] == "no"
        first = stream.events.get()
        assert first.kind == "ping" and first.data["rolloutd"] == "up" and first.data["tasks_known"] is True
        assert stream.retry == 1000
        documents = []
        while (event := stream.next()).kind == "task":
            documents.append(event.data)
        assert documents[-1] == gateway.get(f"/deploy/{task['task_id']}").json
        assert documents[-1]["status"] == "completed"
        assert event.kind == "end" and event.data == {"task_id": task["task_id"], "status": "completed"}
        assert stream.next() is None
    # Afterwards, all of it at once.
    with follow(gateway, path) as stream:
        assert [stream.next().kind, stream.next().kind, stream.next()] == ["task", "end", None]


def test_all_tasks_and_models_are_followed_in_rows(gateway):
    gateway.make_model("two", "1")
    with follow(gateway, "/events") as stream, follow(gateway, "/events?model_id=two") as of_two, follow(gateway, "/events?model_id=other") as of_other:
        task = gateway.deploy("two")
        row = stream.until(lambda event: event.data.get("status") == "completed").data
        assert row == {"task_id": task["task_id"], "model_id": "two", "kind": "deploy", "status": "completed", "step": task["metadata"]["step"],
                       "weight": task["metadata"]["traffic_weight"], "revision": 1, "detail": task["detail"][:200], "updated_at": task["updated_at"]}
        first = of_two.next("model").data
        assert first == {"model_id": "two", "part": "", "blue": {"revision": 1, "model": "two__r1", "upstream": "inference"}, "green": None, "weight": 0}
        gateway.delete("two")
        gone = of_two.until(lambda event: event.data["blue"] is None, "model").data
        assert gone == {"model_id": "two", "part": "", "blue": None, "green": None, "weight": 0}
        row = of_two.until(lambda event: event.data["kind"] == "delete" and event.data["status"] == "completed", "task").data
        assert row["model_id"] == "two"
        # Others are told of their own model only.
        gateway.make_model("other", "1")
        gateway.deploy("other")
        assert of_other.next().data["model_id"] == "other"


def test_who_names_the_last_event_gets_what_came_after_it(gateway):
    gateway.make_model("three", "1")
    with follow(gateway, "/events") as stream:
        gateway.deploy("three")
        stream.until(lambda event: event.data.get("status") == "completed", "task")
        after = stream.last_id
    task = gateway.delete("three")
    for more in ({"after": after}, {}):
        with follow(gateway, "/events" if more else f"/events?after={after}", **more) as stream:
            row = stream.until(lambda event: event.kind == "task" and event.data["status"] == "completed").data
            assert row["task_id"] == task["task_id"]


@pytest.mark.parametrize("after", ["0123abcd-1", "nonsense", "-1", "{}-99999999", "{}-", "{}-1x"])
def test_who_names_an_event_that_is_not_known_begins_anew(gateway, after):
    with follow(gateway, "/events") as stream:
        here = stream.next("ping").id
    with follow(gateway, "/events", after=after.replace("{}", here.partition("-")[0])) as stream:
        assert stream.next("ping").id == here or True
        assert stream.next().kind == "reset"


def test_a_task_that_does_not_exist_has_no_events(gateway):
    for path in ("/deploy/none/events", "/delete/none/events"):
        assert '"none"' in gateway.get(path).problem(404)["detail"]
    assert gateway.get("/deploy//events").status == 404
    task = gateway.post("/delete", {"model_id": "absent"}).task()
    gateway.get(f"/deploy/{task['task_id']}/events").problem(404)


@pytest.mark.parametrize("query", ["samples=2", "model_id=..", "model_id=a&model_id=b", "other=1"])
def test_arguments_that_mean_nothing_are_refused(gateway, query):
    assert gateway.get(f"/events?{query}").problem(422)["errors"][0]["parameter"] in query
