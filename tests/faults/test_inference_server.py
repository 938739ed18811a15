"""Inference servers that misbehave: they die, hang, answer with pages or without end, and come back empty."""

import pathlib

import pytest

from gateway import Traffic
from processes import wait_until

# A look each second, and loads that are not waited for long.
ROLLOUTD = {"backends": {"default": {"check_s": 1}}, "rollout": {"ready_timeout_s": 5}}
SMOKE = {"smoke": {"request": {"inputs": []}, "timeout_s": 1}}


def state_of(gateway, model):
    return next(one for one in gateway.get("/models").json["models"] if one["model_id"] == model)


def lines_with(gateway, text):
    return [line for line in gateway.rolloutd.lines() if text in line["message"]]


def restart_empty(gateway):
    """As after a crash: in explicit mode the server loads nothing by itself."""
    gateway.inference.kill()
    gateway.inference.start()


def only_blue_serves(gateway, model):
    assert gateway.infer(model) == "blue"
    assert [name for name in gateway.loaded() if name.startswith(f"{model}__")] == [f"{model}__r1"]
    assert [name for name in gateway.files() if name.startswith(f"{model}__")] == [f"{model}__r1"]
    assert gateway.violations() == []


def resident_kib(pid):
    return next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmHWM"))


@pytest.fixture
def m(request, gateway):
    """A model's name of the test's own. The server runs again and has no faults when the test is over, whatever it found."""
    yield "m" + str(abs(hash(request.node.name)) % 10**8)
    if not gateway.inference.running():
        gateway.inference.start()
    gateway.set_faults()


# It restarts and has lost what it had.

def test_a_lost_model_is_loaded_again_and_the_list_says_so_meanwhile(gateway, m):
    gateway.serve_blue(m)
    gateway.make_model(f"{m}-2", "another")
    gateway.deploy(f"{m}-2")
    revision = gateway.get(f"/deploy-status/{m}").task()["metadata"]["revision"]
    restart_empty(gateway)
    gateway.set_faults({"kind": "slow_load", "ms": 60000})
    wait_until(lambda: state_of(gateway, m)["state"] == "reloading", "the model's reload")
    shown = state_of(gateway, m)
    assert f"{m}__r1 is not loaded on backend default any more" in shown["detail"]
    assert shown["blue"]["revision"] == revision  # the routes stay as they are
    assert gateway.infer(m) is None and gateway.last.status == 400

    gateway.server.request("DELETE", "/test/faults")
    wait_until(lambda: gateway.infer(m) == "blue" and gateway.infer(f"{m}-2") == "another", "both models")
    wait_until(lambda: state_of(gateway, m)["state"] == "deployed", "the list to say so")
    assert "detail" not in state_of(gateway, m)
    (line,) = [line for line in lines_with(gateway, "A lost model is loaded again") if line["model_id"] == m]
    assert line["model"] == f"{m}__r1" and line["backend"] == "default"


def test_a_model_that_a_person_unloads_is_loaded_again(gateway, m):
    gateway.serve_blue(m)
    assert gateway.server.post(f"/v2/repository/models/{m}__r1/unload", {}).status == 200
    wait_until(lambda: gateway.infer(m) is None, "the unload")
    wait_until(lambda: gateway.infer(m) == "blue", "the model")


def test_what_cannot_be_loaded_again_is_shown_with_the_servers_words(gateway, m):
    gateway.serve_blue(m)
    restart_empty(gateway)
    gateway.set_faults({"kind": "failed_load", "model": f"{m}__*", "error": "no memory for {model}"})
    wait_until(lambda: "no memory for" in state_of(gateway, m).get("detail", ""), "the server's words")
    assert state_of(gateway, m)["state"] in ("lost", "reloading")
    # A new revision replaces it all the same, and a deletion takes it away.
    gateway.set_faults()
    gateway.make_model(m, "green")
    gateway.deploy(m)
    assert gateway.infer(m) == "green" and state_of(gateway, m)["state"] == "deployed"
    gateway.delete(m)


