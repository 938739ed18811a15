"""nginx's features beside the module in use. Which test shows what:

| feature                      | with rollout_api                         | with rollout_route                                  |
|------------------------------|------------------------------------------|-----------------------------------------------------|
| access, auth, limits, `if`   | test_coexistence, test_examples          | test_coexistence (auth_request)                     |
| HTTP/2                       | test_http2_carries_both                  | the same                                            |
| gzip                         | test_coexistence                         | test_gzip_packs_what_a_model_answers                |
| proxy_cache                  |                                          | test_a_cache_keeps_each_revision_apart              |
| subrequests (SSI)            | test_a_page_includes_tasks_and_models    | the same; test_what_a_page_includes_is_counted      |
| error_page                   | test_an_operators_page_has_the_word      | the same; test_coexistence (502)                    |
| internal, named locations    | test_inner_locations_stay_inner          | the same                                            |
| mirror                       |                                          | test_shadow, test_coexistence                       |
| slice, range                 | test_ranges_and_slices_are_whole         | the same; test_an_answer_of_slices_is_of_one_revision |
| keep-alive, pipelining       | test_one_connection_carries_all_kinds    | the same                                            |
| upgrade (101)                |                                          | test_an_upgraded_connection_is_in_flight_to_its_end |
| loaded, not used             | test_coexistence, test_loaded_and_unused_it_changes_no_byte                                    |
"""

import gzip
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess

import pytest

from gateway import Client, Gateway
from listener import Listener
from processes import DEADLINE_S, MODULE, NGINX as NGINX_PROGRAM, free_port, nginx_environment, wait_until


