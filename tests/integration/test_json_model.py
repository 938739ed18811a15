"""OpenAI-style requests: the model's name in the body's member `model`, the client's name back in the answer and in each event of a stream."""

import gzip
import http.client
import json
import socket
import subprocess
import threading

import pytest

from model_servers import OK, ModelServer, answer, unused_address
from processes import DEADLINE_S, wait_until
from routed_servers import RoutedServers


def location(prefix, lines="", route="rollout_route $rollout_json_model key=$http_x_user;", target="$rollout_upstream"):
    return f"""
        location ~ ^/{prefix}/v1/(?<api>embeddings|completions|chat/completions)$ {{
            rollout_json_model;
            {route}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Accept-Encoding "";
            {lines}
            proxy_pass http://{target}/v1/$api;
        }}
"""


LOCATIONS = "".join([
    location("plain"),
    location("streaming", "proxy_buffering off;"),
    location("uploads", "proxy_request_buffering off;"),
    location("small", "client_body_buffer_size 1k;"),
    location("memory", "client_body_buffer_size 16m;"),
    location("limited", "client_max_body_size 100;"),
    location("server", route="rollout_route $rollout_json_model names=server;"),
    location("told", "add_header X-Model $rollout_backend_model always; add_header X-Name $rollout_json_model always; access_log HOME/json.log names;"),
    location("mirrored", "mirror /mirror;"),
    location("mirrored-small", "mirror /mirror; client_body_buffer_size 1k;"),
    location("fallback", "error_page 502 504 = @spare;"),
    location("next", target="first-dead"),
    location("to-others", "error_page 502 504 = @others;"),
    location("audited", "mirror /audit;"),
    location("audited-small", "mirror /audit; client_body_buffer_size 1k;"),
    "location /from-others/ { error_page 502 504 = @here; proxy_pass http://$nowhere; }",
    "location /from-others-small/ { client_body_buffer_size 1k; error_page 502 504 = @here; proxy_pass http://$nowhere; }",
    "location @here { rollout_json_model; rollout_route $rollout_json_model; proxy_pass http://$rollout_upstream/here; }",
    "location @others { proxy_pass http://$others/others; }",
    "location = /audit { internal; proxy_pass http://$others/audit; }",
    "location @spare { rollout_json_model; rollout_route spare; proxy_pass http://$rollout_upstream/spare; }",
    "location = /mirror { internal; rollout_json_model; rollout_route shadow preview=green; proxy_pass http://$rollout_upstream/shadow; }",
    """location /unrouted/ { proxy_request_buffering off; proxy_pass http://$rollout_upstream/x; rollout_route m; }""",
    "client_max_body_size 32m;",
])

HTTP = """
    log_format names '$rollout_json_model $status $rollout_slot';
    upstream first-dead {{ server {dead} max_fails=0; server {green} backup; }}
    map "" $nowhere {{ default {dead}; }}
    map "" $others {{ default {blue}; }}
"""


@pytest.fixture(scope="module")
def world():
    made = RoutedServers(ModelServer(), ModelServer(), LOCATIONS, HTTP.replace("{dead}", unused_address()))
    made.route("m", "spare", "shadow", "other")
    made.bodies = []

    def echo(question):
        made.bodies.append(question.body)
        question.send(answer(json.dumps({"object": "list", "data": [{"model": "m__r2"}], "model": json.loads(question.body)["model"]})))
        return True

    made.echo = echo
    yield made
    made.close()


@pytest.fixture(autouse=True)
def echoes(world):
    world.green.behaviours = {None: world.echo}
    world.bodies.clear()


def post(world, body, prefix="plain", api="embeddings", **headers):
    return world.client.post(f"/{prefix}/v1/{api}", body, **headers)


@pytest.mark.parametrize("prefix", ["plain", "streaming", "uploads", "small", "memory", "told"])
@pytest.mark.parametrize("api", ["embeddings", "completions", "chat/completions"])
def test_the_revisions_name_goes_in_and_the_clients_comes_back(world, prefix, api):
    told = post(world, '{"input": ["model", {"model": "x"}], "model": "m", "n": 1}', prefix, api)
    assert told.status == 200
    assert world.bodies == [b'{"input": ["model", {"model": "x"}], "model": "m__r2", "n": 1}']
    assert told.json == {"object": "list", "data": [{"model": "m__r2"}], "model": "m"}
    if prefix == "told":
        assert told.headers["X-Model"] == "m__r2" and told.headers["X-Name"] == "m"


