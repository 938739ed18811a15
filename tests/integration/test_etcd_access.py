"""rolloutd's client of etcd and those who may not: certificates, users and their tokens."""

import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest
from certificates import Authority
from etcd import DRIVER, Cluster, Failed
from processes import wait_until
from test_etcd_client import PATIENT_MS, SHORT_MS, make_client, make_cluster  # noqa: F401

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="built without the client of etcd")


class Papers:
    """An authority, the members' certificate and the gateways'."""

    def __init__(self, folder):
        self.authority = Authority(folder / "authority")
        self.of_members = self.authority.issue("/CN=etcd", "member")
        self.of_gateway = self.authority.issue("/CN=gateway", "gateway")
        self.strangers = Authority(folder / "strangers", "Somebody else's authority")
        self.of_stranger = self.strangers.issue("/CN=gateway", "stranger")

    def settings(self, certificate=None, ca=None):
        certificate, key = certificate or self.of_gateway
        return {"ca_file": str(ca or self.authority.certificate), "cert_file": str(certificate), "key_file": str(key), "timeout_ms": SHORT_MS}


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, papers):
    """A member that knows its clients by their certificates."""
    cluster = Cluster(tmp_path_factory.mktemp("guarded"), tls=(papers.authority, papers.of_members, True)).start()
    yield cluster
    cluster.kill()


def test_calls_and_a_watch_by_tls(guarded, papers, make_client):  # noqa: F811
    client = make_client(guarded.urls, **papers.settings() | {"timeout_ms": PATIENT_MS})
    revision = client.put("k", "v")
    watch = client.start("watch", key="k", applied=revision - 1)
    assert client.await_events(watch, 1)[0]["value"] == "v"


def test_an_authority_that_has_not_signed_the_member(guarded, papers, make_client):  # noqa: F811
    client = make_client(guarded.urls, **papers.settings(ca=papers.strangers.certificate))
    why = client.failure("put", key="k", value="v")
    assert why.what == "unavailable certificate"
    assert "no authority of \"ca_file\" has signed" in why.sentence and guarded.urls[0] in why.sentence


def test_a_certificate_that_the_member_does_not_take(guarded, papers, make_client):  # noqa: F811
    client = make_client(guarded.urls, **papers.settings(certificate=papers.of_stranger))
    why = client.failure("put", key="k", value="v")
    assert why.kind == "unavailable" and why.cause in ("certificate", "unreachable")


def test_no_certificate_where_one_is_demanded(guarded, papers, make_client):  # noqa: F811
    client = make_client(guarded.urls, ca_file=str(papers.authority.certificate), timeout_ms=SHORT_MS)
    assert client.failure("range", key="k").kind == "unavailable"


def test_a_member_under_a_name_that_its_certificate_does_not_have(guarded, papers, make_client):  # noqa: F811
    client = make_client([guarded.urls[0].replace("127.0.0.1", "localhost")], **papers.settings())
    why = client.failure("range", key="k")
    assert why.what == "unavailable certificate" and "not for that address" in why.sentence


def test_a_member_by_its_name(make_cluster, make_client):  # noqa: F811
    client = make_client([make_cluster().urls[0].replace("127.0.0.1", "localhost")])
    assert client.put("k", "v")
    client = make_client(["http://no-such-host.invalid:2379"], insecure=True, timeout_ms=SHORT_MS)
    why = client.failure("range", key="k")
    assert why.what == "unavailable unreachable" and "no-such-host.invalid" in why.sentence


def test_plain_text_to_a_member_that_speaks_tls(guarded, make_client):  # noqa: F811
    client = make_client([guarded.urls[0].replace("https", "http")], timeout_ms=SHORT_MS)
    assert client.failure("range", key="k").kind == "unavailable"


def test_plain_text_to_another_machine_is_refused_before_it_is_sent(make_client, papers, tmp_path):  # noqa: F811
    client = make_client()
    assert "is plain text to another machine" in client.open(["http://192.0.2.1:2379"])
    assert client.open(["https://192.0.2.1:2379"], **papers.settings() | {"ca_file": str(tmp_path / "none")}).startswith("ca_file: ")


def test_certificates_that_change_are_read_again(make_cluster, make_client, papers, tmp_path):  # noqa: F811
    """The client's first certificate is a stranger's. The good one is put in its place, as an operator does."""
    folder = tmp_path / "current"
    folder.mkdir()

    def put_in_place(pair):
        for source, name in zip(pair, ("cert.pem", "key.pem")):
            shutil.copy(source, folder / f"{name}.new")
        for name in ("cert.pem", "key.pem"):
            os.rename(folder / f"{name}.new", folder / name)

    put_in_place(papers.of_stranger)
    guarded = make_cluster(tls=(papers.authority, papers.of_members, True))
    settings = papers.settings(certificate=(folder / "cert.pem", folder / "key.pem"))
    client = make_client(guarded.urls, **settings)
    assert client.failure("put", key="k", value="v").kind == "unavailable"
    watch = client.start("watch", key="k", applied=0)
    client.await_news(watch, "trouble")
    put_in_place(papers.of_gateway)
    client.until_it_works("put", key="k", value="v")
    assert client.await_events(watch, 1)[0]["value"] == "v"
    # And back: what is connected stays so, what connects anew is turned away.
    put_in_place(papers.of_stranger)
    assert client.get("k") == "v"

    def is_turned_away():
        fresh = make_client(guarded.urls, **settings)
        with contextlib.suppress(AssertionError):
            return fresh.failure("range", key="k").kind == "unavailable"
        return False
    wait_until(is_turned_away, "the stranger's certificate in use")


