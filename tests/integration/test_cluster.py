"""Several hosts on one etcd: a task is accepted at any of them and found at any other, and one of them carries it out."""

import base64
import threading

import pytest
import requests

from ending import finish_hosts
from gateway import Client, Traffic
from hosts import Hosts
from processes import DEADLINE_S, wait_until

HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 100}]}


@pytest.fixture(scope="module")
def hosts(request):
    made = Hosts()
    try:
        yield made.start()
    finally:
        finish_hosts(request, made)


@pytest.fixture
def m(request):
    return request.node.name.partition("[")[0][5:60]


def held(at, m, **settings):
    at.serve_blue(m)
    task = at.start_deployment(m, **(settings or HELD))
    at.await_weight(task, 30)
    return task


def test_a_task_is_accepted_anywhere_and_found_everywhere(hosts, m):
    for number, host in enumerate(hosts):
        model = f"{m}_{number}"
        host.make_model(model, f"answer {number}")
        task = host.post("/deploy", {"model_id": model}).task()
        for other in hosts:
            assert other.get(f"/deploy/{task['task_id']}").task()["task_id"] == task["task_id"]
            assert other.get(f"/deploy-status/{model}").task()["task_id"] == task["task_id"]
        for other in hosts:
            other.wait(task, status="completed")
            wait_until(lambda other=other, model=model: other.infer(model), "the route")
            assert other.infer(model) == f"answer {number}"
            assert other.serving()[model] == 1


def test_an_id_is_one_task_wherever_it_is_posted(hosts, m):
    hosts[0].make_model(m, "x")
    body = {"task_id": f"{m}-1", "model_id": m}
    assert hosts[0].post("/deploy", body).status == 200
    assert hosts[1].post("/deploy", body).status == 200
    hosts[2].post("/deploy", {**body, "model_id": "another"}).problem(409)
    hosts[2].wait({"task_id": f"{m}-1"}, status="completed")
    assert [task["task_id"] for task in hosts[1].get(f"/deploy?model_id={m}").json["tasks"]] == [f"{m}-1"]


