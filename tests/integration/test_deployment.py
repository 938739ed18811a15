"""Deployments and deletions with the real nginx and rolloutd: what a client of the model sees, what stands on the server, and
what the task says when something fails."""

import hashlib
import json
import os
import zipfile

import pytest

from gateway import Client, Gateway, Traffic, answer_of
from processes import ROOT, wait_until

ROLLOUTD = {"limits": {"retries": 2}}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(gateway):
    """Every test starts without faults and ends without a model, a file, or a file touched too early."""
    yield
    gateway.set_faults()
    for entry in gateway.server.post("/v2/repository/index", {}).json:
        model = entry["name"].partition("__")[0]
        gateway.wait(gateway.post("/delete", {"model_id": model}).task(), "delete")
    assert gateway.loaded() == [] and gateway.files() == []
    assert gateway.violations() == []


def step(task, name):
    return next(step for step in task["metadata"]["steps"] if step["name"] == name)


# The way it should go.

def test_a_model_is_deployed_replaced_and_deleted(gateway):
    gateway.make_model("m", "first")
    task = gateway.deploy("m")
    assert task["metadata"]["revision"] == 1 and task["metadata"]["progress"] == 1 and task["metadata"]["traffic_weight"] == 100
    assert [(step["name"], step["state"]) for step in task["metadata"]["steps"]] == [
        ("fetch", "done"), ("stage", "done"), ("load", "done"), ("ready", "done"), ("smoke", "skipped"), ("shift", "done"),
        ("promote", "done"), ("retire", "done")]
    assert all(step["attempts"] == 1 and step["started_at"] <= step["ended_at"]
               for step in task["metadata"]["steps"] if step["state"] == "done")
    assert gateway.infer("m") == "first"
    assert gateway.last.headers["X-Rollout-Revision"] == "1" and gateway.last.headers["X-Rollout-Slot"] == "blue"
    assert gateway.loaded() == [gateway.last.headers["X-Rollout-Model"]] == gateway.files() == ["m__r1"]

    gateway.make_model("m", "second")
    task = gateway.deploy("m")
    assert task["metadata"]["revision"] == 2
    assert gateway.infer("m") == "second"
    assert gateway.loaded() == gateway.files() == ["m__r2"]

    task = gateway.delete("m")
    assert [(step["name"], step["state"]) for step in task["metadata"]["steps"]] == [
        ("unroute", "done"), ("drain", "done"), ("unload", "done"), ("remove", "done")]
    assert gateway.infer("m") is None
    gateway.last.problem(404)
    assert gateway.loaded() == gateway.files() == []
    assert gateway.get("/deploy-status/m").task()["metadata"]["revision"] == 2
    assert gateway.get("/delete-status/m").task()["status"] == "completed"

    assert gateway.deploy("m")["metadata"]["revision"] == 3  # a number is given once


def test_no_request_fails_while_revisions_come_and_go(gateway):
    gateway.make_model("busy", "0")
    gateway.deploy("busy")
    with Traffic(gateway, "busy") as traffic:
        for revision in range(1, 6):
            traffic.await_answers(str(revision - 1))
            gateway.make_model("busy", str(revision))
            gateway.deploy("busy")
        traffic.await_answers("5")
    assert traffic.failures == []
    assert set(traffic.answers) == {"0", "1", "2", "3", "4", "5"}


def test_a_request_in_flight_ends_before_its_revision_is_unloaded(gateway):
    gateway.make_model("slow", "old", faults=[{"kind": "slow_infer", "ms": 1500}])
    gateway.deploy("slow")
    with Traffic(gateway, "slow", clients=3) as traffic:
        wait_until(lambda: gateway.server.get("/test/models").json["slow__r1"]["inflight"] == 3, "requests in flight")
        gateway.make_model("slow", "new")
        task = gateway.deploy("slow")
        traffic.await_answers("new")
    assert traffic.failures == []
    assert traffic.count("old") >= 3
    assert step(task, "retire")["started_at"] < step(task, "retire")["ended_at"]


def test_a_request_that_does_not_end_is_waited_for_no_longer_than_the_drain_time(gateway):
    gateway.make_model("stuck", "old", faults=[{"kind": "slow_infer", "ms": 4000}])
    gateway.deploy("stuck")
    with Traffic(gateway, "stuck", clients=1):
        wait_until(lambda: gateway.server.get("/test/models").json["stuck__r1"]["inflight"] == 1, "a request in flight")
        gateway.make_model("stuck", "new")
        task = gateway.deploy("stuck", rollout={"drain_s": 1})
    assert "revision 1 is taken away although 1 request is in flight" in step(task, "retire")["detail"]


