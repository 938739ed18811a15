"""A backend of several servers: what is staged, loaded, routed, unloaded and said where one of them is not as the others."""

import json
import re
import sys

import pytest

from ending import finish
from gateway import Traffic
from grpc_servers import GrpcTraffic
from processes import ROOT, ExampleNginx, wait_until
from several import Several, step
from test_command import PROGRAM
from test_configuration import LEAST, checked

SMOKE = {"smoke": {"request": {"inputs": []}}}
OUT_OF_MEMORY = "failed to allocate CUDA memory: out of memory"


@pytest.fixture
def several(request):
    made = []

    def make(**settings):
        made.append(Several(**settings))
        return made[-1]

    yield make
    for gateway in made:
        # A line that is not a task's or a whole backend's names the server in a member of its own.
        unnamed = [line for line in gateway.rolloutd.lines()
                   if not {"server", "task_id", "backend"} & set(line) and named_in(gateway, line["message"]) == 1]
        finish(request, gateway)
        assert unnamed == [], unnamed


def named_in(gateway, text):
    """How many servers it names."""
    return sum(gateway.peer(number) in text for number in range(len(gateway.servers)))


def nothing_wrong(gateway):
    """No server was asked for a model that it has not got, and no file went under one."""
    for number in range(len(gateway.servers)):
        assert gateway.violations_on(number) == []
        assert {status for status in gateway.inferences_on(number)} <= {200}, gateway.inferences_on(number)
    return True


# All is well.

@pytest.mark.parametrize("own", [False, True])
def test_a_model_is_on_all_servers_replaced_and_deleted(several, own):
    gateway = several(own=own).start()
    gateway.make_model("m", "first")
    task = gateway.deploy("m", rollout=SMOKE)
    assert {name: step(task, name)["detail"] for name in ("load", "ready", "smoke")} == {
        "load": "3 of 3 servers", "ready": "3 of 3 servers", "smoke": "3 of 3 servers"}
    copies = 3 if own else 1
    assert gateway.files() == ["m__r1"] * copies
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("first")
        gateway.make_model("m", "second")
        gateway.deploy("m")
        traffic.await_answers("second")
    assert traffic.failures == []
    assert gateway.model("m")["blue"]["servers"] == [gateway.peer(number) for number in range(3)]
    for number in range(3):
        assert gateway.loaded_on(number) == ["m__r2"] and gateway.inferences_on(number).count(200) > 5
    assert gateway.files() == ["m__r2"] * copies
    gateway.delete("m")
    assert [gateway.loaded_on(number) for number in range(3)] == [[], [], []] and gateway.files() == []
    assert nothing_wrong(gateway)


def test_grpc_calls_go_where_the_revision_is_too(several):
    """The servers' gRPC ports are a block of their own, whose servers stand for those of the other."""
    gateway = several(running=[0, 2], backend={"min_servers": 2}, grpc=True).start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    with GrpcTraffic(gateway.nginx.http2_port, "m") as calls, Traffic(gateway, "m") as traffic:
        calls.await_answers("first")
        gateway.make_model("m", "second")
        gateway.deploy("m")
        calls.await_answers("second")
        gateway.servers[1].start()
        gateway.await_servers("m", 0, 1, 2)
        calls.await_answers("second", more=100)
        gateway.nginx.reload()
        calls.await_answers("second")
    assert calls.failures == [] and traffic.failures == []
    for number in range(3):
        assert gateway.grpc_inferences_on(number).count(200) > 5 and set(gateway.grpc_inferences_on(number)) == {200}
    gateway.hold(2)  # it keeps its connections and answers nothing: its calls wait until their end
    gateway.await_servers("m", 0, 1)
    with GrpcTraffic(gateway.nginx.http2_port, "m") as calls:
        calls.await_answers("second")
    assert calls.failures == []
    gateway.go_on(2)
    gateway.await_servers("m", 0, 1, 2)
    assert nothing_wrong(gateway)


