"""Several hosts and what goes wrong around them: each host says in its log and in `/readyz` what it is and what to do, nothing is lost,
routing goes on, and once the fault is mended all works again."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from certificates import Authority
from etcd import Client as EtcdClient
from etcd import DRIVER, Failed, Relay
from hosts import READY
from processes import DEADLINE_S, ROLLOUTD, ROOT, wait_until

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="built without the client of etcd")

PREFIX = "/rollout/default/"
MIB = 1024 * 1024


@pytest.fixture
def m(request):
    return "".join(c if c.isalnum() else "_" for c in request.node.name[5:60]).strip("_")


@pytest.fixture
def make_client(tmp_path):
    """A client of etcd that is none of rolloutd's, as etcdctl is one."""
    made = []

    def make(endpoints, **settings):
        made.append(EtcdClient(tmp_path, f"client{len(made)}"))
        assert made[-1].open(endpoints, timeout_ms=20000, **settings) is None
        return made[-1]

    yield make
    for client in made:
        client.finish()


def begin(host):
    """Starts a host that may not come to serve its gateway."""
    host.rolloutd.start(wait=False)
    if not host.nginx.running():
        host.nginx.start()


def etcd_of(host):
    """Its settings."""
    return host.rolloutd.config["journal"]["etcd"]


def await_log(host, *parts, since=None, level=None):
    """The message of its log that has all these parts, once it is there; since its rolloutd's start."""
    def found():
        host.rolloutd.must_run()
        return next((line["message"] for line in host.rolloutd.lines(host.rolloutd.began if since is None else since)
                     if all(part in line["message"] for part in parts) and line["level"] in (level or line["level"])), None)
    return wait_until(found, f"{parts} in the log of {host.name}")


def await_unready(host, *parts):
    """What `/readyz` says, once it is a 503 whose sentence has all these parts."""
    last = [None]

    def says():
        last[0] = host.get("/readyz")
        if last[0].status != 503:
            return None
        detail = last[0].problem(503)["detail"]
        return detail if all(part in detail for part in parts) else None
    try:
        return wait_until(says, f"{parts} in /readyz of {host.name}")
    except AssertionError as late:
        raise AssertionError(f"{late}: {last[0]}") from None


def await_ready(host):
    wait_until(lambda: host.get("/readyz").status == 200, f"/readyz of {host.name}")


def refused(host, task_id, model, *parts):
    """A post that cannot be taken, and says why."""
    answer = host.post("/deploy", {"task_id": task_id, "model_id": model})
    assert answer.status in (500, 503), answer
    problem = answer.problem(answer.status)
    if answer.status == 500:
        assert problem["task_id"] == task_id
    for part in parts:
        assert part in problem["detail"], problem
    return problem


def post_until_taken(host, task_id, model):
    return wait_until(lambda: (answer := host.post("/deploy", {"task_id": task_id, "model_id": model})).status == 200 and answer.json,
                      f"a post at {host.name}")


def serves(host, model, answer):
    wait_until(lambda: host.infer(model) == answer, f"the route at {host.name}")


def knows(host, task_id):
    wait_until(lambda: host.get(f"/deploy/{task_id}").status == 200, f"{task_id} at {host.name}")


def check(host):
    """`rolloutd --check`: its status and what it says."""
    host.rolloutd.config_file.write_text(json.dumps(host.rolloutd.config))
    done = subprocess.run([ROLLOUTD, "--config", host.rolloutd.config_file, "--check"], capture_output=True, text=True, timeout=DEADLINE_S)
    return done.returncode, done.stdout + done.stderr


def works_again(hosts, m, tasks=()):
    """Every host is ready, has these tasks, and takes a new one that is carried out."""
    for host in hosts:
        await_ready(host)
        for task_id in tasks:
            assert host.get(f"/deploy/{task_id}").task()["task_id"] == task_id
    for host in hosts:
        hosts[0].make_model(f"{m}-{host.name}", "again")
        task = post_until_taken(host, f"{m}-{host.name}-again", f"{m}-{host.name}")
        host.wait(task, status="completed")
        for other in hosts:
            serves(other, f"{m}-{host.name}", "again")


