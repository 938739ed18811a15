"""The machine lets its processes down: full and read-only disks, failing calls, no file descriptors, a clock that jumps."""

import json
import os
import socket
import subprocess
import time

import etcd
import pytest

from failing_calls import DAY_NS, FailingCalls, allow_files, failing, failing_library, fill, open_files, small_disk  # noqa: F401
from gateway import Client, Traffic
from processes import DEADLINE_S, MODULE, ROLLOUTD, wait_until

EIO, ENOSPC, EROFS = 5, 28, 30


def started_rolloutd_fails(gateway, status=1):
    """Starts rolloutd, which must refuse: what it says. 78 is the status of what no other start mends."""
    gateway.rolloutd.config_file.write_text(json.dumps(gateway.rolloutd.config))
    ended = subprocess.run([ROLLOUTD, "--config", gateway.rolloutd.config_file], capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == status, ended.stderr
    return ended.stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "journal.db-shm"}


def served(gateway):
    gateway.start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    return gateway


# Disks.

def test_a_full_disk_refuses_new_tasks_and_loses_none(make_gateway, small_disk):  # noqa: F811
    disk = small_disk("2m")
    gateway = served(make_gateway(rolloutd={"journal": {"path": str(disk / "journal.db")}}))
    old = gateway.get("/deploy-status/m").task()
    gateway.make_model("m", "second")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 1}, {"weight": 100}], gate={"min_requests": 5}, progress_deadline_s=600)
    gateway.await_weight(task, 50)  # and goes on when there is traffic

    filler = fill(disk)
    refused = None
    for number in range(200):  # the journal's log has some room of its own
        answer = gateway.post("/delete", {"model_id": f"x{number}", "task_id": f"t{number}", "note": "x" * 20000})
        if answer.status != 200:
            refused = number
            break
    problem = answer.problem(500)
    assert "disk is full" in problem["detail"] and str(disk / "journal.db") in problem["detail"]
    assert problem["task_id"] == f"t{refused}"
    # Everything else goes on, and the rollout under way waits for its journal.
    assert gateway.get(f"/deploy/{old['task_id']}").task() == old
    with Traffic(gateway, "m") as traffic:
        wait_until(lambda: traffic.count("first") and traffic.count("second"), "answers of both")
        wait_until(lambda: "The journal could not be written and is tried again" in gateway.rolloutd.text(), "the line in the log")
        filler.unlink()
        gateway.wait(task, status="completed")
    assert traffic.failures == []
    assert gateway.infer("m") == "second"
    gateway.post("/delete", {"model_id": f"x{refused}", "task_id": f"t{refused}", "note": "x" * 20000}).task()
    for number in range(refused + 1):
        assert gateway.wait({"task_id": f"t{number}"}, "delete")["status"] == "refused"


def test_a_full_repository_fails_the_deployment_and_leaves_blue(make_gateway, small_disk):  # noqa: F811
    disk = small_disk("1m")
    gateway = make_gateway(rolloutd={"backends": {"default": {"repository": str(disk / "repository")}}})
    gateway.inference.repository = disk / "repository"
    served(gateway)
    folder = gateway.home / "models/m"
    (folder / "1/weights").write_bytes(os.urandom(3_000_000))
    failed = gateway.wait(gateway.start_deployment("m"), status="failed")
    assert f"the file system of {disk}/repository.staging has" in failed["detail"]
    assert failed["metadata"]["steps"][0]["state"] == "failed"
    assert gateway.infer("m") == "first"
    assert [path.name for path in (disk / "repository").iterdir()] == ["m__r1"]
    assert list((disk / "repository.staging").iterdir()) == []
    (folder / "1/weights").unlink()
    gateway.deploy("m")


