"""Server-sent events: what clients that follow tasks and models are told, and that they miss nothing."""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from certificates import Authority
from events import EventStream, Follower
from link import line_of
from pretended_rolloutd import PretendedRolloutd
from processes import DEADLINE_S, children, free_port, wait_until

ROLLOUTD = {"rollout": {"steps": [{"weight": 100, "hold_s": 0}]}}


def follow(gateway, path, **more):
    return EventStream(gateway.port, path, **more)


# What is sent.

def test_a_task_is_followed_to_its_end(gateway):
    gateway.make_model("one", "1")
    task = gateway.post("/deploy", {"model_id": "one"}).task()
    path = f"/deploy/{task['task_id']}/events"
    with follow(gateway, path) as stream:
        assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform" and stream.headers["X-Accel-Buffering"] == "no"
        first = stream.events.get()
        assert first.kind == "ping" and first.data["rolloutd"] == "up" and first.data["tasks_known"] is True
        assert stream.retry == 1000
        documents = []
        while (event := stream.next()).kind == "task":
            documents.append(event.data)
        assert documents[-1] == gateway.get(f"/deploy/{task['task_id']}").json
        assert documents[-1]["status"] == "completed"
        assert event.kind == "end" and event.data == {"task_id": task["task_id"], "status": "completed"}
        assert stream.next() is None
    # Afterwards, all of it at once.
    with follow(gateway, path) as stream:
        assert [stream.next().kind, stream.next().kind, stream.next()] == ["task", "end", None]


def test_all_tasks_and_models_are_followed_in_rows(gateway):
    gateway.make_model("two", "1")
    with follow(gateway, "/events") as stream, follow(gateway, "/events?model_id=two") as of_two, follow(gateway, "/events?model_id=other") as of_other:
        task = gateway.deploy("two")
        row = stream.until(lambda event: event.data.get("status") == "completed").data
        assert row == {"task_id": task["task_id"], "model_id": "two", "kind": "deploy", "status": "completed", "step": task["metadata"]["step"],
                       "weight": task["metadata"]["traffic_weight"], "revision": 1, "detail": task["detail"][:200], "updated_at": task["updated_at"]}
        deployed = of_two.until(lambda event: event.data["blue"], "model").data
        assert deployed == {"model_id": "two", "part": "", "blue": {"revision": 1, "model": "two__r1", "upstream": "inference"}, "green": None, "weight": 0}
        gateway.delete("two")
        gone = of_two.until(lambda event: event.data["blue"] is None, "model").data
        assert gone == {"model_id": "two", "part": "", "blue": None, "green": None, "weight": 0}
        row = of_two.until(lambda event: event.data["kind"] == "delete" and event.data["status"] == "completed", "task").data
        assert row["model_id"] == "two"
        # Others are told of their own model only.
        gateway.make_model("other", "1")
        gateway.deploy("other")
        assert of_other.next().data["model_id"] == "other"


def test_who_names_the_last_event_gets_what_came_after_it(gateway):
    gateway.make_model("three", "1")
    with follow(gateway, "/events") as stream:
        gateway.deploy("three")
        stream.until(lambda event: event.data.get("status") == "completed", "task")
        after = stream.last_id
    task = gateway.delete("three")
    for more in ({"after": after}, {}):
        with follow(gateway, "/events" if more else f"/events?after={after}", **more) as stream:
            row = stream.until(lambda event: event.kind == "task" and event.data["status"] == "completed").data
            assert row["task_id"] == task["task_id"]


@pytest.mark.parametrize("after", ["0123abcd-1", "nonsense", "-1", "{}-99999999", "{}-", "{}-1x"])
def test_who_names_an_event_that_is_not_known_begins_anew(gateway, after):
    with follow(gateway, "/events") as stream:
        here = stream.next("ping").id
    with follow(gateway, "/events", after=after.replace("{}", here.partition("-")[0])) as stream:
        assert stream.next().kind == "reset" and stream.last_id >= here


def test_a_task_that_does_not_exist_has_no_events(gateway):
    for path in ("/deploy/none/events", "/delete/none/events"):
        assert '"none"' in gateway.get(path).problem(404)["detail"]
    assert gateway.get("/deploy//events").status == 404
    task = gateway.post("/delete", {"model_id": "absent"}).task()
    gateway.get(f"/deploy/{task['task_id']}/events").problem(404)


@pytest.mark.parametrize("query", ["samples=2", "model_id=..", "model_id=a&model_id=b", "other=1"])
def test_arguments_that_mean_nothing_are_refused(gateway, query):
    assert gateway.get(f"/events?{query}").problem(422)["errors"][0]["parameter"] in query


