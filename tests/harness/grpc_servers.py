"""gRPC for tests, in bytes: messages of KServe's protocol as they go over the wire, servers that answer as a test says, and clients."""

import contextlib
import threading
from concurrent import futures

import grpc

from gateway import UntilEnded
from processes import DEADLINE_S, wait_until

SERVICE = "/inference.GRPCInferenceService/"


def varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7f | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number, data):
    """A field of bytes, or of text."""
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def frame(message, flag=0):
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def fields(message):
    """(number, bytes) of a message's length-delimited fields, in their order; it has no others."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            value |= (message[at] & 0x7f) << shift
            shift += 7
            at += 1
            if message[at - 1] < 0x80:
                return value

    while at < len(message):
        tag = number()
        assert tag & 7 == 2, message
        size = number()
        found.append((tag >> 3, message[at:at + size]))
        at += size
    return found


def name_in(message):
    names = [data for number, data in fields(message) if number == 1]
    assert len(names) == 1, message
    return names[0].decode()


def answer_in(message):
    """The text that the tests' inference server answers with."""
    for output in (data for number, data in fields(message) if number == 5):
        members = dict(fields(output))
        if members[1] == b"answer":
            return dict(fields(members[5]))[8].decode()
    raise AssertionError(message)


class GrpcServer(grpc.GenericRpcHandler):
    """Answers each call by what `behaviours` has for its model (a function of the request's bytes and the call's context), or with a message
    that begins with the model's name and ends with the request's fields behind it."""

    def __init__(self):
        self.behaviours = {}
        self.received = []  # (method, request) of unary calls
        self.server = grpc.server(futures.ThreadPoolExecutor(64), options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        self.lock = threading.Lock()
        self.server.start()

    def service(self, details):
        if details.method.endswith("ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._unary(details.method, request, context))

    def _unary(self, method, request, context):
        with self.lock:
            self.received.append((method.rpartition("/")[2], request))
        name = name_in(request)
        behaviour = self.behaviours.get(name)
        return behaviour(request, context) if behaviour else field(1, name) + self.rest_of(request)

    def _stream(self, requests, context):
        for request in requests:
            name = name_in(request)
            behaviour = self.behaviours.get(name)
            answer = behaviour(request, context) if behaviour else field(2, field(1, name) + self.rest_of(request))
            yield from answer if isinstance(answer, list) else [answer]

    @staticmethod
    def rest_of(request):
        return b"".join(field(number, data) for number, data in fields(request) if number != 1)

    def close(self):
        self.server.stop(0)


class GrpcClient:
    def __init__(self, port, **options):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1),
            *((name.replace("__", "."), value) for name, value in options.items())])

    def call(self, method, message, timeout=60, metadata=(), compression=None):
        """The answer's bytes; a grpc.RpcError when the status is not 0."""
        return self.channel.unary_unary(SERVICE + method)(message, timeout=timeout, metadata=metadata, compression=compression)

    def infer(self, model, rest=b"", **more):
        return self.call("ModelInfer", field(1, model) + rest, **more)

    def fails(self, *arguments, method="ModelInfer", **more):
        """The status' code and sentence of a call that must fail."""
        with contextlib.ExitStack() as stack:
            try:
                answer = self.call(method, *arguments, **more)
            except grpc.RpcError as error:
                return error.code(), error.details()
            stack.close()
        raise AssertionError(f"the call was answered: {answer!r}")

    def answer(self, model, **more):
        """The text of an answer, which must have the client's name of the model."""
        return self.answer_and_headers(model, **more)[0]

    def answer_and_headers(self, model, timeout=DEADLINE_S, **more):
        message, call = self.channel.unary_unary(SERVICE + "ModelInfer").with_call(field(1, model), timeout=timeout, **more)
        assert name_in(message) == model, message
        return answer_in(message), dict(call.initial_metadata())

    def close(self):
        self.channel.close()


class GrpcTraffic(UntilEnded):
    """Clients that call one after the other, each over a connection of its own, until told to end."""

    def __init__(self, port, model, clients=2):
        self.answers = []
        self.failures = []  # (code, sentence)
        self._port, self._model = port, model
        self.begin(clients)

    def run(self):
        client = GrpcClient(self._port)
        while self.goes_on():
            try:
                self.answers.append(client.answer(self._model))
            except grpc.RpcError as error:
                self.failures.append((error.code(), error.details()))
        client.close()

    def await_answers(self, answer, more=50):
        target = self.answers.count(answer) + more
        wait_until(lambda: self.answers.count(answer) >= target, f"{more} more answers {answer!r} by gRPC")
