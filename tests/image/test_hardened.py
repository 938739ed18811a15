"""The image under a strict runtime: process 1, a root that cannot be written, no capabilities, and no network; with the folders that
docs/container.md mounts."""

import os
import re
import signal
import subprocess

import pytest
import yaml

from container import USER, descendants, name_of
from image import DOCKER, HERE, in_root
from processes import DEADLINE_S, ROOT, Process, children, wait_until


def documented_folders():
    """What the document's `docker run` mounts, with what it says goes with --read-only: folders in memory, and volumes."""
    text = (ROOT / "docs/container.md").read_text()
    options = " ".join([*re.findall(r"^docker run (.*)$", text, re.M), *re.findall(r"With `--read-only`, also pass\s+`([^`]*)`", text)])
    return re.findall(r"--tmpfs (/\S+)", options), re.findall(r"-v [a-z-]+:(/\S+)", options)


TMPFS, VOLUMES = documented_folders()
assert len(TMPFS) == 2 and len(VOLUMES) == 3


def is_process_1(pid):
    return status_of(pid).get("NSpid", "").split()[1:] == ["1"]


def status_of(pid):
    try:
        return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    except OSError:
        return {}


class Hardened(Process):
    def __init__(self, image, home):
        super().__init__(home, "hardened")
        # A runtime gives its container's user the output.
        self.log.touch()
        os.chown(self.log, USER, USER)
        self.launch(in_root("unshare", "--pid", "--net", "--fork", "--kill-child", "--mount", HERE / "hardened", image.root, USER,
                            " ".join(TMPFS), " ".join(VOLUMES), "ROLLOUT_PORT=8080", "gateway"))

    def init(self):
        """Its process 1. It does not end with its parent: with a change of user, the kernel forgets that it should."""
        return wait_until(lambda: self.must_run() and next(filter(is_process_1, descendants(self.pid)), None), "its first process")

    def run(self, *program):
        """Inside of it."""
        return subprocess.run(["nsenter", f"--target={self.init()}", "--mount", "--pid", "--net", f"--root=/proc/{self.init()}/root",
                               f"--setuid={USER}", f"--setgid={USER}", *program], capture_output=True, text=True, timeout=DEADLINE_S)


@pytest.fixture
def hardened(image, tmp_path):
    tmp_path.chmod(0o755)
    made = Hardened(image, tmp_path)
    yield made
    if made.running():
        os.kill(made.init(), signal.SIGKILL)
    made.end()


def test_it_runs_with_nothing_but_its_folders(hardened):
    wait_until(lambda: hardened.must_run() and hardened.run("rollout-health").returncode == 0, "its health")
    init = hardened.init()
    assert name_of(init) == "dumb-init"
    status = status_of(init)
    assert status["NSpid"].split()[-1] == "1" and status["Uid"].split() == [str(USER)] * 4
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16} and status["NoNewPrivs"] == "1"
    assert hardened.run("touch", "/etc/nginx/x").returncode != 0

    # It takes a task, though there is no server that it could go to.
    wait_until(lambda: hardened.run("rollout-health", "ready").returncode == 0, "its readiness")
    post = "POST /delete HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n" + '{"model_id": "m1"}'
    assert " 200 " in hardened.run("bash", "-c", 'exec 3<> /dev/tcp/127.0.0.1/8080; printf %s "$1" >&3; head -1 <&3', "bash", post).stdout

    # What loses its parent goes to the init, and does not stay when it has ended.
    hardened.run("bash", "-c", "sleep 1000 > /dev/null 2>&1 &")
    orphan = wait_until(lambda: [pid for pid in children(init) if name_of(pid) == "sleep"], "the orphan")[0]
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"), "its reaping")

    os.kill(init, signal.SIGTERM)
    assert hardened.wait() == 0, hardened.text()
    assert "rolloutd has stopped" in hardened.text()


def test_the_compositions_folders_are_these():
    """What compose.yaml mounts is enough for a root that cannot be written, and nothing stands in for the modes of the image's folders."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for service in ("nginx", "rolloutd"):
        assert services[service]["read_only"] is True
    assert {folder for one in ("nginx", "rolloutd") for folder in services[one]["tmpfs"]} == set(TMPFS)
    named = {folder.split(":")[1] for one in ("nginx", "rolloutd") for folder in services[one]["volumes"] if not folder.endswith(":ro")}
    assert named == set(VOLUMES)
