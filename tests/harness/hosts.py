"""Several hosts of one cluster: each an nginx and a rolloutd, on one etcd and before one inference server."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import tempfile

import requests

from etcd import Cluster
from gateway import Client, Gateway
from processes import LOCATIONS, InferenceServer, Nginx, Rolloutd, merge, wait_until

READY = LOCATIONS + "        location ~ ^/(readyz|metrics)$ { rollout_api; }\n"


class Host(Gateway):
    """A gateway whose models and inference server it shares with the others."""

    def __init__(self, home, name, endpoints, inference, rolloutd=None, nginx=None):
        self.name = name
        self.home = home
        self.inference = inference
        self.own = home / name
        self.own.mkdir()
        self.own.chmod(0o755)
        settings = {
            "journal": {"type": "etcd", "path": str(self.own / "replica.db"), "etcd": {"endpoints": endpoints, "host": name}},
            "artifacts": {"source": f"file://{home}/models/{{model_id}}", "allow": [f"file://{home}/models/"]},
            "backends": {"default": {"repository": str(home / "repository")}},
        }
        merge(settings, rolloutd or {})
        self.rolloutd = Rolloutd(self.own, inference.port, settings)
        self.rolloutd.journal = self.own / "replica.db"
        self.nginx = Nginx(self.own, inference.port, **{"locations": READY, **(nginx or {})})
        Client.__init__(self, self.nginx.port)
        self.server = Client(inference.port)

    def start(self):
        self.rolloutd.start()
        self.nginx.start()
        self.await_link()
        return self

    def stop(self):
        ended = []
        for process in (self.nginx, self.rolloutd):
            if process.running():
                ended.append((f"{self.name}: {process.log.stem}", process.stop()))
        return ended

    def close(self):
        return self.stop()

    def kill(self):
        """As its machine's power does."""
        self.rolloutd.kill()
        self.kill_nginx()

    def kill_nginx(self):
        workers = self.nginx.worker_pids()
        self.nginx.kill()
        for pid in workers:  # they serve on without their master process
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.nginx.accepts(), "the end of the listener: another nginx could not have it")

    def leads(self):
        """Whether its rolloutd was the last to be elected, as far as its log says."""
        said = [line["message"] for line in self.rolloutd.lines(self.rolloutd.began)
                if line["message"].startswith(("This rolloutd leads", "This rolloutd stands"))]
        return bool(said) and said[-1].startswith("This rolloutd leads: ") and self.rolloutd.running()


class Hosts:
    """`size` hosts, with so many members of etcd, which have `etcd`'s settings (Member). The others are as Gateway's, for each host."""

    def __init__(self, size=3, members=1, rolloutd=None, nginx=None, inference=None, etcd=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-hosts."))
        self.home.chmod(0o755)
        (self.home / "models").mkdir()
        self.etcd = Cluster(self.home, members, **(etcd or {}))
        self.inference = InferenceServer(self.home, **(inference or {}))
        self.settings = rolloutd, nginx
        self.hosts = []
        for number in range(size):
            self.add(f"h{number}")

    def __iter__(self):
        return iter(self.hosts)

    def __getitem__(self, number):
        return self.hosts[number]

    def add(self, name):
        """One more host, not started."""
        self.hosts.append(Host(self.home, name, self.etcd.urls, self.inference, *self.settings))
        return self.hosts[-1]

    def start(self):
        self.etcd.start()
        self.inference.start()
        for host in self.hosts:
            host.start()
        self.leader()
        return self

    def leader(self):
        """The one that leads, once one does."""
        return wait_until(lambda: next((host for host in self.hosts if host.leads()), None), "a leader")

    def elected(self):
        """The one that etcd has as the leader; None if it has none, or does not answer."""
        entry = self.entry("s/leader")
        name = json.loads(entry["value"])["host"] if entry else None
        return next((host for host in self.hosts if host.name == name), None)

    def entry(self, key):
        """What etcd has below the prefix as that key: its `value` and `mod_revision`; None if there is nothing, or no answer."""
        asked = {"key": base64.b64encode(f"/rollout/default/{key}".encode()).decode()}
        for member in self.etcd.members:
            if member.running():
                with contextlib.suppress(requests.RequestException):
                    answer = requests.post(f"{member.url}/v3/kv/range", json=asked, timeout=5)
                    if answer.status_code == 200:
                        return next(({"value": base64.b64decode(found["value"]).decode(), "mod_revision": int(found["mod_revision"])}
                                     for found in answer.json().get("kvs", [])), None)
        return None

    def others(self):
        leader = self.leader()
        return [host for host in self.hosts if host is not leader]

    def stop(self):
        ended = [end for host in self.hosts for end in host.stop()]
        if self.inference.running():
            ended.append(("inference", self.inference.stop()))
        self.etcd.kill()
        return ended

    def close(self):
        ended = self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        return ended

    def logs(self):
        return "".join(f"\n=== {host.name}{host.logs()}" for host in self.hosts)


class UnloadWatch:
    """Whether a model has an inference between its unload and its next load, by the inference server's log of calls, of which it keeps
    the newest 10,000: look often enough."""

    def __init__(self, server):
        self.server = server
        self.unloaded = set()
        self.used = []

    def look(self):
        """Takes what is in the log. Returns the models that had one, ever since."""
        for call in self.server.request("DELETE", "/test/calls").json:
            parts = call["path"].split("/")
            if call["path"].endswith("/unload"):
                self.unloaded.add(parts[-2])
            elif call["path"].endswith("/load"):
                self.unloaded.discard(parts[-2])
            elif call["path"].endswith("/infer") and parts[-2] in self.unloaded:
                self.used.append(parts[-2])
        return self.used
