"""rollout_ready: of an upstream block's servers, only those that have the request's revision loaded are asked, whatever picks them."""

import json
import os
import pathlib
import random
import shutil
import socket
import tempfile
import threading

import pytest

from certificates import Authority
from gateway import Client
from model_servers import ModelServer, answer, unused_address
from pretended_rolloutd import PretendedRolloutd, RoutesOfATest
from processes import Nginx, free_port, wait_until
from test_configuration import HTTP as LEAST, nginx_t

METHODS = {"round-robin": "", "least_conn": "least_conn;", "ip_hash": "ip_hash;", "hash": "hash $http_x_user;",
           "consistent": "hash $http_x_user consistent;", "random": "random;", "two": "random two least_conn;"}
ZONES = {"alone": "", "zone": "zone {name} 128k;"}
ENDS = {"closing": "", "keepalive": "keepalive 8;"}

ROUTED = """\
        location ~ ^/{prefix}/(?<model>[^/]+)$ {{
            rollout_route $model key=$http_x_user preview=$http_x_rollout_preview;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 5s;
            {lines}
            {passed};
        }}
"""


class SocketServer(ModelServer):
    """On a Unix socket, or at another address of this machine."""

    def __init__(self, address, family):
        self.behaviours, self.received, self.begun = {}, [], []
        self.listener = socket.socket(family)
        if family == socket.AF_INET6:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.listener.bind(address)
        self.listener.listen(128)
        self.port = None if family == socket.AF_UNIX else self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()


def location(prefix, lines="", passed="proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/infer"):
    return ROUTED.format(prefix=prefix, lines=lines, passed=passed)


