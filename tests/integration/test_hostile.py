"""Hostile clients and servers: no task, no file, no line of a log that they forge, no memory that they keep."""

import json
import os
import random
import socket
import threading

import pytest

from gateway import Client
from link import PROTOCOL, SPOKEN, frame, submission
from processes import DEADLINE_S, wait_until, worker_user

NGINX = {"workers": 1, "locations": """
        location ~ ^/((deploy|delete)(-status)?|models|events)(/|$) { rollout_api; client_max_body_size 4m; client_body_buffer_size 8k; }
        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ { rollout_route $model; proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest; }
"""}


def hostile_bodies():
    yield b""
    yield b"\x00" * 100
    yield b"\xff\xfe\xfd"
    yield b"[" * 100_000
    yield b'{"a":' * 100_000
    yield b'{"model_id":"m","config":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}"
    yield b'{"model_id":"' + b"x" * (3 * 2**20) + b'"}'
    yield b'{"model_id":"m","config":{"a":"' + b"x" * (3 * 2**20) + b'"}}'
    yield b'{"model_id":"m\\u0000","config":{}}'
    yield b'{"model_id":"m","config":{"a\\u0000b":1}}'
    yield b'{"model_id":"../../etc/passwd"}'
    yield b'{"model_id":"m\xff"}'
    yield b'{"model_id":"\\ud800"}'
    yield b'{"model_id":"m","model_id":"n"}'
    yield b'{"model_id":"m","config":{"a":1,"a":2}}'
    yield b'{"model_id":"m","config":{"a":1e999}}'
    yield b'{"model_id":"m","config":{"a":99999999999999999999999}}'
    yield b'{"model_id":"m","task_id":"a\\r\\nX: y"}'
    yield b'{"' + b"k" * (2**20) + b'":1,"model_id":"m"}'
    yield b'{"model_id":"m",' + b",".join(b'"k%d":1' % n for n in range(20000)) + b"}"


def test_hostile_bodies_get_a_problem_and_leave_no_task(gateway):
    client = Client(gateway.nginx.port, keep=True)
    for body in hostile_bodies():
        answer = client.request("POST", "/deploy", body, {"Content-Type": "application/json"})
        assert answer.status in (400, 413, 422), (body[:100], answer)
        problem = answer.problem(answer.status)
        assert len(answer.body) < 20_000 and problem["detail"], len(answer.body)
    gateway.get("/deploy-status/m").problem(404)
    assert [line for line in gateway.rolloutd.lines() if line.get("result") == "created"] == []
    assert gateway.files() == []


def test_mutated_bodies_never_hang_or_kill(gateway):
    """A fixed seed: the same bodies each time."""
    chance = random.Random(20261125)
    seed = json.dumps({"model_id": "m", "task_id": "t", "parent_id": "p", "config": {"source": "file:///x", "rollout": {"steps": [{"weight": 5}]}}}).encode()
    client = Client(gateway.nginx.port, keep=True)
    before = gateway.nginx.worker_pids()
    for _ in range(1500):
        body = bytearray(seed)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(body))
            match chance.randrange(3):
                case 0:
                    body[at] = chance.randrange(256)
                case 1:
                    del body[at]
                case 2:
                    body.insert(at, chance.choice(b'{}[]",:\\0x\xff'))
        status = client.request("POST", "/deploy", bytes(body), {"Content-Type": "application/json"}).status
        assert status in (200, 400, 409, 422), (bytes(body), status)
    assert gateway.nginx.worker_pids() == before and gateway.rolloutd.running()


def test_logs_cannot_be_forged(gateway):
    evil = "x\n{\"time\":\"now\",\"level\":\"info\",\"message\":\"all is well\"}\x1b[31m\u202e"
    for source in (f"file:///{evil}", f"file://{gateway.home}/models/x%0a{{\"level\":\"error\"}}"):
        problem = gateway.post("/deploy", {"model_id": "forged", "config": {"source": source}}).problem(422)
        assert not any(ord(character) < 32 or character == "\u202e" for character in problem["errors"][0]["detail"])
    (gateway.home / "models/forged").mkdir(exist_ok=True)
    os.mkfifo(gateway.home / "models/forged" / evil)
    task = gateway.post("/deploy", {"model_id": "forged"}).task()
    task = gateway.wait(task, status="failed")
    assert "all is well" in task["detail"]
    assert "\n" not in task["detail"] and "\x1b" not in task["detail"] and "\u202e" not in task["detail"]
    gateway.get("/v2/models/evil%0a2026%2f01%2f01%20[emerg]%20forged/ready").problem(404)
    gateway.get("/deploy/evil%0aforged").problem(404)
    for line in gateway.rolloutd.text().splitlines():
        assert json.loads(line)["message"] != "all is well"
    assert not any(line.startswith("2026/01/01") for line in gateway.nginx.errors().splitlines())


