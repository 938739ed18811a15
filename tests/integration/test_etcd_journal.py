"""Journals of several hosts in one etcd: each answers for all, whatever becomes of etcd's members."""

import contextlib
import socket

import pytest
from ending import sanitizers_report
from etcd import JOURNAL_DRIVER, Client, Cluster, Journals, Relay
from processes import wait_until

pytestmark = pytest.mark.skipif(not JOURNAL_DRIVER.exists(), reason="built without the client of etcd")

PREFIX = Journals.prefix


@pytest.fixture
def make_cluster(tmp_path):
    made = []

    def make(size=1, **settings):
        made.append(Cluster(tmp_path, size, **settings))
        return made[-1].start()

    yield make
    for cluster in made:
        cluster.kill()


@pytest.fixture
def ended(request):
    """Drivers, ended with the test: with status 0, nothing left behind, and no word of a sanitizer."""
    made = []
    yield made.append
    for driver in made:
        status = driver.finish()
        log = driver.text()
        if request.session.testsfailed:
            print(log)
        assert status == 0, f"{driver.program.name} ended with {status}:\n{log}"
        assert not sanitizers_report(log), sanitizers_report(log)


@pytest.fixture
def journals(tmp_path, ended):
    driver = Journals(tmp_path, "journals")
    ended(driver)
    return driver


@pytest.fixture
def make_client(tmp_path, ended):
    def make(endpoints):
        client = Client(tmp_path, "client")
        ended(client)
        assert client.open(endpoints, timeout_ms=20000) is None
        return client
    return make


def test_a_task_created_at_one_journal_is_found_at_the_others(make_cluster, journals):
    cluster = make_cluster()
    for name in "abc":
        journals.open_journal(name, cluster.urls)
    made = journals.create("a", "t1")
    assert made["creation"] == "created" and made["row"]["revision"] == made["row"]["sequence"] > 0
    assert journals.find("b", "t1") == journals.find("c", "t1") == made["row"]
    assert journals.create("b", "t1")["creation"] == "existed"
    conflict = journals.create("c", "t1", body="another")
    assert conflict["creation"] == "conflict" and conflict["row"] == made["row"]
    assert journals.create("c", "t2", only_find=True)["creation"] == "absent"
    assert journals.find("b", "t2") is None
    assert journals.create("c", "t1", only_find=True)["creation"] == "existed"

    saved = journals.save("a", "t1", "begun", status="in_progress", with_model=True)
    assert saved["outcome"] == "ok" and saved["revision"] > made["row"]["revision"]
    there = journals.find("b", "t1")
    assert there == made["row"] | {"status": "in_progress", "detail": "begun", "revision": saved["revision"]}
    assert journals.call("find_latest", journal="c", model_id="m")["row"] == there
    assert journals.call("models", journal="c")["models"] == {"m": saved["revision"]}
    assert journals.call("count", journal="b")["count"] == 1
    states = [journals.state(name) for name in "abc"]
    assert len({state["journal_id"] for state in states}) == 1 and len(states[0]["journal_id"]) == 32
    assert [state["unfinished"] for state in states] == [1, 1, 1]
    journals.await_same("a", "b", "c")


def test_creates_at_one_journal_are_found_at_once_at_the_others(make_cluster, journals):
    cluster = make_cluster(3)
    for name in "abc":
        journals.open_journal(name, cluster.urls)
    told = journals.call("burst", at="a", elsewhere=["b", "c"], prefix="t-", count=2000)
    assert told == {"created": 2000, "existed": 0, "repeated": 0, "lookups": 4000, "unanswered": 0, "missed": 0, "wrong": 0}
    rows = journals.await_same("a", "b", "c")
    assert len(rows) == 2000
    assert all(journals.state(name)["resynchronised"] == 1 for name in "abc")  # the first time


def test_of_two_bodies_for_one_id_one_wins(make_cluster, journals):
    cluster = make_cluster()
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    numbers = [(journals.start("create", journal=name, task_id=f"t{i}", model_id="m", body=name)) for i in range(50) for name in "ab"]
    told = [journals.result(number) for number in numbers]
    for first, second in zip(told[::2], told[1::2], strict=True):
        assert {first["creation"], second["creation"]} == {"created", "conflict"}
        assert first["row"] == second["row"]
    assert len(journals.await_same("a", "b")) == 50