# Where etcd is not.

def test_an_endpoint_where_nobody_listens_yet(make_hosts, m):
    """The hosts are started before etcd, with nothing of their own."""
    hosts = make_hosts(2)
    hosts.inference.start()
    url = hosts.etcd.urls[0]
    for host in hosts:
        assert check(host)[0] == 0
        begin(host)
    for host in hosts:
        await_log(host, url, "cannot be reached", level=("warning",))
        await_unready(host, url, "cannot be reached")
        refused(host, f"{m}-1", m)
        host.get("/deploy/nobody").problem(503)
    hosts.etcd.start()
    works_again(hosts, m)


def test_a_wrong_endpoint_of_a_host_that_was_a_part_of_the_cluster(make_hosts, m):
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    other = hosts.others()[0]
    other.rolloutd.stop()
    right = etcd_of(other)["endpoints"]
    wrong = f"http://127.0.0.1:{other.nginx.http2_port}"  # somebody, but not etcd
    etcd_of(other)["endpoints"] = [wrong]
    begin(other)
    await_log(other, wrong, level=("warning",))
    await_unready(other, wrong)
    assert other.infer(m) == "blue"
    assert other.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
    refused(other, f"{m}-1", m, wrong)
    other.get("/deploy/nobody").problem(503)
    await_ready(hosts.leader())
    other.rolloutd.stop()
    etcd_of(other)["endpoints"] = right
    other.rolloutd.start()
    other.await_link()
    works_again(hosts, m, [task["task_id"]])


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_etcd_goes_away_and_comes_back(make_hosts, m, how):
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    member = hosts.etcd.members[0]
    hosts.etcd.kill() if how == "killed" else member.send_signal(19)
    for host in hosts:
        await_unready(host, member.url)
        assert host.infer(m) == "blue"
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
        refused(host, f"{m}-1", m, *([member.url] if how == "killed" else []))  # one that is silent may still create the task
        host.get("/deploy/nobody").problem(503)
    hosts.etcd.start_again() if how == "killed" else member.send_signal(18)
    works_again(hosts, m, [task["task_id"]])


# Certificates.

class Papers:
    def __init__(self, folder):
        self.authority = Authority(folder / "authority")
        self.of_members = self.authority.issue("/CN=etcd", "member")
        self.of_host = self.authority.issue("/CN=host", "host")
        self.expired = self.authority.issue("/CN=host", "expired", days=-1)
        self.strangers = Authority(folder / "strangers", "Somebody else's authority")
        self.of_stranger = self.strangers.issue("/CN=host", "stranger")


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


def put_in_place(folder, **files):
    """As an operator does: each file is renamed onto the one before it."""
    for name, source in files.items():
        shutil.copy(source, folder / f"{name}.new")
    for name in files:
        os.rename(folder / f"{name}.new", folder / name)


WRONG_PAPERS = {
    "authority": (lambda papers: {"ca": papers.strangers.certificate}, ["no authority of \"ca_file\" has signed"]),
    "stranger": (lambda papers: {"cert": papers.of_stranger[0], "key": papers.of_stranger[1]}, ["cert_file"]),
    "expired": (lambda papers: {"cert": papers.expired[0], "key": papers.expired[1]}, ["cert_file", "expired"]),
    "another_key": (lambda papers: {"key": papers.of_stranger[1]}, ["key_file"]),
    "no_certificate": (lambda papers: {"cert": __file__}, ["cert_file"]),
}


