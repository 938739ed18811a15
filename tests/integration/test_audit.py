"""The audit: a line for each change that a client asked for, with who asked, what, of which task, and what became of it."""

import base64
import http.client
import socket
import ssl

import pytest

from certificates import Authority
from gateway import Gateway
from processes import DEADLINE_S, free_port, wait_until

LOCATION = "location ~ ^/((deploy|delete)(-status)?|models)(/|$) { rollout_api; }"


@pytest.fixture(scope="module")
def gateway(request):
    made = Gateway()
    authority = Authority(made.home / "tls")
    certificate, key = authority.issue("/CN=gateway", "gateway")
    (made.home / "users").write_text("ann:{PLAIN}secret\nbob:{PLAIN}secret\n")
    made.tls_port = free_port()
    made.authority = authority
    made.nginx.write(locations=f"""
        {LOCATION}
        location /public/ {{ rollout_api base=/public identity=off dialect=embedding_studio; }}
        location /asked/ {{ auth_basic rollout; auth_basic_user_file {made.home}/users; rollout_api base=/asked; }}
    """, http=f"""
    server {{
        listen 127.0.0.1:{made.tls_port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {authority.certificate};
        ssl_verify_client optional_no_ca;
        {LOCATION}
    }}
    server {{
        listen unix:{made.home}/nginx.sock;
        set_real_ip_from unix:;
        real_ip_header X-Forwarded-For;
        {LOCATION}
    }}
    """)
    try:
        yield made.start()
    finally:
        ended = made.close()
        assert all(status == 0 for _, status in ended), ended


def line_of(gateway, action, task_id):
    """The one line for that."""
    def found():
        return [line for line in gateway.rolloutd.lines() if line.get("audit") == action and line["task_id"] == task_id]
    wait_until(found, f"the audit of {action} {task_id}")
    assert len(found()) == 1, found()
    return found()[0]


def basic(name, password="secret"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_deployment_and_a_deletion_say_who_asked(gateway):
    gateway.make_model("m", "x")
    task = gateway.deploy("m")
    line = line_of(gateway, "deploy", task["task_id"])
    assert line["remote_addr"] == "127.0.0.1" and line["model_id"] == "m" and line["result"] == "created"
    assert "remote_user" not in line and "client_certificate" not in line and line["message"] == "A task is accepted"
    task = gateway.delete("m")
    assert line_of(gateway, "delete", task["task_id"])["result"] == "created"


def test_the_user_of_auth_basic_is_named(gateway):
    task = gateway.post("/asked/deploy", {"model_id": "m", "task_id": "by-ann"}, Authorization=basic("ann")).task()
    assert line_of(gateway, "deploy", task["task_id"])["remote_user"] == "ann"
    gateway.post("/asked/deploy", {"model_id": "m", "task_id": "by-nobody"}, Authorization=basic("ann", "wrong")).problem(401)
    gateway.post("/asked/deploy", {"model_id": "m", "task_id": "by-bob"}, Authorization=basic("bob")).task()
    line_of(gateway, "deploy", "by-bob")
    assert not any(line["task_id"] == "by-nobody" for line in gateway.rolloutd.lines() if "audit" in line)


def test_a_task_says_who_created_it(gateway):
    gateway.make_model("created", "x")
    task = gateway.post("/asked/deploy", {"model_id": "created"}, Authorization=basic("ann")).task()
    assert task["created_by"] == {"address": "127.0.0.1", "user": "ann"}
    task = gateway.wait(task, status="completed")
    assert task["created_by"] == {"address": "127.0.0.1", "user": "ann"}
    # Repeating the request, by whomever, is not another creation.
    body = {"model_id": "created", "task_id": task["task_id"]}
    assert gateway.post("/deploy", body).task()["created_by"]["user"] == "ann"
    # A task that a verb makes is its sender's.
    again = gateway.post(f"/asked/deploy/{task['task_id']}/retry", {}, Authorization=basic("bob")).task()
    assert again["created_by"] == {"address": "127.0.0.1", "user": "bob"}
    gateway.wait(again)
    # It is in the journal, not only in the gateway's memory.
    gateway.rolloutd.stop()
    gateway.rolloutd.start()
    gateway.await_link()
    listed = gateway.get("/deploy?model_id=created").json["tasks"]
    assert [one["created_by"]["user"] for one in listed] == ["bob", "ann"]
    assert gateway.task(task)["created_by"] == task["created_by"]


def test_identity_off_leaves_out_who_created_a_task(gateway):
    gateway.make_model("hidden", "x")
    task = gateway.post("/asked/deploy", {"model_id": "hidden"}, Authorization=basic("ann")).task()
    shown = gateway.wait(task, status="completed")
    hidden = gateway.get(f"/public/deploy/{task['task_id']}").task()
    assert hidden == {name: value for name, value in shown.items() if name != "created_by"} | {"status": "done"}
    assert gateway.get("/public/deploy-status/hidden").json == hidden
    assert gateway.get("/public/deploy?model_id=hidden").json["tasks"] == [hidden]
    # What is created there has its creator all the same, for who may see it.
    task = gateway.post("/public/deploy", {"model_id": "hidden"}).task()
    assert "created_by" not in task
    assert gateway.task(task)["created_by"] == {"address": "127.0.0.1"}


def over_tls(gateway, task_id, certificate=None):
    context = ssl.create_default_context(cafile=gateway.authority.certificate)
    if certificate:
        context.load_cert_chain(*certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.tls_port, timeout=DEADLINE_S, context=context)
    connection.request("POST", "/deploy", f'{{"model_id": "m", "task_id": "{task_id}"}}', {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_verified_certificates_subject_is_named_and_no_other(gateway):
    assert over_tls(gateway, "by-none") == 200
    assert "client_certificate" not in line_of(gateway, "deploy", "by-none")
    assert over_tls(gateway, "by-ci", gateway.authority.issue("/O=Example/CN=ci", "ci")) == 200
    assert line_of(gateway, "deploy", "by-ci")["client_certificate"] == "CN=ci,O=Example"
    assert gateway.get("/deploy/by-ci").json["created_by"] == {"address": "127.0.0.1", "certificate": "CN=ci,O=Example"}
    stranger = Authority(gateway.home / "stranger").issue("/O=Example/CN=ci", "ci")
    assert over_tls(gateway, "by-stranger", stranger) == 200  # optional_no_ca lets it in
    assert "client_certificate" not in line_of(gateway, "deploy", "by-stranger")


def test_the_address_is_what_realip_makes_of_it(gateway):
    class UnixConnection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(gateway.home / "nginx.sock"))
    connection = UnixConnection("gateway", timeout=DEADLINE_S)
    connection.request("POST", "/deploy", '{"model_id": "m", "task_id": "from-afar"}',
                       {"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.9"})
    assert connection.getresponse().status == 200
    connection.close()
    assert line_of(gateway, "deploy", "from-afar")["remote_addr"] == "203.0.113.9"


def test_what_is_refused_has_its_line(gateway):
    gateway.post("/deploy", {"model_id": "m", "task_id": "taken"}).task()
    line_of(gateway, "deploy", "taken")
    gateway.post("/delete", {"model_id": "m", "task_id": "taken"}).problem(409)
    line = line_of(gateway, "delete", "taken")
    assert line["result"] == "refused" and line["status"] == "409" and "another task" in line["message"]
    gateway.post("/deploy", {"model_id": "m", "task_id": "odd", "config": {"backend": "none"}}).problem(422)
    line = line_of(gateway, "deploy", "odd")
    assert line["result"] == "refused" and line["status"] == "422" and line["remote_addr"] == "127.0.0.1"


def test_asking_again_is_told_from_the_first_time(gateway):
    for _ in range(2):
        gateway.post("/deploy", {"model_id": "m", "task_id": "twice"}).task()

    def results():
        return [line["result"] for line in gateway.rolloutd.lines() if line.get("audit") == "deploy" and line["task_id"] == "twice"]
    wait_until(lambda: len(results()) == 2, "two lines")
    assert results() == ["created", "existed"]


def test_a_word_to_a_task_has_its_line(gateway):
    gateway.make_model("steered", "x")
    gateway.deploy("steered")
    task = gateway.start_deployment("steered", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100}])
    gateway.await_weight(task, 50)
    for verb in ("pause", "resume", "cancel"):
        gateway.post(f"/asked/deploy/{task['task_id']}/{verb}", {}, Authorization=basic("bob")).task()
        line = line_of(gateway, verb, task["task_id"])
        assert line["result"] == "done" and line["remote_user"] == "bob" and line["model_id"] == "steered", line
    gateway.wait(task, status="canceled")
    again = gateway.post(f"/asked/deploy/{task['task_id']}/retry", {}, Authorization=basic("bob")).task()
    line = line_of(gateway, "retry", task["task_id"])
    assert line["result"] == "created" and line["new_task_id"] == again["task_id"]
    gateway.post(f"/deploy/{again['task_id']}/cancel", {}).task()
    gateway.wait(again, status="canceled")
    gateway.post(f"/deploy/{again['task_id']}/promote", {}).problem(409)
    line = line_of(gateway, "promote", again["task_id"])
    assert line["result"] == "refused" and line["status"] == "409" and line["remote_addr"] == "127.0.0.1"