def test_both_revisions_of_a_rollout_come_back_and_it_goes_on(gateway, m):
    gateway.serve_blue(m)
    task = gateway.start_deployment(m, steps=[{"weight": 50, "hold_s": 600}, {"weight": 100}])
    gateway.await_weight(task, 50)
    restart_empty(gateway)
    wait_until(lambda: {f"{m}__r1", f"{m}__r2"} <= set(gateway.loaded()), "both revisions")
    with Traffic(gateway, m) as traffic:
        traffic.await_answers("blue")
        traffic.await_answers("green")
        assert gateway.request("POST", f"/deploy/{task['task_id']}/promote").status == 200
        gateway.wait(task, status="completed")
    assert traffic.failures == []
    wait_until(lambda: f"{m}__r1" not in gateway.loaded(), "the old revision to go")


def test_a_kept_revision_comes_back_too(gateway, m):
    gateway.serve_blue(m)
    task = gateway.deploy(m, rollout={"old": "keep"})
    restart_empty(gateway)
    wait_until(lambda: {f"{m}__r1", f"{m}__r2"} <= set(gateway.loaded()), "both revisions")
    back = gateway.post(f"/deploy/{task['task_id']}/rollback", None).task()
    gateway.wait(back, status="completed")
    assert gateway.infer(m) == "blue"


def test_a_deletion_in_the_middle_of_a_reload_takes_the_model_away(gateway, m):
    gateway.serve_blue(m)
    restart_empty(gateway)
    gateway.set_faults({"kind": "slow_load", "model": f"{m}__*", "ms": 3000})
    wait_until(lambda: state_of(gateway, m)["state"] == "reloading", "the model's reload")
    gateway.delete(m)
    gateway.set_faults()
    assert not [name for name in gateway.loaded() + gateway.files() if name.startswith(f"{m}__")]
    assert gateway.violations() == []


def test_a_server_that_is_away_has_lost_nothing_until_it_answers(gateway, m):
    gateway.serve_blue(m)
    away, back = "Backend default does not say whether", "Backend default says again"
    before = {text: len(lines_with(gateway, text)) for text in (away, back)}
    gateway.inference.kill()
    wait_until(lambda: state_of(gateway, m)["state"] == "unreachable", "the list to say so")
    assert len(lines_with(gateway, away)) == before[away] + 1
    assert not [line for line in lines_with(gateway, "A lost model is loaded again") if line["model_id"] == m]
    gateway.inference.start()
    wait_until(lambda: gateway.infer(m) == "blue", "the model")
    assert len(lines_with(gateway, back)) == before[back] + 1


def test_rolloutd_and_the_server_restarted_together(gateway, m):
    gateway.serve_blue(m)
    gateway.rolloutd.stop()
    restart_empty(gateway)
    gateway.rolloutd.start()
    wait_until(lambda: gateway.infer(m) == "blue", "the model")
    gateway.await_link()


def test_a_server_without_an_index_is_asked_model_by_model(gateway, m):
    gateway.serve_blue(m)
    restart_empty(gateway)
    gateway.set_faults({"kind": "no_index"})
    wait_until(lambda: gateway.infer(m) == "blue", "the model")


def test_a_polling_server_loads_by_itself_and_is_waited_for(make_gateway):
    gateway = make_gateway(rolloutd={"backends": {"default": {"control": "poll", "check_s": 1}}},
                           inference={"control": "poll", "poll_secs": 0.2}).start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    restart_empty(gateway)
    wait_until(lambda: gateway.infer("m") == "blue", "the model")
    # Folders that somebody took out of the repository are nothing that rolloutd could bring back: it says so.
    (gateway.home / "repository/m__r1").rename(gateway.home / "taken")
    wait_until(lambda: state_of(gateway, "m")["state"] in ("lost", "reloading"), "the loss")
    (gateway.home / "taken").rename(gateway.home / "repository/m__r1")
    wait_until(lambda: gateway.infer("m") == "blue", "the model")
    wait_until(lambda: state_of(gateway, "m")["state"] == "deployed", "the list to say so")


COMMAND = """\
#!/bin/sh
# A "server" of the test's: a model is loaded where a file of its name stands.
cd {folder}
question=$(cat)
model=$(echo "$question" | sed 's/.*"model":"\\([^"]*\\)".*/\\1/')
operation=$(echo "$question" | sed 's/.*"operation":"\\([^"]*\\)".*/\\1/')
echo "$operation" >> calls
case $operation in
  load) touch "$model" ;;
  ready) test -e "$model" ;;
  unload) rm -f "$model" ;;
esac
"""


