"""Streams of gRPC requests (ModelStreamInfer): the first message decides, each is renamed, each counts."""

import contextlib
import queue
import re
import threading

import grpc
import pytest

from gateway import Client
from grpc_connection import Connection
from grpc_servers import SERVICE, GrpcClient, GrpcServer, field, fields, frame, name_in
from model_servers import unused_address
from processes import DEADLINE_S, wait_until
from routed_servers import RoutedServers

Code = grpc.StatusCode

LOCATIONS = """
        location = /metrics { rollout_metrics; }
        location ~ ^/server/ { rollout_grpc; rollout_route $rollout_grpc_model names=server; grpc_pass grpc://$rollout_upstream; }
        location ~ ModelStreamInfer$ {
            rollout_grpc;
            rollout_route $rollout_grpc_model key=$http_x_user;
            access_log HOME/grpc.log status;
            client_max_body_size 0;
            grpc_set_header Grpc-Accept-Encoding identity;
            grpc_pass grpc://$rollout_upstream;
        }
        location = /fallback/inference.GRPCInferenceService/ModelStreamInfer {
            rollout_grpc;
            rollout_route $rollout_grpc_model;
            error_page 502 = @spare;
            grpc_pass grpc://$rollout_upstream;
        }
        location @spare { rollout_grpc; rollout_route other; grpc_pass grpc://$rollout_upstream; }
        keepalive_requests 1000000;
"""

HTTP = "log_format status '$rollout_grpc_model $rollout_grpc_status $status $rollout_slot';"


@pytest.fixture(scope="module")
def world():
    made = RoutedServers(GrpcServer(), GrpcServer(), LOCATIONS, HTTP)
    made.route("m", "other")
    yield made
    made.close()


class Stream:
    """What is `send`ed goes out at once; an answer is waited for."""

    def __init__(self, world, prefix="", **more):
        self.client = GrpcClient(world.nginx.http2_port)
        self.messages = queue.Queue()
        self.call = self.client.channel.stream_stream(f"/{prefix}{SERVICE[1:]}ModelStreamInfer")(iter(self.messages.get, None), timeout=DEADLINE_S, **more)

    def send(self, *messages):
        for message in messages:
            self.messages.put(message)

    def end(self):
        self.messages.put(None)

    def answer(self):
        """The response's fields; its name is the first of them."""
        (number, response), = fields(next(self.call))
        assert number == 2
        return response

    def error(self):
        with pytest.raises(grpc.RpcError) as error:
            next(self.call)
        return error.value.code(), error.value.details()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.call.cancel()
        self.client.close()


@pytest.fixture
def stream(world):
    world.green.behaviours, world.blue.behaviours = {}, {}
    with Stream(world) as made:
        yield made


def test_answers_come_while_the_client_still_sends(stream):
    for number in range(50):
        stream.send(field(1, "m") + field(3, str(number)))
        assert stream.answer() == field(1, "m") + field(3, str(number))
    stream.end()
    with pytest.raises(StopIteration):
        next(stream.call)
    assert stream.call.code() == Code.OK


def test_a_burst_of_messages(stream):
    messages = [field(1, "m") + field(7, bytes([number % 256]) * (number * 37 % 3000)) for number in range(300)]
    stream.send(*messages)
    stream.end()
    assert [stream.answer() for _ in messages] == messages
    with pytest.raises(StopIteration):
        next(stream.call)


def test_large_messages(stream):
    for size in (16_384, 65_535, 65_536, 1_000_000, 5_000_000):
        message = field(1, "m") + field(7, b"\x0a" * size)
        stream.send(message, message)
        assert stream.answer() == message and stream.answer() == message


def test_a_client_that_sends_all_at_once_and_ends(world):
    with Stream(world) as stream:
        stream.send(field(1, "m"))
        stream.end()
        assert stream.answer() == field(1, "m")
        with pytest.raises(StopIteration):
            next(stream.call)


@pytest.mark.parametrize("messages", [1, 3])
def test_a_stream_that_goes_on_to_another_location_has_its_name_alone_or_ends(world, messages):
    world.route("gone", upstreams=(unused_address(), unused_address()))
    names = []
    world.green.behaviours = {name: lambda request, context: names.append(name_in(request)) or field(2, request) for name in ("other__r2", "gone__r2")}
    with Connection(world) as connection:
        stream = connection.begin(f"/fallback{SERVICE}ModelStreamInfer")
        connection.send(stream, frame(field(1, "gone")) * messages, end=True)
        headers, body, _ = connection.end(stream)
    assert (headers["grpc-status"], body, names) == (("0", frame(field(2, field(1, "gone"))), ["other__r2"]) if messages == 1 else ("13", b"", []))