def test_a_server_may_have_another_address_in_the_block(several):
    """`peer`: rolloutd goes to the URL, and everybody names the server as the block does."""
    gateway = several(rolloutd={"rollout": {"steps": [{"weight": 50, "hold_s": 60}], "gate": {"min_requests": 10, "max_error_rate": 0.1}}})
    known = gateway.peer(1).replace("127.0.0.1", "localhost")
    gateway.rolloutd.config["backends"]["default"]["servers"][1]["peer"] = known
    gateway.nginx.pieces["http"] = gateway.upstream().replace(f"server {gateway.peer(1)};", f"server {known};")
    gateway.start()
    gateway.serve_blue("m")
    assert gateway.model("m")["blue"]["servers"] == [gateway.peer(0), known, gateway.peer(2)] and "detail" not in gateway.model("m")
    gateway.set_faults_on(1, {"kind": "failed_infer", "model": "m__r2", "error": "cannot infer"})
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("blue", more=60)
        task = gateway.deploy("m", "failed")
    assert gateway.inferences_on(1).count(200) > 5 and f"; failures by server: {known} " in task["detail"], task["detail"]


@pytest.mark.parametrize("inference, backend", [({"control": "poll", "poll_secs": 0.1}, {"control": "poll"}), ({"flavour": "mlserver"}, {})])
def test_servers_that_poll_and_mlservers(several, inference, backend):
    gateway = several(count=2, inference=inference, backend=backend).start()
    if "flavour" in inference:
        folder = gateway.home / "models/m"
        for answer in ("first", "second"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.json").write_text(json.dumps({"kind": "echo", "answer": answer}))
            (folder / "model-settings.json").write_text(json.dumps({"name": "m", "implementation": "x.Y", "parameters": {"uri": "./model.json"}}))
            gateway.deploy("m")
            assert gateway.infer("m") == answer, gateway.last
    else:
        for answer in ("first", "second"):
            gateway.make_model("m", answer)
            gateway.deploy("m")
            assert gateway.infer("m") == answer, gateway.last
    gateway.await_loaded("m__r2")
    gateway.delete("m")
    assert [gateway.loaded_on(number) for number in range(2)] == [[], []] and gateway.files() == []


@pytest.mark.parametrize("own", [False, True])
def test_a_program_is_run_for_each_server(several, own):
    gateway = several(count=2, own=own)
    program = gateway.home / "serve"
    (gateway.home / "answers").mkdir()
    program.write_text(PROGRAM.format(python=sys.executable).replace('home / "loaded" / asked["model"]', 'home / "loaded" / asked["server"].replace(":", "-") / asked["model"]'))
    program.chmod(0o755)
    config = gateway.rolloutd.config["backends"]["default"]
    config |= {"type": "command", "command": [str(program), str(gateway.home)]}
    if own:
        config["staging"] = str(gateway.home / "fetched")
    gateway.start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    gateway.deploy("m")
    asked = [json.loads(line) for line in (gateway.home / "asked").read_text().splitlines()]
    done = {(one["operation"], one["server"], one["model"]) for one in asked if one["operation"] != "ready"}
    assert done == {(operation, gateway.peer(number), model) for number in range(2)
                    for operation, model in (("stage", "m__r1"), ("load", "m__r1"), ("stage", "m__r2"), ("load", "m__r2"), ("unload", "m__r1"), ("remove", "m__r1"))}
    assert {(one["server"], one["url"]) for one in asked} == {(gateway.peer(number), f"http://{gateway.peer(number)}") for number in range(2)}
    folders = sorted(path for path in (gateway.home / "loaded").glob("*/*"))
    assert [path.name for path in folders] == ["m__r2", "m__r2"]
    (gateway.home / "answers/load").write_text(json.dumps([2, "no such device"]))
    task = gateway.deploy("m", "failed")
    assert "no such device" in task["detail"] and ("on server " + gateway.peer(0) in task["detail"] or "on server " + gateway.peer(1) in task["detail"])


def test_loads_are_bounded(several):
    gateway = several(backend={"max_parallel_loads": 1}).start()
    gateway.make_model("m", "x", faults=[{"kind": "slow_load", "ms": 300}])
    task = gateway.start_deployment("m")
    seen = set()

    def ended():
        loading = sum(model["state"] == "LOADING" for number in range(3) for model in gateway.at(number).get("/test/models").json.values())
        seen.add(loading)
        return gateway.task(task)["status"] == "completed"
    wait_until(ended, "the deployment")
    assert max(seen) == 1


def test_progress_is_said_by_server(several):
    """As it goes: who is done, and how long the others take already."""
    gateway = several().start()
    gateway.make_model("m", "x")
    gateway.set_faults_on(0, {"kind": "slow_load", "ms": 3000})
    gateway.set_faults_on(1, {"kind": "slow_load", "ms": 8000})
    task = gateway.start_deployment("m")
    said = set()

    def ended():
        now = gateway.task(task)
        said.update(one.get("detail", "") for one in now["metadata"].get("steps", []) if one["name"] == "load")
        return now["status"] == "completed"
    wait_until(ended, "the deployment")
    waits = [re.fullmatch(rf"load: 2 of 3 servers; {gateway.peer(1)} is loading since (\d+) (ms|s)", words) for words in said]
    assert len({found[1] for found in waits if found}) > 1, said


def test_metrics_count_each_servers_models(several):
    gateway = several(count=2)
    gateway.nginx.pieces["locations"] += "location = /metrics { rollout_metrics; }"
    gateway.start()
    for model in ("m", "n"):
        gateway.make_model(model, "x")
        gateway.deploy(model)

    def has(number, state, models):
        return f'rollout_server_models{{backend="default",server="{gateway.peer(number)}",state="{state}"}} {models}\n' in gateway.get("/metrics").body.decode()
    wait_until(lambda: all(has(number, "loaded", 2) and has(number, "missing", 0) for number in range(2)), "the metrics")
    gateway.servers[1].kill()
    wait_until(lambda: has(1, "missing", 2) and has(0, "loaded", 2), "the metrics of a server that is down")
    assert f'rollout_server_up{{backend="default",server="{gateway.peer(1)}"}} 0\n' in gateway.get("/metrics").body.decode()


# One that is not as the others.

def test_all_means_all_a_server_that_is_down_fails_the_deployment(several):
    gateway = several(running=[0, 2], rolloutd={"limits": {"retries": 1}}).start()
    gateway.make_model("m", "x")
    task = gateway.deploy("m", "failed")
    assert "2 of 3 servers, 3 required" in task["detail"] and gateway.peer(1) in task["detail"], task["detail"]
    assert [gateway.loaded_on(number) for number in (0, 2)] == [[], []]


@pytest.mark.parametrize("least", [2, "50%", 1])
def test_a_server_that_was_down_gets_it_later_and_no_request_before(several, least):
    gateway = several(running=[0, 2], backend={"min_servers": least}).start()
    gateway.make_model("m", "x")
    task = gateway.deploy("m")
    assert step(task, "load")["detail"].startswith("2 of 3 servers; ") and gateway.peer(1) in step(task, "load")["detail"]
    gateway.await_servers("m", 0, 2)
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x")
        gateway.servers[1].start()
        gateway.await_servers("m", 0, 1, 2)
        traffic.await_answers("x", more=100)
    assert traffic.failures == []
    assert gateway.inferences_on(1) and nothing_wrong(gateway)
    assert any(line.get("server") == gateway.peer(1) and line["message"] == "A model is loaded on a server that lacked it" for line in gateway.rolloutd.lines())


def test_a_server_that_never_answers_is_passed_over(several):
    gateway = several(backend={"min_servers": 2}).start()
    gateway.hold(1)
    gateway.make_model("m", "x")
    task = gateway.deploy("m")
    assert gateway.peer(1) in step(task, "load")["detail"], task
    gateway.await_servers("m", 0, 2)
    gateway.go_on(1)
    gateway.await_servers("m", 0, 1, 2)
    assert nothing_wrong(gateway)


@pytest.mark.parametrize("words", [OUT_OF_MEMORY, "Invalid argument: no such operator"])
def test_a_server_that_refuses_the_load_is_named(several, words):
    gateway = several().start()
    gateway.serve_blue("m")
    gateway.set_faults_on(2, {"kind": "failed_load", "error": words})
    task = gateway.deploy("m", "failed")
    assert f"2 of 3 servers, 3 required (server {gateway.peer(2)} refused to load m__r2: " in task["detail"] and words in task["detail"], task["detail"]
    assert gateway.infer("m") == "blue"
    gateway.await_loaded("m__r1")
    assert gateway.files() == ["m__r1"]
    gateway.rolloutd.config["backends"]["default"]["min_servers"] = 2
    gateway.reload_rolloutd()
    task = gateway.deploy("m")
    assert gateway.peer(2) in step(task, "load")["detail"] and words in step(task, "load")["detail"]
    gateway.await_servers("m", 0, 1)
    wait_until(lambda: words in gateway.model("m").get("detail", "") and gateway.peer(2) in gateway.model("m")["detail"], "the model's detail")
    wait_until(lambda: gateway.model("m")["state"] == "deployed", "the state")
    gateway.set_faults_on(2)
    gateway.await_servers("m", 0, 1, 2)
    gateway.await_loaded("m__r3")


def test_a_server_that_is_never_ready_is_named(several):
    gateway = several(rolloutd={"rollout": {"ready_timeout_s": 4}}).start()
    gateway.make_model("m", "x")
    gateway.set_faults_on(0, {"kind": "never_ready"})
    task = gateway.deploy("m", "failed")
    assert "Step ready failed" in task["detail"] and gateway.peer(0) in task["detail"] and "2 of 3 servers" in task["detail"], task["detail"]
    gateway.rolloutd.config["backends"]["default"]["min_servers"] = 2
    gateway.reload_rolloutd()
    task = gateway.deploy("m")
    assert gateway.peer(0) in step(task, "ready")["detail"]


def test_a_server_that_says_ready_and_fails_the_smoke_test_gets_no_request(several):
    gateway = several(backend={"min_servers": 2}, rolloutd={"rollout": SMOKE}).start()
    gateway.make_model("m", "x")
    gateway.set_faults_on(1, {"kind": "failed_infer", "error": "cannot infer"})
    task = gateway.deploy("m")
    assert gateway.peer(1) in step(task, "smoke")["detail"] and "cannot infer" in step(task, "smoke")["detail"], step(task, "smoke")
    gateway.set_faults_on(1)
    before = len(gateway.inferences_on(1))
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x", more=100)
    assert traffic.failures == [] and len(gateway.inferences_on(1)) == before
    gateway.servers[1].kill()
    wait_until(lambda: "does not answer" in gateway.model("m").get("detail", ""), "the loss")
    gateway.servers[1].start()
    gateway.await_servers("m", 0, 1, 2)  # it has loaded it anew


def test_a_server_that_fails_the_smoke_test_fails_the_deployment_where_all_are_required(several):
    gateway = several(rolloutd={"rollout": SMOKE}).start()
    gateway.make_model("m", "x")
    gateway.set_faults_on(1, {"kind": "failed_infer", "error": "cannot infer"})
    task = gateway.deploy("m", "failed")
    assert "Step smoke failed" in task["detail"] and gateway.peer(1) in task["detail"] and "cannot infer" in task["detail"]
    assert [gateway.loaded_on(number) for number in range(3)] == [[], [], []] and gateway.files() == []


@pytest.mark.parametrize("least", ["all", 2])
def test_a_server_that_loads_another_version_is_named_and_gets_no_request(several, least):
    gateway = several(backend={"min_servers": least}).start()
    gateway.serve_blue("m")
    gateway.set_faults_on(1, {"kind": "other_version", "version": "2", "model": "m__r2"})
    task = gateway.deploy("m", "failed" if least == "all" else "completed")
    words = f"server {gateway.peer(1)} has version 2 of m__r2 loaded, and the others 1"
    if least == "all":
        assert "Step ready failed" in task["detail"] and "2 of 3 servers, 3 required" in task["detail"] and words in task["detail"], task["detail"]
        assert gateway.infer("m") == "blue"
        gateway.await_loaded("m__r1")
        return
    assert step(task, "ready")["detail"].startswith("2 of 3 servers; ") and words in step(task, "ready")["detail"]
    gateway.await_servers("m", 0, 2)
    before = len(gateway.inferences_on(1))
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("green", more=60)
    assert traffic.failures == [] and len(gateway.inferences_on(1)) == before and nothing_wrong(gateway)


@pytest.mark.parametrize("least", ["all", 2])
def test_a_server_that_says_ready_and_then_fails_every_inference_is_named_by_the_gate(several, least):
    """And where it alone fails: the others' answers are good."""
    gateway = several(backend={"min_servers": least}, rolloutd={"rollout": {"steps": [{"weight": 50, "hold_s": 60}, {"weight": 100, "hold_s": 0}],
                                                                            "gate": {"min_requests": 10, "max_error_rate": 0.1}}}).start()
    gateway.serve_blue("m")
    gateway.set_faults_on(1, {"kind": "failed_infer", "model": "m__r2", "error": "cannot infer"})
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("blue")
        task = gateway.deploy("m", "failed")
        traffic.await_answers("blue", more=20)
    assert "Step shift failed" in task["detail"] and f"; failures by server: {gateway.peer(1)} " in task["detail"], task["detail"]
    for number in (0, 2):
        assert gateway.peer(number) not in task["detail"], task["detail"]
    assert traffic.failures and all(failure.startswith("500") for failure in traffic.failures), traffic.failures[:3]
    gateway.await_loaded("m__r1")


def test_a_gate_that_judges_grpc_calls_names_the_server_as_the_configuration_does(several):
    gateway = several(grpc=True, rolloutd={"rollout": {"steps": [{"weight": 50, "hold_s": 60}], "gate": {"min_requests": 10, "max_error_rate": 0.1}}}).start()
    gateway.serve_blue("m")
    gateway.set_faults_on(2, {"kind": "failed_infer", "model": "m__r2", "error": "cannot infer"})
    with GrpcTraffic(gateway.nginx.http2_port, "m") as calls:
        calls.await_answers("blue")
        task = gateway.deploy("m", "failed")
        calls.await_answers("blue")
    assert f"; failures by server: {gateway.peer(2)} " in task["detail"], task["detail"]
    assert calls.failures and {code.name for code, _ in calls.failures} == {"INTERNAL"}, calls.failures[:3]


def test_a_server_that_is_in_no_upstream_block_is_said(several):
    """When the gateway says which servers it has, in the log with the member's pointer, and before traffic moves, in the step's detail."""
    gateway = several()
    gateway.nginx.pieces["http"] = gateway.upstream([0, 2])
    gateway.start()
    said = f'upstream block "several" has no server {gateway.peer(1)}'

    def warnings():
        return [line for line in gateway.rolloutd.lines() if line["level"] == "warning" and said in line["message"]]
    wait_until(warnings, "the warning")
    assert "/backends/default/servers/1/peer" in warnings()[0]["message"] and warnings()[0]["server"] == gateway.peer(1)
    gateway.make_model("m", "x")
    task = gateway.deploy("m")
    assert said in step(task, "ready")["detail"] and "/backends/default/servers/1/peer" in step(task, "ready")["detail"], step(task, "ready")
    assert len(warnings()) == 1  # not for each worker process
    shown = gateway.model("m")
    assert shown["state"] == "deployed" and said in shown["detail"] and "/backends/default/servers/1/peer" in shown["detail"], shown
    gateway.nginx.write(http=gateway.upstream())
    gateway.nginx.reload()
    gateway.await_link()
    wait_until(lambda: said not in step(gateway.deploy("m"), "ready")["detail"], "a gateway that has it")
    assert "detail" not in gateway.model("m")


def test_the_plan_says_which_servers_and_how_many_of_them(several):
    gateway = several(backend={"min_servers": "50%"}).start()
    gateway.make_model("m", "x")
    plan = gateway.deploy("m")["metadata"]["plan"]
    assert plan["servers"] == [{"url": f"http://{gateway.peer(number)}", "upstream": "several", "peer": gateway.peer(number)} for number in range(3)]
    assert plan["min_servers"] == 2


def test_a_stopped_server_comes_back_with_the_old_revision(several):
    """Its old revision is unloaded when it is back, and its files stay as long as it may read them."""
    gateway = several(backend={"min_servers": 2}).start()
    gateway.serve_blue("m")
    gateway.hold(2)
    task = gateway.deploy("m")
    assert task["status"] == "completed" and gateway.peer(2) in step(task, "retire")["detail"], step(task, "retire")
    assert f"Revision 1 stays loaded until {gateway.peer(2)}, which is down, has unloaded it." in task["detail"]
    assert set(gateway.files()) == {"m__r1", "m__r2"}
    assert [gateway.loaded_on(number) for number in (0, 1)] == [["m__r2"]] * 2
    gateway.go_on(2)
    gateway.await_servers("m", 0, 1, 2)
    gateway.await_loaded("m__r2")
    wait_until(lambda: gateway.files() == ["m__r2"], "the old files' end")
    assert nothing_wrong(gateway)


def test_a_deletion_does_not_wait_for_a_stopped_server(several):
    gateway = several().start()
    gateway.serve_blue("m")
    gateway.hold(2)
    task = gateway.delete("m")
    assert gateway.peer(2) in step(task, "unload")["detail"]
    assert task["detail"] == f"Model m is deleted. Revision 1 stays loaded until {gateway.peer(2)}, which is down, has unloaded it."
    assert gateway.files() == ["m__r1"]
    gateway.go_on(2)
    gateway.await_loaded()
    wait_until(lambda: gateway.files() == [], "the files' end")
    assert nothing_wrong(gateway)


def test_rolloutd_remembers_over_a_restart_what_a_stopped_server_owes(several):
    gateway = several().start()
    gateway.serve_blue("m")
    gateway.hold(2)
    gateway.delete("m")
    gateway.rolloutd.stop()
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.go_on(2)
    gateway.await_loaded()
    wait_until(lambda: gateway.files() == [], "the files' end")
    assert nothing_wrong(gateway)


def test_a_deletion_fails_if_no_server_answers(several):
    gateway = several(count=2, rolloutd={"limits": {"retries": 0}}).start()
    gateway.serve_blue("m")
    for server in gateway.servers:
        server.kill()
    task = gateway.delete("m", "failed")
    assert gateway.peer(0) in task["detail"] and gateway.peer(1) in task["detail"], task["detail"]


@pytest.mark.parametrize("check_s", [1, 3600])
def test_a_server_that_is_killed_and_back_empty_gets_no_request_for_what_it_has_not_got(several, check_s):
    """Also where rolloutd looks seldom: a gateway tells it of the failure."""
    gateway = several(backend={"check_s": check_s}).start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    with Traffic(gateway, "m", clients=8) as traffic:
        traffic.await_answers("x")
        gateway.servers[1].kill()
        gateway.await_servers("m", 0, 2)
        gateway.servers[1].start()
        if check_s == 1:
            gateway.await_servers("m", 0, 1, 2)
        traffic.await_answers("x", more=100) if not traffic.failures else None
    assert all("502" in failure for failure in traffic.failures), traffic.failures[:3]
    assert nothing_wrong(gateway)


def test_all_servers_gone_at_once_keep_their_routes(several):
    """rolloutd may be the one that is cut off: who has what is as it was."""
    gateway = several().start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    for number in range(3):
        gateway.hold(number)
    wait_until(lambda: gateway.model("m")["state"] == "unreachable", "the silence")
    assert gateway.model("m")["blue"]["servers"] == [gateway.peer(number) for number in range(3)]
    for number in range(3):
        gateway.go_on(number)
    wait_until(lambda: gateway.model("m")["state"] == "deployed", "the end of the silence")


# The configuration changes.

def without_the_third(several, own):
    """A gateway with two of its servers, and all of them for its configuration."""
    gateway = several(own=own, running=[0, 1])
    all_servers = gateway.rolloutd.config["backends"]["default"]["servers"]
    gateway.rolloutd.config["backends"]["default"]["servers"] = all_servers[:2]
    return gateway.start(), all_servers


@pytest.mark.parametrize("own", [False, True])
def test_a_server_that_is_added_is_brought_to_what_should_be_there(several, own):
    gateway, all_servers = without_the_third(several, own)
    gateway.make_model("m", "x")
    gateway.deploy("m")
    gateway.servers[2].start()
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x")
        assert gateway.inferences_on(2) == []
        gateway.rolloutd.config["backends"]["default"]["servers"] = all_servers
        gateway.reload_rolloutd()
        gateway.await_servers("m", 0, 1, 2)
        traffic.await_answers("x", more=100)
    assert traffic.failures == [] and gateway.inferences_on(2) and nothing_wrong(gateway)
    gateway.delete("m")
    assert gateway.files() == []


def test_a_server_that_is_taken_out_is_left_as_it_is_and_said(several):
    gateway = several().start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    del gateway.rolloutd.config["backends"]["default"]["servers"][1]
    gateway.reload_rolloutd()
    gateway.await_servers("m", 0, 2)
    assert any(line.get("server") == gateway.peer(1) and "no longer in the configuration" in line["message"] for line in gateway.rolloutd.lines())
    asked = len(gateway.inferences_on(1))
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x", more=60)
    assert traffic.failures == [] and len(gateway.inferences_on(1)) == asked
    assert gateway.loaded_on(1) == ["m__r1"]
    gateway.delete("m")
    assert gateway.loaded_on(0) == []
    assert not [call for call in gateway.at(1).get("/test/calls").json if call["path"].endswith("/unload")]


def test_one_url_becomes_several_servers(several):
    gateway = several(running=[0])
    config = gateway.rolloutd.config["backends"]["default"]
    servers = config.pop("servers")
    config["url"] = servers[0]["url"]
    gateway.nginx.pieces["http"] = gateway.upstream([0])
    gateway.start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    assert "servers" not in gateway.model("m")["blue"]
    for server in gateway.servers[1:]:
        server.start()
    del config["url"]
    config["servers"] = servers
    gateway.reload_rolloutd()
    gateway.await_servers("m", 0, 1, 2)
    gateway.nginx.write(http=gateway.upstream())
    gateway.nginx.reload()
    gateway.await_link()
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x", more=100)
    assert traffic.failures == [] and nothing_wrong(gateway) and gateway.inferences_on(2)


def test_a_restart_of_rolloutd_keeps_who_has_what(several):
    gateway = several(running=[0, 2], backend={"min_servers": 1, "check_s": 3600}).start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    gateway.servers[1].start()
    gateway.rolloutd.stop()
    gateway.hold(1)
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.model("m")["blue"]["servers"] == [gateway.peer(0), gateway.peer(2)]
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("x", more=60)
    assert traffic.failures == []


def test_the_example_of_conf_serves_from_several_servers(several, tmp_path):
    """conf/several-servers as it stands, but for its paths, ports and addresses."""
    gateway = several(count=2)
    example = json.loads((ROOT / "conf/several-servers/rolloutd.json").read_text())["backends"]["default"]
    gateway.rolloutd.config["backends"]["default"] |= {"min_servers": example["min_servers"], "upstream": example["upstream"]}
    assert len(example["servers"]) == 2 and set(example["servers"][0]) == {"url"}
    gateway.nginx = ExampleNginx(gateway.home, gateway.servers[0].port, ROOT / "conf/several-servers/nginx.conf", "",
                                 {"127.0.0.1:8001": gateway.peer(1)})
    gateway.port = gateway.nginx.port
    gateway.start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    for _ in range(6):
        assert gateway.infer("m") == "x", gateway.last
    assert gateway.inferences_on(0) and gateway.inferences_on(1)


# --check.

TWO = [{"url": "http://127.0.0.1:8000"}, {"url": "http://127.0.0.1:8001"}]


@pytest.mark.parametrize("changes, pointer, why", [
    ({"servers": [TWO[0], TWO[0]]}, "/servers/1/url", "is that of servers/0 too"),
    ({"servers": TWO, "min_servers": 3}, "/min_servers", "is 3, but the backend has 2 servers"),
    ({"servers": TWO, "min_servers": "0%"}, "/min_servers", 'must be "all"'),
    ({"servers": [TWO[0], TWO[1] | {"repository": "{repository}/two"}]}, "/servers/1/repository", "cannot be shared in part"),
    ({"servers": [TWO[0] | {"peer": "x"}]}, "/servers/0/peer", "must be an address"),
    ({"servers": TWO, "url": "http://127.0.0.1:8000"}, "/url", 'beside "servers"'),
])
def test_check_names_what_is_wrong(tmp_path, changes, pointer, why):
    config = json.loads(json.dumps(LEAST))
    backend = config["backends"]["default"]
    backend.pop("url", None)
    backend["upstream"] = "inference"
    backend |= json.loads(json.dumps(changes).replace("{repository}", backend["repository"]))
    done = checked(tmp_path, config)
    assert done.returncode == 1 and f"/backends/default{pointer}: " in done.stderr and why in done.stderr, done.stderr



def test_servers_that_are_added_together_and_share_a_repository_get_a_whole_copy(several):
    gateway = several(running=[0])
    theirs = gateway.home / "theirs"
    theirs.mkdir()
    for server in gateway.servers[1:]:
        server.repository = theirs
    config = gateway.rolloutd.config["backends"]["default"]
    all_servers = [config["servers"][0]] + [server | {"repository": str(theirs)} for server in config["servers"][1:]]
    config["servers"] = all_servers[:1]
    gateway.start()
    gateway.make_model("m", "x")
    for number in range(3000):
        (gateway.home / f"models/m/1/{number}.bin").write_text("x" * 100)
    gateway.deploy("m")
    for server in gateway.servers[1:]:
        server.start()
    config["servers"] = all_servers
    gateway.reload_rolloutd()
    gateway.await_servers("m", 0, 1, 2)
    assert len(list((theirs / "m__r1/1").iterdir())) == 3001
    assert [line["message"] for line in gateway.rolloutd.lines() if line["level"] == "warning" and "could not be copied" in line["message"]] == []
    assert not (gateway.home / "theirs.staging/m__r1").exists()
    assert nothing_wrong(gateway)


def test_a_revision_that_was_archived_before_a_server_was_added_can_be_gone_back_to(several):
    gateway, all_servers = without_the_third(several, own=True)
    gateway.make_model("m", "first")
    gateway.deploy("m")
    gateway.make_model("m", "second")
    task = gateway.deploy("m", rollout={"old": "archive"})
    gateway.servers[2].start()
    gateway.rolloutd.config["backends"]["default"]["servers"] = all_servers
    gateway.reload_rolloutd()
    gateway.await_servers("m", 0, 1, 2)
    back = gateway.post(f"/deploy/{task['task_id']}/rollback", {}).task()
    gateway.wait(back, status="completed")
    gateway.await_servers("m", 0, 1, 2)
    assert gateway.infer("m") == "first" and nothing_wrong(gateway)


def test_a_copy_for_another_repository_keeps_the_holes_of_its_files(several):
    gateway = several(count=2, own=True).start()
    gateway.make_model("m", "x")
    with open(gateway.home / "models/m/1/weights.bin", "wb") as file:
        file.truncate(1 << 30)
    gateway.deploy("m")
    for number in range(2):
        copy = (gateway.repository_of(number) / "m__r1/1/weights.bin").stat()
        assert copy.st_size == 1 << 30 and copy.st_blocks < 2048, (number, copy.st_blocks)


def test_a_name_that_a_stopped_server_has_still_is_said_to_be_the_models_own(several):
    """Without {revision} in its name, the model would be made again under the name that the server has still loaded."""
    gateway = several(backend={"model_name": "{model_id}", "min_servers": 2}, rolloutd={"limits": {"retries": 0}}).start()
    gateway.serve_blue("m")
    gateway.hold(2)
    gateway.delete("m")
    task = gateway.deploy("m", "failed")
    assert task["detail"] == (f"Step fetch failed: revision 1 of the model, which has the same name on the server (m), has to be taken off it first. "
                              f"Revision 1 stays loaded until {gateway.peer(2)}, which is down, has unloaded it. The model is not deployed.")
    gateway.go_on(2)
    gateway.deploy("m")
    gateway.await_servers("m", 0, 1, 2)
    assert gateway.infer("m") == "green" and nothing_wrong(gateway)