@pytest.mark.parametrize("wrong", WRONG_PAPERS)
def test_a_wrong_certificate_is_named_and_the_right_one_is_taken_without_a_restart(make_hosts, m, papers, tmp_path, wrong):
    files, words = WRONG_PAPERS[wrong]
    good = {"ca": papers.authority.certificate, "cert": papers.of_host[0], "key": papers.of_host[1]}
    put_in_place(tmp_path, **good)
    settings = {"ca_file": str(tmp_path / "ca"), "cert_file": str(tmp_path / "cert"), "key_file": str(tmp_path / "key")}
    hosts = make_hosts(2, rolloutd={"journal": {"etcd": settings}}, etcd={"tls": (papers.authority, papers.of_members, True)}).start()
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    leader, other = hosts.leader(), hosts.others()[0]
    # One host has papers of its own, which are wrong when it starts.
    own = tmp_path / "own"
    own.mkdir()
    put_in_place(own, **good | files(papers))
    etcd_of(other).update({"ca_file": str(own / "ca"), "cert_file": str(own / "cert"), "key_file": str(own / "key")})
    other.rolloutd.stop()
    begin(other)
    url = hosts.etcd.urls[0]
    await_log(other, *words)
    await_unready(other, *words)
    assert other.infer(m) == "blue"
    assert other.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
    refused(other, f"{m}-1", m, url)
    await_ready(leader)
    put_in_place(own, **good)
    works_again(hosts, m, [task["task_id"]])


# Users.

USERS = {"etcd": {"arguments": ["--bcrypt-cost", "4"]}, "rolloutd": {"journal": {"etcd": {"user": "gateway", "password": "secret"}}}}


def hosts_with_users(make_hosts):
    hosts = make_hosts(2, **USERS)
    hosts.etcd.start()
    hosts.etcd.members[0].demand_users("gateway", "secret", PREFIX)
    return hosts.start()


@pytest.mark.parametrize("when", ["it_runs", "it_starts"])
def test_a_wrong_password_is_named_and_put_right_at_etcd(make_hosts, m, when):
    hosts = hosts_with_users(make_hosts)
    member = hosts.etcd.members[0]
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    member.ask_as_root("auth/user/changepw", name="gateway", password="another")
    for host in hosts:
        if when == "it_starts":
            host.rolloutd.stop()
            begin(host)
    for host in hosts:
        await_log(host, "correct \"user\" and \"password\"", "\"gateway\"")
        await_unready(host, "correct \"user\" and \"password\"", "\"gateway\"")
        assert host.infer(m) == "blue"
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
        refused(host, f"{m}-1", m, "correct \"user\" and \"password\"")
        assert "secret" not in host.rolloutd.text()
    member.ask_as_root("auth/user/changepw", name="gateway", password="secret")
    works_again(hosts, m, [task["task_id"]])


def test_a_user_whose_role_is_taken_away_is_named(make_hosts, m):
    hosts = hosts_with_users(make_hosts)
    member = hosts.etcd.members[0]
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    member.ask_as_root("auth/user/revoke", name="gateway", role="gateways")
    for host in hosts:
        await_log(host, "permission denied", "\"gateway\"", "readwrite on the prefix")
        await_unready(host, "\"gateway\"", "readwrite on the prefix")
        assert host.infer(m) == "blue"
        refused(host, f"{m}-1", m, "readwrite on the prefix")
    member.ask_as_root("auth/user/grant", user="gateway", role="gateways")
    works_again(hosts, m, [task["task_id"]])


# What is below the prefix.

METAS = {
    "of_a_newer_format": (json.dumps({"id": "0" * 32, "format": 7, "oldest_reader": 7}), ["format 7", "Upgrade it"]),
    "of_somebody_else": ("hello", ["cannot be read", "Check the prefix"]),
    "of_an_import": (json.dumps({"id": "0" * 32, "format": 1, "oldest_reader": 1, "import_of": "x"}), ["is being imported", "--import"]),
}