@pytest.mark.parametrize("broken", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_no_certificate_keeps_out_until_it_is_one(guarded, papers, make_client, tmp_path, broken):  # noqa: F811
    settings = papers.settings()
    good = pathlib.Path(settings[broken])
    settings[broken] = str(tmp_path / good.name)
    pathlib.Path(settings[broken]).write_text("neither a certificate nor a key\n")
    client = make_client(guarded.urls, **settings)
    why = client.failure("put", key="k", value="v")
    assert why.kind == "unavailable" and guarded.urls[0] in why.sentence
    shutil.copy(good, settings[broken])
    client.until_it_works("put", key="k", value="v")


def test_a_key_of_another_certificate_keeps_out(guarded, papers, make_client):  # noqa: F811
    client = make_client(guarded.urls, **papers.settings(certificate=(papers.of_gateway[0], papers.of_stranger[1])))
    assert client.failure("put", key="k", value="v").kind == "unavailable"


def test_a_process_ends_while_its_connections_are_made(guarded, papers, make_client):  # noqa: F811
    """gRPC's threads are in the middle of handshakes, good and bad ones, when the process exits."""
    for settings in (papers.settings(), papers.settings(certificate=papers.of_stranger), papers.settings(ca=papers.strangers.certificate)):
        for answered in (False, False, True, True):
            client = make_client(guarded.urls, **settings)
            for _ in range(5):
                client.start("watch", key="k", applied=0)
            number = client.start("range", key="k")
            if answered:
                with contextlib.suppress(Failed):
                    client.result(number)
            assert client.finish() == 0, client.text()


@pytest.fixture(scope="module")
def demanding(tmp_path_factory):
    """A member that knows a user, who may do all below /rollout/."""
    cluster = Cluster(tmp_path_factory.mktemp("demanding"), arguments=["--bcrypt-cost", "4"]).start()
    cluster.members[0].demand_users("gateway", "secret", "/rollout/")
    yield cluster
    cluster.kill()


def test_a_user_may_do_what_its_role_allows(demanding, make_client):  # noqa: F811
    client = make_client(demanding.urls, user="gateway", password="secret")
    revision = client.put("/rollout/a", "v")
    assert client.get("/rollout/a") == "v"
    watch = client.start("watch", key="/rollout/", end="/rollout0", applied=revision - 1)
    assert client.await_events(watch, 1)[0]["key"] == "/rollout/a"
    denied = client.failure("put", key="/other", value="v")
    assert denied.what == "refused denied" and "\"gateway\"" in denied.sentence
    lease = client.call("grant", ttl=5)["lease"]
    assert client.call("renew", lease=lease)["ttl"] == 5
    elsewhere = client.start("watch", key="/other", applied=0)
    assert client.await_news(elsewhere, "trouble")[0]["cause"] == "denied"


def test_a_wrong_password_is_refused_at_once(demanding, make_client):  # noqa: F811
    client = make_client(demanding.urls, user="gateway", password="guess", timeout_ms=30000)
    why = client.failure("put", key="/rollout/a", value="v")
    assert why.what == "refused bad_user"
    assert "correct \"user\" and \"password\"" in why.sentence and "guess" not in why.sentence
    watch = client.start("watch", key="/rollout/", applied=0)
    assert client.await_news(watch, "trouble")[0]["cause"] == "bad_user"
    assert "guess" not in client.text()


def test_no_user_where_one_is_demanded(demanding, make_client):  # noqa: F811
    client = make_client(demanding.urls)
    why = client.failure("range", key="/rollout/a")
    assert why.what == "refused user_needed" and "\"user\"" in why.sentence


def test_a_user_where_nobody_asks_for_one(make_cluster, make_client):  # noqa: F811
    client = make_client(make_cluster().urls, user="gateway", password="secret")
    assert client.put("k", "v")
    assert "authentication is off" in client.text()


def test_a_token_that_has_expired_is_replaced_without_a_word(make_cluster, make_client, tmp_path):  # noqa: F811
    key = tmp_path / "token.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", tmp_path / "token.pub"], check=True, capture_output=True)
    cluster = make_cluster(arguments=["--bcrypt-cost", "4", "--auth-token",
                                      f"jwt,pub-key={tmp_path / 'token.pub'},priv-key={key},sign-method=RS256,ttl=2s"])
    cluster.members[0].demand_users("gateway", "secret", "/rollout/")
    client = make_client(cluster.urls, user="gateway", password="secret")
    other = make_client(cluster.urls, user="gateway", password="secret")
    assert client.put("/rollout/a", "0")
    # Calls that pass until the token is two seconds old twice over: the tick is etcd's own lease.
    lease = other.call("grant", ttl=5)["lease"]
    other.put("/rollout/tick", "here", lease=lease)
    passed = 0
    while other.get("/rollout/tick") is not None:
        passed += 1
        assert client.put("/rollout/a", str(passed))
    watch = client.start("watch", key="/rollout/", end="/rollout0", applied=0)
    client.await_events(watch, 1)
    client.put("/rollout/a", "last")
    wait_until(lambda: client.events(watch)[-1]["value"] == "last", "the last event")