def test_the_servers_name_on_request(world):
    with Stream(world, "server/") as stream:
        stream.send(field(1, "m"))
        assert stream.answer() == field(1, "m__r2")


def test_a_message_that_names_another_model_ends_the_stream(world, stream):
    stream.send(field(1, "m"))
    assert stream.answer() == field(1, "m")
    stream.send(field(1, "other"))
    code, details = stream.error()
    assert code == Code.FAILED_PRECONDITION and details.startswith('The stream\'s first message names the model "m", and this one "other"')


def test_also_before_there_is_an_answer(world, stream):
    world.route("mute")
    goes_on = threading.Event()
    world.green.behaviours["mute__r2"] = lambda request, context: goes_on.wait(DEADLINE_S) and []
    stream.send(field(1, "mute"))
    wait_until(lambda: world.counts("mute")["waiting"], "the stream at the server")
    stream.send(field(1, "mute__r2"))
    code, details = stream.error()
    goes_on.set()
    assert code == Code.FAILED_PRECONDITION and '"mute__r2"' in details


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("message, code, words", [
    (field(1, "m") + field(1, "other__r2"), Code.INVALID_ARGUMENT, "more than once"), (field(2, "1"), Code.INVALID_ARGUMENT, "no model name"),
    (field(1, "m") + b"\x0b", Code.INVALID_ARGUMENT, "not a string")])
def test_a_message_that_cannot_be_read_ends_the_stream(world, stream, first, message, code, words):
    if not first:
        stream.send(field(1, "m"))
        stream.answer()
    stream.send(message)
    told, details = stream.error()
    assert told == code and words in details


def test_a_stream_without_a_model_is_refused(world, stream):
    stream.send(field(1, "no-such"))
    assert stream.error()[0] == Code.NOT_FOUND
    with Stream(world) as empty:
        empty.end()
        code, details = empty.error()
        assert code == Code.INVALID_ARGUMENT and "no message" in details


def test_no_server_is_a_status(world, stream):
    world.route("dead", upstreams=(unused_address(), unused_address()))
    stream.send(field(1, "dead"))
    assert stream.error()[0] == Code.UNAVAILABLE
    world.await_counts("dead", requests=1, failures=1)


def test_each_message_counts_and_an_error_in_an_answer_is_a_failure(world, stream):
    world.route("counted")
    world.green.behaviours["counted__r2"] = lambda request, context: (
        field(1, "broken") if b"fail" in request else field(2, field(1, "counted__r2")))
    for number in range(10):
        stream.send(field(1, "counted") + field(3, "fail" if number % 5 == 0 else "x"))
        number % 5 == 0 and next(stream.call) == field(1, "broken") or number % 5 and stream.answer()
    world.await_counts("counted", requests=10, failures=2)
    stream.end()
    with pytest.raises(StopIteration):
        next(stream.call)
    world.await_counts("counted", requests=10, failures=2)


def test_one_client_whose_messages_fail_counts_once(world):
    world.route("clump")
    world.green.behaviours["clump__r2"] = lambda request, context: (
        field(1, "broken") if b"fail" in request else field(2, field(1, "clump__r2")))
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(Stream(world, metadata=(("x-user", str(user)),))) for user in range(10)]
        for _ in range(10):
            for user, stream in enumerate(streams):
                stream.send(field(1, "clump") + field(3, "fail" if user == 9 else "x"))
                next(stream.call)
        world.await_counts("clump", requests=91, failures=1, left_out=9)


def test_several_answers_to_a_message_count_once(world, stream):
    world.route("decoupled")
    world.green.behaviours["decoupled__r2"] = lambda request, context: [field(2, field(1, "decoupled__r2") + field(3, str(number))) for number in range(5)]
    for _ in range(3):
        stream.send(field(1, "decoupled"))
        assert [stream.answer() for _ in range(5)] == [field(1, "decoupled") + field(3, str(number)) for number in range(5)]
    world.await_counts("decoupled", requests=3)