def test_a_read_only_journal_is_refused_and_stays(make_gateway, small_disk):  # noqa: F811
    disk = small_disk("2m")
    gateway = served(make_gateway(rolloutd={"journal": {"path": str(disk / "journal.db")}}))
    gateway.rolloutd.kill()
    before = contents(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    words = started_rolloutd_fails(gateway)
    assert str(disk / "journal.db") in words and "Read-only file system" in words
    assert gateway.infer("m") == "first"
    assert contents(disk) == before
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.get("/deploy-status/m").task()


@pytest.mark.parametrize("harm, words", [
    (lambda path: path.write_bytes(b"dear diary" * 1000), "file is not a database"),
    (lambda path: path.write_bytes(path.read_bytes()[:4096]), "journal.db"),
    (lambda path: path.write_bytes(path.read_bytes()[:4096] + b"Z" * (path.stat().st_size - 4096)), "is damaged"),
    (lambda path: path.write_bytes(path.read_bytes()[:60] + (1000).to_bytes(4, "big") + path.read_bytes()[64:]), "is of version 1000"),
], ids=["no database", "cut off", "overwritten", "newer"])
def test_a_journal_that_is_not_understood_is_refused_and_stays(make_gateway, harm, words):
    gateway = served(make_gateway())
    gateway.rolloutd.stop()
    journal = gateway.rolloutd.journal
    whole = journal.read_bytes()
    harm(journal)
    before = journal.read_bytes()
    said = started_rolloutd_fails(gateway, 78)
    assert words in said and str(journal) in said, said
    assert journal.read_bytes() == before
    assert gateway.infer("m") == "first"  # the gateway routes on
    journal.write_bytes(whole)
    gateway.rolloutd.start()
    gateway.await_link()
    gateway.get("/deploy-status/m").task()


# Calls that fail.

def with_failing_calls(gateway, failing):  # noqa: F811
    gateway.inference.start()
    gateway.rolloutd.start(env=failing.environment(ROLLOUTD))
    gateway.nginx.start()
    gateway.await_link()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    return gateway


@pytest.mark.parametrize("call, error", [("sync_errno", EIO), ("write_errno", EIO), ("write_errno", EROFS), ("write_errno", ENOSPC)])
def test_a_journal_that_cannot_be_written_answers_no_task_that_it_does_not_have(make_gateway, failing, call, error):  # noqa: F811
    gateway = with_failing_calls(make_gateway(), failing)
    setattr(failing, call, error)
    problem = gateway.post("/delete", {"model_id": "m", "task_id": "mine"}).problem(500)
    assert str(gateway.rolloutd.journal) in problem["detail"] and problem["task_id"] == "mine"
    assert failing.failed > 0
    assert gateway.infer("m") == "first"
    setattr(failing, call, 0)
    gateway.post("/delete", {"model_id": "other", "task_id": "mine"}).task()  # the id was not taken
    gateway.post("/delete", {"model_id": "m", "task_id": "second"}).task()
    gateway.rolloutd.kill()
    gateway.rolloutd.start()
    gateway.await_link()
    assert gateway.wait({"task_id": "second"}, "delete")["status"] == "completed"
    assert gateway.get("/delete/mine").task()["model_id"] == "other"


@pytest.mark.parametrize("call, error, step", [("rename_errno", EIO, "stage"), ("sync_errno", EIO, None)])
def test_files_that_cannot_be_put_in_place_fail_the_deployment(make_gateway, failing, call, error, step):  # noqa: F811
    """A failing fsync fails the journal too: the task goes on once that works again."""
    gateway = with_failing_calls(make_gateway(), failing)
    gateway.make_model("m", "second")
    (gateway.home / "models/m/config.pbtxt").write_text('name: "m"\n')
    setattr(failing, call, error)
    answer = gateway.post("/deploy", {"model_id": "m", "task_id": "t"})
    if step is None:
        answer.problem(500)
        setattr(failing, call, 0)
        gateway.post("/deploy", {"model_id": "m", "task_id": "t"}).task()
        gateway.wait({"task_id": "t"}, status="completed")
        return
    failed = gateway.wait(answer.task())
    setattr(failing, call, 0)
    assert failed["status"] == "failed" and "Input/output error" in failed["detail"]
    assert next(one["name"] for one in failed["metadata"]["steps"] if one["state"] == "failed") == step
    assert gateway.infer("m") == "first" and gateway.files() == ["m__r1"]
    gateway.deploy("m")
    assert gateway.infer("m") == "second"


# File descriptors.

def test_rolloutd_without_file_descriptors_says_so_and_goes_on(make_gateway):
    gateway = served(make_gateway())
    gateway.make_model("m", "second")
    gateway.lacks_descriptors = True
    allow_files(gateway.rolloutd.pid, open_files(gateway.rolloutd.pid))
    try:
        gateway.nginx.reload()  # new worker processes want links
        wait_until(lambda: "No worker process of nginx can be linked" in gateway.rolloutd.text(), "the line in the log")
        assert gateway.infer("m") == "first"
        gateway.get("/deploy-status/m").task()
        gateway.make_model("n", "n")
    finally:
        allow_files(gateway.rolloutd.pid, 1024)
    wait_until(lambda: gateway.nginx.linked(gateway.rolloutd), "nginx's links")
    gateway.deploy("m")
    assert gateway.infer("m") == "second"


def test_a_deployment_without_file_descriptors_fails_or_waits_and_leaves_blue(make_gateway):
    gateway = served(make_gateway())
    gateway.make_model("m", "second")
    gateway.lacks_descriptors = True
    allow_files(gateway.rolloutd.pid, open_files(gateway.rolloutd.pid))
    task = gateway.start_deployment("m")
    failed = gateway.wait(task)
    assert failed["status"] == "failed" and "Too many open files" in failed["detail"], failed["detail"]
    assert gateway.infer("m") == "first"
    allow_files(gateway.rolloutd.pid, 1024)
    gateway.deploy("m")
    assert gateway.infer("m") == "second"
    assert gateway.files() == [name for name in gateway.files() if name.startswith("m__")] and len(gateway.files()) == 1


def test_nginx_without_file_descriptors_serves_what_it_has_and_links_again(make_gateway):
    gateway = served(make_gateway(nginx={"workers": 1, "main": "worker_rlimit_nofile 32;"}))
    gateway.expected_alerts = ("Too many open files",)
    (worker,) = gateway.nginx.worker_pids()
    client = Client(gateway.nginx.port, keep=True)
    task = client.get("/deploy-status/m").task()
    idle = [socket.create_connection(("127.0.0.1", gateway.nginx.port)) for _ in range(40)]
    try:
        wait_until(lambda: "Too many open files" in gateway.nginx.errors(), "the line in nginx's log")
        assert client.get(f"/deploy/{task['task_id']}").task() == task
        gateway.rolloutd.kill()
        client.post("/delete", {"model_id": "other"}).problem(500)
        gateway.rolloutd.start()
        assert client.get(f"/deploy/{task['task_id']}").task() == task
    finally:
        for one in idle:
            one.close()
    gateway.await_link()
    assert gateway.nginx.worker_pids() == [worker]
    assert gateway.infer("m") == "first"
    gateway.make_model("m", "second")
    gateway.deploy("m")


# The clock.

def test_no_deadline_follows_the_clock_of_day(make_gateway, failing):  # noqa: F811
    gateway = make_gateway(rolloutd={"limits": {"time_limit_s": 3600}})
    gateway.inference.start()
    gateway.rolloutd.start(env=failing.environment(ROLLOUTD))
    gateway.nginx.environment = failing.environment(MODULE, "detect_leaks=0")
    gateway.nginx.start()
    gateway.await_link()
    gateway.make_model("m", "first")
    first = gateway.deploy("m")
    for ahead, answer in ((DAY_NS, "second"), (-DAY_NS, "third"), (0, "fourth")):
        gateway.make_model("m", answer)
        task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 2}, {"weight": 100}], watch_s=1, drain_s=5)
        gateway.await_weight(task, 50)
        began = time.monotonic()
        failing.clock_ns = ahead
        done = gateway.wait(task, status="completed")
        assert time.monotonic() - began >= 1  # the hold and the watch were kept, and nothing waited for a day
        assert done["updated_at"] >= done["created_at"]
        assert done["metadata"]["elapsed_ms"] < 60000
        assert gateway.infer("m") == answer
        client = Client(gateway.nginx.port)
        etag = client.get(f"/deploy/{task['task_id']}").headers["ETag"]
        assert client.get(f"/deploy/{task['task_id']}?wait=1", If_None_Match=etag).status == 304
    gateway.rolloutd.stop()  # and over a restart
    failing.clock_ns = -DAY_NS
    gateway.rolloutd.start(env=failing.environment(ROLLOUTD))
    gateway.await_link()
    assert gateway.get(f"/deploy/{first['task_id']}").task() == first  # nothing is taken for old
    gateway.deploy("m")


