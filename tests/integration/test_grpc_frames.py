"""gRPC over HTTP/2 frames of the test's own, byte by byte: however a message is cut, the server gets it whole, under its own name."""

import contextlib
import urllib.parse

import h2.config
import h2.connection
import h2.events
import pytest

from grpc_connection import Connection
from grpc_servers import SERVICE, GrpcServer, field, frame
from listener import Listener
from processes import DEADLINE_S, wait_until
from routed_servers import RoutedServers

LOCATIONS = """
        location /inference.GRPCInferenceService/ { rollout_grpc; rollout_route $rollout_grpc_model; grpc_pass grpc://$rollout_upstream; }
        location /small/ { client_body_buffer_size 16; rollout_grpc; rollout_route $rollout_grpc_model; grpc_pass grpc://$rollout_upstream; }
"""


@pytest.fixture(scope="module")
def world():
    made = RoutedServers(GrpcServer(), GrpcServer(), LOCATIONS)
    made.route("m")
    yield made
    made.close()


MESSAGE = field(3, "id") + field(1, "m") + field(7, "tensors")
RENAMED = field(1, "m") + field(3, "id") + field(7, "tensors")


@pytest.mark.parametrize("prefix", ["/", "/small/"])
@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
def test_a_message_in_frames_of_every_size(world, prefix, method):
    data = frame(MESSAGE)
    with Connection(world) as client:
        for size in (1, 2, 3, 5, 7, 11, len(data)):
            stream = client.begin(prefix + SERVICE[1:] + method)
            for at in range(0, len(data), size):
                client.send(stream, data[at:at + size], at + size >= len(data))
            headers, body, reset = client.end(stream)
            assert reset is None and headers["grpc-status"] == "0"
            assert body == frame(RENAMED if method == "ModelInfer" else field(2, RENAMED))


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
def test_a_message_cut_anywhere(world, method):
    data = frame(MESSAGE)
    with Connection(world) as client:
        for cut in range(1, len(data)):
            stream = client.begin(SERVICE + method)
            client.send(stream, data[:cut])
            client.send(stream, data[cut:])
            client.send(stream, b"", True)  # the end in a frame of its own, as grpc-js writes it
            headers, body, reset = client.end(stream)
            assert reset is None and headers["grpc-status"] == "0" and body == frame(RENAMED if method == "ModelInfer" else field(2, RENAMED))


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
@pytest.mark.parametrize("data, status, words", [
    (frame(MESSAGE)[:-3], "3", "ends before"), (b"", "3", "no message"), (b"\0\0", "3", "ends before"), (frame(MESSAGE, 2), "3", "not a sequence"),
    (frame(MESSAGE, 1), "12", "compressed"), (b"\0\xff\xff\xff\xff" + MESSAGE, "8", "2 GiB"), (frame(b"\x0a\x7fm"), "3", "not a protobuf message")])
def test_a_call_that_is_none_gets_a_status_alone(world, method, data, status, words):
    with Connection(world) as client:
        stream = client.begin(SERVICE + method)
        client.send(stream, data, True)
        headers, body, _ = client.end(stream)
        assert headers[":status"] == "200" and headers["content-type"] == "application/grpc" and body == b""
        assert headers["grpc-status"] == status and words in headers["grpc-message"]
        # The connection goes on.
        stream = client.begin(SERVICE + method)
        client.send(stream, frame(MESSAGE), True)
        assert client.end(stream)[0]["grpc-status"] == "0"


def test_two_messages_in_a_call(world):
    with Connection(world) as client:
        stream = client.begin(SERVICE + "ModelInfer")
        client.send(stream, frame(MESSAGE) * 2, True)
        headers, _, _ = client.end(stream)
        assert headers["grpc-status"] == "3" and "more than one message" in headers["grpc-message"]


def test_a_length_that_the_client_declares(world):
    """Of the body as it sends it; the server's has another."""
    with Connection(world) as client:
        for method in ("ModelInfer", "ModelStreamInfer"):
            stream = client.begin(SERVICE + method, content_length=str(len(frame(MESSAGE))))
            client.send(stream, frame(MESSAGE), True)
            assert client.end(stream)[0]["grpc-status"] == "0"


class Recorder:
    """A server that answers nothing; `events` are those of its connections' streams, and "closed"."""

    def __init__(self):
        self.events = []
        self.listener = Listener(self.talk)
        self.address = f"127.0.0.1:{self.listener.port}"

    def talk(self, peer):
        peer.settimeout(DEADLINE_S)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        with contextlib.suppress(OSError):
            while True:
                peer.sendall(connection.data_to_send())
                received = peer.recv(65536)
                if not received:
                    break
                self.events += connection.receive_data(received)
        self.events.append("closed")

    def has(self, event):
        return event in self.events or event in map(type, self.events)


@pytest.fixture
def recorder(world):
    made = Recorder()
    world.route("recorded", upstreams=(made.address, made.address))
    yield made
    made.listener.close()


SECOND = [(field(1, "other"), "9", "this one \"other\""), (field(2, "1"), "3", "no model name")]


@pytest.mark.parametrize("second, status, words", SECOND)
def test_a_server_never_takes_a_stream_for_whole_of_which_a_message_was_refused(world, recorder, second, status, words):
    """It would end it with status 0, which could reach the client before the gateway's."""
    with Connection(world) as client:
        stream = client.begin(SERVICE + "ModelStreamInfer")
        client.send(stream, frame(field(1, "recorded")))
        wait_until(lambda: recorder.has(h2.events.DataReceived), "the message at the server")
        client.send(stream, frame(second), True)
        headers, body, _ = client.end(stream)
        assert headers["grpc-status"] == status and words in urllib.parse.unquote(headers["grpc-message"]) and body == b""
        wait_until(lambda: recorder.has("closed"), "the end of the connection to the server")
        assert not recorder.has(h2.events.StreamEnded)


@pytest.mark.parametrize("second, status, words", SECOND)
def test_a_stream_that_is_refused_before_it_has_a_server_reaches_none(world, recorder, second, status, words):
    with Connection(world) as client:
        stream = client.begin(SERVICE + "ModelStreamInfer")
        client.send(stream, frame(field(1, "recorded")) + frame(second), True)
        headers, body, _ = client.end(stream)
        assert headers["grpc-status"] == status and words in urllib.parse.unquote(headers["grpc-message"]) and body == b""
        stream = client.begin(SERVICE + "ModelStreamInfer")
        client.send(stream, frame(MESSAGE), True)
        assert client.end(stream)[0]["grpc-status"] == "0"
    assert recorder.listener.visits == 0


def test_a_client_that_resets_its_stream_while_it_sends(world):
    before = len(world.green.received)
    with Connection(world) as client:
        for method in ("ModelInfer", "ModelStreamInfer"):
            for cut in (0, 3, 12, 15):
                stream = client.begin(SERVICE + method)
                client.send(stream, frame(MESSAGE)[:cut])
                client.h2.reset_stream(stream)
                client.flush()
        stream = client.begin(SERVICE + "ModelInfer")
        client.send(stream, frame(MESSAGE), True)
        assert client.end(stream)[0]["grpc-status"] == "0"
    wait_until(lambda: len(world.logged(SERVICE)) >= 9, "the log")
    assert len([method for method, _ in world.green.received[before:] if method == "ModelInfer"]) == 1


def test_a_content_type_that_is_not_grpc(world):
    with Connection(world) as client:
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", SERVICE + "ModelInfer"),
                                        ("content-type", "application/json")])
        client.send(stream, b"{}", True)
        headers, body, _ = client.end(stream)
        assert headers[":status"] == "415" and b"application/grpc" in body