class Ready(RoutesOfATest):
    """nginx with one worker process and many blocks of the same three servers, and a rolloutd that says which of them have what."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        (self.home / "state").mkdir()
        (self.home / "state").chmod(0o777)
        self.servers = [ModelServer() for _ in range(3)]
        self.a, self.b, self.c = self.servers
        self.dead = unused_address()
        self.path = self.home / "server.sock"
        self.on_socket = SocketServer(str(self.path), socket.AF_UNIX)
        os.chmod(self.path, 0o666)
        self.on_ipv6 = SocketServer(("::1", 0), socket.AF_INET6)
        certificate, key = Authority(self.home / "ca").issue("/CN=server", "server")
        self.tls, self.grpc = [free_port() for _ in range(2)], [free_port() for _ in range(2)]
        three = "".join(f"server {server.address};" for server in self.servers)
        blocks = {}
        for method, directive in METHODS.items():
            for zone, zoned in ZONES.items():
                for end, kept in ENDS.items():
                    name = f"{method}-{zone}-{end}"
                    blocks[name] = zoned.format(name=name) + directive + three + "rollout_ready;" + kept
        a, b, c = (server.address for server in self.servers)
        blocks |= {
            "three": three + "rollout_ready;",
            "unready": three,
            "weights": f"server {a} weight=5; server {b}; server {c} weight=2; rollout_ready;",
            **{f"weights-{name}": f"{METHODS[name]} server {a} weight=5; server {b}; server {c} weight=2; rollout_ready;" for name in METHODS},
            "backup-least_conn": f"least_conn; server {a}; server {b} backup; server {c} backup; rollout_ready; keepalive 4;",
            **{f"down-{name}": f"zone down-{name} 128k; {METHODS[name]} server {a} down; server {b}; server {c}; rollout_ready;" for name in METHODS},
            "backup": f"server {a}; server {b} backup; server {c} backup; rollout_ready;",
            "one-backup": f"server {a}; server {b}; server {c} backup; rollout_ready;",
            "failing": f"server {self.dead}; {three}".replace(";", " max_fails=0;") + "rollout_ready;",
            "all-dead": f"server {self.dead}; server {b}; rollout_ready;",
            "limited": f"server {a} max_conns=1; server {b}; server {c}; rollout_ready;",
            "down": f"server {a} down; server {b}; server {c}; rollout_ready;",
            "single": f"server {a}; rollout_ready;",
            "strict": three.replace(";", " max_fails=1 fail_timeout=60s;") + "rollout_ready;",
            "strict-too": three.replace(";", " max_fails=1 fail_timeout=60s;") + "rollout_ready;",
            "strict-kept": three.replace(";", " max_fails=1 fail_timeout=60s;") + "rollout_ready; keepalive 4;",
            "names": f"server localhost:{self.a.port} max_fails=0; server {b}; rollout_ready;",
            "sockets": f"server unix:{self.path}; server {b}; rollout_ready;",
            "ipv6": f"server [::1]:{self.on_ipv6.port}; server {b}; rollout_ready;",
            "tls": "".join(f"server 127.0.0.1:{port};" for port in self.tls) + "rollout_ready; keepalive 4;",
            "grpc": "".join(f"server 127.0.0.1:{port};" for port in self.grpc) + "rollout_ready; keepalive 4;",
            "two": f"server {a}; server {b}; rollout_ready;",
            "two_grpc": "".join(f"server 127.0.0.1:{port};" for port in self.grpc) + "rollout_ready as=two; keepalive 4;",
            "names_grpc": "".join(f"server 127.0.0.1:{port};" for port in self.grpc) + "least_conn; rollout_ready as=names;",
            "two_dead": f"server {self.dead}; server 127.0.0.1:{self.grpc[1]}; rollout_ready as=two;",
        }
        http = "".join(f"upstream {name} {{ {lines} }}\n" for name, lines in blocks.items())
        for port in self.tls:
            http += (f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; "
                     f"location / {{ return 200 {port}; }} }}\n")
        for port in self.grpc:
            http += f"server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 {port}; }} }}\n"
        locations = "".join([
            location("m"),
            location("next", "proxy_next_upstream error timeout http_500 http_503 non_idempotent;"),
            location("twice", "proxy_next_upstream error timeout http_500 non_idempotent; proxy_next_upstream_tries 2;"),
            location("never", "proxy_next_upstream off;"),
            location("tls", "proxy_ssl_session_reuse on;", "proxy_pass https://$rollout_upstream/v2/models/$rollout_backend_model/infer"),
            location("grpc", "", "grpc_pass grpc://$rollout_upstream"),
            location("twin", "", "grpc_pass grpc://${rollout_upstream}_grpc"),
            location("dead", "", "grpc_pass grpc://${rollout_upstream}_dead"),
            location("mirrored", "mirror /shadow;"),
            location("fixed", "", "proxy_pass http://three/v2/models/$rollout_backend_model/infer"),
            location("fallback", "proxy_intercept_errors on; error_page 500 502 = @direct;"),
            location("cached", "slice 4; proxy_set_header Range $slice_range;"),
            "location /shadow { internal; rollout_route shadow; proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model/infer; }",
            "location /direct { proxy_pass http://three/v2/models/direct/infer; }",
            "location @direct { set $direct direct; proxy_pass http://three/v2/models/$direct/infer; }",
        ])
        self.nginx = Nginx(self.home, self.a.port, workers=1, zone=f"8m state={self.home}/state/routes.json", http=http, locations=locations,
                           worker_arguments="reconnect=10ms ack_timeout=200ms")
        self.blocks = blocks
        self.rolloutd = PretendedRolloutd(self.home / "rolloutd.sock")
        self.nginx.start()
        self.link_up()

    def connect(self):
        super().connect()
        self.send_routes()

    def route(self, model, upstream, blue=None, green=None, weight=0, has_green=False):
        """The model's route: `blue` and `green` are the servers that have it, or None for a route that names none."""
        def target(revision, peers):
            made = {"revision": revision, "upstream": upstream, "model": f"{model}__r{revision}"}
            return made if peers is None else made | {"peers": [getattr(peer, "address", peer) for peer in peers]}
        self.routes[model] = {"model_id": model, "part": "", "weight": weight, "watched": False, "blue": target(1, blue)}
        if has_green:
            self.routes[model]["green"] = target(2, green)
        self.send_routes()

    def infer(self, model, prefix="m", **headers):
        return Client(self.nginx.port).post(f"/{prefix}/{model}", {"inputs": []}, **headers)

    def clear(self):
        for server in (*self.servers, self.on_socket, self.on_ipv6):
            server.received.clear()
            server.begun.clear()
            server.behaviours.clear()

    def asked(self, servers=None):
        """How many requests each has got since the last look."""
        counts = [len(server.received) for server in servers or self.servers]
        for server in servers or self.servers:
            server.received.clear()
        return counts

    def errors(self, since=0):
        return self.nginx.errors()[since:]

    def close(self):
        self.closed.set()
        self.nginx.stop()
        self.rolloutd.__exit__()
        for server in (*self.servers, self.on_socket, self.on_ipv6):
            server.close()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def world():
    made = Ready()
    yield made
    said = made.nginx.errors() + made.nginx.text()
    made.close()
    assert "Sanitizer" not in said and "runtime error" not in said and "[alert]" not in said, said[-6000:]


