"""The file of the last known routes: it counts while rolloutd cannot be asked, and an old one is never taken for the newest."""

import json
import os
import signal
import socket
import threading

import pytest

from gateway import Client, answer_of
from processes import DEADLINE_S, wait_until


@pytest.fixture
def gateway(make_gateway):
    return with_a_model(make_gateway())


@pytest.fixture
def alone(make_gateway):
    """The same with one worker process."""
    return with_a_model(make_gateway(nginx={"workers": 1}))


def with_a_model(made):
    """Has a model that answers `first`, and the file that says so, as `first_file`."""
    made.folder = made.home / "state"
    made.folder.mkdir()
    made.folder.chmod(0o777)
    made.file = made.folder / "routes.json"
    made.nginx.write(zone=f"8m state={made.file}", worker_arguments=" ack_timeout=2s")
    made.inference.start()
    made.rolloutd.start()
    made.nginx.start()
    made.await_link()
    made.make_model("m", "first")
    made.deploy("m")
    made.first_file = made.file.read_text()
    made.make_model("m", "second")
    return made


def models_in(text):
    return [route["blue"]["model"] for route in json.loads(text)["routes"]]


def answers_from_the_start(gateway, count=40):
    """What clients get that ask before nginx is there, and as soon as it is."""
    got, lock = [], threading.Lock()

    def ask():
        for _ in range(count // 8):
            answer = None
            while answer is None:
                try:
                    answer = Client(gateway.nginx.port).post("/v2/models/m/infer", {"inputs": []})
                except OSError:
                    pass  # it does not listen yet
            with lock:
                got.append(answer_of(answer) or repr(answer))
    clients = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for client in clients:
        client.start()
    gateway.nginx.start()
    for client in clients:
        client.join(DEADLINE_S)
    return got


def test_an_old_file_is_not_followed_while_rolloutd_is_there(gateway):
    gateway.deploy("m")
    for _ in range(3):
        gateway.nginx.stop(signal.SIGQUIT)
        gateway.file.write_text(gateway.first_file)
        assert set(answers_from_the_start(gateway)) == {"second"}, gateway.logs()
        wait_until(lambda: gateway.file.read_text() != gateway.first_file, "the new file")


def test_a_new_model_is_found_also_with_an_old_file(gateway):
    gateway.make_model("n", "new")
    gateway.deploy("n")
    gateway.nginx.stop(signal.SIGQUIT)
    gateway.file.write_text(gateway.first_file)
    gateway.nginx.start()
    assert gateway.infer("n") == "new"


def test_the_file_is_followed_while_rolloutd_is_away(gateway):
    gateway.deploy("m")
    assert models_in(gateway.file.read_text()) == ["m__r2"]
    gateway.rolloutd.stop()
    gateway.nginx.stop(signal.SIGQUIT)
    assert set(answers_from_the_start(gateway)) == {"second"}, gateway.logs()


def test_the_file_is_followed_when_rolloutd_says_nothing(gateway):
    """It takes the connection and hangs: requests wait for as long as an answer is waited for, and go by the file then."""
    gateway.rolloutd.stop()
    gateway.nginx.stop(signal.SIGQUIT)
    gateway.rolloutd.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(gateway.rolloutd.socket))
        gateway.rolloutd.socket.chmod(0o666)
        silent.listen(16)
        gateway.nginx.start()
        assert gateway.infer("m") == "first"
    gateway.rolloutd.socket.unlink()


def close_folder(gateway):
    gateway.folder.chmod(0o555)


def put_a_folder_in_its_place(gateway):
    gateway.file.unlink()
    gateway.file.mkdir()


@pytest.mark.parametrize("break_it, mend", [
    (close_folder, lambda gateway: gateway.folder.chmod(0o777)),
    (put_a_folder_in_its_place, lambda gateway: gateway.file.rmdir()),
])
def test_a_write_that_fails_leaves_no_older_file_and_is_tried_again(gateway, break_it, mend):
    break_it(gateway)
    gateway.deploy("m")
    assert "could not be written" in gateway.nginx.errors()
    assert not gateway.file.is_file() or gateway.file.read_text() == ""
    mend(gateway)
    wait_until(lambda: gateway.file.is_file() and gateway.file.read_text(), "the file")
    assert models_in(gateway.file.read_text()) == ["m__r2"]
    wait_until(lambda: "is written again" in gateway.nginx.errors(), "the word that all is well")
    assert gateway.nginx.errors().count("could not be written") == 1
    gateway.expected_alerts = ["cannot be removed either"]