def test_a_commands_model_that_is_not_ready_is_loaded_again(make_gateway):
    gateway = make_gateway()
    folder = gateway.home / "served"
    folder.mkdir()
    program = gateway.home / "serve"
    program.write_text(COMMAND.format(folder=folder))
    program.chmod(0o755)
    gateway.rolloutd.config["backends"] = {"default": {"type": "command", "command": [str(program)], "upstream": "inference",
                                                       "staging": str(gateway.home / "staging"), "check_s": 1}}
    gateway.start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    (folder / "m__r1").unlink()
    wait_until((folder / "m__r1").exists, "the load")
    assert (folder / "calls").read_text().split().count("load") == 2
    gateway.delete("m")
    assert not (folder / "m__r1").exists()


def test_with_check_s_0_nobody_looks(make_gateway):
    gateway = make_gateway(rolloutd={"backends": {"default": {"check_s": 0}}}).start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    gateway.server.request("DELETE", "/test/calls")
    gateway.server.post("/v2/repository/models/m__r1/unload", {})
    gateway.make_model("other", "other")
    gateway.deploy("other")  # time passes
    assert not [call for call in gateway.server.get("/test/calls").json if call["path"] == "/v2/repository/index"]
    assert state_of(gateway, "m")["state"] == "deployed" and gateway.infer("m") is None


# It dies, hangs or talks nonsense while it is asked for something.

def test_a_server_that_dies_in_the_middle_of_a_load_gets_it_again(gateway, m):
    gateway.serve_blue(m)
    gateway.set_faults({"kind": "slow_load", "model": f"{m}__r2", "ms": 60000})
    task = gateway.start_deployment(m)
    wait_until(lambda: gateway.server.get("/test/models").json.get(f"{m}__r2", {}).get("state") == "LOADING", "the load")
    restart_empty(gateway)
    done = gateway.wait(task, status="completed")
    load = next(step for step in done["metadata"]["steps"] if step["name"] == "load")
    assert load["attempts"] > 1
    assert gateway.infer(m) == "green"


def test_a_load_that_takes_longer_than_allowed_leaves_blue(gateway, m):
    gateway.serve_blue(m)
    gateway.set_faults({"kind": "slow_load", "model": f"{m}__r2", "ms": 60000})
    task = gateway.start_deployment(m, ready_timeout_s=1)
    wait_until(lambda: gateway.task(task)["metadata"]["step"] == "rollback", "the way back")
    # The server goes on loading, and only then can be told to unload.
    wait_until(lambda: any(call["path"].endswith(f"{m}__r2/unload") for call in gateway.server.get("/test/calls").json), "the unload")
    gateway.server.request("DELETE", "/test/faults")
    failed = gateway.wait(task, status="failed")
    load = next(step for step in failed["metadata"]["steps"] if step["name"] == "load")
    assert load["state"] == "failed" and "is currently loading or unloading" in load["detail"]
    only_blue_serves(gateway, m)


@pytest.mark.parametrize("fault, words", [
    ({"kind": "html", "route": "load"}, "502 Bad Gateway"),
    ({"kind": "html", "route": "load", "status": 200}, "HTTP 200, 200 Error"),
    ({"kind": "html", "route": "ready", "status": 200}, "HTTP 200, 200 Error"),
    ({"kind": "html", "route": "infer", "status": 200}, "without outputs: 200 Error"),
    ({"kind": "stalled", "route": "load"}, "did not answer within 1 s"),
    ({"kind": "stalled", "route": "infer"}, "did not answer within 1 s"),
    ({"kind": "endless", "route": "load"}, "answered with more than 1.0 MiB"),
    ({"kind": "endless", "route": "load", "status": 500}, "answered with more than 1.0 MiB"),
    ({"kind": "endless", "route": "ready"}, "answered with more than 1.0 MiB"),
    ({"kind": "endless", "route": "infer"}, "answered with more than 16.0 MiB"),
    ({"kind": "failed_infer"}, "injected"),
], ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "")
def test_nonsense_in_an_answer_fails_green_and_leaves_blue(gateway, m, fault, words):
    """Says that it is ready and then fails, answers with a page, never finishes a body, sends 10 GB."""
    gateway.serve_blue(m)
    gateway.set_faults({**fault, "model": f"{m}__r2"})
    most_s = 60 if fault["kind"] == "endless" and fault["route"] != "ready" else 1  # for some MiB, and not for an answer that never comes
    failed = gateway.wait(gateway.start_deployment(m, ready_timeout_s=most_s, **SMOKE), status="failed")
    gateway.set_faults()
    assert words in failed["detail"], failed["detail"]
    only_blue_serves(gateway, m)


