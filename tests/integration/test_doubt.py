"""When a gateway may say that there is no such task: only when it knows."""

import concurrent.futures

from gateway import Client
from link import PROTOCOL, line_of, submissions_in
from pretended_rolloutd import PretendedRolloutd
from processes import DEADLINE_S, wait_until

ARGUMENTS = {"workers": 2, "worker_arguments": "ack_timeout=300ms reconnect=60s"}


def complete(stream):
    stream.send(type="update", revision=0, complete=True)


def statuses(gateway, path="/deploy/t"):
    """Of as many reads as it takes for each worker process to have had some."""
    return {Client(gateway.nginx.port).get(path).status for _ in range(8)}


def lose_a_post(gateway, link, other):
    """A post whose worker process loses its link before it is answered: nobody knows whether there is that task."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while True:
            posted = pool.submit(gateway.post, "/deploy", {"model_id": "m", "task_id": "t"})
            came = {pool.submit(one.receive, "submit"): one for one in (link,)}
            done, _ = concurrent.futures.wait([posted, *came], return_when=concurrent.futures.FIRST_COMPLETED, timeout=DEADLINE_S)
            if posted in done:  # it went to the other worker process, which waited in vain
                assert posted.result().status == 500
                other.receive("submit")
                link.frames.put({"type": "submit"})  # lets go of who waits
                continue
            link.close()
            assert posted.result().status == 500
            return


def test_a_word_from_before_the_doubt_does_not_dispel_it(make_gateway):
    gateway = make_gateway(nginx=ARGUMENTS)
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        stream, link = rolloutd.accept(), rolloutd.accept()
        stream.welcome(True)
        link.welcome(False)
        complete(stream)
        wait_until(lambda: statuses(gateway) == {404}, "the whole table")

        lose_a_post(gateway, link, stream)
        assert 404 not in statuses(gateway)
        # What follows was sent before rolloutd had heard of the doubt.
        complete(stream)
        stream.receive("hello")
        complete(stream)
        stream.settle()
        assert 404 not in statuses(gateway)
        # And this after it.
        stream.send(type="welcome", protocol=PROTOCOL, journal="j" * 32, revision=0, stream=True)
        complete(stream)
        wait_until(lambda: statuses(gateway) == {404}, "the end of the doubt")


def test_a_task_that_was_there_before_is_found_before_the_stream_brings_it(make_gateway):
    """Its first post went through a worker process that was killed before rolloutd's answer came."""
    gateway = make_gateway(nginx={**ARGUMENTS, "workers": 1})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        stream = rolloutd.accept()
        stream.welcome(True)
        complete(stream)
        wait_until(lambda: statuses(gateway) == {404}, "the whole table")
        document = {"task_id": "t", "id": "t", "model_id": "m", "embedding_model_id": "m", "status": "pending", "detail": "It waits."}
        line = line_of(document, revision=7)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            posted = pool.submit(gateway.post, "/deploy", {"model_id": "m", "task_id": "t"})
            asked, = submissions_in(stream.receive("submit"))
            stream.send(b"%d existed %s" % (asked["id"], line), type="accepted")
            assert posted.result(DEADLINE_S).json == document
            read = pool.submit(gateway.get, "/deploy/t")
            stream.send(line, type="found", id=stream.receive("lookup")["id"])
            assert read.result(DEADLINE_S).json == document
