"""What counts for the gate: this configuration, these requests, these counts. Only what the model's own server did is its doing."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import zlib

import h2.connection
import pytest

from gateway import Client
from model_servers import OK, ModelServer, answer, unused_address
from pretended_rolloutd import PretendedRolloutd, RoutesOfATest
from processes import Nginx, wait_until


def location(prefix, lines="", route="rollout_route $model key=$http_x_user;", proxied="$rollout_upstream/v2/models/$rollout_backend_model$rest"):
    """README's model location below a prefix, with lines of a test's own."""
    return f"""
        location ~ ^/{prefix}/v2/models/(?<model>[A-Za-z0-9._-]+)(?<rest>/.*)?$ {{
            {route}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 5s;
            {lines}
            proxy_pass http://{proxied};
        }}
"""


TOLD = "add_header X-Slot $rollout_slot always; add_header X-Revision $rollout_revision always;"
CHOOSES_EARLY = "set $early $rollout_slot;"
FALLBACK = "error_page 500 502 503 504 = @fallback;"

# What nginx answers by itself: its status, with these lines in the location.
OWN_ANSWERS = {
    "limited": "limit_req zone=none;",
    "denied": "deny all;",
    "auth401": "auth_request /auth401;",
    "auth403": "auth_request /auth403;",
    "auth500": "auth_request /auth500;",
    "preflight": "if ($request_method = POST) { return 204; }",
    "large": "client_max_body_size 3;",
    "redirected": "if ($request_method = POST) { return 307 /elsewhere; }",
}

LOCATIONS = "".join([
    "location = /metrics { rollout_metrics; }",
    location("plain", TOLD),
    location("rate", "limit_req zone=rate;"),
    location("rate-told", "limit_req zone=rate-told;" + TOLD),
    *(location(name, lines) + location(name + "-told", lines + TOLD) + location(name + "-early", CHOOSES_EARLY + lines + TOLD) +
      location(name + "-fallback", CHOOSES_EARLY + lines + "error_page 401 403 413 429 500 503 = @fallback;") for name, lines in OWN_ANSWERS.items()),
    *(f"location = /auth{status} {{ internal; return {status}; }}" for status in (401, 403, 500)),
    location("connections", "limit_conn connections 1; limit_conn_status 429;" + TOLD),
    location("intercepted", "proxy_intercept_errors on;" + FALLBACK),
    location("intercepted-early", CHOOSES_EARLY + "proxy_intercept_errors on;" + FALLBACK),
    location("static-page", "proxy_intercept_errors on; error_page 500 502 503 504 /50x;"),
    location("static-page-early", 'set $up $rollout_upstream; set $name $rollout_backend_model; error_page 500 502 503 504 =200 /50x;',
             proxied="$up/v2/models/$name$rest"),
    location("fallback-early", "set $up $rollout_upstream; set $name $rollout_backend_model;" + FALLBACK, proxied="$up/v2/models/$name$rest"),
    location("recursive", "proxy_intercept_errors on; recursive_error_pages on; error_page 500 502 503 504 = @fails-too;"),
    location("spared", "proxy_intercept_errors on; error_page 500 502 503 504 = @spare;"),
    location("itself", "proxy_intercept_errors on; error_page 500 502 503 504 = /plain/v2/models/spare/infer;"),
    location("stale", "proxy_cache cache; proxy_cache_methods POST; proxy_cache_key $uri; proxy_cache_valid 200 1s; "
                      "proxy_cache_use_stale error timeout http_500;"),
    location("cached", "proxy_cache cache; proxy_cache_methods POST; proxy_cache_key $uri; proxy_cache_valid 200 1h;"),
    "location = /50x { internal; return 200 sorry; }",
    "location @fallback { proxy_pass_request_body off; proxy_set_header Content-Length ''; proxy_pass http://$fallback/v2/models/fallback/infer; }",
    "location @fails-too { proxy_intercept_errors on; error_page 500 = @fallback; proxy_pass http://$fallback/v2/models/fails-too/infer; }",
    "location @spare { rollout_route spare; proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/infer; }",
    location("buffered", "proxy_read_timeout 300ms;"),
    location("unbuffered", "proxy_read_timeout 300ms; proxy_buffering off;"),
    location("few-buffers", "proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; proxy_max_temp_file_size 0;"),
    location("streaming", "proxy_buffering off; proxy_buffer_size 4k;"),
    location("uploads", "proxy_request_buffering off;"),
    location("rewritten", CHOOSES_EARLY + "rewrite ^ /plain/v2/models/other/infer last;"),
    location("alias", CHOOSES_EARLY + "rewrite ^/alias/v2/models/alias-of-other(.*)$ /alias/v2/models/other$1 last;"),
    location("unrouted", CHOOSES_EARLY + "rewrite ^ /not-routed last;"),
    "location = /not-routed { proxy_pass http://$fallback/v2/models/fallback/infer; }",
    location("tried", CHOOSES_EARLY + "try_files /no-such-file @spare;"),
    location("accel", "proxy_set_header Host accel;"),
    location("next", "proxy_next_upstream error timeout http_500 non_idempotent;"),
    location("mirrored", "mirror /mirror;"),
    "location = /mirror { internal; rollout_route spare; proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/infer; }",
    location("after", "post_action @spare;"),
    location("map", "add_header X-Mapped $mapped always;"),
])

HTTP = """
    limit_req_zone $server_port zone=rate:1m rate=1r/s;
    limit_req_zone $server_port zone=rate-told:1m rate=1r/s;
    limit_req_zone $server_port zone=none:1m rate=1r/m;
    limit_conn_zone $server_port zone=connections:1m;
    proxy_cache_path {home}/cache keys_zone=cache:1m;
    map $rollout_slot $mapped {{ default none; ~. $rollout_slot; }}
    upstream first-dead {{ server {dead} max_fails=0; server {green} backup; }}
    upstream both-dead {{ server {dead}; server {dead}; }}
    map "" $fallback {{ default {blue}; }}
