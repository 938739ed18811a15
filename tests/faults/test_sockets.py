"""The socket between nginx and rolloutd: slow, silent, half-open and of another version, on each side; and the state file."""

import errno
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from failing_calls import failing, failing_library  # noqa: F401
from gateway import Gateway
from link import PROTOCOL, SPOKEN, frame, message_of, submissions_in
from processes import DEADLINE_S, MODULE, wait_until

HELLO = {"type": "hello", "protocol": PROTOCOL, "pid": 1, "gateway": "stranger", "journal": "", "revision": 0}


def read_frame(peer):
    """None where the link has ended."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part = peer.recv(1 if len(data) < 4 else 4 + int.from_bytes(data[:4], "big") - len(data))
        if not part:
            return None
        data += part
    return message_of(data[4:])


def connect(gateway):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(DEADLINE_S)
    peer.connect(str(gateway.rolloutd.socket))
    return peer


class FakeRolloutd:
    """Listens where rolloutd would; `serve` is given each connection, in a thread of its own."""

    def __init__(self, gateway, serve):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(gateway.rolloutd.socket))
        gateway.rolloutd.socket.chmod(0o666)
        self.listener.listen(16)
        self.path, self.serve, self.peers = gateway.rolloutd.socket, serve, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        try:
            self.serve(peer)
        except OSError:
            pass  # nginx has ended the link

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            try:
                peer.shutdown(socket.SHUT_RDWR)  # also where a thread waits for it
            except OSError:
                pass
            peer.close()
        self.path.unlink()


def meets(gateway, serve):
    """nginx in front of a rolloutd like that."""
    fake = FakeRolloutd(gateway, serve)
    gateway.inference.start()
    gateway.nginx.start(worker_arguments=" ack_timeout=500ms")
    return fake


def recovers(gateway):
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    assert gateway.infer("m") == "first"


def welcome(**changes):
    return frame({"type": "welcome", "protocol": PROTOCOL, "journal": "j" * 32, "revision": 0, "stream": True, **changes})


def bit_by_bit(peer, data):
    for at in range(len(data)):
        peer.sendall(data[at:at + 1])


# rolloutd as nginx meets it.

def test_a_rolloutd_of_another_version_is_named_in_nginxs_log(make_gateway):
    gateway = make_gateway()
    with meets(gateway, lambda peer: peer.sendall(welcome(protocol=PROTOCOL + 1))):
        wait_until(lambda: f"rolloutd answers in version {PROTOCOL + 1} of the protocol, this module speaks {SPOKEN}" in gateway.nginx.errors(), "the line in nginx's log")
        gateway.post("/deploy", {"model_id": "m"}).problem(500)
    recovers(gateway)


def test_a_rolloutd_that_speaks_byte_by_byte_is_understood(make_gateway):
    def serve(peer):
        assert read_frame(peer)["type"] == "hello"
        bit_by_bit(peer, welcome())
        while (message := read_frame(peer)) is not None:
            if message["type"] == "submit":
                for asked in submissions_in(message):
                    bit_by_bit(peer, frame({"type": "rejected", "id": asked["id"], "task_id": asked["task_id"], "status": 409,
                                            "detail": "Said byte by byte."}))

    gateway = make_gateway()
    with meets(gateway, serve):
        wait_until(lambda: gateway.post("/deploy", {"model_id": "m"}).status == 409, "the answer")
        assert gateway.post("/deploy", {"model_id": "m"}).problem(409)["detail"] == "Said byte by byte."
    recovers(gateway)


@pytest.mark.parametrize("serve", [
    lambda peer: peer.recv(1 << 20),
    lambda peer: (read_frame(peer), peer.sendall(welcome())),
    lambda peer: (read_frame(peer), peer.sendall(welcome() + b"\0\0\x10\0{\"type\":"), peer.recv(1 << 20)),
    lambda peer: (read_frame(peer), peer.sendall(welcome()), peer.shutdown(socket.SHUT_WR), peer.recv(1 << 20)),
], ids=["silent", "silent after its welcome", "half a frame", "half closed"])
def test_a_rolloutd_that_falls_silent_holds_up_no_request(make_gateway, serve):
    gateway = make_gateway()
    with meets(gateway, serve):
        for _ in range(3):
            gateway.post("/deploy", {"model_id": "m"}).problem(500)
            gateway.get("/deploy/x").problem(503)
            gateway.get("/v2/models/m/ready").problem(503)
    recovers(gateway)


# nginx as rolloutd meets it.

def test_a_gateway_that_speaks_byte_by_byte_is_understood(make_gateway):
    gateway = make_gateway().start()
    with connect(gateway) as peer:
        bit_by_bit(peer, frame(HELLO))
        assert read_frame(peer)["type"] == "shared"  # with nginx, which is linked too
        assert read_frame(peer)["type"] == "welcome"
        bit_by_bit(peer, frame({"type": "bye"}))


def links_of(gateway, pid):
    return sum(line["message"] == "A worker process of nginx is linked" and line["pid"] == str(pid) for line in gateway.rolloutd.lines())


def test_the_silent_and_the_stuck_are_cut_off_and_hold_up_no_rollout(make_gateway):
    """Who has said no hello, who has said nothing since, and a worker process of nginx that is stopped: another takes over. The
    gateway that this process pretends to be lives, and is waited for as long as that is worth."""
    gateway = make_gateway(rolloutd={"limits": {"gateway_lost_s": 5}}).start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    silent, half_a_hello, once = connect(gateway), connect(gateway), connect(gateway)
    half_a_hello.sendall(frame(HELLO)[:20])
    once.sendall(frame({**HELLO, "gateway": "once"}))
    # The first one that is linked carries the gateway's stream.
    stuck = next(int(line["pid"]) for line in gateway.rolloutd.lines() if line["message"] == "A worker process of nginx is linked")
    os.kill(stuck, signal.SIGSTOP)
    try:
        gateway.make_model("m", "second")
        gateway.deploy("m")
        assert gateway.infer("m") == "second"
        said = gateway.rolloutd.text()
        assert said.count("it has sent no hello for 20 s") == 2
        assert said.count("it has sent nothing for 20 s") == 2
    finally:
        os.kill(stuck, signal.SIGCONT)
        for peer in (silent, half_a_hello, once):
            peer.close()
    wait_until(lambda: links_of(gateway, stuck) == 2, "the stopped one to be linked again")
    assert gateway.infer("m") == "second"


# The state file.

DAMAGED = {
    "empty": b"",
    "torn": None,
    "no JSON": b"\0\xff" * 100,
    "another program's": b'{"format": "something else"}',
    "another version": b'{"format": "rollout-routes", "version": 99, "journal": "' + b"j" * 32 + b'", "revision": 1, "routes": []}',
    "a member short": b'{"format": "rollout-routes", "version": 1, "routes": []}',
    "a route that is none": b'{"format": "rollout-routes", "version": 1, "journal": "' + b"j" * 32
                            + b'", "revision": 1, "routes": [{"model_id": "../x"}]}',
    "deep": b"[" * 100000,
}


@pytest.fixture(scope="module")
def routed():
    """A gateway with a state file, whose rolloutd is away: gateway, file, its bytes."""
    gateway = Gateway()
    folder = gateway.home / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    file = folder / "routes.json"
    gateway.nginx.write(zone=f"8m state={file}")
    gateway.inference.start()
    gateway.rolloutd.start()
    gateway.nginx.start()
    gateway.await_link()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    gateway.rolloutd.stop()
    gateway.nginx.stop(signal.SIGQUIT)
    yield gateway, file, file.read_bytes()
    gateway.close()


def test_with_its_state_file_nginx_routes_from_the_first_request_on(routed):
    gateway, file, whole = routed
    file.write_bytes(whole)
    gateway.nginx.start()
    assert gateway.infer("m") == "first"
    gateway.get("/v2/models/other/ready").problem(404)
    gateway.get("/deploy-status/m").problem(503)
    gateway.nginx.stop(signal.SIGQUIT)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_state_file_that_is_damaged_or_foreign_is_reported_and_left_aside(routed, damage):
    gateway, file, whole = routed
    content = DAMAGED[damage] if DAMAGED[damage] is not None else whole[:len(whole) // 2]
    file.write_bytes(content)
    before = len(gateway.nginx.errors())
    gateway.nginx.start()
    try:
        gateway.get("/v2/models/m/ready").problem(503)
        assert f'the state file "{file}" is ignored' in gateway.nginx.errors()[before:]
        assert file.read_bytes() == content
    finally:
        gateway.nginx.stop(signal.SIGQUIT)


def test_a_state_file_is_whole_whatever_fails_and_whoever_writes_beside_it(make_gateway, failing):  # noqa: F811
    gateway = make_gateway(nginx={"workers": 1})
    folder = gateway.home / "state"
    folder.mkdir()
    folder.chmod(0o777)
    file = folder / "routes.json"
    killed = subprocess.Popen(["true"])
    killed.wait()
    left = folder / f"routes.json.new.{killed.pid}"  # by a process that was killed
    others = [folder / "routes.json.new", folder / f"routes.json.new.{os.getpid()}"]  # of an older module, and of a process that lives
    for path in (left, *others):
        path.write_text("the first half")
    gateway.nginx.environment = failing.environment(MODULE, "detect_leaks=0")
    gateway.nginx.write(zone=f"8m state={file}")
    gateway.start()
    assert not left.exists()

    def deploy(answer):
        gateway.make_model("m", answer)
        gateway.deploy("m")
        assert gateway.infer("m") == answer

    def is_of(revision):
        return file.exists() and f"m__r{revision}" in file.read_text()

    deploy("first")
    assert is_of(1)
    for revision, fault, cause in ((2, "sync_errno", errno.EIO), (3, "rename_errno", errno.EACCES)):
        before = len(gateway.nginx.errors())
        setattr(failing, fault, cause)
        deploy(fault)
        assert not file.exists()  # an older one would be taken for the newest
        assert f'the state file "{file}" could not be written' in gateway.nginx.errors()[before:]
        setattr(failing, fault, 0)
        wait_until(lambda number=revision: is_of(number), "another attempt")
    deploy("last")
    wait_until(lambda: is_of(4), "the state file")
    assert {path.name for path in folder.iterdir()} == {"routes.json", *(path.name for path in others)}
    assert {path.read_text() for path in others} == {"the first half"}


def test_a_state_file_that_cannot_be_read_or_written_is_reported(routed):
    gateway, file, whole = routed
    file.unlink()
    file.mkdir()
    gateway.nginx.start()
    try:
        assert "is ignored: it is not a file" in gateway.nginx.errors()
        gateway.rolloutd.start()
        gateway.await_link()
        assert gateway.infer("m") == "first"
        wait_until(lambda: f'the state file "{file}" could not be written' in gateway.nginx.errors(), "the line in nginx's log")
        gateway.rolloutd.stop()
    finally:
        gateway.nginx.stop(signal.SIGQUIT)
        file.rmdir()
        file.write_bytes(whole)