def test_a_servers_words_are_cleaned_and_bounded(gateway):
    gateway.make_model("words", "x")
    gateway.set_faults({"kind": "failed_load", "status": 500, "error": "first\nsecond \x1b[31m\u0000\u202e" + "y" * 100_000})
    task = gateway.deploy("words", "failed")
    gateway.set_faults()
    assert "first second" in task["detail"] and len(task["detail"]) <= 1500
    assert not any(ord(character) < 32 for character in task["detail"])
    assert all(len(line) < 20_000 for line in gateway.rolloutd.text().splitlines())


def test_logs_name_the_task_the_model_the_step_and_the_servers_words(gateway):
    gateway.make_model("said", "x")
    gateway.set_faults({"kind": "failed_load", "status": 400, "error": "no such opset in {model}"})
    task = gateway.deploy("said", "failed")
    gateway.set_faults()
    line = next(line for line in gateway.rolloutd.lines() if line["level"] == "error" and line.get("task_id") == task["task_id"])
    assert line["model_id"] == "said" and line["step"] == "load" and "no such opset in said__r1" in line["message"]


# The socket.

HELLO = {"type": "hello", "protocol": PROTOCOL, "pid": 1, "gateway": "stranger", "journal": "", "revision": 0}


@pytest.mark.parametrize("sent, reason", [
    (b"\0\0\0\0", "a frame of 0 bytes"),
    (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
    (b"GET / HTTP/1.1\r\n\r\n", "bytes, the bounds are"),
    (frame(b"nonsense"), "not JSON"),
    (frame([1]), "not an object with a \"type\""),
    (frame({"no": "type"}), "not an object with a \"type\""),
    (frame({"type": "submit"}), "a frame before its hello"),
    (frame({**HELLO, "protocol": 99}), f"version 99 of the protocol, rolloutd {SPOKEN}"),
    (frame({**HELLO, "gateway": "../x"}), "without a valid gateway id"),
    (frame(HELLO) + frame({"type": "dance"}), "unknown type dance"),
    (frame(HELLO) + frame(*submission(1, model_id="../x")), "a malformed submission"),
    (frame(HELLO) + frame(*submission(1, task_id="a b")), "a malformed submission"),
    (frame(HELLO) + frame(*submission(1, parent_id="../x")), "a malformed submission"),
    (frame(HELLO) + frame(*submission(1, config=[])), "a malformed submission"),
    (frame(HELLO) + frame(*submission(1, config={"a": "\0"})), "a malformed submission"),
    (frame(HELLO) + frame(*submission(1, config={"a": "x" * 32761})), "a malformed submission"),
    (frame(HELLO) + frame({"type": "submit"}, b"1 deploy t m . "), "a malformed submission"),
    (frame(HELLO) + frame({"type": "lookup", "id": 1, "kind": "deploy"}), "a malformed lookup"),
])
def test_a_stranger_on_the_socket_is_cut_off_with_a_reason(gateway, sent, reason):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(DEADLINE_S)
        peer.connect(str(gateway.rolloutd.socket))
        peer.sendall(sent)
        received = b""
        while part := peer.recv(65536):
            received += part
    frames = []
    while received:
        size = int.from_bytes(received[:4], "big")
        frames.append(json.loads(received[4:4 + size]))
        received = received[4 + size:]
    assert frames[-1]["type"] == "refuse" and reason in frames[-1]["reason"]
    wait_until(lambda: any(line["level"] == "warning" and reason in line["message"] for line in gateway.rolloutd.lines()), "the line in the log")
    gateway.get("/deploy-status/nobody").problem(404)


def test_only_allowed_users_may_connect(make_gateway):
    """nginx's worker processes are of a user that is not in allow_users."""
    gateway = make_gateway(rolloutd={"listen": {"mode": "0666", "allow_users": ["nobody" if worker_user() != "nobody" else "daemon"]}})
    gateway.inference.start()
    gateway.rolloutd.start()
    gateway.nginx.start()
    wait_until(lambda: f"user {worker_user()} is not in allow_users" in gateway.nginx.errors(), "the refusal in nginx's log")
    assert f"user {worker_user()} is not in allow_users; name it in listen.allow_users of rolloutd.json" in gateway.rolloutd.text()
    assert "nginx may not connect to rolloutd's socket" in wait_until(lambda: denied(gateway.post("/deploy", {"model_id": "m"})), "the cause")


def denied(answer):
    """The detail of a 500, once it says that nginx may not connect."""
    detail = answer.problem(500)["detail"]
    return "allow_users" in detail and detail


def test_a_socket_that_is_closed_to_nginx_is_said_when_it_is_closed(make_gateway):
    """rolloutd comes back with its socket nginx may not connect to rolloutd's socket's user: the cause is another one than that it was away."""
    gateway = make_gateway().start()
    gateway.rolloutd.stop()
    wait_until(lambda: "the link to rolloutd" in gateway.nginx.errors(), "the loss of the link")
    assert "may not connect" not in gateway.nginx.errors()
    with socket.socket(socket.AF_UNIX) as closed:
        gateway.rolloutd.socket.unlink(missing_ok=True)
        closed.bind(str(gateway.rolloutd.socket))
        gateway.rolloutd.socket.chmod(0o600)
        closed.listen(16)
        wait_until(lambda: gateway.nginx.errors().count("may not connect") == len(gateway.nginx.worker_pids()), "the cause, once from each process")
        assert "(13: Permission denied)" in gateway.nginx.errors() and "listen.allow_users" in gateway.nginx.errors()
        problem = gateway.post("/deploy", {"model_id": "m", "task_id": "t"}).problem(500)
        assert "nginx may not connect to rolloutd's socket" in problem["detail"] and problem["task_id"] == "t"
        assert "nginx may not connect to rolloutd's socket" in gateway.request("POST", "/deploy/t/cancel").problem(500)["detail"]
    gateway.rolloutd.socket.unlink()
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.post("/deploy", {"model_id": "m", "task_id": "t"}).task()
    assert gateway.nginx.errors().count("may not connect") == len(gateway.nginx.worker_pids())


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x02[]", b"\xff" * 100,
                                    frame({"type": "welcome", "protocol": 99, "journal": "x" * 32}), frame({"type": "refuse", "reason": "a\nb"}),
                                    frame({"type": "update"}, b"deploy 1 2 pending"), frame({"type": "update"}, b'deploy 1 -2 pending t m {"status":"pending"}'),
                                    frame({"type": "update"}, b"deploy 1 2 pending t m {}"), frame({"type": "update"}, b'deploy 1 2 pending t m {"status":"p"}'), None])
def test_nginx_survives_a_rolloutd_that_talks_garbage(make_gateway, answer):
    gateway = make_gateway()
    gateway.nginx.write(worker_arguments=" ack_timeout=500ms")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(gateway.rolloutd.socket))
    gateway.rolloutd.socket.chmod(0o666)
    listener.listen(16)
    stop = threading.Event()
    kept = []

    def serve():
        listener.settimeout(0.1)
        while not stop.is_set():
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            if answer is None:
                kept.append(peer)  # half open: silent for ever
                continue
            peer.sendall(answer)
            peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        gateway.nginx.start(worker_arguments=" ack_timeout=500ms")
        for _ in range(3):
            gateway.post("/deploy", {"model_id": "m"}).problem(500)
            gateway.get("/deploy/x").problem(503)
            gateway.get("/v2/models/m/ready").problem(503)
    finally:
        stop.set()
        thread.join()
        listener.close()
        for peer in kept:
            peer.close()
    gateway.rolloutd.socket.unlink()
    gateway.inference.start()
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.make_model("m", "x")
    gateway.deploy("m")
