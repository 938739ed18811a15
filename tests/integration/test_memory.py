"""Requests of every kind leave memory where it was: that of nginx's worker process and that of rolloutd, after a warm-up and after
many more requests, with a bound that does not depend on how many. ROLLOUT_REQUESTS=1000000 is the long setting."""

import contextlib
import json
import os
import pathlib
import re
import socket
import struct

from gateway import Client
from processes import DEADLINE_S, free_port, merge, nginx_environment, wait_until
from test_hostile import hostile_bodies

REQUESTS = int(os.environ.get("ROLLOUT_REQUESTS", "4000"))
WARM_UP = 4000

# What a process may have grown by since the warm-up, in KiB, however many requests there were. AddressSanitizer keeps much of
# what it was given back, and a note of each way that leads to an allocation.
GROWTH_KIB = ({"nginx's worker process": 4096, "rolloutd": 16384} if nginx_environment() else
              {"nginx's worker process": 256, "rolloutd": 512})

# How much is under way on one connection.
PIPELINE = 40

# Rounds of requests in which each kind comes once at least.
ALL_KINDS = 16

LOCATIONS = """
        client_max_body_size 4m;
        client_body_buffer_size 8k;

        location ~ ^/((deploy|delete)(-status)?|models)(/|$) { rollout_api; }
        location /guarded/ {
            auth_request /asked/deploy-status/m;  # subrequests to the API itself
            mirror /asked/deploy-status/nobody;
            rollout_api base=/guarded;
        }
        location /asked/ { internal; rollout_api base=/asked; }
        location /studio/ { rollout_api base=/studio dialect=embedding_studio; }

        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
            rollout_route $model key=$http_x_user;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
        }
"""


def request(method, path, body=b"", status=200, **headers):
    """The bytes of a request, and the status that answers it."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    if method == "POST":
        headers = {"Content_Type": "application/json", "Content_Length": len(body), **headers}
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body, status


class Pipeline:
    """A kept connection on which requests go out many at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.file = self.socket.makefile("rb", buffering=1 << 16)

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, requests):
        """Sends them all, and sees that each is answered as it should be."""
        self.socket.sendall(b"".join(text for text, _ in requests))
        for text, wanted in requests:
            status = self.answer(text.startswith(b"HEAD "))
            assert status == wanted, (text[:200], status, wanted)

    def answer(self, headless):
        status = int(self.file.readline().split(b" ", 2)[1])
        length = 0
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            assert name.lower() != b"transfer-encoding", line
        if not headless and status not in (204, 304):
            assert len(self.file.read(length)) == length
        return status


def http2_statuses(port, paths):
    """What GETs on one HTTP/2 connection, all at once, are answered with: 200, 404 or None for another (RFC 9113, RFC 7541)."""
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def literal(name, value):
        return b"".join([b"\0", bytes([len(name)]), name.encode(), bytes([len(value)]), value.encode()])

    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(8, 0, 0, struct.pack(">I", 2**30))
    streams = range(1, 2 * len(paths), 2)
    for stream, path in zip(streams, paths):
        fields = {":method": "GET", ":scheme": "http", ":authority": "gateway", ":path": path}
        sent += frame(1, 5, stream, b"".join(literal(*field) for field in fields.items()))
    statuses, ended = {}, set()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection, connection.makefile("rb") as file:
        connection.sendall(sent)
        while len(ended) < len(paths):
            head = file.read(9)
            assert len(head) == 9, (statuses, ended)
            payload = file.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == 1:
                statuses[stream] = {0x88: 200, 0x8D: 404}.get(payload[0])  # the static table's
            if kind in (0, 1) and flags & 1 or kind == 3:
                ended.add(stream)
    return [statuses.get(stream) for stream in streams]


