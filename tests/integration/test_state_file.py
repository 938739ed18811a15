"""The file of the last known routes: it counts while rolloutd cannot be asked, and an old one is never taken for the newest."""

import json
import signal
import socket
import threading

import pytest

from gateway import Client, answer_of
from processes import DEADLINE_S, wait_until


@pytest.fixture
def gateway(make_gateway):
    """Has a model that answers `first`, and the file that says so, as `first_file`."""
    made = make_gateway()
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
    assert "it is empty, as one is left that could not be written anew" in gateway.nginx.errors()
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.infer("m") == "second"
