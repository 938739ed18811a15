"""A gRPC client that writes HTTP/2 frames of the test's own."""

import contextlib
import socket

import h2.config
import h2.connection
import h2.events

from processes import DEADLINE_S


class Connection:
    def __init__(self, world):
        self.socket = socket.create_connection(("127.0.0.1", world.nginx.http2_port), timeout=DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, path, **headers):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", path), ("content-type", "application/grpc"),
                                      ("te", "trailers"), *((name.replace("_", "-"), value) for name, value in headers.items())])
        self.flush()
        return stream

    def send(self, stream, data, end=False):
        """A frame."""
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def end(self, stream):
        """What comes of it: headers and trailers, the body, and RST_STREAM's code, if that is the end."""
        headers, body, ended = {}, b"", False
        while not ended:
            received = self.socket.recv(65536)
            assert received, "the connection was closed"
            for event in self.h2.receive_data(received):
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    headers |= dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset):
                    return headers, body, event.error_code
                ended = ended or isinstance(event, h2.events.StreamEnded)
            with contextlib.suppress(OSError):
                self.flush()
        return headers, body, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
