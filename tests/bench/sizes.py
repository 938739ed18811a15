"""What a great many tasks cost: memory in the zone and in rolloutd, the start of rolloutd, and the way back into an empty table."""

import subprocess
import time

from figures import Figure, resident_kib, timed
from gateway import Client, Gateway
from journals import DOCUMENT_BYTES, dump, fill
from processes import BUILD, wait_until


def bytes_for_a_task(models):
    said = subprocess.run([BUILD / "tests/bench/zone_memory", str(DOCUMENT_BYTES), str(models)], capture_output=True, text=True, check=True)
    return float(said.stdout.split()[1])


def zone(options):
    yield Figure(f"the zone's bytes for a task whose document is {DOCUMENT_BYTES}", "bytes", 700, False, [bytes_for_a_task(1000)],
                 "1,000 models, with all that the table holds besides")


def refill(options):
    """After nginx's restart, and what is served meanwhile."""
    many = options.tasks
    gateway = Gateway(nginx={"workers": 1, "zone": f"{max(many // 1250, 8)}m"},
                      rolloutd={"limits": {"max_deployed_models": 1000}})
    try:
        fill(gateway.rolloutd, many)
        gateway.inference.start()
        gateway.rolloutd.start()
        gateway.nginx.start()
        gateway.make_model("served", "answer")
        gateway.deploy("served")
        ratios, firsts, notes = [], [], []
        for _ in range(options.rounds):
            gateway.nginx.stop()
            (gateway.home / "error.log").write_text("")
            began = time.monotonic()
            gateway.nginx.start()
            wait_until(lambda: gateway.infer("served") == "answer", "an inference")
            first = time.monotonic() - began
            was_before = "holds all tasks" not in gateway.nginx.errors()
            wait_until(lambda: "holds all tasks" in gateway.nginx.errors(), "all tasks", 600)
            took = time.monotonic() - began
            dumped, _ = timed(lambda: dump(gateway.rolloutd.journal, gateway.home / "rows.txt"))
            ratios.append(took / dumped)
            firsts.append(first / took)
            notes.append(f"{took:.1f} s and {dumped:.1f} s; an inference after {first:.2f} s")
            assert was_before or many < 100000, "the routes came after the tasks"
        yield Figure(f"an empty table refilled with {many:,} tasks", "sqlite3 reading the rows into a file", 3, False, ratios, notes[-1])
    finally:
        gateway.close()


def daemon(options):
    """rolloutd alone: its start, to the first accepted post, and its memory."""
    many = options.tasks
    gateways = {count: Gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0}}, nginx={"workers": 1, "zone": "8m"})
                for count in (1000, many)}
    try:
        times = {}
        for count, gateway in gateways.items():
            fill(gateway.rolloutd, count)
            gateway.nginx.start()
            times[count] = []
            for _ in range(options.rounds):
                def accepted():
                    gateway.rolloutd.start(wait=False)
                    client = Client(gateway.nginx.port)
                    wait_until(lambda: client.post("/deploy", {"model_id": "m"}).status == 200, "an accepted post", 600)
                times[count].append(timed(accepted)[0])
                gateway.rolloutd.stop()
        yield Figure(f"seconds from rolloutd's start to the first accepted post, {many:,} tasks", "seconds", 1, False, times[many],
                     f"with 1,000 tasks {sorted(times[1000])[len(times[1000]) // 2]:.2f} s")
        gateway = gateways[many]
        gateway.rolloutd.start()
        wait_until(lambda: "is full" in gateway.nginx.errors() or "holds all tasks" in gateway.nginx.errors(), "the table", 600)
        yield Figure(f"rolloutd's memory in MiB with {many:,} tasks", "MiB", 64, False, [resident_kib(gateway.rolloutd.pid) / 1024],
                     "after its gateway was filled")
    finally:
        for gateway in gateways.values():
            gateway.close()
