"""rolloutd's client of etcd with real members: answers, refusals, leases, watches, members that come and go."""

import contextlib
import pathlib
import signal

import pytest
from ending import sanitizers_report
from etcd import DRIVER, Client, Cluster, Failed, Relay
from processes import free_port, wait_until

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="built without the client of etcd")

MANY = 128  # etcd's --max-txn-ops
PATIENT_MS = 20000  # a call's time where a slow machine is not to be taken for a silent member
SHORT_MS = 2000     # and where a failure is waited for, as in rolloutd


@pytest.fixture
def make_client(tmp_path, request):
    """Clients, ended with the test: with status 0, nothing left behind, and no word of a sanitizer."""
    made = []

    def make(endpoints=None, **settings):
        made.append(Client(tmp_path, f"client{len(made)}"))
        if endpoints is not None:
            assert made[-1].open(endpoints, **{"timeout_ms": PATIENT_MS, **settings}) is None
        return made[-1]

    yield make
    for client in made:
        status = client.finish()
        log = client.text()
        if request.session.testsfailed:
            print(log)
        assert status == 0, f"the client ended with {status}:\n{log}"
        assert not sanitizers_report(log), sanitizers_report(log)


@pytest.fixture
def make_cluster(tmp_path):
    made = []

    def make(size=1, **settings):
        made.append(Cluster(tmp_path, size, **settings))
        return made[-1].start()

    yield make
    for cluster in made:
        cluster.kill()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One member, for the tests that leave it whole. Each has keys of its own."""
    cluster = Cluster(tmp_path_factory.mktemp("etcd")).start()
    yield cluster
    cluster.kill()


@pytest.fixture
def client(one, make_client):
    return make_client(one.urls)


def absent(key):
    return {"key": key, "of": "created", "is": "=", "number": 0}


def put(key, value):
    return {"do": "put", "key": key, "value": value}


def create(key, value):
    """A transaction of its own, as one of several in another."""
    return {"do": "txn", "compares": [absent(key)], "then": [put(key, value)], "otherwise": [{"do": "range", "key": key}]}


def test_a_key_is_put_read_and_removed(client):
    assert client.get("a/1") is None
    first = client.put("a/1", "one")
    second = client.put("a/1", "two")
    found = client.call("range", key="a/1")["found"]
    assert found == [{"key": "a/1", "value": "two", "size": 3, "created": first, "modified": second, "version": 2, "lease": 0}]
    assert client.call("range", key="a/1", revision=first)["found"][0]["value"] == "one"
    assert client.call("remove", key="a/1")["deleted"] == 1
    assert client.call("remove", key="a/1")["deleted"] == 0
    assert client.get("a/1") is None


def test_a_range_comes_in_pages_of_one_revision(client):
    for number in range(25):
        client.put(f"pages/{number:02}", str(number))
    seen, key, revision = [], "pages/", 0
    while True:
        page = client.call("range", key=key, end="pages0", limit=10, revision=revision, serializable=revision != 0)
        revision = revision or page["revision"]
        seen += [entry["value"] for entry in page["found"]]
        if not page["more"]:
            break
        key = page["found"][-1]["key"] + "\0"
        client.put("pages/99", "newer than the first page")
    assert seen == [str(number) for number in range(25)]
    assert client.call("range", key="pages/", end="pages0", count_only=True) | {"revision": 0, "member": ""} == {
        "revision": 0, "member": "", "found": [], "count": 26, "more": False}
    assert "value" not in client.call("range", key="pages/01", keys_only=True)["found"][0] or \
        client.get("pages/01", keys_only=True) == ""


def test_a_transaction_is_done_as_its_compares_say(client):
    first = client.call("txn", compares=[absent("t/1")], then=[put("t/1", "mine")], otherwise=[{"do": "range", "key": "t/1"}])
    assert first["succeeded"] and first["parts"][0]["revision"] == first["revision"]
    again = client.call("txn", compares=[absent("t/1")], then=[put("t/1", "again")], otherwise=[{"do": "range", "key": "t/1"}])
    assert not again["succeeded"] and again["parts"][0]["found"][0]["value"] == "mine"
    for of, good, bad in (("created", first["revision"], 1), ("modified", first["revision"], 1), ("version", 1, 2), ("lease", 0, 5)):
        for number, holds in ((good, True), (bad, False)):
            told = client.call("txn", compares=[{"key": "t/1", "of": of, "is": "=", "number": number}], then=[], otherwise=[])
            assert told["succeeded"] == holds, (of, number)
    for relation, value, holds in (("=", "mine", True), ("!=", "mine", False), (">", "mina", True), ("<", "mina", False)):
        told = client.call("txn", compares=[{"key": "t/1", "of": "value", "is": relation, "value": value}], then=[], otherwise=[])
        assert told["succeeded"] == holds, (relation, value)


def test_transactions_inside_of_one_fail_alone_and_share_a_revision(client):
    client.put("n/1", "before")
    told = client.call("txn", compares=[], then=[create("n/0", "new"), create("n/1", "new"), create("n/2", "new"),
                                                 {"do": "remove", "key": "n/3"}], otherwise=[])
    assert [part.get("succeeded") for part in told["parts"]] == [True, False, True, None]
    assert told["parts"][1]["parts"][0]["found"][0]["value"] == "before"
    entries = client.call("range", key="n/", end="n0")["found"]
    assert [(entry["key"], entry["value"], entry["modified"] == told["revision"]) for entry in entries] == [
        ("n/0", "new", True), ("n/1", "before", False), ("n/2", "new", True)]


def test_what_is_too_much_is_refused_and_reported(client):
    steps = [create(f"many/{number}", "v") for number in range(MANY)]
    refused = client.failure("txn", compares=[], then=steps, otherwise=[])
    assert refused.what == "refused too_many_operations"
    assert "--max-txn-ops" in refused.sentence
    assert client.call("range", key="many/", end="many0", count_only=True)["count"] == 0
    assert client.call("txn", compares=[], then=steps[1:], otherwise=[])["succeeded"]

    assert client.call("put", key="large", size=1500 * 1024)
    for size in (1600 * 1024, 3 * 1024 * 1024):
        refused = client.failure("put", key="large", size=size)
        assert refused.what == "refused too_large" and "--max-request-bytes" in refused.sentence

    refused = client.failure("txn", compares=[], then=[create("twice", "a"), create("twice", "b")], otherwise=[])
    assert refused.what == "refused duplicate_key"
    assert client.get("twice") is None
    assert client.failure("put", key="", value="x").what == "refused other"


def test_many_calls_at_once_are_each_answered(client):
    numbers = [client.start("put", key=f"at-once/{number}", value=str(number)) for number in range(500)]
    revisions = [client.result(number)["revision"] for number in numbers]
    assert len(set(revisions)) == len(revisions)
    assert client.call("range", key="at-once/", end="at-once0", count_only=True)["count"] == 500


def test_a_read_of_a_revision_that_is_not_there(client):
    revision = client.put("c/1", "one")
    assert client.failure("range", key="c/1", revision=revision + 1000).what == "refused future_revision"
    client.put("c/1", "two")
    client.call("compact", revision=revision + 1, physical=True)
    assert client.failure("range", key="c/1", revision=revision).what == "refused compacted"
    assert client.failure("compact", revision=revision).what == "refused compacted"


def test_a_canceled_read_and_an_abandoned_one(client):
    number = client.start("range", key="x")
    client.start("cancel", call=number)
    with contextlib.suppress(Exception):
        client.result(number)  # either is right: it was quicker, or not
    client.start("abandon", call=client.start("range", key="x"))
    assert client.get("x") is None


def test_the_member_says_how_it_is(client):
    status = client.call("status")
    assert status["version"].startswith("3.") and status["has_leader"] and not status["learner"] and status["errors"] == []
    assert 0 < status["db_used"] <= status["db_size"]


def test_a_lease_is_kept_alive_and_ends_with_its_revocation(client):
    kept = client.start("keep_alive", ttl=2)
    lease = client.result(kept)["lease"]
    client.put("l/1", "here", lease=lease)
    # It outlives one that nobody renews.
    left = client.call("grant", ttl=2)["lease"]
    client.put("l/2", "here", lease=left)
    wait_until(lambda: client.get("l/2") is None, "the end of a lease that nobody renews")
    assert client.get("l/1") == "here"
    assert client.news(kept, "lost") == []
    client.call("revoke", lease=lease)
    assert client.get("l/1") is None
    assert client.await_news(kept, "lost") == ["etcd has ended the lease"]
    assert client.call("renew", lease=lease)["ttl"] == 0
    assert client.failure("revoke", lease=lease).what == "refused lease_not_found"
    assert client.failure("put", key="l/1", value="x", lease=lease).what == "refused lease_not_found"


def test_a_watch_tells_changes_in_order_from_its_revision_on(client):
    revision = client.put("w/1", "before")
    client.put("v/1", "elsewhere")
    watch = client.start("watch", key="w/", end="w0", applied=revision)
    client.call("txn", compares=[], then=[put("w/2", "a"), put("w/3", "b")], otherwise=[])
    client.call("remove", key="w/1")
    told = client.await_events(watch, 3)
    assert [(event["key"], event["deleted"]) for event in told] == [("w/2", False), ("w/3", False), ("w/1", True)]
    assert told[0]["modified"] == told[1]["modified"] < told[2]["modified"]
    everything = client.start("watch", key="w/", end="w0", applied=revision - 1)
    assert [event["key"] for event in client.await_events(everything, 4)] == ["w/1", "w/2", "w/3", "w/1"]
    client.call("unwatch", watch=watch)
    client.put("w/4", "unseen")
    assert client.await_events(everything, 5)[-1]["key"] == "w/4"
    assert len(client.events(watch)) == 3


def test_a_watch_goes_on_only_when_its_owner_has_taken_in_what_it_has(client):
    revision = client.put("h/0", "before")
    watch = client.start("watch", key="h/", end="h0", applied=revision, held=True)
    client.put("h/1", "one")
    first = client.await_events(watch, 1)
    for number in range(2, 20):
        client.put(f"h/{number}", "more")
    assert len(client.events(watch)) == 1
    client.start("applied", watch=watch, revision=first[0]["modified"])
    wait_until(lambda: len(client.events(watch)) > 1, "the next events")
    assert client.events(watch)[1]["key"] == "h/2"


def test_large_changes_come_in_fragments_that_keep_revisions_whole(client):
    """A response of all of them would be larger than gRPC's usual bound, and than etcd's for a request."""
    revision = client.put("f/0", "before")
    for number in range(20):
        client.call("txn", compares=[], then=[{"do": "put", "key": f"f/{number}/{half}", "size": 700 * 1024} for half in "ab"], otherwise=[])
    watch = client.start("watch", key="f/", end="f0", applied=revision)
    told = client.await_events(watch, 40)
    assert [event["key"] for event in told] == [f"f/{number}/{half}" for number in range(20) for half in "ab"]
    batches = client.news(watch, "events")
    assert len(batches) > 1
    for batch in batches:
        assert len(batch) % 2 == 0 and batch[0]["modified"] == batch[1]["modified"]
    client.call("remove", key="f/", end="f0")


def test_a_watch_of_what_is_compacted_says_so(make_cluster, make_client):
    client = make_client(make_cluster().urls)
    revisions = [client.put("k", str(number)) for number in range(10)]
    client.call("compact", revision=revisions[-1], physical=True)
    watch = client.start("watch", key="k", applied=revisions[2])
    assert client.await_news(watch, "compacted") == [revisions[-1]]
    client.put("k", "unseen")
    behind = client.start("watch", key="k", applied=revisions[-1])
    assert client.await_events(behind, 1)[0]["value"] == "unseen"
    assert client.events(watch) == []


def test_one_dead_endpoint_of_three_keeps_nobody_from_starting(one, make_client):
    for host in "abcdef":  # which begin with different ones
        dead = [f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"]
        client = make_client([*dead, *one.urls], host=host)
        revision = client.put(f"dead/{host}", "x")
        watch = client.start("watch", key=f"dead/{host}", applied=revision - 1)
        assert client.await_events(watch, 1)


def test_calls_and_a_watch_go_on_when_their_member_is_killed(make_cluster, make_client):
    cluster = make_cluster(3)
    client = make_client(cluster.urls)
    status = client.call("status")
    watch = client.start("watch", key="k/", end="k0", applied=0)
    written = [client.put(f"k/{number}", "v") for number in range(5)]
    client.await_events(watch, 5)
    used = next(member for member in cluster.members if f'"member": "{member.url}"' in client.text()
                or f'"member":"{member.url}"' in client.text())
    used.kill()
    # A change under way may be unknown; a read is not.
    client.until_it_works("put", key="k/5", value="v")
    assert client.get("k/4") == "v"
    assert client.call("status")["member"] != status["member"]
    for number in range(6, 10):
        written.append(client.until_it_works("put", key=f"k/{number}", value="v")["revision"])
    wait_until(lambda: {event["key"] for event in client.events(watch)} == {f"k/{number}" for number in range(10)}, "all events")
    told = [event["modified"] for event in client.events(watch)]
    assert told == sorted(set(told)), "each revision comes once, in order"
    assert [why["cause"] for why in client.news(watch, "trouble")][0] == "unreachable"


def test_a_silent_member_is_left_and_what_was_sent_to_it_is_unknown(make_cluster, make_client):
    cluster = make_cluster(3)
    follower = next(member for member in cluster.members if not member.is_leader())
    others = [member.url for member in cluster.members if member is not follower]
    client = make_client([follower.url, others[0]], host=host_that_begins_with(0, 2), timeout_ms=SHORT_MS)
    client.until_it_works("put", key="s/1", value="before")
    watch = client.start("watch", key="s/", end="s0", applied=0, silence_ms=1000)
    client.await_events(watch, 1)
    follower.send_signal(signal.SIGSTOP)
    lost = client.failure("put", key="s/2", value="when it wakes")
    assert lost.what == "unknown timed_out" and f"{follower.url} does not answer within" in lost.sentence
    client.until_it_works("put", key="s/1", value="after")
    wait_until(lambda: client.events(watch)[-1]["value"] == "after", "the last event, from another member")
    follower.send_signal(signal.SIGCONT)


def test_a_change_whose_answer_is_lost_is_unknown_and_made(one, make_client):
    relay = Relay(one.members[0].port)
    client, other = make_client([relay.url], timeout_ms=SHORT_MS), make_client(one.urls)
    try:
        client.until_it_works("put", key="u/1", value="before")
        relay.answers.clear()
        lost = client.failure("txn", compares=[absent("u/2")], then=[put("u/2", "by me")], otherwise=[])
        assert lost.what == "unknown timed_out"
        assert other.get("u/2") == "by me"
        # The next one is not sent before the member has answered again: it is certain.
        assert client.failure("put", key="u/1", value="after").what == "unavailable timed_out"
        assert other.get("u/1") == "before"
        relay.answers.set()
        # Said once more, it fails by its compare, and the value read back says whose it is.
        again = client.until_it_works("txn", compares=[absent("u/2")], then=[put("u/2", "by me")], otherwise=[{"do": "range", "key": "u/2"}])
        assert not again["succeeded"] and again["parts"][0]["found"][0]["value"] == "by me"
    finally:
        relay.close()


def test_a_read_is_asked_again_at_the_next_member_when_its_connection_breaks(one, make_client):
    relay = Relay(one.members[0].port)
    client = make_client([relay.url, one.urls[0]], host=host_that_begins_with(0, 2))
    direct = make_client([one.urls[0]])
    client.put("b/1", "v")
    assert relay.url in client.text()
    relay.answers.clear()
    reads = [client.start("range", key="b/1") for _ in range(10)]
    change = client.start("put", key="b/2", value="v")
    wait_until(lambda: direct.call("range", key="b/2")["count"] == 1, "the change to be made")  # all have been sent
    relay.close()
    assert [client.result(number)["count"] for number in reads] == [1] * 10
    with pytest.raises(Failed) as why:
        client.result(change)
    assert why.value.what == "unknown unreachable"


def host_that_begins_with(index, count):
    """A host's name that FNV-1a puts there."""
    for number in range(1000):
        name, hashed = f"host{number}", 0xCBF29CE484222325
        for byte in name.encode():
            hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
        if hashed % count == index:
            return name
    raise AssertionError


