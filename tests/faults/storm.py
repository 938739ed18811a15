"""The storm: what kills nginx and rolloutd, again and again, and brings them back as a supervisor would."""

import collections
import os
import signal

from processes import alive, command_line, wait_until


class Storm:
    """Kills one thing after the other. Between two, the clients get on by some steps, so that no process is spared for long
    and none is out for good."""

    #: How often what comes.
    EVENTS = {"kill_worker": 55, "kill_rolloutd": 25, "kill_both": 6, "reload": 8, "upgrade": 4, "kill_master": 2}

    def __init__(self, gateway, casualties, chance, crowd):
        self.gateway, self.nginx, self.rolloutd = gateway, gateway.nginx, gateway.rolloutd
        self.casualties = casualties
        self.chance = chance
        self.crowd = crowd
        self.counts = collections.Counter()

    def kills(self):
        return sum(count for what, count in self.counts.items() if what.startswith("killed"))

    def run(self, kills):
        names, weights = zip(*self.EVENTS.items())
        while self.kills() < kills:
            getattr(self, self.chance.choices(names, weights)[0])()
            breath = self.chance.random()
            if breath < 0.1:
                ended = self.crowd.ended()
                try:
                    wait_until(lambda: self.crowd.ended() > ended, "the end of a deployment")
                except AssertionError as error:
                    raise AssertionError(f"{error}; at work: {self.at_work()}") from None
            elif breath < 0.8:
                self.crowd.let_go_on(self.chance.randint(1, 40))

    def at_work(self):
        """What the deployments say that have not ended."""
        return [(task["task_id"], task["detail"]) for status in ("in_progress", "pending")
                for task in self.gateway.get(f"/deploy?status={status}").json["tasks"]]

    # Blows.

    def kill(self, pid):
        """A worker process, at whatever it is doing."""
        self.casualties.killed.add(pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.counts["killed worker processes"] += 1

    def kill_worker(self):
        pids = wait_until(self.workers, "worker processes")
        for pid in self.chance.sample(pids, 1 if self.chance.random() < 0.7 else len(pids)):
            self.kill(pid)

    def workers(self):
        """Those of all masters, also on their way out."""
        return [pid for pid in self.nginx.pids() if command_line(pid).startswith("nginx: worker")]

    def serving(self):
        """Those that take new connections. Without a master process there may be none: nobody follows those that were killed last."""
        return [pid for pid in self.nginx.pids() if command_line(pid) == "nginx: worker process" and pid not in self.casualties.killed]

    def kill_rolloutd(self):
        self.rolloutd.kill()
        self.counts["killed rolloutd"] += 1
        if self.chance.random() < 0.3:
            self.crowd.let_go_on(self.chance.randint(1, 30))  # without it: reads and inferences
        self.rolloutd.start(wait=self.chance.random() < 0.5)

    def kill_both(self):
        self.kill_worker()
        self.kill_rolloutd()

    def reload(self):
        self.nginx.send_signal(signal.SIGHUP)
        self.counts["reloads"] += 1

    def upgrade(self):
        wait_until(lambda: len(self.nginx.worker_pids()) >= int(self.nginx.pieces["workers"]), "worker processes")
        old, _ = self.nginx.upgrade()
        self.counts["upgrades"] += 1
        for _ in range(self.chance.randint(0, 3)):
            self.crowd.let_go_on(self.chance.randint(1, 20))
            self.chance.choice((self.kill_worker, self.kill_rolloutd))()
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not alive(old), "the end of the old nginx")

    def kill_master(self):
        """The worker processes that it leaves are nobody's: whoever supervises nginx ends them too, and starts it anew."""
        orphans = self.workers()
        os.kill(self.nginx.master_pid(), signal.SIGKILL)
        self.counts["killed masters"] += 1
        if self.chance.random() < 0.5 and self.serving():
            self.crowd.let_go_on(self.chance.randint(1, 20))  # the orphans serve on until then
        self.casualties.killed.update(orphans, self.workers())
        self.casualties.down += 1
        self.nginx.kill()
        self.nginx.start()
        self.casualties.up += 1