def test_a_post_may_wait_for_the_end(gateway):
    gateway.make_model("waited", "x")
    answer = gateway.post("/deploy", {"model_id": "waited"}, Prefer="wait=60")
    assert answer.task()["status"] == "completed" and answer.headers["Preference-Applied"] == "wait"
    answer = gateway.post("/delete", {"model_id": "waited"}, Prefer='respond-async, wait="60"')
    assert answer.task()["status"] == "completed"
    assert gateway.infer("waited") is None


def test_a_read_may_wait_for_a_change_or_for_the_end(gateway):
    gateway.make_model("watched", "x")
    gateway.set_faults({"kind": "slow_load", "ms": 60000})
    answer = gateway.post("/deploy", {"model_id": "watched"})
    place = answer.headers["Location"]
    seen = []
    while not seen or seen[-1] != "load":
        answer = gateway.get(f"{place}?wait=60", If_None_Match=answer.headers["ETag"])
        seen.append(answer.task()["metadata"]["step"])
    assert seen == sorted(set(seen), key=seen.index)
    gateway.set_faults()  # a load that is held up goes on
    gateway.server.request("DELETE", "/test/faults")
    assert gateway.get(f"{place}?wait=60").task()["status"] == "completed"
    assert gateway.get("/deploy-status/watched?wait=60").task()["status"] == "completed"


def test_a_single_file_is_a_model(gateway):
    source = gateway.make_model("files", "from a file") + "/1/model.json"
    gateway.deploy("single", source=source)
    assert gateway.infer("single") == "from a file"
    assert (gateway.home / "repository/single__r1/1/model.json").is_file()


def test_the_checksum_of_a_file_is_compared(gateway):
    gateway.make_model("sum", "x")
    file = gateway.home / "models/sum/1/model.json"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    gateway.deploy("sum", source=f"file://{file}", sha256=digest.upper())
    task = gateway.deploy("sum", "failed", source=f"file://{file}", sha256="0" * 64)
    assert digest in task["detail"] and "fetch" in task["detail"]


def test_the_name_in_config_pbtxt_is_made_to_fit(gateway):
    gateway.make_model("named", "yes", config='name: "something_else" # its old name\nplatform: "x"\ninput [ { name: "a" } ]\n')
    gateway.deploy("named")
    assert gateway.infer("named") == "yes"
    config = (gateway.home / "repository/named__r1/config.pbtxt").read_text()
    assert config == 'name: "named__r1" # its old name\nplatform: "x"\ninput [ { name: "a" } ]\n'
    assert '"something_else"' in (gateway.home / "models/named/config.pbtxt").read_text()


def test_a_real_onnx_model_is_smoke_tested_and_answers(gateway):
    silero = ROOT / "tests/support/inference-server/node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx"
    (gateway.home / "models/vad.onnx").write_bytes(silero.read_bytes())
    request = {"inputs": [{"name": "input", "shape": [1, 512], "datatype": "FP32", "data": [0] * 512},
                          {"name": "state", "shape": [2, 1, 128], "datatype": "FP32", "data": [0] * 256},
                          {"name": "sr", "shape": [1], "datatype": "INT64", "data": [16000]}]}
    task = gateway.deploy("vad", source=f"file://{gateway.home}/models/vad.onnx", rollout={"smoke": {"request": request, "repeat": 2}})
    assert step(task, "smoke")["state"] == "done"
    answer = gateway.post("/v2/models/vad/infer", request)
    assert answer.status == 200 and {output["name"] for output in answer.json["outputs"]} == {"output", "stateN"}


# Traffic in steps, with what a request says of itself.

def test_a_key_stays_while_the_weight_stands_and_preview_is_green(gateway):
    gateway.make_model("keyed", "blue")
    gateway.deploy("keyed")
    gateway.make_model("keyed", "green")
    # A step ends only when this many of green's requests have been seen in it: when the test has sent them.
    task = gateway.post("/deploy", {"model_id": "keyed", "config": {"rollout": {
        "steps": [{"weight": 30, "hold_s": 1}, {"weight": 60, "hold_s": 1}], "gate": {"min_requests": 2000}, "progress_deadline_s": 600}}}).task()
    client = Client(gateway.nginx.port, keep=True)
    keys = [f"user-{n}" for n in range(200)]

    def infer(key):
        return answer_of(client.post("/v2/models/keyed/infer", {"inputs": []}, X_User=key))

    def weight():
        return gateway.task(task)["metadata"]["traffic_weight"]

    def split(expected):
        gateway.await_weight(task, expected)
        answers = {key: infer(key) for key in keys}
        assert {key: infer(key) for key in keys} == answers
        assert gateway.infer("keyed", X_User=keys[0], X_Rollout_Preview="green") == "green"
        assert weight() == expected
        return {key for key in keys if answers[key] == "green"}

    def pass_gate(key, before):
        def passed():
            for _ in range(100):
                infer(key)
            return weight() != before
        wait_until(passed, f"the end of the step with weight {before}")

    at_30 = split(30)
    pass_gate(min(at_30), 30)
    at_60 = split(60)
    assert 30 <= len(at_30) <= 90 and 85 <= len(at_60) <= 155
    assert at_30 < at_60
    pass_gate(min(at_30), 60)
    gateway.wait(task, status="completed")
    assert gateway.infer("keyed", X_User=keys[0]) == "green"


