"""Reloads, upgrades, restarts and deaths of nginx and of rolloutd: what clients see meanwhile, and what is there afterwards."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess

import pytest

import link
from gateway import Client, Traffic
from processes import DEADLINE_S, LOCATIONS, ROLLOUTD, Nginx, alive, wait_until

HELD = {"limits": {"max_concurrent_rollouts": 0}}
HEALTH = "location = /healthz { rollout_api; }"


@pytest.fixture
def served(make_gateway):
    """A gateway with one model deployed."""
    gateway = make_gateway()
    gateway.start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    return gateway


def post_many(gateway, count, prefix="t", threads=8):
    """Posts deletion tasks with ids of ours, and returns the ids."""
    ids = [f"{prefix}-{n}" for n in range(count)]

    def post(part):
        client = Client(gateway.nginx.port, keep=True)
        for task_id in part:
            client.post("/delete", {"model_id": f"model-{task_id}", "task_id": task_id}).task()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(post, ids[n::threads]) for n in range(threads)]:
            done.result()
    return ids


def connections_to(port):
    """Open connections of clients to a port of the loopback interface."""
    rows = (row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[1] == f"0100007F:{port:04X}" and row[3] == "01" for row in rows)


# rolloutd away.

def test_with_rolloutd_stopped_reads_and_routing_go_on(served):
    task = served.get("/deploy-status/m").task()
    served.rolloutd.stop()
    assert served.infer("m") == "first"
    assert served.get(f"/deploy/{task['task_id']}").task() == task
    served.get("/deploy/nothing").problem(404)
    served.get("/v2/models/nothing/ready").problem(404)

    problem = served.post("/deploy", {"model_id": "m", "task_id": "mine"}).problem(500)
    assert problem["task_id"] == "mine"
    assert "rolloutd" in problem["detail"] and "GET /deploy/mine" in problem["detail"] and "same task_id" in problem["detail"]
    assert served.post("/delete", {"model_id": "m"}).problem(500)["task_id"]

    served.rolloutd.start()
    wait_until(lambda: served.post("/deploy", {"model_id": "m", "task_id": "mine"}).status == 200, "posts")
    served.wait({"task_id": "mine"}, status="completed")
    assert served.infer("m") == "first"


def test_that_rolloutd_is_away_is_said_once_by_each_process(served):
    served.rolloutd.stop()
    path = served.rolloutd.socket
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(path))
        path.chmod(0o666)
        nobody.listen(16)
        nobody.settimeout(DEADLINE_S)
        for _ in range(10):  # attempts of each of them
            nobody.accept()[0].close()
    said = re.findall(r"\[(?:warn|error)\] (\d+)#\d+:.* rollout: ", served.nginx.errors())
    assert sorted(map(int, said)) == sorted(served.nginx.worker_pids()), served.nginx.errors()
    path.unlink()


def test_a_post_that_rolloutd_never_answers_is_500_and_then_found(served):
    served.nginx.write(worker_arguments=" ack_timeout=300ms")
    served.nginx.reload()
    served.await_link()
    served.rolloutd.send_signal(signal.SIGSTOP)
    try:
        problem = served.post("/deploy", {"model_id": "m", "task_id": "late"}).problem(500)
        assert problem["task_id"] == "late" and "did not confirm" in problem["detail"]
        answer = served.get("/deploy/late")  # it may exist: nobody may say that it does not
        answer.problem(503)
        assert answer.headers["Retry-After"]
    finally:
        served.rolloutd.send_signal(signal.SIGCONT)
    wait_until(lambda: served.get("/deploy/late").status == 200, "the task")
    served.wait({"task_id": "late"}, status="completed")


def test_a_task_that_is_durable_when_rolloutd_is_stopped_is_answered(make_gateway):
    """SIGTERM in the middle of many posts: those that came too late are 500, and there are no such tasks."""
    gateway = make_gateway(rolloutd=HELD)
    gateway.start()
    unconfirmed = []

    def post(number):
        client = Client(gateway.nginx.port, keep=True)
        for task_id in (f"{number}-{n}" for n in range(10**6)):
            answer = client.post("/deploy", {"model_id": f"model-{task_id}", "task_id": task_id})
            if answer.status != 200:
                unconfirmed.append(answer.problem(500)["task_id"])
                return

    for stops in range(1, 6):
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            done = [pool.submit(post, f"t{stops}-{n}") for n in range(24)]
            wait_until(lambda: gateway.get(f"/deploy/t{stops}-0-5").status == 200 or any(one.done() for one in done), "posts")  # noqa: B023
            assert gateway.rolloutd.stop() == 0
            for one in done:
                one.result(DEADLINE_S)
        gateway.rolloutd.start()
        gateway.await_link()
    assert len(unconfirmed) == 5 * 24
    assert [task_id for task_id in unconfirmed if gateway.get(f"/deploy/{task_id}").status != 404] == []


def test_a_post_is_repeated_after_a_restart_with_a_configuration_that_would_refuse_it(make_gateway):
    """The task is there: who was told nothing of it, and posts it again as advised, must find it."""
    gateway = make_gateway(rolloutd=HELD)
    backends = gateway.rolloutd.config["backends"]
    backends["program"] = {"type": "command", "command": ["/bin/true"], "upstream": "inference", "staging": str(gateway.home / "staging")}
    gateway.start()
    body = {"model_id": "m", "task_id": "again", "config": {"backend": "program"}}
    task = gateway.post("/deploy", body).task()
    gateway.rolloutd.stop()
    del backends["program"]
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.post("/deploy", body).task()["task_id"] == task["task_id"]
    gateway.post("/deploy", {**body, "model_id": "other"}).problem(409)
    assert gateway.post("/deploy", {**body, "task_id": "new"}).problem(422)["errors"][0]["pointer"] == "/config/backend"


def test_a_gateway_that_has_never_met_rolloutd_says_so(make_gateway):
    gateway = make_gateway()
    gateway.inference.start()
    gateway.nginx.start()
    for path in ("/deploy/x", "/deploy-status/x", "/delete/x", "/v2/models/x/ready"):
        answer = gateway.get(path)
        answer.problem(503)
        assert answer.headers["Retry-After"] == "1"
    gateway.post("/deploy", {"model_id": "x"}).problem(500)
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.get("/v2/models/x/ready").problem(404)


def test_a_waiting_client_survives_rolloutds_restart(served):
    served.make_model("m", "second")
    served.set_faults({"kind": "slow_load", "ms": 60000})
    task = served.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: served.get(f"/deploy/{task['task_id']}").json["metadata"]["step"] == "load", "the load")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.get, f"/deploy/{task['task_id']}?wait=60")
        served.rolloutd.kill()
        served.rolloutd.start()
        served.server.request("DELETE", "/test/faults")
        assert waiting.result(DEADLINE_S).task()["status"] == "completed"
    assert served.infer("m") == "second"


def test_two_rolloutd_do_not_share_a_journal_or_a_socket(served):
    second = subprocess.run([ROLLOUTD, "--config", served.rolloutd.config_file], capture_output=True, text=True, timeout=DEADLINE_S)
    assert second.returncode == 1
    assert "another rolloutd uses the journal" in second.stderr
    assert served.infer("m") == "first"
    served.post("/deploy", {"model_id": "m", "task_id": "still-there"}).task()


# nginx away.

def test_after_a_restart_of_nginx_every_task_answers_again(make_gateway):
    gateway = make_gateway(rolloutd=HELD, nginx={"zone": "64m"})
    gateway.start()
    ids = post_many(gateway, 10_000)
    before = {task_id: gateway.get(f"/delete/{task_id}").body for task_id in ids[::100]}
    gateway.nginx.stop(signal.SIGQUIT)
    (gateway.home / "error.log").unlink()
    gateway.nginx.start()
    # Nobody asks for anything, and what is answered then comes from the table.
    wait_until(lambda: "holds all tasks of rolloutd's journal, 10000" in gateway.nginx.errors(), "the table")
    gateway.rolloutd.stop()
    client = Client(gateway.nginx.port, keep=True)
    assert all(client.get(f"/delete/{task_id}").status == 200 for task_id in ids)
    assert {task_id: client.get(f"/delete/{task_id}").body for task_id in before} == before


def test_after_kill_9_of_nginx_models_are_served_again(served):
    workers = served.nginx.worker_pids()
    served.nginx.kill()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not served.nginx.accepts(), "the end of nginx")
    served.nginx.start()
    served.await_link()
    assert served.infer("m") == "first"
    served.make_model("m", "second")
    served.deploy("m")
    assert served.infer("m") == "second"


def test_a_reload_fails_no_request_and_the_old_processes_end(served):
    old = served.nginx.worker_pids()
    with Traffic(served, "m") as traffic:
        for revision in range(2):
            traffic.await_answers("first")
            served.nginx.reload()
        task = served.deploy("m")
        assert task["metadata"]["revision"] == 2
        traffic.await_answers("first")
    assert traffic.failures == []
    wait_until(lambda: not any(alive(pid) for pid in old), "the end of the old worker processes")


def test_a_client_that_waits_does_not_keep_an_old_process_alive(make_gateway):
    gateway = make_gateway(rolloutd=HELD)
    gateway.start()
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    old = gateway.nginx.worker_pids()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.get, f"/deploy/{task['task_id']}?wait=300")
        wait_until(lambda: connections_to(gateway.nginx.port) == 1, "the request")
        gateway.nginx.reload()
        assert waiting.result(DEADLINE_S).task() == task
    wait_until(lambda: not any(alive(pid) for pid in old), "the end of the old worker processes")


def test_a_reload_may_resize_the_zone(served):
    task = served.get("/deploy-status/m").task()
    served.nginx.write(zone="16m")
    with Traffic(served, "m", clients=1) as traffic:
        served.nginx.reload()
        served.await_link()
        assert served.get(f"/deploy/{task['task_id']}").task() == task
        served.make_model("m", "second")
        served.deploy("m")
        traffic.await_answers("second")
    assert served.infer("m") == "second"


def test_a_faulty_configuration_leaves_the_old_one_in_force(served):
    served.nginx.write(zone="8m state=")
    served.nginx.send_signal(signal.SIGHUP)
    wait_until(lambda: "invalid parameter \"state=\"" in served.nginx.errors(), "the refusal")
    served.expected_alerts = ["invalid parameter \"state=\""]
    assert served.infer("m") == "first"
    served.post("/deploy", {"model_id": "m"}).task()


def ask(port, model):
    """Sends an inference and leaves the answer to be read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": []}), {"Content-Type": "application/json"})
    return connection


