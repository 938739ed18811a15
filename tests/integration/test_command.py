"""A backend that is a program: rolloutd asks it for each operation, here a script that keeps its server's state in a folder."""

import json
import sys

import pytest

from processes import wait_until

# The "server" is the folder of the files that the program has loaded; a file `answers/OPERATION` holds what it is to do instead:
# an exit status and words.
PROGRAM = """\
#!{python}
import json, pathlib, shutil, sys
home = pathlib.Path(sys.argv[1])
asked = json.load(sys.stdin)
with open(home / "asked", "a") as log:
    log.write(json.dumps(asked) + "\\n")
planned = home / "answers" / asked["operation"]
if planned.exists():
    status, words = json.loads(planned.read_text())
    planned.unlink()
    print(words, file=sys.stderr)
    sys.exit(status)
loaded = home / "loaded" / asked["model"]
path = pathlib.Path(asked["path"])
match asked["operation"]:
    case "stage":
        sys.exit(0 if (path / "1/model.json").is_file() else 3)
    case "load":
        shutil.copytree(path, loaded, dirs_exist_ok=True)
    case "ready":
        sys.exit(0 if loaded.exists() else 1)
    case "unload":
        shutil.rmtree(loaded, ignore_errors=True)
    case "remove":
        sys.exit(4 if loaded.exists() else 0)
"""


@pytest.fixture(params=["staging", "repository"])
def driven(request, make_gateway):
    gateway = make_gateway()
    (gateway.home / "answers").mkdir()
    program = gateway.home / "serve"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    backend = {"type": "command", "command": [str(program), str(gateway.home)], "upstream": "inference", "timeout_s": 30}
    if request.param == "staging":
        backend["staging"] = str(gateway.home / "repository.staging")
    else:
        backend["repository"] = str(gateway.home / "repository")
    gateway.rolloutd.config["backends"] = {"default": backend}
    gateway.rolloutd.config["limits"] = {"retries": 1}
    return gateway.start()


def asked(gateway):
    log = gateway.home / "asked"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def plan(gateway, operation, status, words=""):
    (gateway.home / "answers" / operation).write_text(json.dumps([status, words]))


def loaded(gateway):
    folder = gateway.home / "loaded"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_model_is_deployed_replaced_and_deleted(driven):
    driven.make_model("m", "x")
    driven.deploy("m", triton={"max_batch_size": 2})
    first = asked(driven)
    assert [one["operation"] for one in first] == ["stage", "load", "ready"]
    assert all((one["model"], one["model_id"], one["revision"], one["backend"]) == ("m__r1", "m", 1, "default") for one in first)
    assert not any("parts" in one for one in first)
    assert first[1]["config"] == {"max_batch_size": 2}
    assert loaded(driven) == driven.files() == ["m__r1"]
    driven.deploy("m")
    assert [one["operation"] + " " + one["model"] for one in asked(driven)[3:]] == [
        "stage m__r2", "load m__r2", "ready m__r2", "unload m__r1", "remove m__r1"]
    assert loaded(driven) == driven.files() == ["m__r2"]
    driven.delete("m")
    assert loaded(driven) == driven.files() == []


def test_the_program_is_told_which_parts_a_model_stands_for(driven):
    sources = [driven.make_model(name, name) for name in ("one", "other")]
    driven.rolloutd.config["backends"]["default"]["model_name"] = "{model_id}__{part}__r{revision}"
    driven.rolloutd.stop()
    driven.rolloutd.start()
    driven.await_link()
    driven.deploy("m", parts={"query": {"source": sources[0]}, "items": {"source": sources[0]}, "images": {"source": sources[1]}})
    stages = {one["model"]: one for one in asked(driven) if one["operation"] == "stage"}
    assert {model: one["parts"] for model, one in stages.items()} == {
        "m__query__r1": ["query", "items"], "m__images__r1": ["images"]}
    assert all((one["model_id"], one["revision"]) == ("m", 1) for one in asked(driven))
    driven.delete("m")
    assert {(one["operation"], one["revision"], *one["parts"]) for one in asked(driven)} >= {
        ("unload", 1, "images"), ("remove", 1, "query", "items")}


def test_a_program_that_fails_fails_the_deployment_with_its_words(driven):
    driven.make_model("m", "x")
    plan(driven, "load", 2, "starting\nno such device: gpu7")
    task = driven.deploy("m", "failed")
    assert f"Step load failed: could not load m__r1 by {driven.home}/serve: exit status 2, starting no such device: gpu7." in task["detail"]
    assert [one["operation"] for one in asked(driven)] == ["stage", "load", "unload", "remove"]
    assert loaded(driven) == driven.files() == []


def test_what_may_pass_is_tried_again(driven):
    driven.make_model("m", "x")
    plan(driven, "load", 75, "busy")
    plan(driven, "ready", 1, "warming up")
    task = driven.deploy("m")
    assert [one["operation"] for one in asked(driven)] == ["stage", "load", "load", "ready", "ready"]
    assert next(step for step in task["metadata"]["steps"] if step["name"] == "load")["attempts"] == 2


def test_a_stop_of_rolloutd_ends_the_program_and_the_next_start_runs_it_again(driven):
    driven.make_model("m", "x")
    driven.rolloutd.stop()
    program = driven.home / "serve"
    script = program.read_text()
    program.write_text("#!/bin/sh\n: > " + str(driven.home / "began") + "\nexec sleep 600\n")
    driven.rolloutd.start()
    driven.await_link()
    task = driven.post("/deploy", {"model_id": "m"}).task()
    wait_until(lambda: (driven.home / "began").exists(), "the program")
    assert driven.rolloutd.stop() == 0
    program.write_text(script)
    driven.rolloutd.start()
    driven.wait(task, status="completed")


def test_a_smoke_test_is_refused(driven):
    config = {"rollout": {"smoke": {"request": {"inputs": []}}}}
    problem = driven.post("/deploy", {"model_id": "m", "config": config}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/config/rollout/smoke"]