@pytest.mark.parametrize("meta", METAS)
def test_a_prefix_of_another_format_is_named_and_nothing_is_written_there(make_hosts, make_client, m, meta):
    value, words = METAS[meta]
    hosts = make_hosts(2).start()
    client = make_client(hosts.etcd.urls)
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    # One that is new in a cluster of its own; and one after the other, those that run.
    client.put("/rollout/other/s/meta", value)
    new = hosts.add("new")
    etcd_of(new)["prefix"] = "/rollout/other/"
    begin(new)
    await_log(new, "/rollout/other/s/meta", *words)
    await_unready(new, "/rollout/other/s/meta", *words)
    refused(new, f"{m}-1", m)
    right = client.get(f"{PREFIX}s/meta")
    client.put(f"{PREFIX}s/meta", value)
    for host in hosts.hosts[:2]:
        await_log(host, f"{PREFIX}s/meta", *words)
        await_unready(host, f"{PREFIX}s/meta", *words)
        assert host.infer(m) == "blue"
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
        refused(host, f"{m}-1", m, *words)
    assert client.call("range", key="/rollout/other/", end="/rollout/other0")["count"] == 1
    client.put(f"{PREFIX}s/meta", right)
    works_again(hosts.hosts[:2], m, [task["task_id"]])
    client.call("remove", key="/rollout/other/s/meta")
    await_ready(new)


# etcd's space and history.

def fill(client):
    def is_full():
        with contextlib.suppress(Failed):
            client.call("put", key="/somebody/else", size=MIB)
            return False
        return True
    wait_until(is_full, "the end of the quota")


def make_room(client, member):
    """As etcd's manual says: compact, defragment, disarm the alarm."""
    client.call("remove", key="/somebody/else")
    client.call("compact", revision=client.call("range", key="/somebody/else")["revision"], physical=True)
    member.ask("maintenance/defragment")
    for alarm in member.ask("maintenance/alarm", action="GET")["alarms"]:
        member.ask("maintenance/alarm", action="DEACTIVATE", **alarm)


def test_a_full_etcd_is_named_and_works_again_when_it_has_room(make_hosts, make_client, m):
    hosts = make_hosts(2, etcd={"arguments": ["--quota-backend-bytes", str(16 * MIB)]}).start()
    client = make_client(hosts.etcd.urls)
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    leader = hosts.leader()
    fill(client)
    for host in hosts:
        await_log(host, "etcdctl alarm disarm", level=("warning", "error"))
        await_unready(host, "quota is used up", "etcdctl alarm disarm")
        assert host.infer(m) == "blue"
        assert host.get(f"/deploy/{task['task_id']}").task()["status"] == "completed"
        refused(host, f"{m}-1", m, "etcdctl alarm disarm")
        host.get("/deploy/nobody").problem(404)  # reads go on
    assert hosts.leader() is leader and leader.leads()
    make_room(client, hosts.etcd.members[0])
    works_again(hosts, m, [task["task_id"]])


def test_a_host_that_history_has_passed_by_reads_everything(make_hosts, make_client, m):
    """Its watch is held back while the others go on, and etcd compacts."""
    hosts = make_hosts(2)
    hosts.etcd.start()
    relay = Relay(hosts.etcd.members[0].port)
    try:
        etcd_of(hosts[1])["endpoints"] = [relay.url]
        hosts.start()
        hosts[0].make_model(m, "blue")
        task = hosts[0].deploy(m)
        serves(hosts[1], m, "blue")
        client = make_client(hosts.etcd.urls)
        relay.answers.clear()
        await_unready(hosts[1], "copy of the tasks is behind", relay.url)  # its watch is given up
        assert hosts[1].infer(m) == "blue"
        wait_until(hosts[0].leads, "the leadership of the other host")
        hosts[0].make_model(m, "green")
        missed = hosts[0].deploy(m)
        revision = client.call("range", key=f"{PREFIX}s/meta")["revision"]
        client.call("compact", revision=revision, physical=True)
        relay.answers.set()
        await_log(hosts[1], "Reading everything from etcd", "etcd does not keep the changes")
        works_again(hosts, m, [task["task_id"], missed["task_id"]])
        serves(hosts[1], m, "green")
        assert not [line for line in hosts[1].rolloutd.lines() if "restored" in line["message"]]
    finally:
        relay.close()