def test_a_request_that_comes_before_the_routes_waits_for_them(make_gateway):
    gateway = make_gateway(nginx={"workers": 1, "worker_arguments": "ack_timeout=60s", "locations": LOCATIONS + HEALTH}).start()
    gateway.make_model("m", "hello")
    gateway.deploy("m")
    gateway.nginx.stop()
    gateway.rolloutd.send_signal(signal.SIGSTOP)  # its socket takes connections
    gateway.nginx.start()
    held = [ask(gateway.port, model) for model in ("m", "m", "nobody")]
    assert gateway.get("/healthz").status == 200  # the worker process has seen those before it
    assert select.select([one.sock for one in held], [], [], 0)[0] == []
    gateway.rolloutd.send_signal(signal.SIGCONT)
    answers = [one.getresponse() for one in held]
    assert [answer.status for answer in answers] == [200, 200, 404]
    assert [b"hello" in answer.read() for answer in answers] == [True, True, False]


def test_a_request_waits_for_routes_no_longer_than_ack_timeout_and_not_at_all_without_rolloutd(make_gateway):
    gateway = make_gateway(nginx={"workers": 1, "worker_arguments": "ack_timeout=300ms"}).start()
    gateway.nginx.stop()
    gateway.rolloutd.send_signal(signal.SIGSTOP)
    gateway.nginx.start()
    assert "has not yet received" in gateway.post("/v2/models/m/infer", {}).problem(503)["detail"]
    gateway.rolloutd.send_signal(signal.SIGCONT)
    gateway.await_link()
    assert gateway.post("/v2/models/m/infer", {}).problem(404)

    gateway.nginx.stop()
    gateway.rolloutd.stop()
    gateway.nginx.start(worker_arguments=" ack_timeout=3600s")
    wait_until(lambda: "keeps routing and serving reads" in gateway.nginx.errors(), "the first attempt")
    assert "has not yet received" in gateway.post("/v2/models/m/infer", {}).problem(503)["detail"]


