"""No request reaches a path or an address outside of what the configuration allows.

Two holes of model servers are the pattern: TorchServe's CVE-2023-43654, whose management API took a model from any URL, and
Triton's CVE-2023-31036, whose load call wrote files to any path."""

import base64
import json
import os

import pytest

from ending import finish
from file_server import FileServer
from gateway import Gateway
from listener import Listener


@pytest.fixture(scope="module")
def trap():
    """Listens where nobody should call."""
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def web():
    """A web server of which a folder is allowed."""
    server = FileServer()
    server.add("public/model.json", b'{"kind": "echo", "answer": "public"}')
    server.add("secret/model.json", b'{"kind": "echo", "answer": "the secret"}')
    server.add("publicx/model.json", b'{"kind": "echo", "answer": "the secret"}')
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(request, web):
    made = Gateway()
    made.rolloutd.config["artifacts"]["allow"].append(web.url("public/"))
    made.rolloutd.config["artifacts"]["require_sha256"] = False
    try:
        yield made.start()
    finally:
        finish(request, made)


@pytest.fixture
def secret(gateway):
    """A file outside of what is allowed, and what it holds."""
    folder = gateway.home / "secret"
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1/model.json").write_text(json.dumps({"kind": "echo", "answer": "the secret"}))
    return folder


def refuses(gateway, config, model="m"):
    """The deployment comes to nothing; what it said."""
    loaded = gateway.loaded()
    answer = gateway.post("/deploy", {"model_id": model, "config": config})
    if answer.status != 200:
        said = answer.problem(422)["detail"] + json.dumps(answer.json.get("errors", ""))
    else:
        task = gateway.wait(answer.json)
        assert task["status"] in ("failed", "refused"), task
        assert [step["name"] for step in task["metadata"]["steps"] if step["state"] == "done"] == ["rollback"], task
        said = task["detail"]
    assert gateway.loaded() == loaded
    assert not (gateway.home / "repository" / model).exists() and "the secret" not in gateway.rolloutd.text()
    gateway.get(f"/v2/models/{model}/ready").problem(404)
    return said


# CVE-2023-43654: where a model comes from.

ADDRESSES = [
    "http://127.0.0.1:{port}/m.tar.gz", "https://127.0.0.1:{port}/m.tar.gz", "http://localhost:{port}/m", "HTTP://127.0.0.1:{port}/m",
    "http://127.1:{port}/m", "http://2130706433:{port}/m", "http://0x7f000001:{port}/m", "http://[::ffff:127.0.0.1]:{port}/m",
    "http://0.0.0.0:{port}/m", "http://user:password@127.0.0.1:{port}/m", "http://models.example.com@127.0.0.1:{port}/m",
    "http://169.254.169.254/latest/meta-data/", "ftp://127.0.0.1:{port}/m", "gopher://127.0.0.1:{port}/_x", "dict://127.0.0.1:{port}/x",
    "tftp://127.0.0.1:{port}/m", "s3://127.0.0.1:{port}/m", "//127.0.0.1:{port}/m", "\\\\127.0.0.1@{port}\\m", "127.0.0.1:{port}/m",
    "file://127.0.0.1:{port}/m", "data:application/json,x", "jar:http://127.0.0.1:{port}/m!/x",
]


@pytest.mark.parametrize("source", ADDRESSES)
def test_a_model_is_taken_from_no_other_address(gateway, trap, source):
    said = refuses(gateway, {"source": source.format(port=trap.port)})
    assert "source" in said
    refuses(gateway, {"parts": {"query": {"source": source.format(port=trap.port)}}})
    assert trap.visits == 0


PLACES = ["secret/model.json", "publicx/model.json", "public/../secret/model.json", "public/%2e%2e/secret/model.json",
          "public/..%2fsecret/model.json", "public//../secret/model.json", "public/./../secret/model.json", "public/..\\secret/model.json",
          "public/..;/secret/model.json"]


@pytest.mark.parametrize("place", PLACES)
def test_of_an_allowed_web_server_nothing_outside_of_the_prefix_is_asked_for(gateway, web, place):
    refuses(gateway, {"source": web.url(place)})
    assert web.files["secret/model.json"].requests == web.files["publicx/model.json"].requests == []


