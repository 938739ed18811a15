"""Answers name the model as the client does, whatever its revision is called on the server."""

import gzip
import json
import re
import subprocess

import pytest

from model_servers import OK, ModelServer, answer
from processes import DEADLINE_S
from routed_servers import RoutedServers


def location(prefix, lines="", route="rollout_route $model;"):
    return f"""
        location ~ ^/{prefix}/v2/models/(?<model>[A-Za-z0-9._-]+)(?<rest>/.*)?$ {{
            {route}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {lines}
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }}
"""


LOCATIONS = "".join([
    location("plain"),
    location("told", "add_header X-Model $rollout_backend_model always;"),
    location("unbuffered", "proxy_buffering off;"),
    location("small", "proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; proxy_max_temp_file_size 0;"),
    location("file", "proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;"),
    location("cached", "proxy_cache cache; proxy_cache_methods POST; proxy_cache_key $uri; proxy_cache_valid 200 1h; add_header X-Cache $upstream_cache_status;"),
    location("gzipped", "gzip on; gzip_types application/json; gzip_min_length 1;"),
    location("ml/models/prod"),
    location("server", route="rollout_route $model names=server;"),
    location("client", route="rollout_route $model names=client key=$http_x_user preview=$http_x_preview part=$http_x_part;"),
    location("intercepted", "proxy_intercept_errors on; error_page 500 = @other;"),
    "location @other { return 200 '{\"model_name\":\"m__r2\"}'; }",
    """location ~ ^/parts/v2/models/(?<plugin>[a-z]+)_(?<model>[0-9]+)_(?<part>[a-z]+)(?<rest>/.*)?$ {
        rollout_route $model part=$part;
        proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
    }""",
])

HTTP = "proxy_cache_path {home}/cache keys_zone=cache:1m;"

INFERENCE = '{"id":"\\"model_name\\":\\"m__r2\\"","model_name":"m__r2","model_version":"1","outputs":[{"name":"m__r2","data":[1]}]}'
RENAMED = '{"id":"\\"model_name\\":\\"m__r2\\"","model_name":"m"    ,"model_version":"1","outputs":[{"name":"m__r2","data":[1]}]}'


@pytest.fixture(scope="module")
def world():
    made = RoutedServers(ModelServer(), ModelServer(), LOCATIONS, HTTP)
    made.route("m", "other", "a-name-that-is-longer")
    yield made
    made.close()


def says(world, text, **more):
    world.green.behaviours = {"m__r2": lambda question: question.send(answer(text, **more)) or True}


def infer(world, prefix="plain", model="m", rest="/infer", **headers):
    return world.client.post(f"/{prefix}/v2/models/{model}{rest}", {"inputs": []}, **headers)


@pytest.mark.parametrize("prefix", ["plain", "told", "unbuffered", "small", "file", "client"])
def test_an_inference_is_answered_with_the_clients_name_and_its_length(world, prefix):
    says(world, INFERENCE)
    told = infer(world, prefix)
    assert told.body.decode() == RENAMED and len(RENAMED) == len(INFERENCE) == int(told.headers["Content-Length"])
    assert told.json["model_name"] == "m"
    if prefix == "told":
        assert told.headers["X-Model"] == "m__r2"


def test_so_is_a_question_for_the_metadata(world):
    says(world, '{"name":"m__r2","versions":["1"],"inputs":[{"name":"m__r2"}]}')
    assert world.client.get("/plain/v2/models/m").body == b'{"name":"m"    ,"versions":["1"],"inputs":[{"name":"m__r2"}]}'
    assert world.client.request("HEAD", "/plain/v2/models/m").headers["Content-Length"] == "61"


def test_the_servers_name_on_request(world):
    says(world, INFERENCE)
    assert infer(world, "server").body.decode() == INFERENCE


def test_a_binary_tail_stays_as_it_is(world):
    head = b'{"model_name":"m__r2","outputs":[{"name":"y","parameters":{"binary_data_size":22}}]}'
    tail = b'"model_name":"m__r2"\0\xff'

    def behaviour(question):
        question.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
                      % (len(head), len(head + tail)) + head + tail)
        return True

    world.green.behaviours = {"m__r2": behaviour}
    told = infer(world)
    size = int(told.headers["Inference-Header-Content-Length"])
    assert told.body[size:] == tail
    assert json.loads(told.body[:size])["model_name"] == "m"


