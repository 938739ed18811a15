"""Each bound of what grows with what others send: at the bound all goes well, one past it is refused aloud, and nothing grows.
The bounds are listed in docs/reference/bounds.md; those of bodies, documents, names and frames are tested where these are."""

import collections
import contextlib
import http.client
import json
import pathlib
import re
import select
import socket
import sqlite3
import threading

import pytest

import link
from gateway import Client
from processes import BUILD, DEADLINE_S, wait_until

HELD = {"limits": {"max_concurrent_rollouts": 0}}


def peak_kib(pid):
    """The most memory that a process has had."""
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


# Clients that wait.

class Waiter:
    """A request on a connection of its own, which is not read yet."""

    def __init__(self, port, path, method="GET", body="", headers=""):
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def answer(self):
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        body = answer.read()
        self.socket.close()
        return answer.status, body


def test_as_many_clients_wait_as_may_and_one_more_is_told_to_come_again(make_gateway):
    gateway = make_gateway(rolloutd=HELD, nginx={"workers": 1, "worker_arguments": "max_waiting=3"})
    gateway.start()
    task = gateway.post("/deploy", {"model_id": "m"}).task()
    path = f"/deploy/{task['task_id']}"
    waiters = [Waiter(gateway.port, path + "?wait=60") for _ in range(2)]
    assert gateway.get(path + "?wait=1").task()["status"] == "pending"  # the third one, to the end of its second
    waiters.append(Waiter(gateway.port, path + "?wait=60"))

    def refused():
        answer = gateway.get(path + "?wait=1")
        return answer if answer.status != 200 else None
    answer = wait_until(refused, "three that wait")
    assert "max_waiting" in answer.problem(503)["detail"] and int(answer.headers["Retry-After"]) > 0
    # Who does not wait is answered, and so is what has been done.
    assert gateway.get(path).task()["status"] == "pending"
    again = gateway.post("/deploy", {"model_id": "m"}, Prefer="wait=60")
    assert again.task()["status"] == "pending" and "Preference-Applied" not in again.headers

    waiters.pop().socket.close()  # a place is free again
    wait_until(lambda: gateway.get(path + "?wait=1").status == 200, "a free place")
    gateway.post(path + "/cancel", "").task()
    for waiter in waiters:
        status, body = waiter.answer()
        assert status == 200 and json.loads(body)["status"] == "canceled"


# Questions that nginx has under way.

QUESTIONS = 4096  # limits::requests_in_flight


def test_so_many_posts_are_under_way_and_one_more_is_429_though_their_clients_have_gone(make_gateway):
    """rolloutd is silent. A client that goes away leaves its question with rolloutd: it counts until that is answered."""
    gateway = make_gateway(nginx={"workers": 1, "connections": 3000, "worker_arguments": "ack_timeout=600s"})
    rolloutd = link.SilentRolloutd(gateway.rolloutd.socket)
    gateway.nginx.start()
    try:
        wait_until(lambda: "holds all tasks of rolloutd's journal" in gateway.nginx.errors(), "the table")

        def post(number):
            body = f'{{"model_id": "m", "task_id": "t{number}"}}'
            return Waiter(gateway.port, "/deploy", "POST", body, "Content-Type: application/json\r\n")

        for first in range(0, QUESTIONS, 512):
            waiting = [post(first + number) for number in range(512)]
            wait_until(lambda: len(rolloutd.asked) == first + 512, "the posts at rolloutd")
            if first + 512 < QUESTIONS:
                for one in waiting:
                    one.socket.close()
        answer = gateway.post("/deploy", {"model_id": "m", "task_id": "one-more"})
        assert "nothing was created" in answer.problem(429)["detail"] and int(answer.headers["Retry-After"]) > 0
        assert int(gateway.post("/deploy/t1/cancel", "").headers["Retry-After"]) > 0
        gateway.get("/deploy").problem(503)
        assert len(rolloutd.asked) == QUESTIONS
        rolloutd.close()
        assert {one.answer()[0] for one in waiting} == {500}  # not known whether it was taken
    finally:
        rolloutd.close()
    gateway.rolloutd.socket.unlink()
    gateway.rolloutd.start()
    wait_until(lambda: gateway.post("/delete", {"model_id": "m", "task_id": "one-more"}).status == 200, "its way again")