def test_an_inference_may_answer_16_mib_and_no_more(gateway, m):
    smoke = {"request": {"inputs": []}}
    gateway.make_model(m, "x")
    gateway.deploy(m)
    around = len(gateway.server.post(f"/v2/models/{m}__r1/infer", {"inputs": []}).body) - 1
    most = "x" * (2**24 - around)
    gateway.make_model(m, most)
    gateway.wait(gateway.start_deployment(m, smoke=smoke), status="completed")
    gateway.make_model(m, most + "x")
    failed = gateway.wait(gateway.start_deployment(m, smoke=smoke), status="failed")
    assert "answered with more than 16.0 MiB" in failed["detail"]
    assert gateway.infer(m) == most


@pytest.mark.parametrize("kind", ["html", "endless"])
def test_nonsense_for_an_unload_is_no_proof_that_the_model_is_gone(gateway, m, kind):
    """Its files stay until the server itself says so."""
    gateway.serve_blue(m)
    task = gateway.start_deployment(m, steps=[{"weight": 50, "hold_s": 600}, {"weight": 100}])
    gateway.await_weight(task, 50)
    gateway.set_faults(*[{"kind": kind, "status": 200, "route": route} for route in ("unload", "index", "ready")])
    gateway.request("POST", f"/deploy/{task['task_id']}/promote")
    wait_until(lambda: gateway.task(task)["metadata"]["step"] == "retire", "the retirement")
    wait_until(lambda: [one for one in gateway.server.get("/test/faults").json["faults"] if one["route"] == "index"][0]["taken"] > 2,
               "the looks at the index")
    assert {f"{m}__r1", f"{m}__r2"} <= set(gateway.files())
    gateway.set_faults()
    gateway.wait(task, status="completed")
    gateway.deploy(m)  # takes away what had to be left
    assert [name for name in gateway.loaded() if name.startswith(f"{m}__")] == [f"{m}__r3"]
    assert [name for name in gateway.files() if name.startswith(f"{m}__")] == [f"{m}__r3"]
    assert gateway.violations() == []


def test_a_look_that_gets_nonsense_finds_nothing_lost_and_takes_no_memory(gateway, m):
    gateway.serve_blue(m)
    gateway.deploy(m)
    before = resident_kib(gateway.rolloutd.pid)
    gateway.server.request("DELETE", "/test/calls")
    for fault in ({"kind": "endless"}, {"kind": "html", "status": 200}, {"kind": "html"}, {"kind": "restricted"}, {"kind": "dropped"}):
        gateway.set_faults({**fault, "route": "index"}, {**fault, "route": "ready"})
        wait_until(lambda: sum(one["taken"] for one in gateway.server.get("/test/faults").json["faults"]) >= 2, "two looks")
    assert state_of(gateway, m)["state"] == "unreachable" and gateway.infer(m) == "green"  # it is not known, and not lost
    gateway.set_faults()
    wait_until(lambda: state_of(gateway, m)["state"] == "deployed", "a look that is answered")
    assert gateway.infer(m) == "green"
    assert not [call for call in gateway.server.get("/test/calls").json if call["path"].endswith("/load")]
    assert resident_kib(gateway.rolloutd.pid) < before + 100 * 1024


def test_a_model_that_says_ready_and_then_fails_loses_its_traffic(gateway, m):
    gateway.serve_blue(m)
    gateway.set_faults({"kind": "failed_infer", "model": f"{m}__r2"})
    with Traffic(gateway, m):
        task = gateway.start_deployment(m, steps=[{"weight": 50, "hold_s": 60}, {"weight": 100}],
                                        gate={"min_requests": 20, "max_error_rate": 0.1})
        failed = gateway.wait(task, status="failed")
    assert "max_error_rate" in failed["detail"]
    gateway.set_faults()
    only_blue_serves(gateway, m)
