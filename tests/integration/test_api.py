"""The six routes, to the letter of the contract: what each answers, and each error."""

import json
import re
import socket
import subprocess

import pytest

from gateway import Client, DEADLINE_S
from processes import wait_until

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0}}  # tasks are accepted and held: they stay as they were answered
NGINX = {"locations": """
        location ~ ^/((deploy|delete)(-status)?|models|events)(/|$) { rollout_api; }
        location /small/ { rollout_api base=/small; client_max_body_size 2k; client_body_buffer_size 1k; }
        location /large/ { rollout_api base=/large; client_max_body_size 20m; client_body_buffer_size 1k; }
        location /internal/inference-deployment/ {
            rollout_api base=/internal/inference-deployment dialect=embedding_studio;
        }
"""}

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def fresh(name, counter=iter(range(10**6))):
    return f"{name}-{next(counter)}"


# The API's own examples.

def test_the_example_of_a_deployment(gateway):
    answer = gateway.request("POST", "/deploy", '{"model_id": "123", "config": {"param": "value"}}', {"Content-Type": "application/json"})
    task = answer.task()
    assert list(task) == ["task_id", "id", "model_id", "embedding_model_id", "status", "created_by", "detail", "created_at", "updated_at", "metadata"]
    assert task["task_id"] == task["id"]
    assert task["model_id"] == task["embedding_model_id"] == "123"
    assert task["status"] == "pending"
    assert task["detail"]
    assert TIME.fullmatch(task["created_at"]) and TIME.fullmatch(task["updated_at"])
    assert task["metadata"]["config"] == {"param": "value"}
    assert task["metadata"]["progress"] == 0 and task["metadata"]["traffic_weight"] == 0
    assert task["metadata"]["steps"] == [] and task["metadata"]["step"] is None and task["metadata"]["revision"] is None
    assert answer.headers["Location"] == f"/deploy/{task['task_id']}"

    with_type = gateway.get(f"/deploy/{task['task_id']}", Content_Type="application/json")
    assert with_type.task() == task
    assert gateway.get("/deploy-status/123").task() == task
    for route in ("/deploy/1234", "/deploy-status/1234"):
        gateway.get(route, Content_Type="application/json").problem(404)


def test_the_example_of_a_deletion(gateway):
    answer = gateway.request("POST", "/delete", '{"model_id": "1234", "param": "value"}', {"Content-Type": "application/json"})
    task = answer.task()
    assert task["model_id"] == task["embedding_model_id"] == "1234"
    assert task["metadata"]["config"] == {"param": "value"}
    assert answer.headers["Location"] == f"/delete/{task['task_id']}"
    assert gateway.get(f"/delete/{task['task_id']}", accept="application/json").task() == task
    assert gateway.get("/delete-status/1234", accept="application/json").task() == task
    gateway.get("/delete-status/123", accept="application/json").problem(404)


def test_a_deployments_id_is_no_deletions_id_and_the_other_way_round(gateway):
    deployment = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    deletion = gateway.post("/delete", {"model_id": deployment["model_id"]}).task()
    gateway.get(f"/delete/{deployment['task_id']}").problem(404)
    gateway.get(f"/deploy/{deletion['task_id']}").problem(404)
    assert gateway.get(f"/deploy-status/{deployment['model_id']}").task() == deployment
    assert gateway.get(f"/delete-status/{deployment['model_id']}").task() == deletion


def test_the_status_route_answers_the_latest_task(gateway):
    model = fresh("m")
    for _ in range(3):
        latest = gateway.post("/deploy", {"model_id": model}).task()
        assert gateway.get(f"/deploy-status/{model}").task() == latest


# The request.

def test_both_names_of_the_model_are_the_same(gateway):
    model = fresh("m")
    assert gateway.post("/deploy", {"embedding_model_id": model}).task()["model_id"] == model
    assert gateway.post("/deploy", {"embedding_model_id": model, "model_id": model}).task()["model_id"] == model
    problem = gateway.post("/deploy", {"embedding_model_id": model, "model_id": "other"}).problem(422)
    assert problem["errors"][0]["pointer"] == "/embedding_model_id"