"""


class World(RoutesOfATest):
    """nginx with one worker process and all the locations, a rolloutd that says what the test says, and a server for each slot."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        (self.home / "cache").mkdir(mode=0o777)
        (self.home / "cache").chmod(0o777)
        self.blue, self.green = ModelServer(), ModelServer()
        self.dead = unused_address()
        http = HTTP.format(home=self.home, dead=self.dead, blue=self.blue.address, green=self.green.address)
        self.nginx = Nginx(self.home, self.blue.port, workers=1, http=http, locations=LOCATIONS, worker_arguments="reconnect=10ms ack_timeout=200ms")
        self.rolloutd = PretendedRolloutd(self.home / "rolloutd.sock")
        self.nginx.start()
        self.link_up()

    def connect(self):
        super().connect()
        self.route("spare", weight=0)
        self.route("other", weight=0)

    def route(self, model, weight=100, watched=True, green=None, revision=2):
        """All of the model's traffic to green, or none; with a green it is watched."""
        self.routes[model] = {"model_id": model, "part": "", "weight": weight, "watched": watched,
                              "blue": {"revision": 1, "upstream": self.blue.address, "model": model + "__r1"},
                              "green": {"revision": revision, "upstream": green or self.green.address, "model": f"{model}__r{revision}"}}
        if not watched:
            del self.routes[model]["green"]
        self.send_routes()

    def infer(self, prefix, model, **headers):
        return Client(self.nginx.port).post(f"/{prefix}/v2/models/{model}/infer", {"inputs": []}, **headers)

    def open(self, prefix, model, body=b'{"inputs": []}', length=None, headers=""):
        """A connection on which an inference has begun."""
        client = socket.create_connection(("127.0.0.1", self.nginx.port), timeout=30)
        client.sendall(f"POST /{prefix}/v2/models/{model}/infer HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body) if length is None else length}\r\n"
                       f"{headers}\r\n".encode() + body)
        return client

    def logged(self, part):
        """The access log's lines with that, as METHOD URI STATUS SLOT MODEL."""
        log = self.home / "access.log"
        return [line for line in log.read_text().splitlines() if part in line]

    def close(self):
        self.closed.set()
        self.nginx.stop()
        self.rolloutd.__exit__()
        self.blue.close()
        self.green.close()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def m(request, world):
    """A model of the test's own, all of it on green."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name[5:])
    model = f"{name[:50]}-{zlib.crc32(name.encode())}"  # within the bound of a model's name
    world.route(model)
    return model


def fails(question):
    question.send(answer("broken", "500 Internal Server Error"))
    return True


def own_status(name):
    return {"limited": 503, "denied": 403, "auth401": 401, "auth403": 403, "auth500": 500, "preflight": 204, "large": 413, "redirected": 307}[name]


def read_to_end(client):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return received


# nginx's own answers.

@pytest.mark.parametrize("prefix", ["rate", "rate-told"])
def test_a_rate_limit_is_no_failure_of_the_models_whoever_reads_the_variables(world, m, prefix):
    world.route(m, weight=50)
    statuses = [world.infer(prefix, m).status for _ in range(30)]
    assert set(statuses) <= {200, 503} and statuses.count(503) >= 20
    blue, green = world.counts(m, 1), world.counts(m, 2)
    assert blue["requests"] + green["requests"] == statuses.count(200)
    assert blue["failures"] + green["failures"] == 0
    for line in world.logged(f"/{prefix}/v2/models/{m}/"):
        assert (" 503 - -" in line) == (" 503 " in line)


@pytest.mark.parametrize("how", ["", "-told", "-early"])
@pytest.mark.parametrize("name", OWN_ANSWERS)
def test_what_nginx_answers_by_itself_counts_nowhere(world, m, name, how):
    if name == "limited":
        world.infer(name + how, m)  # there is room for one in a minute
        world.route(m, revision=3)
    for _ in range(3):
        refused = world.infer(name + how, m)
        assert refused.status == own_status(name)
        assert "X-Slot" not in refused.headers and "X-Revision" not in refused.headers
    revision = 3 if name == "limited" else 2
    assert world.infer("plain", m).status == 200
    world.await_counts(m, revision, requests=1)
    metrics = Client(world.nginx.port).get("/metrics").body.decode()
    counted = re.findall(rf'rollout_route_requests_total{{model="{m}".*code_class="(...)"}} [1-9]', metrics)
    assert set(counted) == {"2xx"}


@pytest.mark.parametrize("name", ["denied", "auth403", "auth500", "large"])
def test_nor_when_a_fallback_answers_in_nginxs_place(world, m, name):
    for _ in range(3):
        assert world.infer(name + "-fallback", m).body == b"fallback"
    assert world.infer("plain", m).status == 200
    world.await_counts(m, requests=1)


def test_a_chunked_body_that_is_too_large_counts_nowhere(world, m):
    for prefix in ("large", "large-fallback"):
        with socket.create_connection(("127.0.0.1", world.nginx.port), timeout=30) as client:
            client.sendall(f"POST /{prefix}/v2/models/{m}/infer HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            client.sendall(b"8\r\n12345678\r\n0\r\n\r\n")
            assert (b"fallback" if prefix == "large-fallback" else b" 413 ") in read_to_end(client)
    assert world.infer("plain", m).status == 200
    world.await_counts(m, requests=1)


def test_a_connection_limit_counts_nowhere(world, m):
    goes_on = threading.Event()
    world.green.behaviours[m + "__r2"] = lambda question: goes_on.wait(30) and question.send(answer("late"))
    with world.open("connections", m) as first:
        wait_until(lambda: m + "__r2" in world.green.received, "the first request")
        assert [world.infer("connections", m).status for _ in range(5)] == [429] * 5
        goes_on.set()
        assert b"late" in first.recv(65536)
    world.await_counts(m, requests=1)


def test_a_body_that_never_comes_counts_nowhere(world, m):
    for prefix in ("plain", "uploads"):
        world.open(prefix, m, b"half", length=8).close()
    wait_until(lambda: len(world.logged(m)) == 2, "the ends of both")
    assert world.infer("plain", m).status == 200
    world.await_counts(m, requests=1)


def test_what_an_answer_tells_of_the_choice_is_the_one_that_was_made(world, m):
    told = world.infer("plain", m)
    assert told.headers["X-Slot"] == "green" and told.headers["X-Revision"] == "2" and told.body.decode() == m + "__r2"
    assert world.infer("map", m).headers["X-Mapped"] == "green"
    assert world.infer("plain", "no-such-model").status == 404
    wait_until(lambda: world.logged("no-such-model"), "the log")
    assert world.logged("no-such-model")[-1].endswith(" 404 - -")


# Nothing hides a failure.

@pytest.mark.parametrize("prefix, body", [
    ("intercepted", b"fallback"), ("intercepted-early", b"fallback"), ("static-page", b"sorry"), ("recursive", b"fallback"),
    ("spared", b"spare__r1"), ("itself", b"spare__r1")])
def test_a_failure_is_counted_whatever_error_page_answers(world, m, prefix, body):
    world.green.behaviours[m + "__r2"] = fails
    world.blue.behaviours["fails-too"] = fails
    spared = world.counts("spare", 1)["requests"]
    for _ in range(5):
        assert world.infer(prefix, m).body == body
    world.await_counts(m, requests=5, failures=5)
    if body.startswith(b"spare"):
        # In a location of its own route it is another choice, which counts for its own; what is redirected by its URI is a GET.
        world.await_counts("spare", 1, requests=spared + (5 if prefix == "spared" else 0))
    slot = "blue spare__r1" if body.startswith(b"spare") else f"green {m}__r2"
    wait_until(lambda: len(world.logged(f"/{prefix}/v2/models/{m}/" if prefix not in ("static-page", "itself") else slot)) >= 5, "the log")
    if prefix != "itself":
        assert all(line.endswith(slot) for line in world.logged(f"/{prefix}/v2/models/{m}/"))


@pytest.mark.parametrize("prefix, body", [("intercepted", b"fallback"), ("fallback-early", b"fallback"), ("static-page", b"sorry"),
                                          ("static-page-early", b"sorry"), ("spared", b"spare__r1")])
def test_a_server_that_is_dead_is_counted_as_well(world, m, prefix, body):
    world.route(m, green=world.dead)
    for _ in range(5):
        assert world.infer(prefix, m).body == body
    world.await_counts(m, requests=5, failures=5)


def test_a_stale_answer_hides_no_failure_and_one_from_the_cache_is_no_inference(world, m):
    assert world.infer("stale", m).status == 200
    world.green.behaviours[m + "__r2"] = fails
    wait_until(lambda: world.counts(m)["failures"] or world.infer("stale", m).status != 200, "the end of the cached answer")
    counted = world.counts(m)
    assert counted["requests"] == 2 and counted["failures"] == 1
    assert world.infer("stale", m).body.decode() == m + "__r2"
    world.await_counts(m, requests=3, failures=2)

    world.green.behaviours[m + "__r2"] = None
    for _ in range(10):
        assert world.infer("cached", m).status == 200
    world.await_counts(m, requests=4, failures=2)
    metrics = Client(world.nginx.port).get("/metrics").body.decode()
    counted = re.search(rf'rollout_route_requests_total{{model="{m}",slot="green",code_class="2xx"}} (\d+)', metrics)
    assert counted and int(counted[1]) >= 10, metrics


def test_a_client_that_leaves_while_it_still_sends_has_given_up(world, m):
    """Its answer has begun, and nginx reads its body as it comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        world.route(m, green="127.0.0.1:%d" % server.getsockname()[1])
        with world.open("uploads", m, b"half", length=8) as client:
            with server.accept()[0] as peer:
                peer.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                assert b"200 OK" in client.recv(65536)
                client.close()
                while peer.recv(65536):
                    pass
    world.await_counts(m, abandoned=1)


