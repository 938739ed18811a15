"""A model of several parts: staged, loaded, shifted and retired as one revision; each part has a route of its own."""
import threading

from gateway import Client, answer_of
from processes import wait_until

ROLLOUTD = {"backends": {"default": {"model_name": "{model_id}_{part}__r{revision}"}}}
NGINX = {"locations": """
        location ~ ^/((deploy|delete)(-status)?|models)(/|$) { rollout_api; }

        location ~ ^/v2/models/(?<model>[^/]+)/(?<part>query|items)(?<rest>/.*)?$ {
            rollout_route $model part=$part preview=$http_x_rollout_preview;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
        }
        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/infer)$ {
            rollout_route $model;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }
"""}


def ask(gateway, model, part, **headers):
    return answer_of(gateway.post(f"/v2/models/{model}/{part}/infer", {"inputs": []}, **headers))


def deploy(gateway, model, status="completed", **sources):
    parts = {part: {"source": gateway.make_model(name, name)} for part, name in sources.items()}
    return gateway.deploy(model, status, parts=parts)


def test_parts_go_together(gateway):
    deploy(gateway, "a", query="q1", items="i1")
    assert (ask(gateway, "a", "query"), ask(gateway, "a", "items")) == ("q1", "i1")
    gateway.post("/v2/models/a/infer", {"inputs": []}).problem(404)

    failures, stop = [], threading.Event()

    def traffic(part):
        client = Client(gateway.nginx.port)
        while not stop.is_set():
            answer = client.post(f"/v2/models/a/{part}/infer", {"inputs": []})
            if answer.status != 200:
                failures.append(answer)

    clients = [threading.Thread(target=traffic, args=(part,)) for part in ("query", "items")]
    for client in clients:
        client.start()
    deploy(gateway, "a", query="q2", items="i2")
    stop.set()
    for client in clients:
        client.join()
    assert failures == []
    assert (ask(gateway, "a", "query"), ask(gateway, "a", "items")) == ("q2", "i2")
    assert [name for name in gateway.loaded() if name.startswith("a_")] == ["a_items__r2", "a_query__r2"]
    assert gateway.violations() == []
    gateway.delete("a")
    assert [name for name in gateway.loaded() if name.startswith("a_")] == []
    gateway.post("/v2/models/a/query/infer", {"inputs": []}).problem(404)


def test_parts_of_one_source_share_one_copy(gateway):
    deploy(gateway, "b", query="one", items="one")
    assert (ask(gateway, "b", "query"), ask(gateway, "b", "items")) == ("one", "one")
    assert [name for name in gateway.loaded() if name.startswith("b_")] == ["b_query__r1"]


def test_one_part_that_does_not_load_fails_all(gateway):
    deploy(gateway, "c", query="cq", items="ci")
    parts = {"query": {"source": gateway.make_model("cq2", "cq2")},
             "items": {"source": gateway.make_model("ci2", "ci2", faults=[{"kind": "failed_load", "error": "no memory"}])}}
    task = gateway.deploy("c", "failed", parts=parts)
    assert "no memory" in task["detail"]
    assert (ask(gateway, "c", "query"), ask(gateway, "c", "items")) == ("cq", "ci")
    assert [name for name in gateway.loaded() if name.startswith("c_")] == ["c_items__r1", "c_query__r1"]


def test_a_part_may_come_and_go(gateway):
    deploy(gateway, "d", query="dq")
    gateway.post("/v2/models/d/items/infer", {"inputs": []}).problem(404)
    deploy(gateway, "d", query="dq", items="di")
    assert (ask(gateway, "d", "query"), ask(gateway, "d", "items")) == ("dq", "di")
    deploy(gateway, "d", items="di")
    assert ask(gateway, "d", "items") == "di"
    gateway.post("/v2/models/d/query/infer", {"inputs": []}).problem(404)


def test_wrong_parts_are_refused_at_submission(gateway):
    def pointers(config):
        problem = gateway.post("/deploy", {"model_id": "e", "config": config}).problem(422)
        return [error["pointer"] for error in problem["errors"]]

    assert pointers({"parts": {}}) == ["/config/parts"]
    assert pointers({"parts": []}) == ["/config/parts"]
    assert pointers({"parts": {"a/b": {}}}) == ["/config/parts"]
    assert pointers({"parts": {"query": 7}})[0] == "/config/parts/query"
    assert pointers({"parts": {"query": {"x": 1}}}) == ["/config/parts/query/x"]
    assert pointers({"parts": {"query": {"source": ""}}}) == ["/config/parts/query/source"]
    assert pointers({"source": "file:///x", "parts": {"query": {}}}) == ["/config/source"]
    assert pointers({}) == ["/config/parts"]  # model_name holds {part}


def test_routes_of_parts_outlive_a_restart_of_both(gateway):
    deploy(gateway, "f", query="fq", items="fi")
    gateway.rolloutd.stop()
    gateway.nginx.stop()
    gateway.rolloutd.start()
    gateway.nginx.start()
    gateway.await_link()
    wait_until(lambda: ask(gateway, "f", "items") == "fi" and ask(gateway, "f", "query") == "fq", "the routes")