@pytest.fixture
def ready(world):
    world.clear()
    return world


def fails(question):
    """As an inference server that breaks down."""
    question.send(answer("broken", "500 Internal Server Error"))
    return True


def resets(question):
    question.reset()


SUBSETS = [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("method", METHODS)
def test_only_servers_that_have_the_revision_are_asked(ready, method, zone, end):
    block = f"{method}-{zone}-{end}"
    for have in SUBSETS:
        ready.route("m", block, [ready.servers[i] for i in have])
        for n in range(12):
            assert ready.infer("m", X_User=f"user-{n}").status == 200, ready.errors()[-2000:]
        counts = ready.asked()
        assert sum(counts) == 12
        assert {i for i, count in enumerate(counts) if count} <= set(have), (have, counts)
        if method in ("round-robin", "least_conn"):
            assert {i for i, count in enumerate(counts) if count} == set(have), (have, counts)
    since = len(ready.errors())
    ready.route("m", block, [])
    assert ready.infer("m").status == 502
    assert ready.asked() == [0, 0, 0]
    line, = [line for line in ready.errors(since).splitlines() if "rollout: " in line and "[error]" in line]
    assert f'no server of upstream "{block}" has revision 1 of model "m" loaded' in line


def test_a_route_that_names_no_servers_means_all(ready):
    ready.route("m", "three")
    for _ in range(6):
        assert ready.infer("m").status == 200
    assert ready.asked() == [2, 2, 2]


def test_requests_that_no_route_chose_pass_untouched(ready):
    ready.route("m", "three", [ready.b])
    for _ in range(6):
        assert Client(ready.nginx.port).post("/direct", {}).status == 200
    assert ready.asked() == [2, 2, 2]


def test_a_fixed_place_with_a_route_is_chosen_from_too(ready):
    ready.route("m", "three", [ready.b])
    for _ in range(6):
        assert ready.infer("m", "fixed").status == 200
    assert ready.asked() == [0, 6, 0]


def test_a_block_without_the_directive_asks_all_and_that_is_said(ready):
    ready.route("m", "unready", [ready.b])
    assert ready.errors().count('upstream "unready" has no "rollout_ready"') == 1
    ready.route("m", "unready", [ready.b, ready.c])
    assert ready.errors().count('upstream "unready" has no "rollout_ready"') == 1
    ready.route("m", "unready", [ready.b])
    for _ in range(6):
        assert ready.infer("m").status == 200
    assert ready.asked() == [2, 2, 2]


def test_blue_and_green_are_each_where_they_are(ready):
    ready.route("m", "three", [ready.a, ready.b], [ready.c], weight=0, has_green=True)
    by_chance = random.Random(1)
    for _ in range(24):
        assert ready.infer("m", X_Rollout_Preview=by_chance.choice(["green", ""])).status == 200
    assert set(ready.a.received) == set(ready.b.received) == {"m__r1"} and set(ready.c.received) == {"m__r2"}


def test_what_changes_takes_effect_at_once(ready):
    for have in ([ready.a], [ready.b], [ready.a, ready.c], [ready.c]):
        ready.route("m", "three", have)
        for _ in range(4):
            assert ready.infer("m").status == 200
        assert [count > 0 for count in ready.asked()] == [server in have for server in ready.servers]


def test_many_lists_have_room(ready):
    """More of them than are remembered, and longer ones over shorter ones."""
    for n in range(200):
        peers = [f"192.0.2.1:{1000 + n + more}" for more in range(n % 60)] + [ready.servers[n % 3].address]
        ready.route("m", "three", peers)
        assert ready.infer("m").status == 200
        assert [count > 0 for count in ready.asked()] == [i == n % 3 for i in range(3)]


# What the block says of its servers.

def test_weights_stand_among_those_that_have_it(ready):
    ready.route("m", "weights", [ready.a, ready.c])
    for _ in range(28):
        assert ready.infer("m").status == 200
    a, b, c = ready.asked()
    assert b == 0 and a > 2 * c > 0, (a, b, c)


@pytest.mark.parametrize("method", METHODS)
def test_weights_and_downs_with_every_method(ready, method):
    for have in SUBSETS:
        ready.route("m", f"weights-{method}", [ready.servers[i] for i in have])
        for n in range(8):
            assert ready.infer("m", X_User=f"user-{n}").status == 200, ready.errors()[-2000:]
        assert {i for i, count in enumerate(ready.asked()) if count} <= set(have)
        ready.route("m", f"down-{method}", [ready.servers[i] for i in have])
        alive = set(have) - {0}
        assert {ready.infer("m", X_User=f"user-{n}").status for n in range(8)} == {200 if alive else 502}
        assert {i for i, count in enumerate(ready.asked()) if count} <= alive


@pytest.mark.parametrize("block, have, asked", [
    ("backup-least_conn", [0], [4, 0, 0]), ("backup-least_conn", [1], [0, 4, 0]), ("backup-least_conn", [0, 2], [4, 0, 0]), ("backup-least_conn", [1, 2], [0, 2, 2]),
    ("backup", [0], [4, 0, 0]), ("backup", [0, 1], [4, 0, 0]), ("backup", [1], [0, 4, 0]), ("backup", [2], [0, 0, 4]),
    ("backup", [1, 2], [0, 2, 2]), ("one-backup", [2], [0, 0, 4]), ("one-backup", [0, 1], [2, 2, 0]), ("one-backup", [1, 2], [0, 4, 0]),
    ("down", [1], [0, 4, 0]), ("down", [0, 2], [0, 0, 4]), ("single", [0], [4, 0, 0]),
])
def test_spare_servers_that_are_down_or_alone(ready, block, have, asked):
    ready.route("m", block, [ready.servers[i] for i in have])
    for _ in range(4):
        assert ready.infer("m").status == 200, ready.errors()[-1500:]
    assert ready.asked() == asked


@pytest.mark.parametrize("block, have", [("backup", []), ("one-backup", []), ("down", [0]), ("single", [1]), ("single", [])])
def test_where_none_can_be_asked_nginx_answers_502_and_says_why(ready, block, have):
    since = len(ready.errors())
    ready.route("m", block, [ready.servers[i] for i in have])
    for prefix in ("m", "next", "twice", "never"):
        assert ready.infer("m", prefix).status == 502
    assert ready.asked() == [0, 0, 0]
    lines = [line for line in ready.errors(since).splitlines() if "rollout: no" in line]
    assert len(lines) == 4 and all('revision 1 of model "m" loaded' in line and f'upstream "{block}"' in line for line in lines), lines
    if have:
        assert ready.servers[have[0]].address in lines[0]
    ready.route("m", block)  # nothing is left of it
    assert ready.infer("m").status == 200


def test_a_connection_limit_stands(ready):
    release = threading.Event()
    ready.a.behaviours["held__r1"] = lambda question: (release.wait(30), question.send(answer("held")), True)[-1]
    ready.route("held", "limited", [ready.a])
    ready.route("m", "limited", [ready.a, ready.b])
    holding = threading.Thread(target=lambda: ready.infer("held"))
    holding.start()
    wait_until(lambda: ready.a.begun, "the held request")
    for _ in range(4):
        assert ready.infer("m").status == 200
    assert ready.b.received == ["m__r1"] * 4 and ready.c.received == []
    release.set()
    holding.join()


# Retries.

def test_a_dead_server_is_passed_over_and_others_are_not_asked(ready):
    ready.route("m", "failing", [ready.dead, ready.b])
    for _ in range(8):
        assert ready.infer("m").status == 200
    assert ready.asked() == [0, 8, 0]


@pytest.mark.parametrize("prefix", ["next", "twice"])
def test_picks_that_were_given_back_cost_no_retry(ready, prefix):
    """Whichever the method picks first: the second try is there."""
    ready.a.behaviours["m__r1"] = fails
    for have in ([ready.a, ready.b], [ready.a, ready.c]):
        ready.route("m", "failing", have)
        for _ in range(8):
            assert ready.infer("m", prefix).status == 200
    assert ready.a.received.count("m__r1") >= 4


@pytest.mark.parametrize("block", ["three", "least_conn-zone-keepalive", "hash-alone-closing", "random-zone-closing"])
def test_the_last_servers_own_answer_reaches_the_client(ready, block):
    """nginx must not look for a next server that has not got the revision, and answer 502 instead."""
    ready.b.behaviours["m__r1"] = fails
    ready.route("m", block, [ready.b])
    for n in range(6):
        got = ready.infer("m", "next", X_User=str(n))
        assert (got.status, got.body) == (500, b"broken"), got
    assert ready.asked() == [0, 6, 0]
    ready.a.behaviours["m__r1"] = fails
    ready.route("m", block, [ready.a, ready.b])
    got = ready.infer("m", "next")
    assert (got.status, got.body) == (500, b"broken"), got


def test_an_internal_redirect_to_what_has_no_route_asks_all(ready):
    ready.b.behaviours["m__r1"] = fails
    for _ in range(6):
        ready.route("m", "three", [ready.b])
        got = ready.infer("m", "fallback")
        assert (got.status, got.body) == (200, b"direct")
    assert any(server.received.count("direct") for server in (ready.a, ready.c))


# Failures.

@pytest.mark.parametrize("how", [resets, fails])
@pytest.mark.parametrize("block", ["strict", "strict-kept"])
def test_a_bad_green_takes_no_server_away_from_blue(ready, block, how):
    since = len(ready.errors())
    for server in ready.servers:
        server.behaviours["m__r2"] = how
    ready.route("m", block, ready.servers, ready.servers, weight=100, has_green=True)
    for _ in range(12):
        assert ready.infer("m", "next").status in (500, 502)
    ready.route("m", block, ready.servers, ready.servers, weight=0, has_green=True)
    for _ in range(6):
        assert ready.infer("m", "next", X_Rollout_Preview="green").status in (500, 502)
    ready.asked()
    for _ in range(12):
        assert ready.infer("m").status == 200
    assert ready.asked() == [4, 4, 4]
    assert "temporarily disabled" not in ready.errors(since)


def test_a_bad_shadow_takes_no_server_away_from_others(ready):
    since = len(ready.errors())
    for server in ready.servers:
        server.behaviours["shadow__r1"] = resets
    ready.route("shadow", "strict", ready.servers)
    ready.route("m", "strict", ready.servers)
    for _ in range(12):
        assert ready.infer("m", "mirrored").status == 200
    assert "temporarily disabled" not in ready.errors(since)


def test_a_failure_of_blue_counts_as_nginx_counts_it(ready):
    since = len(ready.errors())
    ready.b.behaviours["m__r1"] = resets
    ready.route("m", "strict-too", ready.servers)
    wait_until(lambda: ready.infer("m", "next").status == 200 and "temporarily disabled" in ready.errors(since), "the mark")
    ready.asked()
    for _ in range(6):
        assert ready.infer("m").status == 200
    assert ready.asked() == [3, 0, 3]
    ready.route("m", "strict-too", [ready.b])  # where it alone has it, the mark stands all the same
    assert ready.infer("m").status == 502
    assert "none of the servers" in ready.errors(since) and ready.b.address in ready.errors(since)


# Addresses.

@pytest.mark.parametrize("peer", ["localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:{port}"])
def test_a_server_with_a_hosts_name_is_known_by_it_and_by_its_address(ready, peer):
    ready.route("m", "names", [peer.format(port=ready.a.port)])
    for _ in range(4):
        assert ready.infer("m", "next").status == 200
    assert ready.asked() == [4, 0, 0]
    ready.route("m", "names", [ready.b])
    for _ in range(4):
        assert ready.infer("m", "next").status == 200
    assert ready.asked() == [0, 4, 0]


def test_a_unix_socket(ready):
    ready.route("m", "sockets", [f"unix:{ready.path}"])
    for _ in range(4):
        assert ready.infer("m").status == 200
    assert len(ready.on_socket.received) == 4 and ready.asked() == [0, 0, 0]
    ready.route("m", "sockets", [ready.b])
    for _ in range(4):
        assert ready.infer("m").status == 200
    assert len(ready.on_socket.received) == 4 and ready.asked() == [0, 4, 0]


@pytest.mark.parametrize("peer", ["[::1]:{port}", "[0:0::1]:{port}"])
def test_ipv6(ready, peer):
    ready.route("m", "ipv6", [peer.format(port=ready.on_ipv6.port)])
    for _ in range(4):
        assert ready.infer("m").status == 200
    assert len(ready.on_ipv6.received) == 4 and ready.asked() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["tls", "grpc"])