class Kinds:
    """Every kind of request there is, over and over."""

    def __init__(self, gateway, held):
        self.gateway, self.held = gateway, held
        self.number = 0
        self.pipeline = None
        etag = gateway.get("/delete/kept").headers["ETag"]
        blank = b'{"model_id": "nobody", "task_id": "kept"' + b" " * 100_000 + b"}"  # in a temporary file
        infer = request("POST", "/v2/models/m/infer", {"inputs": []})
        self.same = [
            request("GET", f"/deploy/{held}"), request("GET", f"/studio/deploy/{held}"), request("GET", "/delete/kept"),
            request("HEAD", f"/deploy/{held}"), request("GET", "/deploy-status/m"), request("GET", "/delete-status/nobody"),
            request("GET", "/delete/kept", status=304, If_None_Match=etag),
            request("GET", "/delete/kept?wait=5"), request("GET", f"/deploy/{held}?wait=0"),
            request("GET", "/deploy/nothing", status=404), request("GET", "/deploy-status/nobody", status=404),
            request("GET", "/deploy/a/b/c", status=404),
            request("GET", f"/deploy/{held}?wait=soon", status=422), request("PUT", "/deploy", status=405),
            request("GET", "/guarded/deploy-status/m"), request("GET", "/guarded/deploy/nothing", status=404),
            request("GET", "/deploy?limit=3"), request("GET", "/delete?status=refused&limit=3"), request("GET", "/models"),
            request("GET", "/deploy?limit=none", status=422),
            request("POST", "/delete", {"model_id": "nobody", "task_id": "kept"}),
            request("POST", "/delete", {"model_id": "other", "task_id": "kept"}, status=409),
            request("POST", "/delete", {"model_id": "nobody", "task_id": "kept"}, Prefer="wait=5"),
            request("POST", "/delete", blank), request("POST", "/deploy", b"{" + b" " * 100_000, status=400),
            request("POST", "/deploy", b"{}", status=422), request("POST", "/deploy", b"x", status=415, Content_Type="text/plain"),
            request("POST", "/deploy", {"model_id": "..", "config": {"source": 7}}, status=422),
            request("POST", "/deploy", {"model_id": "m", "config": {"backend": "none"}}, status=422),
            request("POST", f"/deploy/{held}/cancel", {"a": 1}, status=422), request("POST", "/delete/kept/cancel", status=409),
            request("POST", "/deploy/nothing/cancel", status=404),
            infer, infer, request("GET", "/v2/models/nobody/ready", status=404), request("GET", "/v2/models/m/ready", X_User="u"),
            request("POST", "/v2/models/m/infer", b"[" + b"1," * 20_000 + b"1]"),
        ]
        self.hostile = [body for body in hostile_bodies() if len(body) < 300_000]

    def some(self):
        """Some dozens of requests on a connection of their own; returns how many. nginx keeps some bytes for each time that a
        connection pauses after requests that came in one go, with or without the module, until the connection closes
        (keepalive_requests is 1000 because of such): on one connection for all of them that would be all that is seen."""
        with contextlib.closing(Pipeline(self.gateway.nginx.port)) as self.pipeline:
            return self.round()

    def round(self):
        self.number += 1
        everything = self.same
        if self.number % 4 == 0:  # these wait for the disk
            everything = everything + [request("POST", f"/deploy/{self.held}/{verb}") for verb in ("pause", "resume")]
        sent = len(everything)
        for first in range(0, len(everything), PIPELINE):
            self.pipeline.send(everything[first:first + PIPELINE])
        if self.number % 4 == 0:
            sent += self.create() + self.abort()
        if self.number % 8 == 0:
            sent += self.break_off() + self.http2()
        if self.number % 16 == 0:
            sent += self.send_hostile()
        return sent

    def create(self):
        """New tasks, which are final at once: 202, or 200 where they already are when they are answered."""
        for number in range(4):
            self.pipeline.socket.sendall(request("POST", "/delete", {"model_id": f"n{number}"}, Prefer="respond-async")[0])
            assert self.pipeline.answer(False) in (200, 202)
        return 4

    def abort(self):
        """Clients that wait and go away."""
        waiting = [socket.create_connection(("127.0.0.1", self.gateway.nginx.port), DEADLINE_S) for _ in range(4)]
        for one in waiting:
            one.sendall(request("GET", f"/deploy/{self.held}?wait=300")[0])
        self.pipeline.send([request("GET", f"/deploy/{self.held}")])  # by now they have been read
        for one in waiting:
            one.close()
        return len(waiting) + 1

    def break_off(self):
        """Clients that send half of a request, and one that announces too much."""
        for text in (b"POST /deploy HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n{" + b" " * 20000,
                     b"GET /deploy/", b"POST /deploy HTTP/1.1\r\nHost: g\r\nContent-Length: 90000000\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.gateway.nginx.port), DEADLINE_S) as one:
                one.sendall(text)
        return 3

    def http2(self):
        """The same over HTTP/2, many on one connection."""
        paths = [f"/deploy/{self.held}", "/v2/models/m/ready", "/guarded/deploy-status/m", "/deploy?limit=2"] * 5
        missing = ["/deploy/nothing", "/v2/models/nobody/ready"] * 5
        statuses = http2_statuses(self.gateway.nginx.http2_port, paths + missing)
        assert statuses == [200] * len(paths) + [404] * len(missing), statuses
        return len(statuses)

    def send_hostile(self):
        for body in self.hostile:
            self.pipeline.socket.sendall(request("POST", "/deploy", body)[0])
            assert self.pipeline.answer(False) in (400, 422), body[:100]
        return len(self.hostile)


def fill_caches(gateway):
    """SQLite keeps 2 MiB of pages for each of rolloutd's two connections to the journal: the one writes these tasks, the other
    reads them. All in small pieces, as free memory that large ones leave behind would hide what grows."""
    client = Client(gateway.nginx.port, keep=True)
    for number in range(1200):
        made = client.post("/delete", {"model_id": f"large{number}", "a": "x" * 3000}, Prefer="respond-async")
        assert made.status in (200, 202), made
    token = ""
    while token is not None:
        page = client.get("/delete?limit=10" + (token and f"&page_token={token}")).task()
        token = page["next_page_token"]


def own_kib(pid):
    """What a process has for itself: neither shared memory, which fills up with tasks, nor files."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+) kB$", status, re.M).group(1))


def make(make_gateway):
    port = free_port()
    gateway = make_gateway(nginx={"workers": 1, "zone": "1m", "worker_arguments": "ack_timeout=60s", "locations": LOCATIONS, "http": f"""
    upstream answers {{ server 127.0.0.1:{port}; keepalive 16; }}
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{{"outputs": []}}'; }} }}
    """})
    merge(gateway.rolloutd.config, {"backends": {"default": {"upstream": "answers"}}})
    gateway.inference.start()
    # Freed memory that AddressSanitizer keeps back would look like a leak.
    gateway.rolloutd.start(env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    gateway.nginx.start()
    gateway.await_link()
    return gateway


def test_requests_of_every_kind_leave_memory_where_it_was(make_gateway):
    gateway = make(make_gateway)
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    gateway.post("/delete", {"model_id": "nobody", "task_id": "kept"}).task()
    gateway.wait({"task_id": "kept"}, "delete", "refused")
    # One that waits for a person at half of the traffic: everything is counted and routed both ways meanwhile.
    held = gateway.start_deployment("m", steps=[{"weight": 50}], promote="manual")
    gateway.await_weight(held, 50)
    (worker,) = gateway.nginx.worker_pids()

    kinds = Kinds(gateway, held["task_id"])

    def send(requests):
        sent = 0
        while sent < requests:
            sent += kinds.some()

    def sizes():
        """The least of some rounds: what they leave behind for a moment comes and goes."""
        seen = []
        for _ in range(ALL_KINDS):
            kinds.some()
            wait_until(lambda: gateway.get("/deploy?limit=1").status == 200, "rolloutd's answer")
            seen.append({"nginx's worker process": own_kib(worker), "rolloutd": own_kib(gateway.rolloutd.pid)})
        return {name: min(one[name] for one in seen) for name in GROWTH_KIB}

    fill_caches(gateway)
    send(WARM_UP)
    before = sizes()
    send(REQUESTS)
    after = sizes()
    print(f"{REQUESTS} requests; KiB before and after: {before} {after}")
    assert gateway.nginx.worker_pids() == [worker] and gateway.rolloutd.running()
    for name, bound in GROWTH_KIB.items():
        assert after[name] - before[name] < bound, f"{name} grows: {before[name]} KiB, {after[name]} KiB after {REQUESTS} requests"
    gateway.post(f"/deploy/{held['task_id']}/promote", {}).task()
    gateway.wait(held, status="completed")
