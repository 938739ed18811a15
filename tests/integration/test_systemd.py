"""rolloutd by its unit under the real systemd: in its sandbox, reloaded, restarted, and ended."""

import json
import os
import pathlib
import re
import shutil
import signal
import tarfile

import pytest

from ending import finish
from gateway import AT_ONCE, Gateway
from processes import ROOT, wait_until
from real_systemd import USER, ServiceRolloutd, obstacle


class ServedGateway(Gateway):
    """Its rolloutd is a service."""

    ends_with = 0  # or systemd's word for it

    def __init__(self, more=""):
        super().__init__()
        self.rolloutd = ServiceRolloutd(self.home, self.inference.port, more)
        self.nginx.pieces["socket"] = self.rolloutd.socket
        self.inference.repository = self.home / "state/repository"

    def configure(self, **members):
        self.rolloutd.config = json.dumps({**json.loads(self.rolloutd.config), **members})

    def start(self):
        self.rolloutd.start()  # its folders are there then
        self.inference.start()
        self.nginx.start()
        self.await_link()
        return self


@pytest.fixture
def serve(request, tmp_path):
    if why := obstacle(tmp_path / "groups"):
        pytest.skip(f"systemd cannot run here: {why}")
    made = []

    def make(more=""):
        made.append(ServedGateway(more))
        return made[-1]

    yield make
    for gateway in made:
        status = gateway.rolloutd.close() if gateway.rolloutd.manager.running() else gateway.ends_with
        finish(request, gateway)
        assert status == gateway.ends_with


def program(gateway, name, *lines):
    """A program of an operator's, as rolloutd is to call it."""
    file = gateway.home / name
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)
    return f"/srv/{name}"


def test_rolloutd_does_its_work_inside_of_the_sandbox(serve):
    gateway = serve()
    # A hook that finds the sandbox open refuses.
    hook = program(gateway, "hook", "cat > /tmp/asked || exit 1", "echo asked >> /var/lib/rollout/asked",
                   "chmod u+s /tmp/asked && exit 2", "touch /srv/anyones/written && exit 3",
                   "nice -n 5 true 2>&1 | grep -q 'not permitted' || exit 4",  # which anybody may, but for the filter of system calls
                   "perl -MSocket -e 'exit(socket(my $netlink, 16, SOCK_RAW, 0) ? 1 : 0)' || exit 5", "exit 0")
    (gateway.home / "anyones").mkdir()
    (gateway.home / "anyones").chmod(0o777)
    serve_model = program(gateway, "serve-model", "cat > /tmp/asked")
    backends = json.loads(gateway.rolloutd.config)["backends"]
    gateway.configure(
        backends={**backends, "driven": {"type": "command", "command": [serve_model], "upstream": "inference", "staging": "/var/lib/rollout/driven"}},
        rollout={"drain_s": 20, "hooks": {"before_shift": [{"command": [hook]}]}})
    gateway.start()
    status = dict(re.findall(r"^(\w+):\s+(.*)$", pathlib.Path(f"/proc/{gateway.rolloutd.pid}/status").read_text(), re.M))
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1" and int(status["CapBnd"], 16) == 0

    gateway.serve_blue("m")
    assert gateway.infer("m") == "blue"
    gateway.deploy("m")
    assert gateway.infer("m") == "green"
    assert (gateway.home / "state/asked").read_text() == "asked\n" * 2
    gateway.delete("m")
    assert not list(gateway.inference.repository.iterdir())
    gateway.deploy("m", backend="driven")
    gateway.delete("m")
    with tarfile.open(gateway.home / "models/packed.tar.gz", "w:gz") as archive:
        archive.add(gateway.home / "models/m", "m")
    gateway.deploy("m", source="file:///srv/models/packed.tar.gz")
    assert gateway.infer("m") == "green"


def test_a_repository_elsewhere_is_reached_as_the_unit_advises(serve):
    advice = re.search(r"^# .*(ReadWritePaths=.*)$", (ROOT / "conf/rolloutd.service").read_text(), re.M)[1]
    assert advice in (ROOT / "docs/install.md").read_text()
    gateway = serve(f"{advice}\n")
    gateway.inference.repository = gateway.home / "triton/repository"
    gateway.inference.repository.mkdir(parents=True)
    for folder in (gateway.inference.repository, gateway.inference.repository.parent):
        shutil.chown(folder, USER)
    backend = json.loads(gateway.rolloutd.config)["backends"]["default"]
    gateway.configure(backends={"default": {**backend, "repository": "/srv/triton/repository"}})
    gateway.start()
    gateway.serve_blue("m")
    gateway.deploy("m", rollout=AT_ONCE)
    assert gateway.infer("m") == "green"
    gateway.delete("m")