@pytest.mark.parametrize("source", ["http://127.0.0.1:{web}@127.0.0.1:{trap}/public/model.json", "http://127.0.0.1:{trap}/public/model.json",
                                    "http://127.0.0.1:{trap}#@127.0.0.1:{web}/public/model.json", "https://127.0.0.1:{web}/public/model.json",
                                    "http://127.0.0.1:{web}/public/model.json#x", "http://127.0.0.1:{trap}\\@127.0.0.1:{web}/public/model.json",
                                    "http://127.0.0.1:{trap}%2f@127.0.0.1:{web}/public/model.json", "http://x:{web}/public/model.json"])
def test_what_looks_like_the_allowed_web_server_is_not_it(gateway, web, trap, source):
    before = len(web.files["public/model.json"].requests)
    refuses(gateway, {"source": source.format(web=web.port, trap=trap.port)})
    assert trap.visits == 0 and len(web.files["public/model.json"].requests) == before


@pytest.mark.parametrize("location", ["http://127.0.0.1:{trap}/model.json", "//127.0.0.1:{trap}/model.json", "file:///etc/passwd", "../secret/model.json",
                                      "/secret/model.json", "http://169.254.169.254/latest/meta-data", "ftp://127.0.0.1:{trap}/model.json",
                                      "http://localhost:{trap}/model.json", "http://127.0.0.1:{web}/public/%2e%2e/secret/model.json",
                                      "http://127.0.0.1:{web}@127.0.0.1:{trap}/public/model.json", "gopher://127.0.0.1:{trap}/_x"])
def test_an_allowed_web_server_leads_nowhere_else(gateway, web, trap, location):
    web.add("public/leads.json", b"", location=location.format(web=web.port, trap=trap.port))
    refuses(gateway, {"source": web.url("public/leads.json")})
    assert trap.visits == 0 and web.files["secret/model.json"].requests == []


def test_what_is_allowed_is_fetched(gateway, web):
    """The others are refused for what they are, not because nothing goes."""
    gateway.deploy("public", source=web.url("public/model.json"))
    assert gateway.infer("public") == "public"
    gateway.delete("public")


PATHS = [
    "file://{home}/secret", "file://{home}/secret/1/model.json", "file://{home}/models/../secret", "file://{home}/models/./../secret",
    "file://{home}/models/%2e%2e/secret", "file://{home}/models/%2E%2E%2Fsecret", "file://{home}/models/..%2fsecret",
    "file://{home}/models/%252e%252e/secret", "file://{home}/models/x/../../secret", "file://{home}/models//../secret",
    "file://{home}/models", "file://{home}/models/", "file://{home}/modelsx", "file://localhost{home}/secret", "file:{home}/secret",
    "file:///etc/passwd", "file:///proc/self/environ", "file:///dev/zero", "file:///", "FILE://{home}/secret", "{home}/secret",
    "../secret", "file://{home}/models/\u2024\u2024/secret", "file://{home}/models/..\\secret", "file://{home}/models/link",
    "file://{home}/models/linked/1/model.json", "file://{home}/models/folder-with-link", "file://{home}/models/fifo",
]


@pytest.mark.parametrize("source", PATHS)
def test_a_model_is_taken_from_no_other_path(gateway, secret, source):
    models = gateway.home / "models"
    for link in ("link", "linked"):
        if not (models / link).is_symlink():
            (models / link).symlink_to(secret)
    (models / "folder-with-link/1").mkdir(parents=True, exist_ok=True)
    if not (models / "folder-with-link/1/model.json").is_symlink():
        (models / "folder-with-link/1/model.json").symlink_to(secret / "1/model.json")
    if not (models / "fifo").exists():
        os.mkfifo(models / "fifo")
    refuses(gateway, {"source": source.format(home=gateway.home)})


# Names: what becomes a path of the repository, of the server's API or of the gateway's.

