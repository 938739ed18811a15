"""Before an unload, over several hosts: nothing is unloaded that the gateway of any host may still route to, or has a request in flight on."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from gateway import Traffic
from hosts import UnloadWatch
from processes import wait_until

RECORDS = "/rollout/default/l/gateways/"


@pytest.fixture
def m(request):
    return request.node.name.partition("[")[0][5:60]


def encoded(key):
    return base64.b64encode(key.encode()).decode()


def records(hosts):
    """What etcd has of the gateways, by their hosts."""
    found = hosts.etcd.members[0].ask("kv/range", key=encoded(RECORDS), range_end=encoded(RECORDS[:-1] + "0")).get("kvs", [])
    values = [json.loads(base64.b64decode(entry["value"])) for entry in found]
    return {value["host"]: value for value in values}


@contextlib.contextmanager
def stopped(process):
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def await_unload(host, m):
    wait_until(lambda: host.loaded() == [f"{m}__r2"], "the unload of blue")


def test_no_model_is_used_between_its_unload_and_its_next_load(make_hosts, m):
    hosts = make_hosts().start()
    watch = UnloadWatch(hosts[0].server)
    hosts[0].make_model(m, "answer 0")
    hosts[0].deploy(m)
    for host in hosts:
        wait_until(lambda host=host: host.infer(m) == "answer 0", "the route")
    with contextlib.ExitStack() as stack:
        traffic = [stack.enter_context(Traffic(host, m, clients=2)) for host in hosts]
        for number in range(1, 4):
            hosts[0].make_model(m, f"answer {number}")
            hosts[number % 3].deploy(m)
            for one in traffic:
                one.await_answers(f"answer {number}")
            wait_until(lambda number=number: hosts[0].loaded() == [f"{m}__r{number + 1}"], "the unload")
            assert watch.look() == []
    assert [one.failures for one in traffic] == [[], [], []]
    hosts[1].delete(m)
    wait_until(lambda: hosts[0].loaded() == [], "the unload")
    assert watch.look() == []


def test_what_a_host_still_routes_to_stays_loaded_until_it_goes_on(make_hosts, m):
    hosts = make_hosts(2).start()
    leader, (other,) = hosts.leader(), hosts.others()
    leader.serve_blue(m)
    wait_until(lambda: other.infer(m) == "blue", "the route")
    with Traffic(other, m) as traffic:
        with stopped(other.rolloutd):
            task = leader.deploy(m)
            assert f"of host {other.name}" in json.dumps(task) and "stays loaded" in json.dumps(task), task
            assert leader.infer(m) == "green"
            traffic.await_answers("blue")
            assert leader.loaded() == [f"{m}__r1", f"{m}__r2"]
        traffic.await_answers("green")
        await_unload(leader, m)
        traffic.await_answers("green")
    assert traffic.failures == []
    assert UnloadWatch(leader.server).look() == []


def test_a_machine_of_the_same_name_takes_no_gateway_of_the_other_for_gone(make_hosts, m, tmp_path):
    """It is the one that comes in the place of another, whose nginx still routes: the processes that are noted are not its own's of before."""
    if not os.path.exists("/etc/machine-id") or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a process can be given no other machine's files here, as in a chroot")
    hosts = make_hosts(2)
    hosts.etcd.start()
    hosts.inference.start()
    leader, other = hosts
    leader.start()
    wait_until(leader.leads, "a leader")
    other.start()
    leader.serve_blue(m)
    wait_until(lambda: other.infer(m) == "blue", "the route")
    gateway = next(line["gateway"] for line in other.rolloutd.lines() if line["message"] == "A worker process of nginx is linked")
    clone = hosts.add("clone")
    clone.rolloutd.config["journal"]["etcd"].update(host=other.name, leader=False)
    mounts = []
    for file, text in [("/proc/sys/kernel/random/boot_id", "0123abcd-0123-4567-89ab-0123456789ab"), ("/etc/machine-id", "0123456789abcdef" * 2)]:
        own = tmp_path / file.rpartition("/")[2]
        own.write_text(f"{text}\n")
        mounts.append(f"mount --bind {own} {file}")
    clone.rolloutd.prefix = ("unshare", "-m", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh")
    with Traffic(other, m) as traffic:
        with stopped(other.rolloutd):
            clone.start()
            wait_until(lambda: gateway[:8] in clone.rolloutd.text(), "what it says of the other's gateway")
            task = leader.deploy(m)
            assert "stays loaded" in json.dumps(task) and gateway[:8] in json.dumps(task), task
            traffic.await_answers("blue")
            assert leader.loaded() == [f"{m}__r1", f"{m}__r2"]
        clone.rolloutd.stop()
        traffic.await_answers("green")
        await_unload(leader, m)
    assert traffic.failures == []


def test_another_leader_keeps_it_loaded_as_well(make_hosts, m):
    hosts = make_hosts(3).start()
    leader, (other, third) = hosts.leader(), hosts.others()
    leader.serve_blue(m)
    for host in (other, third):
        wait_until(lambda host=host: host.infer(m) == "blue", "the route")
    with Traffic(other, m) as traffic, Traffic(leader, m) as of_leader:
        with stopped(other.rolloutd):
            leader.deploy(m)
            of_leader.await_answers("green")
            leader.rolloutd.kill()
            wait_until(third.leads, "another leader")
            third.make_model("another", "x")
            third.deploy("another")  # it works, and has had its look at what is left behind
            traffic.await_answers("blue")
            assert f"{m}__r1" in third.loaded()
        wait_until(lambda: f"{m}__r1" not in third.loaded(), "the unload of blue")
        traffic.await_answers("green")
        of_leader.await_answers("green")
    assert traffic.failures == [] and of_leader.failures == []
    assert UnloadWatch(third.server).look() == []
    leader.rolloutd.start()
    leader.await_link()


def test_a_host_that_is_gone_is_waited_for_as_long_as_its_gateway_may_route(make_hosts, m):
    hosts = make_hosts(2, rolloutd={"journal": {"etcd": {"isolation_s": 3}}}).start()
    leader, (other,) = hosts.leader(), hosts.others()
    leader.serve_blue(m)
    wait_until(lambda: other.infer(m) == "blue", "the route")
    other.kill()
    task = leader.deploy(m)
    assert "stays loaded" in json.dumps(task), task
    await_unload(leader, m)
    said = [line for line in leader.rolloutd.lines() if "is no longer waited for" in line["message"]]
    assert len(said) == 1 and said[0]["host"] == other.name and "isolation_s" in said[0]["message"], said
    assert f"of host {other.name}" in said[0]["message"] and "missed since 20" in said[0]["message"]
    assert list(records(hosts)) == [leader.name]
    other.rolloutd.start()
    other.nginx.start()
    other.await_link()
    wait_until(lambda: other.infer(m) == "green", "the route at the host that is back")
    assert sorted(records(hosts)) == sorted([leader.name, other.name])


def test_a_deletion_waits_for_a_host_that_is_away(make_hosts, m):
    hosts = make_hosts(2).start()
    leader, (other,) = hosts.leader(), hosts.others()
    leader.make_model(m, "x")
    leader.deploy(m)
    wait_until(lambda: other.infer(m) == "x", "the route")
    with stopped(other.rolloutd):
        task = leader.post("/delete", {"model_id": m}).task()
        wait_until(lambda: f"of host {other.name}, which has been away" in json.dumps(leader.task(task, "delete")), "the wait")
        assert other.infer(m) == "x" and leader.loaded() == [f"{m}__r1"]
    leader.wait(task, "delete", "completed")
    assert leader.loaded() == [] and UnloadWatch(leader.server).look() == []


def test_requests_in_flight_at_another_host_hold_the_unload_until_they_end(make_hosts, m):
    hosts = make_hosts(2).start()
    leader, (other,) = hosts.leader(), hosts.others()
    leader.make_model(m, "blue", faults=[{"kind": "slow_infer", "ms": 6000}])
    leader.deploy(m)
    wait_until(lambda: m in other.serving(), "the model at the other host")
    answers = []
    request = threading.Thread(target=lambda: answers.append(wait_until(lambda: other.infer(m), "an answer")))
    request.start()
    wait_until(lambda: leader.server.get("/test/models").json[f"{m}__r1"]["inflight"] == 1, "the request")
    leader.make_model(m, "green")
    task = leader.post("/deploy", {"model_id": m}).task()
    wait_until(lambda: records(hosts)[other.name]["busy"] == {m: {"1": 1}}, "the request in the record")
    wait_until(lambda: "waits for requests in flight" in json.dumps(leader.task(task)), "the wait")
    assert request.is_alive() and leader.loaded() == [f"{m}__r1", f"{m}__r2"]
    request.join()
    assert answers == ["blue"]
    leader.wait(task, status="completed")
    assert leader.loaded() == [f"{m}__r2"]
    assert records(hosts)[other.name]["busy"] == {}
    calls = [call for call in leader.server.get("/test/calls").json if f"{m}__r1/" in call["path"] + "/"]
    assert [call["status"] for call in calls if call["path"].endswith("/infer")] == [200]


def test_a_goodbye_removes_the_record_and_a_restart_of_rolloutd_keeps_it(make_hosts, m):
    hosts = make_hosts(2).start()
    leader, (other,) = hosts.leader(), hosts.others()
    leader.serve_blue(m)
    wait_until(lambda: other.infer(m) == "blue", "the route")
    before = records(hosts)
    assert sorted(before) == sorted([leader.name, other.name])
    assert other.rolloutd.stop() == 0
    assert records(hosts)[other.name] == before[other.name]
    task = leader.deploy(m)
    assert "stays loaded" in json.dumps(task), task
    assert other.infer(m) == "blue" and f"{m}__r1" in leader.loaded()
    other.rolloutd.start()
    wait_until(lambda: other.infer(m) == "green", "the route")
    await_unload(leader, m)
    assert records(hosts)[other.name]["followed"] > before[other.name]["followed"]

    other.rolloutd.kill()  # without a word
    assert other.name in records(hosts)
    other.rolloutd.start()
    wait_until(lambda: records(hosts).get(other.name, {}).get("linked"), "the gateway's record")

    other.nginx.stop()
    wait_until(lambda: list(records(hosts)) == [leader.name], "the end of the record")