# What can fail before the promotion: blue serves on, green goes away, and the detail says why.

FAILURES = [
    ("a missing source", lambda g: ({"source": f"file://{g.home}/models/nothing"}, []), "fetch", "does not exist"),
    ("a load that fails", lambda g: ({}, [{"kind": "failed_load", "model": "*__r2"}]), "load", "injected failure"),
    ("a model that is never ready", lambda g: ({"rollout": {"ready_timeout_s": 1}}, [{"kind": "never_ready", "model": "*__r2"}]),
     "ready", "is not ready"),
    ("a smoke test that fails", lambda g: ({"rollout": {"smoke": {"request": {"inputs": []}}}},
                                           [{"kind": "failed_infer", "model": "*__r2"}]), "smoke", "injected failure"),
    ("a load behind a broken proxy", lambda g: ({}, [{"kind": "html", "route": "load", "status": 500}]), "load", "HTTP 500"),
    ("a server that hangs up", lambda g: ({}, [{"kind": "dropped", "route": "load"}]), "load", "3 attempts"),
    ("a server that has no time", lambda g: ({}, [{"kind": "unavailable", "route": "load"}]), "load", "503"),
    ("a restricted API", lambda g: ({}, [{"kind": "restricted", "route": "load"}]), "load", "403"),
]


