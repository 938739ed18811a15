"""The gateway image at work: what is in it, a model's life through it, health, signals, and a process of it that dies."""

import os
import pathlib
import re
import signal
import socket
import threading

import pytest

from gateway import AT_ONCE, Client, Traffic
from image import BASE, digest
from processes import DEADLINE_S, alive, wait_until

# What the image adds to its base: nginx, rolloutd, their libraries, certificates and the init.
MOST_ADDED_MB = 70


def test_it_is_small_and_runs_as_a_user_of_its_own(image):
    added = image.size() - image.size(BASE)
    print(f"the image has {image.size()} MB, {added} MB more than its base")
    assert 0 < added < MOST_ADDED_MB
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", image.config["User"]), "numeric, or Kubernetes cannot tell that it is not root"
    assert image.config["Healthcheck"]["Test"] == ["CMD", "rollout-health"]
    for path in ("usr/bin/gcc", "usr/bin/c++", "usr/bin/make", "usr/bin/cmake", "usr/include/stdio.h", "src", "build", "out", "nginx"):
        assert not (image.root / path).exists(), path
    for folder in ("var/lib/apt/lists", "var/cache/apt", "etc/nginx/conf.d", "tmp"):
        assert list((image.root / folder).iterdir()) == [], folder


def test_a_kept_image_is_of_these_sources(tmp_path):
    """What goes to its build makes another one of it, and nothing else does."""
    (tmp_path / ".dockerignore").write_text("# nothing else\n*\n!docker\n!LICENSE\ndocker/models\ndocker/*.yaml\n")
    (tmp_path / "docker/models").mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "docker/Dockerfile").write_text("FROM scratch")
    first = digest(tmp_path)
    for path in ("docker/models/model.onnx", "docker/compose.yaml", "TODO"):
        (tmp_path / path).write_text("not the image's")
    assert digest(tmp_path) == first
    for path in ("docker/Dockerfile", "docker/new", "LICENSE"):
        (tmp_path / path).write_text("something else")
        assert digest(tmp_path) != first
        first = digest(tmp_path)


def test_nothing_in_it_can_become_root(image):
    owned = [path for path in (image.root / "usr/bin").iterdir() if path.name.startswith("rollout")] + [image.root / "usr/sbin/rolloutd"]
    assert len(owned) == 5
    for path in owned:
        status = path.stat()
        assert status.st_uid == 0 and not status.st_mode & 0o022, path


