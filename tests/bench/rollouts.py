"""Whole rollouts on an inference server that takes no time of its own: what the journal costs, and how near many of them side by
side come to the ideal."""

import http.client
import json
import pathlib
import re
import signal
import subprocess
import time

from figures import Figure
from gateway import Gateway
from processes import BUILD, Process, free_port, use_build, wait_until
from stand_in import answers

LOAD_MS = 50
SIDE_BY_SIDE = 16
CLIENTS = 16


class InstantServer(Process):
    def __init__(self, home, load_ms):
        super().__init__(home, "inference")
        self.port = free_port()
        self.load_ms = load_ms

    def start(self):
        self.launch(["/usr/bin/python3", pathlib.Path(__file__).parent / "instant_server.py", self.port, self.load_ms])
        wait_until(lambda: self.must_run() and answers(self.port), "the inference server")
        return self


def gateway_of(load_ms, build=BUILD, **limits):
    gateway = Gateway(rolloutd={"limits": {"max_deployed_models": 100000, **limits},
                                "artifacts": {"source": "file:///nothing"}}, nginx={"workers": 1, "zone": "64m"})
    use_build(build, gateway.rolloutd, gateway.nginx)
    gateway.inference = InstantServer(gateway.home, load_ms)
    (gateway.home / "repository").mkdir()
    source = gateway.home / "models/m"
    (source / "1").mkdir(parents=True)
    (source / "1/model.onnx").write_bytes(b"x" * 1000)
    gateway.rolloutd.config["artifacts"] = {"source": f"file://{source}", "allow": [f"file://{gateway.home}/models/"]}
    gateway.rolloutd.config["backends"]["default"]["url"] = f"http://127.0.0.1:{gateway.inference.port}"
    return gateway.start()


def syncs_of_a_rollout(gateway, trace):
    """How often rolloutd syncs its journal from a second deployment's post to its end, as strace counts."""
    gateway.deploy("m")
    tracer = subprocess.Popen(["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(gateway.rolloutd.pid)],
                              stderr=subprocess.PIPE, text=True)
    tracer.stderr.readline()  # "attached"
    gateway.deploy("m")
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    return len(re.findall(r"f(?:data)?sync\(\d+<[^>]*journal\.db[^>]*>", trace.read_text()))


def ask_all(port, requests):
    """The documents that answer these requests, CLIENTS at a time: connections that stay open, and no more Python than that."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=300) for _ in range(CLIENTS)]
    documents = []
    for begin in range(0, len(requests), CLIENTS):
        asked = list(zip(connections, requests[begin:begin + CLIENTS]))
        for connection, (method, path, body) in asked:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        for connection, _ in asked:
            with connection.getresponse() as answer:
                said = answer.read()
                assert answer.status in (200, 202), said
                documents.append(json.loads(said))
    for connection in connections:
        connection.close()
    return documents


def deploy_all(gateway, count):
    """Seconds from the first post to the end of the last deployment."""
    began = time.monotonic()
    ask_all(gateway.port, [("POST", "/deploy", json.dumps({"model_id": f"m{number}"})) for number in range(count)])
    for task in ask_all(gateway.port, [("GET", f"/deploy-status/m{number}?wait=300", None) for number in range(count)]):
        assert task["status"] == "completed", json.dumps(task)
    return time.monotonic() - began


def measure(options):
    gateway = gateway_of(0, max_concurrent_rollouts=4)
    try:
        counts = [syncs_of_a_rollout(gateway, options.folder / "syncs.txt") for _ in range(min(options.rounds, 3))]
        yield Figure("journal syncs of a whole rollout that replaces a model", "syncs", 12, False, counts, "from its post to its end")
    finally:
        gateway.close()

    count = options.rollouts
    ideal = count * LOAD_MS / 1000 / SIDE_BY_SIDE
    times, gateways = [], []
    try:
        for _ in range(min(options.rounds, 3)):
            gateways.append(gateway_of(LOAD_MS, max_concurrent_rollouts=SIDE_BY_SIDE))
            times.append(deploy_all(gateways[-1], count))
            gateways[-1].stop()
    finally:
        for gateway in gateways:
            gateway.close()  # all behind the last: for minutes ext4 looks for a new folder's place among those just removed
    yield Figure(f"{count:,} models deployed, {SIDE_BY_SIDE} side by side, {LOAD_MS} ms a load", f"the ideal, {ideal:.2f} s", 1.2, False,
                 [took / ideal for took in times], f"{sorted(times)[len(times) // 2]:.2f} s")