# Answers that break off.

def breaks_chunked(question):
    question.send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")


def breaks_short(question):
    question.send(OK + b"Content-Length: 100\r\n\r\nhello")


def breaks_with_a_reset(question):
    question.send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    question.reset()


def goes_silent(question):
    question.send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    question.connection.recv(1)


def unbuffered_by_itself(question):
    question.send(OK + b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")


def no_chunks(question):
    question.send(OK + b"Transfer-Encoding: chunked\r\n\r\nnot a chunk's length\r\n")


BREAKS = [breaks_chunked, breaks_short, breaks_with_a_reset, unbuffered_by_itself, no_chunks]


@pytest.mark.parametrize("prefix, behaviour", [*((prefix, how) for prefix in ("buffered", "unbuffered", "few-buffers") for how in BREAKS),
                                               ("buffered", goes_silent), ("unbuffered", goes_silent)])
def test_an_answer_that_breaks_off_is_a_failure(world, m, prefix, behaviour):
    world.green.behaviours[m + "__r2"] = behaviour
    for _ in range(3):
        with world.open(prefix, m, headers="Connection: close\r\n") as client:
            read_to_end(client)
    world.await_counts(m, requests=3, failures=3)


@pytest.mark.parametrize("prefix", ["buffered", "unbuffered"])
def test_an_answer_without_a_length_is_good_once_it_is_closed(world, m, prefix):
    world.green.behaviours[m + "__r2"] = lambda question: question.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello")
    assert world.infer(prefix, m).body == b"hello"
    world.green.behaviours[m + "__r2"] = lambda question: question.send(OK + b"Connection: close\r\n\r\nhello")
    assert world.infer(prefix, m).body == b"hello"
    world.green.behaviours[m + "__r2"] = lambda question: question.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert world.infer(prefix, m).status == 400
    world.await_counts(m, requests=3, client_errors=1)


# Clients that go away.

@pytest.mark.parametrize("prefix", ["plain", "streaming"])
def test_a_client_that_gives_up_is_known_by_how_long_it_had_waited(world, m, prefix):
    world.green.behaviours[m + "__r2"] = lambda question: question.connection.recv(1)
    clients = [world.open(prefix, m) for _ in range(3)]
    wait_until(lambda: sum(count for age, count in world.counts(m)["waiting"].items() if age >= 7) == 3, "three that have waited 128 ms")
    world.await_counts(m, waiting=3)
    for client in clients:
        client.close()
    counted = world.await_counts(m, abandoned=3)
    assert min(counted["abandoned"]) >= 16 * 3 + 16  # 128 ms


def test_one_that_goes_away_in_the_middle_of_an_answer_has_given_up_as_well(world, m):
    def begins(question):
        question.send(OK + b"Content-Length: 100\r\n\r\nhello")
        question.connection.recv(1)

    world.green.behaviours[m + "__r2"] = begins
    for prefix in ("streaming", "plain"):
        with world.open(prefix, m) as client:
            wait_until(lambda: world.green.received.count(m + "__r2") == (1 if prefix == "streaming" else 2), "the question")
            if prefix == "streaming":
                received = b""
                while b"hello" not in received:
                    received += client.recv(65536)
    world.await_counts(m, abandoned=2)


def test_a_server_that_had_failed_already_has_failed(world, m):
    def fails_without_end(question):
        question.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nbroken")
        question.connection.recv(1)

    world.green.behaviours[m + "__r2"] = fails_without_end
    with world.open("streaming", m) as client:
        assert b" 500 " in client.recv(65536)
    world.await_counts(m, requests=1, failures=1)


def test_a_killed_worker_process_leaves_nobody_waiting(world, m):
    world.green.behaviours[m + "__r2"] = lambda question: question.connection.recv(1)
    with world.open("plain", m):
        wait_until(lambda: sum(world.counts(m)["waiting"].values()) == 1, "the one that waits")
        pid, = world.nginx.worker_pids()
        os.kill(pid, signal.SIGKILL)
        world.connect()
    world.await_counts(m)


# Other choices.

@pytest.mark.parametrize("prefix, asked", [("rewritten", None), ("alias", "alias-of-other")])
def test_a_rewrite_to_another_model_is_another_choice(world, m, prefix, asked):
    world.route(asked or m)
    before = world.counts("other", 1)["requests"]
    for _ in range(3):
        assert world.infer(prefix, asked or m).body == b"other__r1"
    world.await_counts("other", 1, requests=before + 3)
    world.await_counts(asked or m)


def test_what_another_server_answered_after_a_choice_is_not_the_models(world, m):
    world.blue.behaviours["fallback"] = fails
    assert world.infer("unrouted", m).status == 500
    world.blue.behaviours["fallback"] = None
    assert world.infer("plain", m).status == 200
    world.await_counts(m, requests=1)


def test_each_location_that_a_request_goes_through_counts_for_its_own(world, m):
    before = world.counts("spare", 1)["requests"]
    assert world.infer("tried", m).body == b"spare__r1"
    world.await_counts(m)
    world.await_counts("spare", 1, requests=before + 1)

    world.green.behaviours[m + "__r2"] = lambda question: question.send(answer("", headers="X-Accel-Redirect: @spare\r\n"))
    assert world.infer("accel", m).body == b"spare__r1"
    world.await_counts(m, requests=1)
    world.await_counts("spare", 1, requests=before + 2)

    world.green.behaviours[m + "__r2"] = fails
    assert world.infer("after", m).status == 500
    world.await_counts(m, requests=2, failures=1)
    world.await_counts("spare", 1, requests=before + 3)

    assert world.infer("mirrored", m).status == 500
    world.await_counts(m, requests=3, failures=2)
    world.await_counts("spare", 1, requests=before + 4)


def test_of_several_attempts_the_last_one_counts_once(world, m):
    world.route(m, green="first-dead")
    assert world.infer("next", m).status == 200
    world.await_counts(m, requests=1)
    world.route(m, green="both-dead")
    assert world.infer("next", m).status == 502
    world.await_counts(m, requests=2, failures=1)


# No inferences.

def test_readiness_and_metadata_are_no_inferences(world, m):
    client = Client(world.nginx.port)
    for path in ("", "/ready", "/config", "/stats", "/versions/1/ready"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert client.request(method, f"/plain/v2/models/{m}{path}").status == 200
    world.await_counts(m)
    for path in ("/infer", "/generate", "/generate_stream", "/versions/1/infer"):
        assert client.post(f"/plain/v2/models/{m}{path}", {}).status == 200
    world.await_counts(m, requests=4)
    metrics = client.get("/metrics").body.decode()
    assert f'rollout_route_requests_total{{model="{m}",slot="green",code_class="2xx"}} 19' in metrics


def test_the_last_minute_is_known_of_a_model_that_nobody_watches(world, m):
    world.route(m, watched=False)
    for _ in range(7):
        assert world.infer("plain", m).status == 200
    assert Client(world.nginx.port).get(f"/plain/v2/models/{m}/ready").status == 200
    wait_until(lambda: world.measure(m)["last_minute"] == 7, "the last minute's")
    assert "last_minute" not in world.measure("no-such-model")
    world.await_counts(m)


# Latencies.

def test_of_a_streamed_answer_the_latency_is_the_time_to_its_first_byte(world, m):
    goes_on = threading.Event()

    def streams(question):
        question.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        goes_on.wait(30)
        question.send(b"0\r\n\r\n")

    world.green.behaviours[m + "__r2"] = streams
    with world.open("streaming", m, headers="Connection: close\r\n") as client:
        assert b" 200 " in client.recv(65536)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1, "a second of talk")
        goes_on.set()
        read_to_end(client)
    counted = world.await_counts(m, requests=1)
    assert counted["buckets"] == counted["first_byte"]


def test_a_slow_upload_is_not_the_servers_time(world, m):
    asked = time.monotonic()
    with world.open("uploads", m, b"half", length=8) as client:
        wait_until(lambda: m + "__r2" in world.green.begun, "the first half at the server")
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2, "a pause")
        assert sum(world.counts(m)["waiting"].values()) == 0
        client.sendall(b"half")
        assert b" 200 " in client.recv(65536)
    took_ms = (time.monotonic() - asked) * 1000
    assert world.await_counts(m, requests=1)["sum_ms"] < took_ms - 1000


