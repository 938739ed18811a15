"""conf/embedding-studio as it stands, but for its paths and ports: EmbeddingStudio's API, words and names, on a Triton that polls."""
import json
import re

import pytest

from gateway import Gateway, answer_of
from processes import ROOT

API = "/internal/inference-deployment"
FIELDS = {"id", "status", "detail", "created_at", "updated_at", "embedding_model_id", "metadata"}


@pytest.fixture(scope="module")
def gateway():
    conf = (ROOT / "conf/embedding-studio/nginx.conf").read_text()
    locations = re.search(r"listen 8080;\n(.*)\n    }\n}", conf, re.S).group(1)
    maps = "".join(re.findall(r"map \$named .*?\n    }\n", conf, re.S))
    made = Gateway(inference={"control": "poll", "poll_secs": 0.1},
                   nginx={"http": maps, "locations": locations.replace("http://triton", "http://inference")})
    config = json.loads((ROOT / "conf/embedding-studio/rolloutd.json").read_text())
    mine = made.rolloutd.config
    backend = config["backends"]["default"] | mine["backends"]["default"]
    made.rolloutd.config = config | {name: mine[name] for name in ("listen", "journal")} | {"backends": {"default": backend}}
    made.rolloutd.config["artifacts"] = {"source": f"file://{made.home}/models/{{model_id}}/{{part}}", "allow": [f"file://{made.home}/models/"]}
    made.inference.start()
    made.rolloutd.start()
    made.nginx.start()
    made.api = API
    made.await_link()
    yield made
    assert all(status == 0 for _, status in made.close())


def make_encoders(gateway, model):
    for part in ("query", "items"):
        folder = gateway.home / "models" / model / part / "1"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"kind": "echo", "answer": f"{model} {part}"}))


def wait(gateway, task, kind="deploy"):
    answer = gateway.get(f"{API}/{kind}/{task['id']}?wait=60")
    assert answer.status == 200 and FIELDS <= answer.json.keys()
    return answer.json


def test_a_model_goes_all_its_way(gateway):
    make_encoders(gateway, "123")
    config = {"plugin": "TextToImage", "parts": {"query": {}, "items": {}}}
    task = gateway.post(f"{API}/deploy", {"embedding_model_id": "123", "config": config}).json
    assert FIELDS <= task.keys() and task["status"] in ("pending", "processing", "done")
    assert task["embedding_model_id"] == "123"
    task = wait(gateway, task)
    assert task["status"] == "done", task
    assert gateway.loaded() == ["TextToImage_123_items", "TextToImage_123_query"]
    assert gateway.get(f"{API}/deploy-status/123").json["id"] == task["id"]
    for part in ("query", "items"):
        assert answer_of(gateway.post(f"/v2/models/123/{part}/infer", {"inputs": []})) == f"123 {part}"
        assert answer_of(gateway.post(f"/v2/models/TextToImage_123_{part}/infer", {"inputs": []})) == f"123 {part}"

        metadata = gateway.get(f"/v2/models/TextToImage_123_{part}")
        assert metadata.status == 200 and gateway.get(f"/v2/models/TextToImage_123_{part}/ready").status == 200
    # Clients get no further than to what is deployed, whatever the server has beside.
    for name in ("secret", "TextToImage_123_other", "TextToImage_124_query", "123_query", "_query"):
        gateway.post(f"/v2/models/{name}/infer", {"inputs": []}).problem(404)
        gateway.get(f"/v2/models/{name}").problem(404)
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert gateway.get(path).status == 200

    # Its names have no revision: what is deployed is deployed once.
    again = wait(gateway, gateway.post(f"{API}/deploy", {"embedding_model_id": "123", "config": config}).json)
    assert again["status"] == "refused" and "delete the model first" in again["detail"]

    task = gateway.post(f"{API}/delete", {"embedding_model_id": "123"}).json
    assert wait(gateway, task, "delete")["status"] == "done"
    assert gateway.get(f"{API}/delete-status/123").json["status"] == "done"
    assert gateway.loaded() == [] and gateway.files() == [] and gateway.violations() == []
    gateway.post("/v2/models/123/query/infer", {"inputs": []}).problem(404)
    gateway.post("/v2/models/TextToImage_123_query/infer", {"inputs": []}).problem(404)
    gone = wait(gateway, gateway.post(f"{API}/delete", {"embedding_model_id": "123"}).json, "delete")
    assert gone["status"] == "refused"


def test_what_the_names_need_is_asked_for_at_once(gateway):
    problem = gateway.post(f"{API}/deploy", {"embedding_model_id": "5", "config": {"parts": {"query": {}}}}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/config/plugin"]
    problem = gateway.post(f"{API}/deploy", {"embedding_model_id": "5", "config": {"plugin": "x"}}).problem(422)
    assert {error["pointer"] for error in problem["errors"]} == {"/config/parts"}


def test_a_model_that_fails_says_so_in_its_words(gateway):
    task = wait(gateway, gateway.post(f"{API}/deploy", {"embedding_model_id": "nowhere",
                                                        "config": {"plugin": "x", "parts": {"query": {}}}}).json)
    assert task["status"] == "failed" and "nowhere/query" in task["detail"]