def test_the_same_id_with_the_same_body_is_the_same_task(gateway):
    body = {"model_id": fresh("m"), "task_id": fresh("task"), "parent_id": "parent-1", "config": {"a": [1, {"b": None}]}}
    first = gateway.post("/deploy", body).task()
    assert first["task_id"] == body["task_id"] and first["parent_id"] == "parent-1"
    assert gateway.post("/deploy", body).task() == first
    assert gateway.post("/deploy", json.dumps(body, indent=3)).task() == first
    for changed in ({**body, "config": {"a": 2}}, {**body, "model_id": "other"}, {**body, "parent_id": "parent-2"}):
        assert gateway.post("/deploy", changed).problem(409)["task_id"] == body["task_id"]
    gateway.post("/delete", {"model_id": body["model_id"], "task_id": body["task_id"]}).problem(409)
    assert gateway.get(f"/deploy/{body['task_id']}").task() == first


@pytest.mark.parametrize("kind", ["deploy", "delete"])
def test_a_tasks_id_goes_by_the_name_id_as_well(gateway, kind):
    """EmbeddingStudio's clients write `embedding_model_id` and `id`."""
    body = {"embedding_model_id": fresh("m"), "id": fresh("t")}
    first = gateway.post(f"/{kind}", body).task()
    assert first["task_id"] == first["id"] == body["id"] and first["metadata"]["config"] == {}
    assert gateway.post(f"/{kind}", body).task() == first
    assert gateway.post(f"/{kind}", {**body, "task_id": body["id"]}).task() == first
    assert gateway.post(f"/{kind}", {"model_id": body["embedding_model_id"], "task_id": body["id"]}).task() == first
    assert gateway.post(f"/{kind}", body, Idempotency_Key=body["id"]).task() == first
    assert gateway.get(f"/{kind}?model_id={body['embedding_model_id']}").json["tasks"] == [first]
    problem = gateway.post(f"/{kind}", {**body, "task_id": "other"}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/id"]
    gateway.post(f"/{kind}", body, Idempotency_Key="other").problem(422)
    gateway.post(f"/{kind}", {**body, "parent_id": "p"}).problem(409)


@pytest.mark.parametrize("number", ["30.0", "3e1", "300e-1"])
def test_a_whole_number_is_whole_however_it_is_written(gateway, number):
    body = '{"model_id": "%s", "task_id": "%s", "config": {"rollout": {"drain_s": %s, "steps": [{"weight": 1e2, "hold_s": %s}]}}}'
    model, task_id = fresh("m"), fresh("t")
    task = gateway.post("/deploy", body % (model, task_id, number, number)).task()
    assert gateway.post("/deploy", body % (model, task_id, "30", "30")).task() == task
    problem = gateway.post("/deploy", body % (model, fresh("t"), "30.5", "30")).problem(422)
    assert problem["errors"][0]["pointer"] == "/config/rollout/drain_s"


def test_an_idempotency_key_is_a_task_id(gateway):
    key = fresh("key")
    body = {"model_id": fresh("m")}
    first = gateway.post("/deploy", body, Idempotency_Key=key).task()
    assert first["task_id"] == key
    assert gateway.post("/deploy", body, Idempotency_Key=f'"{key}"').task() == first
    assert gateway.post("/deploy", {**body, "task_id": key}).task() == first
    gateway.post("/deploy", {**body, "task_id": "other"}, Idempotency_Key=key).problem(422)
    gateway.post("/deploy", body, Idempotency_Key="not a key").problem(422)


@pytest.mark.parametrize("body, pointer", [
    ({}, "/model_id"),
    ({"model_id": None}, "/model_id"),
    ({"model_id": 123}, "/model_id"),
    ({"model_id": ""}, "/model_id"),
    ({"model_id": ".hidden"}, "/model_id"),
    ({"model_id": "a/b"}, "/model_id"),
    ({"model_id": "../etc"}, "/model_id"),
    ({"model_id": "a..b"}, "/model_id"),
    ({"model_id": "a b"}, "/model_id"),
    ({"model_id": "a\0b"}, "/model_id"),
    ({"model_id": "modèle"}, "/model_id"),
    ({"model_id": "a" * 129}, "/model_id"),
    ({"embedding_model_id": ["m"]}, "/embedding_model_id"),
    ({"model_id": "m", "task_id": "a.b"}, "/task_id"),
    ({"model_id": "m", "task_id": "a" * 65}, "/task_id"),
    ({"model_id": "m", "task_id": 7}, "/task_id"),
    ({"model_id": "m", "parent_id": "a b"}, "/parent_id"),
    ({"model_id": "m", "config": []}, "/config"),
    ({"model_id": "m", "config": "x"}, "/config"),
    ({"model_id": "m", "konfig": {}}, "/konfig"),
    ({"model_id": "m", "config": {"a": "x" * 32768}}, "/config"),
    ({"model_id": "m", "config": {"sha256": "xyz"}}, "/config/sha256"),
    ({"model_id": "m", "config": {"source": 5}}, "/config/source"),
    ({"model_id": "m", "config": {"backend": "nowhere"}}, "/config/backend"),
    ({"model_id": "m", "config": {"triton": "x"}}, "/config/triton"),
    ({"model_id": "m", "config": {"rollout": {"drain_s": "soon"}}}, "/config/rollout/drain_s"),
    ({"model_id": "m", "config": {"rollout": {"steps": [{"weight": 50}, {"weight": 20}]}}}, "/config/rollout/steps/1/weight"),
    ({"model_id": "m", "config": {"rollout": {"hurry": True}}}, "/config/rollout/hurry"),
])
def test_a_member_at_fault_is_named(gateway, body, pointer):
    problem = gateway.post("/deploy", body).problem(422)
    assert pointer in [error["pointer"] for error in problem["errors"]], problem
    assert all(error["detail"] for error in problem["errors"])


def test_what_is_at_a_bound_is_taken(gateway):
    model = fresh("m" + "-" * 120)[-128:].lstrip("-")
    config = {"a": "x" * (32768 - len('{"a":""}'))}
    deep = []
    for _ in range(61):
        deep = [deep]  # inside the config, inside the body: 64 levels
    assert gateway.post("/large/deploy", {"model_id": model, "config": config}).task()["metadata"]["config"] == config
    assert gateway.post("/deploy", {"model_id": model, "config": {"deep": deep}}).task()["metadata"]["config"] == {"deep": deep}
    gateway.post("/large/deploy", {"model_id": model, "config": {"a": config["a"] + "x"}}).problem(422)
    gateway.post("/deploy", {"model_id": model, "config": {"deep": [deep]}}).problem(422)
    task = gateway.post("/deploy", {"model_id": model, "task_id": "t" * 57 + fresh("t")[:7]}).task()
    assert len(task["task_id"]) <= 64


def test_a_deletions_other_members_are_its_parameters(gateway):
    task = gateway.post("/delete", {"model_id": fresh("m"), "param": "value", "config": {"other": 1}, "task_id": fresh("t")}).task()
    assert task["metadata"]["config"] == {"param": "value", "other": 1}


# Content.

@pytest.mark.parametrize("body", ["", "{", "nonsense", '{"model_id": "m"} x', '{"model_id": "\xff"}', '{"model_id": "m", "model_id": "m"}',
                                  "'m'", b'{"model_id": "m", "config": {"a": "\xc3\x28"}}', b'{"model_id": "m"\x00}'])
def test_what_is_not_json_is_400(gateway, body):
    gateway.post("/deploy", body.encode("latin-1") if isinstance(body, str) else body).problem(400)


@pytest.mark.parametrize("body", ["[]", '"m"', "5", "null", "true"])
def test_json_that_is_no_object_is_422(gateway, body):
    assert "object" in gateway.post("/deploy", body).problem(422)["detail"]


def test_nesting_without_end_is_422(gateway):
    for depth in (200, 5000):
        body = '{"model_id": "m", "config": {"a": ' + "[" * depth + "]" * depth + "}}"
        gateway.post("/large/deploy", body).problem(422)


@pytest.mark.parametrize("content_type, status", [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON ;x=y", 200),
    ("text/plain", 415), ("application/jsonx", 415), ("application/x-www-form-urlencoded", 415), (None, 415)])
def test_the_content_type_decides(gateway, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = gateway.request("POST", "/deploy", json.dumps({"model_id": fresh("m")}), headers)
    assert answer.status == status, answer
    if status != 200:
        answer.problem(415)


def test_a_compressed_body_is_415(gateway):
    gateway.post("/deploy", {"model_id": "m"}, Content_Encoding="gzip").problem(415)


def test_a_body_over_the_limit_is_413(gateway):
    gateway.post("/deploy", {"model_id": "m", "config": {"a": "x" * 3 * 2**20}}).problem(413)
    gateway.post("/small/deploy", {"model_id": "m", "config": {"a": "x" * 2048}}).problem(413)
    # Of the module's own bound, where the operator's is higher.
    gateway.post("/large/deploy", " " * 2**23).problem(400)  # it is read, and nothing in it
    assert "8388608" in gateway.post("/large/deploy", " " * (2**23 + 1)).problem(413)["detail"]


def test_a_body_in_a_temporary_file_is_read(gateway):
    config = {"a": "x" * 30000}
    assert gateway.post("/large/deploy", {"model_id": fresh("m"), "config": config}).task()["metadata"]["config"] == config


def test_a_chunked_body_is_read(gateway):
    def chunks(text, size):
        return (text[at:at + size].encode() for at in range(0, len(text), size))
    for config, size in (({"a": 1}, 1), ({"a": "x" * 30000}, 999)):
        body = json.dumps({"model_id": fresh("m"), "config": config})
        answer = gateway.request("POST", "/large/deploy", chunks(body, size), {"Content-Type": "application/json"})
        assert answer.task()["metadata"]["config"] == config


# Routes and methods.

@pytest.mark.parametrize("method, path, allow", [
    ("PUT", "/deploy", "GET, HEAD, POST"), ("DELETE", "/delete", "GET, HEAD, POST"), ("PATCH", "/delete", "GET, HEAD, POST"),
    ("POST", "/models", "GET, HEAD"), ("GET", "/deploy/some-id/cancel", "POST"),
    ("POST", "/deploy/some-id", "GET, HEAD"), ("DELETE", "/delete/some-id", "GET, HEAD"), ("POST", "/deploy-status/m", "GET, HEAD"),
    ("PUT", "/delete-status/m", "GET, HEAD")])
def test_another_method_is_405(gateway, method, path, allow):
    answer = gateway.request(method, path, "{}" if method in ("PUT", "POST", "PATCH") else None)
    answer.problem(405)
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/deploy/", "/deploy/a/b", "/deploy/a.b", "/deploy-status", "/deploy-status/", "/delete/" + "a" * 65,
                                  "/deploy-status/..%2f..%2fetc", "/delete-status/%00", "/deploy-status/a%20b", "/deploy/%ff"])
