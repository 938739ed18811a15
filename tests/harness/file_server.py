"""A web server of files for tests, on loopback, which can be told to misbehave. It remembers what it was asked."""

import hashlib
import http.server
import socket
import ssl
import threading

from processes import DEADLINE_S

BLOCK = 65536


class WebFile:
    """A file, and what is done to those who ask for it."""

    def __init__(self, body, etag=None, ranges=True, length=True, status=None, location=None, break_after=(), hold_after=None):
        self.body = body
        self.etag = etag
        self.ranges = ranges
        self.length = length  # True: the true one; None: none; a number: that one
        self.status = status  # instead of the file: a list, one for each request, then the file
        self.location = location
        self.break_after = list(break_after)  # for each request in turn: so many bytes, and the connection breaks
        self.hold_after = hold_after  # so many bytes, and then it waits for `release`
        self.release = threading.Event()
        self.breaks_when_released = False
        self.requests = []  # the Range header of each, "" where there was none
        self.sent = 0

    @property
    def sha256(self):
        return hashlib.sha256(self.body).hexdigest()


class FileServer:
    def __init__(self, certificate=None):
        self.files = {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server._answer(self)

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            scheme = "https"
        self.scheme = scheme
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path="", host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.port}/{path}"

    def add(self, path, body, **how):
        self.files[path] = WebFile(body, **how)
        return self.files[path]

    def close(self):
        for file in self.files.values():
            file.release.set()
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, to):
        file = self.files.get(to.path.split("?")[0].lstrip("/"))
        if file is None:
            self._say(to, 404)
            return
        file.requests.append(to.headers.get("Range", ""))
        if file.status:
            self._say(to, file.status.pop(0))
        elif file.location:
            self._redirect(to, file)
        else:
            self._send(to, file)

    def _say(self, to, status, **headers):
        to.send_response(status)
        for name, value in headers.items():
            to.send_header(name, value)
        to.send_header("Content-Length", "0")
        to.end_headers()

    def _redirect(self, to, file):
        """Where the file has bytes, they are the answer's: so many that nobody reads them to their end."""
        to.send_response(302)
        to.send_header("Location", file.location)
        to.send_header("Content-Length", str(len(file.body) if file.length is True else file.length))
        to.end_headers()
        try:
            for at in range(0, len(file.body), BLOCK):
                to.wfile.write(file.body[at:at + BLOCK])
                file.sent += len(file.body[at:at + BLOCK])
        except OSError:
            to.close_connection = True

    def _send(self, to, file):
        first = 0
        wanted = to.headers.get("Range", "")
        if file.ranges and wanted and to.headers.get("If-Range", file.etag) == file.etag:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = file.body[first:]
        if wanted and first >= len(file.body):
            self._say(to, 416)
            return
        to.send_response(206 if first else 200)
        if first:
            to.send_header("Content-Range", f"bytes {first}-{len(file.body) - 1}/{len(file.body)}")
        if file.etag:
            to.send_header("ETag", file.etag)
        if file.length is not None:
            to.send_header("Content-Length", str(len(body) if file.length is True else file.length))
        else:
            to.send_header("Connection", "close")
            to.close_connection = True
        to.end_headers()
        most = file.break_after.pop(0) if file.break_after else None
        try:
            for at in range(0, len(body), BLOCK):
                if most is not None and at >= most:
                    to.connection.shutdown(socket.SHUT_RDWR)
                    return
                if file.hold_after is not None and first + at >= file.hold_after:
                    to.wfile.flush()
                    file.release.wait(DEADLINE_S)
                    if file.breaks_when_released:
                        to.connection.shutdown(socket.SHUT_RDWR)
                        return
                to.wfile.write(body[at:at + BLOCK])
                file.sent += len(body[at:at + BLOCK])
        except OSError:
            to.close_connection = True  # the client has gone