def test_a_head_has_the_headers_alone(gateway):
    task = gateway.post("/delete", {"model_id": "absent"}).task()
    for path in ("/events", f"/delete/{task['task_id']}/events"):
        answer = gateway.request("HEAD", path)
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream" and answer.body == b""
    assert gateway.request("HEAD", "/delete/none/events").status == 404
    answer = gateway.post("/events", {})
    assert answer.problem(405)["detail"] and answer.headers["Allow"] == "GET, HEAD"


# How it is sent.

def curl(*arguments):
    return subprocess.Popen(["curl", "-sSN", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_to(process, *texts):
    """What it has printed, up to the line by which all of these texts have come."""
    read = ""
    late = threading.Timer(DEADLINE_S, process.kill)
    late.start()
    try:
        for line in process.stdout:
            read += line
            if all(text in read for text in texts):
                return read
    finally:
        late.cancel()
    raise AssertionError(f"{texts} are not in {read}")


def test_http2_carries_them(gateway):
    gateway.make_model("h2", "1")
    base = f"http://127.0.0.1:{gateway.nginx.http2_port}"
    everything = curl("--http2-prior-knowledge", base + "/events")
    read_to(everything, "event: ping")
    task = gateway.start_deployment("h2")
    of_task = curl("--http2-prior-knowledge", f"{base}/deploy/{task['task_id']}/events")
    said = read_to(of_task, "event: end")
    assert '"status":"completed"' in said
    assert of_task.communicate(timeout=DEADLINE_S) and of_task.returncode == 0
    assert task["task_id"] in read_to(everything, '"status":"completed"')
    everything.kill()
    everything.communicate()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_they_come_at_once_over_tls(make_gateway, version):
    gateway = make_gateway()
    authority = Authority(gateway.home / "tls")
    certificate, key = authority.issue("/CN=127.0.0.1", "gateway")
    port = free_port()
    gateway.nginx.pieces["http"] = f"""
    server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key}; location / {{ rollout_api; }} }}"""
    gateway.start()
    gateway.serve_blue("m")
    everything = curl(version, "--cacert", authority.certificate, f"https://127.0.0.1:{port}/events?samples=1")
    read_to(everything, "event: sample")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}])
    read_to(everything, task["task_id"], '"weight":50')  # in the model's event or the task's
    gateway.post(f"/deploy/{task['task_id']}/cancel", "")
    assert read_to(everything, '"status":"canceled"')
    gateway.nginx.send_signal(signal.SIGQUIT)
    assert everything.wait(DEADLINE_S) == 0  # an end that is one
    gateway.nginx.wait()