def test_what_is_no_route_or_no_name_is_404_or_400(gateway, path):
    answer = gateway.get(path)
    if path in ("/delete-status/%00", "/deploy-status/..%2f..%2fetc"):  # nginx itself refuses these
        assert answer.status == 400
    else:
        answer.problem(404)
        assert "etc" not in answer.json["detail"]


def test_head_answers_without_a_body(gateway):
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    whole = gateway.get(f"/deploy/{task['task_id']}")
    head = gateway.request("HEAD", f"/deploy/{task['task_id']}")
    assert head.status == 200 and head.body == b""
    assert head.headers["Content-Length"] == str(len(whole.body)) and head.headers["ETag"] == whole.headers["ETag"]
    assert gateway.request("HEAD", "/deploy/nothing").status == 404


def test_a_connection_is_kept_over_requests_of_every_kind(gateway):
    client = Client(gateway.nginx.port, keep=True)
    client.post("/deploy", {"model_id": fresh("m")}).task()
    connection = client.connection.sock
    client.get("/deploy/nothing").problem(404)
    client.post("/deploy", "nonsense").problem(400)
    client.request("PUT", "/deploy", "ignored").problem(405)
    client.request("POST", "/deploy", "text", {"Content-Type": "text/plain"}).problem(415)
    client.get("/deploy-status/nobody").problem(404)
    client.post("/delete", {"model_id": fresh("m")}).task()
    assert client.connection.sock is connection