def echo(peer):
    """Switches to a protocol of its own: what comes is sent back."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
    while part := peer.recv(4096):
        peer.sendall(part)


LOCATIONS = """
        location ~ ^/((deploy|delete)(-status)?|models|events)(/|$) { rollout_api; }

        location ~ ^/v2/models/(?<model>[A-Za-z0-9._-]+)(?<rest>(/(infer|ready))?)$ {
            rollout_route $model names=server;
            gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;
            add_header X-Rollout-Revision $rollout_revision always;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }

        location ~ ^/cached/(?<cached>.+)$ {
            rollout_route $cached names=server;
            proxy_cache answers;
            proxy_cache_key $rollout_backend_model;
            proxy_cache_valid 200 10m;
            proxy_cache_lock on;
            proxy_set_header Host inference;
            add_header X-Cache $upstream_cache_status always;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model;
        }

        location = /metrics { rollout_metrics; }
        location = /page.shtml { ssi on; ssi_types *; root HOME/static; }

        location /faults/ {
            error_page 403 404 422 /sorry.html;
            location /faults/closed { deny all; rollout_api base=/faults; }
            location ~ ^/faults/models/(?<wanted>.+)$ { rollout_route $wanted; proxy_intercept_errors on;
                proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/no-such-thing; error_page 400 404 =503 /sorry.html; }
            location /faults/ { rollout_api base=/faults; }
        }
        location = /sorry.html { return 200 "sorry"; }

        location /inner/api/ { internal; rollout_api base=/inner/api; }
        location ~ ^/inner/models/(?<inside>.+)$ { internal; rollout_route $inside names=server;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model; }
        location /outer/ { rewrite ^/outer/(.*)$ /inner/$1 last; }
        location ~ ^/named/(?<called>.+)$ { try_files /nothing @named; }
        location @named { rollout_route $called names=server; proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model; }

        location ~ ^/sliced/(?<sliced>[^/]+)$ {
            rollout_route $sliced;
            slice 4k;
            proxy_cache answers;
            proxy_cache_key $rollout_backend_model$slice_range;
            proxy_cache_valid 200 206 10m;
            proxy_set_header Range $slice_range;
            proxy_http_version 1.1;
            proxy_pass http://static/large.bin$is_args;
        }
        location ~ ^/parted/(?<parted>[^/]+)$ {
            rollout_route $parted;
            slice 4k;
            proxy_set_header Range $slice_range;
            proxy_http_version 1.1;
            proxy_pass http://static/$rollout_slot.bin$is_args;
        }
        location ~ ^/ranged/(?<ranged>[^/]+)$ { rollout_route $ranged; proxy_force_ranges on; proxy_pass http://static/large.bin$is_args; }

        location ~ ^/socket/(?<spoken>.+)$ {
            rollout_route $spoken;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 600s;
            proxy_pass http://127.0.0.1:ECHO;
        }
"""

LARGE = hashlib.shake_256(b"large").digest(50_000)
BODIES = {slot: hashlib.shake_256(slot.encode()).digest(50_000) for slot in ("blue", "green")}


@pytest.fixture(scope="module")
def gateway():
    server = Listener(echo)
    made = Gateway()
    made.nginx.write(locations=LOCATIONS.replace("HOME", str(made.home)).replace("ECHO", str(server.port)), http=f"""
    proxy_cache_path {made.home}/cache keys_zone=answers:1m;
    upstream static {{ server unix:{made.home}/static.sock; }}
    server {{ listen unix:{made.home}/static.sock; root {made.home}/static; }}
    """)
    (made.home / "static").mkdir()
    (made.home / "static/large.bin").write_bytes(LARGE)
    for slot, body in BODIES.items():
        (made.home / f"static/{slot}.bin").write_bytes(body)
    try:
        made.start()
        made.serve_blue("m")
        yield made
    finally:
        server.close()
        ended = made.close()
        assert all(status == 0 for _, status in ended), ended


def next_revision(gateway):
    """Deploys once more: the old one is let go of at once only where no request is taken to be in flight."""
    task = gateway.deploy("m", rollout={"drain_s": 600})
    return task["metadata"]["revision"]


def curl(*arguments):
    return subprocess.run(["curl", "-sS", *map(str, arguments)], capture_output=True, timeout=DEADLINE_S, check=True).stdout


def test_http2_carries_both(gateway):
    base = f"http://127.0.0.1:{gateway.nginx.http2_port}"
    status = "\n%{http_version} %{http_code}"
    posted = curl("--http2-prior-knowledge", "-w", status, "-H", "Content-Type: application/json", "-d", '{"model_id": "h2"}', base + "/delete")
    task, _, code = posted.decode().rpartition("\n")
    assert code == "2 200"
    path = f"/delete/{json.loads(task)['task_id']}"
    # Several streams of one connection: a wait, reads and inferences beside it.
    many = curl("--http2-prior-knowledge", "--parallel", "--parallel-immediate", "-w", status + "\n", base + path + "?wait=5",
                *[base + path, base + "/v2/models/m/ready"] * 10)
    assert many.decode().count("2 200") == 21
    assert next_revision(gateway)


def test_gzip_packs_what_a_model_answers(gateway):
    answer = gateway.post("/v2/models/m/infer", {"inputs": []}, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and b"outputs" in gzip.decompress(answer.body)


def test_a_cache_keeps_each_revision_apart(gateway):
    first = gateway.get("/cached/m")
    assert first.status == 200 and first.headers["X-Cache"] == "MISS"
    second = gateway.get("/cached/m")
    assert second.headers["X-Cache"] == "HIT" and second.body == first.body
    revision = next_revision(gateway)  # which answers from the cache do not hold up
    third = gateway.get("/cached/m")
    assert third.headers["X-Cache"] == "MISS" and third.json["name"] == f"m__r{revision}" != first.json["name"]
    gateway.get("/cached/nobody").problem(404)


def test_a_page_includes_tasks_and_models(gateway):
    held = gateway.post("/delete", {"model_id": "unknown"}).task()
    includes = ["/v2/models/m", f"/delete/{held['task_id']}", f"/delete/{held['task_id']}?wait=1", "/deploy-status/nobody",
                "/v2/models/nobody", "/deploy?limit=1", "/models"]
    (gateway.home / "static/page.shtml").write_text(
        "begin " + " | ".join(f'<!--# include virtual="{path}" -->' for path in includes) + " end")
    answer = gateway.get("/page.shtml")
    text = answer.body.decode()
    assert answer.status == 200 and text.startswith("begin ") and text.endswith(" end")
    parts = [json.loads(part) for part in text[len("begin "):-len(" end")].split(" | ")]
    assert parts[0]["name"].startswith("m__r") and parts[1]["task_id"] == parts[2]["task_id"] == held["task_id"]
    assert parts[3]["status"] == parts[4]["status"] == 404 and parts[5]["tasks"] and parts[6]["models"]
    assert next_revision(gateway)


def test_an_operators_page_has_the_word(gateway):
    assert gateway.get("/faults/closed").body == b"sorry"  # nginx's own 403
    gateway.get("/faults/deploy-status/nobody").problem(404)  # an answer of the API is no fault of nginx's
    gateway.get("/faults/models/nobody").problem(404)
    answer = gateway.get("/faults/models/m")
    assert answer.status == 503 and answer.body == b"sorry"  # what the server refused, intercepted
    assert next_revision(gateway)


def test_inner_locations_stay_inner(gateway):
    for path in ("/inner/api/deploy-status/m", "/inner/models/m"):
        assert gateway.get(path).status == 404 and b"m__r" not in gateway.get(path).body
    assert gateway.get("/outer/api/deploy-status/m").task()["model_id"] == "m"
    assert gateway.get("/outer/models/m").json["name"].startswith("m__r")
    assert gateway.get("/named/m").json["name"].startswith("m__r")
    gateway.get("/named/nobody").problem(404)
    assert next_revision(gateway)


def metered(gateway, model):
    """The good answers of each slot, as /metrics has them."""
    text = gateway.get("/metrics").body.decode()
    return {slot: sum(int(number) for number in re.findall(
        rf'^rollout_route_requests_total{{model="{model}",slot="{slot}",code_class="2xx"}} (\d+)$', text, re.M)) for slot in ("blue", "green")}


def test_ranges_and_slices_are_whole(gateway):
    whole = gateway.get("/sliced/m")
    assert whole.status == 200 and whole.body == LARGE
    for path in ("/sliced/m", "/ranged/m"):
        part = gateway.get(path, Range="bytes=4000-12345")
        assert part.status == 206 and part.body == LARGE[4000:12346], path
    gateway.get("/sliced/nobody").problem(404)
    task = gateway.get("/deploy-status/m", Range="bytes=0-3")
    assert task.status == 200 and task.json["model_id"] == "m"
    assert next_revision(gateway)


def test_an_answer_of_slices_is_of_one_revision(gateway):
    gateway.serve_blue("parted")
    task = gateway.start_deployment("parted", steps=[{"weight": 50, "hold_s": 600}])
    gateway.await_weight(task, 50)
    before = metered(gateway, "parted")
    client = Client(gateway.port, keep=True)  # whose request is counted before the next is read
    found = [client.get("/parted/parted").body for _ in range(40)]
    assert set(found) == set(BODIES.values())  # each of them whole
    after = metered(gateway, "parted")
    assert after["green"] - before["green"] == found.count(BODIES["green"]) * -(-50_000 // 4096)  # each slice is one
    assert client.post(f"/deploy/{task['task_id']}/promote", {}).status == 200
    gateway.wait(task, status="completed")
    gateway.delete("parted")


def test_what_a_page_includes_is_counted(gateway):
    gateway.serve_blue("included")
    (gateway.home / "static/page.shtml").write_text('<!--# include virtual="/v2/models/included" -->' * 3)
    task = gateway.start_deployment("included", steps=[{"weight": 50, "hold_s": 600}])
    gateway.await_weight(task, 50)
    client = Client(gateway.port, keep=True)
    names = [name for _ in range(20) for name in re.findall("included__r[12]", client.get("/page.shtml").body.decode())]
    assert len(names) == 60
    wait_until(lambda: metered(gateway, "included") == {"blue": names.count("included__r1"), "green": names.count("included__r2")}, "the counts")
    assert client.post(f"/deploy/{task['task_id']}/promote", {}).status == 200
    gateway.wait(task, status="completed")
    gateway.delete("included")


def test_one_connection_carries_all_kinds(gateway):
    client = Client(gateway.port, keep=True)
    client.get("/v2/models/m/ready")
    first = client.connection.sock.getsockname()
    for _ in range(20):
        assert client.get("/v2/models/m/ready").status == 200
        client.get("/v2/models/nobody/ready").problem(404)
        client.post("/deploy", "{").problem(400)
        client.request("PUT", "/deploy", "x" * 1000).problem(405)
        assert client.get("/deploy-status/m").task()["model_id"] == "m"
        client.post("/delete", {"model_id": "kept", "task_id": "kept"}).task()
    assert client.connection.sock.getsockname() == first

    # And without waiting for answers.
    paths = ["/v2/models/m/ready", "/deploy-status/m?wait=1", "/deploy-status/nobody", "/v2/models/nobody", "/delete/kept", "/models"]
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE_S) as pipe:
        pipe.sendall("".join(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n" for path in paths * 5).encode())
        statuses = []
        stream = pipe.makefile("rb")
        for _ in paths * 5:
            statuses.append(int(stream.readline().split()[1]))
            headers = http.client.parse_headers(stream)
            if headers["Transfer-Encoding"] == "chunked":
                while size := int(stream.readline(), 16):
                    stream.read(size + 2)
                stream.readline()
            else:
                stream.read(int(headers["Content-Length"]))
    assert statuses == [200, 200, 404, 404, 200, 200] * 5


def test_an_upgraded_connection_is_in_flight_to_its_end(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE_S) as spoken:
        spoken.sendall(b"GET /socket/m HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += spoken.recv(4096)
        assert head.startswith(b"HTTP/1.1 101")
        task = gateway.start_deployment("m", drain_s=600)
        old = gateway.loaded()
        wait_until(lambda: gateway.task(task)["metadata"]["step"] == "retire", "the old revision's drain")
        assert gateway.infer("m") == "green"
        spoken.sendall(b"still there")
        assert spoken.recv(100) == b"still there"
        assert set(old) < set(gateway.loaded()) and gateway.task(task)["status"] == "in_progress"
    gateway.wait(task, status="completed")
    assert not set(old) & set(gateway.loaded())


# Not in use.

UNUSED = """
{load}
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log {home}/access.log;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    proxy_cache_path {home}/cache-{name} keys_zone=c:1m;
    limit_req_zone $uri zone=l:1m rate=1r/m;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{port2} http2;
        root {home}/www;
        gzip on; gzip_min_length 1; gzip_types *;
        error_page 404 /missing.html;
        location = /api {{ if ($request_method = POST) {{ return 405; }} return 200 '{{}}'; }}
        location /auth/ {{ auth_request /no; }}
        location = /no {{ internal; return 401; }}
        location /cached/ {{ proxy_cache c; proxy_cache_valid 200 1m; add_header X-Cache $upstream_cache_status; proxy_pass http://127.0.0.1:{port}/; }}
        location /mirrored/ {{ mirror /api; proxy_pass http://127.0.0.1:{port}/; }}
        location /limited {{ limit_req zone=l; limit_req_status 429; }}
        location /sliced/ {{ slice 1k; proxy_set_header Range $slice_range; proxy_pass http://127.0.0.1:{port}/; }}
        location /page.shtml {{ ssi on; ssi_types *; }}
        location /deny {{ deny all; }}
        location /moved {{ return 301 /; }}
    }}
}}
"""

ASKED = [("GET", "/index.html", {}), ("HEAD", "/index.html", {}), ("GET", "/index.html", {"Range": "bytes=2-5"}),
         ("GET", "/index.html", {"Accept-Encoding": "gzip"}), ("GET", "/index.html", {"If-None-Match": "*"}), ("GET", "/none", {}),
         ("POST", "/api", {}), ("GET", "/api", {}), ("GET", "/auth/x", {}), ("GET", "/no", {}), ("GET", "/cached/index.html", {}),
         ("GET", "/cached/index.html", {}), ("GET", "/mirrored/index.html", {}), ("GET", "/limited", {}), ("GET", "/limited", {}),
         ("GET", "/sliced/index.html", {}), ("GET", "/page.shtml", {}), ("GET", "/deny", {}), ("GET", "/moved", {}),
         ("DELETE", "/index.html", {}), ("GET", "/deploy", {}), ("POST", "/deploy", {})]


def test_loaded_and_unused_it_changes_no_byte(tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "www").mkdir()
    (tmp_path / "www/index.html").write_text("hello " * 2000)
    (tmp_path / "www/missing.html").write_text("missing")
    (tmp_path / "www/page.shtml").write_text('one <!--# include virtual="/index.html" --> two')
    port, port2 = free_port(), free_port()
    seen = []
    for name, load in (("without", ""), ("with", f"load_module {MODULE};")):
        conf = tmp_path / "nginx.conf"
        conf.write_text(UNUSED.format(load=load, home=tmp_path, port=port, port2=port2, name=name))
        child = subprocess.Popen([NGINX_PROGRAM, "-c", str(conf), "-e", f"{tmp_path}/error.log", "-g", "daemon off;"],
                                 env={**os.environ, **nginx_environment()})
        try:
            def up():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0
            wait_until(up, "nginx's start")
            answers = []
            for method, path, headers in ASKED:
                answer = Client(port).request(method, path, "" if method == "POST" else None, headers)
                answers.append((method, path, answer.status, sorted((key, value) for key, value in answer.headers.items() if key != "Date"), answer.body))
            answers.append(curl("--http2-prior-knowledge", "-i", f"http://127.0.0.1:{port2}/page.shtml").partition(b"\r\n\r\n")[2])
            seen.append(answers)
        finally:
            child.terminate()
            assert child.wait(DEADLINE_S) == 0
    for without, with_it in zip(*seen, strict=True):
        assert without == with_it