def test_a_stream_that_the_server_breaks_off_is_a_failure(world, stream):
    world.route("broken")
    world.green.behaviours["broken__r2"] = lambda request, context: context.abort(Code.INTERNAL, "so")
    stream.send(field(1, "broken"))
    assert stream.error() == (Code.INTERNAL, "so")
    world.await_counts("broken", requests=1, failures=1)


def test_a_client_that_gives_up_a_stream_that_never_was_answered_is_counted(world):
    world.route("hangs")
    ends = threading.Event()
    world.green.behaviours["hangs__r2"] = lambda request, context: ends.wait(DEADLINE_S) and []
    with Stream(world) as stream:
        stream.send(field(1, "hangs"))
        wait_until(lambda: sum(world.counts("hangs")["waiting"].values()) == 1, "the wait")
    world.await_counts("hangs", abandoned=1)
    ends.set()


def test_a_stream_stays_with_its_revision_and_ends_when_that_is_retired(world, stream):
    world.route("moved", weight=0)
    stream.send(field(1, "moved"))
    assert stream.answer() == field(1, "moved")
    world.route("moved")  # all of the traffic, but blue is still there
    stream.send(field(1, "moved"))
    assert stream.answer() == field(1, "moved")
    del world.routes["moved", ""]["blue"]
    world.route()
    code, details = stream.error()
    assert code == Code.UNAVAILABLE and details == "Revision 1 is retired; open the stream again."
    with Stream(world) as again:
        again.send(field(1, "moved"))
        assert again.answer() == field(1, "moved")
    world.await_counts("moved", requests=1)


def test_a_stream_of_a_retired_revision_goes_on_while_any_message_waits(world, stream):
    world.route("many")
    goes_on = threading.Semaphore(0)

    def answers(request, context):
        goes_on.acquire(timeout=DEADLINE_S)
        return field(2, field(1, "many__r2"))

    world.green.behaviours["many__r2"] = answers
    stream.send(*[field(1, "many")] * 100)
    wait_until(stream.messages.empty, "all messages on their way")
    for _ in range(70):
        goes_on.release()
        stream.answer()
    world.route("many", revision=3)
    with Stream(world) as other:  # that ends, as nothing waits on it, in a look of the same process at all of its streams
        other.send(field(1, "m"))
        other.answer()
        world.route("m", revision=3)
        assert other.error() == (Code.UNAVAILABLE, "Revision 2 is retired; open the stream again.")
        world.route("m")
    for _ in range(30):
        goes_on.release()
        stream.answer()
    assert stream.error() == (Code.UNAVAILABLE, "Revision 2 is retired; open the stream again.")


def test_a_client_that_goes_leaves_nothing_behind(world, stream):
    world.route("left")
    stream.send(field(1, "left"))
    stream.answer()
    stream.call.cancel()
    wait_until(lambda: "left - 200 green" in (world.home / "grpc.log").read_text() or "left - 499 green" in (world.home / "grpc.log").read_text(), "the log")
    world.await_counts("left", requests=1)


def test_a_long_stream_needs_no_memory_for_each_message(world, stream):
    def memory():
        pid, = world.nginx.worker_pids()
        with open(f"/proc/{pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])

    message = field(2, "1") + field(1, "m") + field(7, "x" * 50)
    def exchange(count):
        for _ in range(count):
            stream.send(*[message] * 20)
            for _ in range(20):
                stream.answer()
    exchange(50)
    before = memory()
    exchange(400)
    assert memory() < before + 4 * 1024


def test_many_streams_beside_each_other(world):
    streams = [Stream(world) for _ in range(30)]
    for number, stream in enumerate(streams):
        stream.send(*[field(1, "m") + field(3, f"{number}-{message}") for message in range(20)])
    for number, stream in enumerate(streams):
        assert [stream.answer() for _ in range(20)] == [field(1, "m") + field(3, f"{number}-{message}") for message in range(20)]
    for stream in streams:
        stream.__exit__()
    assert Client(world.nginx.port).get("/metrics").status == 200


def test_a_name_is_what_the_server_gets(world, stream):
    got = []
    world.green.behaviours["m__r2"] = lambda request, context: got.append(name_in(request)) or field(2, field(1, "m__r2"))
    stream.send(field(1, "m"), field(3, "id") + field(1, "m"))
    assert [stream.answer() for _ in range(2)] == [field(1, "m")] * 2
    assert got == ["m__r2", "m__r2"]