def test_a_base_is_taken_off(gateway):
    answer = gateway.post("/large/deploy", {"model_id": fresh("m")})
    assert answer.headers["Location"] == f"/large/deploy/{answer.task()['task_id']}"
    assert gateway.get(answer.headers["Location"]).task() == answer.json
    gateway.get("/large/nothing").problem(404)


def test_the_dialect_of_embedding_studio(gateway):
    base = "/internal/inference-deployment"
    made = gateway.post(f"{base}/deploy", {"embedding_model_id": fresh("m")})
    task = made.task()
    assert task["status"] == "pending" and task["embedding_model_id"] == task["model_id"]
    assert made.headers["Location"] == f"{base}/deploy/{task['task_id']}"
    assert gateway.get(f"{base}/deploy/{task['task_id']}").task() == task
    assert gateway.get(f"{base}/deploy-status/{task['model_id']}").task() == task
    assert gateway.get(f"/deploy/{task['task_id']}").task() == task


# Waiting.

def test_an_unchanged_document_is_304(gateway):
    task = gateway.post("/deploy", {"model_id": fresh("m")})
    path = task.headers["Location"]
    etag = gateway.get(path).headers["ETag"]
    assert task.headers["ETag"] == etag
    for given in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = gateway.get(path, If_None_Match=given)
        assert answer.status == 304 and answer.body == b"", answer
    assert gateway.get(path, If_None_Match='"other"').status == 200
    assert gateway.get(f"{path}?wait=1", If_None_Match=etag).status == 304