def test_a_client_that_goes_while_its_request_is_held_is_let_go(make_gateway):
    gateway = make_gateway(nginx={"workers": 1, "worker_arguments": "ack_timeout=3600s", "locations": LOCATIONS + HEALTH}).start()
    gateway.nginx.stop()
    gateway.rolloutd.send_signal(signal.SIGSTOP)
    gateway.nginx.start()
    for _ in range(20):
        ask(gateway.port, "m").close()
    wait_until(lambda: (gateway.home / "access.log").read_text().count("/v2/models/m/infer 499") == 20, "the requests' ends in the log")
    gateway.rolloutd.send_signal(signal.SIGCONT)
    gateway.await_link()


def test_a_binary_upgrade_fails_no_request(make_gateway):
    gateway = make_gateway(daemon=True).start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    with Traffic(gateway, "m") as traffic:
        old, _ = gateway.nginx.upgrade()
        gateway.await_link()
        # Two gateways stand side by side, and both follow a deployment.
        gateway.make_model("m", "second")
        gateway.deploy("m")
        traffic.await_answers("second")
        for _ in range(20):
            assert gateway.infer("m") == "second"
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not alive(old), "the end of the old nginx")
        traffic.await_answers("second")
    assert traffic.failures == []
    gateway.make_model("m", "third")
    gateway.deploy("m")
    assert gateway.infer("m") == "third"