UNSENT_TO_ROLLOUTD = 8 << 20  # worker_link's
SOCKET_BUFFERS = 1 << 20  # more than what the system takes of a connection that nobody reads


def test_so_much_is_unsent_to_rolloutd_and_what_comes_then_is_429(make_gateway):
    """rolloutd reads nothing. What it reads in the end is all that was taken, and no more than may be held back."""
    gateway = make_gateway(nginx={"workers": 1, "worker_arguments": "ack_timeout=600s"})
    rolloutd = link.SilentRolloutd(gateway.rolloutd.socket, deaf=True)
    gateway.nginx.start()
    try:
        wait_until(lambda: "holds all tasks of rolloutd's journal" in gateway.nginx.errors(), "the table")
        body = json.dumps({"model_id": "m", "config": {"a": "x" * 32_000}})
        most = (UNSENT_TO_ROLLOUTD + SOCKET_BUFFERS) // len(body) + 1
        waiting = [Waiter(gateway.port, "/deploy", "POST", body, "Content-Type: application/json\r\n") for _ in range(2 * most)]

        def refused():
            return select.select([one.socket for one in waiting], [], [], 0)[0]
        wait_until(lambda: len(refused()) >= len(waiting) - most, "the refusals")
        assert int(gateway.post("/deploy", body).headers["Retry-After"]) > 0
        gateway.get("/deploy").problem(503)
        known = {one.fileno() for one in refused()}
        assert {one.answer()[0] for one in waiting if one.socket.fileno() in known} == {429}
        rolloutd.listens.set()
        taken = len(waiting) - len(known)
        wait_until(lambda: len(rolloutd.asked) == taken, "what was taken")
        assert sum(len(link.frame(message)) for message in rolloutd.asked) > UNSENT_TO_ROLLOUTD
        waiting.append(Waiter(gateway.port, "/deploy", "POST", body, "Content-Type: application/json\r\n"))
        wait_until(lambda: len(rolloutd.asked) == taken + 1, "its way again")
    finally:
        rolloutd.close()


# What one link may ask of rolloutd, and how many there may be.

def submission(number, **changes):
    return link.submission(number, **{"kind": "delete", "task_id": f"t{number}", **changes})


def hear_answers(peer):
    """Of the next frame that has some."""
    message = peer.receive_type("accepted", "rejected", "refuse")
    assert message["type"] == "accepted", message
    return list(link.answers_in(message))