@pytest.mark.parametrize("settings, at, words", [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_a_failure_leaves_blue_serving_and_nothing_of_green(gateway, settings, at, words):
    gateway.make_model("steady", "blue")
    gateway.deploy("steady")
    revision = gateway.get("/deploy-status/steady").task()["metadata"]["revision"]
    gateway.make_model("steady", "green")
    config, faults = settings(gateway)
    for fault in faults:
        if "model" in fault:
            fault["model"] = f"steady__r{revision + 1}"
    gateway.set_faults(*faults)
    with Traffic(gateway, "steady", clients=2) as traffic:
        traffic.await_answers("blue")
        task = gateway.deploy("steady", "failed", **config)
    assert traffic.failures == [] and set(traffic.answers) == {"blue"}
    assert step(task, at)["state"] == "failed" and step(task, "rollback")["state"] == "done"
    assert task["metadata"]["traffic_weight"] == 0
    assert words in task["detail"], task["detail"]
    assert f"Revision {revision} serves as before." in task["detail"]
    assert gateway.loaded() == gateway.files() == [f"steady__r{revision}"]


@pytest.mark.parametrize("source, words", [
    ("file:///etc/passwd", "is not under an allowed prefix (artifacts.allow)"), ("file:///srv/../etc/passwd", "\"..\""),
    ("s3://key:SECRET@bucket/m?X-Amz-Signature=SECRET", "scheme"), ("https://models.example.com/m?sig=SECRET", "is not under an allowed")])
def test_a_source_that_is_not_allowed_is_refused_when_it_is_posted(gateway, source, words):
    """Without what may be a secret in it."""
    for config, pointer in (({"source": source}, "/config/source"), ({"parts": {"q": {"source": source}}}, "/config/parts/q/source")):
        problem = gateway.post("/deploy", {"model_id": "elsewhere", "config": {**config}}).problem(422)
        error = next(error for error in problem["errors"] if error["pointer"] == pointer)
        assert words in error["detail"] and "SECRET" not in json.dumps(problem)
    assert "SECRET" not in gateway.rolloutd.text()
    gateway.get("/deploy-status/elsewhere").problem(404)


@pytest.mark.parametrize("written, meant", [("sha265", "sha256"), ("SHA-256", "sha256"), ("souce", "source"), ("Backend", "backend"),
                                            ("rolout", "rollout"), ("part", "parts"), ("supercede", "supersede")])
def test_a_misspelled_member_is_refused_with_the_one_that_was_meant(gateway, written, meant):
    problem = gateway.post("/deploy", {"model_id": "misspelled", "config": {written: "x", "param": "value"}}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == [f"/config/{written}"]
    assert f"did you mean `{meant}`?" in problem["errors"][0]["detail"]
    gateway.get("/deploy-status/misspelled").problem(404)


def test_the_step_says_when_nothing_was_verified(gateway):
    gateway.make_model("unverified", "x")
    task = gateway.deploy("unverified")
    assert step(task, "fetch")["detail"].endswith("; no sha256 was given, so nothing was verified")
    packed = gateway.home / "models/verified.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("123/1/model.json", '{"kind": "echo", "answer": "x"}')
        archive.writestr("__MACOSX/123/1/._model.json", "left behind")
    task = gateway.deploy("verified", source=f"file://{packed}", sha256=hashlib.sha256(packed.read_bytes()).hexdigest())
    assert step(task, "fetch")["detail"] == "1 file, 31 bytes"
    assert gateway.infer("verified") == "x"


def test_a_first_deployment_that_fails_leaves_nothing(gateway):
    gateway.make_model("first", "x")
    gateway.set_faults({"kind": "failed_load"})
    task = gateway.deploy("first", "failed")
    assert "The model is not deployed." in task["detail"]
    gateway.get("/v2/models/first/ready").problem(404)
    assert gateway.loaded() == gateway.files() == []


@pytest.mark.parametrize("fault", [
    {"kind": "related", "route": "load", "times": 2}, {"kind": "unavailable", "route": "load", "times": 1},
    {"kind": "dropped", "route": "load", "times": 1}, {"kind": "dropped", "route": "load", "times": 1, "carried_out": True},
    {"kind": "unavailable", "route": "ready", "times": 3}], ids=lambda fault: f"{fault['kind']} at {fault['route']}")
def test_what_may_pass_by_itself_is_tried_again(gateway, fault):
    gateway.make_model("again", "x")
    gateway.set_faults(fault)
    task = gateway.deploy("again")
    if fault["route"] == "load":
        # libcurl itself asks once more where a kept connection turns out to be dead.
        assert step(task, "load")["attempts"] in ([1, 2] if fault["kind"] == "dropped" else [1 + fault["times"]])
    assert gateway.infer("again") == "x"


def test_a_server_that_is_away_is_waited_for():
    own = Gateway(rolloutd={"limits": {"retries": 1000}}).start()  # however long the server takes to start
    try:
        own.make_model("late", "x")
        own.inference.stop()
        task = own.post("/deploy", {"model_id": "late"}).task()
        wait_until(lambda: "no connection to" in own.get(f"/deploy/{task['task_id']}").task()["detail"], "the first attempt")
        own.inference.start()
        task = own.wait(task, status="completed")
        assert step(task, "load")["attempts"] > 1
    finally:
        own.close()


def test_a_link_that_leaves_the_allowed_folder_is_refused(gateway):
    gateway.make_model("linked", "x")
    secret = gateway.home / "secret.json"
    secret.write_text('{"kind": "echo", "answer": "secret"}')
    file = gateway.home / "models/linked/1/model.json"
    file.unlink()
    file.symlink_to(secret)
    assert "models" in gateway.deploy("linked", "failed")["detail"]
    file.unlink()
    file.symlink_to("../../linked-target.json")
    (gateway.home / "models/linked-target.json").write_text('{"kind": "echo", "answer": "inside"}')
    gateway.deploy("linked")
    assert gateway.infer("linked") == "inside"


def test_a_fifo_in_a_model_is_refused(gateway):
    gateway.make_model("fifo", "x")
    os.mkfifo(gateway.home / "models/fifo/1/pipe")
    assert "FIFO" in gateway.deploy("fifo", "failed")["detail"]


def test_a_name_in_the_repository_that_is_not_ours_is_left_alone(gateway):
    gateway.make_model("taken", "x")
    stranger = gateway.home / "repository/taken__r1"
    stranger.mkdir(parents=True)
    (stranger / "precious").write_text("data")
    task = gateway.deploy("taken", "failed")
    assert "taken__r1 already, which no deployment put there" in task["detail"]
    assert (stranger / "precious").read_text() == "data"
    (stranger / "precious").unlink()
    stranger.rmdir()


# The old revision, and deletions.

def test_what_becomes_of_the_old_revision(gateway):
    for old, loaded, files in (("archive", ["olds__r2"], ["olds__r1", "olds__r2"]),
                               ("keep", ["olds__r2", "olds__r3"], ["olds__r1", "olds__r2", "olds__r3"])):
        if old == "archive":
            gateway.make_model("olds", "1")
            gateway.deploy("olds")
        gateway.make_model("olds", "next")
        gateway.deploy("olds", rollout={"old": old})
        assert gateway.loaded() == loaded and gateway.files() == files
    gateway.delete("olds")
    assert gateway.loaded() == gateway.files() == []


def test_an_old_revision_that_cannot_be_unloaded_is_taken_away_with_the_next_task(gateway):
    gateway.make_model("sticky", "1")
    gateway.deploy("sticky")
    gateway.set_faults({"kind": "failed_unload", "model": "sticky__r1"})
    gateway.make_model("sticky", "2")
    task = gateway.deploy("sticky")
    assert step(task, "retire")["state"] == "failed"
    assert "versions that are still available: 1" in task["detail"] and "serves all traffic" in task["detail"]
    assert gateway.infer("sticky") == "2"
    gateway.set_faults()
    gateway.deploy("sticky")
    assert gateway.loaded() == gateway.files() == ["sticky__r3"]


def test_a_deletion_of_what_is_not_deployed_is_refused(gateway):
    task = gateway.delete("nobody", "refused")
    assert "nobody is not deployed" in task["detail"]
    assert task["metadata"]["steps"] == []


def test_a_model_that_cannot_be_unloaded_gets_its_traffic_back(gateway):
    gateway.make_model("stays", "x")
    gateway.deploy("stays")
    gateway.set_faults({"kind": "failed_unload", "model": "stays__r1"})
    task = gateway.delete("stays", "failed")
    assert "still available" in task["detail"] and "The model serves as before." in task["detail"]
    assert gateway.infer("stays") == "x"
    gateway.set_faults()
    gateway.delete("stays")


def test_an_unload_that_takes_its_time_is_awaited(gateway):
    gateway.make_model("leaves", "x")
    gateway.deploy("leaves")
    gateway.set_faults({"kind": "slow_unload", "ms": 1500})
    gateway.delete("leaves")
    assert gateway.loaded() == gateway.files() == []


def test_deployments_and_deletions_of_a_model_run_in_order(make_gateway):
    # All of them are posted before the first one runs: a deletion posted during a deployment would be refused.
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}})
    gateway.start()
    gateway.make_model("order", "x")
    tasks = [(kind, gateway.post(f"/{kind}", {"model_id": "order"}).task()) for kind in ("deploy", "deploy", "delete", "deploy", "delete", "delete")]
    gateway.rolloutd.stop()
    gateway.rolloutd.config["limits"]["max_concurrent_rollouts"] = 4
    gateway.rolloutd.start()
    ended = [gateway.wait(task, kind) for kind, task in tasks]
    assert [task["status"] for task in ended] == ["completed"] * 5 + ["refused"]
    assert [task["updated_at"] for task in ended] == sorted(task["updated_at"] for task in ended)


