"""A module and a rolloutd of neighbouring versions, and files that an older one has written."""

import json
import shutil
import socket
import sqlite3
import threading

import pytest

from gateway import FINAL
from link import OLDEST_PROTOCOL, PROTOCOL, SPOKEN, Frames, frame
from link import Gateway as Link
from processes import ROOT, wait_until

KEPT = ROOT / "tests/integration/kept"
HOME = "/srv/rollout-kept"  # where the kept files say that their gateway stood


# The link.

class Between:
    """Stands where nginx looks for rolloutd, and hands each frame on as `changed` makes it: what a neighbour would have sent."""

    def __init__(self, gateway, changed):
        self.behind = gateway.home / "behind.sock"
        self.before = gateway.rolloutd.socket
        gateway.rolloutd.config["listen"]["path"] = str(self.behind)
        self.changed = changed
        self.welcomes = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.before))
        self.before.chmod(0o666)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                nginx = Frames(self.listener.accept()[0])
                rolloutd = Frames(socket.socket(socket.AF_UNIX))
                if rolloutd.socket.connect_ex(str(self.behind)) != 0:  # it is not there, or not yet
                    nginx.close()
                    continue
                for one, other in ((nginx, rolloutd), (rolloutd, nginx)):
                    one.socket.settimeout(None)
                    threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()
        except OSError:
            pass  # the test has ended

    def pass_on(self, one, other):
        try:
            while (message := one.receive()) is not None:
                lines = [line.encode() for line in message.pop("lines", [])]
                if message["type"] == "welcome":
                    self.welcomes.append(dict(message))
                other.socket.sendall(frame(self.changed(message), *lines))
        except OSError:
            pass
        for link in (one, other):
            try:
                link.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def of_the_next_release(message):
    """Speaks one version more, and says more in every frame."""
    if message["type"] == "hello":
        message = {**message, "protocol": PROTOCOL + 1, "protocol_oldest": PROTOCOL}
    return {**message, "of_tomorrow": {"a": [1, None]}, "zone": "x" * 100}


def test_each_side_works_with_one_of_the_next_release(make_gateway):
    gateway = make_gateway()
    gateway.inference.start()
    between = Between(gateway, of_the_next_release)
    gateway.rolloutd.socket = between.behind
    gateway.rolloutd.start()
    gateway.nginx.start()
    gateway.await_link()
    assert {message["protocol"] for message in between.welcomes} == {PROTOCOL}
    gateway.make_model("m", "first")
    gateway.deploy("m")
    gateway.make_model("m", "second")
    gateway.deploy("m", rollout={"steps": [{"weight": 100, "hold_s": 1}], "gate": {"min_requests": 1}, "on_no_traffic": "promote", "progress_deadline_s": 1})
    assert gateway.infer("m") == "second"
    assert gateway.serving() == {"m": 2}
    gateway.delete("m")
    assert [task["status"] for task in gateway.get("/deploy").json["tasks"]] == ["completed"] * 2
    between.close()


@pytest.mark.parametrize("said, words", [
    ({"protocol": 99, "protocol_oldest": 98}, f"it speaks versions 98 to 99 of the protocol, rolloutd {SPOKEN}; upgrade rolloutd"),
    ({"protocol": 1, "protocol_oldest": 1}, f"it speaks version 1 of the protocol, rolloutd {SPOKEN}; upgrade nginx's module"),
], ids=["newer", "older"])
def test_with_no_version_in_common_both_logs_say_so_and_both_keep_what_they_have(make_gateway, said, words):
    """nginx's worker processes are linked and routed; then they find a rolloutd to whom they look like others."""
    gateway = make_gateway().start()
    gateway.make_model("m", "first")
    task = gateway.deploy("m")
    gateway.rolloutd.stop()
    between = Between(gateway, lambda message: {**message, **said} if message["type"] == "hello" else message)
    gateway.rolloutd.socket = between.behind
    gateway.rolloutd.start()
    wait_until(lambda: any(line["level"] == "warning" and words in line["message"] for line in gateway.rolloutd.lines()), "the line in rolloutd's log")
    wait_until(lambda: f"rolloutd refused it: {words}" in gateway.nginx.errors(), "the line in nginx's log")
    assert gateway.infer("m") == "first"
    assert gateway.get(f"/deploy/{task['task_id']}").task() == task
    gateway.post("/deploy", {"model_id": "m"}).problem(500)
    assert gateway.rolloutd.running()

    between.close()
    gateway.rolloutd.stop()
    between.before.unlink()
    gateway.rolloutd.socket = between.before
    gateway.rolloutd.config["listen"]["path"] = str(between.before)
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.deploy("m")