def test_a_link_may_ask_so_much_at_once_and_not_one_more(make_gateway):
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_unwritten": 1000000}})
    gateway.rolloutd.start()
    stream = link.Gateway(gateway.rolloutd.socket)  # the news go to another link of the gateway
    assert stream.receive_type("welcome")["stream"]
    peer = link.Gateway(gateway.rolloutd.socket)
    assert not peer.receive_type("welcome")["stream"]
    peer.send(*(submission(number) for number in range(QUESTIONS)))
    heard = 0
    while heard < QUESTIONS:
        heard += len(hear_answers(peer))
    # The journal's file is another's for a moment: no answer can come.
    other = sqlite3.connect(gateway.rolloutd.journal, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    peer.send(*(submission(QUESTIONS + number) for number in range(QUESTIONS + 1)))
    reason = peer.refusal()
    other.execute("ROLLBACK")
    assert "4096 questions" in reason
    assert link.Gateway(gateway.rolloutd.socket).receive_type("welcome")


def test_a_link_may_watch_so_much_and_not_one_more(make_gateway):
    most = 65536  # limits::waiting_clients_most
    gateway = make_gateway(rolloutd=HELD)
    gateway.rolloutd.start()
    peer = link.Gateway(gateway.rolloutd.socket)
    peer.receive_type("welcome")
    peer.send(submission(1))
    revision = hear_answers(peer)[0]["revision"]

    def watch(number, after=revision):
        return {"type": "lookup", "id": number, "kind": "delete", "task_id": "t1", "after": after}

    def all_read():
        peer.send({"type": "lookup", "id": 1, "kind": "delete", "task_id": "t1"})
        return peer.receive_type("found", "refuse")["type"] == "found"

    for first in range(2, most + 2, 4096):
        peer.send(*(watch(number) for number in range(first, min(first + 4096, most + 2))))
        assert all_read()
    peer.send(*({"type": "forget", "id": number} for number in range(2, 12)))
    peer.send(*(watch(most + number) for number in range(2, 12)))
    assert all_read()
    peer.send(watch(most + 12))
    assert "65536 clients that wait" in peer.refusal()
    # What it watched has gone with it.
    other = link.Gateway(gateway.rolloutd.socket)
    other.receive_type("welcome")
    other.send(watch(7))
    other.send(watch(7))
    assert "the number of another" in other.refusal()


UNSENT_TO_A_GATEWAY = 64 << 20  # of worker/gateway/session.hpp
UNSENT_WITH_A_PAGE = 8 << 20  # above it a link gets no page of a list
LARGE = {"a": "x" * 32_000}


def two_links(gateway):
    """The first carries the news, and reads none of them."""
    gateway.rolloutd.start(env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    first, other = (link.Gateway(gateway.rolloutd.socket) for _ in range(2))
    assert first.receive_type("welcome")["stream"] and other.receive_type("welcome")
    first.keep_alive()
    for one in (first, other):
        one.socket.settimeout(4 * DEADLINE_S)  # rolloutd has hundreds of MiB to write, with sanitizers
    return first, other


def await_cut(gateway):
    wait_until(lambda: any("does not read what is sent to it" in line["message"] for line in gateway.rolloutd.lines()), "the cut")


def test_a_link_may_leave_so_much_unread_and_not_more(make_gateway):
    gateway = make_gateway(rolloutd=HELD)
    other, peer = two_links(gateway)

    def is_there(name):
        other.send({"type": "lookup", "id": 1, "kind": "delete", "task_id": name})
        return "lines" in other.receive_type("found")

    def ask(*messages, last):
        """Until the answers are on their way: what is asked in order is read in order."""
        peer.send(*messages, submission(0, task_id=last))
        wait_until(lambda: is_there(last), "the answers")

    ask(last="empty")
    peer.send(submission(1, task_id="large", config=LARGE))
    wait_until(lambda: is_there("large"), "the task")
    lookup = {"type": "lookup", "id": 7, "kind": "delete", "task_id": "large"}
    peer.send(lookup)
    assert peer.receive_type("found")
    answer = peer.bytes

    def page(number):
        return {"type": "list", "id": number, "kind": "delete", "limit": 1}

    most = UNSENT_TO_A_GATEWAY // answer - 3  # and a page, and what was accepted
    with_a_page = UNSENT_WITH_A_PAGE // answer
    without = SOCKET_BUFFERS // answer + 2
    ask(*[lookup] * with_a_page, page(8), *[lookup] * without, page(9), *[lookup] * (most - with_a_page - without), last="full")
    answers = collections.Counter()
    while sum(answers.values()) < most + 3:
        message = peer.receive_type("accepted", "found", "listed", "refuse")
        answers[message["type"]] += 1
        assert message["type"] != "listed" or (message["tasks"] is None) == (message["id"] == 9)
    assert answers == {"found": most, "listed": 2, "accepted": 1}
    more = SOCKET_BUFFERS // answer + 2
    with contextlib.suppress(BrokenPipeError):  # the cut may come before the last is written
        peer.send(*[lookup] * (most + more))
    await_cut(gateway)
    assert is_there("full")


def test_news_for_thousands_are_held_back_no_further_for_who_does_not_read(make_gateway):
    """Neither is what the journal says to each of them in memory all at once. It is 512 MiB here, and the answers to all who watch a
    task come in one turn of rolloutd's."""
    gateway = make_gateway(rolloutd=HELD)
    other, peer = two_links(gateway)
    other.send(submission(1, config=LARGE))
    revision = hear_answers(other)[0]["revision"]
    before = peak_kib(gateway.rolloutd.pid)
    watchers = (1 << 29) // len(LARGE["a"])
    peer.send(*({"type": "lookup", "id": number, "kind": "delete", "task_id": "t1", "after": revision}
                for number in range(10, watchers + 10)))
    peer.send({"type": "lookup", "id": 1, "kind": "delete", "task_id": "t1"})
    assert peer.receive_type("found")["id"] == 1  # all have been read
    other.send({"type": "steer", "id": 2, "kind": "delete", "task_id": "t1", "verb": "cancel"})
    assert hear_answers(other)[0]["status"] == "canceled"
    await_cut(gateway)
    # What gathers grows by copying; and ThreadSanitizer notes four bytes for each that is touched.
    slack = 16 if BUILD.name == "build-tsan" else 4
    assert peak_kib(gateway.rolloutd.pid) - before < slack * UNSENT_TO_A_GATEWAY // 1024
    other.send({"type": "lookup", "id": 3, "kind": "delete", "task_id": "t1"})
    assert other.receive_type("found")["id"] == 3


def test_so_many_links_are_served_and_one_more_is_refused(make_gateway):
    gateway = make_gateway()
    gateway.rolloutd.start()
    first = link.Gateway(gateway.rolloutd.socket)
    assert first.receive_type("welcome")  # and who looked whether it is there has gone
    links = [first, *(link.Gateway(gateway.rolloutd.socket, hello=False) for _ in range(1022))]
    last = link.Gateway(gateway.rolloutd.socket)
    assert last.receive_type("welcome", "refuse")["type"] == "welcome"
    more = link.Gateway(gateway.rolloutd.socket)
    assert more.refusal() == "there are 1024 links already"
    links.pop().close()

    def welcome():
        another = link.Gateway(gateway.rolloutd.socket)
        return another.receive_type("welcome", "refuse")["type"] == "welcome"
    wait_until(welcome, "a free place")
    for one in (*links, last, more):
        one.close()


def test_so_many_gateways_are_known_and_one_more_is_refused(make_gateway):
    gateway = make_gateway()
    gateway.rolloutd.start()
    links = [link.Gateway(gateway.rolloutd.socket, f"gateway-{number}") for number in range(64)]
    assert all(one.receive_type("welcome", "refuse")["type"] == "welcome" for one in links)
    more = link.Gateway(gateway.rolloutd.socket, "gateway-64")
    assert more.refusal() == "there are 64 gateways already"
    again = link.Gateway(gateway.rolloutd.socket, "gateway-63")  # another worker process of one that is known
    assert again.receive_type("welcome", "refuse")["type"] == "welcome"
    links.pop().send({"type": "bye"})
    again.send({"type": "bye"})

    def welcome():
        return link.Gateway(gateway.rolloutd.socket, "gateway-65").receive_type("welcome", "refuse")["type"] == "welcome"
    wait_until(welcome, "a free place")
    for one in links:
        one.close()


# A flood.

UNWRITTEN = 16


def test_of_a_flood_the_excess_is_429_and_reads_are_answered(make_gateway):
    """The journal's disk takes half a second for each commit; ten times of what it takes, and more, is posted. What is answered 200
    is there after a crash, the rest is told to come again, and who reads notices nothing."""
    gateway = make_gateway(rolloutd={"limits": {"max_concurrent_rollouts": 0, "max_unwritten": UNWRITTEN}},
                           nginx={"worker_arguments": "ack_timeout=60s"})
    gateway.start()
    gateway.post("/delete", {"model_id": "m", "task_id": "first"}).task()
    over = threading.Event()
    accepted, refused, others, reads = [], [], [], []

    def slow_disk():
        other = sqlite3.connect(gateway.rolloutd.journal, isolation_level=None, timeout=DEADLINE_S)
        while not over.is_set():
            other.execute("BEGIN IMMEDIATE")
            over.wait(0.5)
            before = len(accepted)
            other.execute("ROLLBACK")
            wait_until(lambda: over.is_set() or len(accepted) > before, "a commit")

    def flood(part):
        client = Client(gateway.port, keep=True)
        for number in range(1_000_000):
            if over.is_set():
                return
            answer = client.post("/delete", {"model_id": f"m{part}", "task_id": f"t-{part}-{number}"})
            if answer.status == 200:
                accepted.append(answer.json["task_id"])
            elif answer.status == 429 and "Retry-After" in answer.headers:
                refused.append(answer.problem(429)["detail"])
            else:
                others.append(answer)

    def read():
        client = Client(gateway.port, keep=True)
        while not over.is_set():
            reads.extend(client.request("GET", path, timeout=DEADLINE_S).status
                         for path in ("/delete/first", "/delete-status/m", "/deploy/none"))

    threads = [threading.Thread(target=slow_disk), threading.Thread(target=read)]
    threads += [threading.Thread(target=flood, args=(part,)) for part in range(2 * UNWRITTEN)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: others or (len(accepted) >= 3 * UNWRITTEN and len(refused) >= 10 * len(accepted)), "the flood", 3 * DEADLINE_S)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert others == []
    assert all("max_unwritten" in detail for detail in refused)
    assert len(reads) > 0 and reads.count(200) == 2 * reads.count(404) == 2 * len(reads) // 3
    gateway.rolloutd.kill()
    gateway.rolloutd.start()
    gateway.await_link()
    assert [task for task in accepted if gateway.get(f"/delete/{task}").status != 200] == []


# Bodies.

@pytest.mark.parametrize("padding, status", [(0, 422), (300_000, 413)])
def test_a_body_of_many_small_values_is_refused_before_it_takes_memory(make_gateway, padding, status):
    gateway = make_gateway(rolloutd=HELD)
    gateway.start()
    values = "{}," * ((200_000 + padding) // 3)
    problem = gateway.post("/deploy", f'{{"model_id": "m", "config": {{"a": [{values}1]}}}}').problem(status)
    assert "the limit is 32768" in problem["detail"] if status == 422 else "262144" in problem["detail"]
    spaces = " " * 900_000
    gateway.post("/deploy", f'{{"model_id": "m",{spaces}"config": {{}}}}').task()


def test_keys_and_names_are_as_long_as_nginx_takes_them(make_gateway):
    """large_client_header_buffers, 8 KiB for a line unless the operator says otherwise."""
    gateway = make_gateway()
    gateway.start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    line = 8192
    assert gateway.infer("m", X_User="u" * (line - len("X-User: \r\n"))) == "x"
    assert gateway.infer("m", X_User="u" * line) is None and gateway.last.status == 400
    around = len("GET /v2/models//ready HTTP/1.1\r\n")
    gateway.get(f"/v2/models/{'m' * (line - around)}/ready").problem(404)
    assert gateway.get(f"/v2/models/{'m' * line}/ready").status == 414


def test_sixteen_parts_are_a_model_and_seventeen_are_not(make_gateway):
    gateway = make_gateway(rolloutd={**HELD, "backends": {"default": {"model_name": "{model_id}_{part}__r{revision}"}}})
    gateway.start()
    parts = {f"part{number}": {"source": f"file://{gateway.home}/models/{number}"} for number in range(17)}
    assert "1 to 16" in gateway.post("/deploy", {"model_id": "m", "config": {"parts": parts}}).problem(422)["detail"]
    parts.popitem()
    gateway.post("/deploy", {"model_id": "m", "config": {"parts": parts}}).task()
