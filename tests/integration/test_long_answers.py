"""Lists and metrics that are long: made and sent in pieces, with other requests between them, and the same to the last byte."""

import concurrent.futures
import gzip
import json
import socket

import pytest

from gateway import Client
from link import line_of
from pretended_rolloutd import PretendedRolloutd
from processes import DEADLINE_S, LOCATIONS, wait_until

MORE = """
        location = /metrics { rollout_metrics; }
        location = /plain { return 200 plain; }
        location /es/ { rollout_api base=/es dialect=embedding_studio; }
        location /packed/ { gzip on; gzip_types application/json; rollout_api base=/packed; }
"""
ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0, "max_queue": 100000}}
NGINX = {"workers": 1, "zone": "16m", "locations": LOCATIONS + MORE}
TASKS = 1000


@pytest.fixture(scope="module")
def tasks(gateway):
    """The documents of a page of tasks, newest first, as their clients read them."""
    def post(number):
        config = {"text": "é" * (number % 60), "number": 0.1 * number}
        return gateway.post("/deploy", {"model_id": f"m{number}", "config": config}).task()["task_id"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(post, range(TASKS)))
    documents = {task_id: gateway.get(f"/deploy/{task_id}").body for task_id in ids}
    order = [task["task_id"] for task in gateway.get(f"/deploy?limit={TASKS}").json["tasks"]]
    assert sorted(order) == sorted(ids)
    return [documents[task_id] for task_id in order]


def page_of(documents):
    return b'{"tasks":[' + b",".join(documents) + b'],"next_page_token":null}'


def test_a_list_is_its_documents_to_the_byte(gateway, tasks):
    answer = gateway.get(f"/deploy?limit={TASKS}")
    assert answer.body == page_of(tasks)
    assert answer.headers["Content-Length"] == str(len(answer.body)) and len(answer.body) > 500_000
    assert gateway.get("/deploy?limit=1000", If_None_Match="*").status == 304
    head = gateway.request("HEAD", "/deploy?limit=1000")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(answer.body)), b"")
    assert gateway.get("/deploy?status=failed&limit=1000").body == page_of([])


def test_a_list_in_other_words_differs_in_them_alone(gateway, tasks):
    assert gateway.get("/es/deploy?limit=1000").body == page_of(tasks)  # these all wait: pending in either dialect


