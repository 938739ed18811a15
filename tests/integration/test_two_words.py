"""Two people who steer one task at a time, each by what they have seen of it."""

import concurrent.futures
import threading

import pytest

from gateway import Client
from processes import wait_until


@pytest.mark.parametrize("round", range(3))
def test_of_two_words_for_one_state_of_a_task_one_is_taken(make_gateway, round):
    gateway = make_gateway()
    gateway.start()
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", steps=[{"weight": 10, "hold_s": 600}, {"weight": 50, "hold_s": 600}, {"weight": 100, "hold_s": 0}])
    gateway.await_weight(task, 10)
    ready = threading.Barrier(2)

    def say(verb, etag):
        client = Client(gateway.nginx.port, keep=True)
        client.get(f"/deploy/{task['task_id']}")  # connected
        ready.wait()
        return client.request("POST", f"/deploy/{task['task_id']}/{verb}", headers={"If-Match": etag})

    def is_one_taken():
        etag = gateway.get(f"/deploy/{task['task_id']}").headers["ETag"]
        statuses = sorted(answer.status for answer in pool.map(say, ("promote", "pause"), (etag, etag)))
        assert statuses in ([200, 412], [412, 412]), statuses  # both are refused if the task has gone on by itself since it was read
        return 200 in statuses

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wait_until(is_one_taken, "a word that is taken")
