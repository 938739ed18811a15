"""Hooks of both kinds, asked by the real rolloutd: an HTTP server of the test's, and a program."""

import http.server
import json
import signal
import threading

import pytest

NAMES = ("before_stage", "before_shift", "before_promote", "after_promote", "after_rollback")


class Hooks:
    """Answers the hooks' calls, and keeps what they said."""

    def __init__(self):
        self.asked = []
        self.answers = {}  # by the hook's name: answers to come, each a status and a body
        hooks = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hooks.asked.append(body)
                planned = hooks.answers.get(body["hook"])
                status, words = planned.pop(0) if planned else (204, "")
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def names(self):
        return [one["hook"] for one in self.asked]


@pytest.fixture
def hooks():
    made = Hooks()
    yield made
    made.close()


@pytest.fixture
def hooked(make_gateway, hooks):
    """A gateway whose hooks all go to the URL, and then to a program that fails as `refusal` says while that file is there."""
    gateway = make_gateway()
    program = gateway.home / "hook"
    program.write_text('#!/bin/sh\ncat >> "$1/seen"\n[ ! -f "$1/refusal" ] || { cat "$1/refusal" >&2; exit 9; }\n')
    program.chmod(0o755)
    gateway.rolloutd.config["limits"] = {"retries": 2}
    gateway.rolloutd.config["rollout"]["hooks"] = {
        name: [{"url": hooks.url}, {"command": [str(program), str(gateway.home)], "timeout_s": 30}] for name in NAMES}
    return gateway.start()


def test_hooks_are_asked_and_told_in_their_order(hooked, hooks):
    hooked.make_model("m", "x")
    task = hooked.deploy("m", param="value")
    assert hooks.names() == ["before_stage", "before_shift", "before_promote", "after_promote"]
    assert hooks.asked[1] == {"hook": "before_shift", "task_id": task["task_id"], "model_id": "m", "revision": 1, "kind": "deploy",
                              "backend": "default", "model": "m__r1", "config": {"param": "value"}}
    seen = [json.loads(line) for line in (hooked.home / "seen").read_text().splitlines()]
    assert seen == hooks.asked


def test_a_program_inherits_nothing_but_its_standard_streams(hooked, hooks):
    """Neither rolloutd's connection to the inference server, nor what libcurl has opened for itself."""
    (hooked.home / "hook").write_text('#!/bin/sh\nls -l /proc/self/fd >> "$1/descriptors"\n')
    hooked.make_model("m", "x")
    hooked.deploy("m")
    lines = [line for line in (hooked.home / "descriptors").read_text().splitlines() if " -> " in line]
    found = [tuple(line.rsplit(" ", 3)[1::2]) for line in lines]
    assert len(found) >= 4 * len(("before_stage", "before_shift", "before_promote", "after_promote"))
    more = [(number, target) for number, target in found if int(number) > 2]
    assert all(target.startswith("/proc/") for _, target in more), more  # that folder itself


def test_a_refusal_by_a_url_rolls_back_with_its_words(hooked, hooks):
    hooked.make_model("m", "blue")
    hooked.deploy("m")
    hooked.make_model("m", "green")
    hooks.answers["before_promote"] = [(403, '{"error": "not on a Friday"}')]
    task = hooked.deploy("m", "failed")
    assert "Step shift failed: the hook before_promote at 127.0.0.1:" in task["detail"]
    assert "refused: HTTP 403, not on a Friday." in task["detail"] and "secret-path" not in task["detail"]
    assert hooked.infer("m") == "blue"
    assert hooks.names()[-1] == "after_rollback"
    assert hooked.loaded() == hooked.files() == ["m__r1"]


def test_a_refusal_by_a_program_rolls_back_with_its_words(hooked, hooks):
    hooked.make_model("m", "x")
    (hooked.home / "refusal").write_text("the licence has\nrun out")
    task = hooked.deploy("m", "failed")
    assert f"the hook before_stage ({hooked.home}/hook) refused: exit status 9, the licence has run out." in task["detail"]
    assert hooked.loaded() == hooked.files() == []
    rollback = next(step for step in task["metadata"]["steps"] if step["name"] == "rollback")
    assert rollback["state"] == "done" and "the hook after_rollback" in rollback["detail"]


def test_a_hook_that_fails_for_now_is_asked_again(hooked, hooks):
    hooked.make_model("m", "x")
    hooks.answers["before_stage"] = [(503, ""), (500, "")]
    hooks.answers["after_promote"] = [(500, "too bad")]
    task = hooked.deploy("m")
    steps = {step["name"]: step for step in task["metadata"]["steps"]}
    assert steps["stage"]["attempts"] == 3
    assert "the hook after_promote" in steps["retire"]["detail"] and "too bad" in steps["retire"]["detail"]
    assert hooked.infer("m") == "x"


def test_a_hooks_answer_may_be_64_kib_and_no_more(hooked, hooks):
    hooked.make_model("m", "x")
    hooks.answers["before_stage"] = [(200, "x" * 65536)]
    hooked.deploy("m")
    hooks.answers["before_stage"] = [(200, "x" * 65537)] * 3
    assert "answered with more than 64.0 KiB" in hooked.deploy("m", "failed")["detail"]
    assert hooked.infer("m") == "x"


def test_a_task_cannot_bring_hooks_of_its_own(hooked):
    config = {"rollout": {"hooks": {"before_stage": [{"command": ["/bin/true"]}]}}}
    problem = hooked.post("/deploy", {"model_id": "m", "config": config}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/config/rollout/hooks"]


def test_a_hook_that_takes_too_long_or_is_not_there_is_no_consent(hooked, hooks):
    hooked.rolloutd.stop()
    hung = hooked.home / "hung"
    hung.write_text("#!/bin/sh\necho thinking >&2\nexec sleep 600\n")
    hung.chmod(0o755)
    hooked.rolloutd.config["limits"]["retries"] = 0
    hooked.rolloutd.config["rollout"]["hooks"]["before_shift"] = [{"command": [str(hung)], "timeout_s": 1}]
    hooked.rolloutd.start()
    hooked.await_link()
    hooked.make_model("m", "x")
    task = hooked.deploy("m", "failed")
    assert f"the hook before_shift ({hung}) failed: the program {hung} did not end within 1 s and was stopped, thinking." in task["detail"]

    hooked.rolloutd.stop()
    hooked.rolloutd.config["rollout"]["hooks"]["before_shift"] = [{"command": [str(hooked.home / "none")]}]
    hooked.rolloutd.start()
    hooked.await_link()
    assert "none cannot be started: no such file or directory." in hooked.deploy("m", "failed")["detail"]
    assert hooked.loaded() == hooked.files() == []


@pytest.mark.parametrize("point", ["deploy:ready:worked", "deploy:shift:worked", "deploy:retire:written"])
def test_a_hook_is_called_again_after_a_crash(hooked, hooks, point):
    hooked.make_model("m", "x")
    hooked.rolloutd.stop()
    hooked.rolloutd.start(env={"ROLLOUT_FAILPOINT": point})
    hooked.await_link()
    task = hooked.post("/deploy", {"model_id": "m"}).task()
    assert hooked.rolloutd.wait() == -signal.SIGKILL
    hooked.rolloutd.start()
    hooked.wait(task, status="completed")
    assert list(dict.fromkeys(hooks.names())) == ["before_stage", "before_shift", "before_promote", "after_promote"]
    assert len(hooks.names()) == 4 + point.endswith("worked")