@pytest.mark.parametrize("newest, oldest", [(PROTOCOL, None), (PROTOCOL, PROTOCOL), (PROTOCOL + 5, PROTOCOL), (PROTOCOL, 0), (OLDEST_PROTOCOL, None),
                                            (OLDEST_PROTOCOL, 0), (PROTOCOL + 5, OLDEST_PROTOCOL)])
def test_rolloutd_takes_the_newest_version_that_both_speak(gateway, newest, oldest):
    link = Link(gateway.rolloutd.socket, hello=False)
    link.send({"type": "hello", "protocol": newest, **({"protocol_oldest": oldest} if oldest is not None else {}), "pid": 1,
               "gateway": "another", "journal": "", "revision": 0})
    assert link.receive_type("welcome")["protocol"] == min(newest, PROTOCOL)
    link.send({"type": "bye"})
    link.close()


# The files of the oldest version. tests/support/keep-files has made them.

def kept(name, home):
    return (KEPT / name).read_text().replace(HOME, str(home))


@pytest.fixture
def opened(make_gateway):
    """A gateway, not started, that has the oldest journal and what its inference server had in the repository."""
    gateway = make_gateway()
    shutil.copy(KEPT / "journal-v1.db", gateway.rolloutd.journal)
    journal = sqlite3.connect(gateway.rolloutd.journal)
    with journal:  # the paths of now
        journal.execute("UPDATE tasks SET document = replace(document, ?, ?)", (HOME, str(gateway.home)))
        journal.execute("UPDATE models SET state = replace(state, ?, ?)", (HOME, str(gateway.home)))
    journal.close()
    gateway.api_then = json.loads(kept("api-v1.json", gateway.home))
    for model in gateway.api_then["models"]:
        for slot in ("blue", "green"):
            if model[slot]:
                folder = gateway.inference.repository / f"{model['model_id']}__r{model[slot]['revision']}" / "1"
                folder.mkdir(parents=True)
                (folder / "model.json").write_text(json.dumps({"kind": "echo", "answer": f"{model['model_id']} of then"}))
    return gateway


def test_the_oldest_journal_opens_with_every_task_and_goes_on(opened):
    gateway = opened
    then = {task["task_id"]: (kind, task) for kind, tasks in gateway.api_then["tasks"].items() for task in tasks}
    assert {(kind, task["status"]) for kind, task in then.values()} == {
        (kind, status) for kind in ("deploy", "delete")
        for status in ("pending", "in_progress", "completed", "failed", "refused", "canceled")}
    for model in ("shifting", "serving"):
        gateway.make_model(model, f"{model} now")
    gateway.start()

    for task_id, (kind, task) in then.items():
        now = gateway.get(f"/{kind}/{task_id}").task()
        if task["status"] in FINAL:
            assert now == task
        else:
            assert now["created_at"] == task["created_at"] and now["metadata"]["config"] == task["metadata"]["config"]
    for kind, tasks in gateway.api_then["tasks"].items():
        assert [task["task_id"] for task in gateway.get(f"/{kind}?limit=1000").json["tasks"]] == [task["task_id"] for task in tasks]

    # What serves is loaded again, and what was under way goes on to its end.
    wait_until(lambda: gateway.infer("replaced") == "replaced of then", "the model to be loaded again")
    wait_until(lambda: gateway.post("/deploy/deploy-in-progress/promote", "").status == 200, "the hold to be there again")
    for task_id, status in (("deploy-pending", "completed"), ("delete-pending", "completed"), ("delete-in-progress", "completed")):
        gateway.wait({"task_id": task_id}, then[task_id][0], status)
    assert gateway.wait({"task_id": "deploy-in-progress"})["status"] in FINAL
    assert gateway.infer("serving") == "serving now"

    gateway.make_model("replaced", "replaced now")
    revision = gateway.deploy("replaced")["metadata"]["revision"]
    assert revision > max(task["metadata"].get("revision") or 0 for _, task in then.values() if task["model_id"] == "replaced")
    assert gateway.infer("replaced") == "replaced now"
    gateway.rolloutd.stop()
    with sqlite3.connect(f"file:{gateway.rolloutd.journal}?mode=ro", uri=True) as journal:
        assert journal.execute("SELECT count(*) FROM tasks").fetchone()[0] == len(then) + 1


def test_the_oldest_state_file_of_the_routes_is_read(make_gateway):
    gateway = make_gateway()
    file = gateway.home / "routes.json"
    file.write_text(kept("routes-v1.json", gateway.home))
    routed = {route["model_id"] for route in json.loads(file.read_text())["routes"]}
    assert {"serving", "replaced", "shifting"} <= routed
    gateway.nginx.start(zone=f"8m state={file}")
    assert f'read from "{file}"' in gateway.nginx.errors()
    for model in routed:
        assert gateway.get(f"/v2/models/{model}/ready").status == 502, model  # routed, to a server that is not there
    gateway.get("/v2/models/unknown/ready").problem(404)