def test_servers_over_tls_and_grpc(ready, kind):
    ports = getattr(ready, kind)
    for port in (*ports, ports[0]):
        ready.route("m", kind, [f"127.0.0.1:{port}"])
        for _ in range(4):
            got = ready.infer("m", kind)
            assert (got.status, got.body) == (200, str(port).encode()), ready.errors()[-1500:]


@pytest.mark.parametrize("block, peers", [("two", ["{a}", "{b}"]), ("names", ["localhost:{port}", "{b}"]), ("names", ["127.0.0.1:{port}", "{b}"])])
def test_a_block_of_other_ports_stands_for_the_servers_that_rolloutd_knows(ready, block, peers):
    peers = [peer.format(a=ready.a.address, b=ready.b.address, port=ready.a.port) for peer in peers]
    since = len(ready.errors())
    for n in (0, 1, 0):
        ready.route("m", block, [peers[n]])
        for _ in range(4):
            got = ready.infer("m", "twin")
            assert (got.status, got.body) == (200, str(ready.grpc[n]).encode()), ready.errors()[-1500:]
    ready.route("m", block, peers)
    assert {ready.infer("m", "twin").body for _ in range(4)} == {str(port).encode() for port in ready.grpc}
    ready.route("m", block, [])
    assert ready.infer("m", "twin").status == 502
    assert f'no server of upstream "{block}_grpc" has revision 1 of model "m"' in ready.errors(since)
    assert "has no server" not in ready.errors(since)


