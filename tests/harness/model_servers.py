"""Model servers of a test's own, which answer byte by byte as the test says."""

import contextlib
import re
import socket
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answer(text, status="200 OK", headers=""):
    body = text.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Question:
    """A request of nginx's, and the connection that its answer goes to."""

    def __init__(self, connection, head, model):
        self.connection = connection
        self.head = head
        self.model = model
        self.body = b""  # once it is there as a whole; of a chunked one, as it came

    def header(self, name):
        found = re.search(rf"^{name}: (.*)\r$", self.head, re.MULTILINE | re.IGNORECASE)
        return found and found[1]

    def send(self, data):
        self.connection.sendall(data)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


class ModelServer:
    """Answers each request by what `behaviours` has for its model (a function of a Question; True: the connection goes on), or with the
    model's name."""

    def __init__(self):
        self.behaviours = {}
        self.received = []  # the models that were asked, once a question is there as a whole
        self.begun = []     # and once its head is there
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            goes_on = True
            received = b""
            while goes_on:
                while b"\r\n\r\n" not in received:
                    received += self._more(connection)
                head, _, received = received.partition(b"\r\n\r\n")
                head = head.decode() + "\r\n"
                model = re.search(r"/models/([^/ ?]+)", head)
                question = Question(connection, head, model and model[1])
                self.begun.append(question.model)
                length = int(question.header("Content-Length") or 0)
                chunked = question.header("Transfer-Encoding") == "chunked"
                while len(received) < length or (chunked and not received.endswith(b"0\r\n\r\n")):
                    received += self._more(connection)
                question.body = received if chunked else received[:length]
                received = b"" if chunked else received[length:]
                self.received.append(question.model)
                behaviour = self.behaviours.get(question.model)
                if behaviour is not None:
                    goes_on = behaviour(question) is True
                else:
                    question.send(answer(question.model))

    @staticmethod
    def _more(connection):
        part = connection.recv(65536)
        if not part:
            raise ConnectionAbortedError
        return part

    def close(self):
        self.listener.close()


def unused_address():
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
