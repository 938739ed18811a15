"""A host's journal is moved into etcd, where it is that of several: rolloutd --import."""

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from gateway import Traffic
from processes import DEADLINE_S, ROLLOUTD, wait_until

HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 100}]}
PERMANENT = 78


class Single:
    """The first of some hosts while it is alone: its journal is a file."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.host = hosts[0]
        self.file = self.host.own / "journal.db"
        self.shared = self.host.rolloutd.config["journal"]
        self.host.rolloutd.config["journal"] = {"path": str(self.file)}

    def start(self):
        self.hosts.etcd.start()
        self.hosts.inference.start()
        return self.host.start()

    def share(self):
        """From its next start on, its journal is in etcd."""
        self.host.rolloutd.config["journal"] = self.shared

    def do_import(self, file=None, journal=None, env=None):
        """The status of rolloutd --import, and what it says."""
        config = self.host.own / "import.json"
        config.write_text(json.dumps({**self.host.rolloutd.config, "journal": journal or self.shared}))
        done = subprocess.run([ROLLOUTD, "--config", config, "--import", file or self.file], capture_output=True, text=True,
                              timeout=DEADLINE_S, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout + done.stderr

    def refused(self, why, status=PERMANENT, **how):
        """It does not begin, says why, and writes nothing."""
        files = {path.name: path.read_bytes() for path in self.host.own.glob("journal.db*")}
        keys = self.keys() if self.hosts.etcd.members[0].running() else None
        ended, said = self.do_import(**how)
        assert (ended, why in said) == (status, True), said
        assert "Sanitizer" not in said, said
        assert keys is None or self.keys() == keys
        after = {path.name: path.read_bytes() for path in self.host.own.glob("journal.db*")}
        assert {name: text for name, text in after.items() if not name.endswith((".lock", "-shm"))} == \
            {name: text for name, text in files.items() if not name.endswith((".lock", "-shm"))}

    def keys(self):
        def coded(text):
            return base64.b64encode(text.encode()).decode()
        return int(self.hosts.etcd.members[0].ask("kv/range", key=coded("/rollout/"), range_end=coded("/rollout0"), count_only=True).get("count", 0))


@pytest.fixture
def single(make_hosts):
    return Single(make_hosts(2))


def tasks_of(host):
    return {kind: [task["task_id"] for task in host.get(f"/{kind}?limit=1000").json["tasks"]] for kind in ("deploy", "delete")}


def test_a_journal_is_moved_with_all_that_is_in_it(single):
    first, second = single.hosts
    single.start()
    first.make_model("done", "done")
    first.make_model("gone", "gone")
    over = [("deploy", first.deploy("done")), ("deploy", first.deploy("gone")), ("delete", first.delete("gone")),
            ("deploy", first.deploy("nowhere", status="failed"))]
    first.serve_blue("held")
    first.make_model("judged", "judged")
    first.deploy("judged")
    with Traffic(first, "judged"):
        judged = first.deploy("judged", rollout={"steps": [{"weight": 50, "hold_s": 1}, {"weight": 100}], "gate": {"min_requests": 1}})
    over.append(("deploy", judged))
    series = first.get(f"/deploy/{judged['task_id']}/series").json
    assert series["second"]
    held = first.start_deployment("held", **HELD)
    first.await_weight(held, 30)
    waiting = first.post("/deploy", {"model_id": "held"}).task()
    for number in range(150):  # several transactions
        over.append(("delete", first.wait(first.post("/delete", {"model_id": f"none{number}"}).task(), "delete")))
    listed = tasks_of(first)

    with Traffic(first, "held") as traffic:
        assert first.rolloutd.stop() == 0
        before = single.file.read_bytes()
        status, said = single.do_import()
        assert status == 0, said
        count = len(listed["deploy"]) + len(listed["delete"])
        assert f"{count} tasks, 5 models and 2 series of rollouts were imported into etcd below /rollout/default/; the journal's id there is " in said, said
        assert single.file.read_bytes() == before
        single.refused("a journal is imported only where etcd has nothing")
        single.share()
        first.rolloutd.start()
        first.await_link()
        second.start()
        for host in (first, second):
            for kind, task in over:
                assert host.get(f"/{kind}/{task['task_id']}").task() == task
            assert tasks_of(host) == listed
            assert host.get(f"/deploy/{judged['task_id']}/series").json == series
            assert host.task(waiting)["status"] == "pending"
            wait_until(lambda host=host: host.task(held)["metadata"]["traffic_weight"] == 30, "the held rollout")
            wait_until(lambda host=host: host.infer("done") == "done", "the routes")
        traffic.await_answers("green")
        assert second.request("POST", f"/deploy/{held['task_id']}/promote").status == 200
        for host in (first, second):
            host.wait(held, status="completed")
            assert host.wait(waiting, status="completed")["metadata"]["revision"] == 3
    assert traffic.failures == []
    assert second.deploy("gone")["metadata"]["revision"] == 2  # of which only the number was left
    assert first.deploy("done")["metadata"]["revision"] == 2
    assert tasks_of(first) == tasks_of(second)
    assert tasks_of(first)["deploy"][2:] == listed["deploy"]
    single.refused("a journal is imported only where etcd has nothing")


def test_what_its_gateway_may_route_to_stays_loaded_until_its_host_is_back(single):
    first, second = single.hosts
    single.start()
    first.serve_blue("m")
    with Traffic(first, "m") as traffic:
        assert first.rolloutd.stop() == 0
        assert single.do_import()[0] == 0
        second.start()
        task = second.deploy("m")
        assert f"of host {first.name}" in task["detail"] and "stays loaded" in task["detail"], task
        assert second.infer("m") == "green" and first.infer("m") == "blue"
        assert second.loaded() == ["m__r1", "m__r2"]
        single.share()
        first.rolloutd.start()
        traffic.await_answers("green")
        wait_until(lambda: second.loaded() == ["m__r2"], "the unload")
    assert traffic.failures == []


def test_what_cannot_be_imported_is_refused_with_a_sentence(single):
    first = single.host
    single.start()
    first.make_model("m", "x")
    task = first.deploy("m")
    single.refused("a rolloutd uses the journal", status=1)
    assert first.rolloutd.stop() == 0
    single.refused("there is no journal", file=first.own / "nothing.db")
    assert not (first.own / "nothing.db").exists()
    single.refused("not a database", file=first.rolloutd.config_file)
    damaged = first.own / "damaged.db"
    text = bytearray(single.file.read_bytes())
    for page in range(2, len(text) // 4096):
        text[page * 4096:page * 4096 + 64] = b"x" * 64
    damaged.write_bytes(text)
    single.refused("is damaged", file=damaged)
    single.refused("journal.path is the journal itself", journal={**single.shared, "path": str(single.file)})
    single.refused("its journal.type is not", journal=first.rolloutd.config["journal"])
    single.hosts.etcd.kill()
    single.refused("Nothing was written", status=1)
    single.hosts.etcd.start_again()
    assert single.keys() == 0
    # And a rolloutd does not take one for the other.
    first.rolloutd.config["journal"] = {**single.shared, "path": str(single.file)}
    assert first.rolloutd.start(wait=False).wait() == PERMANENT
    assert "is a journal, not a replica of one in etcd" in first.rolloutd.text() and "give it to rolloutd --import" in first.rolloutd.text()
    single.share()
    first.rolloutd.start()
    wait_until(lambda: single.keys() == 5, "the cluster, its last change, its host, its gateway and its leader")
    elsewhere = {"journal": {**single.shared, "path": str(first.own / "other.db")}, "file": first.own / "replica.db"}
    single.refused("a rolloutd uses the journal", status=1, **elsewhere)
    first.rolloutd.stop()
    single.refused("is a replica of a journal in etcd", **elsewhere)
    first.rolloutd.config["journal"] = {"path": str(first.own / "replica.db")}
    assert first.rolloutd.start(wait=False).wait() == PERMANENT
    assert "is a replica of a journal in etcd, not a journal" in first.rolloutd.text()
    first.rolloutd.config["journal"] = {"path": str(single.file)}
    first.rolloutd.start()
    first.await_link()
    assert first.task(task)["status"] == "completed"


def test_an_import_that_is_killed_is_not_seen_and_begins_anew(single):
    first, second = single.hosts
    single.start()
    first.make_model("m", "x")
    task = first.deploy("m")
    first.rolloutd.stop()
    for point in ("etcd:import:batch", "etcd:import:end"):
        status, _ = single.do_import(env={"ROLLOUT_FAILPOINT": point})
        assert status == -9
    second.rolloutd.start(wait=False)
    wait_until(lambda: "says that a journal is being imported" in second.rolloutd.text(), "the other host's start")
    assert not second.rolloutd.socket.exists()
    copy = first.own / "other.db"
    shutil.copy(single.file, copy)
    with contextlib.closing(sqlite3.connect(copy)) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'id'", ("z" * 32,))
    single.refused("another journal is being imported", file=copy)
    status, said = single.do_import()
    assert status == 0 and "1 task, 1 model and 0 series of rollouts were imported" in said, said
    second.nginx.start()
    second.await_link()
    assert second.get(f"/deploy/{task['task_id']}").task() == task
    wait_until(lambda: second.infer("m") == "x", "the route")