def test_a_read_that_its_member_does_not_answer_is_unavailable(make_cluster, make_client):
    cluster = make_cluster()
    client = make_client(cluster.urls, timeout_ms=SHORT_MS)
    client.until_it_works("put", key="k", value="v")
    cluster.members[0].send_signal(signal.SIGSTOP)
    assert client.failure("range", key="k").what == "unavailable timed_out"
    # Nothing is sent to one that does not say how it is: so this is certain.
    assert client.failure("put", key="k", value="w").what == "unavailable timed_out"
    cluster.members[0].send_signal(signal.SIGCONT)
    assert client.until_it_works("range", key="k")["found"][0]["value"] == "v"


def test_all_down_and_back(make_cluster, make_client):
    cluster = make_cluster()
    client = make_client(cluster.urls, timeout_ms=SHORT_MS)
    revision = client.until_it_works("put", key="k", value="v")["revision"]
    watch = client.start("watch", key="k", applied=revision)
    kept = client.start("keep_alive", ttl=2)
    client.result(kept)
    cluster.members[0].kill()
    down = client.failure("put", key="k", value="w")
    assert down.kind in ("unavailable", "unknown") and down.cause == "unreachable"
    down = client.failure("put", key="k", value="w")
    assert down.what == "unavailable unreachable" and "Connection refused" in down.sentence
    assert client.failure("range", key="k").what == "unavailable unreachable"
    assert "was not renewed within 2 s" in client.await_news(kept, "lost")[0]
    # One attempt a second of each of the two, whatever is asked.
    before = len(client.news(watch, "trouble"))
    numbers = [client.start("range", key="k") for _ in range(50)]
    for number in numbers:
        with pytest.raises(Exception, match="unreachable"):
            client.result(number)
    assert len(client.news(watch, "trouble")) - before <= 4
    cluster.members[0].start()
    client.until_it_works("put", key="k", value="back")
    assert client.await_events(watch, 1)[-1]["value"] in ("w", "back")
    wait_until(lambda: client.events(watch)[-1]["value"] == "back", "the last event")