def test_a_server_that_fails_at_another_port_is_told_to_rolloutd_as_it_knows_it(ready):
    ready.route("m", "two", [ready.a])
    ready.await_suspect("two", ready.a.address, lambda: ready.infer("m", "dead"))


@pytest.mark.parametrize("peer", ["localhost:{port}", "127.0.0.1:{port}"])
def test_a_server_with_a_hosts_name_is_told_to_rolloutd_as_it_knows_it(ready, peer):
    ready.a.behaviours["m__r1"] = resets
    ready.route("m", "names", [peer.format(port=ready.a.port)])
    ready.await_suspect("names", peer.format(port=ready.a.port), lambda: ready.infer("m"))


def test_a_peer_that_is_not_in_the_block_is_said_once(ready):
    since = len(ready.errors())
    ready.route("m", "three", [ready.a, "192.0.2.7:8000", "nowhere:8000", "unix:/no/where"])
    for _ in range(3):
        assert ready.infer("m").status == 200
    said = ready.errors(since)
    for peer in ("192.0.2.7:8000", "nowhere:8000", "unix:/no/where"):
        assert said.count(f'upstream "three" has no server "{peer}"') == 1, said


# The life of routes and of nginx.

@pytest.mark.parametrize("peers", [["x"], ["127.0.0.1"], [""], [7], "127.0.0.1:8000", {}, ["a:1"] * 65, ["a:1\nb:2"], ["unix:x"]])
def test_a_list_that_is_none_ends_the_link_with_a_reason(ready, peers):
    since = len(ready.errors())
    bad = {"model_id": "m", "part": "", "weight": 0, "blue": {"revision": 1, "upstream": "three", "model": "m__r1", "peers": peers}}
    ready.say(type="routes", routes=[bad], revision=ready.revision + 1)
    ready.connect()
    assert "peer" in ready.errors(since), ready.errors(since)


