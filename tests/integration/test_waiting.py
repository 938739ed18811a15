"""Ten thousand clients that wait for one task cost memory only: no thread, no question, no time, and all hear of its end.
ROLLOUT_WAITING_CLIENTS says how many: 20000, say, where the machine has the memory for their sockets."""

import multiprocessing
import os
import pathlib
import resource
import selectors
import socket

import pytest

from gateway import Client
from link import line_of
from pretended_rolloutd import PretendedRolloutd
from processes import LOCATIONS, wait_until

CLIENTS = int(os.environ.get("ROLLOUT_WAITING_CLIENTS", "10000"))

# What a waiting client may take in all processes together: nginx's connection and request, and a line in rolloutd's list; and the
# document that it would be answered with, were there no news.
KIB_A_CLIENT = 40

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0}}
# Open files of a process: of nginx's, which may get nearly all of the clients, and of those who play the clients.
HARD_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
FILES = CLIENTS + 2000 if HARD_LIMIT == resource.RLIM_INFINITY else min(CLIENTS + 2000, HARD_LIMIT)
NGINX = {"workers": 2, "main": f"worker_rlimit_nofile {FILES};", "connections": FILES,
         "locations": LOCATIONS + "location = /status { stub_status; access_log off; }"}
CLIENTS_A_PROCESS = 5000


class Waiting:
    """So many connections with the same request on each, read as they are answered, in processes of their own: a process has only
    so many open files."""

    def __init__(self, gateway, request, count):
        context = multiprocessing.get_context("fork")
        self.pipes = []
        self.processes = []
        for first in range(0, count, CLIENTS_A_PROCESS):
            mine, theirs = context.Pipe()
            part = min(CLIENTS_A_PROCESS, count - first)
            process = context.Process(target=Crowd.run, args=(theirs, gateway.nginx.port, request, part), daemon=True)
            process.start()
            self.pipes.append(mine)
            self.processes.append(process)

    def ask(self, word):
        for pipe in self.pipes:
            pipe.send(word)
        return [pipe.recv() for pipe in self.pipes]

    def read(self):
        """The number of whole answers by now."""
        return sum(self.ask("read"))

    @property
    def answers(self):
        """What the answers are, each kind once: how they begin, and whether they say that the task is canceled."""
        return set().union(*self.ask("answers"))

    def close(self):
        self.ask("close")
        for process in self.processes:
            process.join()


class Crowd:
    """The clients of one process."""

    @staticmethod
    def run(pipe, port, request, count):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        crowd = Crowd(port, request, count)
        while (word := pipe.recv()) != "close":
            pipe.send(crowd.read() if word == "read" else {(answer[:13], b'"status":"canceled"' in answer) for answer in crowd.answers})
        crowd.close()
        pipe.send(None)

    def __init__(self, port, request, count):
        self.selector = selectors.DefaultSelector()
        self.answers = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(request)
            self.selector.register(client, selectors.EVENT_READ, bytearray())

    def read(self):
        """What has come by now; the number of whole answers."""
        for key, _ in self.selector.select(0):
            part = key.fileobj.recv(1 << 20)
            key.data.extend(part)
            if not part:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                self.answers.append(bytes(key.data))
        return len(self.answers)

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def status_of(pid, name):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1])


def heard(pid):
    """Bytes that a process has read, from its sockets too."""
    return int(pathlib.Path(f"/proc/{pid}/io").read_text().split("rchar: ")[1].split()[0])


def cpu_ticks(pids):
    return sum(sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) for pid in pids)


@pytest.mark.parametrize("config", [{}, {"note": "x" * 30000}], ids=["small", "large"])
def test_clients_that_wait_cost_memory_only_and_are_all_answered(gateway, config):
    task = gateway.post("/deploy", {"model_id": "m", "config": config}).task()
    path = f"/deploy/{task['task_id']}"
    known = gateway.get(path)
    etag, document_kib = known.headers["ETag"], len(known.body) / 1024
    pids = [gateway.rolloutd.pid, *gateway.nginx.worker_pids()]

    def sums(name):
        return sum(status_of(pid, name) for pid in pids)

    threads, memory, ticks, before = sums("Threads"), sums("VmRSS"), cpu_ticks(pids), heard(gateway.rolloutd.pid)
    request = f"GET {path}?wait=300 HTTP/1.1\r\nHost: t\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n".encode()
    waiting = Waiting(gateway, request, CLIENTS)
    try:
        wait_until(lambda: f"Writing: {CLIENTS + 1} " in gateway.get("/status").body.decode(), "all clients' requests")
        assert waiting.read() == 0
        # A worker process asks once for all of its clients: a question takes more than sixty bytes.
        assert heard(gateway.rolloutd.pid) - before < 50000 + 10 * CLIENTS
        assert sums("Threads") <= threads + 8  # rolloutd's pool of eight for the journal, whoever asks
        assert sums("VmRSS") - memory <= (KIB_A_CLIENT + document_kib) * CLIENTS
        began = cpu_ticks(pids)
        # While two of rolloutd's pings are answered, nobody asks for anything.
        for _ in range(2):
            so_far = heard(gateway.rolloutd.pid)
            wait_until(lambda: heard(gateway.rolloutd.pid) > so_far, "an answer to a ping")
        assert heard(gateway.rolloutd.pid) - before < 50000 + 10 * CLIENTS
        assert cpu_ticks(pids) - began <= max(10, (began - ticks) / 10)
        gateway.request("POST", path + "/cancel").task()
        wait_until(lambda: waiting.read() == CLIENTS, "the answers of all clients")
        assert waiting.answers == {(b"HTTP/1.1 200 ", True)}
    finally:
        waiting.close()
    assert Client(gateway.nginx.port).get(path).status == 200



def test_a_task_that_changes_often_costs_those_who_wait_no_more(make_gateway):
    """Without an ETag the end is waited for: each change is heard of, and the wait goes on."""
    clients, changes, document_kib = 100, 100, 20
    gateway = make_gateway(nginx={**NGINX, "workers": 1})
    document = {"task_id": "t", "id": "t", "model_id": "m", "status": "in_progress", "detail": "x" * document_kib * 1024}
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        link.send(line_of(document, 1), type="update", revision=1, complete=True)
        link.settle()
        waiting = Waiting(gateway, b"GET /deploy/t?wait=300 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", clients)
        try:
            wait_until(lambda: f"Writing: {clients + 1} " in gateway.get("/status").body.decode(), "all clients' requests")
            worker, = gateway.nginx.worker_pids()
            before = status_of(worker, "VmRSS")
            for revision in range(2, changes + 2):
                asked = link.receive("lookup")
                assert asked["after"] == revision - 1  # once for all of them
                link.send(line_of({**document, "detail": "y" * document_kib * 1024}, revision), type="found", id=asked["id"])
            asked = link.receive("lookup")
            assert status_of(worker, "VmRSS") - before <= 2 * document_kib * clients
            link.send(line_of({**document, "status": "completed"}, changes + 2), type="found", id=asked["id"])
            wait_until(lambda: waiting.read() == clients, "the answers of all clients")
            assert waiting.answers == {(b"HTTP/1.1 200 ", False)}
        finally:
            waiting.close()