def test_a_member_without_a_leader_is_left(make_cluster, make_client):
    """Two of three are gone. The third answers, and must not be waited for."""
    cluster = make_cluster(3)
    client = make_client(cluster.urls, timeout_ms=SHORT_MS)
    client.until_it_works("put", key="k", value="v")
    watch = client.start("watch", key="k", applied=0)
    client.await_events(watch, 1)
    left, *killed = cluster.members
    for member in killed:
        member.kill()
    alone = make_client([left.url], timeout_ms=SHORT_MS)

    def has_no_leader():
        with contextlib.suppress(AssertionError):
            return alone.failure("range", key="k").what == "unavailable no_leader"
        return False
    wait_until(has_no_leader, "a member without a leader")
    lost = alone.failure("put", key="k", value="w")
    assert lost.what == "unavailable no_leader" and "no leader" in lost.sentence
    assert client.failure("range", key="k").kind == "unavailable"
    killed[0].start()
    client.until_it_works("put", key="k", value="again")
    wait_until(lambda: client.events(watch)[-1]["value"] == "again", "the last event")


def test_a_full_etcd_says_what_to_do_and_still_answers_reads(make_cluster, make_client):
    cluster = make_cluster(arguments=["--quota-backend-bytes", str(16 * 1024 * 1024)])
    client = make_client(cluster.urls)
    kept = client.call("grant", ttl=60)["lease"]

    def is_full():
        try:
            client.call("put", key="k", size=1024 * 1024)
            return None
        except Exception as why:
            return why if why.cause == "no_space" else None
    full = wait_until(is_full, "the end of the quota")
    assert full.kind == "refused" and "etcdctl alarm disarm" in full.sentence
    assert client.failure("grant", ttl=60).what == "refused no_space"
    assert client.call("range", key="k")["count"] == 1
    assert client.call("renew", lease=kept)["ttl"] == 60
    assert any("NOSPACE" in error for error in client.call("status")["errors"])
    assert client.call("remove", key="k")["deleted"] == 1