def test_beside_another_gateway_a_task_that_is_not_in_the_table_is_asked_for(make_gateway, tmp_path_factory):
    """A client is answered by one, and may read from the other before that has heard of the task."""
    gateway = make_gateway(nginx={"worker_arguments": "ack_timeout=300ms"}).start()
    home = tmp_path_factory.mktemp("other")
    home.chmod(0o755)
    other = Nginx(home, gateway.inference.port, worker_arguments="ack_timeout=300ms")
    other.pieces["socket"] = gateway.rolloutd.socket

    def without_an_answer_of_rolloutds():
        gateway.rolloutd.send_signal(signal.SIGSTOP)
        try:
            return gateway.get("/deploy/nobody").status
        finally:
            gateway.rolloutd.send_signal(signal.SIGCONT)

    assert without_an_answer_of_rolloutds() == 404
    other.start()
    try:
        wait_until(lambda: other.linked(gateway.rolloutd), "the other gateway's links")
        wait_until(lambda: without_an_answer_of_rolloutds() == 503, "the doubt")
        gateway.get("/deploy/nobody").problem(404)
        Client(other.port).get("/deploy/nobody").problem(404)
        gateway.make_model("m", "first")
        task = gateway.deploy("m")
        assert Client(other.port).get("/deploy-status/m").task() == task
    finally:
        other.stop()
    wait_until(lambda: without_an_answer_of_rolloutds() == 404, "certainty")


def test_a_killed_worker_process_leaves_the_table_whole(make_gateway):
    gateway = make_gateway(rolloutd=HELD)
    gateway.start()
    answered = []
    stop = []

    def post(name):
        n = 0
        while not stop:
            task_id = f"{name}-{n}"
            n += 1
            try:
                if Client(gateway.nginx.port).post("/delete", {"model_id": "m", "task_id": task_id}).status == 200:
                    answered.append(task_id)
            except OSError:
                pass
            except Exception as error:  # an answer cut off by a killed process
                assert "RemoteDisconnected" in repr(error) or "IncompleteRead" in repr(error) or "BadStatusLine" in repr(error), error

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(post, f"p{n}") for n in range(4)]
        try:
            for _ in range(8):
                count = len(answered)
                wait_until(lambda: len(answered) > count + 20, "more tasks")
                pids = wait_until(lambda: gateway.nginx.worker_pids(), "worker processes")
                os.kill(pids[0], signal.SIGKILL)
        finally:
            stop.append(True)
        for done in running:
            done.result(DEADLINE_S)
    gateway.expected_alerts = ["exited on signal 9", "was locked by"]
    wait_until(lambda: len(gateway.nginx.worker_pids()) == 2, "new worker processes")
    gateway.await_link()
    client = Client(gateway.nginx.port, keep=True)
    missing = [task_id for task_id in answered if client.get(f"/delete/{task_id}").status != 200]
    assert missing == []