def test_a_damaged_copy_is_read_anew_from_etcd(make_hosts, m):
    """Nothing is lost with it: it is not the journal."""
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "blue")
    tasks = [hosts[0].deploy(m)["task_id"]]
    for number in range(40):
        tasks.append(post_until_taken(hosts[0], f"{m}-{number}", f"{m}-{number}")["task_id"])
    for task_id in tasks:
        knows(hosts[1], task_id)
    damaged = hosts.others()[0]
    assert damaged.rolloutd.stop() == 0
    for file in damaged.own.glob("replica.db-*"):
        assert not file.stat().st_size or file.suffix == ".db-shm", file
    with open(damaged.rolloutd.journal, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(3, size // 4096):
            file.seek(page * 4096)
            file.write(b"Z" * 64)
    damaged.rolloutd.start()
    damaged.await_link()
    works_again(hosts, m, tasks)
    serves(damaged, m, "blue")


def deploys_more(host, m):
    """So many that etcd comes to revisions that it has given before."""
    for number in range(5):
        host.make_model(f"{m}-{number}", "more")
        host.wait(post_until_taken(host, f"{m}-more-{number}", f"{m}-{number}"), status="completed")


@pytest.mark.parametrize("copy", ["replica", "no_replica"])
def test_a_host_that_was_away_while_etcd_was_restored_forgets_what_is_not_there(make_hosts, m, tmp_path, copy):
    """Its nginx is up all the time, with what it knew."""
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    away = hosts.others()[0]
    hosts.etcd.kill()
    hosts.etcd.copy(tmp_path)
    hosts.etcd.start_again()
    later = away.wait(post_until_taken(away, f"{m}-later", f"{m}-later"))
    assert away.get(f"/deploy/{later['task_id']}").task()["status"] == "failed"
    away.rolloutd.stop()
    hosts.etcd.kill()
    hosts.etcd.put_back(tmp_path)
    hosts.etcd.start_again()
    deploys_more(hosts.leader(), m)
    assert away.infer(m) == "blue"
    if copy == "no_replica":
        for file in away.own.glob("replica.db*"):
            file.unlink()
    away.rolloutd.start()
    away.await_link()
    works_again(hosts, m, [task["task_id"]])
    away.get(f"/deploy/{later['task_id']}").problem(404)
    away.get(f"/deploy-status/{m}-later").problem(404)


@pytest.mark.parametrize("how", ["snapshot", "files"])
def test_an_etcd_that_was_restored_is_noticed_and_everything_read_anew(make_hosts, m, tmp_path, how):
    hosts = make_hosts(2).start()
    member = hosts.etcd.members[0]
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    if how == "snapshot":
        etcdctl("--endpoints", member.url, "snapshot", "save", tmp_path / "snapshot")
    else:
        hosts.etcd.kill()
        hosts.etcd.copy(tmp_path)
        hosts.etcd.start_again()
    later = post_until_taken(hosts[0], f"{m}-later", f"{m}-later")
    hosts[0].wait(later)
    knows(hosts[1], later["task_id"])  # a host that has not followed it has nothing to read anew
    hosts.etcd.kill()
    for host in hosts:
        await_unready(host, member.url)
        assert host.infer(m) == "blue"
    if how == "snapshot":
        data = member.home / f"{member.name}.etcd"
        shutil.rmtree(data)
        etcdctl("snapshot", "restore", tmp_path / "snapshot", "--name", member.name, "--data-dir", data, "--initial-cluster",
                f"{member.name}={member.peer_url}", "--initial-advertise-peer-urls", member.peer_url)
    else:
        hosts.etcd.put_back(tmp_path)
    hosts.etcd.start_again()
    for host in hosts:
        await_log(host, "Reading everything from etcd", "restored")
    works_again(hosts, m, [task["task_id"]])
    for host in hosts:
        host.get(f"/deploy/{later['task_id']}").problem(404)
        assert host.infer(m) == "blue"


def etcdctl(*arguments):
    subprocess.run(["etcdctl", *map(str, arguments)], check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"}, timeout=DEADLINE_S)


# Clocks.

def fake_time(seconds):
    """The environment of a process whose wall clock is wrong by so much. A sanitizer's library, loaded before, would wait for ever."""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0", "FAKETIME": f"{seconds:+d}s", "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.parametrize("seconds", [-120, 120])
@pytest.mark.parametrize("who", ["leader", "other"])
def test_a_clock_that_is_two_minutes_off_is_named_and_does_no_harm(make_hosts, m, who, seconds):
    hosts = make_hosts(2).start()
    hosts[0].make_model(m, "blue")
    task = hosts[0].deploy(m)
    serves(hosts[1], m, "blue")
    wrong = hosts.others()[0]
    right = hosts.leader()
    wrong.rolloutd.stop()
    wrong.rolloutd.start(env=fake_time(seconds))
    wrong.await_link()
    if who == "leader":
        right.rolloutd.stop()
        wait_until(wrong.leads, "the leadership of the host with the wrong clock")
        right.rolloutd.start()
        right.await_link()
    told = right if who == "leader" else wrong
    ahead = (seconds > 0) == (told is wrong)
    await_log(told, "This host's clock is ", f" {'ahead of' if ahead else 'behind'} that of host {(wrong if told is right else right).name}", "NTP", level=("warning",))
    await_ready(told)
    works_again(hosts, m, [task["task_id"]])


# What is said of a whole cluster.

def test_that_nobody_leads_is_said_once(make_hosts, m):
    hosts = make_hosts(1, rolloutd={"journal": {"etcd": {"leader": False}}})
    hosts.etcd.start()
    hosts.inference.start()
    host, = hosts
    host.start()

    def said(text):
        return [line for line in host.rolloutd.lines() if text in line["message"]]
    # Each time that nothing was told for six seconds, another member is asked, if there is one.
    await_log(host, "has told of no change")
    first = len(said("Connected to etcd"))
    wait_until(lambda: len(said("Connected to etcd")) >= first + 3, "silence, again and again")
    assert len(said("has told of no change")) == 1
    assert {line["level"] for line in said("Connected to etcd")[first:]} == {"debug"}
    await_ready(host)
    etcd_of(host)["leader"] = True
    host.rolloutd.config_file.write_text(json.dumps(host.rolloutd.config))
    host.rolloutd.send_signal(1)
    await_log(host, "etcd tells of changes again")
    works_again(hosts, m)


def test_hosts_with_other_configurations_are_named(make_hosts, m):
    hosts = make_hosts(3).start()
    leader, (same, other) = hosts.leader(), hosts.others()

    def reload(host, **limits):
        host.rolloutd.config["limits"] = limits
        host.rolloutd.config_file.write_text(json.dumps(host.rolloutd.config))
        host.rolloutd.send_signal(1)
    reload(other, max_queue=77)
    await_log(leader, f"The rolloutd.json of host {other.name} has other limits than that of this host, which leads", level=("warning",))
    await_log(other, f"The rolloutd.json of host {leader.name}, which leads, has other limits than that of this host", level=("warning",))
    for host in hosts:
        await_ready(host)
    reload(other)
    await_log(leader, f"The rolloutd.json of host {other.name} says the same")
    await_log(other, f"The rolloutd.json of host {leader.name}, which leads, says the same")
    assert not [line for line in same.rolloutd.lines() if "The rolloutd.json of" in line["message"]]


def metric(host, name, **labels):
    """Its value; None: there is none."""
    text = host.get("/metrics").body.decode()
    shown = "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}" if labels else ""
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{shown} ")), None)


def test_metrics_say_who_leads_and_how_etcd_is(make_hosts, make_client, m):
    locations = READY.replace("^/(readyz|metrics)$ { rollout_api; }", "^/readyz$ { rollout_api; }\n        location = /metrics { rollout_metrics; }")
    quota = 64 * MIB
    hosts = make_hosts(2, nginx={"locations": locations}, rolloutd={"journal": {"etcd": {"quota_bytes": quota}}},
                       etcd={"arguments": ["--quota-backend-bytes", str(quota)]}).start()
    leader, other = hosts.leader(), hosts.others()[0]
    for host in hosts:
        wait_until(lambda host=host: metric(host, "rollout_cluster_leader") == float(host is leader), "who leads")
        wait_until(lambda host=host: (metric(host, "rollout_etcd_change_age_seconds") or 60) < 6, "a change")
        assert 0 < metric(host, "rollout_etcd_lease_remaining_seconds", lease="host") <= 4
        assert (metric(host, "rollout_etcd_lease_remaining_seconds", lease="leader") > 0) is (host is leader)
        size = wait_until(lambda host=host: metric(host, "rollout_etcd_database_bytes"), "the size of etcd's database")
        assert 0 < metric(host, "rollout_etcd_database_used_bytes") <= size
        assert metric(host, "rollout_etcd_quota_bytes") == quota
        assert metric(host, "rollout_etcd_errors_total", kind="no_space") == 0
    described = set(re.findall(r"^\| `(rollout_\w+)", (ROOT / "docs/reference/metrics.md").read_text(), re.M))
    families = set(re.findall(r"^# TYPE (\w+)", leader.get("/metrics").body.decode(), re.M))
    assert families <= described, families - described
    client = make_client(hosts.etcd.urls)
    for number in range(40):
        client.call("put", key=f"/somebody/{number}", size=MIB)
    for host in hosts:
        await_log(host, "of its quota of 64.0 MiB", "Compact and defragment it", level=("warning",))
        await_ready(host)
    hosts.etcd.kill()
    wait_until(lambda: metric(other, "rollout_etcd_errors_total", kind="unreachable") > 0, "an error")
    wait_until(lambda: metric(other, "rollout_etcd_database_bytes") is None, "no news of etcd's database")
    hosts.etcd.start_again()
    works_again(hosts, m)


# What can be seen without etcd.

def test_the_check_names_what_cannot_be_used(make_hosts, papers, tmp_path):
    host, = make_hosts(1)
    good = {"ca_file": str(papers.authority.certificate), "cert_file": str(papers.of_host[0]), "key_file": str(papers.of_host[1]),
            "endpoints": ["https://10.0.0.1:2379"]}
    etcd_of(host).update(good)
    assert check(host)[0] == 0
    for changes, pointer, words in [
            ({"endpoints": ["10.0.0.1:2379"]}, "/journal/etcd/endpoints", "does not begin with https:// or http://"),
            ({"endpoints": ["http://10.0.0.1:2379"]}, "/journal/etcd/endpoints", "is plain text to another machine"),
            ({"user": "gateway"}, "/journal/etcd/user", "also give its password"),
            ({"prefix": "rollout"}, "/journal/etcd/prefix", "must begin and end with"),
            ({"ca_file": str(tmp_path / "none")}, "/journal/etcd/ca_file", "cannot be read"),
            ({"cert_file": __file__}, "/journal/etcd/cert_file", "holds no certificate in PEM form"),
            ({"cert_file": str(papers.expired[0]), "key_file": str(papers.expired[1])}, "/journal/etcd/cert_file", "has expired"),
            ({"key_file": str(papers.of_stranger[1])}, "/journal/etcd/key_file", "is not the key of the certificate"),
            ({"key_file": str(papers.of_host[0])}, "/journal/etcd/key_file", "holds no private key")]:
        etcd_of(host).update(changes)
        status, text = check(host)
        assert status == 1 and pointer in text and words in text, text
        for name in changes:
            etcd_of(host).pop(name)
        etcd_of(host).update(good)
