"""What is posted at one host is there at every other one as soon as the post is answered: by its id, and as its model's latest."""

import contextlib
import multiprocessing
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor

from everywhere import Posts, post_and_read
from processes import wait_until

POSTS, LONG_POSTS = 2000, 100_000
PROCESSES = min(4, os.cpu_count())
CLIENTS = 24  # of each process


def test_no_post_is_missed_at_another_host(request, make_hosts, tell):
    posts = LONG_POSTS if request.config.getoption("--long") else POSTS
    hosts = make_hosts(3, 3, rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_queue": 10_000_000}})
    for host, zone in zip(hosts, ("64m", "256m", "8m")):  # the last one's table forgets most of them
        host.nginx.pieces["zone"] = zone
    hosts.start()
    first, *others = [host.nginx.port for host in hosts]
    each = posts // PROCESSES
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        work = [processes.submit(post_and_read, Posts(first, others, f"p{number}", each, CLIENTS)) for number in range(PROCESSES)]
        seen = [one.result() for one in work]
    faults = [fault for one in seen for fault in one.faults]
    rate = sum(one.posted for one in seen) / max(one.seconds for one in seen)
    tell(f"{sum(one.posted for one in seen)} posts, {rate:.0f} a second, {sum(one.read for one in seen)} reads of them; "
         f"{sum(one.repeated for one in seen)} requests were repeated after a 503")
    assert faults == []
    assert sum(one.posted for one in seen) == each * PROCESSES
    assert sum(one.read for one in seen) >= each * PROCESSES * len(others)
    for host in hosts:
        wait_until(lambda host=host: tasks_in(host.rolloutd.journal) == each * PROCESSES, f"all tasks in the copy of host {host.name}")


def tasks_in(replica):
    with contextlib.closing(sqlite3.connect(f"file:{replica}?mode=ro", uri=True, timeout=30)) as base:
        return base.execute("SELECT count(*) FROM tasks").fetchone()[0]