def test_http_1_0_gets_them_until_the_end_of_the_connection(gateway):
    task = gateway.post("/delete", {"model_id": "absent"}).task()
    gateway.wait(task, "delete")
    done = subprocess.run(["curl", "-sS0i", f"http://127.0.0.1:{gateway.port}/delete/{task['task_id']}/events"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert "Transfer-Encoding" not in done.stdout and done.stdout.endswith("\n\n") and "event: end" in done.stdout


VARIED = """
        location = /allowed {{ return 204; }}
        location /plain/ {{ rollout_api base=/plain; auth_request /allowed; gzip on; gzip_types *; gzip_min_length 1; add_header X-Mine yes always; expires 1h; }}
        location /studio/ {{ rollout_api base=/studio dialect=embedding_studio identity=off; limit_rate 2000; }}
        location / {{ rollout_api; mirror /mirrored; }}
        location = /mirrored {{ internal; rewrite ^ /plain/events break; rollout_api base=/plain; }}
"""
PROXY = """
    proxy_cache_path {home}/cache keys_zone=kept:1m;
    server {{
        listen unix:{home}/proxy.sock;
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{api}; proxy_cache kept; proxy_cache_valid any 1h; gzip on; gzip_types *; }}
    }}
"""


def test_what_an_operator_varies(make_gateway):
    gateway = make_gateway()
    proxy = free_port()
    gateway.nginx.pieces.update(locations=VARIED.format(), http=PROXY.format(home=gateway.home, port=proxy, api=gateway.nginx.port))
    gateway.start()
    gateway.make_model("m", "1")
    with (EventStream(gateway.port, "/plain/events", Accept_Encoding="gzip") as plain, EventStream(gateway.port, "/studio/events") as studio,
          EventStream(proxy, "/plain/events") as proxied):
        assert plain.headers["Content-Encoding"] is None and plain.headers["X-Mine"] == "yes"
        task = gateway.post("/plain/deploy", {"model_id": "m"}).task()
        for stream, last in ((plain, "completed"), (proxied, "completed"), (studio, "done")):
            row = stream.until(lambda event, last=last: event.data["status"] == last, "task").data
            assert row["task_id"] == task["task_id"]
    with EventStream(proxy, f"/studio/deploy/{task['task_id']}/events") as stream:
        assert "created_by" not in stream.next("task").data
        assert stream.next("end").data["status"] == "done"
    assert gateway.get("/studio/deploy/none/events").problem(404)
    assert gateway.get("/events/").status == 404  # and the mirrored one is refused: it would never end
    # One line each: of the stream itself, and of the two that the proxy makes of one.
    log = gateway.home / "access.log"
    wait_until(lambda: log.read_text().splitlines().count("GET /plain/events 200 - -") == 3, "the lines of the access log")


def test_as_many_streams_as_may_wait_and_one_more_is_told_to_come_again(make_gateway):
    gateway = make_gateway(nginx={"workers": 1, "worker_arguments": "max_waiting=2"})
    gateway.start()
    streams = [follow(gateway, "/events") for _ in range(2)]
    answer = gateway.get("/events")
    assert "max_waiting" in answer.problem(503)["detail"] and int(answer.headers["Retry-After"]) > 0
    assert gateway.request("HEAD", "/events").status == 200
    streams.pop().close()

    def taken():
        stream = follow(gateway, "/events")
        streams.append(stream)
        return stream.status == 200
    wait_until(taken, "a free place")
    for stream in streams:
        stream.close()


# What happens meanwhile.

def test_it_is_said_that_rolloutd_is_away_and_back(make_gateway):
    gateway = make_gateway(rolloutd=ROLLOUTD)
    gateway.start()
    gateway.make_model("m", "1")
    gateway.deploy("m")
    with follow(gateway, "/events") as stream:
        assert stream.next("ping").data["rolloutd"] == "up"
        gateway.rolloutd.stop()
        stream.until(lambda event: event.data["rolloutd"] == "away", "ping")
        gateway.rolloutd.start()
        seen = []
        while (event := stream.next("ping", "model", "task", "reset")).kind != "ping" or event.data["rolloutd"] != "up":
            seen += [event] if event.kind != "ping" else []
        gateway.await_link()
        gateway.make_model("new", "1")
        gateway.deploy("new")
        # Of what has not changed nothing is said, though rolloutd has sent all of it again.
        while (event := stream.next("model", "task", "reset")).data.get("model_id") != "new":
            seen.append(event)
        assert not seen, seen


def test_another_journal_is_a_reset(make_gateway):
    gateway = make_gateway()
    gateway.start()
    with follow(gateway, "/events") as stream:
        stream.next("ping")
        gateway.rolloutd.stop()
        for file in gateway.home.glob("journal.db*"):
            file.unlink()
        gateway.rolloutd.start()
        assert stream.next("reset", "task", "model").kind == "reset"


def post_while(gateway, prefix, disturb, times):
    """Posts deletions of a model that is not there, which are refused, while it disturbs the gateway; the ids that were answered."""
    posted = []
    ending = threading.Event()

    def post():
        number = 0
        while not ending.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = gateway.post("/delete", {"model_id": "absent", "task_id": f"{prefix}-{number}"})
                if answer.status == 200:
                    posted.append(f"{prefix}-{number}")
            number += 1
            ending.wait(0.01)
    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    for _ in range(times):
        disturb()
    ending.set()
    thread.join(DEADLINE_S)
    return posted


def has_all(follower, posted):
    return all(follower.rows.get(task_id, {}).get("status") == "refused" for task_id in posted)


def test_a_storm_of_reloads_loses_no_event(make_gateway):
    """The streams of an old worker process end, and it goes: nginx would log an alert of each socket that it left open."""
    gateway = make_gateway(nginx={"zone": "16m"})
    gateway.start()
    with contextlib.ExitStack() as stack:
        followers = [stack.enter_context(Follower(gateway.port)) for _ in range(8)]
        wait_until(lambda: all(one.connections for one in followers), "the streams")
        posted = post_while(gateway, "r", gateway.nginx.reload, 5)
        assert posted
        for follower in followers:
            wait_until(lambda follower=follower: has_all(follower, posted), f"all of {len(posted)} tasks")
            assert follower.connections > 1 and not follower.resets and not follower.faults
    wait_until(lambda: len(children(gateway.nginx.master_pid())) == 2, "the end of the old worker processes")
    assert "open socket" not in gateway.nginx.errors()


def test_the_clients_of_a_killed_process_lose_no_event(make_gateway):
    gateway = make_gateway(nginx={"zone": "16m"})
    gateway.expected_alerts = ("exited on signal 9", "was locked by")
    gateway.start()

    def kill():
        before = set(gateway.nginx.worker_pids())
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(gateway.nginx.worker_pids()) == 2 and set(gateway.nginx.worker_pids()) != before, "another one")
    with Follower(gateway.port) as one, Follower(gateway.port) as other:
        wait_until(lambda: one.connections and other.connections, "the streams")
        posted = post_while(gateway, "k", kill, 6)
        for follower in (one, other):
            # A process that is killed in the middle of a write may have made a change that it did not note.
            wait_until(lambda follower=follower: follower.resets or has_all(follower, posted), "all tasks")
            assert not follower.faults


def test_after_an_upgrade_the_events_are_others(make_gateway):
    gateway = make_gateway(daemon=True)
    gateway.start()
    with follow(gateway, "/events") as stream:
        old, _ = gateway.nginx.upgrade()
        os.kill(old, signal.SIGQUIT)
        assert stream.next() is None
        with follow(gateway, "/events", after=stream.last_id) as after:
            assert after.next().kind == "reset"


# Clients that do not read.

def documents(first, count, size=0):
    for number in range(first, first + count):
        document = {"task_id": f"t{number % 50}", "id": f"t{number % 50}", "model_id": "m", "status": "in_progress", "detail": f"change {number}" + "x" * size,
                    "updated_at": "2026-11-24T16:35:12.946412Z", "metadata": {"step": "load"}}
        yield line_of(document, number + 1, sequence=number % 50 + 1)


SLOW = """
    server {{ listen 127.0.0.1:{port} sndbuf=8k; send_timeout 1h; location / {{ rollout_api; }} }}
    server {{ listen 127.0.0.1:{short} sndbuf=8k; send_timeout 1s; location / {{ rollout_api; }} }}
"""


def slow_client(port, path):
    """Has asked and reads nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(DEADLINE_S)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    return client


def memory_kib(pid):
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


def test_a_client_that_does_not_read_costs_no_memory_and_begins_anew(make_gateway):
    gateway = make_gateway(nginx={"workers": 1, "zone": "1m", "worker_arguments": "reconnect=50ms"})
    slow, short = free_port(), free_port()
    gateway.nginx.pieces["http"] = SLOW.format(port=slow, short=short)
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        link.send(type="update", revision=0, filled=True, complete=True)
        link.settle()
        clients = [slow_client(slow, "/events") for _ in range(20)]
        ended = slow_client(short, "/events")
        with follow(gateway, "/events") as quick:
            quick.next("ping")
            sent = 0

            def tell(count):
                nonlocal sent
                link.send(*documents(sent, count), type="update", revision=sent + count)
                link.settle()
                sent += count
                quick.until(lambda event: event.kind == "task" and event.data["detail"] == f"change {sent - 1}")
            for _ in range(10):  # what clients' sockets take, and what the process takes for itself
                tell(50)
            pid, = gateway.nginx.worker_pids()
            before = memory_kib(pid)
            for _ in range(100):
                tell(50)
            assert memory_kib(pid) - before < 4096
        for client in clients:
            text = b""
            while f'"change {sent - 1}"'.encode() not in text and b"event: reset" not in text:
                text += client.recv(65536)
            client.close()
            assert b"event: reset" in text
        wait_until(lambda: "client timed out" in gateway.nginx.errors(), "the end of the one with a time-out")
        ended.close()


# Samples.

def test_samples_have_the_counters_of_the_models_asked_for(gateway):
    for model in ("s1", "s2"):
        gateway.make_model(model, "1")
        gateway.deploy(model)
    gateway.infer("s1")
    with follow(gateway, "/events?samples=1") as of_all, follow(gateway, "/events?model_id=s2&samples=1") as of_one, follow(gateway, "/events") as of_none:
        first = of_all.next("sample").data
        assert first["bounds_ms"] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000]
        counted = {one["model_id"]: one for one in first["models"]}
        blue = counted["s1"]["blue"]
        assert (blue["requests"], blue["failed"], blue["client_errors"]) == (1, 0, 0) and counted["s1"]["green"] is None
        assert sum(blue["buckets"]) == 1 and len(blue["buckets"]) == 16
        assert counted["s2"] == {"model_id": "s2", "part": "", "blue": None, "green": None}
        assert of_one.next("sample").data["models"] == [counted["s2"]]
        gateway.infer("s2")
        gateway.infer("s2")
        # What has not changed is left out.
        later, = of_all.until(lambda event: any(one["blue"]["requests"] == 2 for one in event.data["models"]), "sample").data["models"]
        assert later["model_id"] == "s2"
        of_one.until(lambda event: event.data["models"][0]["blue"] == later["blue"], "sample")
        assert all(event.kind == "ping" for event in list(of_none.events.queue))


def test_the_samples_of_a_task_are_those_of_its_model(make_gateway):
    gateway = make_gateway()
    gateway.start()
    gateway.serve_blue("m")
    gateway.infer("m")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}])
    with follow(gateway, f"/deploy/{task['task_id']}/events?samples=1") as stream:
        model, = stream.next("sample").data["models"]
        assert model["model_id"] == "m" and model["blue"]["requests"] == 1
    gateway.post(f"/deploy/{task['task_id']}/cancel", "")
    gateway.wait(task)