def test_a_list_may_be_packed(gateway, tasks):
    answer = gateway.get("/packed/deploy?limit=1000", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and gzip.decompress(answer.body) == page_of(tasks)


def test_others_are_served_while_a_client_takes_its_time_with_a_list(gateway, tasks):
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(DEADLINE_S)
        slow.connect(("127.0.0.1", gateway.nginx.port))
        slow.sendall(b"GET /deploy?limit=1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = slow.recv(1000)
        for _ in range(20):
            assert gateway.get("/plain").body == b"plain"
        while part := slow.recv(65536):
            received += part
            if len(received) % 7 == 0:
                assert gateway.get("/plain").body == b"plain"
    assert received.split(b"\r\n\r\n", 1)[1] == page_of(tasks)


def test_a_client_that_leaves_in_the_middle_of_a_list_takes_nobody_along(gateway, tasks):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", gateway.nginx.port), DEADLINE_S) as client:
            client.sendall(b"GET /deploy?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100)
    assert gateway.get(f"/deploy?limit={TASKS}").body == page_of(tasks)
    assert "exited on signal" not in gateway.nginx.errors()


def test_a_list_that_comes_in_parts_is_answered_when_it_is_whole_and_others_meanwhile(make_gateway):
    gateway = make_gateway(nginx={**NGINX, "zone": "8m"})
    documents = [{"task_id": f"t{number}", "id": f"t{number}", "model_id": "m", "embedding_model_id": "m", "status": status}
                 for number, status in enumerate(("in_progress", "completed", "pending"))]
    words = {"in_progress": "processing", "completed": "done", "pending": "pending"}
    texts = [json.dumps(document, separators=(",", ":")).encode() for document in documents]
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd, concurrent.futures.ThreadPoolExecutor(2) as pool:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        for base, expected in (("", texts), ("/es", [text.replace(document["status"].encode(), words[document["status"]].encode())
                                                     for text, document in zip(texts, documents)])):
            asked = pool.submit(Client(gateway.nginx.port).get, f"{base}/deploy?limit=3")
            number = link.receive("list")["id"]
            for position, document in enumerate(documents):
                assert gateway.get("/plain").body == b"plain" and not asked.done()
                link.send(line_of(document, 1), type="listed", id=number, more=True)
            link.settle()
            assert gateway.get("/plain").body == b"plain" and not asked.done()
            link.send(type="listed", id=number, next=7)
            answer = asked.result(DEADLINE_S)
            assert answer.body == b'{"tasks":[' + b",".join(expected) + b'],"next_page_token":"7"}'
            assert answer.headers["Content-Length"] == str(len(answer.body))

        # A client that is gone, and one whose rolloutd is gone before the end.
        with socket.create_connection(("127.0.0.1", gateway.nginx.port), DEADLINE_S) as client:
            client.sendall(b"GET /deploy HTTP/1.1\r\nHost: x\r\n\r\n")
            number = link.receive("list")["id"]
            link.send(line_of(documents[0], 1), type="listed", id=number, more=True)
        link.settle()
        link.send(line_of(documents[1], 1), type="listed", id=number, next=None)
        asked = pool.submit(Client(gateway.nginx.port).get, "/deploy")
        link.send(line_of(documents[0], 1), type="listed", id=link.receive("list")["id"], more=True)
        link.settle()
        link.close()
        asked.result(DEADLINE_S).problem(503)


def test_a_rolloutd_of_before_sends_a_list_in_one_frame(make_gateway):
    gateway = make_gateway(nginx={**NGINX, "zone": "8m"})
    document = {"task_id": "t", "id": "t", "model_id": "m", "embedding_model_id": "m", "status": "completed", "n": 0.5}
    model = {"model_id": "m", "state": "deployed"}
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd, concurrent.futures.ThreadPoolExecutor(2) as pool:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        for path, kind, reply, expected in (
            ("/deploy", "list", {"type": "listed", "tasks": [document, document], "next": 3},
             {"tasks": [document, document], "next_page_token": "3"}),
            ("/es/deploy", "list", {"type": "listed", "tasks": [document], "next": None},
             {"tasks": [{**document, "status": "done"}], "next_page_token": None}),
            ("/deploy", "list", {"type": "listed", "tasks": [], "next": None}, {"tasks": [], "next_page_token": None}),
            ("/models", "models", {"type": "listed_models", "models": [model], "next": "m"}, {"models": [model], "next_page_token": "m"}),
        ):
            asked = pool.submit(Client(gateway.nginx.port).get, path)
            link.send(id=link.receive(kind)["id"], **reply)
            assert asked.result(DEADLINE_S).json == expected
        asked = pool.submit(Client(gateway.nginx.port).get, "/deploy")
        link.send(id=link.receive("list")["id"], type="listed", tasks=None, next=None)
        asked.result(DEADLINE_S).problem(503)


def test_the_metrics_of_many_models_are_whole(make_gateway):
    models = 300
    gateway = make_gateway(nginx={**NGINX, "http": "upstream nowhere { server 127.0.0.1:1; }"})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        routes = [{"model_id": f"m{number}", "part": "", "weight": 0,
                   "blue": {"revision": 1, "upstream": "nowhere", "model": f"m{number}__r1"}} for number in range(models)]
        link.send(type="routes", revision=1, begin=True, end=True, routes=routes)
        link.receive("applied")
        link.close()
    for number in range(models):
        assert gateway.get(f"/v2/models/m{number}/ready").status == 502
    wait_until(lambda: gateway.get("/metrics").body.count(b"rollout_route_duration_seconds_count{") == models, "all the counts")
    answer = gateway.get("/metrics")
    assert answer.headers["Content-Length"] == str(len(answer.body)) and len(answer.body) > 300_000
    lines = answer.body.decode().splitlines()
    for number in range(models):
        assert f'rollout_route_requests_total{{model="m{number}",slot="blue",code_class="5xx"}} 1' in lines
    # Each family is one block, told of once, as Prometheus wants it.
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    where = [at for at, line in enumerate(lines) if line.startswith("rollout_route_requests_total{")]
    assert where == list(range(where[0], where[0] + len(where)))
