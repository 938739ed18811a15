"""rollout_ready where nginx finds its servers' addresses at run time: `server … resolve`, from nginx 1.27.3 on. Debian's is older:
ROLLOUT_NGINX names another one, as docs/install.md says."""

import re
import socket
import subprocess

import pytest

from gateway import Client
from model_servers import ModelServer, answer, unused_address
from name_server import NameServer
from processes import NGINX, wait_until
from routed_servers import RoutedServers
from test_ready import SocketServer, location

VERSION = tuple(int(part) for part in re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", subprocess.run([NGINX, "-v"], capture_output=True, text=True).stderr).groups())

pytestmark = pytest.mark.skipif(VERSION < (1, 27, 3), reason="this nginx has no \"resolve\": set ROLLOUT_NGINX and ROLLOUT_BUILD")

HTTP = """
resolver 127.0.0.1:{names} valid=1s ipv6=off;
upstream pods {{ zone pods 128k; server pod-0.test:{a} resolve; server pod-1.test:{b} resolve; rollout_ready; keepalive 4; }}
upstream least {{ zone least 128k; server pod-0.test:{a} resolve; server pod-1.test:{b} resolve; least_conn; rollout_ready; }}
upstream hashed {{ zone hashed 128k; server pod-0.test:{a} resolve; server pod-1.test:{b} resolve; hash $http_x_user consistent; rollout_ready; }}
upstream spare {{ zone spare 128k; server pod-0.test:{a} resolve; server pod-1.test:{b} resolve backup; rollout_ready; }}
upstream mixed {{ zone mixed 128k; server pod-0.test:{a} resolve; server 127.0.0.1:{b}; rollout_ready; }}
upstream service {{ zone service 128k; server pods.test service=http resolve; rollout_ready; keepalive 4; }}
upstream dead {{ zone dead 128k; server pod-0.test:{dead} resolve; server pod-1.test:{b} resolve; rollout_ready; }}
upstream twins {{ zone twins 128k; server pod-0.test:{b} resolve; server pod-1.test:{a} resolve; rollout_ready as=pods; }}
"""


class Resolved(RoutedServers):
    """Two servers at other ports of this machine, under names that a name server of the test's knows."""

    def __init__(self):
        self.a, self.b = ModelServer(), ModelServer()
        self.other = SocketServer(("127.0.0.9", self.a.port), socket.AF_INET)
        self.names = NameServer()
        self.names.addresses = {"pod-0.test": ["127.0.0.1"], "pod-1.test": ["127.0.0.1"]}
        self.names.services = {"_http._tcp.pods.test": [("pod-0.test", self.a.port), ("pod-1.test", self.b.port)]}
        self.dead = int(unused_address().split(":")[1])
        http = HTTP.format(names=self.names.port, a=self.a.port, b=self.b.port, dead=self.dead)
        locations = location("m") + location("next", "proxy_next_upstream error timeout http_500 non_idempotent;") + location(
            "twin", "", "proxy_pass http://twins/v2/models/$rollout_backend_model/infer")
        super().__init__(self.a, self.b, locations, http.replace("{", "{{").replace("}", "}}"))
        self.pod_0, self.pod_1 = f"pod-0.test:{self.a.port}", f"pod-1.test:{self.b.port}"

    def send_to(self, upstream, peers):
        blue = {"revision": 1, "upstream": upstream, "model": "m__r1", "peers": peers}
        self.routes["m"] = {"model_id": "m", "part": "", "weight": 0, "watched": True, "blue": blue}
        self.send_routes()

    def infer(self, prefix="m", user="u"):
        return Client(self.nginx.port).post(f"/{prefix}/m", {"inputs": []}, X_User=user)

    def asked(self, count=8, prefix="m"):
        """How many of some requests, which all were answered, each server got."""
        for server in (self.a, self.b):
            server.received.clear()
        for number in range(count):
            assert self.infer(prefix, str(number)).status == 200, self.nginx.errors()[-2000:]
        return len(self.a.received), len(self.b.received)

    def close(self):
        super().close()
        self.other.close()
        self.names.close()


@pytest.fixture(scope="module")
def world():
    made = Resolved()
    for upstream in ("pods", "least", "hashed", "spare", "mixed", "service", "dead"):
        made.send_to(upstream, [made.pod_0, made.pod_1])
        wait_until(lambda: made.infer().status == 200, f"the addresses of {upstream}")
    yield made
    made.close()


@pytest.fixture
def resolved(world):
    for server in (world.a, world.b, world.other):
        server.behaviours.clear()
        server.received.clear()
    return world


@pytest.mark.parametrize("upstream", ["pods", "least", "hashed", "spare", "mixed", "service"])
def test_a_server_is_known_by_its_name(resolved, upstream):
    for peers, asked in (([resolved.pod_0], (8, 0)), ([resolved.pod_1.replace("pod-1.test", "127.0.0.1") if upstream == "mixed" else resolved.pod_1], (0, 8))):
        resolved.send_to(upstream, peers)
        assert resolved.asked() == asked
    resolved.send_to(upstream, [])
    assert resolved.infer().status == 502
    resolved.send_to(upstream, [resolved.pod_0.upper(), resolved.pod_1])
    a, b = resolved.asked(16)
    assert a and (b or upstream in ("spare", "mixed"))


@pytest.mark.parametrize("upstream", ["pods", "service", "mixed"])
def test_and_by_its_address(resolved, upstream):
    since = len(resolved.nginx.errors())
    for server, asked in ((resolved.a, (8, 0)), (resolved.b, (0, 8))):
        resolved.send_to(upstream, [server.address])
        assert resolved.asked() == asked
    assert "has no server" not in resolved.nginx.errors()[since:]


def test_a_name_with_several_addresses_is_one_server(resolved):
    other = resolved.other
    resolved.names.addresses["pod-0.test"] = ["127.0.0.1", "127.0.0.9"]
    resolved.send_to("pods", [resolved.pod_0])
    wait_until(lambda: resolved.infer().status == 200 and other.received, "the second address")
    assert resolved.asked(16)[1] == 0 and resolved.a.received
    resolved.send_to("pods", [resolved.pod_1])
    assert resolved.asked() == (0, 8)
    resolved.names.addresses["pod-0.test"] = ["127.0.0.1"]
    resolved.send_to("pods", [f"127.0.0.9:{resolved.a.port}"])
    wait_until(lambda: resolved.infer().status == 502, "the end of the second address")


def test_a_block_of_other_ports_stands_for_them(resolved):
    resolved.send_to("pods", [resolved.pod_0])
    assert resolved.asked(prefix="twin") == (0, 8)
    resolved.send_to("pods", [resolved.pod_1])
    assert resolved.asked(prefix="twin") == (8, 0)


def test_a_name_that_has_moved_is_followed(resolved):
    """As a pod that was made anew: nginx asks again, and the request goes where the name is."""
    resolved.send_to("pods", [resolved.pod_0])
    assert resolved.asked() == (8, 0)
    other = resolved.other
    resolved.names.addresses["pod-0.test"] = ["127.0.0.9"]
    wait_until(lambda: resolved.infer().status == 200 and other.received, "the new address")
    resolved.a.received.clear()
    assert all(resolved.infer(user=str(number)).status == 200 for number in range(8)) and not resolved.a.received and not resolved.b.received
    resolved.names.addresses["pod-0.test"] = ["127.0.0.1"]
    wait_until(lambda: resolved.infer().status == 200 and resolved.a.received, "the old address")


def test_a_dead_one_is_passed_over_and_told_to_rolloutd_by_its_name(resolved):
    resolved.send_to("dead", [f"pod-0.test:{resolved.dead}", resolved.pod_1])
    assert resolved.asked(prefix="next") == (0, 8)
    resolved.await_suspect("dead", f"pod-0.test:{resolved.dead}", lambda: resolved.asked(prefix="next"))
    resolved.send_to("dead", [f"127.0.0.1:{resolved.dead}", resolved.b.address])
    assert resolved.asked(prefix="next") == (0, 8)


@pytest.mark.parametrize("upstream", ["pods", "service"])
def test_a_server_without_the_model_is_told_by_its_name(resolved, upstream):
    resolved.b.behaviours["m__r1"] = lambda question: (question.send(answer("x", "400 Bad Request")), True)[-1]
    resolved.send_to(upstream, [resolved.pod_1])
    assert resolved.infer().status == 400
    resolved.await_suspect(upstream, resolved.pod_1, resolved.infer)


def test_what_is_not_there_is_said(resolved):
    since = len(resolved.nginx.errors())
    resolved.send_to("pods", ["pod-7.test:8000"])
    assert resolved.infer().status == 502
    assert 'none of the servers of upstream "pods" that have revision 1 of model "m" loaded can be tried: pod-7.test:8000' in resolved.nginx.errors()[since:]
