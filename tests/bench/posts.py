"""Durable posts against the same API in Lua and in FastAPI, both with a Redis that syncs each write. Nobody works on the tasks:
rolloutd holds them, the peers have no consumers."""

import pathlib
import shutil
import tempfile

from figures import cpu_figure, rates_figure, warm_pairs, with_cpu, wrk
from gateway import Client, Gateway
from processes import BUILD, NGINX, Process, children, free_port, use_build, wait_until, worker_user
from stand_in import API, answers

PEERS = pathlib.Path(__file__).parent / "peers"

POSTS = """
math.randomseed(os.time())
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  return wrk.format(nil, "/deploy", nil, '{"model_id":"m' .. math.random(1000) .. '","config":{"param":"value","batch":' .. math.random(100) .. '}}')
end
"""


class Redis(Process):
    def __init__(self, home):
        super().__init__(home, "redis")
        self.socket = home / "redis.sock"

    def start(self):
        self.launch(["redis-server", "--port", 0, "--unixsocket", self.socket, "--unixsocketperm", 777, "--dir", self.home,
                     "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", 0])
        wait_until(lambda: self.must_run() and self.socket.exists(), "Redis")
        return self


class Peer:
    """One of the peers, with a Redis of its own, in a folder on the same disk as rolloutd's journal."""

    def __init__(self, name):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-bench."))
        self.home.chmod(0o755)
        self.redis = Redis(self.home).start()
        self.port = free_port()
        self.process = Process(self.home, name)
        if name == "lua":
            conf = self.home / "lua.conf"
            conf.write_text((PEERS / "lua.conf").read_text().format(user=worker_user(), home=self.home, port=self.port,
                                                                    redis=self.redis.socket))
            self.process.launch([NGINX, "-c", conf, "-e", self.home / "lua-error.log", "-g", "daemon off;"])
        else:
            self.process.launch(["/usr/bin/python3", "-m", "uvicorn", "fastapi_app:app", "--app-dir", PEERS, "--host", "127.0.0.1", "--port",
                                 self.port, "--loop", "uvloop", "--http", "httptools", "--no-access-log",
                                 "--log-level", "warning"], {"REDIS_SOCKET": str(self.redis.socket)})
        wait_until(lambda: self.process.must_run() and answers(self.port), name)
        answer = Client(self.port).post("/deploy", {"model_id": "m", "config": {"param": "value"}})
        assert answer.status == 200 and answer.json["status"] == "pending", answer

    def pids(self):
        """All that a post goes through."""
        return [self.process.pid, *children(self.process.pid), self.redis.pid]

    def close(self):
        self.process.stop()
        self.redis.stop()
        shutil.rmtree(self.home)


def ours(workers=1, build=BUILD):
    gateway = Gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_queue": 10000000}},
                      nginx={"workers": workers, "zone": "1024m", "locations": API})  # of some million posts none has to leave it
    use_build(build, gateway.rolloutd, gateway.nginx)
    gateway.start()
    return gateway


def pids_of(gateway):
    return [gateway.rolloutd.pid, gateway.nginx.master_pid(), *gateway.nginx.worker_pids()]


def measure(options):
    script = options.folder / "posts.lua"
    script.write_text(POSTS)
    gateway, lua, fastapi = ours(), Peer("lua"), Peer("fastapi")

    def against(peer, connections):
        def load(port, pids):
            return with_cpu(lambda: wrk(f"http://127.0.0.1:{port}/", options.seconds, connections, script), pids)
        return warm_pairs(options.rounds, load(gateway.nginx.port, pids_of(gateway)), load(peer.port, peer.pids()))

    try:
        for connections, bound in ((256, 2), (64, 1.6)):
            pairs = against(lua, connections)
            yield rates_figure(f"durable POST /deploy, {connections} connections", "Lua with Redis", bound, pairs)
            yield cpu_figure(f"CPU time of that post, {connections} connections", "Lua with Redis", 0.4, pairs)
        yield rates_figure("durable POST /deploy, 64 connections", "FastAPI with Redis", None, against(fastapi, 64))
    finally:
        gateway.close()
        lua.close()
        fastapi.close()