@pytest.mark.parametrize("containers", [2, 1])
def test_a_model_is_deployed_replaced_and_deleted(make_containers, containers):
    gateway = make_containers(containers=containers).start()
    gateway.make_model("m", "first")
    gateway.deploy("m")
    assert gateway.infer("m") == "first"
    assert gateway.loaded() == gateway.files() == ["m__r1"]

    if pathlib.Path("/proc/net/if_inet6").exists() and "00000000000000000000000000000001" in pathlib.Path("/proc/net/if_inet6").read_text():
        with socket.create_connection(("::1", gateway.nginx.port), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")

    gateway.make_model("m", "second")
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("first")
        gateway.deploy("m", rollout=AT_ONCE)
        traffic.await_answers("second")
    assert traffic.failures == [] and set(traffic.answers) == {"first", "second"}
    assert gateway.loaded() == gateway.files() == ["m__r2"]

    gateway.delete("m")
    assert gateway.infer("m") is None
    gateway.last.problem(404)
    assert gateway.loaded() == gateway.files() == [] and gateway.violations() == []
    # Who asked, and who answered, is on the standard output.
    assert re.search(r'127\.0\.0\.1 \[.*\] "POST /v2/models/m/infer HTTP/1\.1" 200 [0-9.]+ blue m__r2$', gateway.nginx.text(), re.M)
    assert [line for line in gateway.rolloutd.lines() if line.get("audit") == "delete"]


ROLLOUTD_JSON = """{
  "listen": {"path": "/run/rollout/mine.sock", "mode": "0660"},
  "journal": {"path": "/var/lib/rollout/mine.db"},
  "artifacts": {"source": "file:///srv/models/{model_id}"},
  "backends": {"default": {"url": "http://INFERENCE", "upstream": "inference", "repository": "/models/repository",
                           "model_name": "{model_id}-mine-{revision}"}}
}"""


@pytest.mark.parametrize("path", ["/etc/rollout/rolloutd.json", "/etc/rollout/templates/rolloutd.json.template"])
def test_a_model_is_deployed_by_a_rolloutd_json_of_the_operators(make_containers, tmp_path, path):
    """As it is, or rendered; its socket is told to the health check and to nginx by the variable."""
    folder, name = os.path.split(path)
    tmp_path.chmod(0o755)
    gateway = make_containers(containers=1, environment={"ROLLOUT_SOCKET": "/run/rollout/mine.sock"}, volumes={folder: tmp_path})
    server = "${ROLLOUT_INFERENCE}" if name.endswith(".template") else f"127.0.0.1:{gateway.inference.port}"
    (tmp_path / name).write_text(ROLLOUTD_JSON.replace("INFERENCE", server))
    gateway.start()
    gateway.make_model("m", "here")
    gateway.deploy("m")
    assert gateway.infer("m") == "here"
    assert gateway.loaded() == gateway.files() == ["m-mine-1"]
    assert (gateway.home / "state/mine.db").exists()
    assert gateway.rolloutd.health() == (0, "")


def test_write_routes_are_closed_to_others(make_containers):
    gateway = make_containers(containers=1).start()
    stranger = Client(gateway.port, source="127.0.0.2")
    for path in ("/deploy", "/delete"):
        stranger.post(path, {"model_id": "m"}).problem(403)
    stranger.get("/models").problem(403)
    assert stranger.get("/metrics").status == 403 and gateway.get("/metrics").status == 200
    assert stranger.get("/healthz").status == 200
    assert stranger.get("/v2/repository/index").status == 404


def test_write_routes_are_open_to_whom_the_environment_names(make_containers):
    gateway = make_containers(containers=1, environment={"ROLLOUT_ALLOW": "192.0.2.0/24 127.0.0.2", "ROLLOUT_METRICS_ALLOW": "127.0.0.3"}).start()
    for source, tasks, metrics in (("127.0.0.2", 200, 403), ("127.0.0.3", 403, 200)):
        client = Client(gateway.port, source=source)
        assert (client.get("/models").status, client.get("/metrics").status) == (tasks, metrics)


# Health.

def test_health_says_what_is_wrong(make_containers):
    gateway = make_containers()
    gateway.inference.start()
    gateway.nginx.start()
    wait_until(lambda: gateway.nginx.health("nginx") == (0, ""), "nginx's health")
    status, words = gateway.nginx.health("ready")
    assert status == 1 and "GET /readyz" in words and "503" in words, words
    status, words = gateway.rolloutd.health("rolloutd")
    assert status == 1 and words.startswith("rolloutd does not take connections on /run/rollout/rolloutd.sock"), words

    gateway.rolloutd.start()
    gateway.await_link()
    wait_until(lambda: gateway.nginx.health("ready") == (0, ""), "readiness")
    logged = gateway.rolloutd.text()
    assert gateway.rolloutd.health() == (0, "")
    assert gateway.rolloutd.text() == logged, "a log of health checks hides all else"

    (pid,) = gateway.rolloutd.processes()["rolloutd"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert gateway.rolloutd.health() == (1, "no answer within 3 s")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert gateway.rolloutd.health() == (0, "")
    assert [line for line in gateway.rolloutd.lines() if line["level"] in ("error", "warning")] == []

    gateway.nginx.stop()
    status, words = gateway.nginx.health("nginx")
    assert status == 1 and words.startswith(f"nginx does not take connections on port {gateway.port}"), words


# The end.

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT], ids=["term", "quit", "int"])
@pytest.mark.parametrize("containers", [2, 1])
def test_requests_are_finished_when_it_ends(make_containers, containers, number):
    gateway = make_containers(containers=containers).start()
    gateway.make_model("m", "slow", faults=[{"kind": "slow_infer", "ms": 1500}])
    gateway.deploy("m")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(gateway.infer("m")))
    asking.start()
    wait_until(lambda: gateway.server.get("/test/models").json["m__r1"]["inflight"] == 1, "the request under way")
    statuses = [gateway.nginx.stop(number), gateway.rolloutd.stop(number)]
    asking.join(DEADLINE_S)
    assert answers == ["slow"]
    assert statuses == [0, 0]


