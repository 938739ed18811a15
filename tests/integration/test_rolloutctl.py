"""rolloutctl against a whole gateway: every command, every exit status, in a pipe."""

import base64
import contextlib
import json
import subprocess

import pytest

from certificates import Authority
from gateway import Gateway
from listener import Listener
from processes import DEADLINE_S, LOCATIONS, ROOT, free_port, wait_until
from rolloutctl import ROLLOUTCTL, Ctl

HELD = "50:600s,100"


@pytest.fixture(scope="module")
def gateway(request):
    made = Gateway()
    authority = Authority(made.home / "tls")
    certificate, key = authority.issue("/CN=127.0.0.1", "gateway")
    expired = authority.issue("/CN=127.0.0.1", "expired", days=-1)
    made.authority = authority
    made.tls_port, made.expired_port = free_port(), free_port()
    (made.home / "users").write_text("ann:{PLAIN}secret\n")
    made.nginx.write(locations=LOCATIONS + f"""
        location ~ ^/(healthz|readyz)$ {{ rollout_api; }}
        location = /metrics {{ rollout_metrics; }}
        location /es/ {{ rollout_api base=/es dialect=embedding_studio; }}
        location /asked/ {{ auth_basic rollout; auth_basic_user_file {made.home}/users; rollout_api base=/asked; }}
        location /closed/ {{ deny all; rollout_api base=/closed; }}
    """, http=f"""
    server {{
        listen 127.0.0.1:{made.tls_port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {authority.certificate};
        ssl_verify_client on;
        location / {{ rollout_api; }}
    }}
    server {{
        listen 127.0.0.1:{made.expired_port} ssl;
        ssl_certificate {expired[0]};
        ssl_certificate_key {expired[1]};
        location / {{ rollout_api; }}
    }}
    server {{ listen unix:{made.home}/nginx.sock; location / {{ rollout_api; }} }}
    """)
    try:
        yield made.start()
    finally:
        ended = made.close()
        assert all(status == 0 for _, status in ended), ended


@pytest.fixture
def ctl(gateway):
    return Ctl(gateway)


def held(gateway, ctl, model):
    """A rollout that stands at 50 %."""
    gateway.serve_blue(model)
    task = json.loads(ctl.run("deploy", model, "--steps", HELD, "--no-wait", "--json"))
    gateway.await_weight(task, 50)
    return task


# Deploying.

def test_a_model_is_deployed_with_a_line_for_each_change(gateway, ctl):
    gateway.make_model("m", "x")
    lines = ctl.run("deploy", "m").splitlines()
    assert lines[-1].endswith("m revision 1 completed: Revision 1 serves all traffic of model m.")
    assert len(set(lines)) == len(lines) and all("m " in line for line in lines)
    assert gateway.infer("m") == "x"


def test_options_become_the_config(gateway, ctl):
    source = gateway.make_model("elsewhere", "y")
    (gateway.home / "config.json").write_text('{"rollout": {"drain_s": 3}}')
    task = json.loads(ctl.run("deploy", "n", "--source", source, "--config", f"@{gateway.home}/config.json", "--param", "plugin=Text",
                              "--param", "size=7", "--steps", "5:1s,100", "--id", "mine", "--wait", "--json"))
    assert task["task_id"] == "mine" and task["status"] == "completed"
    assert task["metadata"]["config"] == {"source": source, "plugin": "Text", "size": 7,
                                          "rollout": {"drain_s": 3, "steps": [{"weight": 5, "hold_s": 1}, {"weight": 100}]}}
    # The same command again, with its key, is the same task.
    again = json.loads(ctl.run("deploy", "n", "--source", source, "--config", f"@{gateway.home}/config.json", "--param", "plugin=Text",
                               "--param", "size=7", "--steps", "5:1s,100", "--id", "mine", "--no-wait", "--json"))
    assert again["created_at"] == task["created_at"]


def test_watch_prints_documents_with_json(gateway, ctl):
    gateway.make_model("j", "x")
    documents = [json.loads(line) for line in ctl.run("deploy", "j", "--watch", "--json").splitlines()]
    assert documents[-1]["status"] == "completed" and len({one["task_id"] for one in documents}) == 1


# Exit statuses.

def test_a_failed_deployment_is_1_and_says_why(gateway, ctl):
    (line,) = ctl.run("deploy", "missing", "--wait", status=1).splitlines()
    assert "missing revision 1 failed: " in line
    ctl.run("wait", "missing", status=1)


