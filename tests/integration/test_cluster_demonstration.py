"""conf/cluster: what it shows is so; it says what it could not show; and however it ends, nothing of it runs on."""

import json
import re
import signal
import subprocess

import pytest

from demonstrations import Demonstration
from processes import DEADLINE_S

STEPS = ["1", "2", "3", "4", "5"]


@pytest.fixture
def cluster():
    """Starts it; each is ended with the test."""
    made = []

    def start(*arguments, **settings):
        made.append(Demonstration("cluster", *arguments, **settings))
        return made[-1]
    yield start
    for one in made:
        one.close()


def test_the_leader_is_killed_in_a_rollout_and_nobody_notices(cluster):
    shown = cluster("--once")
    assert shown.await_end() == 0, shown.text
    said = shown.text
    assert re.findall(r"^== (\d)\.", said, re.M) == STEPS
    killed, = re.findall(r"^\$ kill -9 \d+    # rolloutd of (gateway-\d), the leader$", said, re.M)
    leads, = re.findall(r"^(gateway-\d) leads now", said, re.M)
    assert leads != killed
    before, after = said.split(f"{leads} leads now")
    assert re.search(r"^in_progress, \d+%, shift: Revision 2 has 25 % ", after, re.M) and "Revision 2 has 25 %" not in before
    assert re.search(r"^completed, 100%, \w+: Revision 2 serves all traffic", after, re.M)
    assert re.findall(r"^(gateway-\d): \d+ answers, [1-9]\d* by revision 1, [1-9]\d* by revision 2$", said, re.M) == ["gateway-1", "gateway-2", "gateway-3"]
    assert len(re.findall(r"^[1-9]\d+ requests answered, 0 failed$", said, re.M)) == 3
    assert said.rstrip().endswith("Everything that was started is stopped, and its folder is removed.")
    assert shown.folders() == []


def test_it_stays_up_for_its_user_until_control_c(cluster):
    shown = cluster()
    shown.await_words("Logs and configurations are in ")
    # Each line that it gives for a gateway works.
    lines = re.findall(r"^  (curl .*)$", shown.text, re.M)
    answers = [subprocess.run(line, shell=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout for line in lines]
    assert len(answers) == 7
    for status, inference in (answers[0:2], answers[2:4], answers[4:6]):
        assert json.loads(status)["status"] == "completed"
        assert inference.startswith("HTTP/1.1 200 OK") and "X-Rollout-Revision: " in inference
    assert json.loads(answers[6])["status"] in ("pending", "in_progress")
    assert len(re.findall(r"^  kill -9 \d+    # rolloutd of gateway-\d; to start it again: /\S+ --config /\S+$", shown.text, re.M)) == 3
    shown.child.sendintr()
    assert shown.await_end() == 0
    assert shown.folders() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["control-c", "term", "hangup"])
def test_a_signal_ends_all_of_it(cluster, number):
    shown = cluster("--once")
    shown.await_words("== 1.")
    assert len([line for line in shown.processes().values() if "etcd --name" in line]) == 3
    if number == signal.SIGINT:
        shown.child.sendintr()  # to all of its processes, as a terminal does
    else:
        shown.child.kill(number)
    assert shown.await_end() == 128 + number
    assert "Done." not in shown.text and shown.folders() == []


def test_after_a_failure_it_says_where_to_look(cluster):
    shown = cluster("--once", nginx="/bin/false")
    assert shown.await_end() == 1
    assert "cluster: gateway-1-nginx ended with status 1" in shown.text and "Done." not in shown.text
    folder, = shown.folders()
    assert str(folder) in shown.text
    logs = re.findall(r"^  (\S+\.log)$", shown.text, re.M)
    assert "etcd-1.log" in logs and "gateway-1-rolloutd.log" in logs and all((folder / log).exists() for log in logs)


def test_an_unknown_argument_gets_the_usage(cluster):
    shown = cluster("--twice")
    assert shown.await_end() == 2
    assert "usage: ./conf/cluster [--once]" in shown.text
