"""A gateway whose rolloutd is a stand-in: it says what rolloutd's stream says (common/link/frame.hpp), with as many routes and at
such a rate of updates as is asked for, and does nothing else, so that what is measured is nginx."""

import json
import pathlib
import shutil
import socket
import tempfile
import threading
import time

from gateway import Client
from journals import document
from link import PROTOCOL, frame, line_of
from processes import NGINX, Nginx, Process, free_port, wait_until, worker_user

TASKS = 1000
TASKS_IN_AN_UPDATE = 50  # about what rolloutd commits at once under load
ROUTES_IN_A_FRAME = 500

API_LOCATION = """
        location ~ ^/((deploy|delete)(-status)?|models)(/|$) { rollout_api; }
"""

API = """
        access_log off;
        keepalive_requests 1000000000;
""" + API_LOCATION

UPSTREAM_CONF = """\
user {user};
worker_processes 1;
pid {home}/upstream.pid;
error_log {home}/upstream-error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {home}/upstream-body;
    client_max_body_size 64m;
    proxy_temp_path {home}/upstream-proxy;
    fastcgi_temp_path {home}/upstream-fastcgi;
    uwsgi_temp_path {home}/upstream-uwsgi;
    scgi_temp_path {home}/upstream-scgi;
    keepalive_requests 1000000000;
    server {{
        {listens}
        location / {{ default_type application/json; return 200 '{{"model_name":"m0__r6","outputs":[]}}'; }}
    }}
    {more}
}}
"""


class Upstream(Process):
    """An inference server that costs as little as can be: another nginx, with a constant answer."""

    def __init__(self, home, more=""):
        super().__init__(home, "upstream")
        self.more = more
        self.port = free_port()

    def addresses(self):
        """As several servers have."""
        return [f"127.0.0.{number}:{self.port}" for number in range(1, 9)]

    def start(self):
        conf = self.home / "upstream.conf"
        conf.write_text(UPSTREAM_CONF.format(user=worker_user(), home=self.home, listens=" ".join(f"listen {address} backlog=1024;" for address in self.addresses()),
                                             more=self.more.format(home=self.home)))
        self.launch([NGINX, "-c", conf, "-e", self.home / "upstream-error.log", "-g", "daemon off;"])
        wait_until(lambda: self.must_run() and answers(self.port), "the upstream")
        return self


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class StandIn:
    def __init__(self, locations=API, routes=(), rate=0, zone="8m", http="", upstream_more="", workers=1):
        """`routes` and `http` may be functions of the upstream's port."""
        self.rate = rate
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-bench."))
        self.home.chmod(0o755)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.home / "rolloutd.sock"))
        (self.home / "rolloutd.sock").chmod(0o777)
        self.listener.listen()
        self.upstream = Upstream(self.home, upstream_more)
        self.routes = list(routes(self.upstream.port) if callable(routes) else routes)
        self.revision = 0
        self.sent = 0
        self.began = None
        self.ending = threading.Event()
        self.documents = [json.loads(document(n, f"m{n}")) for n in range(TASKS)]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        self.upstream.start()
        self.nginx = Nginx(self.home, self.upstream.port, workers=workers, zone=zone, locations=locations,
                           http=http(self.upstream.port) if callable(http) else http)
        self.nginx.start()
        wait_until(lambda: f"holds all tasks of rolloutd's journal, {TASKS}" in self.nginx.errors(), "the table")

    def url(self, path):
        return f"http://127.0.0.1:{self.nginx.port}{path}"

    def client(self):
        return Client(self.nginx.port)

    def lag_s(self):
        """How far the stream is behind its rate."""
        return (time.monotonic() - self.began) - self.sent / self.rate

    def _say(self, link, message, *lines):
        link.sendall(frame(message, *lines))

    def _update(self, first):
        lines = []
        for number in range(first, first + TASKS_IN_AN_UPDATE):
            self.revision += 1
            lines.append(line_of(self.documents[number], self.revision, sequence=number + 1))
        return {"type": "update", "revision": self.revision, "complete": self.revision >= TASKS}, *lines

    def _serve(self):
        link, _ = self.listener.accept()
        link.recv(65536)  # hello
        self._say(link, {"type": "welcome", "protocol": PROTOCOL, "journal": "0" * 32, "revision": TASKS, "stream": True})
        for first in range(0, max(len(self.routes), 1), ROUTES_IN_A_FRAME):
            self._say(link, {"type": "routes", "routes": self.routes[first:first + ROUTES_IN_A_FRAME], "revision": 0,
                             "begin": first == 0, "end": first + ROUTES_IN_A_FRAME >= len(self.routes)})
        for first in range(0, TASKS, TASKS_IN_AN_UPDATE):
            self._say(link, *self._update(first))
        threading.Thread(target=self._drain, args=(link,), daemon=True).start()
        self.began = pinged = time.monotonic()
        while not self.ending.wait(0.005):
            now = time.monotonic()
            if now - pinged > 4:
                self._say(link, {"type": "ping"})
                pinged = now
            while (now - self.began) * self.rate - self.sent >= TASKS_IN_AN_UPDATE and not self.ending.is_set():
                self._say(link, *self._update(self.sent % TASKS))
                self.sent += TASKS_IN_AN_UPDATE

    def _drain(self, link):
        while link.recv(65536):
            pass

    def close(self):
        self.ending.set()
        self.thread.join()
        self.nginx.stop()
        self.upstream.stop()
        self.listener.close()
        shutil.rmtree(self.home)
