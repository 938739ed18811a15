"""Several hosts on one etcd: posts through one of them against rolloutd's client of etcd alone, and how soon another leader is at work
if the one before is killed, with a great many tasks."""

import base64
import contextlib
import datetime
import json
import subprocess
import threading
import time

import requests

from figures import Figure, Load, compare_rates, wrk
from hosts import Hosts
from journals import fill
from posts import POSTS
from processes import BUILD, ROLLOUTD, Rolloutd, wait_until
from stand_in import API

MEMBERS = 3
TURNS = 5  # of the others' seconds: what a load leaves to be done, at etcd and in the copy, is the next one's to bear
LEADER = "/rollout/default/s/leader"


def hosts_of(size, nginx=None):
    hosts = Hosts(size, MEMBERS, rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_queue": 10_000_000, "max_deployed_models": 1000}}, nginx=nginx)
    for member in hosts.etcd.members:
        member.arguments += ["--quota-backend-bytes", str(8 << 30)]
    return hosts


def posts(options):
    script = options.folder / "posts.lua"
    script.write_text(POSTS)
    seconds = TURNS * options.seconds
    for size, bound in ((1, 0.5), (3, None)):
        hosts = hosts_of(size, {"workers": 1, "zone": "1024m", "locations": API})
        try:
            hosts.start()

            def raw(hosts=hosts):
                done = subprocess.run([BUILD / "tests/bench/etcd_writes", str(seconds), "/raw/", *hosts.etcd.urls],
                                      stdout=subprocess.PIPE, text=True, check=True)
                count = int(done.stdout)
                return Load(count / seconds, 0, count)

            def through(hosts=hosts):
                return wrk(f"http://127.0.0.1:{hosts[0].nginx.port}/", seconds, 256, script)
            what = "a cluster's host" if size == 1 else f"one of {size} hosts"
            yield compare_rates(f"durable POST /deploy through {what}, {MEMBERS} members of etcd, 256 connections",
                                "rolloutd's client of etcd alone", bound, options.rounds, through, raw)
        finally:
            hosts.close()


class LeaderWatch(threading.Thread):
    """When etcd has ended a leader, by the wall clock."""

    def __init__(self, urls):
        super().__init__(daemon=True)
        self.urls = urls
        self.ended = []
        self.start()

    def run(self):
        for url in self.urls:
            with contextlib.suppress(requests.RequestException):
                asked = {"create_request": {"key": base64.b64encode(LEADER.encode()).decode()}}
                with requests.post(f"{url}/v3/watch", json=asked, stream=True, timeout=(5, None)) as answer:
                    for line in answer.iter_lines(chunk_size=1):
                        events = json.loads(line).get("result", {}).get("events", [])
                        self.ended += [time.time() for event in events if event.get("type") == "DELETE"]


def at_work_since(host, moment):
    """When its engine has begun to carry out tasks, after that; None: it has not."""
    for line in host.rolloutd.lines(host.rolloutd.began):
        if line["message"] == "rolloutd carries out tasks":
            at = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()
            if at > moment:
                return at
    return None


def import_tasks(hosts, count):
    """Through a journal in a file, as a host brings its own along."""
    host = hosts[0]
    folder = host.own / "before"
    folder.mkdir()
    single = Rolloutd(folder, hosts.inference.port, {"artifacts": host.rolloutd.config["artifacts"], "backends": host.rolloutd.config["backends"]})
    fill(single, count)
    config = host.own / "import.json"
    config.write_text(json.dumps(host.rolloutd.config))
    subprocess.run([ROLLOUTD, "--config", config, "--import", single.journal], check=True, stdout=subprocess.PIPE)


def takeover(options):
    count = options.cluster_tasks
    hosts = hosts_of(2, {"workers": 1, "zone": f"{max(count // 1250, 8)}m"})
    try:
        hosts.etcd.start()
        hosts.inference.start()
        import_tasks(hosts, count)
        starts = []
        for host in hosts:
            began = time.monotonic()
            host.start()
            starts.append(time.monotonic() - began)
        leader = hosts.leader()
        watch = LeaderWatch(hosts.etcd.urls)
        took, whole = [], []
        for number in range(options.rounds):
            (other,) = [host for host in hosts if host is not leader]
            killed = time.time()
            leader.rolloutd.kill()
            at_work = wait_until(lambda other=other, killed=killed: at_work_since(other, killed), "the other leader's work")
            wait_until(lambda number=number: len(watch.ended) > number, "the end of the lease at etcd")
            took.append(at_work - watch.ended[number])
            whole.append(at_work - killed)
            leader.rolloutd.start()
            leader.await_link()
            leader = other
        yield Figure(f"seconds from the end of a leader's lease to the next one's work, {count:,} tasks", "seconds", 1, False, took,
                     f"{sorted(whole)[len(whole) // 2]:.1f} s from the kill; a host without a copy was linked {max(starts):.1f} s after its start")
    finally:
        hosts.close()
