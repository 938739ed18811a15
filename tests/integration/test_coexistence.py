"""nginx's own features around the module: who may come in, limits, mirrors, error pages; and the module loaded but unused."""

import gzip
import json
import os
import subprocess

from gateway import Client
from processes import DEADLINE_S, MODULE, NGINX as NGINX_PROGRAM, free_port, nginx_environment, wait_until

NGINX = {
    "http": """
    limit_req_zone $http_x_limited zone=posts:1m rate=1r/m;
    """,
    "locations": """
        location ~ ^/((deploy|delete)(-status)?|models|events)(/|$) { rollout_api; }

        location /guarded/ { auth_request /auth; rollout_api base=/guarded; }
        location = /auth { internal; if ($http_x_pass != "sesame") { return 401; } return 204; }

        location /closed/ { deny all; rollout_api base=/closed; }
        location /limited/ { limit_req zone=posts; limit_req_status 429; rollout_api base=/limited; }
        location /readers/ { limit_except GET { deny all; } rollout_api base=/readers; }
        location /conditional/ { if ($http_x_off) { return 403; } rollout_api base=/conditional; }

        location /v2/models/ {
            location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
                auth_request /model-auth;
                mirror /mirrored;
                rollout_route $model;
                error_page 502 = @fallback;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                add_header X-Rollout-Model $rollout_backend_model;
                proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
            }
        }
        location = /model-auth { internal; if ($http_x_pass = "wrong") { return 403; } return 204; }
        location = /mirrored { internal; return 204; }
        location @fallback { return 200 "fallback"; }

        location /plain { return 200 "slot=$rollout_slot model=$rollout_backend_model"; }
        location ~ ^/early/(?<early>.+)$ { set $taken $rollout_backend_model; rollout_route $early; return 200 $taken; }
        location ~ ^/gzip/(?<zipped>.+)$ { gzip on; gzip_min_length 1; gzip_types *; rollout_api base=/gzip; }
    """,
}


def test_auth_request_guards_the_api(gateway):
    answer = gateway.post("/guarded/deploy", {"model_id": "guarded"})
    assert "credentials" in answer.problem(401)["detail"]
    gateway.get("/deploy-status/guarded").problem(404)
    task = gateway.post("/guarded/deploy", {"model_id": "guarded"}, X_Pass="sesame").task()
    assert gateway.get(f"/guarded/deploy/{task['task_id']}", X_Pass="sesame").task()["task_id"] == task["task_id"]


def test_deny_and_limit_except_close_it(gateway):
    assert "not allow" in gateway.post("/closed/deploy", {"model_id": "m"}).problem(403)["detail"]
    gateway.post("/readers/deploy", {"model_id": "m"}).problem(403)
    gateway.get("/readers/deploy-status/nobody").problem(404)


def test_limit_req_limits_it(gateway):
    gateway.post("/limited/deploy", {"model_id": "limited"}, X_Limited="me").task()
    assert "rate limit" in gateway.post("/limited/deploy", {"model_id": "limited"}, X_Limited="me").problem(429)["detail"]


def test_an_if_in_the_location_keeps_the_api(gateway):
    gateway.get("/conditional/deploy-status/nobody").problem(404)
    gateway.get("/conditional/deploy-status/nobody", X_Off="1").problem(403)


def test_a_compressed_answer_is_the_same_answer(gateway):
    task = gateway.post("/deploy", {"model_id": "zipped"}).task()
    plain = gateway.get(f"/gzip/deploy/{task['task_id']}")
    packed = gateway.get(f"/gzip/deploy/{task['task_id']}", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip" and json.loads(gzip.decompress(packed.body))["task_id"] == task["task_id"]
    assert gateway.get(f"/gzip/deploy/{task['task_id']}", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"]).status in (200, 304)
    assert plain.json["task_id"] == task["task_id"]


def test_a_route_lives_with_its_neighbours(gateway):
    gateway.make_model("m", "hello")
    gateway.deploy("m")
    assert gateway.infer("m") == "hello"
    assert gateway.post("/v2/models/m/infer", {}, X_Pass="wrong").status == 403
    gateway.get("/v2/models/other/ready").problem(404)
    assert gateway.get("/plain").body == b"slot= model="
    assert gateway.get("/early/m").body == b"m__r1"
    # The upstream is away: the operator's error page has the word.
    gateway.inference.stop()
    assert gateway.get("/v2/models/m/ready").body == b"fallback"
    gateway.inference.start()


def test_the_module_loaded_and_unused_changes_nothing(tmp_path):
    os.chmod(tmp_path, 0o755)
    answers = []
    for load in ("", f"load_module {MODULE};"):
        port = free_port()
        conf = tmp_path / "nginx.conf"
        conf.write_text(f"{load}\npid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\nhttp {{ access_log off; server {{ "
                        f"listen 127.0.0.1:{port}; location / {{ return 200 hello; }} location /no {{ return 404; }} }} }}\n")
        child = subprocess.Popen([NGINX_PROGRAM, "-c", str(conf), "-e", f"{tmp_path}/error.log", "-g", "daemon off;"],
                                 env={**os.environ, **nginx_environment()})
        try:
            client = Client(port)

            def up():
                try:
                    return client.get("/").status
                except OSError:
                    return 0
            wait_until(up, "nginx's start")
            answers.append([(answer.status, answer.body, answer.headers["Content-Type"])
                            for answer in (client.get("/"), client.get("/no"), client.post("/", {}))])
        finally:
            child.terminate()
            assert child.wait(DEADLINE_S) == 0
    assert answers[0] == answers[1]