def test_a_refused_deletion_is_1(gateway, ctl):
    assert "refused: " in ctl.run("delete", "never-deployed", "--wait", status=1)


@pytest.mark.parametrize("arguments", [
    (), ("dance",), ("deploy",), ("deploy", "m", "--colour"), ("deploy", "../m"), ("deploy", "m", "--steps", "x"),
    ("deploy", "m", "--config", "{"), ("deploy", "m", "--watch", "--no-wait"), ("wait", "m", "--until", "over"),
    ("wait", "m", "--timeout", "soon"), ("list", "--limit", "0"), ("list", "--status", "dancing"), ("--url", "ftp://x", "models"),
    ("api", "PATCH", "/deploy"), ("api", "GET", "deploy"), ("completion", "tcsh"), ("--settings", "/nonexistent", "models"),
    ("deploy", "m", "--id", "a b"), ("deploy", "m", "--config", '{"backend": "none"}', "--no-wait"),
])
def test_what_is_malformed_is_2_and_one_sentence(gateway, ctl, arguments):
    assert ctl.run(*arguments, status=2) == ""
    assert ctl.said.strip(), arguments


@pytest.mark.parametrize(("arguments", "what"), [
    (("--colour",), "--colour"), (("models", "--colour"), "--colour"), (("dance",), "dance"), ((), "A command is missing."),
])
def test_what_is_not_known_is_named(ctl, arguments, what):
    ctl.run(*arguments, status=2)
    assert what in ctl.said and "--help" in ctl.said


def test_a_canceled_task_is_3(gateway, ctl):
    task = held(gateway, ctl, "canceled")
    with ctl.start("wait", "canceled") as waiting:
        ctl.run("cancel", "canceled")
        output, _ = waiting.communicate(timeout=60)
        assert waiting.returncode == 3 and "canceled revision 2 canceled: " in output
    gateway.wait(task, status="canceled")
    ctl.run("watch", task["task_id"], status=3)


def test_time_that_is_over_is_4_and_the_task_goes_on(gateway, ctl):
    task = held(gateway, ctl, "slow")
    ctl.run("wait", "slow", "--timeout", "200ms", status=4)
    assert f"Task {task['task_id']} is not that far after 0.2 s, and goes on: Revision 2 has 50 %" in ctl.said
    assert gateway.task(task)["status"] == "in_progress"
    ctl.run("cancel", task["task_id"], "--wait", status=3)


def test_what_does_not_exist_is_5(gateway, ctl):
    for command in ("status", "watch", "wait", "promote", "cancel", "rollback"):
        ctl.run(command, "nobody", status=5)
        assert 'There is no task "nobody", and no task of a model "nobody"' in ctl.said
    ctl.run("api", "GET", "/deploy/nothing", status=5)


def test_what_makes_no_sense_now_is_6(gateway, ctl):
    gateway.make_model("done", "x")
    ctl.run("deploy", "done", "--wait")
    ctl.run("promote", "done", status=6)
    assert "is over: it is completed, and there is nothing to promote" in ctl.said
    ctl.run("deploy", "other", "--id", gateway.get("/deploy-status/done").json["task_id"], "--no-wait", status=6)


