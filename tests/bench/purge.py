"""Posts while old tasks are removed, against posts while none are."""

import sqlite3

from figures import Figure, side_by_side, wrk
from gateway import Gateway
from journals import fill
from posts import POSTS
from stand_in import API

LONG_AGO_US = 1500000000000000


def rows(gateway):
    with sqlite3.connect(f"file:{gateway.rolloutd.journal}?mode=ro", uri=True) as journal:
        return journal.execute("SELECT count(*) FROM tasks WHERE updated_us = ?", (LONG_AGO_US,)).fetchone()[0]


def gateway_with(old_tasks):
    gateway = Gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_queue": 10000000}},
                      nginx={"workers": 1, "zone": "64m", "locations": API})
    fill(gateway.rolloutd, old_tasks, updated_us=LONG_AGO_US)
    return gateway.start()


def measure(options):
    script = options.folder / "posts.lua"
    script.write_text(POSTS)
    purging, idle = gateway_with(options.old_tasks), gateway_with(1000)
    try:
        def load(gateway):
            return lambda: wrk(f"http://127.0.0.1:{gateway.nginx.port}/", options.seconds, 16, script)
        before = rows(purging)
        pairs = side_by_side(options.rounds, load(purging), load(idle))
        after = rows(purging)
        assert 0 < after < before, f"{before} old tasks before and {after} after: that was no purge"
        yield Figure(f"p99 of posts while {options.old_tasks:,} old tasks are removed", "while none are", 2, False,
                     [a.p99_ms / b.p99_ms for a, b in pairs], f"{before - after:,} were removed meanwhile")
    finally:
        purging.close()
        idle.close()
