"""docker/rollout-gateway with programs of the test's in the places of nginx and rolloutd: signals that come while they start."""

import os
import signal

import pytest

from image import DOCKER
from processes import Process, wait_until

# It takes no signal yet. One that waits is there for it to take; one that does not ends it.
NGINX = """#!/usr/bin/python3
import signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
open("nginx", "w").close()
until = time.monotonic() + 60
while signal.SIGQUIT not in signal.sigpending() and time.monotonic() < until:
    time.sleep(0.01)
"""

ROLLOUTD = """#!/bin/sh
: > rolloutd
exec sleep 60
"""


@pytest.fixture
def starting(tmp_path):
    """A gateway whose programs run, and have not come to their signals."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"nginx": NGINX, "rolloutd": ROLLOUTD}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    made = Process(tmp_path, "gateway")
    made.launch(["env", "-C", tmp_path, DOCKER / "rollout-gateway", "none"], {"PATH": f"{programs}:{os.environ['PATH']}"})
    wait_until(lambda: made.must_run() and (tmp_path / "nginx").exists() and (tmp_path / "rolloutd").exists(), "its programs")
    yield made
    made.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT], ids=["term", "quit", "int"])
def test_an_end_is_not_lost(starting, number):
    assert (starting.stop(number), starting.text()) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2], ids=["hup", "usr1", "usr2"])
def test_what_is_not_an_end_ends_nothing(starting, number):
    starting.send_signal(number)
    assert (starting.stop(), starting.text()) == (0, "")