def test_logs_are_opened_anew_and_no_other_signal_ends_it(make_containers):
    gateway = make_containers(containers=1).start()
    before = gateway.nginx.processes()
    gateway.nginx.send_signal(signal.SIGUSR2)
    gateway.nginx.send_signal(signal.SIGUSR1)
    wait_until(lambda: gateway.nginx.must_run() and "reopening logs" in gateway.nginx.text(), "nginx's logs")
    assert gateway.nginx.processes() == before
    assert gateway.get("/healthz").status == 200


# A process that dies.

def test_rolloutd_is_started_again_and_nobody_notices(make_containers):
    gateway = make_containers(containers=1).start()
    gateway.make_model("m", "here")
    gateway.deploy("m")
    (before,) = gateway.rolloutd.processes()["rolloutd"]
    # One that ends at the start ends the container: that time must be over.
    wait_until(lambda: age_s(before) > 5, "rolloutd's first seconds")
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("here")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: gateway.rolloutd.processes().get("rolloutd", [before]) != [before], "another rolloutd")
        gateway.await_link()
        gateway.make_model("m", "there")
        gateway.deploy("m", rollout=AT_ONCE)
        traffic.await_answers("there")
    assert traffic.failures == []
    assert "rollout: rolloutd ended with status 137; nginx routes on, and rolloutd is started again in 1 s" in gateway.nginx.text()


def age_s(pid):
    with open(f"/proc/{pid}/stat") as stat, open("/proc/uptime") as uptime:
        return float(uptime.read().split()[0]) - int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def test_the_container_ends_with_its_nginx(make_containers):
    gateway = make_containers(containers=1).start()
    rolloutd = gateway.rolloutd.processes()["rolloutd"][0]
    nginx = gateway.nginx.processes()["nginx"]
    (master,) = [pid for pid in nginx if open(f"/proc/{pid}/cmdline").read().startswith("nginx: master")]
    os.kill(master, signal.SIGKILL)
    assert gateway.nginx.wait() == 137
    assert not alive(rolloutd)
    assert "rollout: nginx ended with status 137, and so does the container" in gateway.nginx.text()
    for pid in set(nginx) - {master}:
        os.kill(pid, signal.SIGKILL)  # an end of a container's process 1 ends all of it, where processes are its own


def test_a_rolloutd_that_cannot_start_ends_the_container(make_containers):
    gateway = make_containers(containers=1)
    (gateway.home / "state/journal.db").write_text("no journal" * 1000)
    gateway.nginx.start()
    assert gateway.nginx.wait() == 1
    assert "rollout: rolloutd ended with status 1 at the start, and so does the container" in gateway.nginx.text()
    assert (gateway.home / "state/journal.db").read_text() == "no journal" * 1000


def test_a_hangup_reads_the_configuration_again(make_containers):
    gateway = make_containers(containers=1).start()
    workers = set(gateway.nginx.processes()["nginx"])
    gateway.nginx.send_signal(signal.SIGHUP)
    wait_until(lambda: "The configuration was reloaded" in gateway.rolloutd.text(), "rolloutd's reading")
    wait_until(lambda: len(set(gateway.nginx.processes().get("nginx", [])) & workers) == 1, "nginx's other workers")
    gateway.await_link()