def test_a_full_zone_still_answers_every_task(make_gateway):
    """The oldest tasks go from memory, never from the journal: rolloutd is asked for them."""
    gateway = make_gateway(nginx={"zone": "256k"})
    gateway.start()
    ids = post_many(gateway, 600)
    for task_id in ids[::7]:
        assert gateway.wait({"task_id": task_id}, "delete")["status"] == "refused"
        assert gateway.get(f"/delete-status/model-{task_id}").task()["task_id"] == task_id
    assert "is full; its oldest tasks are answered by rolloutd" in gateway.nginx.errors()
    gateway.get("/delete/nothing").problem(404)
    # An old one that is posted again is not its model's latest.
    newer = gateway.wait(gateway.post("/delete", {"model_id": "model-t-0"}).task(), "delete")
    assert gateway.post("/delete", {"model_id": "model-t-0", "task_id": "t-0"}).task()["task_id"] == "t-0"
    assert gateway.get("/delete-status/model-t-0").task() == newer
    gateway.rolloutd.stop()
    gateway.get("/delete/nothing").problem(503)


# The state file.

def test_with_a_state_file_nginx_routes_before_rolloutd_is_there(make_gateway):
    gateway = make_gateway()
    folder = gateway.home / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    gateway.nginx.write(zone=f"8m state={folder}/routes.json")
    gateway.inference.start()
    gateway.rolloutd.start()
    gateway.nginx.start()
    gateway.await_link()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    gateway.rolloutd.stop()
    gateway.nginx.stop(signal.SIGQUIT)
    gateway.nginx.start()
    assert gateway.infer("m") == "first"
    gateway.get("/v2/models/other/ready").problem(404)
    gateway.get("/deploy-status/m").problem(503)  # the tasks are not in that file

    gateway.nginx.stop(signal.SIGQUIT)
    (folder / "routes.json").write_text('{"format": "something else"}')
    gateway.nginx.start()
    gateway.get("/v2/models/m/ready").problem(503)
    assert "is ignored: it is not a state file of this module" in gateway.nginx.errors()
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.infer("m") == "first"


def test_another_journal_is_another_world(served):
    """The journal is gone: the gateway forgets what it had of it, and routes on by what it knows until it hears."""
    task = served.get("/deploy-status/m").task()
    served.rolloutd.stop()
    for file in served.home.glob("journal.db*"):
        file.unlink()
    served.rolloutd.start()
    served.await_link()
    served.get(f"/deploy/{task['task_id']}").problem(404)
    served.get("/v2/models/m/ready").problem(404)


def task_ids_in(update):
    return {line.split(" ", 5)[4] for line in update.get("lines", [])}


def test_a_gateway_that_knows_more_than_the_journal_is_told_all_anew(make_gateway):
    """The journal looks restored from a backup: its revisions are given again, to others."""
    rolloutd = make_gateway(rolloutd=HELD).rolloutd
    copy = rolloutd.journal.with_suffix(".copy")

    def create(*ids):
        """These tasks; what the journal is then, as the gateways hear of it."""
        peer = link.Gateway(rolloutd.socket)
        for number, task_id in enumerate(ids):
            peer.send(link.submission(number, task_id=task_id, model_id=task_id))
            assert peer.receive_type("accepted")
        peer.send({"type": "bye"})
        peer.close()
        peer = link.Gateway(rolloutd.socket)
        welcome = peer.receive_type("welcome")
        peer.close()
        return welcome

    rolloutd.start()
    create("before")
    rolloutd.stop()
    shutil.copy(rolloutd.journal, copy)
    rolloutd.start()
    known = create("lost-1", "lost-2", "lost-3")
    rolloutd.stop()
    shutil.copy(copy, rolloutd.journal)
    rolloutd.start()
    since = len(rolloutd.text())
    now = create("after")
    assert now["journal"] == known["journal"] and now["revision"] < known["revision"]

    for name in ("one", "other"):
        peer = link.Gateway(rolloutd.socket, hello=False)
        peer.send({"type": "hello", "protocol": link.PROTOCOL, "pid": 1, "gateway": name, "journal": known["journal"], "revision": known["revision"]})
        assert peer.receive_type("welcome")["revision"] == now["revision"]
        told = set()
        while not told >= {"before", "after"}:
            told |= task_ids_in(peer.receive_type("update"))
        assert told == {"before", "after"}
        peer.close()
    assert len([line for line in rolloutd.lines(since) if "is ahead of this journal" in line["message"]]) == 1
