"""gRPC inference: the model's name read in the message, the revision's written in, the client's written back into the answer."""

import re
import socket
import threading

import grpc
import pytest

from gateway import Client
from grpc_servers import SERVICE, GrpcClient, GrpcServer, field, fields, frame, name_in, varint
from model_servers import unused_address
from processes import wait_until
from routed_servers import RoutedServers

Code = grpc.StatusCode


def location(prefix, lines="", route="rollout_route $rollout_grpc_model;", target="grpc://$rollout_upstream"):
    return f"""
        location ~ ^/{prefix}inference\\.GRPCInferenceService/ {{
            rollout_grpc;
            {route}
            grpc_set_header Grpc-Accept-Encoding identity;
            {lines}
            grpc_pass {target};
        }}
"""


LOCATIONS = "".join([
    "location = /metrics { rollout_metrics; }",
    location(""),
    location("small/", "client_body_buffer_size 1k;"),
    location("memory/", "client_body_buffer_size 128m;"),
    location("told/", "access_log HOME/grpc.log status; set $early $rollout_upstream; add_header X-Model $rollout_backend_model always;"),
    location("server/", route="rollout_route $rollout_grpc_model names=server;"),
    location("mapped/", route="rollout_route $mapped part=$mapped_part;"),
    location("limited/", "client_max_body_size 100;"),
    location("denied/", "deny all;"),
    location("rate/", "limit_req zone=none;"),
    location("auth/", "auth_request /auth401;"),
    location("paged/", "error_page 403 502 503 504 /page; deny 127.0.0.9;"),
    location("read/", "grpc_read_timeout 300ms;"),
    location("mirrored/", "mirror /mirror;"),
    location("mirrored-small/", "mirror /mirror; client_body_buffer_size 1k;"),
    location("fallback/", "grpc_intercept_errors on; error_page 502 503 504 = @spare;"),
    location("length/", "set $length $content_length; grpc_set_header X-Length $length;"),
    location("next/", "grpc_next_upstream error timeout http_502;", target="grpc://first-dead"),
    location("keyed/", route="rollout_route $rollout_grpc_model key=$http_x_user preview=$http_x_preview;"),
    "location @spare { rollout_grpc; rollout_route spare; grpc_pass grpc://$rollout_upstream; }",
    "location = /mirror { internal; rollout_grpc; rollout_route shadow preview=green; rewrite ^ $request_uri break; grpc_pass grpc://$rollout_upstream; }",
    location("to-others/", "error_page 502 503 504 = @others;"),
    "location @others { grpc_pass grpc://others; }",
    "location /from-others/ { error_page 502 503 504 = @here; grpc_pass grpc://nowhere; }",
    "location @here { rollout_grpc; rollout_route $rollout_grpc_model; grpc_pass grpc://$rollout_upstream; }",
    "location = /auth401 { internal; return 401; }",
    "location = /page { internal; return 200 sorry; }",
    "client_max_body_size 128m; keepalive_requests 1000000;",
])

HTTP = """
    log_format status '$rollout_grpc_model $rollout_grpc_status $status $rollout_slot';
    limit_req_zone $server_port zone=none:1m rate=1r/m;
    map $rollout_grpc_model $mapped {{ ~^plugin_(?<id>.*)_(query|items)$ $id; }}
    map $rollout_grpc_model $mapped_part {{ ~_(?<p>query|items)$ $p; }}
    upstream first-dead {{ server {dead} max_fails=0; server {green} backup; }}
    upstream nowhere {{ server {dead}; }}
    upstream others {{ server {blue}; }}
"""


@pytest.fixture(scope="module")
def world():
    blue, green = GrpcServer(), GrpcServer()
    made = RoutedServers(blue, green, LOCATIONS, HTTP.replace("{dead}", unused_address()))
    made.route("m", "spare", "shadow", "other")
    yield made
    made.close()


@pytest.fixture
def client(world):
    world.green.behaviours, world.blue.behaviours = {}, {}
    made = GrpcClient(world.nginx.http2_port)
    yield made
    made.close()