NAMES = ["../x", "..", ".", "x/../../y", "/etc", "x/y", "x\\y", "%2e%2e", "x%2fy", "x\u0000y", "x\ny", " x", "-x", ".x", "x..y", "file:x",
         "x" * 129, "\u2025", "~", "$HOME", "{revision}"]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_a_path(gateway, name):
    before = sorted(str(path) for path in gateway.home.rglob("*") if "body" not in str(path))
    gateway.post("/deploy", {"model_id": name}).problem(422)
    gateway.post("/delete", {"model_id": name}).problem(422)
    gateway.post("/deploy", {"model_id": "m", "config": {"parts": {name: {}}}}).problem(400 if "\0" in name else 422)
    if name not in ("-x", "x" * 129):
        gateway.post("/deploy", {"model_id": "m", "task_id": name}).problem(422)
        gateway.post("/deploy", {"model_id": "m", "parent_id": name}).problem(422)
    gateway.post("/deploy", {"model_id": "m", "config": {"backend": name}}).problem(422)
    after = sorted(str(path) for path in gateway.home.rglob("*") if "body" not in str(path))
    assert [path for path in after if path not in before and "journal" not in path] == []


@pytest.mark.parametrize("path", ["/deploy/../models", "/deploy/..%2fmodels", "/deploy/%2e%2e", "/deploy/t/../../models", "/deploy/t%00",
                                  "/deploy-status/..%2f..%2fetc", "/deploy-status/%2e%2e%2fx", "/delete/%252e%252e"])
def test_no_route_is_a_path(gateway, path):
    assert gateway.get(path).status in (200, 400, 404), path
    assert b"root:" not in gateway.get(path).body


# CVE-2023-31036: what goes into the load call.

SMUGGLED = [
    {"file:1/model.json": base64.b64encode(b"{}").decode()},
    {"parameters": {"file:../../../../tmp/x": base64.b64encode(b"x").decode()}},
    {"default_model_filename": "../../secret/1/model.json"},
    {"default_model_filename": "/etc/passwd"},
    {"backend": "../../tmp/evil"},
    {"model_operations": {"op_library_filename": ["/tmp/evil.so"]}},
    {"parameters": {"EXECUTION_ENV_PATH": {"string_value": "/tmp/evil.tar.gz"}}},
    {"model_repository_agents": {"agents": [{"name": "fetch"}]}},
]


@pytest.mark.parametrize("triton", SMUGGLED, ids=lambda value: next(iter(value)))
def test_a_load_call_carries_no_files_and_names_none_elsewhere(gateway, triton):
    gateway.make_model("smuggler", "x")
    said = refuses(gateway, {"triton": triton}, "smuggler")
    assert "/config/triton/" in said
    refuses(gateway, {"parts": {"query": {"triton": triton}}}, "smuggler")


def test_a_load_call_carries_a_models_configuration(gateway):
    """And the model that comes of it is the one that was staged."""
    gateway.make_model("configured", "mine")
    gateway.deploy("configured", triton={"name": "../other", "max_batch_size": 1} | {"name": "other"})
    assert gateway.infer("configured") == "mine" and "other" not in gateway.loaded()
    gateway.delete("configured")


def test_members_beside_the_known_ones_reach_no_server(gateway, trap):
    """Words that other servers' APIs take: a task's own parameters here, kept and handed to hooks."""
    gateway.make_model("plain", "mine")
    strange = {"url": f"http://127.0.0.1:{trap.port}/m", "model_path": "/etc/passwd", "file:1/model.json": "aGk=", "repository": "/etc"}
    task = gateway.deploy("plain", **strange)
    assert strange.items() <= task["metadata"]["config"].items()
    assert gateway.infer("plain") == "mine" and trap.visits == 0
    gateway.delete("plain")


def test_a_thousand_faults_are_one_short_answer(gateway):
    gateway.make_model("m", "x")
    config = {"triton": {"a": [".."] * 6000}}
    problem = gateway.post("/deploy", {"model_id": "m", "config": config}).problem(422)
    assert len(problem["errors"]) == 32
    key = "k" * 5000
    problem = gateway.post("/deploy", {"model_id": "m", "config": {"triton": {key: {"b": ".."}}}}).problem(422)
    assert problem["errors"][0]["pointer"] == "/config/triton"


def test_hooks_are_the_operators(gateway, trap):
    hooks = {"before_stage": [{"url": f"http://127.0.0.1:{trap.port}/"}, {"command": ["/bin/sh", "-c", "id"]}]}
    said = refuses(gateway, {"rollout": {"hooks": hooks}})
    assert "/config/rollout/hooks" in said and trap.visits == 0