# Two of them.

def test_a_second_rolloutd_on_the_same_socket_refuses(make_gateway):
    gateway = served(make_gateway())
    gateway.rolloutd.config["journal"]["path"] = str(gateway.home / "other.db")
    said = started_rolloutd_fails(gateway)
    assert f"another process listens on {gateway.rolloutd.socket}" in said
    gateway.await_link()
    gateway.make_model("m", "second")
    gateway.deploy("m")
    assert gateway.infer("m") == "second"


# Several hosts.

@pytest.mark.skipif(not etcd.DRIVER.exists(), reason="built without the client of etcd")
@pytest.mark.parametrize("of", ["the_leader", "another"])
def test_a_host_whose_disk_is_full_is_as_if_away(make_hosts, small_disk, of):  # noqa: F811
    """Tasks are in etcd, and it is the copy on its disk that cannot be written: the other host's can."""
    hosts = make_hosts(2)
    disk = small_disk("16m")
    full, other = hosts
    full.rolloutd.config["journal"]["path"] = str(disk / "replica.db")
    hosts.etcd.start()
    hosts.inference.start()
    leader, follower = (full, other) if of == "the_leader" else (other, full)
    leader.start()
    wait_until(leader.leads, "a leader")
    follower.start()
    full.make_model("m", "first")
    full.deploy("m")
    filler = fill(disk)
    for number in range(100):  # the copy's log has some room of its own
        other.post("/delete", {"model_id": f"x{number}", "task_id": f"t{number}", "note": "x" * 20000}).task()
    wait_until(lambda: "The replica could not be written and is tried again" in full.rolloutd.text(), "the line in the log")
    other.make_model("m", "second")
    task = other.post("/deploy", {"model_id": "m"}).task()
    detail = other.wait(task, status="completed")["detail"]
    assert "Revision 1 stays loaded" in detail and "of host h0" in detail  # its gateway routes by what it knows
    wait_until(lambda: other.infer("m") == "second", "the route")
    assert full.infer("m") == "first"
    for number in range(100):
        assert other.wait({"task_id": f"t{number}"}, "delete")["status"] == "refused"
    problem = full.get("/readyz").problem(503)
    assert "disk is full" in problem["detail"] and str(disk / "replica.db") in problem["detail"]
    assert full.rolloutd.text().count("The replica could not be written") < 5
    filler.unlink()
    wait_until(lambda: full.get("/readyz").status == 200, "/readyz of the host with room")
    wait_until(lambda: full.infer("m") == "second", "the route")
    full.wait(task, status="completed")
    other.rolloutd.stop()
    wait_until(full.leads, "the leadership of the only host")