@pytest.mark.parametrize("prefix", ["plain", "unbuffered", "small", "file", "cached"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_answer_is_whole(world, prefix, chunked):
    text = INFERENCE[:-3] + ",1" * 400_000 + "]}]}"
    world.green.behaviours = {"m__r2": lambda question: question.send(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in
                                                              (text[at:at + 999].encode() for at in range(0, len(text), 999))) + b"0\r\n\r\n")
        or True} if chunked else {}
    if not chunked:
        says(world, text)
    wanted = text.replace('"model_name":"m__r2",', '"model_name":"m"    ,')
    for _ in range(3 if prefix == "cached" else 1):
        told = infer(world, prefix, rest=f"/infer{chunked}")
        assert told.body.decode() == wanted
    if prefix == "cached":
        assert told.headers["X-Cache"] == "HIT"


@pytest.mark.parametrize("prefix", ["plain", "unbuffered", "small"])
@pytest.mark.parametrize("cut", [1, 7, 48, 60, 62, 63, 64, 65])
def test_however_the_answer_is_cut(world, prefix, cut):
    """A chunk of nginx's own makes a buffer of its own."""
    def behaviour(question):
        data = INFERENCE.encode()
        question.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in (data[:cut], data[cut:cut + 3], data[cut + 3:]):
            question.send(b"%x\r\n%s\r\n" % (len(part), part))
        question.send(b"0\r\n\r\n")
        return True

    world.green.behaviours = {"m__r2": behaviour}
    assert infer(world, prefix).body.decode() == RENAMED


@pytest.mark.parametrize("text", ['{"model_name":"m__r20"}', '{"model_name":"m"}', '["model_name","m__r2"]', '{"model_name":"m__r2', "", "hello",
                                  '{"outputs":[{"model_name":"m__r2"}]}', '{"x":"' + "x" * 5000 + '","model_name":"m__r2"}'])
def test_another_answer_stays_as_it_is(world, text):
    says(world, text)
    for prefix in ("plain", "unbuffered"):
        assert infer(world, prefix).body.decode() == text


def test_an_error_and_a_compressed_answer_stay_as_they_are(world):
    says(world, INFERENCE, status="400 Bad Request")
    assert infer(world).body.decode() == INFERENCE
    packed = gzip.compress(INFERENCE.encode())
    world.green.behaviours = {"m__r2": lambda question: question.send(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed) or True}
    assert infer(world).body == packed
    says(world, INFERENCE, status="500 Internal Server Error")
    assert infer(world, "intercepted").body == b'{"model_name":"m__r2"}'


def test_what_nginx_itself_compresses_is_renamed(world):
    says(world, INFERENCE)
    assert gzip.decompress(infer(world, "gzipped", Accept_Encoding="gzip").body).decode() == RENAMED


def test_a_name_that_is_longer_than_the_servers_is_not_written(world):
    world.route("a-name-that-is-longer", names="x{revision}")
    world.green.behaviours = {"x2": lambda question: question.send(answer('{"model_name":"x2"}')) or True}
    assert infer(world, model="a-name-that-is-longer").body == b'{"model_name":"x2"}'


def test_the_name_of_a_part_is_what_the_client_has_written(world):
    world.route("77", part="query", names="Fancy__{model}__{part}__r{revision}")
    world.green.behaviours = {"Fancy__77__query__r2": lambda question: question.send(answer('{"model_name":"Fancy__77__query__r2"}')) or True}
    told = world.client.post("/parts/v2/models/fancy_77_query/infer", {"inputs": []})
    assert told.json == {"model_name": "fancy_77_query"}


def test_a_prefix_or_a_query_names_no_model(world):
    says(world, INFERENCE)
    assert infer(world, "ml/models/prod").json["model_name"] == "m"
    assert infer(world, rest="/infer?like=/models/x").json["model_name"] == "m"


def test_each_event_of_a_stream_is_renamed_as_it_comes(world):
    def behaviour(question):
        question.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(500):
            question.send(b'data: {"model_name":"m__r2","text_output":"%d"}\n\n' % number)

    world.green.behaviours = {"m__r2": behaviour}
    for prefix in ("plain", "unbuffered"):
        events = infer(world, prefix, rest="/generate_stream").body.decode().strip().split("\n\n")
        assert [json.loads(event.removeprefix("data: ")) for event in events] == [{"model_name": "m", "text_output": str(number)} for number in range(500)]


def test_over_http2(world):
    says(world, INFERENCE)
    told = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-d", "{}", f"http://127.0.0.1:{world.nginx.http2_port}/plain/v2/models/m/infer"],
                          capture_output=True, check=True, timeout=DEADLINE_S)
    assert told.stdout.decode() == RENAMED


@pytest.mark.parametrize("value", ["names=", "names=both", "names=client names=client", "names=server names=client"])
def test_a_bad_value_is_refused(world, value):
    before = world.nginx.conf.read_text()
    try:
        world.nginx.conf.write_text(before.replace("rollout_route $model names=server;", f"rollout_route $model {value};"))
        status, said = world.nginx.test_configuration()
        assert status != 0 and re.search(r'invalid parameter "names=\w*" in .*nginx.conf:\d+', said)
    finally:
        world.nginx.conf.write_text(before)