@pytest.mark.parametrize("prefix", ["plain", "uploads", "small", "memory"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [0, 900, 1000, 1010, 1020, 16384, 100_000, 5_000_000])
def test_bodies_of_every_size(world, prefix, first, size):
    numbers = ",".join(["0.123456"] * (size // 9))
    body = f'{{"model":"m","input":[{numbers}]}}' if first else f'{{"input":[{numbers}],"model":"m"}}'
    assert post(world, body, prefix).json["model"] == "m"
    assert world.bodies == [body.replace('"m"', '"m__r2"').encode()]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_chunked_bodies(world, size):
    body = b'{"input":["' + b"x" * 3000 + b'"],"model":"m"}'
    connection = http.client.HTTPConnection("127.0.0.1", world.nginx.port, timeout=DEADLINE_S)
    connection.request("POST", "/plain/v1/embeddings", iter([body[at:at + size] for at in range(0, len(body), size)]), {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["model"] == "m"
    assert world.bodies == [body.replace(b'"m"', b'"m__r2"')]


def test_a_body_byte_by_byte(world):
    body = b'{"input":[1],"model":"m"}'
    with socket.create_connection(("127.0.0.1", world.nginx.port), timeout=DEADLINE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"POST /plain/v1/embeddings HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for byte in body:
            client.sendall(bytes([byte]))
        received = b""
        while part := client.recv(65536):
            received += part
    assert received.endswith(b'"model": "m"    }')
    assert world.bodies == [b'{"input":[1],"model":"m__r2"}']


def test_over_http2(world):
    told = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "Content-Type: application/json", "-d", '{"input":"' + "x" * 100_000 + '","model":"m"}',
                           f"http://127.0.0.1:{world.nginx.http2_port}/plain/v1/embeddings"], capture_output=True, check=True, timeout=DEADLINE_S)
    assert json.loads(told.stdout)["model"] == "m" and world.bodies[0].endswith(b'","model":"m__r2"}')


@pytest.mark.parametrize("body, status, words", [
    ("", 400, "not a JSON object"), ("hello", 400, "not a JSON object"), ("[]", 400, "not a JSON object"), ('{"model":"m"', 400, "ends before"),
    ('{"model":"m"} x', 400, "not a JSON object"), ('{"model":"m","input":[}', 400, "not a JSON object"),
    ("{}", 422, "no member"), ('{"input":{"model":"m"}}', 422, "no member"), ('{"model":7}', 422, "not a string"), ('{"model":null}', 422, "not a string"),
    ('{"model":"\\u006d"}', 422, "escape"), ('{"model":"m","model":"other__r2"}', 422, "more than once"),
    ('{"model":"m","Model":"other__r2"}', 422, "more than once"), ('{"model":"m","mod\\u0065l":"other__r2"}', 422, "more than once"),
    ('{"MODEL":"m"}', 422, "some servers"), ('{"model":"' + "x" * 300 + '"}', 422, "longer"), ('{"model":"m","x":' + "[" * 300 + "]" * 300 + "}", 422, "nested"),
    ('{"model":"other__r2"}', 404, 'There is no model "other__r2" here'), ('{"model":"no-such"}', 404, 'There is no model "no-such" here'),
    ('{"model":""}', 404, "There is no model")])
def test_what_names_no_model_is_a_problem(world, body, status, words):
    for prefix in ("plain", "small", "uploads"):
        for more in ("", " " * 100_000):
            assert words in post(world, more + body, prefix).problem(status)["detail"]
    assert not world.bodies


def test_a_body_that_is_compressed_or_too_large_is_refused(world):
    assert "compressed" in post(world, gzip.compress(b'{"model":"m"}'), Content_Encoding="gzip").problem(415)["detail"]
    assert "client_max_body_size" in post(world, '{"model":"m","input":"' + "x" * 1000 + '"}', "limited").problem(413)["detail"]
    assert not world.bodies


def test_each_event_of_a_stream_is_renamed_as_it_comes(world):
    """The second event is not there before the client has the first."""
    goes_on = threading.Event()

    def stream(question):
        question.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n")
        question.send(b'data: {"id":"1","object":"chat.completion.chunk","model":"m__r2","choices":[{"delta":{"content":"\\"model\\":\\"m__r2\\""}}]}\n\n')
        assert goes_on.wait(DEADLINE_S)
        question.send(b'data: {"id":"1","model":"m_')
        question.send(b'_r2","choices":[]}\n\ndata: [DONE]\n\n')

    world.green.behaviours = {None: stream}
    connection = http.client.HTTPConnection("127.0.0.1", world.nginx.port, timeout=DEADLINE_S)
    connection.request("POST", "/streaming/v1/chat/completions", '{"model":"m","stream":true}', {"Content-Type": "application/json"})
    told = connection.getresponse()
    assert told.readline() == b'data: {"id":"1","object":"chat.completion.chunk","model":"m"    ,"choices":[{"delta":{"content":"\\"model\\":\\"m__r2\\""}}]}\n'
    goes_on.set()
    assert told.read() == b'\ndata: {"id":"1","model":"m"    ,"choices":[]}\n\ndata: [DONE]\n\n'


def test_a_long_stream_needs_no_memory_for_each_event(world):
    def stream(question):
        question.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            question.send(b'data: {"model":"m__r2","choices":[]}\n\n' * 500)

    world.green.behaviours = {None: stream}

    def memory():
        pid, = world.nginx.worker_pids()
        with open(f"/proc/{pid}/status") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))

    for prefix in ("plain", "streaming"):
        post(world, '{"model":"m"}', prefix, "completions")
        before = memory()
        for _ in range(3):
            assert post(world, '{"model":"m"}', prefix, "completions").body == b'data: {"model":"m"    ,"choices":[]}\n\n' * 100_000
        assert memory() < before + 16 * 1024


@pytest.mark.parametrize("headers", ["", "Content-Encoding: gzip\r\n"])
def test_an_answer_that_is_none_of_the_models_stays_as_it_is(world, headers):
    for text in ('{"model":"other"}', '{"error":{"message":"m__r2"}}', "hello", "", '{"data":[]') + (('{"model":"m__r2"}',) if headers else ()):
        world.green.behaviours = {None: lambda question, text=text: question.send(answer(text, headers=headers)) or True}
        assert post(world, '{"model":"m"}').body.decode() == text
    world.green.behaviours = {None: lambda question: question.send(answer('{"model":"m__r2"}', "400 Bad Request")) or True}
    assert post(world, '{"model":"m"}').body == b'{"model":"m__r2"}'


def test_the_servers_name_on_request_and_a_longer_one_of_the_clients(world):
    assert post(world, '{"model":"m"}', "server").json["model"] == "m__r2"
    world.route("a-name-that-is-longer", names="x{revision}")
    told = post(world, '{"model":"a-name-that-is-longer"}')
    assert told.json["model"] == "a-name-that-is-longer" and "Content-Length" not in told.headers


def test_a_large_answer_is_whole_and_the_name_may_be_its_last_member(world):
    numbers = ",".join(["0.5"] * 500_000)
    world.green.behaviours = {None: lambda question: question.send(answer(f'{{"data":[{numbers}],"model":"m__r2"}}')) or True}
    for prefix in ("plain", "streaming"):
        told = post(world, '{"model":"m"}', prefix)
        assert told.body.decode() == f'{{"data":[{numbers}],"model":"m"    }}'


@pytest.mark.parametrize("prefix", ["mirrored", "mirrored-small"])
@pytest.mark.parametrize("size", [0, 5000])
@pytest.mark.parametrize("first", [True, False])
def test_a_shadow_gets_the_body_with_its_own_name(world, prefix, size, first):
    body = '{"model":"m","input":"%s"}' if first else '{"input":"%s","model":"m"}'
    body %= "x" * size
    assert post(world, body, prefix).json["model"] == "m"
    wait_until(lambda: len(world.bodies) == 2, "the shadow", 20)
    assert sorted(world.bodies) == sorted(body.replace('"m"', f'"{name}__r2"').encode() for name in ("m", "shadow"))


def test_another_location_writes_its_own_name(world):
    world.route("gone", upstreams=(unused_address(), unused_address()))
    for size in (0, 100_000):
        assert post(world, json.dumps({"input": "x" * size, "model": "gone"}), "fallback").status == 200
        assert json.loads(world.bodies.pop()) == {"input": "x" * size, "model": "spare__r2"}


@pytest.mark.parametrize("size", [0, 5000, 100_000])
@pytest.mark.parametrize("first", [True, False])
def test_a_service_that_stands_in_gets_the_clients_name(world, size, first):
    world.route("gone", upstreams=(unused_address(), unused_address()))
    world.blue.behaviours = {None: world.echo}
    body = ('{"model":"gone","input":"%s"}' if first else '{"input":"%s","model":"gone"}') % ("x" * size)
    assert post(world, body, "to-others").json["model"] == "gone"
    assert world.bodies == [body.encode()]


@pytest.mark.parametrize("prefix", ["audited", "audited-small"])
@pytest.mark.parametrize("size", [0, 5000])
def test_so_does_one_that_gets_a_copy(world, prefix, size):
    world.blue.behaviours = {None: world.echo}
    body = '{"input":"%s","model":"m"}' % ("x" * size)
    assert post(world, body, prefix).json["model"] == "m"
    wait_until(lambda: len(world.bodies) == 2, "the copy", 20)
    assert sorted(world.bodies) == sorted([body.encode(), body.replace('"m"', '"m__r2"').encode()])


@pytest.mark.parametrize("prefix", ["from-others", "from-others-small"])
@pytest.mark.parametrize("size", [0, 900, 5000, 100_000])
@pytest.mark.parametrize("first", [True, False])
def test_a_body_that_another_location_has_read_is_read_here(world, prefix, size, first):
    body = ('{"model":"m","input":"%s"}' if first else '{"input":"%s","model":"m"}') % ("x" * size)
    assert post(world, body, prefix).json["model"] == "m"
    assert world.bodies == [body.replace('"m"', '"m__r2"').encode()]


def test_and_refused_here(world):
    for body, status, words in (("", 400, "not a JSON object"), ('{"model":"m"', 400, "ends before"), ('{"model":7}', 422, "not a string"),
                                ('{"model":"no-such"}', 404, "There is no model")):
        for more in ("", " " * 100_000):
            assert words in post(world, more + body, "from-others").problem(status)["detail"]
    assert not world.bodies


def test_the_next_server_gets_the_same_body(world):
    for size in (0, 5000, 100_000):
        body = '{"input":"' + "x" * size + '","model":"m"}'
        assert post(world, body, "next").status == 200
        assert world.bodies.pop() == body.replace('"m"', '"m__r2"').encode()


def test_results_count_as_ever(world):
    world.route("counted")
    for status, counts in (("200 OK", {}), ("500 Internal Server Error", {"failures": 1}), ("422 Unprocessable", {"failures": 1, "client_errors": 1})):
        world.green.behaviours = {None: lambda question, status=status: question.send(answer("{}", status)) or True}
        assert post(world, '{"model":"counted"}').status == int(status[:3])
    world.await_counts("counted", requests=3, **counts)


def test_a_client_that_goes_away_while_it_sends_counts_nowhere(world):
    world.route("left")
    for prefix in ("plain", "uploads"):
        with socket.create_connection(("127.0.0.1", world.nginx.port), timeout=30) as client:
            client.sendall(f"POST /{prefix}/v1/embeddings HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{{\"model\":\"left\",".encode())
        wait_until(lambda: world.logged(f"/{prefix}/v1/embeddings 4"), "the end")
    assert post(world, '{"model":"left"}').status == 200
    world.await_counts("left", requests=1)


def test_the_log_has_the_name(world):
    post(world, '{"model":"m"}', "told")
    post(world, '{"model":"no-such"}', "told")
    post(world, "[]", "told")
    log = world.home / "json.log"
    wait_until(lambda: log.read_text().splitlines()[-3:] == ["m 200 green", "no-such 404 -", "- 400 -"], "the log")