@pytest.mark.parametrize("prefix", ["streaming", "few-buffers"])
def test_a_slow_download_is_not_the_servers_time(world, m, prefix):
    size = 32 << 20
    world.green.behaviours[m + "__r2"] = lambda question: question.send(OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
    asked = time.monotonic()
    with world.open(prefix, m, headers="Connection: close\r\n") as client:
        received = len(client.recv(65536))
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2, "a pause")
        while part := client.recv(1 << 20):
            received += len(part)
        took_ms = (time.monotonic() - asked) * 1000
    assert received > size
    # Most of the pause is taken off; nginx needs some of it to fill the buffers on the way.
    assert world.await_counts(m, requests=1)["sum_ms"] < took_ms - 1000


@pytest.mark.parametrize("prefix", ["streaming", "few-buffers"])
def test_nor_is_one_over_http2(world, m, prefix):
    size = 32 << 20
    world.green.behaviours[m + "__r2"] = lambda question: question.send(OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    # As browsers and gRPC's clients do, it gives the answer all the room that it may need.
    connection.increment_flow_control_window((1 << 31) - 1 - 65535)
    connection.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", f"/{prefix}/v2/models/{m}/infer")])
    connection.increment_flow_control_window((1 << 31) - 1 - 65535, 1)
    connection.send_data(1, b"{}", end_stream=True)
    asked = time.monotonic()
    received, ended = 0, False
    with socket.create_connection(("127.0.0.1", world.nginx.http2_port), timeout=30) as client, client.makefile("rb") as frames:
        client.sendall(connection.data_to_send())
        assert frames.peek()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2, "a pause")
        while not ended:
            head = frames.read(9)
            length = int.from_bytes(head[:3], "big")
            assert len(frames.read(length)) == length
            is_data = head[3] == 0
            received += length if is_data else 0
            ended = is_data and head[4] & 1  # END_STREAM
        took_ms = (time.monotonic() - asked) * 1000
    assert received == size
    assert world.await_counts(m, requests=1)["sum_ms"] < took_ms - 1000


# Clumps.

def test_one_client_whose_requests_fail_counts_once(world, m):
    world.green.behaviours[m + "__r2"] = lambda question: fails(question) if question.header("X-User") == "9" else question.send(answer("good")) or True
    for _ in range(10):
        for user in range(10):
            assert world.infer("plain", m, X_User=str(user)).status == (500 if user == 9 else 200)
    world.await_counts(m, requests=91, failures=1, left_out=9)


def test_a_client_that_is_the_traffic_counts_always(world, m):
    world.green.behaviours[m + "__r2"] = fails
    for _ in range(20):
        assert world.infer("plain", m).status == 500
    world.await_counts(m, requests=20, failures=20)
