"""rolloutd.json: settings for single models, and the file read again at SIGHUP."""

import json
import signal

from processes import merge, wait_until


def lines_with(gateway, text, since=0):
    return [line for line in gateway.rolloutd.lines(since) if text in line["message"]]


def reload(gateway, changes=None, text=None, said="The configuration was reloaded"):
    """Writes the file, with changes or as that text, and returns what rolloutd said to it once it said so."""
    merge(gateway.rolloutd.config, changes or {})
    gateway.rolloutd.config_file.write_text(json.dumps(gateway.rolloutd.config) if text is None else text)
    since = len(gateway.rolloutd.text())
    gateway.rolloutd.send_signal(signal.SIGHUP)
    wait_until(lambda: lines_with(gateway, said, since), f"the log's {said!r}")
    return gateway.rolloutd.lines(since)


def test_a_models_own_settings_apply_and_protect_it(make_gateway):
    gateway = make_gateway(rolloutd={"models": {"search-*": {"protect": True, "rollout": {"old": "archive", "keep_revisions": 1}}}})
    gateway.start()
    for model in ("search-1", "other"):
        for answer in "123":
            gateway.make_model(model, answer)
            gateway.deploy(model)
    assert gateway.loaded() == ["other__r3", "search-1__r3"]
    assert gateway.files() == ["other__r3", "search-1__r2", "search-1__r3"]
    task = gateway.delete("search-1", "refused")
    assert "search-1 is protected" in task["detail"] and '"search-*"' in task["detail"]
    assert gateway.infer("search-1") == "3"

    said = reload(gateway, {"models": {"search-*": {"protect": False}}})
    assert said[-1]["changed"] == "1 entry of models changed"
    gateway.delete("search-1")
    assert gateway.loaded() == gateway.files() == ["other__r3"]


def test_a_faulty_file_changes_nothing_and_every_fault_is_named(make_gateway):
    gateway = make_gateway()
    gateway.start()
    gateway.make_model("m", "1")
    stays = "The configuration is unchanged"
    wrong = {**gateway.rolloutd.config, "models": {"m": {"backend": "none"}}, "limits": {"max_queue": -1, "max_deployed_models": 0}}
    said = [line["message"] for line in reload(gateway, text=json.dumps(wrong), said=stays)]
    assert any("/models/m/backend: must be the name of a backend" in line for line in said), said
    assert any("/limits/max_queue: " in line for line in said), said
    program = {"type": "command", "command": ["/bin/true"], "upstream": "inference", "staging": "/srv/staging"}
    wrong = {**gateway.rolloutd.config, "rollout": {"smoke": {"request": {}}},
             "backends": {**gateway.rolloutd.config["backends"], "program": program}}
    said = [line["message"] for line in reload(gateway, text=json.dumps(wrong), said=stays)]
    assert any("/rollout/smoke: is an inference, which backend program cannot be asked for" in line for line in said), said
    reload(gateway, text="{", said=stays)
    gateway.rolloutd.config_file.unlink()
    reload_without_a_file(gateway, stays)
    gateway.deploy("m")
    assert gateway.infer("m") == "1"


def reload_without_a_file(gateway, said):
    since = len(gateway.rolloutd.text())
    gateway.rolloutd.send_signal(signal.SIGHUP)
    wait_until(lambda: lines_with(gateway, said, since), f"the log's {said!r}")
    assert lines_with(gateway, "cannot be read", since)


def test_what_takes_a_restart_stays_as_it_was(make_gateway):
    gateway = make_gateway()
    gateway.start()
    said = [line["message"] for line in reload(gateway, {
        "listen": {"path": str(gateway.home / "other.sock")}, "journal": {"path": str(gateway.home / "other.db")}})]
    assert any(line.startswith("/listen/path takes effect after a restart") for line in said), said
    assert any(line.startswith("/journal/path takes effect after a restart") for line in said), said
    assert not (gateway.home / "other.sock").exists() and not (gateway.home / "other.db").exists()
    gateway.make_model("m", "1")
    gateway.deploy("m")


def test_a_running_task_keeps_the_settings_with_which_it_started(make_gateway):
    gateway = make_gateway(rolloutd={"rollout": {"steps": [{"weight": 50, "hold_s": 3}]}})
    gateway.start()
    gateway.make_model("m", "1")
    gateway.deploy("m")
    gateway.make_model("m", "2")
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: gateway.get(f"/deploy/{task['task_id']}").task()["metadata"]["traffic_weight"] == 50, "the first weight")

    # In use: refused at once, and the same task when it is asked for again.
    refused = gateway.post("/delete", {"model_id": "m", "task_id": "too-early"}, Prefer="wait=60").task()
    assert refused["status"] == "refused" and f"in use by deployment task {task['task_id']}" in refused["detail"]
    assert gateway.get("/delete/too-early").task() == refused
    assert gateway.get(f"/deploy/{task['task_id']}").task()["status"] == "in_progress"

    # Its backend goes away from the file: the task under way ends well, the next one cannot begin.
    there = gateway.rolloutd.config["backends"]["default"]
    reload(gateway, {"backends": {"default": None, "elsewhere": {**there, "repository": str(gateway.home / "elsewhere")}}})
    assert any("1 model stands there: m" in line["message"] for line in gateway.rolloutd.lines())
    gateway.wait(task, "deploy", "completed")
    assert gateway.infer("m") == "2"
    assert gateway.loaded() == gateway.files() == ["m__r2"]
    failed = gateway.delete("m", "failed")
    assert 'no backend "default" any more' in failed["detail"], failed
    assert gateway.post("/delete", {"model_id": "m", "task_id": "too-early"}).task() == refused

    reload(gateway, {"backends": {"default": there, "elsewhere": None}})
    gateway.delete("m")
    assert gateway.loaded() == gateway.files() == []