def test_reading_leaves_no_line(gateway):
    before = len([line for line in gateway.rolloutd.lines() if "audit" in line])
    for path in ("/deploy", "/delete", "/models", "/deploy-status/m", "/deploy/nothing"):
        gateway.get(path)
    assert len([line for line in gateway.rolloutd.lines() if "audit" in line]) == before


def test_the_audit_cannot_be_forged_or_filled(gateway):
    evil = 'x\x1b[31m\u2028{"audit"}' + "y" * 5000
    gateway.post("/deploy", {"model_id": "m", "task_id": "evil"}, Authorization=basic(evil)).task()
    line = line_of(gateway, "deploy", "evil")
    assert len(line["remote_user"]) <= 256 and line["remote_user"].startswith('x [31m {"audit"}yyy')
    assert gateway.get("/deploy/evil").json["created_by"]["user"] == line["remote_user"]
    assert "created_by" not in gateway.get("/public/deploy/evil").json
    raw = base64.b64encode(b"\xff\xfeann\xc3:secret").decode()
    gateway.post("/deploy", {"model_id": "m", "task_id": "bytes"}, Authorization=f"Basic {raw}").task()
    line = line_of(gateway, "deploy", "bytes")
    assert line["remote_user"] == "\ufffd\ufffdann\ufffd" and line["remote_addr"] == "127.0.0.1"


def test_what_never_reached_rolloutd_is_in_nginx_log_with_the_client(make_gateway):
    gateway = make_gateway(nginx={"worker_arguments": "reconnect=50ms"})
    gateway.inference.start()
    gateway.nginx.start()
    gateway.post("/deploy", {"model_id": "m", "task_id": "lost"}).problem(500)
    gateway.post("/deploy/lost/cancel", {}).problem(500)
    errors = gateway.nginx.errors().splitlines()
    assert any("task lost of model m was not confirmed" in line and "client: 127.0.0.1" in line for line in errors)
    assert any("cancel of task lost was not confirmed" in line and "client: 127.0.0.1" in line for line in errors)