def test_what_a_failed_write_left_is_no_route(gateway):
    gateway.folder.chmod(0o555)
    gateway.deploy("m")
    assert gateway.file.read_text() == ""
    gateway.rolloutd.stop()
    gateway.nginx.stop(signal.SIGQUIT)
    gateway.nginx.start()
    gateway.get("/v2/models/m/ready").problem(503)
    assert "it is empty, which is how one is left that could not be rewritten" in gateway.nginx.errors()
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.infer("m") == "second"


class HeldWrites:
    """The next write of the state file by each worker process stands still, as on a disk that hangs: a pipe without a reader is in its
    way."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.pipes = {pid: gateway.folder / f"{gateway.file.name}.new.{pid}" for pid in gateway.nginx.worker_pids()}
        for pipe in self.pipes.values():
            os.mkfifo(pipe)
            pipe.chmod(0o666)

    def writer(self):
        """The worker process that writes, once it stands."""
        def standing():
            return next((pid for pid in self.pipes if len(os.listdir(f"/proc/{pid}/task")) > 1), None)
        wait_until(standing, "a write of the state file")
        return standing()

    def let_go(self, pid):
        """What was written into the pipe. It cannot be synced, so that this write fails."""
        return self.pipes[pid].read_text()


def test_requests_are_answered_while_the_state_file_is_being_written(alone):
    alone.make_model("n", "other")
    held = HeldWrites(alone)
    tasks = [alone.post("/deploy", {"model_id": model}).task() for model in ("m", "n")]
    writer = held.writer()
    for model, answer in (("m", "second"), ("n", "other")):
        wait_until(lambda asked=model, expected=answer: alone.infer(asked) == expected, "the route, in force beside the write")
    for _ in range(20):
        alone.get("/deploy-status/m").task()
    # A restarted nginx would not know the routes yet: for rolloutd they are not followed.
    assert all(alone.task(task)["status"] == "in_progress" for task in tasks)
    assert alone.file.read_text() == alone.first_file
    held.let_go(writer)
    for task in tasks:
        alone.wait(task, status="completed")
    wait_until(lambda: alone.file.exists() and sorted(models_in(alone.file.read_text())) == ["m__r2", "n__r1"],
               "what changed meanwhile")


def test_a_worker_process_that_ends_writes_what_it_knows(alone):
    held = HeldWrites(alone)
    alone.post("/deploy", {"model_id": "m"}).task()
    writer = held.writer()
    wait_until(lambda: alone.infer("m") == "second", "the route")
    alone.nginx.send_signal(signal.SIGQUIT)
    held.let_go(writer)
    alone.nginx.wait()
    route, = json.loads(alone.file.read_text())["routes"]
    assert (route["green"]["model"], route["weight"]) == ("m__r2", 100)
    assert [path.name for path in alone.folder.iterdir()] == [alone.file.name]


def test_a_worker_process_that_is_killed_while_it_writes_leaves_nothing_behind(alone):
    held = HeldWrites(alone)
    task = alone.post("/deploy", {"model_id": "m"}).task()
    os.kill(held.writer(), signal.SIGKILL)
    alone.wait(task, status="completed")
    assert models_in(alone.file.read_text()) == ["m__r2"]
    assert [path.name for path in alone.folder.iterdir()] == [alone.file.name]
    alone.expected_alerts = ["exited on signal 9"]


def test_an_older_write_that_comes_to_its_end_late_takes_nothing_away(gateway):
    """The process that wrote has lost the stream to another one, which has written since."""
    held = HeldWrites(gateway)
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    late = held.writer()
    for pid, pipe in held.pipes.items():
        if pid != late:
            pipe.unlink()
    os.kill(late, signal.SIGSTOP)
    try:
        gateway.rolloutd.stop()
        gateway.rolloutd.start()
        wait_until(lambda: models_in(gateway.file.read_text()) == ["m__r2"], "the other process's file")
    finally:
        os.kill(late, signal.SIGCONT)
    held.let_go(late)
    gateway.wait(task, status="completed")
    wait_until(lambda: len(os.listdir(f"/proc/{late}/task")) == 1, "the end of the late write")
    assert models_in(gateway.file.read_text()) == ["m__r2"]
    assert "could not be written" not in gateway.nginx.errors()