# Servers of the same protocol that are not Triton.

def test_a_server_without_an_index_is_driven_by_readiness(gateway):
    gateway.set_faults({"kind": "no_index"})
    gateway.make_model("plain", "1")
    gateway.deploy("plain")
    gateway.make_model("plain", "2")
    gateway.deploy("plain")
    assert gateway.infer("plain") == "2"
    gateway.delete("plain")
    assert "has no repository index" in gateway.rolloutd.text()
    gateway.set_faults()
    # Without an index nobody can know that a model is still on its way out, only that it takes no requests any more.
    gateway.server.request("DELETE", "/test/violations")
    assert gateway.loaded() == gateway.files() == []


def test_mlserver_is_driven_the_same_way(make_gateway):
    gateway = make_gateway(inference={"flavour": "mlserver"})
    gateway.start()
    gateway.make_model("ml", "1")
    settings = gateway.home / "models/ml/model-settings.json"
    settings.write_text(json.dumps({"name": "whatever", "parameters": {"uri": "./1/model.json"}}))
    gateway.deploy("ml")
    assert gateway.infer("ml") == "1"
    gateway.make_model("ml", "2")
    settings.write_text(json.dumps({"name": "whatever", "parameters": {"uri": "./1/model.json"}}))
    gateway.deploy("ml")
    assert gateway.infer("ml") == "2"
    settings.write_text(json.dumps({"name": "whatever", "parameters": {"uri": "./1/gone.json"}}))
    task = gateway.deploy("ml", "failed")
    assert "load" in task["detail"] and "Traceback" not in task["detail"]
    assert gateway.infer("ml") == "2"
    gateway.delete("ml")
    assert gateway.files() == []