def test_a_client_ends_with_its_calls_under_way_and_leaves_no_thread(make_cluster, make_client):
    cluster = make_cluster()
    client = make_client()
    alone = client.launch_driver().threads()
    client.open(cluster.urls, timeout_ms=PATIENT_MS)
    client.put("k", "v")
    assert client.threads() > alone
    for stopped in (False, True):
        if stopped:
            cluster.members[0].send_signal(signal.SIGSTOP)
        for number in range(100):
            client.start("range", key="k")
            client.start("put", key=f"k/{number}", size=10000)
        for _ in range(3):
            client.start("watch", key="k", applied=0)
        client.close()
        cluster.members[0].send_signal(signal.SIGCONT)
        wait_until(lambda: client.threads() == alone, "the end of all threads")
        assert client.open(cluster.urls) is None
        client.until_it_works("range", key="k")
    cluster.members[0].send_signal(signal.SIGSTOP)
    client.start("range", key="k")
    client.start("keep_alive", ttl=5)
    assert client.finish() == 0
    cluster.members[0].send_signal(signal.SIGCONT)


def test_no_thread_of_grpcs_receives_the_signals_that_are_for_the_loop(one, make_client):
    client = make_client(one.urls)
    revision = client.put("signals", "v")
    watch = client.start("watch", key="signals", applied=revision - 1)
    client.await_events(watch, 1)
    masks = [int(line.split()[1], 16) for status in pathlib.Path(f"/proc/{client.pid}/task").glob("*/status")
             for line in status.read_text().splitlines() if line.startswith("SigBlk:")]
    assert len(masks) > 3
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        assert all(mask >> (number - 1) & 1 for mask in masks), number
    assert client.stop(signal.SIGTERM) == 0


def test_a_client_that_never_finds_a_member_ends_as_well(make_client):
    client = make_client()
    alone = client.launch_driver().threads()
    client.open([f"http://127.0.0.1:{free_port()}"], timeout_ms=SHORT_MS)
    client.start("range", key="k")
    client.start("watch", key="k", applied=0)
    assert client.failure("range", key="k").what == "unavailable unreachable"
    client.close()
    wait_until(lambda: client.threads() == alone, "the end of all threads")
