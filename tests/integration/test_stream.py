"""What rolloutd says over several links, and in which order it counts."""

from link import line_of
from pretended_rolloutd import PretendedRolloutd

NGINX = {"workers": 2, "worker_arguments": "reconnect=50ms", "locations": """
        location ~ ^/(deploy|delete)(-status)?(/|$) { rollout_api; }
        location ~ ^/served/(?<model>.+)$ { rollout_route $model; return 200 "$rollout_backend_model"; }
"""}


def route(model, revision):
    return {"model_id": model, "weight": 0, "blue": {"revision": revision, "upstream": "inference", "model": f"{model}__r{revision}"}}


def send_routes(link, revision, *routes, full=False):
    link.send(type="routes", revision=revision, routes=list(routes), **({"begin": True, "end": True} if full else {}))


def served(gateway, model):
    return gateway.get(f"/served/{model}").body.decode()


def test_routes_that_come_late_are_left_aside(make_gateway):
    """A worker process that stood still for longer than rolloutd waits reads what it was sent, after another one has taken over."""
    gateway = make_gateway(nginx=NGINX)
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        late, next_one = rolloutd.accept(), rolloutd.accept()
        late.welcome(True)
        send_routes(late, 7, route("m", 7), full=True)
        assert late.receive("applied")["revision"] == 7
        next_one.welcome(True)
        send_routes(next_one, 9, route("m", 9), route("new", 9), full=True)
        assert next_one.receive("applied")["revision"] == 9

        send_routes(late, 8, route("m", 8))
        send_routes(late, 8, route("m", 8), full=True)
        late.send(type="routes", revision=8, routes=[route("m", 8)], begin=True)
        late.send(type="routes", revision=8, routes=[], end=True)
        late.settle(nothing_of="applied")
        assert served(gateway, "m") == "m__r9" and served(gateway, "new") == "new__r9"

        # The same revision again is no older, and what follows counts.
        send_routes(next_one, 9, route("m", 9), full=True)
        assert next_one.receive("applied")["revision"] == 9
        send_routes(next_one, 10, route("m", 10))
        assert next_one.receive("applied")["revision"] == 10
        assert served(gateway, "m") == "m__r10" and served(gateway, "new") == ""


def test_a_full_set_is_as_new_as_its_welcome(make_gateway):
    """The route that changed last may have gone: what is left changed before it."""
    gateway = make_gateway(nginx={**NGINX, "workers": 1})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        send_routes(link, 5, route("stays", 5), route("goes", 5), full=True)
        send_routes(link, 9, {"model_id": "goes", "removed": True})
        link.settle()
        assert served(gateway, "goes") == ""
        link.close()
        link = rolloutd.accept()
        link.welcome(True, revision=9)
        send_routes(link, 5, route("stays", 5), full=True)
        assert link.receive("applied")["revision"] == 5
        assert served(gateway, "stays") == "stays__r5"


def document(detail, task_id="t"):
    return {"task_id": task_id, "id": task_id, "model_id": "m", "embedding_model_id": "m", "status": "pending", "detail": detail}


def send_tasks(link, revision, *documents, complete=True):
    """The last one is of that revision, those before it of the ones before."""
    first = revision - len(documents) + 1
    link.send(*(line_of(one, first + i, sequence=first + i) for i, one in enumerate(documents)), type="update", revision=revision,
              complete=complete)


def test_a_journal_that_was_put_back_from_a_copy_is_followed(make_gateway):
    gateway = make_gateway(nginx={**NGINX, "workers": 1})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True, revision=9)
        send_routes(link, 9, route("m", 9), full=True)
        send_tasks(link, 9, document("from before", "gone"), document("from before"))
        link.settle()
        assert gateway.get("/deploy/t").task() == document("from before")
        link.close()

        link = rolloutd.accept()
        assert link.welcome(True, revision=5)["revision"] == 9
        send_routes(link, 5, route("m", 5), full=True)
        assert link.receive("applied")["revision"] == 5
        send_tasks(link, 5, document("as in the copy"))
        link.settle()
        assert gateway.get("/deploy/t").task() == document("as in the copy") and served(gateway, "m") == "m__r5"
        gateway.get("/deploy/gone").problem(404)
        send_routes(link, 6, route("m", 6))
        send_tasks(link, 6, document("as it went on"))
        link.settle()
        assert gateway.get("/deploy/t").task() == document("as it went on") and served(gateway, "m") == "m__r6"
        assert "looks restored from a backup" in gateway.nginx.errors()


def test_the_stream_begins_anew_where_another_link_has_emptied_the_table(make_gateway):
    """Each worker process hears of a journal that was put back; the one with the stream need not be the first."""
    gateway = make_gateway(nginx=NGINX)
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        links = [rolloutd.accept(), rolloutd.accept()]
        links[0].welcome(True, revision=9)
        links[1].welcome(False, revision=9)
        send_tasks(links[0], 9, document("from before"))
        for link in links:
            link.settle()
            link.close()

        stream, other = rolloutd.accept(), rolloutd.accept()
        hellos = [link.receive("hello")["revision"] for link in (stream, other)]
        assert hellos == [9, 9]
        other.greet(False, revision=5)
        other.settle()
        stream.greet(True, revision=5)
        send_tasks(stream, 6, document("the last"))  # all that is newer than its hello's revision, as it seems
        assert stream.welcome(True, revision=6)["revision"] == 0
        send_tasks(stream, 6, document("the first", "first"), document("the last"))
        stream.settle()
        assert gateway.get("/deploy/first").task() == document("the first", "first")
        assert gateway.get("/deploy/t").task() == document("the last")