def test_the_state_file_and_a_restart_keep_the_lists(ready):
    ready.route("m", "three", [ready.b])
    ready.route("n", "three", [])
    ready.route("o", "three")
    routes = {one["model_id"]: one for one in json.loads((ready.home / "state/routes.json").read_text())["routes"]}
    assert routes["m"]["blue"]["peers"] == [ready.b.address] and routes["n"]["blue"]["peers"] == [] and "peers" not in routes["o"]["blue"]
    ready.nginx.stop()
    ready.rolloutd.__exit__()
    ready.nginx.start()
    for _ in range(4):
        assert ready.infer("m").status == 200
    assert ready.asked() == [0, 4, 0]
    assert ready.infer("n").status == 502
    ready.rolloutd = PretendedRolloutd(ready.home / "rolloutd.sock")
    ready.connect()


def test_a_reload_with_other_servers(ready):
    ready.route("m", "three", [ready.b, ready.c])
    text = ready.nginx.pieces["http"]
    changed = text.replace(f"upstream three {{ {ready.blocks['three']} }}", f"upstream three {{ server {ready.a.address}; server {ready.c.address}; rollout_ready; }}")
    assert changed != text
    for http, asked in ((changed, [0, 0, 4]), (text, [0, 2, 2])):
        ready.nginx.write(http=http)
        ready.nginx.reload()
        ready.connect()
        for _ in range(4):
            assert ready.infer("m").status == 200
        assert ready.asked() == asked