def call(world, prefix, method="ModelInfer", message=None, **more):
    """Through a location of the test's own."""
    made = GrpcClient(world.nginx.http2_port)
    try:
        return made.channel.unary_unary(f"/{prefix}{SERVICE[1:]}{method}")(message if message is not None else field(1, "m"), timeout=60, **more)
    finally:
        made.close()


def failure(world, prefix, *arguments, **more):
    with pytest.raises(grpc.RpcError) as error:
        call(world, prefix, *arguments, **more)
    return error.value.code(), error.value.details()


@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ModelMetadata"])
def test_the_revisions_name_goes_in_and_the_clients_comes_back(world, client, method):
    rest = field(3, "id") + field(5, field(1, "m__r2"))
    assert client.call(method, field(1, "m") + rest) == field(1, "m") + rest
    assert world.green.received[-1] == (method, field(1, "m__r2") + rest)


@pytest.mark.parametrize("prefix", ["", "small/", "memory/"])
@pytest.mark.parametrize("size", [0, 1, 100, 1000, 1024, 16383, 16384, 16385, 100_000, 5_000_000])
def test_messages_of_every_size(world, prefix, size):
    rest = field(7, bytes(range(256)) * (size // 256) + b"x" * (size % 256)) if size else b""
    assert call(world, prefix, message=field(1, "m") + rest) == field(1, "m") + rest
    assert world.green.received.pop()[1] == field(1, "m__r2") + rest


def test_a_message_of_64_mib(world):
    rest = field(7, b"\x0a\x00" * (32 << 20))
    for prefix in ("", "memory/"):
        assert call(world, prefix, message=field(1, "m") + rest) == field(1, "m") + rest


def test_a_name_that_is_not_first_goes_first(world, client):
    assert client.call("ModelInfer", field(2, "1") + field(3, "id") + field(1, "m") + field(7, "x")) == b"".join(
        [field(1, "m"), field(2, "1"), field(3, "id"), field(7, "x")])


def test_names_of_the_server_on_request(world):
    assert call(world, "server/") == field(1, "m__r2")


def test_an_answer_of_another_name_stays_as_it_is(world, client):
    for answer in (field(1, "other") + field(7, "x"), field(2, "m__r2"), b"", field(1, "m__r22"), field(1, "")):
        world.green.behaviours["m__r2"] = lambda request, context, answer=answer: answer
        assert client.infer("m") == answer


def test_a_name_may_be_longer_or_shorter_than_the_servers(world, client):
    world.route("a-name-that-is-longer-than-the-other", names="x{revision}")
    assert client.infer("a-name-that-is-longer-than-the-other", field(7, "x")) == field(1, "a-name-that-is-longer-than-the-other") + field(7, "x")


def test_a_map_gives_parts(world):
    world.route("77", part="query", names="{model}__{part}__r{revision}")
    assert call(world, "mapped/", message=field(1, "plugin_77_query")) == field(1, "plugin_77_query")
    assert world.green.received[-1][1] == field(1, "77__query__r2")


def test_keys_and_previews(world):
    world.route("k", weight=50)
    answers = {user: [world.logged, call(world, "keyed/", message=field(1, "k"), metadata=[("x-user", str(user))])] for user in range(30)}
    assert all(answer[1] == field(1, "k") for answer in answers.values())
    slots = lambda: {name_in(request) for _, request in world.green.received[-50:] + world.blue.received[-50:] if name_in(request).startswith("k_")}  # noqa: E731
    assert slots() == {"k__r1", "k__r2"}
    world.route("k", weight=0)
    assert call(world, "keyed/", message=field(1, "k"), metadata=[("x-preview", "green")]) == field(1, "k")
    assert world.green.received[-1][1] == field(1, "k__r2")


# Nothing that a client sends reaches a revision by its name on the server.

@pytest.mark.parametrize("message, code, words", [
    (field(1, "other__r2"), Code.NOT_FOUND, 'There is no model "other__r2" here'),
    (field(1, "no-such"), Code.NOT_FOUND, 'There is no model "no-such" here'),
    (field(1, "caf\u00e9 %"), Code.NOT_FOUND, "There is no model of that name here"),
    (field(1, "m") + field(7, "x") + field(1, "other__r2"), Code.INVALID_ARGUMENT, "more than once"),
    (field(1, "m") + b"\x8a\x00" + varint(9) + b"other__r2", Code.INVALID_ARGUMENT, "more than once"),
    (b"\x08\x01" + field(1, "m"), Code.INVALID_ARGUMENT, "not a string"),
    (field(1, "m") + b"\x7b" + field(1, "x") + b"\x7c", Code.INVALID_ARGUMENT, "group"),
    (b"", Code.INVALID_ARGUMENT, "no model name"),
    (field(2, "1"), Code.INVALID_ARGUMENT, "no model name"),
    (field(2, "x" * 5000) + field(1, "m"), Code.INVALID_ARGUMENT, "first 4 KiB"),
    (field(1, "m") + b"\x3a\x7f", Code.INVALID_ARGUMENT, "not a protobuf message"),
    (field(1, "x" * 300), Code.INVALID_ARGUMENT, "longer"),
])
def test_what_names_no_model_is_refused(world, client, message, code, words):
    before = len(world.green.received), len(world.blue.received)
    for more in (b"", field(7, "x" * 100_000))[:1 if words in ("no model name", "not a protobuf message") else 2]:
        told, details = client.fails(message + more)
        assert told == code and words in details and details.endswith("."), details
    assert before == (len(world.green.received), len(world.blue.received))


def test_a_compressed_message_is_refused_and_the_client_told_what_is_taken(world, client):
    told, details = client.fails(field(1, "m") + field(7, "x" * 10_000), compression=grpc.Compression.Gzip)
    assert told == Code.UNIMPLEMENTED and "uncompressed" in details


# Errors.

def test_a_client_that_speaks_no_grpc_is_told_so(world):
    answer = Client(world.nginx.port).post(SERVICE + "ModelInfer", {"a": 1})
    assert "gRPC" in answer.problem(415)["detail"]


@pytest.mark.parametrize("prefix, code, words", [
    ("limited/", Code.RESOURCE_EXHAUSTED, "client_max_body_size"), ("denied/", Code.PERMISSION_DENIED, "does not allow"),
    ("auth/", Code.UNAUTHENTICATED, "credentials")])
def test_what_nginx_refuses_is_a_status(world, prefix, code, words):
    told, details = failure(world, prefix, message=field(1, "m") + field(7, "x" * 1000))
    assert told == code and words in details


def test_a_rate_limit_is_a_status(world):
    assert call(world, "rate/") == field(1, "m")
    assert [failure(world, "rate/")[0] for _ in range(2)] == [Code.UNAVAILABLE] * 2


def test_no_server_is_a_status(world, client):
    world.route("dead", upstreams=(unused_address(), unused_address()))
    told, details = client.fails(field(1, "dead"))
    assert told == Code.UNAVAILABLE and "cannot be reached" in details
    world.await_counts("dead", requests=1, failures=1)


def test_a_server_that_is_slow_is_a_status(world):
    world.route("slow")
    goes_on = threading.Event()
    world.green.behaviours["slow__r2"] = lambda request, context: goes_on.wait(60) and b""
    told, _ = failure(world, "read/", message=field(1, "slow"))
    goes_on.set()
    assert told == Code.DEADLINE_EXCEEDED
    world.await_counts("slow", requests=1, failures=1)


def test_a_status_of_the_servers_own_goes_through(world, client):
    def fails(request, context):
        context.set_trailing_metadata([("x-more", "1")])
        context.abort(Code.FAILED_PRECONDITION, "caf\u00e9 100%")

    world.green.behaviours["m__r2"] = fails
    assert client.fails(field(1, "m")) == (Code.FAILED_PRECONDITION, "caf\u00e9 100%")


# What counts.

@pytest.mark.parametrize("code, counts, status_class", [
    (Code.OK, {}, "2xx"), (Code.INVALID_ARGUMENT, {"client_errors": 1}, "4xx"), (Code.NOT_FOUND, {"client_errors": 1}, "4xx"),
    (Code.RESOURCE_EXHAUSTED, {"client_errors": 1}, "4xx"), (Code.ALREADY_EXISTS, {"client_errors": 1}, "4xx"),
    (Code.PERMISSION_DENIED, {"client_errors": 1}, "4xx"), (Code.FAILED_PRECONDITION, {"client_errors": 1}, "4xx"), (Code.ABORTED, {"client_errors": 1}, "4xx"),
    (Code.OUT_OF_RANGE, {"client_errors": 1}, "4xx"), (Code.UNIMPLEMENTED, {"client_errors": 1}, "4xx"), (Code.UNAUTHENTICATED, {"client_errors": 1}, "4xx"), (Code.UNKNOWN, {"failures": 1}, "5xx"), (Code.INTERNAL, {"failures": 1}, "5xx"),
    (Code.UNAVAILABLE, {"failures": 1}, "5xx"), (Code.DEADLINE_EXCEEDED, {"failures": 1}, "5xx"), (Code.DATA_LOSS, {"failures": 1}, "5xx")])
def test_a_call_counts_by_its_status(world, client, code, counts, status_class):
    model = "counted-" + code.name.lower()
    world.route(model)
    world.green.behaviours[model + "__r2"] = lambda request, context: context.abort(code, "so") if code != Code.OK else field(1, model)
    client.infer(model) if code == Code.OK else client.fails(field(1, model))
    world.await_counts(model, requests=1, **counts)
    metrics = Client(world.nginx.port).get("/metrics").body.decode()
    counted = re.findall(rf'rollout_route_requests_total{{model="{model}".*code_class="(...)"}} [1-9]', metrics)
    assert counted == [status_class]


def test_a_call_that_its_server_calls_cancelled_counts_nowhere(world, client):
    world.route("ended")
    world.green.behaviours["ended__r2"] = lambda request, context: context.abort(Code.CANCELLED, "so")
    assert client.fails(field(1, "ended"))[0] == Code.CANCELLED
    del world.green.behaviours["ended__r2"]
    client.infer("ended")
    world.await_counts("ended", requests=1)


def test_what_is_no_inference_counts_for_no_gate(world, client):
    world.route("asked")
    for _ in range(3):
        client.call("ModelReady", field(1, "asked"))
        client.call("ModelMetadata", field(1, "asked"))
    client.infer("asked")
    world.await_counts("asked", requests=1)


def test_a_deadline_that_ran_out_is_a_failure_and_a_client_that_went_is_none(world, client):
    world.route("hangs")
    goes_on = threading.Event()
    world.green.behaviours["hangs__r2"] = lambda request, context: goes_on.wait(60) and b""
    with pytest.raises(grpc.RpcError) as error:
        client.infer("hangs", timeout=0.4)
    assert error.value.code() == Code.DEADLINE_EXCEEDED
    world.await_counts("hangs", requests=1, failures=1)

    # And one that goes long before its deadline has given up.
    under_way = client.channel.unary_unary(SERVICE + "ModelInfer").future(field(1, "hangs"), timeout=600)
    asked = len(world.green.received)
    wait_until(lambda: len(world.green.received) >= asked and world.counts("hangs")["waiting"], "the call at the server")
    under_way.cancel()
    wait_until(lambda: sum(world.counts("hangs")["abandoned"].values()) == 1, "the end of the call")
    goes_on.set()
    counted = world.counts("hangs")
    assert counted["failures"] == 1


def test_a_call_that_was_refused_counts_nowhere(world, client):
    world.route("refused")
    for message in (field(1, "refused") * 2, field(1, "refused") + b"\x3a\x7f"):
        assert client.fails(message)[0] == Code.INVALID_ARGUMENT
    client.infer("refused")
    world.await_counts("refused", requests=1)


def test_the_log_has_the_name_and_the_status(world):
    call(world, "told/")
    world.green.behaviours["m__r2"] = lambda request, context: context.abort(Code.INTERNAL, "so")
    failure(world, "told/")
    world.green.behaviours = {}
    failure(world, "told/", message=field(1, "no-such"))
    failure(world, "told/", message=field(1, "m") * 2)
    log = world.home / "grpc.log"
    wait_until(lambda: len(log.read_text().splitlines()) == 4, "the log")
    assert log.read_text().splitlines() == ["m 0 200 green", "m 13 200 green", "no-such 5 200 -", "m 3 200 -"]


# Other ways through nginx.

@pytest.mark.parametrize("prefix", ["mirrored/", "mirrored-small/"])
@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_a_shadow_gets_the_message_with_its_own_name(world, prefix, size):
    rest = field(7, b"x" * size)
    world.green.received.clear()
    assert call(world, prefix, message=field(1, "m") + rest) == field(1, "m") + rest
    wait_until(lambda: len(world.green.received) == 2, "the shadow", 10)
    assert sorted(name_in(request) for _, request in world.green.received) == ["m__r2", "shadow__r2"]
    assert all(request.endswith(rest) for _, request in world.green.received)


def test_another_location_writes_its_own_name(world):
    world.route("gone", upstreams=(unused_address(), unused_address()))
    for size in (0, 100, 100_000):
        rest = field(7, b"x" * size)
        assert call(world, "fallback/", message=field(1, "gone") + rest) == field(1, "gone") + rest
        assert world.green.received[-1][1] == field(1, "spare__r2") + rest


def test_a_service_that_stands_in_gets_the_clients_name(world):
    world.route("gone", upstreams=(unused_address(), unused_address()))
    for size in (0, 100, 100_000):
        rest = field(7, b"x" * size)
        call(world, "to-others/", message=field(1, "gone") + rest)
        assert world.blue.received[-1][1] == field(1, "gone") + rest


def test_a_message_that_another_location_has_begun_to_pass_on_is_no_fault_of_the_clients(world):
    assert failure(world, "from-others/")[0] == Code.INTERNAL
    assert "another location has begun to pass on unbuffered" in world.nginx.errors()


def test_a_length_that_was_read_before_is_read_anew(world):
    assert call(world, "length/", message=field(1, "m") + field(7, "x" * 1000)) == field(1, "m") + field(7, "x" * 1000)


def test_the_next_server_gets_the_same_message(world):
    for size in (0, 1000, 100_000):
        rest = field(7, b"x" * size)
        assert call(world, "next/", message=field(1, "m") + rest) == field(1, "m") + rest
        assert world.green.received[-1][1] == field(1, "m__r2") + rest


def test_many_calls_on_one_connection(world, client):
    calls = [client.channel.unary_unary(SERVICE + "ModelInfer").future(field(1, "m") + field(7, str(number) * number)) for number in range(300)]
    for number, under_way in enumerate(calls):
        assert under_way.result(60) == field(1, "m") + field(7, str(number) * number)


@pytest.mark.parametrize("lines, words", [
    ("rollout_grpc; rollout_grpc; rollout_route $rollout_grpc_model;", '"rollout_grpc" directive is duplicate'),
    ("rollout_grpc;", 'no "rollout_route" is defined for "rollout_grpc"'),
    ("rollout_json_model; rollout_grpc; rollout_route m;", 'is incompatible with "rollout_json_model" in one location'),
    ("rollout_grpc on; rollout_route m;", "invalid number of arguments"),
])
def test_bad_directives_are_refused(world, lines, words):
    before = world.nginx.conf.read_text()
    try:
        world.nginx.conf.write_text(before.replace("location = /page {", f"location = /bad {{ {lines} }} location = /page {{"))
        status, said = world.nginx.test_configuration()
        assert status != 0 and words in said, said
    finally:
        world.nginx.conf.write_text(before)