def test_a_reload_has_the_file_read_again_and_a_faulty_one_is_refused(serve):
    gateway = serve().start()
    gateway.configure(limits={"max_deployed_models": 0})
    gateway.rolloutd.write(gateway.rolloutd.config)
    assert gateway.rolloutd.manager.systemctl("reload", "rolloutd").returncode == 0
    wait_until(lambda: "The configuration was reloaded" in gateway.rolloutd.text(), "the line in the log")
    gateway.make_model("m", "first")
    gateway.deploy("m", "refused")

    gateway.rolloutd.write("{}")
    assert gateway.rolloutd.manager.systemctl("reload", "rolloutd").returncode != 0
    assert "/backends" in gateway.rolloutd.text()
    assert gateway.rolloutd.manager.property("ActiveState") == "active" and restarts(gateway) == 0
    gateway.deploy("m", "refused")


# Restarts.

def state(gateway):
    return gateway.rolloutd.manager.property("ActiveState"), gateway.rolloutd.manager.property("Result")


def restarts(gateway):
    return int(gateway.rolloutd.manager.property("NRestarts"))


def start_fails(gateway):
    with pytest.raises(AssertionError):
        gateway.rolloutd.start()


@pytest.mark.parametrize("spoil, words", [
    (lambda gateway: gateway.configure(colour="red"), "/colour"),
    (lambda gateway: gateway.rolloutd.journal.write_text("dear diary, " * 1000), "file is not a database"),
], ids=["configuration", "journal"])
def test_what_only_a_person_can_mend_is_not_tried_again(serve, spoil, words):
    gateway = serve()
    gateway.ends_with = "exit-code"
    gateway.rolloutd.journal.parent.mkdir()
    spoil(gateway)
    start_fails(gateway)
    wait_until(lambda: state(gateway) == ("failed", "exit-code"), "the end of it")
    assert restarts(gateway) == 0 and gateway.rolloutd.manager.property("ExecMainStatus") == "78"
    assert words in gateway.rolloutd.text()


def test_what_may_pass_is_tried_until_it_has(serve):
    """More often than systemd's own limit, five starts in ten seconds."""
    gateway = serve("RestartSec=100ms\n")
    lock = gateway.home / "state/journal.db.lock"
    lock.mkdir(parents=True)  # the journal cannot be opened
    start_fails(gateway)
    wait_until(lambda: restarts(gateway) > 7, "more starts")
    lock.rmdir()
    wait_until(lambda: state(gateway) == ("active", "success"), "a start")
    gateway.rolloutd.await_socket()


def test_it_is_started_again_after_a_crash_and_goes_on(serve):
    gateway = serve().start()
    gateway.make_model("m", "first")
    task = gateway.start_deployment("m", steps=[{"weight": 100, "hold_s": 0}])
    os.kill(gateway.rolloutd.pid, signal.SIGKILL)
    wait_until(lambda: restarts(gateway) == 1 and state(gateway) == ("active", "success"), "its restart")
    gateway.wait(task, status="completed")
    assert gateway.infer("m") == "first"


def test_a_hook_hears_of_the_end_from_rolloutd_alone_and_is_asked_again(serve):
    gateway = serve()
    hook = program(gateway, "hook", "cat > /dev/null", "trap 'echo told >> /var/lib/rollout/told' TERM",
                   "[ ! -e /var/lib/rollout/asked ] || exit 0", "touch /var/lib/rollout/asked",
                   "while [ ! -e /var/lib/rollout/go-on ]; do sleep 0.05; done", "exit 1")
    gateway.configure(rollout={"hooks": {"before_shift": [{"command": [hook]}]}})
    gateway.start()
    gateway.make_model("m", "first")
    task = gateway.start_deployment("m")
    wait_until((gateway.home / "state/asked").exists, "the hook's call")
    assert gateway.rolloutd.stop() == 0
    assert (gateway.home / "state/told").read_text() == "told\n"
    gateway.rolloutd.start()
    gateway.wait(task, status="completed")