def test_a_server_that_fails_or_has_no_such_model_is_told_to_rolloutd(ready):
    ready.route("m", "three", [ready.dead, ready.a, ready.b])
    for how, server in ((resets, ready.a), (lambda question: (question.send(answer("x", "400 Bad Request")), True)[-1], ready.b)):
        server.behaviours["m__r1"] = how
        ready.route("m", "three", [server])
        ready.await_suspect("three", server.address, lambda: ready.infer("m"))


# nginx -t.

READY = LEAST + "upstream u { server 127.0.0.1:1; %s } server { listen 127.0.0.1:1; location / { rollout_route $arg_m; proxy_pass http://$rollout_upstream; } }"


@pytest.mark.parametrize("lines", [
    "rollout_ready;", "rollout_ready; keepalive 4;", "least_conn; rollout_ready;", "ip_hash; rollout_ready; keepalive 4;", "zone z 64k; rollout_ready;",
    "hash $uri; rollout_ready; server 127.0.0.1:2;", "random two; zone z 64k; rollout_ready; keepalive 1; keepalive_timeout 5s;",
    "rollout_ready; zone z 64k;", "rollout_ready; keepalive_requests 5;", "rollout_ready as=u;", "rollout_ready as=U;",
    "rollout_ready as=v; } upstream v { server 127.0.0.1:2; rollout_ready;"])
def test_what_works_is_taken(tmp_path, lines):
    status, said = nginx_t(tmp_path, READY % lines)
    assert status == 0 and "[warn]" not in said, said


@pytest.mark.parametrize("lines, why", [
    ("keepalive 4; rollout_ready;", '"rollout_ready" directive must be before the "keepalive" directive in'),
    ("rollout_ready; least_conn;", '"rollout_ready" directive must be after the load balancing method in'),
    ("rollout_ready; keepalive 4; ip_hash;", '"rollout_ready" directive must be after the load balancing method in'),
    ("rollout_ready; rollout_ready;", '"rollout_ready" directive is duplicate'),
    ("rollout_ready on;", 'invalid parameter "on"'),
    ("rollout_ready as=;", 'invalid parameter "as="'),
    ("rollout_ready as=v on;", 'invalid number of arguments in "rollout_ready" directive'),
    ("rollout_ready as=v;", 'no upstream "v" for "rollout_ready as=v" in'),
    ("rollout_ready; } upstream v { server 127.0.0.1:2; server 127.0.0.1:3; rollout_ready as=u;",
     'upstream "v" has 2 servers and upstream "u" 1: with "rollout_ready as=u" both name the same servers in the same order')])
def test_what_cannot_work_is_refused(tmp_path, lines, why):
    status, said = nginx_t(tmp_path, READY % lines)
    assert status == 1 and why in said, said


@pytest.mark.parametrize("http", ["rollout_ready;", "server { listen 127.0.0.1:1; rollout_ready; }", "server { location / { rollout_ready; } }"])
def test_it_belongs_into_an_upstream_block(tmp_path, http):
    status, said = nginx_t(tmp_path, LEAST + http)
    assert status == 1 and '"rollout_ready" directive is not allowed here' in said, said
