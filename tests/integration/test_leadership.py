"""Which of several rolloutd leads, with real members of etcd: candidates that die, stop and resign, members that do."""

import contextlib
import random
import signal

import pytest
from etcd import DRIVER, Candidate, Failed
from processes import wait_until
from test_etcd_client import SHORT_MS, make_client, make_cluster  # noqa: F401

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="built without the client of etcd")

LEADER = "/r/s/leader"
WRITTEN = "/r/s/rev"
LONG_S = 600  # a lease that ends in no test by itself


@pytest.fixture
def stand(make_client):  # noqa: F811
    """Starts candidates, each in a process of its own, which write what their token is while they lead."""
    def start(cluster, count, **settings):
        candidates = []
        for number in range(count):
            candidates.append(Candidate(make_client(cluster.urls, host=f"h{number}"), f"h{number}", **settings))
            candidates[-1].ask("write", key=WRITTEN)
        return candidates
    return start


def leader_of(candidates):
    """Who leads, with its token."""
    def leads():
        return next(((candidate, token) for candidate in candidates if (token := candidate.token())), None)
    return wait_until(leads, "a leader")


def tokens_written(client):
    """All that has been written, in etcd's order. Each token must have written before the next one did."""
    last = client.until_it_works("range", key=WRITTEN)["found"][0]["modified"]
    watch = client.start("watch", key=WRITTEN, applied=0, silence_ms=0)
    wait_until(lambda: client.events(watch) and client.events(watch)[-1]["modified"] >= last, "all events")
    tokens = [int(event["value"]) for event in client.events(watch)]
    client.call("unwatch", watch=watch)
    assert tokens == sorted(tokens), "a leader wrote after another one had been elected"
    return tokens


def last_written(client):
    found = client.until_it_works("range", key=WRITTEN)["found"]
    return int(found[0]["value"]) if found else 0


def leader_that_writes(client, candidates):
    """Who leads, with its token, once it has written."""
    def writes():
        leader, token = leader_of(candidates)
        return (leader, token) if last_written(client) == token else None
    return wait_until(writes, "a write of the leader's")


def test_of_three_candidates_one_leads(make_cluster, make_client):  # noqa: F811
    client = make_client(make_cluster().urls)
    candidates = [Candidate(client, host, lease=LONG_S) for host in "abc"]
    leader, token = leader_of(candidates)
    entry = client.call("range", key=LEADER)["found"][0]
    assert entry["created"] == token and entry["value"] == f'{{"host":"{leader.host}"}}' and entry["lease"]
    for candidate in candidates:
        wait_until(lambda: candidate.knows().get("leader") == leader.host, "knowledge of the leader")
        wait_until(lambda: candidate.knows()["registration"] == "registered", "the registration")
        assert candidate.knows()["trouble"] == ""
        assert candidate.news("elected") == ([token] if candidate is leader else [])
    assert client.call("range", key="/r/l/hosts/", end="/r/l/hosts0", count_only=True)["count"] == 3


def test_a_candidate_that_may_not_lead_follows(make_cluster, make_client):  # noqa: F811
    client = make_client(make_cluster().urls)
    idle = Candidate(client, "a", wanted=False)
    wait_until(lambda: idle.knows()["registration"] == "registered", "the registration")
    assert client.get(LEADER) is None
    other = Candidate(client, "b")
    token = other.await_news("elected")[0]
    wait_until(lambda: idle.knows().get("leader") == "b", "knowledge of the leader")
    other.ask("stand", wanted=False)
    assert "it may not lead any more" in other.await_news("deposed")[0]
    idle.ask("stand", wanted=True)
    assert idle.await_news("elected")[0] > token