def test_posts_of_one_id_at_all_hosts_at_once_are_one_task(hosts, m):
    hosts[0].make_model(m, "x")
    for round in range(20):
        answers = {}

        def post(host, round=round, answers=answers):
            answers[host.name] = host.post("/delete", {"task_id": f"{m}-{round}", "model_id": f"{m}-{host.name}"})

        threads = [threading.Thread(target=post, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status for answer in answers.values()) == [200, 409, 409], answers
        first = next(answer.json for answer in answers.values() if answer.status == 200)
        for host in hosts:
            assert host.get(f"/delete/{m}-{round}").json["embedding_model_id"] == first["embedding_model_id"]


def test_a_verb_is_carried_out_wherever_it_is_asked_for(hosts, m):
    other = hosts.others()[0]
    task = held(other, m)
    for host in hosts:
        for verb, is_paused in (("pause", True), ("resume", False)):
            answer = host.request("POST", f"/deploy/{task['task_id']}/{verb}")
            assert answer.status == 200 and bool(answer.json["metadata"].get("paused")) is is_paused, answer
            assert bool(host.task(task)["metadata"].get("paused")) is is_paused
    assert "is not paused" in other.request("POST", f"/deploy/{task['task_id']}/resume").problem(409)["detail"]
    assert other.request("POST", f"/deploy/{task['task_id']}/cancel").status == 200
    for host in hosts:
        host.wait(task, status="canceled")
    answers = [other.request("POST", f"/deploy/{task['task_id']}/retry", headers={"Idempotency-Key": f"{m}-again"}).task() for _ in range(2)]
    assert answers[0]["task_id"] == answers[1]["task_id"] != task["task_id"]
    for host in hosts:
        assert host.task(answers[0])["parent_id"] == task["task_id"]
    other.request("POST", f"/deploy/{answers[0]['task_id']}/cancel").task()
    other.request("POST", "/deploy/nobody/cancel").problem(404)


def series_of(host, task):
    answer = host.get(f"/deploy/{task['task_id']}/series")
    assert answer.status == 200, answer
    return answer.json


def marks(series):
    return [mark["what"] for mark in series["marks"]]


def test_a_series_is_read_at_every_host_and_goes_on_with_the_next_leader(make_hosts, m):
    hosts = make_hosts().start()
    leader, (other, third) = hosts.leader(), hosts.others()
    task = held(other, m, steps=[{"weight": 30, "hold_s": 600}, {"weight": 100, "hold_s": 1}],
                gate={"min_requests": 5, "max_error_rate": 0.5})
    with Traffic(leader, m):
        for host in (leader, other, third):
            wait_until(lambda host=host: any(series_of(host, task)["green"]["requests"]), "points")
        before = series_of(third, task)
        assert marks(before)[0] == "weight" and before["model_id"] == m
        leader.rolloutd.kill()
    new = wait_until(lambda: next((host for host in (other, third) if host.leads()), None), "another leader")
    last = third if new is other else other
    with Traffic(new, m):
        wait_until(lambda: len(series_of(last, task)["second"]) > len(before["second"]), "points of the new leader")
        assert series_of(last, task)["from"] == before["from"]
        assert last.request("POST", f"/deploy/{task['task_id']}/promote").status == 200
        last.wait(task, status="completed")
    whole = wait_until(lambda: (there := series_of(last, task))["marks"] and marks(there)[-1] == "end" and there, "the end")
    leader.rolloutd.start()
    leader.await_link()
    for host in hosts:
        wait_until(lambda host=host: series_of(host, task) == whole, "the same series")


def test_the_next_one_goes_on_when_the_leader_is_killed_in_a_rollout(make_hosts, m):
    hosts = make_hosts().start()
    leader, (other, third) = hosts.leader(), hosts.others()
    task = held(other, m)
    with Traffic(other, m) as traffic:
        leader.rolloutd.kill()
        new = wait_until(lambda: next((host for host in (other, third) if host.leads()), None), "another leader")
        wait_until(lambda: new.request("POST", f"/deploy/{task['task_id']}/promote").status == 200, "the hold")
        third.wait(task, status="completed")
        traffic.await_answers("green")
    assert traffic.failures == []
    leader.rolloutd.start()
    leader.await_link()
    assert leader.task(task)["status"] == "completed"
    wait_until(lambda: leader.infer(m) == "green", "the route at the host that is back")
    assert hosts.leader() is new


def test_a_leader_that_stops_is_followed_at_once(make_hosts, m):
    hosts = make_hosts().start()
    for _ in range(3):
        leader = hosts.leader()
        other = hosts.others()[0]
        other.make_model(m, "x")
        task = other.post("/deploy", {"model_id": m}).task()
        assert leader.rolloutd.stop() == 0
        other.wait(task, status="completed")
        leader.rolloutd.start()
        leader.await_link()
        assert leader.task(task)["status"] == "completed"


def test_without_a_leader_tasks_are_accepted_and_wait(make_hosts, m):
    hosts = make_hosts(2, rolloutd={"journal": {"etcd": {"leader": False}}})
    hosts.etcd.start()
    hosts.inference.start()
    for host in hosts:
        host.start()
    hosts[0].make_model(m, "x")
    task = hosts[0].post("/deploy", {"model_id": m}).task()
    for host in hosts:
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "pending"
        assert Client(host.nginx.port).get("/readyz").status == 200
    assert hosts[1].request("POST", f"/deploy/{task['task_id']}/cancel").problem(503)
    hosts[1].rolloutd.config["journal"]["etcd"]["leader"] = True
    hosts[1].rolloutd.stop()
    hosts[1].rolloutd.start()
    hosts[0].wait(task, status="completed")


def test_while_etcd_is_away_what_is_known_is_served(make_hosts, m):
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "x")
    task = hosts[0].deploy(m)
    hosts[1].wait(task)
    wait_until(lambda: hosts[1].infer(m) == "x", "the route")
    hosts.etcd.kill()
    for host in hosts:
        assert host.infer(m) == "x"
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
        problem = host.post("/deploy", {"task_id": f"{m}-{host.name}", "model_id": m}).problem(500)
        assert problem["task_id"] == f"{m}-{host.name}"
    hosts.etcd.start_again()
    for host in hosts:
        other = hosts[0] if host is hosts[1] else hosts[1]
        wait_until(lambda host=host: host.post("/deploy", {"task_id": f"{m}-{host.name}", "model_id": m}).status == 200, "etcd")
        other.wait({"task_id": f"{m}-{host.name}"}, status="completed")


def test_a_host_that_starts_without_etcd_serves_what_it_knew(make_hosts, m):
    hosts = make_hosts(1).start()
    hosts[0].make_model(m, "x")
    task = hosts[0].deploy(m)
    hosts[0].stop()
    hosts.etcd.kill()
    hosts[0].rolloutd.start()
    hosts[0].nginx.start()
    wait_until(lambda: hosts[0].infer(m) == "x", "the route")
    assert hosts[0].get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
    hosts.etcd.start_again()
    wait_until(hosts.leader, "the leader")
    hosts[0].deploy(m)


def test_a_leader_of_an_etcd_of_its_own_compacts_it(make_hosts, m):
    hosts = make_hosts(2, rolloutd={"journal": {"etcd": {"compact_s": 1}}}).start()
    hosts[0].make_model(m, "x")
    task = hosts[0].deploy(m)
    asked = {"key": base64.b64encode(b"/rollout/default/s/meta").decode(), "revision": 2}

    def is_compacted():
        answer = requests.post(f"{hosts.etcd.members[0].url}/v3/kv/range", json=asked, timeout=DEADLINE_S)
        return answer.status_code != 200 and "compacted" in answer.text
    wait_until(is_compacted, "the compaction")
    assert hosts[1].task(task)["status"] == "completed"
    hosts[1].deploy(m)
    assert not [line for host in hosts for line in host.rolloutd.lines() if "compacted" in line["message"]]