def test_what_is_answered_survives_members_that_are_killed(request, make_cluster, journals):
    kills, count = (40, 10_000) if request.config.getoption("--long") else (4, 500)
    cluster = make_cluster(3)
    for name in "abc":
        journals.open_journal(name, cluster.urls)
    bursts = [journals.start("burst", at=name, elsewhere=[other for other in "abc" if other != name], prefix=f"{name}-", count=count, at_once=4)
              for name in "abc"]
    for round_ in range(kills):
        wait_until(lambda: journals.state("a")["news"] > count * 3 // 10 * 9 // kills * round_, "the burst to go on")
        victim = cluster.leader() if round_ % 2 else cluster.members[round_ % 3]
        victim.kill()
        cluster.start_again()
    told = [journals.result(number) for number in bursts]
    for one in told:
        # One whose answer was lost, and which was repeated, may have been there: never more than were repeated.
        assert one["created"] + one["existed"] == count
        assert one["existed"] <= one["repeated"]
        assert one["missed"] == one["wrong"] == 0, told
    for name in "abc":
        journals.await_following(name)
    rows = journals.await_same("a", "b", "c")
    assert len({row["task_id"] for row in rows}) == len(rows) == 3 * count


def test_a_replica_goes_on_from_where_it_was(make_cluster, journals):
    cluster = make_cluster()
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    journals.create("a", "t1")
    journals.await_same("a", "b")
    journals.call("close", journal="b")
    for number in range(2, 30):
        journals.create("a", f"t{number}")
    journals.save("a", "t1", "changed meanwhile")
    journals.open_journal("b", cluster.urls)
    assert journals.find("b", "t29") is not None
    assert len(journals.await_same("a", "b")) == 29
    state = journals.state("b")
    assert state["resynchronised"] == 0 and state["news"] == 29


def test_a_replica_that_compaction_has_passed_by_reads_everything(make_cluster, make_client, journals):
    cluster = make_cluster()
    client = make_client(cluster.urls)
    relay = Relay(cluster.members[0].port)
    try:
        journals.open_journal("a", cluster.urls)
        journals.open_journal("b", [relay.url])
        journals.create("a", "t0")
        journals.await_same("a", "b")
        relay.answers.clear()  # b's watch is open, and told of nothing
        for number in range(1, 1200):
            journals.start("create", journal="a", task_id=f"t{number}", model_id="m", body="")
        assert journals.find("a", "t1199") is not None or journals.result(journals.last - 1)
        journals.save("a", "t0", "changed meanwhile")
        newest = client.put("elsewhere", "x")
        client.call("compact", revision=newest, physical=True)
        relay.close()
        relay = Relay(cluster.members[0].port)
        journals.call("close", journal="b")
        journals.open_journal("b", [relay.url])
        assert journals.state("b")["resynchronised"] == 1 and not journals.state("b")["was_other"]
        assert journals.find("b", "t0")["detail"] == "changed meanwhile"
        assert len(journals.await_same("a", "b")) == 1200
    finally:
        relay.close()


def test_an_etcd_that_was_put_back_from_a_copy_is_noticed(make_cluster, journals, tmp_path):
    cluster = make_cluster(3)
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    for number in range(20):
        journals.create("a", f"kept{number}")
    before = journals.await_same("a", "b")
    cluster.kill()
    cluster.copy(tmp_path / "copy")
    cluster.start_again()
    for number in range(20):
        made = journals.create("a", f"gone{number}")
        if number:  # the first one may have found no member yet
            assert made["outcome"] == "ok", made
    journals.await_same("a", "b")
    cluster.kill()
    cluster.put_back(tmp_path / "copy")
    cluster.start_again()
    for name in "ab":
        wait_until(lambda name=name: journals.state(name)["resynchronised"] == 2, f"journal {name} to read everything")
        journals.await_following(name)
        assert journals.state(name)["was_other"]
    assert journals.await_same("a", "b") == before
    assert journals.find("b", "gone5") is None
    assert journals.create("b", "gone5")["creation"] == "created"
    assert journals.find("a", "gone5") is not None


def test_an_etcd_that_was_put_back_and_went_on_is_noticed_all_the_same(make_cluster, make_client, journals, tmp_path):
    """Its revision is not lower by then."""
    cluster = make_cluster()
    journals.open_journal("a", cluster.urls)
    journals.create("a", "kept")
    journals.await_same("a")
    journals.call("close", journal="a")
    cluster.kill()
    cluster.copy(tmp_path / "copy")
    cluster.start_again()
    journals.open_journal("a", cluster.urls)
    journals.create("a", "gone")
    journals.await_same("a")
    journals.call("close", journal="a")
    cluster.kill()
    cluster.put_back(tmp_path / "copy")
    cluster.start_again()
    journals.open_journal("b", cluster.urls)
    for number in range(10):
        journals.create("b", f"later{number}")
    journals.open_journal("a", cluster.urls)
    assert journals.state("a")["was_other"]
    assert journals.find("a", "gone") is None
    assert len(journals.await_same("a", "b")) == 11


def test_writes_under_a_token_that_is_over_are_lost(make_cluster, make_client, journals):
    cluster = make_cluster()
    client = make_client(cluster.urls)
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    token = client.put(f"{PREFIX}s/leader", "a")
    journals.call("lead", journal="a", token=token)
    journals.create("b", "t1")
    journals.find("a", "t1")
    assert journals.save("a", "t1", "by the leader", with_model=True)["outcome"] == "ok"

    def ticks():
        return client.call("range", key=f"{PREFIX}s/rev")["found"][0]["version"]
    first = ticks()
    wait_until(lambda: ticks() >= first + 2, "ticks")

    client.call("remove", key=f"{PREFIX}s/leader")
    second = client.put(f"{PREFIX}s/leader", "b")
    journals.call("lead", journal="b", token=second)
    lost = journals.save("a", "t1", "by one that leads no more", with_model=True)
    assert lost["outcome"] == "lost" and "another rolloutd leads" in lost["detail"]
    assert journals.find("b", "t1")["detail"] == "by the leader"
    assert journals.save("b", "t1", "by the new one")["outcome"] == "ok"
    assert journals.find("a", "t1")["detail"] == "by the new one"


def test_ended_tasks_are_purged_everywhere_but_for_the_latest_of_a_model(make_cluster, journals):
    cluster = make_cluster()
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    for number in range(20):
        journals.create("a", f"t{number}")
        assert journals.save("a", f"t{number}", "done", status="completed", with_model=True)["outcome"] == "ok"
    journals.create("a", "open")
    journals.await_same("a", "b")
    assert journals.call("purge", journal="a") == {"outcome": "ok", "detail": "", "removed": 19}
    rows = wait_until(lambda: len(there := journals.rows("b")) == 2 and there, "the end of the old ones at b")
    assert {row["task_id"] for row in rows} == {"t19", "open"}
    journals.await_same("a", "b")


def series_at(journals, name, task_id):
    """The document; None: there is no such deployment."""
    told = journals.call("find_series", journal=name, task_id=task_id)
    assert told["outcome"] == "ok", told
    return told.get("document")


def test_a_series_is_found_everywhere_also_after_everything_was_read_anew(make_cluster, make_client, journals):
    cluster = make_cluster()
    client = make_client(cluster.urls)
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    for number in range(25):
        journals.create("a", f"t{number}", model_id="m")
    for document in ("first", "second " * 2000):
        assert journals.call("save_series", journal="a", task_id="t0", model_id="m", document=document)["outcome"] == "ok"
        assert series_at(journals, "b", "t0") == document
    assert series_at(journals, "b", "t1") == ""
    assert series_at(journals, "b", "nobody") is None
    for number in range(1, 25):
        assert journals.call("save_series", journal="a", task_id=f"t{number}", model_id="m", document=f"of {number}")["outcome"] == "ok"
        journals.await_same("a", "b")
    # As many of a model stay as in a file; the last removals follow the last write.
    journals.call("save_series", journal="a", task_id="t24", model_id="m", document="of 24, later")
    kept = {f"t{number}" for number in range(5, 25)}

    def stored():
        found = client.call("range", key=f"{PREFIX}s/series/", end=f"{PREFIX}s/series0", keys_only=True)["found"]
        return {entry["key"].rpartition("/")[2] for entry in found}
    wait_until(lambda: stored() == kept, "the end of the oldest")
    wait_until(lambda: {f"t{number}" for number in range(25) if series_at(journals, "b", f"t{number}")} == kept, "the same at b")
    journals.open_journal("c", cluster.urls)  # which reads everything
    assert series_at(journals, "c", "t24") == "of 24, later"
    assert series_at(journals, "c", "t5") == "of 5" and series_at(journals, "c", "t4") == ""
    # A task that is purged takes its own along.
    journals.find("a", "t5")
    journals.find("a", "t6")
    for task_id in ("t5", "t6"):
        assert journals.save("a", task_id, "done", status="completed", with_model=task_id == "t6")["outcome"] == "ok"
    journals.await_same("a", "b")
    assert journals.call("purge", journal="a")["removed"] == 1
    wait_until(lambda: stored() == kept - {"t5"}, "the end of the series")
    wait_until(lambda: series_at(journals, "c", "t5") is None, "the end of the task")
    cluster.kill()
    assert series_at(journals, "b", "t24") == "of 24, later"
    missed = journals.call("find_series", journal="b", task_id="nobody")
    assert missed["outcome"] == "transient" and "etcd does not answer" in missed["detail"]


def test_an_etcd_without_space_says_so_and_reads_go_on(make_cluster, make_client, journals):
    cluster = make_cluster(arguments=["--quota-backend-bytes", str(16 * 1024 * 1024)])
    client = make_client(cluster.urls)
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    journals.create("a", "t1")
    with contextlib.suppress(Exception):
        for number in range(100):
            client.call("put", key=f"full/{number}", size=1024 * 1024)
    refused = journals.create("a", "t2")
    assert refused["outcome"] == "transient"
    assert "quota is used up" in refused["detail"] and "etcdctl alarm disarm" in refused["detail"]
    assert journals.find("b", "t1") is not None
    assert journals.find("b", "t2") is None
    assert journals.state("a")["failed_attempts"] == 1


def test_with_etcd_away_reads_are_answered_by_what_is_known(make_cluster, journals):
    cluster = make_cluster()
    for name in "ab":
        journals.open_journal(name, cluster.urls)
    made = journals.create("a", "t1")
    journals.await_same("a", "b")
    cluster.kill()
    assert journals.find("b", "t1") == made["row"]
    assert journals.call("find_latest", journal="b", model_id="m")["row"] == made["row"]
    missed = journals.call("find", journal="b", task_id="t2")  # it may be there all the same
    assert missed["outcome"] == "transient" and "etcd does not answer" in missed["detail"]
    failed = journals.create("a", "t2")
    assert failed["outcome"] == "transient" and "cannot be reached" in failed["detail"]
    wait_until(lambda: "cannot be reached" in journals.state("b")["trouble"], "a word about etcd")
    cluster.start_again()
    for name in "ab":
        journals.await_following(name)
    assert journals.create("a", "t2")["creation"] in ("created", "existed")
    assert journals.find("b", "t2") is not None
    journals.await_same("a", "b")


def test_a_damaged_entry_is_left_out_and_named(make_cluster, make_client, journals):
    cluster = make_cluster()
    client = make_client(cluster.urls)
    journals.open_journal("a", cluster.urls)
    client.put(f"{PREFIX}s/tasks/bad", "nothing of ours")
    client.put(f"{PREFIX}s/tasks/a b", "nothing of ours")
    client.put(f"{PREFIX}s/models/bad", "0 w\n{")
    client.put(f"{PREFIX}s/of/a/newer/one", "x")
    journals.create("a", "t1")
    journals.open_journal("b", cluster.urls)
    assert [row["task_id"] for row in journals.await_same("a", "b")] == ["t1"]
    log = journals.text()
    for key in ("tasks/bad", "models/bad", "tasks/a b"):
        assert log.count(f'\\"{PREFIX}s/{key}\\"') == 2, log
    taken = journals.create("a", "bad")
    assert taken["outcome"] == "permanent" and f'"{PREFIX}s/tasks/bad"' in taken["detail"]


def test_a_cluster_of_a_newer_format_is_not_touched(make_cluster, make_client, journals):
    cluster = make_cluster()
    client = make_client(cluster.urls)
    journals.open_journal("a", cluster.urls)
    journals.create("a", "t1")
    meta = client.get(f"{PREFIX}s/meta")
    newer = '{"id":"%s","format":9,"oldest_reader":9}' % journals.state("a")["journal_id"]
    revision = client.put(f"{PREFIX}s/meta", newer)
    wait_until(lambda: "Upgrade it" in journals.state("a")["trouble"], "the word about the format")
    refused = journals.create("a", "t2")
    assert refused["outcome"] == "transient" and "Upgrade it" in refused["detail"]
    assert client.call("range", key=f"{PREFIX}s/", end=f"{PREFIX}s0")["revision"] == revision
    client.put(f"{PREFIX}s/meta", meta)
    journals.await_following("a")
    assert journals.create("a", "t2")["creation"] == "created"


def test_a_journal_that_opens_before_etcd_is_there_joins_it_later(make_cluster, journals):
    cluster = make_cluster()
    cluster.kill()
    journals.open_journal("a", cluster.urls, wait=False)
    failed = journals.create("a", "t1")
    assert failed["outcome"] == "transient" and failed["detail"]
    cluster.start_again()
    journals.await_following("a")
    assert journals.create("a", "t1")["creation"] == "created"


def test_a_member_that_is_silent_is_named_from_the_beginning(journals):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        journals.open_journal("a", [url], wait=False)
        assert f"etcd at {url} " in journals.state("a")["trouble"]
        refused = journals.create("a", "t1")
        assert refused["outcome"] == "transient" and f"etcd at {url} " in refused["detail"]
        wait_until(lambda: f"etcd at {url} does not answer within" in journals.state("a")["trouble"], "a word about its silence")