def test_a_killed_leader_is_followed(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    candidates = stand(cluster, 3)
    observer = make_client(cluster.urls)
    tokens = []
    while len(candidates) > 0:
        leader, token = leader_that_writes(observer, candidates)
        tokens.append(token)
        leader.client.die()
        candidates.remove(leader)
    assert tokens == sorted(set(tokens))
    assert set(tokens_written(observer)) >= set(tokens)


def test_a_stopped_leader_notices_before_it_would_write(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    candidates = stand(cluster, 2)
    observer = make_client(cluster.urls)
    leader, token = leader_that_writes(observer, candidates)
    others = [candidate for candidate in candidates if candidate is not leader]
    leader.client.send_signal(signal.SIGSTOP)
    other, _ = leader_that_writes(observer, others)
    leader.client.send_signal(signal.SIGCONT)
    assert leader.await_news("deposed")
    # One write may have been under way; it was refused.
    assert leader.news("refused") in ([], [token])
    wait_until(lambda: leader.knows().get("leader") == other.host, "knowledge of the leader")
    tokens_written(observer)


def test_a_short_stop_changes_nothing(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    observer = make_client(cluster.urls)
    (leader,) = stand(cluster, 1, lease=LONG_S)
    token = leader.await_news("elected")[0]
    for _ in range(5):
        leader.client.send_signal(signal.SIGSTOP)
        leader.client.send_signal(signal.SIGCONT)
        leader_that_writes(observer, [leader])
    assert leader.token() == token and leader.news("deposed") == []


def test_sigterm_hands_over_at_once(make_cluster, make_client, stand):  # noqa: F811
    """No lease ends here by itself within the test."""
    cluster = make_cluster()
    candidates = stand(cluster, 3, lease=LONG_S)
    observer = make_client(cluster.urls)
    for left in (2, 1):
        leader, token = leader_that_writes(observer, candidates)
        candidates.remove(leader)
        assert leader.client.stop(signal.SIGTERM) == 0
        assert leader_of(candidates)[1] > token
        wait_until(lambda: observer.call("range", key="/r/l/hosts/", end="/r/l/hosts0", count_only=True)["count"] == left,
                   "the end of the host's record")
        assert leader.news("deposed") == leader.news("refused") == []
    tokens_written(observer)


def test_a_leader_resigns_and_lives(make_cluster, make_client):  # noqa: F811
    client = make_client(make_cluster().urls)
    first = Candidate(client, "a", lease=LONG_S)
    first.await_news("elected")
    second = Candidate(client, "b", lease=LONG_S)
    first.ask("resign")
    assert second.await_news("elected") and first.token() is None


def test_the_leader_and_etcds_own_are_killed_together(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster(3)
    candidates = stand(cluster, 3)
    observer = make_client(cluster.urls)
    for _ in range(2):
        leader, token = leader_that_writes(observer, candidates)
        member = wait_until(lambda: next((one for one in cluster.members if one.running() and one.is_leader()), None), "etcd's leader")
        member.kill()
        leader.client.die()
        candidates.remove(leader)
        assert leader_of(candidates)[1] > token
        member.start()
    tokens_written(observer)


def test_a_lease_is_lost_though_the_process_lives(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    observer = make_client(cluster.urls)
    (candidate,) = stand(cluster, 1, lease=LONG_S)
    for terms in (1, 2, 3):
        candidate.await_news("elected", terms)
        leader_that_writes(observer, [candidate])
        observer.call("revoke", lease=observer.call("range", key=LEADER)["found"][0]["lease"])
        assert candidate.await_news("deposed", terms)[-1] == "etcd has ended its lease"
    Candidate(observer, "short")
    for _ in range(2):
        record = wait_until(lambda: observer.call("range", key="/r/l/hosts/short")["found"], "the host's record")[0]
        with contextlib.suppress(Failed):
            observer.call("revoke", lease=record["lease"])
        wait_until(lambda: [entry for entry in observer.call("range", key="/r/l/hosts/short")["found"] if entry["lease"] != record["lease"]],
                   "the record with another lease")
    tokens_written(observer)


def test_a_leaders_key_that_is_removed_by_hand(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    observer = make_client(cluster.urls)
    (candidate,) = stand(cluster, 1)
    token = candidate.await_news("elected")[0]
    observer.call("remove", key=LEADER)
    assert candidate.await_news("elected", 2)[1] > token
    tokens_written(observer)


def test_a_full_etcd_has_no_new_leader_and_the_candidates_say_so(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster(arguments=["--quota-backend-bytes", str(16 * 1024 * 1024)])
    member = cluster.members[0]
    observer = make_client(cluster.urls)
    leader, = stand(cluster, 1)
    token = leader.await_news("elected")[0]
    (waiting,) = [Candidate(make_client(cluster.urls, host="w"), "w")]
    wait_until(lambda: waiting.knows().get("leader") == leader.host, "knowledge of the leader")

    def is_full():
        with contextlib.suppress(Failed):
            observer.call("put", key="/other", size=1024 * 1024)
            return False
        return True
    wait_until(is_full, "the end of the quota")
    assert leader.token() == token  # who leads goes on
    leader.client.die()
    wait_until(lambda: "database space exceeded" in waiting.knows()["trouble"], "the word of the candidate")
    assert waiting.news("elected") == []
    observer.call("remove", key="/other")
    observer.call("compact", revision=observer.call("range", key="/other")["revision"], physical=True)
    member.ask("maintenance/defragment")
    alarm = member.ask("maintenance/alarm", action="GET")["alarms"][0]
    member.ask("maintenance/alarm", action="DEACTIVATE", **alarm)
    assert waiting.await_news("elected")[0] > token
    assert waiting.knows()["trouble"] == ""


def test_a_leader_that_etcd_goes_away_from_is_deposed_and_comes_back(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    observer = make_client(cluster.urls)
    (candidate,) = stand(cluster, 1)
    token = candidate.await_news("elected")[0]
    cluster.members[0].send_signal(signal.SIGSTOP)
    assert "was not renewed within" in candidate.await_news("deposed")[0]
    assert "does not answer" in wait_until(lambda: candidate.knows()["trouble"], "the trouble")
    cluster.members[0].send_signal(signal.SIGCONT)
    assert candidate.await_news("elected", 2)[1] > token
    wait_until(lambda: candidate.knows()["trouble"] == "", "the end of the trouble")
    tokens_written(observer)


def test_whatever_is_killed_or_stopped_one_leads_at_a_time(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster(3)
    observer = make_client(cluster.urls, timeout_ms=SHORT_MS)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    candidates = stand(cluster, 3)
    for _ in range(12):
        leader, _ = leader_that_writes(observer, candidates)
        what = chance.choice(("kill", "stop", "revoke", "kill the member", "stop the member", "terminate"))
        member = chance.choice(cluster.members)
        if what == "stop":
            leader.client.send_signal(signal.SIGSTOP)
            leader_that_writes(observer, [other for other in candidates if other is not leader])
            leader.client.send_signal(signal.SIGCONT)
        elif what in ("kill", "terminate"):
            leader.client.die() if what == "kill" else leader.client.stop(signal.SIGTERM)
            candidates.remove(leader)
            again = Candidate(make_client(cluster.urls, host=leader.host), leader.host)
            again.ask("write", key=WRITTEN)
            candidates.append(again)
        elif what == "revoke":
            with contextlib.suppress(Failed, IndexError):
                observer.call("revoke", lease=observer.call("range", key=LEADER)["found"][0]["lease"])
        elif what == "kill the member":
            member.kill()
            member.start()
        else:
            member.send_signal(signal.SIGSTOP)
            leader_that_writes(observer, candidates)
            member.send_signal(signal.SIGCONT)
    leader_that_writes(observer, candidates)
    tokens_written(observer)


def test_a_word_to_any_host_reaches_the_leader(make_cluster, make_client, stand):  # noqa: F811
    cluster = make_cluster()
    candidates = [Candidate(make_client(cluster.urls, host=host), host, lease=LONG_S) for host in ("a", "b", "c")]
    leader, _ = leader_of(candidates)
    for candidate in candidates:
        wait_until(lambda: candidate.knows()["registration"] == "registered", "the registration")
        numbers = [candidate.client.start("say", candidate=candidate.number, word=f"w{number}") for number in range(20)]
        answers = [candidate.client.result(number) for number in numbers]
        assert answers == [{"answer": f"w{number} by {leader.host}"} for number in range(20)]
    assert sorted(leader.news("word")) == sorted(f"{host}: w{number}" for host in "abc" for number in range(20))
    observer = candidates[0].client
    for prefix in ("/r/l/words/", "/r/a/"):
        wait_until(lambda: observer.call("range", key=prefix, end=prefix[:-1] + "0", count_only=True)["count"] == 0, "nothing left behind")


def test_a_word_outlives_its_leader(make_cluster, make_client, stand):  # noqa: F811
    """It is said when nobody leads, and answered by who is elected then."""
    cluster = make_cluster()
    host = Candidate(make_client(cluster.urls, host="a"), "a", wanted=False)
    leader = Candidate(make_client(cluster.urls, host="b"), "b")
    leader.await_news("elected")
    wait_until(lambda: host.knows()["registration"] == "registered", "the registration")
    leader.client.die()
    number = host.client.start("say", candidate=host.number, word="cancel")
    Candidate(make_client(cluster.urls, host="c"), "c")
    assert host.client.result(number) == {"answer": "cancel by c"}