def test_what_nginx_forbids_is_6(gateway):
    ctl = Ctl(gateway, f"http://127.0.0.1:{gateway.port}/closed")
    ctl.run("status", "m", status=6)
    assert "The gateway does not allow this client to do that." in ctl.said
    ctl = Ctl(gateway, f"http://127.0.0.1:{gateway.port}/asked")
    ctl.run("models", status=6)
    assert "asks for a user and a password" in ctl.said
    (gateway.home / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    try:
        ctl.run("--netrc", "models")
        task = json.loads(ctl.run("--netrc", "deploy", "by-ann", "--no-wait", "--json"))
    finally:
        (gateway.home / ".netrc").unlink()
    assert task["created_by"] == {"address": "127.0.0.1", "user": "ann"}
    gateway.wait(task)


def test_no_gateway_is_7(gateway):
    ctl = Ctl(gateway, f"http://127.0.0.1:{free_port()}")
    for command in (("models",), ("status", "m"), ("deploy", "m"), ("ready",), ("watch",)):
        ctl.run(*command, *(["--patience", "0"] if command == ("watch",) else []), status=7)
        assert "No gateway answers at http://127.0.0.1:" in ctl.said and "Connection refused" in ctl.said


def test_a_gateway_that_is_not_one_of_ours_is_7(gateway):
    ctl = Ctl(gateway, f"http://127.0.0.1:{gateway.port}/elsewhere")
    ctl.run("models", status=7)
    assert "is not a Rollout gateway's API: it answers HTTP 404 with text/html" in ctl.said
    ctl = Ctl(gateway, f"http://127.0.0.1:{gateway.inference.port}")
    ctl.run("models", status=7)


def test_a_gateway_without_its_rolloutd_is_7(make_gateway):
    gateway = make_gateway(nginx={"locations": LOCATIONS + "location = /readyz { rollout_api; }", "worker_arguments": " reconnect=50ms"})
    gateway.inference.start()
    gateway.nginx.start()
    ctl = Ctl(gateway)
    ctl.run("ready", status=7)
    ctl.run("models", status=7)
    assert "rolloutd is down" in ctl.said
    # A post is asked again with its key until rolloutd is there.
    gateway.make_model("m", "x")
    with ctl.start("deploy", "m", "--wait") as deploying:
        wait_until(lambda: "was not confirmed" in gateway.nginx.errors(), "the first attempt")
        gateway.rolloutd.start()
        output, errors = deploying.communicate(timeout=60)
    assert deploying.returncode == 0, (output, errors)
    assert len(gateway.get("/deploy").json["tasks"]) == 1


# Who asks, and how.

def test_a_unix_socket_and_a_settings_file(gateway, ctl):
    ctl.run("--unix-socket", gateway.home / "nginx.sock", "models", ROLLOUT_URL="http://gateway")
    (gateway.home / ".config").mkdir(exist_ok=True)
    (gateway.home / ".config/rolloutctl.json").write_text(json.dumps({"url": "http://gateway", "unix_socket": f"{gateway.home}/nginx.sock"}))
    try:
        ctl.run("models", ROLLOUT_URL=None)
        (gateway.home / ".config/rolloutctl.json").write_text('{"uri": "x"}')
        ctl.run("models", status=2)
        assert 'has a member "uri"' in ctl.said
    finally:
        (gateway.home / ".config/rolloutctl.json").unlink()


def test_certificates_prove_who_is_who(gateway):
    ctl = Ctl(gateway, f"https://127.0.0.1:{gateway.tls_port}")
    ctl.run("models", status=7)
    assert "is not accepted: " in ctl.said and "--cacert" in ctl.said
    authority = ["--cacert", gateway.authority.certificate]
    ctl.run(*authority, "models", status=6)
    assert "asks for a client certificate" in ctl.said
    certificate, key = gateway.authority.issue("/O=Example/CN=ci", "ci")
    given = [*authority, "--cert", certificate, "--key", key]
    ctl.run(*given, "models")
    gateway.make_model("signed", "x")
    task = json.loads(ctl.run(*given, "deploy", "signed", "--wait", "--json"))
    assert task["created_by"] == {"address": "127.0.0.1", "certificate": "CN=ci,O=Example"}


def test_a_certificate_that_has_expired_is_named(gateway):
    authority = ["--cacert", gateway.authority.certificate]
    ctl = Ctl(gateway, f"https://127.0.0.1:{gateway.expired_port}")
    ctl.run(*authority, "models", status=7)
    assert f"The certificate of https://127.0.0.1:{gateway.expired_port} is not accepted: certificate has expired. Renew it" in ctl.said
    certificate, key = gateway.authority.issue("/CN=ci", "old-client", days=-1)
    ctl = Ctl(gateway, f"https://127.0.0.1:{gateway.tls_port}")
    ctl.run(*authority, "--cert", certificate, "--key", key, "models", status=6)
    assert "does not accept yours: it may have expired" in ctl.said


# Steering.

def test_verbs_reach_the_task_that_runs(gateway, ctl):
    task = held(gateway, ctl, "steered")
    ctl.run("pause", "steered")
    ctl.run("wait", "steered", "--until", "waiting")
    assert gateway.task(task)["metadata"]["paused"]
    assert "paused" in ctl.run("status", "steered")
    ctl.run("resume", task["task_id"])
    ctl.run("wait", "steered", "--until", "weight=50", "--timeout", "30s")
    ctl.run("promote", "steered", "--wait")
    assert gateway.infer("steered") == "green"


def test_a_model_goes_back_and_again(gateway, ctl):
    gateway.serve_blue("back")
    ctl.run("deploy", "back", "--config", '{"rollout": {"old": "keep", "steps": [{"weight": 100}]}}', "--wait")
    assert gateway.infer("back") == "green"
    ctl.run("rollback", "back", "--watch")
    assert gateway.infer("back") == "blue"
    ctl.run("retry", "missing-too", status=5)


def test_a_deletion_without_a_terminal_asks_nobody(gateway, ctl):
    gateway.make_model("gone", "x")
    ctl.run("deploy", "gone", "--wait")
    assert "gone deletion completed: " in ctl.run("delete", "gone")
    assert "gone" not in gateway.serving()


# Reading.

def test_lists_history_and_models(gateway, ctl):
    gateway.make_model("listed", "x")
    for _ in range(4):
        ctl.run("deploy", "listed", "--wait")
    rows = ctl.run("history", "listed").splitlines()
    assert rows[0].split()[:2] == ["MODEL", "TASK"] and len(rows) == 4 and "revision 4" in rows[1] and "127.0.0.1" in rows[1]
    assert len(ctl.run("history", "listed", "--all").splitlines()) == 5
    tasks = json.loads(ctl.run("list", "--model", "listed", "--status", "completed", "--limit", "2", "--json"))["tasks"]
    assert [one["metadata"]["revision"] for one in tasks] == [4, 3]
    assert ctl.run("list", "--model", "listed", "--kind", "delete") == "There are no such tasks of model listed.\n"
    assert "listed" in ctl.run("models", "--names").split()
    assert {"model_id": "listed", "state": "deployed"}.items() <= next(
        one for one in json.loads(ctl.run("models", "--json"))["models"] if one["model_id"] == "listed").items()
    assert any(row.split()[:3] == ["listed", "deployed", "4"] for row in ctl.run("models").splitlines())


def test_the_words_of_embedding_studio_are_understood(gateway):
    ctl = Ctl(gateway, f"http://127.0.0.1:{gateway.port}/es")
    gateway.make_model("es", "x")
    assert "es revision 1 completed: " in ctl.run("deploy", "es", "--wait")
    assert "es" in ctl.run("list", "--status", "completed", "--model", "es")
    assert "es" in ctl.run("list", "--status", "done", "--model", "es")


def test_ready_metrics_and_any_request(gateway, ctl):
    assert ctl.run("ready") == "The gateway has its rolloutd, and all of its routes and tasks.\n"
    assert "# TYPE rollout_" in ctl.run("metrics")
    assert "models" in json.loads(ctl.run("api", "GET", "/models?limit=1"))
    assert json.loads(ctl.run("api", "POST", "/deploy", "--data", '{"model_id": "api-made", "task_id": "api-made"}'))["task_id"] == "api-made"
    gateway.wait({"task_id": "api-made"})


def test_watch_without_a_name_shows_all_that_goes_on(gateway, ctl):
    task = held(gateway, ctl, "one-of-all")
    with ctl.start("watch") as watching:
        assert "one-of-all revision 2 in progress, shift, 50 %" in watching.stdout.readline()
        ctl.run("cancel", "one-of-all", "--wait", status=3)
        wait_until(lambda: "one-of-all revision 2 canceled" in watching.stdout.readline(), "its end")
    gateway.wait(task, status="canceled")


# A gateway that goes away and comes back.

def test_a_gateway_that_is_restarted_is_waited_for(make_gateway):
    gateway = make_gateway().start()
    ctl = Ctl(gateway)
    task = held(gateway, ctl, "m")
    with ctl.start("watch", "m") as watching:
        assert "m revision 2 in progress" in watching.stdout.readline()
        gateway.nginx.stop()
        wait_until(lambda: "Trying again." in watching.stdout.readline(), "the trouble")
        gateway.nginx.start()
        wait_until(lambda: "The gateway answers again." in watching.stdout.readline(), "the gateway")
        ctl.run("promote", task["task_id"])
        output, errors = watching.communicate(timeout=60)
    assert watching.returncode == 0 and "m revision 2 completed: " in output, (output, errors)


def test_a_gateway_that_stays_away_is_7(make_gateway):
    gateway = make_gateway().start()
    ctl = Ctl(gateway)
    task = held(gateway, ctl, "m")
    with ctl.start("watch", "m", "--patience", "1s") as watching:
        assert "m revision 2 in progress" in watching.stdout.readline()
        gateway.nginx.stop()
        _, errors = watching.communicate(timeout=60)
    assert watching.returncode == 7 and f"Nothing was heard of task {task['task_id']} for 1 s; the task goes on." in errors


# The lost answer.

def test_a_post_whose_answer_is_lost_is_asked_again_with_its_key(gateway):
    keys = []

    def serve(connection):
        request = connection.recv(65536).decode()
        keys.append(next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Idempotency-Key")))
        if len(keys) < 3:
            return  # closed without an answer
        body = json.dumps({"task_id": keys[0], "model_id": "m", "status": "completed", "detail": "It serves.", "metadata": {"revision": 1}})
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())

    listener = Listener(serve)
    try:
        ctl = Ctl(gateway, f"http://127.0.0.1:{listener.port}")
        assert "m revision 1 completed: It serves." in ctl.run("deploy", "m", "--no-wait")
    finally:
        listener.close()
    assert len(keys) == 3 and len(set(keys)) == 1


# Completion.

def test_the_completion_of_bash_knows_commands_options_and_models(gateway, ctl):
    script = ctl.run("completion", "bash")
    gateway.make_model("completed-model", "x")
    ctl.run("deploy", "completed-model", "--wait")

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        done = subprocess.run(["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _rolloutctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
                              env={"PATH": f"{ROLLOUTCTL.parent}:/usr/bin:/bin", "HOME": str(gateway.home), "ROLLOUT_URL": ctl.url},
                              capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    commands = completed("rolloutctl", "")
    assert {"deploy", "watch", "completion", "--json"} <= set(commands) and "--source" not in commands
    assert completed("rolloutctl", "re") == ["resume", "retry", "ready"]
    assert completed("rolloutctl", "status", "completed-") == ["completed-model"]
    assert completed("rolloutctl", "deploy", "m", "--so") == ["--source"]
    assert completed("rolloutctl", "wait", "m", "--until", "w") == ["waiting", "weight="]


def test_every_shell_completes_every_command_and_option(ctl):
    help_text = ctl.run("--help")
    commands = [line.split()[0] for line in help_text.partition("Subcommands:")[2].splitlines() if line.startswith("  ")]
    assert len(commands) == 18
    for shell, file in (("bash", "rolloutctl.bash"), ("zsh", "_rolloutctl"), ("fish", "rolloutctl.fish")):
        script = ctl.run("completion", shell)
        assert script == (ROOT / "ctl/completion" / file).read_text()
        for command in commands:
            assert command in script, (shell, command)
            for line in ctl.run(command, "--help").splitlines():
                for word in line.replace(",", " ").split():
                    if word.startswith("--"):
                        option = word[2:]
                        assert f"--{option}" in script or f"-l {option} " in script, (shell, command, option)


# Over events, and without them.

WAYS = """
    server {{ listen 127.0.0.1:{without}; location ~ /events$ {{ return 404; }} location / {{ rollout_api; }} }}
    server {{
        listen 127.0.0.1:{gathering};
        location ~ /events$ {{ proxy_pass http://127.0.0.1:{api}; proxy_ignore_headers X-Accel-Buffering; }}
        location / {{ rollout_api; }}
    }}
"""


def test_a_task_is_followed_over_events_or_by_polls(make_gateway):
    """A gateway of an earlier release has no events, and a proxy may keep them back."""
    gateway = make_gateway(nginx={"workers": 1})
    without, gathering = free_port(), free_port()
    gateway.nginx.pieces["http"] = WAYS.format(without=without, gathering=gathering, api=gateway.nginx.port)
    gateway.start()
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100}])
    path = f"/deploy/{task['task_id']}"
    gateway.await_weight(task, 50)
    ways = [Ctl(gateway), Ctl(gateway, f"http://127.0.0.1:{without}"), Ctl(gateway, f"http://127.0.0.1:{gathering}")]
    with contextlib.ExitStack() as stack:
        watching = [stack.enter_context(ctl.start("watch", task["task_id"], "--json")) for ctl in ways]
        for process in watching:
            assert json.loads(process.stdout.readline())["metadata"]["traffic_weight"] == 50
        gateway.nginx.reload()
        gateway.await_link()
        gateway.post(path + "/promote", "").task()
        gateway.wait(task, status="completed")
        for process in watching:
            said, _ = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0 and json.loads(said.splitlines()[-1])["status"] == "completed"
    log = (gateway.home / "access.log").read_text()
    assert f"GET {path}/events 200" in log and f"GET {path}/events 404" in log