def test_a_wait_that_is_no_number_is_422(gateway):
    path = gateway.post("/deploy", {"model_id": fresh("m")}).headers["Location"]
    for wait in ("x", "", "-1", "1.5", "1s"):
        gateway.get(f"{path}?wait={wait}").problem(422)


def test_respond_async_answers_202(gateway):
    answer = gateway.post("/deploy", {"model_id": fresh("m")}, Prefer="respond-async")
    answer.task(202)
    assert answer.headers["Preference-Applied"] == "respond-async"


def test_a_wait_for_a_held_task_ends_with_it_as_it_was(gateway):
    answer = gateway.post("/deploy", {"model_id": fresh("m")}, Prefer="wait=1")
    assert answer.task()["status"] == "pending"
    assert answer.headers["Preference-Applied"] == "wait"
    assert gateway.get(f"{answer.headers['Location']}?wait=1").task() == answer.json


# Protocols, and clients that go away.

def test_http2_is_served(gateway):
    def curl(*arguments):
        done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_code} %{content_type}", *arguments],
                              capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return body, status
    base = f"http://127.0.0.1:{gateway.nginx.http2_port}"
    json_type = ["-H", "Content-Type: application/json"]
    body, status = curl(*json_type, "-d", json.dumps({"model_id": fresh("m")}), f"{base}/deploy")
    assert status == "200 application/json"
    task = json.loads(body)
    body, status = curl(f"{base}/deploy/{task['task_id']}")
    assert status == "200 application/json" and json.loads(body) == task
    assert curl(f"{base}/deploy/{task['task_id']}?wait=1")[1] == "200 application/json"
    assert curl(f"{base}/deploy/nothing")[1] == "404 application/problem+json"
    assert curl(*json_type, "-d", "nonsense", f"{base}/deploy")[1] == "400 application/problem+json"
    large = json.dumps({"model_id": fresh("m"), "config": {"a": "x" * 30000}})
    assert curl(*json_type, "-d", large, f"{base}/large/deploy")[1] == "200 application/json"


def raw(gateway, text):
    connection = socket.create_connection(("127.0.0.1", gateway.nginx.port), DEADLINE_S)
    connection.sendall(text.encode())
    return connection


def test_a_client_that_stops_half_way_leaves_no_task(gateway):
    model = fresh("m")
    body = json.dumps({"model_id": model})
    head = f"POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    raw(gateway, head + body[:-1]).close()
    raw(gateway, head).close()
    assert gateway.get(f"/deploy-status/{model}").status == 404
    # Whole, and gone before the answer: the task stays.
    raw(gateway, head + body).close()
    wait_until(lambda: gateway.get(f"/deploy-status/{model}").status == 200, "the task of a client that has gone")


def test_a_client_that_goes_while_it_waits_leaves_no_trace(gateway):
    path = gateway.post("/deploy", {"model_id": fresh("m")}).headers["Location"]
    waiting = [raw(gateway, f"GET {path}?wait=300 HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(50)]
    for connection in waiting:
        connection.close()

    def gone():
        log = (gateway.home / "access.log").read_text()
        return log.count(f"GET {path} 499") == 50
    wait_until(gone, "the end of the requests of clients that have gone")


def test_many_clients_wait_and_tasks_still_come_in(gateway):
    path = gateway.post("/deploy", {"model_id": fresh("m")}).headers["Location"]
    waiting = [raw(gateway, f"GET {path}?wait=300 HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(500)]
    gateway.post("/deploy", {"model_id": fresh("m")}).task()
    for connection in waiting:
        connection.close()
